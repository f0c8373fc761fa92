//! Descriptions of plugins: the published schema of `describe()`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, json};

/// Largest description, in bytes.
pub const MAX_BYTES: usize = 256 * 1024;

/// The kinds of plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Judges.
    Guard,
    /// Estimates acting against refraining.
    Impact,
    /// Previews and carries out step types.
    Executor,
}

impl Kind {
    /// The kind's name, which is also the name of the interface that it exports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Guard => "guard",
            Self::Impact => "impact",
            Self::Executor => "executor",
        }
    }
}

/// The answer of `describe()`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Description {
    /// What policy files call the plugin.
    pub name: String,
    /// Semantic version of the plugin.
    pub version: String,
    /// One sentence for people.
    pub summary: String,
    /// Must be the kind of the component.
    pub kind: Kind,
    /// JSON Schema of the settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings_schema: Option<Value>,
    /// Of an executor: the step types that it serves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub step_types: Vec<StepType>,
    /// Of a guard: that it may rewrite an action's input.
    #[serde(default)]
    pub rewrites: bool,
}

/// A step type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepType {
    /// What plans call it.
    pub name: String,
    /// One sentence for people.
    pub summary: String,
    /// JSON Schema of a step's input.
    pub input_schema: Value,
    /// JSON Schema of a step's output.
    pub output_schema: Value,
    /// What can be said of all its steps.
    #[serde(default)]
    pub annotations: Annotations,
    /// Whether each step needs an approval. Only policy can lift it.
    #[serde(default = "yes")]
    pub needs_approval: bool,
    /// Whether a step can be taken back.
    #[serde(default)]
    pub reversible: bool,
}

fn yes() -> bool {
    true
}

/// What an executor says of a step type; pessimistic where it says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Annotations {
    /// Changes nothing.
    pub read_only: bool,
    /// Can lose what cannot be had again.
    pub destructive: bool,
    /// Doing it twice is as doing it once.
    pub idempotent: bool,
    /// Reaches beyond the workspace.
    pub open_world: bool,
}

impl Default for Annotations {
    fn default() -> Self {
        Self { read_only: false, destructive: true, idempotent: false, open_world: true }
    }
}

impl Description {
    /// Parses the answer of `describe()`; the second part are warnings about fields that this host does not know.
    ///
    /// # Errors
    /// When it is not strict JSON, too large, or not of the published shape.
    pub fn parse(text: &str) -> Result<(Self, Vec<String>), Error> {
        let value = json::parse_value("the description", text.as_bytes(), MAX_BYTES)?;
        let warnings = unknown_fields(&value);
        Ok((json::shape("the description", value)?, warnings))
    }
}

const FIELDS: [&str; 7] = ["name", "version", "summary", "kind", "settings_schema", "step_types", "rewrites"];
const STEP_TYPE_FIELDS: [&str; 7] =
    ["name", "summary", "input_schema", "output_schema", "annotations", "needs_approval", "reversible"];
const ANNOTATION_FIELDS: [&str; 4] = ["read_only", "destructive", "idempotent", "open_world"];

/// A warning for each field that this host does not know.
fn unknown_fields(description: &Value) -> Vec<String> {
    let mut unknown = unknown_keys("the description", description, &FIELDS);
    for step_type in description.get("step_types").and_then(Value::as_array).into_iter().flatten() {
        unknown.extend(unknown_keys("a step type", step_type, &STEP_TYPE_FIELDS));
        if let Some(annotations) = step_type.get("annotations") {
            unknown.extend(unknown_keys("an annotation", annotations, &ANNOTATION_FIELDS));
        }
    }
    unknown
}

fn unknown_keys(what: &str, value: &Value, known: &[&str]) -> Vec<String> {
    let keys = value.as_object().into_iter().flat_map(|map| map.keys());
    keys.filter(|key| !known.contains(&key.as_str()))
        .map(|key| format!("{what} has a field {key:?} that this host does not know"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_taken_pessimistically() {
        let text = r#"{"name":"x","version":"1.0.0","summary":"s","kind":"executor","colour":1,
            "step_types":[{"name":"x","summary":"s","input_schema":{},"output_schema":{},"needs_aproval":false}]}"#;
        let (description, warnings) = Description::parse(text).unwrap();
        let step_type = &description.step_types[0];
        assert!(step_type.needs_approval && step_type.annotations.destructive && !step_type.reversible);
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[1].contains("needs_aproval"));
    }

    /// `UPDATE_SCHEMAS=1 cargo test -p fusebox-core` writes it anew.
    #[test]
    fn the_published_schema_is_that_of_this_type() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit/describe.schema.json");
        let schema = serde_json::to_string_pretty(&schemars::schema_for!(Description)).unwrap() + "\n";
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            std::fs::write(path, &schema).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), schema);
    }
}
