//! Parsing of JSON from the host.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::Finding;

/// The settings of a plugin that has none. Any key is an error.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

/// Parses JSON into a type; the error names the expected shape.
///
/// # Errors
/// The parser's message, which names the field or position.
pub fn parse_json<T: DeserializeOwned>(json: &str) -> Result<T, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}

/// Settings from JSON, or their default when the policy gives none.
///
/// # Errors
/// The parser's message, which names the field or position.
pub fn settings_or_default<T: DeserializeOwned + Default>(json: &str) -> Result<T, String> {
    if json == "{}" { Ok(T::default()) } else { parse_json(json) }
}

/// Answer of `check-settings`: the parser's error, or the findings of `check` on valid settings.
#[must_use]
pub fn check_settings_json<T: DeserializeOwned + Default>(
    json: &str,
    check: impl FnOnce(&T) -> Vec<Finding>,
) -> Vec<Finding> {
    match settings_or_default(json) {
        Ok(settings) => check(&settings),
        Err(message) => vec![Finding::error("settings-invalid", message)],
    }
}
