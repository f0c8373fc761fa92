//! State of a session.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::shape::SessionShape;
use crate::approval::ApprovalKind;
use crate::evaluation::{Position, Risk};
use crate::event::{ProposalAnswer, RunEnd, SessionOpened};
use crate::json;
use crate::ledger::{Ledger, Line};
use crate::risk::RiskLevel;
use crate::run::KindApproval;
use crate::{ApprovalId, Binding, BudgetKind, Digest, RunLimits, StepId};

/// Most calls that are kept in mind. The outcome of an older one can no longer be observed.
pub(super) const MAX_CALLS: usize = 256;
/// Most questions that are open at once in one session.
pub(super) const MAX_QUESTIONS: usize = 64;

/// A proposed action, until its outcome is known. Denied ones are kept in mind as well, since some programs propose one
/// call twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Id of the step.
    pub step: StepId,
    /// Type of the step.
    pub step_type: String,
    /// Name of the call in the program that carries it out.
    pub call: Option<String>,
    /// Digest of the action.
    pub action: Option<Digest>,
    /// The session's answer.
    pub answer: ProposalAnswer,
    /// State of the call.
    pub state: CallState,
    /// Place of the event of the proposal.
    pub seq: u64,
    /// Time of the proposal, in microseconds since 1970.
    pub since_us: u64,
}

/// State of a proposed action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CallState {
    /// It may be under way.
    Open,
    /// It was denied.
    Denied,
}

/// A question to a person, or an approval that is not used up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ParkedQuestion {
    /// Id of the question.
    pub id: ApprovalId,
    /// Id of the step that asked.
    pub step: StepId,
    /// Place of the event of the proposal.
    pub judged: u64,
    /// Binding of the action that the answer is for.
    pub binding: Binding,
    /// Kind of the action, as JSON; none where it cannot be approved together with others.
    pub kind: Option<String>,
    /// Time of the question, in microseconds since 1970.
    pub asked_us: u64,
    /// Time from which the answer is no.
    pub expires_us: Option<u64>,
    /// State of the question.
    pub state: QuestionState,
}

/// State of a question that is kept in mind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum QuestionState {
    /// It waits for an answer.
    Open,
    /// A person approved it, which is not used up.
    Approved {
        /// Name of the key that signed it, if one did.
        key: Option<String>,
    },
}

impl ParkedQuestion {
    /// Whether it waits for an answer.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state == QuestionState::Open
    }
}

/// State of a session, folded from its events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionState {
    pub(super) opened: SessionOpened,
    pub(super) opened_us: u64,
    pub(super) last_us: u64,
    pub(super) seq: u64,
    pub(super) ended: Option<RunEnd>,
    pub(super) message: String,
    pub(super) paused_by: Option<String>,
    pub(super) limits: RunLimits,
    pub(super) ledger: Ledger,
    pub(super) warned: BTreeSet<BudgetKind>,
    /// Kinds of actions that a person approved for the whole session, as JSON.
    pub(super) grants: BTreeMap<String, KindApproval>,
    pub(super) questions: Vec<ParkedQuestion>,
    pub(super) calls: Vec<Call>,
    /// Actions that were proposed.
    pub(super) actions: u32,
    /// Actions that ended, denied ones included.
    pub(super) ended_actions: u32,
    pub(super) shape: SessionShape,
    pub(super) risk: Option<Risk>,
    /// Reason why a person must look at what changes the world, by the predicted risk.
    pub(super) risk_review: Option<String>,
    /// The highest level whose profile limits the session.
    pub(super) profiled: Option<RiskLevel>,
    /// Actions that the last prediction was about.
    pub(super) predicted_at: u64,
}

impl SessionState {
    /// A session after its first event.
    #[must_use]
    pub fn new(opened: SessionOpened, time_us: u64) -> Self {
        Self {
            opened_us: time_us,
            last_us: time_us,
            seq: 1,
            ended: None,
            message: String::new(),
            paused_by: None,
            limits: opened.rules.limits.clone(),
            ledger: Ledger::new(&opened.rules.limits),
            warned: BTreeSet::new(),
            grants: BTreeMap::new(),
            questions: Vec::new(),
            calls: Vec::new(),
            actions: 0,
            ended_actions: 0,
            shape: SessionShape::default(),
            risk: None,
            risk_review: None,
            profiled: None,
            predicted_at: 0,
            opened,
        }
    }

    /// The identity of the session: agent, tenant, origin, workspace, and what it is judged by now.
    #[must_use]
    pub fn identity(&self) -> &SessionOpened {
        &self.opened
    }

