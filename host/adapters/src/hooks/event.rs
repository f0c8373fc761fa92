//! The one event inside: what all harnesses say, in one form.

use std::path::PathBuf;

use fusebox::core::Json;
use fusebox::core::event::ObservedOutcome;
use fusebox::core::session::ReviewBy;

use super::harness::Harness;

/// An event of a harness.
#[derive(Debug, Clone, PartialEq)]
pub struct HookEvent {
    /// The harness.
    pub harness: Harness,
    /// The harness's name of the event.
    pub name: String,
    /// Id of the session in the harness.
    pub session: String,
    /// Folder that the harness works in now.
    pub cwd: PathBuf,
    /// Folder of the project, where the event says it.
    pub project: Option<PathBuf>,
    /// Whether the harness can ask its user.
    pub review: ReviewBy,
    /// What happens.
    pub kind: EventKind,
}

/// What happens.
#[derive(Debug, Clone, PartialEq)]
pub enum EventKind {
    /// A tool is about to be called.
    Gate(ToolCall),
    /// The same, by an event that comes before one that can ask about the same call.
    EarlyGate(ToolCall),
    /// The harness is about to ask its user about a call.
    Permission(ToolCall),
    /// A call ended.
    Outcome(ToolCall, ToolOutcome),
    /// The session begins.
    Start,
    /// The session is over.
    End {
        /// Why, in the harness's words.
        reason: String,
    },
    /// Anything else, by a word for it.
    Note {
        /// The word.
        kind: &'static str,
        /// Data of the event.
        data: Json,
    },
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    /// Name of the tool.
    pub tool: String,
    /// Input of the tool.
    pub input: Json,
    /// Name of the tool server, where the event says it apart from the tool's name.
    pub server: Option<String>,
    /// Id of the call.
    pub id: Option<String>,
}

/// Outcome of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolOutcome {
    /// How it ended.
    pub outcome: ObservedOutcome,
    /// What happened, in one line.
    pub summary: String,
    /// What the tool answered.
    pub output: Option<Json>,
    /// Working time in microseconds, where the event says it.
    pub took_us: Option<u64>,
}

impl HookEvent {
    /// Whether a denial holds something back.
    #[must_use]
    pub fn is_gate(&self) -> bool {
        matches!(self.kind, EventKind::Gate(_) | EventKind::EarlyGate(_) | EventKind::Permission(_))
    }
}
