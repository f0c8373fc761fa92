//! Events that follow from decisions, answers and failures.

use super::command::{EffectRequest, HostCallJudgement, StepDone, StepFailure};
use super::judging::Judging;
use super::phase::Phase;
use super::stage::Stage;
use super::state::RunState;
use crate::event::{
    AllowedBy, ApprovalDecided, ApprovalRequested, EffectIntended, EffectRefused, KillTimes, PlanApprovalRequested,
    PlanJudged, RunEnd, RunEnded, RunEvent, RunStarted, SkipReason, StepCompleted, StepEnd, StepFailed, StepInDoubt,
    StepRestored, StepRetried, StepSkipped, StepStarted, Usage,
};
use crate::gate::GuardAnswer;
use crate::policy::OnDenied;
use crate::step_state::StepState;
use crate::{
    Amounts, ApprovalAnswer, ApprovalId, ApprovalKind, BudgetKind, Decider, Decision, Digest, Effect, Failure, Ledger,
    Ruling, StepId,
};

impl RunState {
    /// Begins to judge the next step, unless something else comes first.
    #[must_use]
    pub fn judging(&self, now_us: u64) -> Option<Judging> {
        let is_due = self.is_about_to_judge(now_us) && propose(self, now_us).is_empty();
        is_due.then(|| self.new_judging(now_us)).flatten()
    }
}

/// Events of the current step; none after the last step, where nothing is under way.
pub(super) fn with_step(state: &RunState, events: impl FnOnce(StepId) -> Vec<RunEvent>) -> Vec<RunEvent> {
    state.current().map(|step| step.id.clone()).map(events).unwrap_or_default()
}

pub(super) fn end(end: RunEnd, message: impl Into<String>) -> RunEvent {
    RunEnded { end, budget: None, message: message.into(), kill: None }.into()
}

/// The end of a run that used up a budget.
fn over_budget(budget: BudgetKind, message: impl Into<String>) -> RunEvent {
    RunEnded { end: RunEnd::Budget, budget: Some(budget), message: message.into(), kill: None }.into()
}

/// How many steps of a run whose last step is over were carried out, in words.
fn carried_out(state: &RunState) -> String {
    match state.steps.iter().filter(|step| step.state == StepState::Skipped).count() {
        0 => "all steps were carried out".to_owned(),
        1 => "1 step was skipped, all others were carried out".to_owned(),
        skipped => format!("{skipped} steps were skipped, all others were carried out"),
    }
}

/// Events that come instead of the next step's judgement; none where it is to be judged.
pub(super) fn propose(state: &RunState, now_us: u64) -> Vec<RunEvent> {
    if state.phase() == Phase::Created {
        return vec![RunStarted {}.into()];
    }
    let Some(step) = state.current() else {
        return vec![match state.ledger.overspent() {
            None => end(RunEnd::Completed, carried_out(state)),
            Some(kind) => over_budget(kind, format!("{}, and took more than the budget {kind}", carried_out(state))),
        }];
    };
    if let Some(kind) = out_of_budget(state, now_us) {
        return vec![over_budget(kind, format!("the budget {kind} is used up"))];
    }
    if state.limits.permits(&step.step_type) {
        return Vec::new();
    }
    let mut message = format!("the limits of this run do not permit steps of type {}", step.step_type);
    message.push_str(&state.why_not_permitted(&step.step_type));
    blocked(state, message, Decider::Limits, now_us)
}

/// Events of a step that is refused before any guard judges it.
pub(super) fn blocked(state: &RunState, message: String, by: Decider, now_us: u64) -> Vec<RunEvent> {
    let judged = state.new_judging(now_us).map(|judging| judging.into_event().into());
    judged.into_iter().chain(skip(state, SkipReason::Denied, message, vec![by])).collect()
}

pub(super) fn out_of_budget(state: &RunState, now_us: u64) -> Option<BudgetKind> {
    if state.time_left_us(now_us) == Some(0) {
        return Some(BudgetKind::TimeUs);
    }
    state.ledger.exhausted()
}

pub(super) fn plan_judged(state: &RunState, guard: usize, answer: GuardAnswer, usage: Usage) -> Vec<RunEvent> {
    let Some(slot) = state.setup.gate.guards.get(guard) else { return Vec::new() };
    let (verdict, failure) = answer.checked(state.may_rewrite()).into_parts();
    vec![PlanJudged { guard: slot.name.clone(), mode: slot.mode, verdict, failure, usage }.into()]
}

