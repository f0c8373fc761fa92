//! Lines of a recorded session.

use fusebox::core::{Json, json};
use serde::Deserialize;

/// Longest line, in bytes.
pub const MAX_LINE_BYTES: usize = 16 * 1024 * 1024;

/// A line of a recorded session.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Line {
    /// A session begins.
    Begin {
        /// Id of the session in the recording.
        id: String,
        /// What the person asked.
        #[serde(default)]
        user: String,
    },
    /// The person says something more.
    User(String),
    /// The agent wants a call.
    Call(RecordedCall),
    /// The person answered a question.
    Answered {
        /// Number of the call.
        n: u64,
        /// Whether the call may happen.
        approved: bool,
    },
    /// A call returned.
    Output {
        /// Number of the call.
        n: u64,
        /// What it returned.
        text: String,
    },
    /// The session is over.
    End {},
}

/// A call of a recorded session.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedCall {
    /// Number of the call in its session.
    pub n: u64,
    /// Tool server; `agent` for the tools of a coding agent.
    pub server: String,
    /// Name of the tool.
    pub tool: String,
    /// Input of the tool.
    #[serde(default = "nothing")]
    pub input: Json,
}

fn nothing() -> Json {
    Json::from_checked(serde_json::Value::Null)
}

impl Line {
    /// Reads a line.
    ///
    /// # Errors
    /// When it is not strict JSON, or none of the lines that a recorded session has.
    pub fn parse(bytes: &[u8]) -> Result<Self, fusebox::core::Error> {
        json::parse_as("the line", bytes, MAX_LINE_BYTES)
    }
}
