//! The situation that a plugin may ask about: a pure function of the log up to now and the policy.

use std::fmt;
use std::sync::Arc;

use crate::history::History;
use crate::id::DEFAULT_TENANT;
use crate::ledger::Line;
use crate::risk::{Assessment, RiskLevel};
use crate::{Agent, BudgetKind, Contents, Digest, Json, Origin, Plan, RunId, StepId};

/// Where an action stands in its run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The step.
    pub step: StepId,
    /// Counted from 0.
    pub index: u32,
    /// Steps of the plan.
    pub total: u32,
    /// 1 for the first try.
    pub attempt: u32,
}

/// The predicted risk of a plan, as plugins get it.
#[derive(Debug, Clone, PartialEq)]
pub struct Risk {
    /// What counts.
    pub level: RiskLevel,
    /// The probability of HIGH, in [0, 1]; 1 when no model could be asked.
    pub score: f64,
    /// Digest of the model that predicted it; none when no model could be asked.
    pub model: Option<Digest>,
}

impl Risk {
    /// What plugins get of an assessment.
    #[must_use]
    pub fn of(assessment: &Assessment) -> Self {
        Self {
            level: assessment.level,
            score: assessment.score(),
            model: assessment.prediction.as_ref().map(|prediction| prediction.model),
        }
    }
}

/// Outputs of the steps that completed so far.
pub trait StepOutputs: Send + Sync {
    /// The output of a step, if it completed.
    fn output(&self, step: &str) -> Option<Json>;
}

/// No step has completed.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoOutputs;

impl StepOutputs for NoOutputs {
    fn output(&self, _: &str) -> Option<Json> {
        None
    }
}

/// What `context` answers. Built once per judged action, shared by all who judge it.
#[derive(Clone)]
pub struct EvaluationContext {
    /// The run, if there is one.
    pub run: Option<RunId>,
    /// Who acts.
    pub agent: Agent,
    /// On whose account.
    pub tenant: String,
    /// The plan, if there is one.
    pub plan: Option<Arc<Plan>>,
    /// Who proposed the action.
    pub origin: Origin,
    /// When the action was proposed, in microseconds since 1970.
    pub proposed_at: u64,
    /// Where the action stands.
    pub position: Option<Position>,
    /// The predicted risk of the plan.
    pub risk: Option<Risk>,
    /// All budgets.
    pub budgets: Vec<(BudgetKind, Line)>,
    /// Steps that ended.
    pub history: History,
    /// Outputs of steps that completed.
    pub outputs: Arc<dyn StepOutputs>,
    /// Bytes that the judged effects refer to.
    pub contents: Contents,
}

impl EvaluationContext {
    /// The situation of one action outside of any run.
    #[must_use]
    pub fn outside_of_a_run(agent: Agent, origin: Origin, proposed_at: u64) -> Self {
        Self {
            run: None,
            agent,
            tenant: DEFAULT_TENANT.to_owned(),
            plan: None,
            origin,
            proposed_at,
            position: None,
            risk: None,
            budgets: Vec::new(),
            history: History::default(),
            outputs: Arc::new(NoOutputs),
            contents: Contents::default(),
        }
    }
}

impl fmt::Debug for EvaluationContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Situation").field("run", &self.run).field("position", &self.position).finish_non_exhaustive()
    }
}
