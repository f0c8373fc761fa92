//! Events of the host: they stand outside of runs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::breaker::BreakerState;
use crate::event::recorded::RecordedAction;
use crate::kill::KillTarget;
use crate::risk::RiskLevel;
use crate::{Agent, Decision, Digest, Effect, RunId};

/// One entry of the log outside of runs.
#[derive(
    Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, strum::IntoStaticStr, strum::EnumDiscriminants,
)]
#[serde(tag = "event", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[strum_discriminants(
    name(HostEventKind),
    derive(strum::EnumString, strum::IntoStaticStr),
    strum(serialize_all = "snake_case"),
    doc = "Kind of an event of the host, as in its `event` field."
)]
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
    /// A person took the log as it was found: a part of what was signed is not in it any more.
    LogRestored(LogRestored),
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
    /// Agent that proposes the action.
    pub agent: Agent,
    /// Type of the action.
    pub step_type: String,
    /// Digest of the input. Kept as a blob.
    pub input: Digest,
    /// The effects, as the host derived them.
    pub effects: Vec<Effect>,
    /// Decision of the gate, with its reasons.
    pub decision: Decision,
}

/// The process that drives a run was asked to pause it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PauseAsked {
    /// The run that it is about.
    pub run: RunId,
    /// Name of the person, or of the program, that did so.
    pub by: String,
    /// Why, in words.
    pub reason: String,
}

/// A kill switch was set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KillSet {
    /// What the switch ends: all runs, those of a tenant, or one.
    pub target: KillTarget,
    /// Name of the person, or of the program, that did so.
    pub by: String,
}

/// A kill switch was lifted. What it killed stays killed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KillLifted {
    /// What the switch ends: all runs, those of a tenant, or one.
    pub target: KillTarget,
    /// Name of the person, or of the program, that did so.
    pub by: String,
}

/// A circuit breaker changed its state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BreakerChanged {
    /// Id of the agent that the breaker watches.
    pub agent: String,
    /// Step type that the breaker watches.
    pub step_type: String,
    /// State before.
    pub from: BreakerState,
    /// State now.
    pub to: BreakerState,
    /// Why, in words.
    pub reason: String,
}

/// A person says how risky the plan of a run really was. Predictors learn from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RiskOverruled {
    /// The run that it is about.
    pub run: RunId,
    /// The level that counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<RiskLevel>,
    /// The level that the plan really had.
    pub to: RiskLevel,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Name of the person, or of the program, that did so.
    pub by: String,
}

/// Checkpoints are signed by another key from now on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuditKeyRotated {
    /// The key so far, as `name+id+base64`.
    pub from: String,
    /// The key from now on.
    pub to: String,
    /// Name of the person, or of the program, that did so.
    pub by: String,
}

/// A person took the log as it was found: a part of what was signed is not in it any more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LogRestored {
    /// Events of the tenant when its log was last signed.
    pub signed: u64,
    /// Events of the tenant that are there.
    pub found: u64,
    /// Why, in words.
    pub reason: String,
    /// Name of the person, or of the program, that did so.
    pub by: String,
}

/// Blobs were erased: what events named by digest is gone, the events stay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BlobsErased {
    /// The runs whose blobs they were; at most 1000 are named.
    pub runs: Vec<RunId>,
    /// Number of blobs.
    pub blobs: u64,
    /// Bytes of the blobs.
    pub bytes: u64,
    /// Why, in words.
    pub reason: String,
    /// Name of the person, or of the program, that did so.
    pub by: String,
}
