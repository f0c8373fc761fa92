//! What a run asks for and is told.

use std::collections::BTreeMap;

use super::stage::Question;
use crate::Decider;
use crate::event::StepEnd;
use crate::event::{Judgement, KillTimes, ModelUse, Signed, Usage};
use crate::gate::GuardAnswer;
use crate::risk::Assessment;
use crate::{
    Amounts, ApprovalAnswer, ApprovalId, Binding, BudgetKind, Decision, Digest, Effect, Failure, Impact, Step,
};

/// What a run needs to be told next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ask<'a> {
    /// Nothing from outside: tell [`Command::Advance`].
    Advance,
    /// The risk of the plan: [`Command::Assessed`].
    Risk,
    /// The effects of the current step: [`Command::Previewed`] or [`Command::Failed`].
    Preview,
    /// A guard's verdict on the whole plan, by its place: [`Command::Judged`].
    JudgePlan {
        /// The guard's place in the gate.
        guard: usize,
    },
    /// A person's answer about the whole plan: [`Command::Answered`].
    PersonOnPlan {
        /// The question.
        question: &'a Question,
        /// Why a person is asked.
        decision: &'a Decision,
    },
    /// A person's word on what to make of a step in doubt: [`Command::Answered`].
    PersonOnDoubt {
        /// The question.
        question: &'a Question,
        /// What happened.
        message: &'a str,
    },
    /// That somebody resumes it: [`Command::Resume`].
    Resume {
        /// Who paused it.
        by: &'a str,
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
        /// The question.
        question: &'a Question,
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

/// What a run is taken up with again.
#[derive(Debug, Clone, PartialEq)]
pub struct Resumption {
    /// Digest of the stored setup.
    pub setup: Digest,
    /// Digest of the policy.
    pub policy: Digest,
    /// Digests of all plugins, by name.
    pub plugins: BTreeMap<String, Digest>,
    /// Version of the host.
    pub host: String,
    /// Version of its engine.
    pub engine: String,
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
    /// The risk of the plan.
    Assessed(Box<Assessment>),
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
        /// The signature of the approver's key, if one was used.
        signed: Option<Signed>,
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
        /// The tenant's budget that cannot cover that, and what to say of it.
        over: Option<(BudgetKind, String)>,
        /// Digest of what was answered since the last effect, and what is asked now.
        asked: Option<Digest>,
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
        /// Digest of what is answered.
        answer: Option<Digest>,
        /// What takes it back.
        inverse: Option<Box<Effect>>,
    },
    /// An intended effect did not happen, or what it was answered is lost and it can be asked for again.
    HostCallUndone {
        /// Which.
        call: u32,
        /// What it may have cost.
        spent: Amounts,
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
        end: StepEnd,
        /// What happened, for people.
        message: String,
        /// Whether trying again can help.
        retry_can_help: bool,
        /// Digest of the tape, if there is one.
        tape: Option<Digest>,
        /// What it used.
        usage: Usage,
    },
    /// Nobody can tell whether an effect of the step happened: its process ended.
    Doubt {
        /// Why, for people.
        message: String,
    },
    /// The step whose process ended is carried on.
    ResumeStep,
    /// The process leaves it between two steps.
    Leave,
    /// Its process ended, as a later one found.
    Interrupted,
    /// A process takes the run up again.
    Continue(Box<Resumption>),
    /// Somebody wants it to stop until it is resumed.
    Pause {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// It may go on.
    Resume {
        /// Who says so.
        by: String,
    },
    /// The next step has to wait.
    Delay {
        /// Until when, in microseconds since 1970.
        until_us: u64,
        /// Why.
        reason: String,
    },
    /// The next step is not let on.
    Block {
        /// Why.
        message: String,
        /// By what.
        by: Decider,
    },
    /// A budget of the tenant is used up.
    Exhausted {
        /// The budget; `None` when it is the room in the log.
        budget: Option<BudgetKind>,
        /// Which, and how.
        message: String,
    },
    /// A step is added behind the last one.
    AddStep {
        /// The step.
        step: Box<Step>,
        /// Who adds it.
        by: String,
        /// What guards say of the whole plan with it.
        decision: Decision,
        /// What they used.
        usage: Usage,
    },
    /// An approval of everything of a kind no longer counts.
    Revoke {
        /// The approval.
        grant: ApprovalId,
        /// Who revokes it.
        by: String,
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
