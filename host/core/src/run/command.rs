//! Commands to a run, grouped by their sender.

use std::collections::BTreeMap;

use super::judging::Judging;
use crate::event::{ApprovedRead, Judgement, KillTimes, ModelUse, PluginLogged, Signed, StepEnd, Usage};
use crate::gate::GuardAnswer;
use crate::risk::Assessment;
use crate::{
    Amounts, ApprovalAnswer, ApprovalId, Binding, BudgetKind, Decider, Decision, Digest, Effect, Failure, Step,
};

/// Judgement of a host call that no approved effect covers.
#[derive(Debug, Clone, PartialEq)]
pub enum HostCallJudgement {
    /// No judgement: an approved effect covers the call.
    NotNeeded,
    /// A judgement at the time of the call.
    Decided(Box<Judgement>),
}

/// An effect that an executor asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct EffectRequest {
    /// The effect, as the host derived it.
    pub effect: Effect,
    /// Judgement of the effect.
    pub judgement: HostCallJudgement,
    /// A remark for people on how the effect happens.
    pub note: Option<String>,
    /// Most that the effect may cost.
    pub reserve: Amounts,
    /// Budget of the tenant that cannot cover the cost, with a message about it.
    pub over: Option<(BudgetKind, String)>,
    /// Digest of the answers since the last effect and of the request now.
    pub asked: Option<Digest>,
}

/// Setup under which a process continues a run.
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
    /// Version of the host's engine.
    pub engine: String,
    /// Names of approvers' keys that are not known any more; what they approved and is not used is void.
    pub voided: Vec<String>,
}

/// A preview or a step that failed.
#[derive(Debug, Clone, PartialEq)]
pub struct StepFailure {
    /// Typed end of the preview or step.
    pub end: StepEnd,
    /// Description of the failure, for people.
    pub message: String,
    /// Whether trying again can help.
    pub retry_can_help: bool,
    /// Digest of the tape, if there is one.
    pub tape: Option<Digest>,
    /// Files of the approved effects that it read, or failed to.
    pub reads: Vec<ApprovedRead>,
    /// Amounts that the invocation used.
    pub usage: Usage,
}

/// Result of a step that was carried out.
#[derive(Debug, Clone, PartialEq)]
pub struct StepDone {
    /// Digest of the output.
    pub output: Digest,
    /// Summary of the step, in one line.
    pub summary: String,
    /// Digest of the data that undoing needs.
    pub delta: Option<Digest>,
    /// Digest of the step's tape.
    pub tape: Digest,
    /// Files of the approved effects that it read, or failed to.
    pub reads: Vec<ApprovedRead>,
    /// Amounts that the step used.
    pub usage: Usage,
}

/// One command to a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// From the run's driver.
    Driver(DriverCommand),
    /// From a person.
    Person(PersonCommand),
    /// From a process.
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
    /// Name of the command in messages, such as "a preview".
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Driver(command) => command.into(),
            Self::Person(command) => command.into(),
            Self::Process(command) => command.into(),
        }
    }
}

