//! Events: what the log holds, in the order in which it was decided.

mod cause;
mod host;
mod parts;
mod recorded;
mod run;
mod sealed;

use schemars::JsonSchema;
use serde::Serialize;

pub use host::*;
pub use parts::{AllowedBy, Judgement, KillTimes, ModelUse, RunEnd, Signed, SkipReason, StepEnd, StoppedBy, Usage};
pub use recorded::{EventRef, RecordedAction};
pub use run::*;
pub use sealed::{Chain, SealedEvent, event_hash, tenant_of_first};

use crate::{Error, json};

/// Version of the event format, in every event.
pub const SCHEMA_VERSION: u32 = 1;
/// Largest event that is read back, in bytes.
const MAX_EVENT_BYTES: usize = 64 * 1024 * 1024;

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Event {
    /// In the chain of a run.
    Run(RunEvent),
    /// In a chain of the host.
    Host(HostEvent),
}

impl<E: Into<RunEvent>> From<E> for Event {
    fn from(event: E) -> Self {
        Self::Run(event.into())
    }
}

impl From<HostEvent> for Event {
    fn from(event: HostEvent) -> Self {
        Self::Host(event)
    }
}

impl Event {
    /// Reads an event of a kind from its JSON.
    ///
    /// # Errors
    /// When the payload is not an event of that kind that this version knows.
    pub fn read(kind: &str, payload: &str) -> Result<Self, Error> {
        let (what, payload) = ("the event", payload.as_bytes());
        Ok(match kind.parse::<HostEventKind>().is_ok() {
            true => Self::Host(json::parse_as(what, payload, MAX_EVENT_BYTES)?),
            false => Self::Run(json::parse_as(what, payload, MAX_EVENT_BYTES)?),
        })
    }

    /// Name of the event, as in its `event` field.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Run(event) => event.kind(),
            Self::Host(event) => event.kind(),
        }
    }
}
