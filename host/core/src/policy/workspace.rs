//! What files of a workspace may be read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What files of a workspace may be read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WorkspacePolicy {
    /// Whether files with further names, which may be files from elsewhere, are read.
    pub hard_links: HardLinks,
}

/// Whether files with further names are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HardLinks {
    /// They are refused.
    #[default]
    Deny,
    /// They are read like all others.
    Allow,
}
