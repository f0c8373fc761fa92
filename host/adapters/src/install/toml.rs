//! Codex's file of settings, where hooks stand in it.

use serde_json::{Map, Value};
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table};

use super::entries::{Entry, is_ours};
use crate::hooks::Harness;

/// The text with these entries and none of ours besides; without entries, with none of ours.
pub fn edited(text: &str, harness: Harness, wanted: Option<&[Entry]>) -> Result<String, String> {
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| error.message().to_owned())?;
    let Some(hooks) = document.get_mut("hooks") else { return Ok(text.to_owned()) };
    let hooks = hooks.as_table_mut().ok_or("\"hooks\" is no table")?;
    let keeps = |event: &str, entry: &Value| {
        wanted.unwrap_or_default().iter().any(|(wanted, value)| *wanted == event && value == entry)
    };
    let mut kept = Vec::new();
    let events: Vec<String> =
        hooks.iter().filter(|(_, item)| item.is_array_of_tables()).map(|(name, _)| name.to_owned()).collect();
    for event in events {
        let Some(list) = hooks.get_mut(&event).and_then(Item::as_array_of_tables_mut) else { continue };
        for place in (0..list.len()).rev() {
            let Some(group) = list.get(place).map(value_of_table) else { continue };
            if keeps(&event, &group) && !kept.contains(&(event.clone(), group.clone())) {
                kept.push((event.clone(), group));
                continue;
            }
            let of_group = group.get("hooks").and_then(Value::as_array).cloned().unwrap_or_default();
            let ours = of_group.iter().filter(|hook| is_ours(hook, harness)).count();
            if ours > 0 && ours == of_group.len() {
                list.remove(place);
            } else if ours > 0
                && let Some(inner) = list.get_mut(place).and_then(|group| group.get_mut("hooks"))
                && let Some(inner) = inner.as_array_of_tables_mut()
            {
                inner.retain(|hook| !is_ours(&value_of_table(hook), harness));
            }
        }
        if list.is_empty() {
            hooks.remove(&event);
        }
    }
    for (event, entry) in wanted.unwrap_or_default() {
        if kept.iter().any(|(at, value)| at == event && value == entry) {
            continue;
        }
        let list = hooks.entry(event).or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
        let list = list.as_array_of_tables_mut().ok_or_else(|| format!("\"hooks\".{event:?} is no list of tables"))?;
        list.push(table_of(entry));
    }
    Ok(document.to_string())
}

/// Whether an event has this entry.
pub fn has(text: &str, event: &str, entry: &Value) -> Result<bool, String> {
    let document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| error.message().to_owned())?;
    let list = document.get("hooks").and_then(|hooks| hooks.get(event)).and_then(Item::as_array_of_tables);
    Ok(list.is_some_and(|list| list.iter().any(|group| value_of_table(group) == *entry)))
}

/// The entries of an event; `None` where the file cannot be read or has none.
pub fn entries(text: &str, event: &str) -> Option<Vec<Value>> {
    let document: DocumentMut = text.parse().ok()?;
    let list = document.get("hooks")?.get(event)?.as_array_of_tables()?;
    Some(list.iter().map(value_of_table).collect())
}

fn table_of(value: &Value) -> Table {
    let mut table = Table::new();
    for (name, value) in value.as_object().into_iter().flatten() {
        let item = match value {
            Value::Array(list) => {
                let mut tables = ArrayOfTables::new();
                list.iter().for_each(|value| tables.push(table_of(value)));
                Item::ArrayOfTables(tables)
            }
            Value::Number(number) => toml_edit::value(number.as_i64().unwrap_or_default()),
            Value::Bool(flag) => toml_edit::value(*flag),
            other => toml_edit::value(other.as_str().unwrap_or_default()),
        };
        table.insert(name, item);
    }
    table
}

fn value_of_table(table: &Table) -> Value {
    let fields = table.iter().map(|(name, item)| (name.to_owned(), value_of(item)));
    Value::Object(fields.collect::<Map<_, _>>())
}

fn value_of(item: &Item) -> Value {
    match item {
        Item::ArrayOfTables(tables) => tables.iter().map(value_of_table).collect(),
        Item::Table(table) => value_of_table(table),
        Item::Value(toml_edit::Value::Integer(number)) => (*number.value()).into(),
        Item::Value(toml_edit::Value::Boolean(flag)) => (*flag.value()).into(),
        Item::Value(toml_edit::Value::String(text)) => text.value().as_str().into(),
        Item::Value(other) => other.to_string().into(),
        Item::None => Value::Null,
    }
}
