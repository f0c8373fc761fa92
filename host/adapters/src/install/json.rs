//! Files of JSON, with comments where the harness takes them.

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstArray, CstInputValue, CstNode, CstObject, CstRootNode};
use serde_json::Value;

use super::entries::{Entry, is_ours};
use crate::hooks::Harness;

/// The text with these entries and none of ours besides; without entries, with none of ours. `None` where nothing is left.
pub fn edited(text: Option<&str>, harness: Harness, wanted: Option<&[Entry]>) -> Result<Option<String>, String> {
    if text.is_none() && wanted.is_none() {
        return Ok(None);
    }
    let root = parsed(text.unwrap_or_default())?;
    let top = root.object_value_or_create().ok_or("it is no object")?;
    // These harnesses refuse a file without it.
    let needs_version = matches!(harness, Harness::CopilotCli | Harness::Cursor);
    if wanted.is_some() && needs_version && top.get("version").is_none() {
        top.insert(0, "version", CstInputValue::Number("1".to_owned()));
    }
    let Some(hooks) = (match wanted {
        Some(_) => Some(top.object_value_or_create("hooks").ok_or("\"hooks\" is no object")?),
        None => top.object_value("hooks"),
    }) else {
        return Ok(text.map(ToOwned::to_owned));
    };
    let keeps = |event: &str, entry: &Value| {
        wanted.unwrap_or_default().iter().any(|(wanted, value)| *wanted == event && value == entry)
    };
    let (mut kept, mut emptied) = (Vec::new(), false);
    for property in hooks.properties() {
        let Some(event) = property.decoded_name() else { continue };
        let Some(list) = property.array_value() else { return Err(format!("\"hooks\".{event:?} is no list")) };
        let was_empty = list.elements().is_empty();
        if let Some(entry) = clean(&list, harness, |entry| keeps(&event, entry)) {
            kept.push((event.clone(), entry));
        }
        if wanted.is_none() && !was_empty && list.elements().is_empty() {
            property.remove();
            emptied = true;
        }
    }
    for (event, entry) in wanted.unwrap_or_default() {
        let list = hooks.array_value_or_create(event).ok_or_else(|| format!("\"hooks\".{event:?} is no list"))?;
        if !kept.iter().any(|(at, value)| at == event && value == entry) {
            list.ensure_multiline();
            list.append(input(entry));
        }
    }
    if emptied && hooks.properties().is_empty() {
        remove(&top, "hooks");
    }
    // What was made for hooks alone goes with them.
    let left: Vec<String> = top.properties().iter().filter_map(|property| property.decoded_name()).collect();
    if emptied && needs_version && left.iter().all(|name| name == "version") {
        return Ok(None);
    }
    Ok(Some(root.to_string()))
}

/// Takes hooks of ours out of an event's list. One entry that is to stay stays, and is returned.
fn clean(list: &CstArray, harness: Harness, keeps: impl Fn(&Value) -> bool) -> Option<Value> {
    let mut kept = None;
    for element in list.elements() {
        let Some(value) = element.to_serde_value() else { continue };
        if kept.is_none() && keeps(&value) {
            kept = Some(value);
            continue;
        }
        if is_ours(&value, harness) {
            element.remove();
            continue;
        }
        // A group, in which others may have put hooks of theirs beside ours.
        let Some(group) = element.as_object().and_then(|group| group.array_value("hooks")) else { continue };
        let ours: Vec<CstNode> = group
            .elements()
            .into_iter()
            .filter(|hook| hook.to_serde_value().is_some_and(|hook| is_ours(&hook, harness)))
            .collect();
        let is_all = !ours.is_empty() && ours.len() == group.elements().len();
        if is_all {
            element.remove();
        } else {
            ours.into_iter().for_each(CstNode::remove);
        }
    }
    kept
}

/// Whether an event has this entry.
pub fn has(text: &str, event: &str, entry: &Value) -> Result<bool, String> {
    let root = parsed(text)?;
    let list = root.object_value().and_then(|top| top.object_value("hooks")).and_then(|hooks| hooks.array_value(event));
    Ok(list.is_some_and(|list| list.elements().iter().any(|element| element.to_serde_value().as_ref() == Some(entry))))
}

/// The entries of an event; `None` where the file cannot be read or has none.
pub fn entries(text: &str, event: &str) -> Option<Vec<Value>> {
    let list = parsed(text).ok()?.object_value()?.object_value("hooks")?.array_value(event)?;
    Some(list.elements().iter().filter_map(CstNode::to_serde_value).collect())
}

fn parsed(text: &str) -> Result<CstRootNode, String> {
    let text = if text.trim().is_empty() { "{}\n" } else { text };
    CstRootNode::parse(text, &ParseOptions::default()).map_err(|error| error.to_string())
}

fn remove(object: &CstObject, name: &str) {
    if let Some(property) = object.get(name) {
        property.remove();
    }
}

fn input(value: &Value) -> CstInputValue {
    match value {
        Value::Null => CstInputValue::Null,
        Value::Bool(flag) => CstInputValue::Bool(*flag),
        Value::Number(number) => CstInputValue::Number(number.to_string()),
        Value::String(text) => CstInputValue::String(text.clone()),
        Value::Array(list) => CstInputValue::Array(list.iter().map(input).collect()),
        Value::Object(fields) => {
            CstInputValue::Object(fields.iter().map(|(name, value)| (name.clone(), input(value))).collect())
        }
    }
}
