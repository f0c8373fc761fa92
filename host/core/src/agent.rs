//! Agents, on whose behalf steps run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An agent, as described by its plan or caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// Name of the agent.
    pub id: String,
    /// Kind of agent, such as `coding`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Trust tier, a name that policies use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
}
