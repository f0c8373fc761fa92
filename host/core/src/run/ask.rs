//! What a run asks for.

#[cfg(doc)]
use super::command::{DriverCommand, PersonCommand};
use super::stage::{Question, Stage};
use super::state::RunState;
use crate::gate::GateAsk;
use crate::{Decision, Effect};

/// What a run needs to be told next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ask<'a> {
    /// Nothing from outside: tell [`DriverCommand::Advance`].
    Advance,
    /// The risk of the plan: [`DriverCommand::Assessed`].
    Risk,
    /// The effects of the current step: [`DriverCommand::Previewed`] or [`DriverCommand::Failed`].
    Preview,
    /// A guard's verdict on the whole plan, by its place: [`DriverCommand::Judged`].
    JudgePlan {
        /// The guard's place in the gate.
        guard: usize,
    },
    /// A person's answer about the whole plan: [`PersonCommand::Answered`].
    PersonOnPlan {
        /// The question.
        question: &'a Question,
        /// Why a person is asked.
        decision: &'a Decision,
    },
    /// A person's word on what to make of a step in doubt: [`PersonCommand::Answered`].
    PersonOnDoubt {
        /// The question.
        question: &'a Question,
        /// What happened.
        message: &'a str,
    },
    /// That somebody resumes it: [`PersonCommand::Resume`].
    Resume {
        /// Who paused it.
        by: &'a str,
    },
    /// What a failed try changed, as it was before, by these effects: [`DriverCommand::Restored`].
    Restore {
        /// What restoring does, in this order.
        restores: &'a [Effect],
    },
    /// That this time has come: [`DriverCommand::Advance`].
    Wait {
        /// In microseconds since 1970.
        until_us: u64,
    },
    /// A guard's verdict, by its place: [`DriverCommand::Judged`].
    Judge {
        /// The guard's place in the gate.
        guard: usize,
    },
    /// An estimate: [`DriverCommand::Estimated`].
    Estimate,
    /// A person's answer: [`PersonCommand::Answered`].
    Person {
        /// The question.
        question: &'a Question,
        /// Why a person is asked.
        decision: &'a Decision,
        /// What will happen.
        effects: &'a [Effect],
    },
    /// The outcome of the step: [`DriverCommand::Completed`] or [`DriverCommand::Failed`].
    Execute {
        /// What may happen.
        effects: &'a [Effect],
    },
    /// Nothing: the run has ended.
    Nothing,
}

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
