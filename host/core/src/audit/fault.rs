//! Faults of a log or an export, and their messages.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

/// Kind of fault in an event or in its proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The event's content differs from the recorded one.
    Changed,
    /// The event is missing, or not at its place.
    Missing,
    /// The event occurs twice, or at a place where none belongs.
    Inserted,
    /// The event and all later ones are missing.
    Truncated,
    /// The tree does not belong to the signed checkpoint.
    Unproven,
    /// The checkpoint is not signed by a key that counts, or not of this log.
    Unsigned,
    /// A blob does not match its digest.
    Blob,
    /// A line is not a line of an export.
    Malformed,
}

/// The first fault that a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Fault {
    /// Kind of the fault.
    pub kind: FaultKind,
    /// Leaf of the faulty event in the tree, counted from 0; none when no event is at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leaf: Option<u64>,
    /// Run of the faulty event, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// Place of the faulty event in its run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Description of the fault.
    pub message: String,
}

impl Fault {
    /// A fault that concerns no single event.
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self { kind, leaf: None, run_id: None, seq: None, message: message.into() }
    }

    /// Sets the leaf that the fault is about.
    #[must_use]
    pub fn at_leaf(mut self, leaf: u64) -> Self {
        self.leaf = Some(leaf);
        self
    }

    /// Sets the event that the fault is about.
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
