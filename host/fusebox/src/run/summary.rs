//! Summary of a run.

use std::collections::HashMap;
use std::path::PathBuf;

use fusebox_core::event::RunEnd;
use fusebox_core::event::StoppedBy;
use fusebox_core::step_state::StepState;
use fusebox_core::{ApprovalId, BudgetKind, RunId, RunState, StepId};
use schemars::JsonSchema;
use serde::Serialize;

use crate::approval::approver::{ApprovalRequest, Subject};

/// Summary of one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StepSummary {
    /// Id of the step.
    pub step: StepId,
    /// Type of the step.
    pub step_type: String,
    /// State of the step.
    pub state: StepState,
    /// Result of the step, in one line; empty for a step that was not reached.
    pub summary: String,
    /// Cause of the step's stop; `None` for a step that was carried out or not reached.
    pub stopped_by: Option<StoppedBy>,
}

/// Reason why an unfinished run waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "for", rename_all = "snake_case")]
pub enum Waiting {
    /// Approval by a person.
    Approval {
        /// Id of the question.
        id: Option<ApprovalId>,
        /// About this step; the whole plan without it.
        step: Option<StepId>,
        /// From then on the answer is no, in microseconds since 1970.
        expires_us: Option<u64>,
    },
    /// A person's word on a step that may or may not have happened.
    Doubt {
        /// Id of the question.
        id: Option<ApprovalId>,
        /// Id of the step.
        step: StepId,
    },
    /// Resumption by a person.
    Paused {
        /// Name of the person who paused it.
        by: String,
    },
    /// A process that continues with the next step.
    NextStep,
    /// Another process, which carries it on.
    Elsewhere,
}

impl Waiting {
    pub(crate) fn for_person(request: &ApprovalRequest) -> Self {
        let (id, expires_us) = (request.id.clone(), request.expires_us);
        match &request.subject {
            Subject::Plan(_) => Self::Approval { id, step: None, expires_us },
            Subject::Step { step, .. } => Self::Approval { id, step: Some(step.id.clone()), expires_us },
            Subject::Doubt { step, .. } => Self::Doubt { id, step: step.id.clone() },
        }
    }
}

/// Summary of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Summary {
    /// Id of the run.
    pub run_id: RunId,
    /// End of the run, if it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<RunEnd>,
    /// Reason why the run waits, if it has not ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// The state that this is, such as `COMPLETED`.
    pub state: String,
    /// Reason of the end; empty while the run goes on.
    pub reason: String,
    /// All steps, in order.
    pub steps: Vec<StepSummary>,
    /// Model tokens that were used.
    pub tokens: u64,
    /// Money, in micro-USD, as far as prices are known.
    pub micro_usd: u64,
    /// Number of model calls whose cost is unknown.
    pub unpriced_calls: u32,
    /// Fuel of all plugins, setting up included.
    pub fuel: u64,
    /// Wall time that it was worked on, in microseconds: not while it waited for a person.
    pub duration_us: u64,
    /// Path of the run's workspace.
    pub workspace: PathBuf,
    /// Events in the log.
    pub events: u64,
}

impl Summary {
    pub(crate) fn of(
        state: &RunState,
        ended: Option<(RunEnd, String, u64)>,
        waiting: Option<Waiting>,
        workspace: PathBuf,
        events: u64,
    ) -> Self {
        let now = ended.as_ref().map_or(state.last().1, |(_, _, at_us)| *at_us);
        let (end, reason) = ended.map(|(end, reason, _)| (end, reason)).unzip();
        let spent = |kind| state.ledger().line(kind).spent;
        let said = state.history().after(0, usize::MAX, |entry| (entry.step.clone(), entry.summary.clone()));
        let said: HashMap<StepId, String> = said.into_iter().collect();
        let steps = state.setup().plan.steps.iter().zip(state.steps()).map(|(step, progress)| StepSummary {
            step: step.id.clone(),
            step_type: step.step_type.clone(),
            state: progress.state,
            summary: said.get(&step.id).cloned().unwrap_or_default(),
            stopped_by: progress.stopped_by.clone(),
        });
        Self {
            run_id: state.setup().run.clone(),
            end,
            waiting: waiting.filter(|_| end.is_none()),
            state: state.phase().to_string(),
            reason: reason.unwrap_or_default(),
            steps: steps.collect(),
            tokens: spent(BudgetKind::Tokens),
            micro_usd: spent(BudgetKind::MicroUsd),
            unpriced_calls: state.unpriced(),
            fuel: spent(BudgetKind::Fuel),
            duration_us: state.elapsed_us(now),
            workspace,
            events,
        }
    }
}