    /// Place and time of the last event.
    #[must_use]
    pub fn last(&self) -> (u64, u64) {
        (self.seq, self.last_us)
    }

    /// How the session ended, and why, if it did.
    #[must_use]
    pub fn ended(&self) -> Option<(RunEnd, &str)> {
        Some((self.ended?, &self.message))
    }

    /// Name of the person who paused the session, if it is paused.
    #[must_use]
    pub fn paused_by(&self) -> Option<&str> {
        self.paused_by.as_deref()
    }

    /// Current limits of the session.
    #[must_use]
    pub fn limits(&self) -> &RunLimits {
        &self.limits
    }

    /// State of all budgets.
    #[must_use]
    pub fn budgets(&self) -> Vec<(BudgetKind, Line)> {
        self.ledger.lines().collect()
    }

    /// State of one budget.
    #[must_use]
    pub fn budget(&self, kind: BudgetKind) -> Line {
        self.ledger.line(kind)
    }

    /// Actions that were proposed so far.
    #[must_use]
    pub fn actions(&self) -> u32 {
        self.actions
    }

    /// Actions that ended so far, denied ones included.
    #[must_use]
    pub fn ended_actions(&self) -> u32 {
        self.ended_actions
    }

    /// The predicted risk; none before the first prediction.
    #[must_use]
    pub fn risk(&self) -> Option<&Risk> {
        self.risk.as_ref()
    }

    /// Reason why a person must look at what changes the world, by the predicted risk.
    #[must_use]
    pub fn risk_review(&self) -> Option<&str> {
        self.risk_review.as_deref()
    }

    /// Shape of what was let through.
    #[must_use]
    pub fn shape(&self) -> &SessionShape {
        &self.shape
    }

    /// Id of the next proposed action.
    #[must_use]
    pub fn next_step(&self) -> StepId {
        StepId::numbered(self.actions as usize)
    }

    /// Position of the next proposed action.
    #[must_use]
    pub fn position(&self) -> Position {
        Position { step: self.next_step(), index: self.actions, total: self.actions.saturating_add(1), attempt: 1 }
    }

    /// Approvals for the whole session, by kind as JSON.
    pub fn grants(&self) -> impl Iterator<Item = (&str, &KindApproval)> {
        self.grants.iter().map(|(kind, held)| (kind.as_str(), held))
    }

    /// A question that waits for an answer.
    #[must_use]
    pub fn question(&self, id: &ApprovalId) -> Option<&ParkedQuestion> {
        self.questions.iter().find(|question| question.id == *id && question.is_open())
    }

    /// Whether the time without an event is over after which the session ends.
    #[must_use]
    pub fn is_idle(&self, now_us: u64) -> bool {
        self.opened.rules.idle_us.is_some_and(|idle| now_us.saturating_sub(self.last_us) >= idle)
    }

    /// Names of the keys that signed approvals which are still to be used.
    #[must_use]
    pub fn approving_keys(&self) -> BTreeSet<&str> {
        let held = self.grants.values().filter_map(|held| held.key.as_deref());
        let unused = self.questions.iter().filter_map(|question| match &question.state {
            QuestionState::Approved { key } => key.as_deref(),
            QuestionState::Open => None,
        });
        held.chain(unused).collect()
    }

    /// The call that an event of the program is about: by its name or, where it has none, the newest with this action.
    #[must_use]
    pub fn call(&self, name: Option<&str>, action: Option<&Digest>) -> Option<&Call> {
        let is_it = |call: &&Call| match name {
            Some(name) => call.call.as_deref() == Some(name),
            None => action.is_some() && action == call.action.as_ref(),
        };
        self.calls.iter().rev().find(is_it)
    }

    /// Place of the event that proposed a step, as long as it is kept in mind.
    #[must_use]
    pub fn proposal(&self, step: &StepId) -> Option<u64> {
        self.calls.iter().rev().find(|call| call.step == *step).map(|call| call.seq)
    }

    /// Calls whose outcome is not known.
    pub fn open_calls(&self) -> impl Iterator<Item = &Call> {
        self.calls.iter().filter(|call| call.state == CallState::Open)
    }

    /// The approval of everything of a kind that counts now.
    pub(super) fn granted(&self, kind: &ApprovalKind, now_us: u64) -> Option<&KindApproval> {
        let held = self.grants.get(&json::canonical(kind))?;
        held.until_us.is_none_or(|until| now_us < until).then_some(held)
    }

    pub(super) fn parked(&self, binding: &Binding) -> Option<&ParkedQuestion> {
        self.questions.iter().rev().find(|question| question.binding == *binding)
    }
}
