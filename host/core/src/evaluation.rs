//! The situation that a plugin may ask about: a pure function of the log up to now and the policy.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::history::History;
use crate::id::DEFAULT_TENANT;
use crate::ledger::Line;
use crate::risk::{Assessment, RiskLevel};
use crate::{Agent, BudgetKind, Contents, Digest, Json, Origin, Plan, RunId, StepId};

/// Position of an action in its run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Id of the step.
    pub step: StepId,
    /// Index of the step, counted from 0.
    pub index: u32,
    /// Number of steps in the plan.
    pub total: u32,
    /// Number of the try, counted from 1.
    pub attempt: u32,
}

/// The predicted risk of a plan, as plugins get it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Risk {
    /// Level that counts.
    pub level: RiskLevel,
    /// The probability of HIGH, in [0, 1]; 1 when no model could be asked.
    pub score: f64,
    /// Digest of the model that predicted it; none when no model could be asked.
    pub model: Option<Digest>,
}

impl Risk {
    /// The part of an assessment that plugins see.
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

/// Answer to a plugin's `context` call. Built once per judged action and shared by all plugins that judge it.
#[derive(Clone)]
pub struct EvaluationContext {
    /// Run of the action, if there is one.
    pub run: Option<RunId>,
    /// Agent that acts.
    pub agent: Agent,
    /// Tenant that owns the run.
    pub tenant: String,
    /// Plan of the run, if there is one.
    pub plan: Option<Arc<Plan>>,
    /// Source of the action's proposal.
    pub origin: Origin,
    /// Time of the proposal, in microseconds since 1970.
    pub proposed_at: u64,
    /// Position of the action in its run.
    pub position: Option<Position>,
    /// The predicted risk of the plan.
    pub risk: Option<Risk>,
    /// State of all budgets.
    pub budgets: Vec<(BudgetKind, Line)>,
    /// Steps that have ended.
    pub history: History,
    /// Outputs of the steps that completed.
    pub outputs: Arc<dyn StepOutputs>,
    /// Bytes that the judged effects refer to.
    pub contents: Contents,
}

impl EvaluationContext {
    /// The context of one action outside of any run.
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
        f.debug_struct("EvaluationContext")
            .field("run", &self.run)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}
