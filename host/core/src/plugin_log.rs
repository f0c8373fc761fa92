//! Lines that plugins log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Severity of a line of a plugin's log.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum LogLevel {
    /// Every detail.
    Trace,
    /// For the plugin's author.
    Debug,
    /// For information only.
    Info,
    /// Worth a look.
    Warn,
    /// A failure of the plugin.
    Error,
}

/// One line that a plugin logged. Its word only; escape it where it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogLine {
    /// Severity of the line.
    pub level: LogLevel,
    /// Text of the line.
    pub message: String,
}

/// What one invocation of a plugin logged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PluginLog {
    /// Lines, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<LogLine>,
    /// Lines that were dropped, because there was too much.
    #[serde(default, skip_serializing_if = "is_none")]
    pub dropped: u64,
}

impl PluginLog {
    /// Whether the plugin logged nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.dropped == 0
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_none(count: &u64) -> bool {
    *count == 0
}
