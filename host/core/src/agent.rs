//! Who acts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An agent, as its plan or caller says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// Its name.
    pub id: String,
    /// What it is, such as `coding`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// How far it is trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
}
