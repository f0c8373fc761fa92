//! Rules for signing the log and erasing from it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Rules for signing the log and erasing from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AuditPolicy {
    /// Number of new events of a tenant after which a checkpoint is signed.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub every_events: u64,
    /// Age of the last checkpoint after which a new one is signed if there are new events, in milliseconds.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub every_ms: u64,
    /// Time after the end of a run at which its blobs are erased, in seconds; never without it. Events stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub erase_after_s: Option<u64>,
    /// File to which each checkpoint is added as it is signed, absolute: best on another machine's disk, or one that only
    /// grows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub witness: Option<String>,
}

impl Default for AuditPolicy {
    fn default() -> Self {
        Self { every_events: 2000, every_ms: 1000, erase_after_s: None, witness: None }
    }
}

impl AuditPolicy {
    /// Whether all values are the defaults.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The first fault in the rules, if there is one.
    #[must_use]
    pub fn fault(&self) -> Option<&'static str> {
        if !(1..=1_000_000).contains(&self.every_events) {
            return Some("audit.every_events must be from 1 to 1000000");
        }
        if !(1..=86_400_000).contains(&self.every_ms) {
            return Some("audit.every_ms must be from 1 to 86400000, which is a day");
        }
        if self.witness.as_ref().is_some_and(|witness| !std::path::Path::new(witness).is_absolute()) {
            return Some("audit.witness must be an absolute path");
        }
        None
    }
}
