//! What can be wrong with an event, and how it is said.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

/// What is wrong with an event, or with what should prove it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Its content is not what was recorded.
    Changed,
    /// It is not there, or not where it belongs.
    Missing,
    /// It stands a second time, or where none belongs.
    Inserted,
    /// It and all that came behind it are not there.
    Truncated,
    /// The tree does not belong to the signed checkpoint.
    Unproven,
    /// The checkpoint is not signed by a key that counts, or not of this log.
    Unsigned,
    /// A blob is not what its digest says.
    Blob,
    /// A line is none of an export.
    Malformed,
}

/// The first thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Fault {
    /// What is wrong.
    pub kind: FaultKind,
    /// The event's leaf in the tree, counted from 0, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leaf: Option<u64>,
    /// The event's run, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// The event's place in its run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// What is wrong, in words.
    pub message: String,
}

impl Fault {
    /// Something that is wrong with no single event.
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self { kind, leaf: None, run_id: None, seq: None, message: message.into() }
    }

    /// Says which leaf it is about.
    #[must_use]
    pub fn at_leaf(mut self, leaf: u64) -> Self {
        self.leaf = Some(leaf);
        self
    }

    /// Says which event it is about.
    #[must_use]
    pub fn at(mut self, run: &str, seq: u64) -> Self {
        self.run_id = Some(run.chars().take(80).collect());
        self.seq = Some(seq);
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.run_id, self.seq, self.leaf) {
            (Some(run), Some(seq), _) => write!(f, "event {seq} of {run}: {}", self.message),
            (_, _, Some(leaf)) => write!(f, "the event at leaf {leaf}: {}", self.message),
            _ => f.write_str(&self.message),
        }
    }
}