/// A command of the driver, which answers the run's request or holds the run up. Each has a name for messages.
#[derive(Debug, Clone, PartialEq, strum::IntoStaticStr)]
pub enum DriverCommand {
    /// Continue as far as no input from outside is needed.
    #[strum(serialize = "going on")]
    Advance,
    /// The risk of the plan.
    #[strum(serialize = "a prediction of its risk")]
    Assessed(Box<Assessment>),
    /// The judgement of the step, with its decision.
    #[strum(serialize = "a judgement")]
    StepJudged(Box<Judging>),
    /// A request of the step's preview was refused: the step is denied.
    #[strum(serialize = "a refusal")]
    PreviewRefused {
        /// The judgement so far.
        judging: Box<Judging>,
        /// The refused request, and the decider that refused it.
        message: String,
    },
    /// The step's preview failed.
    #[strum(serialize = "a preview that failed")]
    PreviewFailed {
        /// The judgement so far.
        judging: Box<Judging>,
        /// How the preview failed.
        failure: StepFailure,
    },
    /// A guard's answer about the whole plan.
    #[strum(serialize = "a verdict")]
    PlanJudged {
        /// The guard's answer.
        answer: GuardAnswer,
        /// Amounts that the guard used.
        usage: Usage,
    },
    /// The executor asks for an effect.
    #[strum(serialize = "an effect")]
    HostCall(EffectRequest),
    /// An intended effect happened or failed.
    #[strum(serialize = "the end of an effect")]
    HostCallDone {
        /// Number of the host call.
        call: u32,
        /// Reason of the failure, if it failed.
        failure: Option<Failure>,
        /// Amounts that the effect used.
        spent: Amounts,
        /// Usage of the model call, if it was one.
        model: Option<ModelUse>,
        /// Digest of the answer.
        answer: Option<Digest>,
        /// Effect that takes it back.
        inverse: Option<Box<Effect>>,
    },
    /// The changes of a failed try are restored, or could not be.
    #[strum(serialize = "the end of restoring")]
    Restored {
        /// Reason of the failure, if it failed.
        failure: Option<Failure>,
    },
    /// The step was carried out.
    #[strum(serialize = "an outcome")]
    Completed(StepDone),
    /// The step failed.
    #[strum(serialize = "a failure")]
    Failed(StepFailure),
    /// The next step has to wait.
    #[strum(serialize = "a delay")]
    Delay {
        /// End of the wait, in microseconds since 1970.
        until_us: u64,
        /// Reason of the wait.
        reason: String,
    },
    /// The next step is blocked.
    #[strum(serialize = "holding a step up")]
    Block {
        /// Reason of the block.
        message: String,
        /// Decider that blocks the step.
        by: Decider,
    },
    /// A plugin logged something.
    #[strum(serialize = "a plugin's log")]
    Logged(PluginLogged),
    /// A budget of the tenant is used up.
    #[strum(serialize = "the end of a budget")]
    Exhausted {
        /// The budget; `None` when it is the room in the log.
        budget: Option<BudgetKind>,
        /// Description of the budget and its use.
        message: String,
    },
}

/// A command of a person, or of a program in its place, from outside. Each has a name for messages.
#[derive(Debug, Clone, PartialEq, strum::IntoStaticStr)]
pub enum PersonCommand {
    /// A person's answer.
    #[strum(serialize = "an approval")]
    Answered {
        /// Binding of the action that the answer is for.
        binding: Binding,
        /// Answer of the person.
        answer: ApprovalAnswer,
        /// The signature of the approver's key, if one was used.
        signed: Option<Signed>,
    },
    /// Pause the run until it is resumed.
    #[strum(serialize = "a pause")]
    Pause {
        /// Name of the person.
        by: String,
        /// Reason of the pause.
        reason: String,
    },
    /// Resume the run.
    #[strum(serialize = "resuming it")]
    Resume {
        /// Name of the person.
        by: String,
    },
    /// Add a step after the last one.
    #[strum(serialize = "another step")]
    AddStep {
        /// The new step.
        step: Box<Step>,
        /// Name of the person.
        by: String,
        /// Decision of the guards on the whole plan with the step.
        decision: Decision,
        /// Amounts that the guards used.
        usage: Usage,
    },
    /// Revoke an approval of all actions of a kind.
    #[strum(serialize = "revoking a grant that it does not have")]
    Revoke {
        /// Id of the approval.
        grant: ApprovalId,
        /// Name of the person.
        by: String,
    },
    /// Stop the run permanently.
    #[strum(serialize = "a kill")]
    Kill {
        /// Person or switch that killed it, for people.
        by: String,
        /// Times of the request and of the complete stop.
        times: KillTimes,
        /// Digest of the tape of the step that was under way, if there is one.
        tape: Option<Digest>,
        /// Amounts that the step had used.
        usage: Usage,
    },
}

/// A command of a process that continues a run, leaves it, or finds it interrupted. Each has a name for messages.
#[derive(Debug, Clone, PartialEq, strum::IntoStaticStr)]
pub enum ProcessCommand {
    /// A process continues the run.
    #[strum(serialize = "taking it up again")]
    Continue(Box<Resumption>),
    /// The process leaves the run between two steps.
    #[strum(serialize = "leaving it")]
    Leave,
    /// The run's process ended, as a later one found.
    #[strum(serialize = "an interruption")]
    Interrupted,
    /// The interrupted step continues.
    #[strum(serialize = "carrying a step on")]
    ResumeStep,
    /// An intended effect did not happen, or its answer is lost and it can be requested again.
    #[strum(serialize = "that an effect did not happen")]
    HostCallUndone {
        /// Number of the host call.
        call: u32,
        /// Amounts that the effect may have used.
        spent: Amounts,
    },
    /// It is unknown whether an effect of the step happened: its process ended.
    #[strum(serialize = "a doubt")]
    Doubt {
        /// Reason of the doubt, for people.
        message: String,
    },
}
