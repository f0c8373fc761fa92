//! Settings of plugins: checked by the plugin, explained by its schema.

use fusebox_core::verdict::Severity;
use fusebox_core::{Json, Kind, json};
use fusebox_effects::CheckedSchema;
use fusebox_sandbox::{Kill, Plugin};
use serde_json::Value;

use crate::error::Error;
use crate::plugins::loaded::Loaded;
use crate::policy::LoadedPolicy;

/// Largest settings, in bytes.
const MAX_SETTINGS_BYTES: usize = 1024 * 1024;
/// Most faults that one error names.
const MAX_FAULTS: usize = 5;

/// Table of the policy that holds settings of a plugin.
#[derive(Debug, Clone, Copy)]
pub enum Part {
    Settings,
    /// Settings over them, for redacting.
    Redaction,
}

/// A guard as it redacts: its settings, and over them those for redacting.
pub fn redacting_by(
    guard: &Loaded,
    policy: &LoadedPolicy,
    name: &str,
    redaction: &Value,
    kill: &Kill,
) -> Result<Loaded, Error> {
    let mut settings = guard.settings.value().clone();
    if let (Some(under), Some(over)) = (settings.as_object_mut(), redaction.as_object()) {
        under.extend(over.clone());
    }
    let settings = checked(&guard.plugin, policy, name, Part::Redaction, &settings, kill)?;
    Ok(Loaded { settings, ..guard.clone() })
}

/// Settings that a plugin finds nothing wrong with.
pub fn checked(
    plugin: &Plugin,
    policy: &LoadedPolicy,
    name: &str,
    part: Part,
    settings: &Value,
    kill: &Kill,
) -> Result<Json, Error> {
    // TOML has numbers that JSON lacks; guests only get strictly parsed values.
    let text = json::canonical(settings);
    let table = match plugin.kind() {
        Kind::Guard => format!("guards.{name}"),
        Kind::Executor => format!("executors.{name}"),
        Kind::Impact => "impact".to_owned(),
    };
    let part = match part {
        Part::Settings => "settings",
        Part::Redaction => "redaction",
    };
    let refused = |message: String| Error::SettingsRefused {
        name: name.to_owned(),
        table: format!("{table}.{part}"),
        file: policy.source.clone(),
        message,
    };
    let parsed = Json::parse("the settings", text.as_bytes(), MAX_SETTINGS_BYTES)
        .map_err(|error| refused(without_place(&error.to_string()).to_owned()))?;
    let findings = plugin.check_settings(&parsed, kill).result.map_err(|end| refused(end.to_string()))?;
    let wrong: Vec<String> = findings
        .into_iter()
        .filter(|finding| finding.severity == Severity::Error)
        .map(|finding| without_place(&finding.message).to_owned())
        .collect();
    if wrong.is_empty() {
        return Ok(parsed);
    }
    // The schema names the key, where it sees the fault as well.
    let faults = faults(plugin, parsed.value());
    Err(refused(if faults.is_empty() { wrong.join("; ") } else { faults.join("; ") }))
}

/// Faults that the plugin's own schema sees in its settings, each with its key.
fn faults(plugin: &Plugin, settings: &Value) -> Vec<String> {
    let Some(schema) = &plugin.description().settings_schema else { return Vec::new() };
    let Ok(schema) = CheckedSchema::new(schema) else { return Vec::new() };
    let faults = schema.faults(settings).unwrap_or_default();
    let worded = faults.iter().take(MAX_FAULTS).map(|fault| {
        let at = key(&fault.instance_path().to_string());
        if at.is_empty() { fault.to_string() } else { format!("{at}: {fault}") }
    });
    worded.collect()
}

/// A JSON pointer as a key of the policy: `/allow/1` is `allow[1]`.
fn key(pointer: &str) -> String {
    pointer.split('/').skip(1).fold(String::new(), |key, part| match part.parse::<usize>() {
        Ok(place) => format!("{key}[{place}]"),
        Err(_) if key.is_empty() => part.to_owned(),
        Err(_) => format!("{key}.{part}"),
    })
}

/// A parser's complaint without its line and column: they are of the JSON that the host makes of the policy's TOML.
fn without_place(message: &str) -> &str {
    let is_place = |end: &str| end.chars().all(|c| c.is_ascii_digit() || c == ' ' || "column".contains(c));
    match message.rsplit_once(" at line ") {
        Some((complaint, place)) if is_place(place) => complaint,
        _ => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_keys_of_the_policy() {
        assert_eq!(key("/allow/1"), "allow[1]");
        assert_eq!(key("/limits/of/0/name"), "limits.of[0].name");
        assert_eq!(key(""), "");
    }
}
