//! Where a step stands.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Not begun, or before the gate.
    Pending,
    /// Being carried out.
    Running,
    /// Waiting for a person.
    AwaitingApproval,
    /// Not carried out.
    Skipped,
    /// Carried out.
    Completed,
    /// Did not work.
    Failed,
    /// May or may not have had an effect.
    InDoubt,
    /// Carried out and taken back.
    RolledBack,
}
