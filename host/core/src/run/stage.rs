//! Current stage of a run.

use std::collections::{BTreeMap, BTreeSet};

use crate::ledger::Line;
use crate::{Amounts, ApprovalId, Binding, BudgetKind, Decision, Digest, Effect, Gate};

/// A question to a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Id of the question.
    pub id: ApprovalId,
    /// Binding of the action that the answer is for.
    pub binding: Binding,
    /// Time of the question, in microseconds since 1970.
    pub asked_us: u64,
    /// Time from which the answer is no.
    pub expires_us: Option<u64>,
}

/// Stage of the step at the cursor.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Stage {
    /// Nothing: the step has not been proposed.
    Idle,
    /// The next step came too fast; it is proposed at this time.
    Delayed { until_us: u64 },
    /// The whole plan is before the gate.
    Plan(Box<Gate>),
    /// The gate decided on the whole plan.
    PlanDecided { decision: Decision },
    /// A person is asked about the whole plan.
    PlanPerson { decision: Decision, question: Question },
    /// The step failed and is tried again: these effects restore, then the run waits until this time.
    Retry { until_us: u64, restores: Vec<Effect> },
    /// The step is to be judged: a person edited it, or its approval is void.
    Proposed,
    /// The gate decided; the decision is due to be followed.
    Decided { decision: Decision, effects: Vec<Effect> },
    /// A person is asked about the step.
    Person { decision: Decision, effects: Vec<Effect>, question: Question },
    /// A person approved the step.
    Approved { effects: Vec<Effect> },
    /// The step is being carried out.
    Executing(Execution),
    /// The step before the cursor is in doubt: a person is asked about it.
    Doubt { message: String, question: Question, restores: Vec<Effect> },
}

/// A step that is being carried out.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Execution {
    /// Effects that were allowed or approved.
    pub effects: Vec<Effect>,
    /// Number of effects intended so far.
    pub calls: u32,
    /// Places in `effects` that were used up: an approved change of the world counts once.
    pub used: BTreeSet<usize>,
    /// Effects intended, but not known to have happened.
    pub open: BTreeMap<u32, Open>,
    /// Amounts set aside in the ledger for the step itself.
    pub reserved: Amounts,
    /// The budget that could not cover an effect, if there was one.
    pub over_budget: Option<BudgetKind>,
    /// Effects that would take back the step's changes, in the order of the changes.
    pub inverses: Vec<Effect>,
    /// The executor's answered requests that are not to be repeated, in order.
    pub answered: Vec<Answered>,
    /// The budgets as the executor saw them at its start.
    pub budgets: Vec<(BudgetKind, Line)>,
}

impl Execution {
    /// Effects that take back all changes of the step, in this order.
    pub fn restores(&self) -> Vec<Effect> {
        self.inverses.iter().rev().cloned().collect()
    }
}

/// An effect that is intended, but not known to have happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Open {
    /// Effect that is intended.
    pub effect: Effect,
    /// Amounts set aside for the effect.
    pub reserved: Amounts,
    /// Place of the approved effect that covers this one, if there is one.
    pub place: Option<usize>,
}

/// An effect that a step requested, with its answer, as blobs of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    /// Number of the host call.
    pub call: u32,
    /// Digest of the answers since the previous effect and of this request.
    pub asked: Digest,
    /// Digest of the answer, once there is one.
    pub answer: Option<Digest>,
}
