//! States of a step.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// State of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// The step has not begun, or is before the gate.
    Pending,
    /// The step is being carried out.
    Running,
    /// The step waits for a person.
    AwaitingApproval,
    /// The step was not carried out.
    Skipped,
    /// The step was carried out.
    Completed,
    /// The step failed.
    Failed,
    /// The step may or may not have had an effect.
    InDoubt,
    /// The step was carried out and taken back.
    RolledBack,
}
