//! Asking a person.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use fusebox_core::{Action, ApprovalId, Binding, Contents, Decision, Effect, Json, Plan, RunId, Step};

/// What a person is asked to approve. Show it truly: escape everything that plan or plugin wrote
/// ([`fusebox_core::show`]), effects first, the agent's words marked as such.
#[derive(Debug, Clone)]
pub struct ApprovalRequest {
    /// The run.
    pub run: RunId,
    /// Id of the question, by which anybody may answer it.
    pub id: Option<ApprovalId>,
    /// From then on the answer is no, in microseconds since 1970.
    pub expires_us: Option<u64>,
    /// What they are asked about.
    pub subject: Subject,
    /// What will happen, as the host derived it; nothing yet for a whole plan.
    pub effects: Vec<Effect>,
    /// Bytes before and after, by digest.
    pub contents: Contents,
    /// Why a person is asked.
    pub decision: Decision,
    /// What the answer is for.
    pub binding: Binding,
    /// How processes of it are confined, in one line; empty when it starts none.
    pub confinement: String,
    /// Why their last answer could not be taken, if it could not.
    pub problem: Option<String>,
}

/// What a person is asked about.
#[derive(Debug, Clone)]
pub enum Subject {
    /// The whole plan, before its first step.
    Plan(Arc<Plan>),
    /// One step.
    Step {
        /// Its place, counted from 0.
        index: usize,
        /// Steps of the plan.
        total: usize,
        /// The step, as the plan has it.
        step: Box<Step>,
        /// The action, as it is now: its input may have been rewritten or edited.
        action: Box<Action>,
        /// Which try it is, counted from 1.
        attempt: u32,
    },
    /// A step of which nobody knows whether it happened: to approve means to carry it out again.
    Doubt {
        /// The step, as the plan has it.
        step: Box<Step>,
        /// What is known.
        message: String,
    },
}

/// How far an approval goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ApprovalScope {
    /// This one action.
    #[default]
    Once,
    /// All further actions of the same exact kind in this run, as well.
    SameKind,
    /// The same until this time, in microseconds since 1970.
    SameKindUntil(u64),
}

/// A person's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// May happen, exactly so.
    Approve {
        /// Who approves.
        by: String,
        /// How, such as `terminal`.
        channel: String,
        /// What they have to say to it; may be empty.
        note: String,
        /// How far it goes.
        extent: ApprovalScope,
    },
    /// Another input must take the place of this one; it is then judged as a new action.
    Edit {
        /// Who edits.
        by: String,
        /// How.
        channel: String,
        /// What they have to say to it; may be empty.
        note: String,
        /// The new input.
        input: Json,
    },
    /// The step in doubt did happen, and counts as carried out.
    Happened {
        /// Who says so.
        by: String,
        /// How.
        channel: String,
        /// What they have to say to it; may be empty.
        note: String,
    },
    /// Must not happen.
    Reject {
        /// Who rejects.
        by: String,
        /// How.
        channel: String,
        /// Why; may be empty.
        reason: String,
    },
    /// The whole run must stop.
    Quit {
        /// Who quits.
        by: String,
    },
    /// Nobody can be asked; counts as rejected.
    Nobody {
        /// Why not.
        reason: String,
    },
    /// Nobody answers now. The run is left as it is; it takes no memory, thread or lease until somebody answers and carries
    /// it on.
    Later,
}

/// The answer of an [`Approver`], when it comes.
pub type AnswerFuture<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

/// Somebody who can be asked.
pub trait Approver: Send + Sync {
    /// Asks. The future is dropped when the run is killed meanwhile.
    fn ask(&self, request: ApprovalRequest) -> AnswerFuture<'_>;
}

/// Approves everything that guards leave to a person: the operator has decided beforehand.
#[derive(Debug, Clone)]
pub struct ApproveAll {
    /// Who decided so.
    pub by: String,
}

impl Approver for ApproveAll {
    fn ask(&self, request: ApprovalRequest) -> AnswerFuture<'_> {
        let (by, channel, note) = (self.by.clone(), "all".to_owned(), String::new());
        let answer = match request.subject {
            // Whether something happened is nothing that could be decided beforehand.
            Subject::Doubt { .. } => Answer::Later,
            Subject::Plan(_) | Subject::Step { .. } => {
                Answer::Approve { by, channel, note, extent: ApprovalScope::Once }
            }
        };
        Box::pin(std::future::ready(answer))
    }
}

/// Approves nothing.
#[derive(Debug, Clone)]
pub struct ApproveNothing {
    /// Why nobody can be asked.
    pub reason: String,
}

impl Approver for ApproveNothing {
    fn ask(&self, request: ApprovalRequest) -> AnswerFuture<'_> {
        let answer = match request.subject {
            Subject::Doubt { .. } => Answer::Later,
            Subject::Plan(_) | Subject::Step { .. } => Answer::Nobody { reason: self.reason.clone() },
        };
        Box::pin(std::future::ready(answer))
    }
}

/// Leaves every question to somebody who answers later, by its id.
#[derive(Debug, Clone, Copy, Default)]
pub struct ApproveLater;

impl Approver for ApproveLater {
    fn ask(&self, _: ApprovalRequest) -> AnswerFuture<'_> {
        Box::pin(std::future::ready(Answer::Later))
    }
}
