//! What a run is told, by the one who tells it.

use std::collections::BTreeMap;

use crate::event::{Judgement, KillTimes, ModelUse, Signed, StepEnd, Usage};
use crate::gate::GuardAnswer;
use crate::risk::Assessment;
use crate::{
    Amounts, ApprovalAnswer, ApprovalId, Binding, BudgetKind, Decider, Decision, Digest, Effect, Failure, Impact, Step,
};

/// How a host call that no approved effect covers was judged.
#[derive(Debug, Clone, PartialEq)]
pub enum HostCallJudgement {
    /// It was not: an approved effect covers it.
    NotNeeded,
    /// It was judged then and there.
    Decided(Box<Judgement>),
}

/// An effect that an executor asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct EffectRequest {
    /// The effect, as the host derived it.
    pub effect: Effect,
    /// How it was judged.
    pub judgement: HostCallJudgement,
    /// What people should know of how it happens.
    pub note: Option<String>,
    /// What it may cost at the most.
    pub reserve: Amounts,
    /// The tenant's budget that cannot cover that, and what to say of it.
    pub over: Option<(BudgetKind, String)>,
    /// Digest of what was answered since the last effect, and what is asked now.
    pub asked: Option<Digest>,
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

/// One thing that a run is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// By its driver.
    Driver(DriverCommand),
    /// By a person.
    Person(PersonCommand),
    /// By a process.
    Process(ProcessCommand),
}

impl From<DriverCommand> for Command {
    fn from(command: DriverCommand) -> Self {
        Self::Driver(command)
    }
}

impl From<PersonCommand> for Command {
    fn from(command: PersonCommand) -> Self {
        Self::Person(command)
    }
}

impl From<ProcessCommand> for Command {
    fn from(command: ProcessCommand) -> Self {
        Self::Process(command)
    }
}

impl Command {
    /// Name for messages, such as "a preview".
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Driver(command) => command.into(),
            Self::Person(command) => command.into(),
            Self::Process(command) => command.into(),
        }
    }
}

/// The driver of a run answers what the run asks for, or holds it up. Each has its name for messages.
#[derive(Debug, Clone, PartialEq, strum::IntoStaticStr)]
pub enum DriverCommand {
    /// Go on as far as nothing from outside is needed.
    #[strum(serialize = "going on")]
    Advance,
    /// The risk of the plan.
    #[strum(serialize = "a prediction of its risk")]
    Assessed(Box<Assessment>),
    /// The effects of the step.
    #[strum(serialize = "a preview")]
    Previewed {
        /// The effects, as the host derived them.
        effects: Vec<Effect>,
        /// Digest of the preview's tape, if there is one.
        tape: Option<Digest>,
        /// What the preview used.
        usage: Usage,
    },
    /// The preview was refused what it asked for: the step is denied.
    #[strum(serialize = "a refusal")]
    Refused {
        /// What was refused, and by whom.
        message: String,
        /// Digest of the preview's tape, if there is one.
        tape: Option<Digest>,
        /// What the preview used.
        usage: Usage,
    },
    /// A guard's answer.
    #[strum(serialize = "a verdict")]
    Judged {
        /// Its answer.
        answer: GuardAnswer,
        /// What it used.
        usage: Usage,
    },
    /// The impact model's answer, or why it failed.
    #[strum(serialize = "an estimate")]
    Estimated {
        /// Its answer.
        impact: Result<Impact, String>,
        /// What it used.
        usage: Usage,
    },
    /// The executor asks for an effect.
    #[strum(serialize = "an effect")]
    HostCall(EffectRequest),
    /// An intended effect happened, or failed to.
    #[strum(serialize = "the end of an effect")]
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
    /// What a failed try changed is as it was before, or could not be restored.
    #[strum(serialize = "the end of restoring")]
    Restored {
        /// Why not.
        failure: Option<Failure>,
    },
    /// The step was carried out.
    #[strum(serialize = "an outcome")]
    Completed(StepDone),
    /// The preview or the step failed.
    #[strum(serialize = "a failure")]
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
    /// The next step has to wait.
    #[strum(serialize = "a delay")]
    Delay {
        /// Until when, in microseconds since 1970.
        until_us: u64,
        /// Why.
        reason: String,
    },
    /// The next step is not let on.
    #[strum(serialize = "holding a step up")]
    Block {
        /// Why.
        message: String,
        /// By what.
        by: Decider,
    },
    /// A budget of the tenant is used up.
    #[strum(serialize = "the end of a budget")]
    Exhausted {
        /// The budget; `None` when it is the room in the log.
        budget: Option<BudgetKind>,
        /// Which, and how.
        message: String,
    },
}

/// A person, or a program in its place, decides on a run from outside. Each has its name for messages.
#[derive(Debug, Clone, PartialEq, strum::IntoStaticStr)]
pub enum PersonCommand {
    /// A person's answer.
    #[strum(serialize = "an approval")]
    Answered {
        /// What the answer is for.
        binding: Binding,
        /// The answer.
        answer: ApprovalAnswer,
        /// The signature of the approver's key, if one was used.
        signed: Option<Signed>,
    },
    /// Somebody wants it to stop until it is resumed.
    #[strum(serialize = "a pause")]
    Pause {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// It may go on.
    #[strum(serialize = "resuming it")]
    Resume {
        /// Who says so.
        by: String,
    },
    /// A step is added behind the last one.
    #[strum(serialize = "another step")]
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
    #[strum(serialize = "revoking a grant that it does not have")]
    Revoke {
        /// The approval.
        grant: ApprovalId,
        /// Who revokes it.
        by: String,
    },
    /// Somebody wants it to stop, for good.
    #[strum(serialize = "a kill")]
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

/// A process takes a run up, leaves it, or finds what an earlier process left. Each has its name for messages.
#[derive(Debug, Clone, PartialEq, strum::IntoStaticStr)]
pub enum ProcessCommand {
    /// A process takes the run up again.
    #[strum(serialize = "taking it up again")]
    Continue(Box<Resumption>),
    /// The process leaves it between two steps.
    #[strum(serialize = "leaving it")]
    Leave,
    /// Its process ended, as a later one found.
    #[strum(serialize = "an interruption")]
    Interrupted,
    /// The step whose process ended is carried on.
    #[strum(serialize = "carrying a step on")]
    ResumeStep,
    /// An intended effect did not happen, or what it was answered is lost and it can be asked for again.
    #[strum(serialize = "that an effect did not happen")]
    HostCallUndone {
        /// Which.
        call: u32,
        /// What it may have cost.
        spent: Amounts,
    },
    /// Nobody can tell whether an effect of the step happened: its process ended.
    #[strum(serialize = "a doubt")]
    Doubt {
        /// Why, for people.
        message: String,
    },
}
