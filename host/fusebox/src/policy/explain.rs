//! Sources of the settings of a policy.

use fusebox_core::Policy;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use toml::Table;

/// One setting in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Setting {
    /// Its key, such as `limits.steps`.
    pub key: String,
    /// Its value, as JSON.
    pub value: String,
    /// The file that says it, `built-in`, or `default`.
    pub source: String,
}

/// All settings of a policy. The source of a key is the last file that sets it.
pub fn settings(
    policy: &Policy,
    builtin: &Table,
    file: Option<(&Table, &String)>,
    projects: &[(String, Table)],
) -> Vec<Setting> {
    let mut layers: Vec<(&str, Vec<String>)> = vec![("built-in", keys(builtin))];
    layers.extend(file.map(|(table, name)| (name.as_str(), keys(table))));
    layers.extend(projects.iter().enumerate().map(|(index, (name, table))| {
        let own = keys(table);
        let renamed = own.iter().filter_map(|key| {
            let (guard, rest) =
                key.strip_prefix("guards.")?.split_once('.').unwrap_or((key.strip_prefix("guards.")?, ""));
            Some(
                format!("guards.{}.{rest}", super::project::guard_name(guard, index + 1))
                    .trim_end_matches('.')
                    .to_owned(),
            )
        });
        let renamed: Vec<String> = renamed.collect();
        (name.as_str(), own.into_iter().chain(renamed).collect())
    }));
    let mut leaves = Vec::new();
    flatten("", &serde_json::to_value(policy).unwrap_or(Value::Null), &mut leaves);
    leaves
        .into_iter()
        .map(|(key, value)| {
            let says = |keys: &[String]| keys.iter().any(|said| covers(said, &key));
            let source = layers.iter().rev().find(|(_, keys)| says(keys)).map_or("default", |(name, _)| name);
            Setting { key, value, source: source.to_owned() }
        })
        .collect()
}

/// Whether a file that sets one key also sets the other, which may lie below it.
fn covers(said: &str, key: &str) -> bool {
    key.strip_prefix(said).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The keys of all values of a file.
fn keys(table: &Table) -> Vec<String> {
    let mut leaves = Vec::new();
    flatten("", &serde_json::to_value(table).unwrap_or(Value::Null), &mut leaves);
    leaves.into_iter().map(|(key, _)| key).collect()
}

fn flatten(path: &str, value: &Value, leaves: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) if !map.is_empty() || path.is_empty() => {
            for (key, value) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flatten(&path, value, leaves);
            }
        }
        Value::Null => {}
        other => leaves.push((path.to_owned(), other.to_string())),
    }
}
