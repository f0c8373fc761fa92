//! Rules for reading files of a workspace.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Rules for reading files of a workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WorkspacePolicy {
    /// Whether files with several hard links, possibly from outside of the workspace, are read.
    pub hard_links: HardLinks,
}

/// Whether files with several hard links are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HardLinks {
    /// Such files are refused.
    #[default]
    Deny,
    /// Such files are read like all others.
    Allow,
}
