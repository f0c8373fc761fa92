//! Events of the host: they stand outside of runs.

#![expect(missing_docs, reason = "fields are named after the core types that they hold")]

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::breaker::BreakerState;
use crate::event::recorded::RecordedAction;
use crate::kill::KillTarget;
use crate::risk::RiskLevel;
use crate::{Agent, Decision, Digest, Effect, RunId};

/// One entry of the log outside of runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, strum::IntoStaticStr, strum::VariantNames)]
#[serde(tag = "event", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum HostEvent {
    /// One action was judged that another program carries out.
    ActionChecked(ActionChecked),
    /// The process that drives a run was asked to pause it.
    PauseAsked(PauseAsked),
    /// A kill switch was set.
    KillSet(KillSet),
    /// A kill switch was lifted. What it killed stays killed.
    KillLifted(KillLifted),
    /// A circuit breaker changed its state.
    BreakerChanged(BreakerChanged),
    /// Another program is about to act.
    ActionProposed(RecordedAction),
    /// Another program acted.
    ActionExecuted(RecordedAction),
    /// Another program blocked an action.
    ActionBlocked(RecordedAction),
    /// Another program saw a rule broken.
    PolicyViolation(RecordedAction),
    /// A person says how risky the plan of a run really was. Predictors learn from it.
    RiskOverruled(RiskOverruled),
    /// Checkpoints are signed by another key from now on.
    AuditKeyRotated(AuditKeyRotated),
    /// Blobs were erased: what events named by digest is gone, the events stay.
    BlobsErased(BlobsErased),
}

impl HostEvent {
    /// Name of the event, as in its `event` field.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.into()
    }
}

/// One action was judged that another program carries out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ActionChecked {
    pub agent: Agent,
    pub step_type: String,
    pub input: Digest,
    pub effects: Vec<Effect>,
    pub decision: Decision,
}

/// The process that drives a run was asked to pause it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PauseAsked {
    pub run: RunId,
    pub by: String,
    pub reason: String,
}

/// A kill switch was set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KillSet {
    pub target: KillTarget,
    pub by: String,
}

/// A kill switch was lifted. What it killed stays killed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KillLifted {
    pub target: KillTarget,
    pub by: String,
}

/// A circuit breaker changed its state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BreakerChanged {
    pub agent: String,
    pub step_type: String,
    pub from: BreakerState,
    pub to: BreakerState,
    pub reason: String,
}

/// A person says how risky the plan of a run really was. Predictors learn from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RiskOverruled {
    pub run: RunId,
    /// The level that counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<RiskLevel>,
    pub to: RiskLevel,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    pub by: String,
}

/// Checkpoints are signed by another key from now on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuditKeyRotated {
    /// The key so far, as `name+id+base64`.
    pub from: String,
    /// The key from now on.
    pub to: String,
    pub by: String,
}

/// Blobs were erased: what events named by digest is gone, the events stay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BlobsErased {
    /// The runs whose blobs they were; at most 1000 are named.
    pub runs: Vec<RunId>,
    pub blobs: u64,
    pub bytes: u64,
    pub reason: String,
    pub by: String,
}
