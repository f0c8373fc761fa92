//! What a run asks for.

use super::notification::Ask;
use super::stage::{Question, Stage};
use super::state::RunState;
use crate::gate::GateAsk;

impl RunState {
    /// What it needs to be told next.
    #[must_use]
    pub fn ask(&self) -> Ask<'_> {
        match &self.paused_by {
            Some(by) if self.ended.is_none() => Ask::Resume { by },
            _ => self.ask_when_resumed(),
        }
    }

    /// What it needs to be told next once nobody wants it to stop.
    #[must_use]
    pub fn ask_when_resumed(&self) -> Ask<'_> {
        if self.ended.is_some() {
            return Ask::Nothing;
        }
        if self.is_risk_due() {
            return Ask::Risk;
        }
        match &self.stage {
            Stage::Idle | Stage::PlanDecided { .. } | Stage::Decided { .. } | Stage::Approved { .. } => Ask::Advance,
            Stage::Plan(gate) => match gate.ask() {
                GateAsk::Judge { guard } => Ask::JudgePlan { guard },
                GateAsk::Preview | GateAsk::Estimate | GateAsk::Decided(_) => Ask::Advance,
            },
            Stage::PlanPerson { decision, question } => Ask::PersonOnPlan { question, decision },
            Stage::Doubt { message, question, .. } => Ask::PersonOnDoubt { question, message },
            Stage::Delayed { until_us } => Ask::Wait { until_us: *until_us },
            Stage::Retry { until_us, restores } if restores.is_empty() => Ask::Wait { until_us: *until_us },
            Stage::Retry { restores, .. } => Ask::Restore { restores },
            Stage::Gate(gate) => match gate.ask() {
                GateAsk::Preview => Ask::Preview,
                GateAsk::Judge { guard } => Ask::Judge { guard },
                GateAsk::Estimate => Ask::Estimate,
                GateAsk::Decided(_) => Ask::Advance,
            },
            Stage::Person { decision, effects, question } => Ask::Person { question, decision, effects },
            Stage::Executing(execution) => Ask::Execute { effects: &execution.effects },
        }
    }

    /// The question to a person that is open, if there is one.
    #[must_use]
    pub fn question(&self) -> Option<&Question> {
        match &self.stage {
            Stage::PlanPerson { question, .. } | Stage::Person { question, .. } | Stage::Doubt { question, .. }
                if self.ended.is_none() =>
            {
                Some(question)
            }
            _ => None,
        }
    }
}
