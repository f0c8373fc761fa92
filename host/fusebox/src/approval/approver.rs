//! Questions to approvers.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use fusebox_core::{
    Action, ApprovalAnswer, ApprovalId, ApprovalScope, Binding, Contents, Decision, Effect, Plan, RunId, Step,
};

/// A question to an approver. Show it truly: escape all texts of plan and plugins ([`fusebox_core::show`]), effects
/// first, the agent's words marked as such.
#[derive(Debug, Clone)]
pub struct ApprovalRequest {
    /// Run that the question belongs to.
    pub run: RunId,
    /// Id of the question, by which any approver can answer it.
    pub id: Option<ApprovalId>,
    /// From then on the answer is no, in microseconds since 1970.
    pub expires_us: Option<u64>,
    /// Subject of the question.
    pub subject: Subject,
    /// Effects that would happen, as the host derived them; none yet for a whole plan.
    pub effects: Vec<Effect>,
    /// Bytes before and after, by digest.
    pub contents: Contents,
    /// Decision that asks for a review.
    pub decision: Decision,
    /// Binding of the action that the answer is for.
    pub binding: Binding,
    /// Confinement of the action's processes, in one line; empty when it starts none.
    pub confinement: String,
    /// Reason why the last answer was not accepted, if it was not.
    pub problem: Option<String>,
}

/// Subject of a question.
#[derive(Debug, Clone)]
pub enum Subject {
    /// The whole plan, before its first step.
    Plan(Arc<Plan>),
    /// One step of the plan.
    Step {
        /// Its place, counted from 0.
        index: usize,
        /// Steps of the plan.
        total: usize,
        /// The step, as the plan has it.
        step: Box<Step>,
        /// The action, as it is now: its input may have been rewritten or edited.
        action: Box<Action>,
        /// Number of the try, counted from 1.
        attempt: u32,
    },
    /// A step of which it is unknown whether it happened: an approval carries it out again.
    Doubt {
        /// The step, as the plan has it.
        step: Box<Step>,
        /// Description of the doubt.
        message: String,
    },
}

/// Answer of an approver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The person's answer; [`ApprovalAnswer::Expired`] where none can be asked.
    Given(ApprovalAnswer),
    /// The whole run must stop.
    Quit {
        /// Name of the person who quits.
        by: String,
    },
    /// No approver answers now. The run is left as it is; it takes no memory, thread or lease until an approver answers
    /// and an operator continues it.
    Later,
}

impl From<ApprovalAnswer> for Answer {
    fn from(answer: ApprovalAnswer) -> Self {
        Self::Given(answer)
    }
}

/// The answer of an [`Approver`], when it comes.
pub type AnswerFuture<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

/// A source of approvals that can be asked.
pub trait Approver: Send + Sync {
    /// Asks. The future is dropped when the run is killed meanwhile.
    fn ask(&self, request: ApprovalRequest) -> AnswerFuture<'_>;
}

/// Approves everything that guards leave to a person: the operator has decided beforehand.
#[derive(Debug, Clone)]
pub struct ApproveAll {
    /// Name of the person who decided so.
    pub by: String,
}

impl Approver for ApproveAll {
    fn ask(&self, request: ApprovalRequest) -> AnswerFuture<'_> {
        let answer = match request.subject {
            // Whether something happened is nothing that could be decided beforehand.
            Subject::Doubt { .. } => Answer::Later,
            Subject::Plan(_) | Subject::Step { .. } => {
                ApprovalAnswer::approve(&self.by, "all", "", ApprovalScope::Once).into()
            }
        };
        Box::pin(std::future::ready(answer))
    }
}

/// Approves nothing.
#[derive(Debug, Clone)]
pub struct ApproveNothing {
    /// Reason why no approver can be asked.
    pub reason: String,
}

impl Approver for ApproveNothing {
    fn ask(&self, request: ApprovalRequest) -> AnswerFuture<'_> {
        let answer = match request.subject {
            Subject::Doubt { .. } => Answer::Later,
            Subject::Plan(_) | Subject::Step { .. } => ApprovalAnswer::Expired { reason: self.reason.clone() }.into(),
        };
        Box::pin(std::future::ready(answer))
    }
}

/// Leaves every question for a later answer by its id.
#[derive(Debug, Clone, Copy, Default)]
pub struct ApproveLater;

impl Approver for ApproveLater {
    fn ask(&self, _: ApprovalRequest) -> AnswerFuture<'_> {
        Box::pin(std::future::ready(Answer::Later))
    }
}