/// Events that follow from the decision on the whole plan; none after an allow, where the first step comes next.
pub(super) fn follow_plan(state: &RunState, decision: &Decision, now_us: u64) -> Vec<RunEvent> {
    match decision.ruling {
        Ruling::Allow => Vec::new(),
        Ruling::Review => {
            let binding = state.plan_binding();
            let (id, expires_us) = (ApprovalId::of(&binding, state.seq + 1), expiry(state, now_us));
            vec![PlanApprovalRequested { id, binding, expires_us }.into()]
        }
        Ruling::Deny | Ruling::Abstain => match state.ledger.exhausted() {
            Some(kind @ BudgetKind::Fuel) => {
                vec![over_budget(kind, format!("the budget {kind} is used up: {}", decision.why()))]
            }
            _ if decision.is_of_failed_guards() => {
                vec![end(RunEnd::GuardFailed, format!("the plan could not be judged: {}", decision.why()))]
            }
            _ => vec![end(RunEnd::Denied, format!("the plan was denied: {}", decision.why()))],
        },
    }
}

pub(super) fn restored(state: &RunState, failure: Option<Failure>) -> Vec<RunEvent> {
    match failure {
        None => with_step(state, |step| vec![StepRestored { step }.into()]),
        Some(failure) => {
            vec![end(RunEnd::StepFailed, format!("what the failed try changed could not be restored: {failure}"))]
        }
    }
}

/// Time at which a question asked now expires.
fn expiry(state: &RunState, now_us: u64) -> Option<u64> {
    let seconds = state.setup.policy.approval.expires_s?;
    Some(now_us.saturating_add(u64::from(seconds) * 1_000_000))
}

/// Events that follow from a decision on a step.
pub(super) fn follow(state: &RunState, decision: &Decision, effects: &[Effect], now_us: u64) -> Vec<RunEvent> {
    match decision.ruling {
        Ruling::Allow => start(state, effects, now_us),
        Ruling::Review => {
            let (Some(binding), Some(action)) = (state.binding(effects), state.action()) else { return Vec::new() };
            if state.attempt.approved.as_ref().is_some_and(|approved| approved.binding == binding) {
                return start(state, effects, now_us);
            }
            let may_be_held = ApprovalKind::refusal(effects).is_none();
            let held = may_be_held.then(|| state.grants.get(&ApprovalKind::of(&action, effects, decision))).flatten();
            let held = held.filter(|held| held.until_us.is_none_or(|until| now_us < until));
            let id = ApprovalId::of(&binding, state.seq + 1);
            with_step(state, |step| {
                let (asked, expires_us) = (id.clone(), expiry(state, now_us));
                let requested: RunEvent =
                    ApprovalRequested { step: step.clone(), id: asked, binding, expires_us, kind: None }.into();
                let decided = held.map(|held| {
                    let note = format!("as {}", held.id);
                    let channel = "earlier, for this kind".to_owned();
                    let by = held.by.clone();
                    let answer = ApprovalAnswer::Approved { by, channel, note, same_kind: false, until_us: None };
                    ApprovalDecided { step, id, binding, answer, signed: None }.into()
                });
                [requested].into_iter().chain(decided).collect()
            })
        }
        Ruling::Deny | Ruling::Abstain => {
            let reason = if decision.is_of_failed_guards() { SkipReason::GuardFailed } else { SkipReason::Denied };
            skip(state, reason, decision.why(), decision.deciders())
        }
    }
}

/// Events that follow from a refusing answer; none from another one.
pub(super) fn refused(state: &RunState, answer: &ApprovalAnswer) -> Vec<RunEvent> {
    let by = match answer {
        ApprovalAnswer::Rejected { by, .. } => Decider::Person(by.clone()),
        _ => Decider::NoAnswer,
    };
    refusal(answer).map(|(reason, message)| skip(state, reason, message, vec![by])).unwrap_or_default()
}

/// The answer as a refusal with its reason; `None` when it is not one.
pub(super) fn refusal(answer: &ApprovalAnswer) -> Option<(SkipReason, String)> {
    match answer {
        ApprovalAnswer::Approved { .. } | ApprovalAnswer::Edited { .. } | ApprovalAnswer::Happened { .. } => None,
        ApprovalAnswer::Rejected { by, reason, .. } if reason.is_empty() => {
            Some((SkipReason::Rejected, format!("rejected by {by}")))
        }
        ApprovalAnswer::Rejected { by, reason, .. } => {
            Some((SkipReason::Rejected, format!("rejected by {by}: {reason}")))
        }
        ApprovalAnswer::Expired { reason } => Some((SkipReason::Expired, reason.clone())),
    }
}

