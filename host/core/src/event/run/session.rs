//! Events of a session: a run whose steps others carry out.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::StepJudged;
use crate::step_state::StepState;
use crate::{Agent, ApprovalId, Digest, LimitKind, LimitSource, RunId, RunLimits, StepId};

/// The session exists; nothing was proposed yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionOpened {
    /// Goal of the session, as far as it is known: what the list of runs shows.
    pub goal: String,
    /// Agent of the session.
    pub agent: Agent,
    /// Tenant of the session.
    pub tenant: String,
    /// Program that carries the steps out, such as the name of a harness.
    pub origin: String,
    /// Id of the session in that program.
    pub external_id: String,
    /// The session before this one with the same origin and external id, which had ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<RunId>,
    /// What it is judged by.
    #[serde(flatten)]
    pub rules: Box<SessionRules>,
    /// Source of each limit.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits_by: BTreeMap<LimitKind, LimitSource>,
}

/// From here on the session is judged under another policy, by other plugins, or in another workspace. Approvals under the
/// old ones do not count any more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionContinued {
    /// What it is judged by now. Limits of the policy only tighten those of the session.
    #[serde(flatten)]
    pub rules: SessionRules,
}

/// What a session is judged by, and where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionRules {
    /// Path of the workspace on the machine of the session.
    pub workspace: String,
    /// Identity of the workspace.
    pub place: Digest,
    /// The policy is kept as a blob.
    pub policy: Digest,
    /// Digests of all plugins, by name.
    pub plugins: BTreeMap<String, Digest>,
    /// Limits of the policy.
    pub limits: RunLimits,
    /// Time without an event after which the session ends, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_us: Option<u64>,
    /// Judges and rules of the gate; kept as a blob.
    pub setup: Digest,
    /// Version of the host.
    pub host: String,
    /// Version of its engine.
    pub engine: String,
}

/// Something happened in the session that is no action: a prompt, a notice, the end of a turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionNoted {
    /// Kind of the note, such as `prompt`.
    pub kind: String,
    /// Its data. Kept as a blob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Digest>,
}

/// An action was proposed and judged as a step is, and the session answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepProposed {
    /// Judgement of the action.
    #[serde(flatten)]
    pub judged: Box<StepJudged>,
    /// Name of the call in the program that carries it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// Salted digest of step type and input, by which a call is known that is proposed twice; none where the input holds a
    /// secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Digest>,
    /// The session's answer.
    #[serde(flatten)]
    pub answer: ProposalAnswer,
}

/// Answer of a session to a proposed action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum ProposalAnswer {
    /// It may happen.
    Allowed,
    /// It may happen once its user says so: the program that carries it out asks.
    Asked,
    /// It may happen, because a person approved exactly this action.
    Approved {
        /// Id of the approval. It is used up.
        id: ApprovalId,
    },
    /// It may happen, because a person approved everything of its kind.
    Granted {
        /// Id of the approval.
        id: ApprovalId,
    },
    /// It must not happen.
    Denied,
}

/// An action ended that others carried out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepObserved {
    /// Id of the step.
    pub step: StepId,
    /// Type of the step.
    pub step_type: String,
    /// How the action ended.
    pub outcome: ObservedOutcome,
    /// What happened, in one line.
    pub summary: String,
    /// What the world answered, as far as policy keeps it. Kept as a blob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Digest>,
    /// What the user answered whom the program asked, inferred from what happened; none where nobody was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inferred: Option<InferredAnswer>,
    /// Working time of the action in microseconds: as the program says it, else the time since its proposal.
    pub took_us: u64,
}

/// How an action ended that others carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ObservedOutcome {
    /// It was carried out.
    Completed,
    /// It was begun and failed.
    Failed,
    /// It did not happen.
    NotDone,
    /// No outcome was reported.
    Unknown,
}

impl ObservedOutcome {
    /// State of the step after it.
    #[must_use]
    pub fn state(self) -> StepState {
        match self {
            Self::Completed => StepState::Completed,
            Self::Failed => StepState::Failed,
            Self::NotDone => StepState::Skipped,
            Self::Unknown => StepState::InDoubt,
        }
    }
}

/// Answer of a user whom the program of the session asked. No one says it; it is inferred from what happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InferredAnswer {
    /// The action was carried out.
    Approved,
    /// The program says that it was refused.
    Rejected,
}
