//! What a run is made of.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::approval::Bound;
use crate::event::{Judgement, RunEnd, Usage};
use crate::gate::{GateAsk, GateSetup, GuardAnswer, Reason};
use crate::situation::{HistoryEntry, Position};
use crate::{
    Action, Amounts, ApprovalAnswer, Binding, BudgetKind, Decision, Digest, Effect, Finding, Gate, Impact, Ledger,
    Origin, Plan, Policy, Ruling, RunId, RunLimits, Step,
};

/// What a run is started with. Together with its events it determines its state.
#[derive(Debug, Clone)]
pub struct RunSetup {
    /// The run.
    pub run: RunId,
    /// The plan.
    pub plan: Arc<Plan>,
    /// The policy.
    pub policy: Arc<Policy>,
    /// Digest of the policy.
    pub policy_digest: Digest,
    /// Digests of all plugins in use, by name.
    pub plugins: BTreeMap<String, Digest>,
    /// Who judges.
    pub gate: Arc<GateSetup>,
    /// What executors say of the step types that they serve: whether each step needs an approval.
    pub claimed_approval: BTreeMap<String, bool>,
    /// What the operator, the policy and the plan come to.
    pub limits: RunLimits,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nothing has happened.
    Created,
    /// Steps are judged and carried out.
    Running,
    /// Waiting for a person.
    Paused,
    /// Ended, for good.
    Ended(RunEnd),
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "CREATED",
            Self::Running => "RUNNING",
            Self::Paused => "PAUSED",
            Self::Ended(RunEnd::Completed) => "COMPLETED",
            Self::Ended(RunEnd::Killed) => "KILLED",
            Self::Ended(RunEnd::Denied | RunEnd::StepFailed | RunEnd::Budget) => "FAILED",
        })
    }
}

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Not begun, or before the gate.
    Pending,
    /// Being carried out.
    Running,
    /// Waiting for a person.
    AwaitingApproval,
    /// Not carried out.
    Skipped,
    /// Carried out.
    Completed,
    /// Did not work.
    Failed,
    /// May or may not have had an effect.
    InDoubt,
    /// Carried out and taken back.
    RolledBack,
}

/// One step of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct StepProgress {
    /// Where it stands.
    pub state: StepState,
    /// Digest of its output, once completed.
    pub output: Option<Digest>,
}

/// What is under way in the step at the cursor.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Stage {
    /// Nothing: the step has not been proposed.
    Idle,
    /// It is before the gate.
    Gate(Gate),
    /// The gate decided; this follows from it.
    Decided { decision: Decision, effects: Vec<Effect> },
    /// A person is asked.
    Person { decision: Decision, effects: Vec<Effect>, binding: Binding },
    /// A person approved.
    Approved { effects: Vec<Effect> },
    /// It is being carried out.
    Executing(Execution),
}

/// A step that is being carried out.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Execution {
    /// What was allowed or approved.
    pub effects: Vec<Effect>,
    /// Effects intended so far.
    pub calls: u32,
    /// Places in `effects` that were used up: what changes the world was approved once.
    pub used: BTreeSet<usize>,
    /// Effects intended, but not known to have happened.
    pub open: BTreeMap<u32, Effect>,
    /// What was set aside in the ledger.
    pub reserved: Amounts,
}

/// A run.
#[derive(Debug, Clone)]
pub struct RunState {
    pub(super) setup: Arc<RunSetup>,
    pub(super) phase: Phase,
    pub(super) steps: Vec<StepProgress>,
    /// The step that is under way or comes next.
    pub(super) cursor: usize,
    pub(super) attempt: u32,
    pub(super) stage: Stage,
    pub(super) limits: RunLimits,
    pub(super) ledger: Ledger,
    pub(super) history: Arc<Vec<HistoryEntry>>,
    pub(super) started_us: Option<u64>,
    pub(super) proposed_us: u64,
    pub(super) seq: u64,
}

/// What a run needs to be told next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ask<'a> {
    /// Nothing from outside: tell [`Command::Advance`].
    Advance,
    /// The effects of the current step: [`Command::Previewed`] or [`Command::Failed`].
    Preview,
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
    Decided(Judgement),
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
    },
    /// An intended effect happened, or failed to.
    HostCallDone {
        /// Which.
        call: u32,
        /// Why it failed, if it did.
        failure: Option<crate::Failure>,
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
    },
    /// Somebody wants it to stop, for good.
    Kill {
        /// Who or what, for people.
        by: String,
        /// Digest of the tape of the step that was under way, if there is one.
        tape: Option<Digest>,
        /// What that step had used.
        usage: Usage,
    },
}

impl RunState {
    /// A run without events.
    #[must_use]
    pub fn new(setup: Arc<RunSetup>) -> Self {
        let pending = StepProgress { state: StepState::Pending, output: None };
        Self {
            phase: Phase::Created,
            steps: vec![pending; setup.plan.steps.len()],
            cursor: 0,
            attempt: 1,
            stage: Stage::Idle,
            limits: setup.limits.clone(),
            ledger: Ledger::new(&setup.limits),
            history: Arc::default(),
            started_us: None,
            proposed_us: 0,
            seq: 0,
            setup,
        }
    }

