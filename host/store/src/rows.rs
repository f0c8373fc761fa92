//! Rows of the read models.

use fusebox_core::event::RunEnd;
use fusebox_core::{ApprovalId, KillTarget, RunId};

/// A run as the list of runs shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// The run.
    pub run: RunId,
    /// What it is for.
    pub goal: String,
    /// Who acts.
    pub agent: String,
    /// On whose account.
    pub tenant: String,
    /// Where it stands.
    pub state: ListedState,
    /// Steps of its plan.
    pub steps: u32,
    /// Steps that completed.
    pub completed: u32,
    /// Kind of its last event.
    pub last_event: String,
    /// Time of its first event, in microseconds since 1970.
    pub created_us: u64,
    /// Time of its last event.
    pub updated_us: u64,
    /// Number of its events.
    pub events: u64,
}

/// Where a listed run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListedState {
    /// Nothing has happened.
    Created,
    /// Steps are judged and carried out, or would be if a process carried it on.
    Running,
    /// A person paused it, whatever else it may wait for.
    Paused,
    /// It waits for an approval.
    AwaitingApproval,
    /// It waits for a person's word on a step in doubt.
    InDoubt,
    /// It ended.
    Ended(RunEnd),
}

impl ListedState {
    /// The state of a run that this is.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::Running => "RUNNING",
            Self::Paused | Self::AwaitingApproval | Self::InDoubt => "PAUSED",
            Self::Ended(RunEnd::Completed) => "COMPLETED",
            Self::Ended(RunEnd::Killed) => "KILLED",
            Self::Ended(RunEnd::Denied | RunEnd::GuardFailed | RunEnd::StepFailed | RunEnd::Budget) => "FAILED",
        }
    }

    /// Why it stands there, in one word, where the state does not say it.
    #[must_use]
    pub fn why(self) -> Option<&'static str> {
        match self {
            Self::Paused => Some("operator"),
            Self::AwaitingApproval => Some("approval"),
            Self::InDoubt => Some("in-doubt"),
            Self::Ended(RunEnd::Denied) => Some("denied"),
            Self::Ended(RunEnd::GuardFailed) => Some("guard-failed"),
            Self::Ended(RunEnd::StepFailed) => Some("step-failed"),
            Self::Ended(RunEnd::Budget) => Some("budget"),
            Self::Created | Self::Running | Self::Ended(RunEnd::Completed | RunEnd::Killed) => None,
        }
    }
}

/// Which runs are listed: those that are all of this.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// In one of these states, by the names of [`ListedState::name`].
    pub states: Vec<String>,
    /// That have not ended.
    pub unfinished: bool,
    /// Of this agent.
    pub agent: Option<String>,
    /// Of this tenant.
    pub tenant: Option<String>,
    /// Created at this time or later, in microseconds since 1970.
    pub since_us: Option<u64>,
    /// Created before this time.
    pub until_us: Option<u64>,
}

/// What people are asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuestionKind {
    /// Whether a step may happen.
    Step,
    /// Whether a plan may begin.
    Plan,
    /// What to make of a step in doubt.
    Doubt,
}

/// A question to people, open or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuestionRow {
    /// Its id.
    pub id: ApprovalId,
    /// The run.
    pub run: RunId,
    /// Place of the event that asked.
    pub seq: u64,
    /// What it is about.
    pub kind: QuestionKind,
    /// The step, unless it is about the plan.
    pub step: Option<String>,
    /// When it was asked, in microseconds since 1970.
    pub asked_us: u64,
    /// From then on the answer is no.
    pub expires_us: Option<u64>,
    /// The answer, once there is one.
    pub decided: Option<Decided>,
}

/// How a question was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// What was answered, in one word.
    pub answer: String,
    /// By whom, if anybody did.
    pub by: Option<String>,
    /// When, in microseconds since 1970.
    pub at_us: u64,
}

/// A kill switch that is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switch {
    /// What it ends.
    pub target: KillTarget,
    /// Who set it.
    pub by: String,
    /// When, in microseconds since 1970.
    pub set_us: u64,
}
