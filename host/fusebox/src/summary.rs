//! What came of a run.

use std::collections::HashMap;
use std::path::PathBuf;

use fusebox_core::event::RunEnd;
use fusebox_core::run::StepState;
use fusebox_core::{BudgetKind, RunId, RunState, StepId};
use schemars::JsonSchema;
use serde::Serialize;

/// What came of one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StepSummary {
    /// The step.
    pub step: StepId,
    /// Its type.
    pub step_type: String,
    /// Where it stands.
    pub state: StepState,
    /// What happened, in one line; empty for a step that was not reached.
    pub summary: String,
    /// Who or what stopped it: guards, the policy, the built-in rules, the workspace, a person, or the typed end of its
    /// failure. Nobody for a step that was carried out.
    pub stopped_by: Vec<String>,
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Summary {
    /// The run.
    pub run_id: RunId,
    /// How it ended.
    pub end: RunEnd,
    /// The state that this is, such as `COMPLETED`.
    pub state: String,
    /// Why it ended.
    pub reason: String,
    /// All steps, in order.
    pub steps: Vec<StepSummary>,
    /// Model tokens.
    pub tokens: u64,
    /// Money, in micro-USD, as far as prices are known.
    pub micro_usd: u64,
    /// Model calls whose cost is not known.
    pub unpriced_calls: u32,
    /// Fuel of all plugins, setting up included.
    pub fuel: u64,
    /// Wall time, in microseconds.
    pub duration_us: u64,
    /// Where the run worked.
    pub workspace: PathBuf,
    /// Events in the log.
    pub events: u64,
}

impl Summary {
    pub(crate) fn of(
        state: &RunState,
        end: RunEnd,
        reason: String,
        ended_us: u64,
        workspace: PathBuf,
        events: u64,
    ) -> Self {
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
            state: state.phase().to_string(),
            reason,
            steps: steps.collect(),
            tokens: spent(BudgetKind::Tokens),
            micro_usd: spent(BudgetKind::MicroUsd),
            unpriced_calls: state.unpriced(),
            fuel: spent(BudgetKind::Fuel),
            duration_us: ended_us.saturating_sub(state.started_us().unwrap_or(ended_us)),
            workspace,
            events,
        }
    }
}