    /// What it needs to be told next.
    #[must_use]
    pub fn ask(&self) -> Ask<'_> {
        if let Phase::Ended(_) = self.phase {
            return Ask::Nothing;
        }
        match &self.stage {
            Stage::Idle | Stage::Decided { .. } | Stage::Approved { .. } => Ask::Advance,
            Stage::Gate(gate) => match gate.ask() {
                GateAsk::Preview => Ask::Preview,
                GateAsk::Judge { guard } => Ask::Judge { guard },
                GateAsk::Estimate => Ask::Estimate,
                GateAsk::Decided(_) => Ask::Advance,
            },
            Stage::Person { decision, effects, binding } => Ask::Person { binding: *binding, decision, effects },
            Stage::Executing(execution) => Ask::Execute { effects: &execution.effects },
        }
    }

    /// What it was started with.
    #[must_use]
    pub fn setup(&self) -> &Arc<RunSetup> {
        &self.setup
    }

    /// Where it stands.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Its steps, in order.
    #[must_use]
    pub fn steps(&self) -> &[StepProgress] {
        &self.steps
    }

    /// Its budgets.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Its limits as they are now.
    #[must_use]
    pub fn limits(&self) -> &RunLimits {
        &self.limits
    }

    /// Steps that ended, oldest first.
    #[must_use]
    pub fn history(&self) -> &Arc<Vec<HistoryEntry>> {
        &self.history
    }

    /// When it started, in microseconds since 1970.
    #[must_use]
    pub fn started_us(&self) -> Option<u64> {
        self.started_us
    }

    /// When the current step was proposed, in microseconds since 1970.
    #[must_use]
    pub fn proposed_us(&self) -> u64 {
        self.proposed_us
    }

    /// The step that is under way or comes next; `None` behind the last.
    #[must_use]
    pub fn current(&self) -> Option<&Step> {
        self.setup.plan.steps.get(self.cursor)
    }

    /// The effects that are before the gate, or were allowed.
    #[must_use]
    pub fn effects(&self) -> &[Effect] {
        match &self.stage {
            Stage::Idle => &[],
            Stage::Gate(gate) => gate.effects(),
            Stage::Decided { effects, .. } | Stage::Person { effects, .. } | Stage::Approved { effects } => effects,
            Stage::Executing(execution) => &execution.effects,
        }
    }

    /// The place, among the effects of the step under way, of one that covers `needed` and is not used up: an effect that
    /// changes the world covers one host call, however often it is asked for.
    #[must_use]
    pub fn covering(&self, needed: &Effect) -> Option<usize> {
        let Stage::Executing(execution) = &self.stage else { return None };
        let is_free = |place: &usize| needed.only_reads() || !execution.used.contains(place);
        let covers = |(place, effect): (usize, &Effect)| effect.covers(needed).then_some(place);
        execution.effects.iter().enumerate().filter_map(covers).find(is_free)
    }

    /// Where the current step stands in the plan.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let step = self.current()?.id.clone();
        Some(Position { step, index: count(self.cursor), total: count(self.steps.len()), attempt: self.attempt })
    }

    /// The action of the current step.
    #[must_use]
    pub fn action(&self) -> Option<Action> {
        self.current().map(|step| Action {
            step_type: step.step_type.clone(),
            input: step.input.clone(),
            description: step.description.clone(),
            scope: step.scope,
            origin: Origin::Plan,
        })
    }

    /// Fuel that the next invocation may use: what is left of the budget, at most `most`.
    #[must_use]
    pub fn fuel_for_next(&self, most: u64) -> u64 {
        self.ledger.line(BudgetKind::Fuel).remaining().min(most)
    }

    /// Wall time that is left, in microseconds; `None` without a limit.
    #[must_use]
    pub fn time_left_us(&self, now_us: u64) -> Option<u64> {
        let limit = self.limits.time_us?;
        let used = now_us.saturating_sub(self.started_us.unwrap_or(now_us));
        Some(limit.saturating_sub(used))
    }

    /// The binding of the current step with these effects.
    pub(super) fn binding(&self, effects: &[Effect]) -> Option<Binding> {
        let (step, action) = (self.current()?, self.action()?);
        Some(Binding::of(Bound {
            run: &self.setup.run,
            step: &step.id,
            attempt: self.attempt,
            action: &action,
            effects,
            plugins: &self.setup.plugins,
            policy: &self.setup.policy_digest,
        }))
    }

    /// Why the current step needs an approval whatever guards allow.
    #[must_use]
    pub fn approval_reasons(&self) -> Vec<Reason> {
        let Some(step) = self.current() else { return Vec::new() };
        let claimed = self.setup.claimed_approval.get(&step.step_type).copied();
        let reason = |message: String| Reason::new("policy", Ruling::Review, Finding::info("needs-approval", message));
        let mut reasons = Vec::new();
        if self.setup.policy.needs_approval(&step.step_type, claimed) {
            reasons.push(reason(format!("steps of type {} need an approval", step.step_type)));
        }
        if self.limits.require_approval {
            reasons.push(reason("the limits of this run ask for an approval of every step".to_owned()));
        }
        reasons
    }
}
