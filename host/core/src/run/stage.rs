//! What is under way in a run.

use std::collections::{BTreeMap, BTreeSet};

use crate::ledger::Line;
use crate::{Amounts, ApprovalId, Binding, BudgetKind, Decision, Digest, Effect, Gate};

/// A question to a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Its id.
    pub id: ApprovalId,
    /// What the answer is for.
    pub binding: Binding,
    /// When it was asked, in microseconds since 1970.
    pub asked_us: u64,
    /// From then on the answer is no.
    pub expires_us: Option<u64>,
}

/// What is under way in the step at the cursor.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Stage {
    /// Nothing: the step has not been proposed.
    Idle,
    /// The next step comes too fast; it is proposed at this time.
    Delayed { until_us: u64 },
    /// The whole plan is before the gate.
    Plan(Gate),
    /// The gate decided on the whole plan.
    PlanDecided { decision: Decision },
    /// A person is asked about the whole plan.
    PlanPerson { decision: Decision, question: Question },
    /// The step failed and is tried again: this is restored, then this time is waited for.
    Retry { until_us: u64, restores: Vec<Effect> },
    /// It is before the gate.
    Gate(Gate),
    /// The gate decided; this follows from it.
    Decided { decision: Decision, effects: Vec<Effect> },
    /// A person is asked.
    Person { decision: Decision, effects: Vec<Effect>, question: Question },
    /// A person approved.
    Approved { effects: Vec<Effect> },
    /// It is being carried out.
    Executing(Execution),
    /// The step before the cursor is in doubt: a person is asked what to make of it.
    Doubt { message: String, question: Question, restores: Vec<Effect> },
}

/// A step that is being carried out.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Execution {
    /// What was allowed or approved.
    pub effects: Vec<Effect>,
    /// Effects intended so far.
    pub calls: u32,
    /// Places in `effects` that were used up: what changes the world was approved once.
    pub used: BTreeSet<usize>,
    /// Effects intended, but not known to have happened.
    pub open: BTreeMap<u32, Open>,
    /// What was set aside in the ledger for the step itself.
    pub reserved: Amounts,
    /// The budget that could not cover an effect, if there was one.
    pub over_budget: Option<BudgetKind>,
    /// What would take back what was done, in the order in which it was done.
    pub inverses: Vec<Effect>,
    /// What the executor asked for that is not to be done again, in order.
    pub answered: Vec<Answered>,
    /// The budgets as the executor saw them when it began.
    pub budgets: Vec<(BudgetKind, Line)>,
}

impl Execution {
    /// What takes back all that was done, in this order.
    pub fn restores(&self) -> Vec<Effect> {
        self.inverses.iter().rev().cloned().collect()
    }
}

/// An effect that is intended, but not known to have happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Open {
    /// The effect.
    pub effect: Effect,
    /// What was set aside for it.
    pub reserved: Amounts,
    /// Its place among the effects that were approved, if one of them covers it.
    pub place: Option<usize>,
}

/// An effect that a step asked for, with what it was answered, as blobs of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    /// Which.
    pub call: u32,
    /// What was answered since the one before, and what was asked.
    pub asked: Digest,
    /// The answer, once there is one.
    pub answer: Option<Digest>,
}
