//! What a run asks for and is told.

use crate::event::{Judgement, KillTimes, ModelUse, Usage};
use crate::gate::GuardAnswer;
use crate::{Amounts, ApprovalAnswer, Binding, Decision, Digest, Effect, Failure, Impact};

/// What a run needs to be told next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ask<'a> {
    /// Nothing from outside: tell [`Command::Advance`].
    Advance,
    /// The effects of the current step: [`Command::Previewed`] or [`Command::Failed`].
    Preview,
    /// A guard's verdict on the whole plan, by its place: [`Command::Judged`].
    JudgePlan {
        /// The guard's place in the gate.
        guard: usize,
    },
    /// A person's answer about the whole plan: [`Command::Answered`].
    PersonOnPlan {
        /// What must be shown and approved.
        binding: Binding,
        /// Why a person is asked.
        decision: &'a Decision,
    },
    /// What a failed try changed, as it was before, by these effects: [`Command::Restored`].
    Restore {
        /// What restoring does, in this order.
        restores: &'a [Effect],
    },
    /// That this time has come: [`Command::Advance`].
    Wait {
        /// In microseconds since 1970.
        until_us: u64,
    },
    /// A guard's verdict, by its place: [`Command::Judged`].
    Judge {
        /// The guard's place in the gate.
        guard: usize,
    },
    /// An estimate: [`Command::Estimated`].
    Estimate,
    /// A person's answer: [`Command::Answered`].
    Person {
        /// What must be shown and approved.
        binding: Binding,
        /// Why a person is asked.
        decision: &'a Decision,
        /// What will happen.
        effects: &'a [Effect],
    },
    /// The outcome of the step: [`Command::Completed`] or [`Command::Failed`].
    Execute {
        /// What may happen.
        effects: &'a [Effect],
    },
    /// Nothing: the run has ended.
    Nothing,
}

/// How a host call that no approved effect covers was judged.
#[derive(Debug, Clone, PartialEq)]
pub enum HostCallJudgement {
    /// It was not: an approved effect covers it.
    NotNeeded,
    /// It was judged then and there.
    Decided(Box<Judgement>),
}

/// What came of a step that was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepDone {
    /// Digest of the output.
    pub output: Digest,
    /// What was done, in one line.
    pub summary: String,
    /// Digest of what undoing it needs.
    pub delta: Option<Digest>,
    /// Digest of the tape.
    pub tape: Digest,
    /// What it used.
    pub usage: Usage,
}

/// What a run is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Go on as far as nothing from outside is needed.
    Advance,
    /// The effects of the step.
    Previewed {
        /// The effects, as the host derived them.
        effects: Vec<Effect>,
        /// Digest of the preview's tape, if there is one.
        tape: Option<Digest>,
        /// What the preview used.
        usage: Usage,
    },
    /// A guard's answer.
    Judged {
        /// Its answer.
        answer: GuardAnswer,
        /// What it used.
        usage: Usage,
    },
    /// The impact model's answer, or why it failed.
    Estimated {
        /// Its answer.
        impact: Result<Impact, String>,
        /// What it used.
        usage: Usage,
    },
    /// A person's answer.
    Answered {
        /// What the answer is for.
        binding: Binding,
        /// The answer.
        answer: ApprovalAnswer,
    },
    /// The executor asks for an effect.
    HostCall {
        /// The effect, as the host derived it.
        effect: Effect,
        /// How it was judged.
        judgement: HostCallJudgement,
        /// What people should know of how it happens.
        note: Option<String>,
        /// What it may cost at the most.
        reserve: Amounts,
    },
    /// An intended effect happened, or failed to.
    HostCallDone {
        /// Which.
        call: u32,
        /// Why it failed, if it did.
        failure: Option<Failure>,
        /// What it cost.
        spent: Amounts,
        /// The model call that it was, if it was one.
        model: Option<ModelUse>,
    },
    /// What a failed try changed is as it was before, or could not be restored.
    Restored {
        /// Why not.
        failure: Option<Failure>,
    },
    /// The step was carried out.
    Completed(StepDone),
    /// The preview or the step failed.
    Failed {
        /// The typed end.
        end: String,
        /// What happened, for people.
        message: String,
        /// Whether trying again can help.
        retry_can_help: bool,
        /// Digest of the tape, if there is one.
        tape: Option<Digest>,
        /// What it used.
        usage: Usage,
        /// What would restore what it changed, in this order.
        restores: Vec<Effect>,
    },
    /// The preview was refused what it asked for: the step is denied.
    Refused {
        /// What was refused, and by whom.
        message: String,
        /// Digest of the preview's tape, if there is one.
        tape: Option<Digest>,
        /// What the preview used.
        usage: Usage,
    },
    /// Somebody wants it to stop, for good.
    Kill {
        /// Who or what, for people.
        by: String,
        /// When it was asked for, and when everything had stopped.
        times: KillTimes,
        /// Digest of the tape of the step that was under way, if there is one.
        tape: Option<Digest>,
        /// What that step had used.
        usage: Usage,
    },
}