pub(super) fn skip(state: &RunState, reason: SkipReason, message: String, by: Vec<Decider>) -> Vec<RunEvent> {
    let mut events = with_step(state, |step| vec![StepSkipped { step, reason, message: message.clone(), by }.into()]);
    // A guard that had too little fuel left to judge fails, and so denies; the reason is the budget.
    if let Some(kind @ BudgetKind::Fuel) = state.ledger.exhausted() {
        events.push(over_budget(kind, format!("the budget {kind} is used up: {message}")));
        return events;
    }
    if state.setup.policy.run.on_denied == OnDenied::Stop {
        let how = if reason == SkipReason::GuardFailed { RunEnd::GuardFailed } else { RunEnd::Denied };
        events.push(end(how, message));
    }
    events
}

pub(super) fn start(state: &RunState, effects: &[Effect], now_us: u64) -> Vec<RunEvent> {
    // Judging and asking take time, too.
    if let Some(kind) = out_of_budget(state, now_us) {
        return vec![over_budget(kind, format!("the budget {kind} is used up"))];
    }
    let reserved: Amounts = [(BudgetKind::Steps, 1)].into();
    if let Err(error) = state.ledger.can_reserve(&reserved) {
        return vec![over_budget(BudgetKind::Steps, error.to_string())];
    }
    let Some(binding) = state.binding(effects) else { return Vec::new() };
    with_step(state, |step| vec![StepStarted { step, binding, reserved }.into()])
}

pub(super) fn host_call(state: &RunState, calls: u32, call: EffectRequest) -> Vec<RunEvent> {
    let EffectRequest { effect, judgement, note, reserve: reserved, over: tenants, asked } = call;
    let judgement = &judgement;
    let allowed_by = match (state.covering(&effect), judgement) {
        (Some(index), _) => Ok(AllowedBy::Covered(u32::try_from(index).unwrap_or(u32::MAX))),
        (None, HostCallJudgement::Decided(judged)) if judged.decision.ruling == Ruling::Allow => Ok(AllowedBy::Judged),
        (None, HostCallJudgement::Decided(judged)) => Err(judged.decision.why()),
        (None, HostCallJudgement::NotNeeded) => Err("no approved effect covers it".to_owned()),
    };
    let judgement = match judgement {
        HostCallJudgement::NotNeeded => None,
        HostCallJudgement::Decided(judged) => Some((**judged).clone()),
    };
    let own = state.ledger.can_reserve(&reserved).err();
    let over = match own {
        Some(over) => Some((state.ledger.uncovered(&reserved), over.to_string())),
        None => tenants.map(|(budget, why)| (Some(budget), why)),
    };
    with_step(state, |step| {
        vec![match (allowed_by, over) {
            (Ok(_), Some((budget, reason))) => EffectRefused { step, effect, reason, judgement, budget }.into(),
            (Ok(allowed_by), None) => {
                EffectIntended { step, call: calls, effect, allowed_by, judgement, note, reserved, asked }.into()
            }
            (Err(reason), _) => EffectRefused { step, effect, reason, judgement, budget: None }.into(),
        }]
    })
}

pub(super) fn completed(state: &RunState, done: StepDone) -> Vec<RunEvent> {
    let StepDone { output, summary, delta, tape, reads, usage } = done;
    with_step(state, |step| vec![StepCompleted { step, output, summary, delta, tape, reads, usage }.into()])
}

/// The end of a run whose step failed for lack of a budget.
pub(super) fn out_of_budget_after(state: &RunState, usage: Usage, message: &str, now_us: u64) -> Option<RunEvent> {
    let mut ledger: Ledger = state.ledger.clone();
    ledger.settle(&Amounts::new(), &[(BudgetKind::Fuel, usage.fuel())].into());
    let over = match &state.stage {
        Stage::Executing(execution) => execution.over_budget,
        _ => None,
    };
    let kind = match ledger.exhausted() {
        _ if state.time_left_us(now_us) == Some(0) => BudgetKind::TimeUs,
        Some(kind @ BudgetKind::Fuel) => kind,
        // The message says it.
        _ => return over.map(|kind| over_budget(kind, message)),
    };
    Some(over_budget(kind, format!("the budget {kind} is used up: {message}")))
}

