//! Requests of a run to its driver.

#[cfg(doc)]
use super::command::{DriverCommand, PersonCommand};
use super::stage::{Question, Stage};
use super::state::RunState;
use crate::gate::GateAsk;
use crate::{Decision, Effect};

/// Next command that a run needs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ask<'a> {
    /// The judgement of the next step, where [`RunState::judging`] begins one: [`DriverCommand::StepJudged`]. Else no
    /// input from outside: [`DriverCommand::Advance`].
    Advance,
    /// The risk of the plan: [`DriverCommand::Assessed`].
    Risk,
    /// A guard's verdict on the whole plan, by its place: [`DriverCommand::PlanJudged`].
    JudgePlan {
        /// Place of the guard in the gate.
        guard: usize,
    },
    /// A person's answer about the whole plan: [`PersonCommand::Answered`].
    PersonOnPlan {
        /// The open question.
        question: &'a Question,
        /// Decision that asks for a review.
        decision: &'a Decision,
    },
    /// A person's decision on a step in doubt: [`PersonCommand::Answered`].
    PersonOnDoubt {
        /// The open question.
        question: &'a Question,
        /// Description of what happened.
        message: &'a str,
    },
    /// A person's resumption of the run: [`PersonCommand::Resume`].
    Resume {
        /// Name of the person who paused it.
        by: &'a str,
    },
    /// Restoration of what a failed try changed, by these effects: [`DriverCommand::Restored`].
    Restore {
        /// Effects that restore it, in this order.
        restores: &'a [Effect],
    },
    /// The passing of this time, then what [`Ask::Advance`] is.
    Wait {
        /// End of the wait, in microseconds since 1970.
        until_us: u64,
    },
    /// A person's answer: [`PersonCommand::Answered`].
    Person {
        /// The open question.
        question: &'a Question,
        /// Decision that asks for a review.
        decision: &'a Decision,
        /// Effects that would happen.
        effects: &'a [Effect],
    },
    /// The outcome of the step: [`DriverCommand::Completed`] or [`DriverCommand::Failed`].
    Execute {
        /// Effects that may happen.
        effects: &'a [Effect],
    },
    /// Nothing: the run has ended.
    Nothing,
}

impl RunState {
    /// The next command that the run needs.
    #[must_use]
    pub fn ask(&self) -> Ask<'_> {
        match &self.paused_by {
            Some(by) if self.ended.is_none() => Ask::Resume { by },
            _ => self.ask_when_resumed(),
        }
    }

    /// The next command that the run needs once it is not paused.
    #[must_use]
    pub fn ask_when_resumed(&self) -> Ask<'_> {
        if self.ended.is_some() {
            return Ask::Nothing;
        }
        if self.is_risk_due() {
            return Ask::Risk;
        }
        match &self.stage {
            Stage::Idle
            | Stage::Proposed
            | Stage::PlanDecided { .. }
            | Stage::Decided { .. }
            | Stage::Approved { .. } => Ask::Advance,
            Stage::Plan(gate) => match gate.ask() {
                GateAsk::Judge { guard } => Ask::JudgePlan { guard },
                GateAsk::Preview | GateAsk::Estimate | GateAsk::Decided(_) => Ask::Advance,
            },
            Stage::PlanPerson { decision, question } => Ask::PersonOnPlan { question, decision },
            Stage::Doubt { message, question, .. } => Ask::PersonOnDoubt { question, message },
            Stage::Delayed { until_us } => Ask::Wait { until_us: *until_us },
            Stage::Retry { until_us, restores } if restores.is_empty() => Ask::Wait { until_us: *until_us },
            Stage::Retry { restores, .. } => Ask::Restore { restores },
            Stage::Person { decision, effects, question } => Ask::Person { question, decision, effects },
            Stage::Executing(execution) => Ask::Execute { effects: &execution.effects },
        }
    }

    /// The open question to a person, if there is one.
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

    /// Whether guards judge the whole plan now.
    #[must_use]
    pub fn is_judging_plan(&self) -> bool {
        matches!(self.stage, Stage::Plan(_))
    }
}
