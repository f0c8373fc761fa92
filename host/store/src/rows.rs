//! Rows of the read models.

use fusebox_core::event::RunEnd;
use fusebox_core::{ApprovalId, KillTarget, RunId};

/// A run as the list of runs shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// Id of the run.
    pub run: RunId,
    /// Goal of the run's plan.
    pub goal: String,
    /// Name of the agent.
    pub agent: String,
    /// Tenant that owns the run.
    pub tenant: String,
    /// State of the run.
    pub state: ListedState,
    /// Whether the host carries it out, or others do.
    pub kind: RunKind,
    /// Steps of its plan; of a session, actions that were proposed.
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

/// Kind of a listed run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunKind {
    /// The host carries out its steps.
    Run,
    /// A session: others carry out its steps.
    Session,
}

/// State of a listed run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListedState {
    /// Nothing has happened.
    Created,
    /// Steps are judged and carried out, or would be if a process carried it on.
    Running,
    /// A person paused the run, even when it waits for something else too.
    Paused,
    /// It waits for an approval.
    AwaitingApproval,
    /// It waits for a person's word on a step in doubt.
    InDoubt,
    /// The run has ended.
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

    /// Reason of the state in one word, where the state does not show it.
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

/// Filter for runs, which meet all conditions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// In one of these states, by the names of [`ListedState::name`].
    pub states: Vec<String>,
    /// That have not ended.
    pub unfinished: bool,
    /// Agent of the run.
    pub agent: Option<String>,
    /// Tenant that owns the run.
    pub tenant: Option<String>,
    /// Created at this time or later, in microseconds since 1970.
    pub since_us: Option<u64>,
    /// Created before this time.
    pub until_us: Option<u64>,
}

/// Subject of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuestionKind {
    /// Whether a step may happen.
    Step,
    /// Whether a plan may begin.
    Plan,
    /// A step in doubt.
    Doubt,
}

/// A question to people, open or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuestionRow {
    /// Id of the question.
    pub id: ApprovalId,
    /// Id of the run.
    pub run: RunId,
    /// Place of the event that asked.
    pub seq: u64,
    /// Subject of the question.
    pub kind: QuestionKind,
    /// The step, unless it is about the plan.
    pub step: Option<String>,
    /// Time of the question, in microseconds since 1970.
    pub asked_us: u64,
    /// From then on the answer is no.
    pub expires_us: Option<u64>,
    /// The answer, once there is one.
    pub decided: Option<Decided>,
}

/// Answer to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// The answer in one word.
    pub answer: String,
    /// Name of the person who answered, if one did.
    pub by: Option<String>,
    /// Time of the answer, in microseconds since 1970.
    pub at_us: u64,
}

/// A kill switch that is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switch {
    /// Runs that the switch ends.
    pub target: KillTarget,
    /// Name of the person who set it.
    pub by: String,
    /// Time at which it was set, in microseconds since 1970.
    pub set_us: u64,
}