/// Whether an effect that changes the world was intended and is not known to have happened.
pub(super) fn is_in_doubt(state: &RunState) -> bool {
    let Stage::Executing(execution) = &state.stage else { return false };
    execution.open.values().any(|open| open.effect.changes_the_world())
}

/// Events of a step whose preview failed.
pub(super) fn preview_failed(state: &RunState, judging: Judging, failure: StepFailure, now_us: u64) -> Vec<RunEvent> {
    let judged: RunEvent = judging.into_event().into();
    let failed = step_failed(&state.after(&judged, now_us), failure, now_us);
    [judged].into_iter().chain(failed).collect()
}

pub(super) fn step_failed(state: &RunState, failure: StepFailure, now_us: u64) -> Vec<RunEvent> {
    let StepFailure { end: name, message, retry_can_help, tape, reads, usage } = failure;
    let over = out_of_budget_after(state, usage, &message, now_us);
    // An effect that happened before its process ended and is not requested again happened all the same.
    let is_lost = name == StepEnd::Diverged && !state.answered().is_empty();
    if is_in_doubt(state) || is_lost {
        let mut events = in_doubt(state, name, message, tape, usage);
        if let (Some(over), [RunEvent::StepInDoubt(StepInDoubt { id, binding, .. })]) = (over, &mut events[..]) {
            (*id, *binding) = (None, None);
            events.push(over);
        }
        return events;
    }
    let text = message.clone();
    let failed = with_step(state, |step| {
        vec![StepFailed { step, end: name, message: text, retry_can_help, tape, reads, usage }.into()]
    });
    let after = match over {
        Some(over) => vec![over],
        None if retry_can_help && state.retries_left() > 0 => {
            let (wait_us, restores) = (state.setup.policy.run.backoff_us(state.attempt.number), state.restores());
            with_step(state, |step| {
                vec![StepRetried { step, attempt: state.attempt.number + 1, wait_us, restores }.into()]
            })
        }
        None => vec![end(RunEnd::StepFailed, message)],
    };
    failed.into_iter().chain(after).collect()
}

/// Events when an effect of the step may or may not have happened: a person is asked about it.
pub(super) fn in_doubt(
    state: &RunState,
    end: StepEnd,
    message: String,
    tape: Option<Digest>,
    usage: Usage,
) -> Vec<RunEvent> {
    let binding = state.binding(state.effects());
    let id = binding.as_ref().map(|binding| ApprovalId::of(binding, state.seq + 1));
    with_step(state, |step| vec![StepInDoubt { step, end, message, tape, usage, id, binding }.into()])
}

/// The end of a run whose tenant has no budget or room left.
pub(super) fn exhausted(state: &RunState, budget: Option<BudgetKind>, message: String) -> Vec<RunEvent> {
    let mut events = match &state.stage {
        Stage::Executing(_) => step_failed_for_budget(state, &message),
        _ => Vec::new(),
    };
    events.push(RunEnded { end: RunEnd::Budget, budget, message, kill: None }.into());
    events
}

fn step_failed_for_budget(state: &RunState, message: &str) -> Vec<RunEvent> {
    let (end, message, tape, usage) = (StepEnd::Budget, message.to_owned(), None, Usage::default());
    with_step(state, |step| {
        vec![if is_in_doubt(state) {
            StepInDoubt { step, end, message, tape, usage, id: None, binding: None }.into()
        } else {
            StepFailed { step, end, message, retry_can_help: false, tape, reads: Vec::new(), usage }.into()
        }]
    })
}

pub(super) fn kill(state: &RunState, by: &str, times: KillTimes, tape: Option<Digest>, usage: Usage) -> Vec<RunEvent> {
    let (killed, message) = (StepEnd::Killed, format!("killed by {by}"));
    let mut events = match &state.stage {
        Stage::Executing(_) => with_step(state, |step| {
            let (end, message) = (killed, message.clone());
            vec![if is_in_doubt(state) {
                StepInDoubt { step, end, message, tape, usage, id: None, binding: None }.into()
            } else {
                StepFailed { step, end, message, retry_can_help: false, tape, reads: Vec::new(), usage }.into()
            }]
        }),
        _ => Vec::new(),
    };
    events.push(RunEnded { end: RunEnd::Killed, budget: None, message, kill: Some(times) }.into());
    events
}
