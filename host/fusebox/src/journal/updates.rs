//! Updates of a run for its subscribers.

use fusebox_core::event::RunEvent;
use fusebox_core::explain::Explanation;
use fusebox_core::{PluginLog, RunId, SealedEvent, StepId};
use serde_json::Value;

use crate::ambient::rfc3339;

/// An event that is durable in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct EventUpdate {
    /// The event as it is stored.
    pub sealed: SealedEvent,
    /// Event with its payload.
    pub event: RunEvent,
}

impl EventUpdate {
    /// One JSON object: the event with its run, place, time and hash.
    #[must_use]
    pub fn to_json(&self) -> Value {
        self.sealed.to_json(&rfc3339(self.sealed.time_us))
    }
}

/// What a plugin logged in one invocation. Its word only; escape it where it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct RunLog {
    /// The run.
    pub run: RunId,
    /// Step that it was about; none for the plan.
    pub step: Option<StepId>,
    /// Name of the plugin in the policy; of an executor, its step type.
    pub plugin: String,
    /// The lines.
    pub log: PluginLog,
}

/// Stream of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputStream {
    /// Standard output of a process.
    Stdout,
    /// Standard error of a process.
    Stderr,
    /// The answer of a model.
    Model,
}

/// Something that happened in a run.
#[derive(Debug, Clone, PartialEq)]
pub enum RunUpdate {
    /// An event, durable by now.
    Event(Box<EventUpdate>),
    /// An explanation, where they were [asked for](crate::HostBuilder::explained). It follows from events that are durable by now.
    Explanation(Box<Explanation>),
    /// What a plugin logged, as it is kept.
    Log(Box<RunLog>),
    /// Output of a process or answer of a model, as it comes. Not recorded as such; escape it where it is shown.
    Output {
        /// Id of the step.
        step: StepId,
        /// Stream of the output.
        stream: OutputStream,
        /// Some bytes of it.
        bytes: Vec<u8>,
    },
    /// An executor's own report of its progress. Untrusted and not recorded; escape it for display.
    Progress {
        /// Id of the step.
        step: StepId,
        /// Message of the executor.
        message: String,
        /// Completed share, in [0, 1].
        fraction: Option<f64>,
    },
}
