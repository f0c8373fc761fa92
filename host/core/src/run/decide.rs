//! What may follow from what.

use super::state::{Phase, RunState, Stage};
use super::told::{Command, HostCallJudgement, StepDone};
use crate::event::{AllowedBy, Event, KillTimes, ModelUse, RunEnd, SkipReason, Usage};
use crate::gate::GuardAnswer;
use crate::policy::OnDenied;
use crate::{
    Amounts, ApprovalAnswer, ApprovalKind, BudgetKind, Decision, Digest, Effect, Error, Failure, Impact, Ledger,
    Ruling, StepId, Verdict,
};

/// The events that follow from a command in a state. The state is not changed; apply the events to change it.
///
/// # Errors
/// [`Error::NotNow`] for a command that the state does not ask for, and [`Error::BindingChanged`] for an approval of
/// something else.
pub fn decide(state: &RunState, command: Command, now_us: u64) -> Result<Vec<Event>, Error> {
    if let Phase::Ended(_) = state.phase {
        return Err(not_now(state, &command));
    }
    match (command, &state.stage) {
        (Command::Kill { by, times, tape, usage }, _) => Ok(kill(state, &by, times, tape, usage)),
        (Command::Advance, Stage::Idle) => Ok(propose(state, now_us)),
        (Command::Advance, Stage::Retry { until_us, restores })
            if restores.is_empty() && (now_us >= *until_us || state.time_left_us(now_us) == Some(0)) =>
        {
            Ok(propose(state, now_us))
        }
        (Command::Restored { failure }, Stage::Retry { restores, .. }) if !restores.is_empty() => {
            Ok(restored(state, failure))
        }
        (Command::Advance, Stage::Plan(gate)) => match gate.ask() {
            crate::GateAsk::Decided(decision) => Ok(vec![Event::PlanDecided { decision: decision.clone() }]),
            _ => Err(not_now(state, &Command::Advance)),
        },
        (Command::Advance, Stage::PlanDecided { decision }) => Ok(follow_plan(state, decision, now_us)),
        (Command::Judged { answer, usage }, Stage::Plan(gate)) => match gate.ask() {
            crate::GateAsk::Judge { guard } => Ok(plan_judged(state, guard, answer, usage)),
            _ => Err(not_now(state, &Command::Judged { answer, usage })),
        },
        (Command::Answered { binding, answer }, Stage::PlanPerson { binding: asked, .. }) => {
            if matches!(answer, ApprovalAnswer::Edited { .. }) {
                return Err(not_now(state, &Command::Answered { binding, answer }));
            }
            if binding != *asked {
                return Err(Error::BindingChanged { approved: binding.0.to_string(), current: asked.0.to_string() });
            }
            let why = refusal(&answer);
            let answered = Event::PlanApprovalDecided { binding, answer };
            Ok([answered].into_iter().chain(why.map(|(_, message)| end(RunEnd::Denied, message))).collect())
        }
        (Command::Advance, Stage::Gate(gate)) => match gate.ask() {
            crate::GateAsk::Decided(decision) => Ok(decided(state, decision)),
            _ => Err(not_now(state, &Command::Advance)),
        },
        (Command::Advance, Stage::Decided { decision, effects }) => Ok(follow(state, decision, effects, now_us)),
        (Command::Advance, Stage::Approved { effects }) => Ok(start(state, effects, now_us)),
        (Command::Previewed { effects, tape, usage }, Stage::Gate(gate)) if gate.ask() == crate::GateAsk::Preview => {
            Ok(with_step(state, |step| vec![Event::EffectsPreviewed { step, effects, tape, usage }]))
        }
        (Command::Judged { answer, usage }, Stage::Gate(gate)) => match gate.ask() {
            crate::GateAsk::Judge { guard } => Ok(judged(state, guard, answer, usage)),
            _ => Err(not_now(state, &Command::Judged { answer, usage })),
        },
        (Command::Estimated { impact, usage }, Stage::Gate(gate)) if gate.ask() == crate::GateAsk::Estimate => {
            Ok(estimated(state, impact, usage))
        }
        (Command::Answered { binding, answer }, Stage::Person { binding: asked, .. }) => {
            if binding != *asked {
                return Err(Error::BindingChanged { approved: binding.0.to_string(), current: asked.0.to_string() });
            }
            Ok(with_step(state, |step| vec![Event::ApprovalDecided { step, binding, answer: answer.clone() }])
                .into_iter()
                .chain(refused(state, &answer))
                .collect())
        }
        (Command::HostCall { effect, judgement, note, reserve }, Stage::Executing(execution)) => {
            Ok(host_call(state, execution.calls, effect, &judgement, note, reserve))
        }
        (Command::HostCallDone { call, failure, spent, model }, Stage::Executing(execution))
            if execution.open.contains_key(&call) =>
        {
            Ok(performed(state, call, failure, spent, model))
        }
        (Command::Completed(done), Stage::Executing(_)) => Ok(completed(state, done)),
        (
            Command::Failed { end, message, retry_can_help, tape, usage, restores },
            Stage::Executing(_) | Stage::Gate(_),
        ) => {
            let (text, in_doubt) = (message.clone(), is_in_doubt(state));
            let failed = with_step(state, |step| {
                vec![if in_doubt {
                    Event::StepInDoubt { step, end, message: text, tape, usage }
                } else {
                    Event::StepFailed { step, end, message: text, retry_can_help, tape, usage }
                }]
            });
            let after = match out_of_budget_after(state, usage, &message, now_us) {
                Some(over) => vec![over],
                None if retry_can_help && !in_doubt && state.retries_left() > 0 => retry(state, restores),
                None => vec![self::end(RunEnd::StepFailed, message)],
            };
            Ok(failed.into_iter().chain(after).collect())
        }
        (Command::Refused { message, tape, usage }, Stage::Gate(gate)) if gate.ask() == crate::GateAsk::Preview => {
            let effects = Vec::new();
            let previewed = with_step(state, |step| vec![Event::EffectsPreviewed { step, effects, tape, usage }]);
            Ok(previewed
                .into_iter()
                .chain(skip(state, SkipReason::Denied, message, vec!["workspace".to_owned()]))
                .collect())
        }
        (command, _) => Err(not_now(state, &command)),
    }
}

fn not_now(state: &RunState, command: &Command) -> Error {
    let command = match command {
        Command::Advance => "going on",
        Command::Previewed { .. } => "a preview",
        Command::Judged { .. } => "a verdict",
        Command::Estimated { .. } => "an estimate",
        Command::Answered { .. } => "an approval",
        Command::HostCall { .. } => "an effect",
        Command::HostCallDone { .. } => "the end of an effect",
        Command::Completed(_) => "an outcome",
        Command::Failed { .. } => "a failure",
        Command::Refused { .. } => "a refusal",
        Command::Restored { .. } => "the end of restoring",
        Command::Kill { .. } => "a kill",
    };
    Error::NotNow { state: state.phase.to_string(), command }
}

/// Events of the current step; none behind the last one, where nothing is under way.
fn with_step(state: &RunState, events: impl FnOnce(StepId) -> Vec<Event>) -> Vec<Event> {
    state.current().map(|step| step.id.clone()).map(events).unwrap_or_default()
}

fn end(end: RunEnd, message: impl Into<String>) -> Event {
    Event::RunEnded { end, message: message.into(), kill: None }
}

fn propose(state: &RunState, now_us: u64) -> Vec<Event> {
    if state.phase == Phase::Created {
        return vec![Event::RunStarted];
    }
    let Some(step) = state.current() else {
        return vec![match state.ledger.overspent() {
            None => end(RunEnd::Completed, "all steps were carried out"),
            Some(kind) => {
                end(RunEnd::Budget, format!("all steps were carried out, and took more than the budget {kind}"))
            }
        }];
    };
    if let Some(kind) = out_of_budget(state, now_us) {
        return vec![end(RunEnd::Budget, format!("the budget {kind} is used up"))];
    }
    let proposed = Event::StepProposed {
        step: step.id.clone(),
        index: u32::try_from(state.cursor).unwrap_or(u32::MAX),
        attempt: state.attempt,
        step_type: step.step_type.clone(),
        input: state.action().map_or_else(|| step.input.digest(), |action| action.input.digest()),
        description: step.description.clone(),
    };
    if state.limits.permits(&step.step_type) {
        return vec![proposed];
    }
    let message = format!("the limits of this run do not permit steps of type {}", step.step_type);
    let mut events = vec![proposed];
    events.extend(skip(state, SkipReason::Denied, message, vec!["limits".to_owned()]));
    events
}

fn out_of_budget(state: &RunState, now_us: u64) -> Option<BudgetKind> {
    if state.time_left_us(now_us) == Some(0) {
        return Some(BudgetKind::TimeUs);
    }
    state.ledger.exhausted()
}

fn judged(state: &RunState, guard: usize, answer: GuardAnswer, usage: Usage) -> Vec<Event> {
    let Some(slot) = state.setup.gate.guards.get(guard) else { return Vec::new() };
    let (verdict, failure) = verdict_or_failure(state, answer);
    with_step(state, |step| {
        vec![Event::GuardJudged { step, guard: slot.name.clone(), mode: slot.mode, verdict, failure, usage }]
    })
}

fn plan_judged(state: &RunState, guard: usize, answer: GuardAnswer, usage: Usage) -> Vec<Event> {
    let Some(slot) = state.setup.gate.guards.get(guard) else { return Vec::new() };
    let (verdict, failure) = verdict_or_failure(state, answer);
    vec![Event::PlanJudged { guard: slot.name.clone(), mode: slot.mode, verdict, failure, usage }]
}

fn verdict_or_failure(state: &RunState, answer: GuardAnswer) -> (Option<Verdict>, Option<String>) {
    match answer.checked(state.may_rewrite()) {
        GuardAnswer::Verdict(verdict) => (Some(verdict), None),
        GuardAnswer::Failed(why) => (None, Some(why)),
    }
}

/// What follows from the decision on the whole plan; after an allow, the first step.
fn follow_plan(state: &RunState, decision: &Decision, now_us: u64) -> Vec<Event> {
    match decision.ruling {
        Ruling::Allow => propose(state, now_us),
        Ruling::Review => vec![Event::PlanApprovalRequested { binding: state.plan_binding() }],
        Ruling::Deny | Ruling::Abstain => match state.ledger.exhausted() {
            Some(kind @ BudgetKind::Fuel) => {
                vec![end(RunEnd::Budget, format!("the budget {kind} is used up: {}", decision.why()))]
            }
            _ => vec![end(RunEnd::Denied, format!("the plan was denied: {}", decision.why()))],
        },
    }
}

fn restored(state: &RunState, failure: Option<Failure>) -> Vec<Event> {
    match failure {
        None => with_step(state, |step| vec![Event::StepRestored { step }]),
        Some(failure) => {
            vec![end(RunEnd::StepFailed, format!("what the failed try changed could not be restored: {failure}"))]
        }
    }
}

fn retry(state: &RunState, restores: Vec<Effect>) -> Vec<Event> {
    let wait_us = state.setup.policy.run.backoff_us(state.attempt);
    with_step(state, |step| vec![Event::StepRetried { step, attempt: state.attempt + 1, wait_us, restores }])
}

fn performed(
    state: &RunState,
    call: u32,
    failure: Option<Failure>,
    spent: Amounts,
    model: Option<ModelUse>,
) -> Vec<Event> {
    with_step(state, |step| vec![Event::EffectPerformed { step, call, failure, spent, model }])
}

fn estimated(state: &RunState, impact: Result<Impact, String>, usage: Usage) -> Vec<Event> {
    let fault = |impact: &Impact| impact.act.fault().or_else(|| impact.refrain.fault());
    // Numbers out of range, NaN above all, are not kept: JSON cannot hold them.
    let (impact, failure) = match impact.and_then(|impact| fault(&impact).map_or(Ok(impact), Err)) {
        Ok(impact) => (Some(impact), None),
        Err(why) => (None, Some(why)),
    };
    with_step(state, |step| vec![Event::ImpactEstimated { step, impact, failure, usage }])
}

fn decided(state: &RunState, decision: &Decision) -> Vec<Event> {
    with_step(state, |step| vec![Event::Decided { step, decision: decision.clone() }])
}

/// What follows from a decision.
fn follow(state: &RunState, decision: &Decision, effects: &[Effect], now_us: u64) -> Vec<Event> {
    match decision.ruling {
        Ruling::Allow => start(state, effects, now_us),
        Ruling::Review => {
            let (Some(binding), Some(action)) = (state.binding(effects), state.action()) else { return Vec::new() };
            let approved = state.same_kind.get(&ApprovalKind::of(&action, effects, decision)).cloned();
            with_step(state, |step| {
                let requested = Event::ApprovalRequested { step: step.clone(), binding };
                let answer = |by| ApprovalAnswer::Approved {
                    by,
                    channel: "earlier, for this kind".to_owned(),
                    same_kind: false,
                };
                let decided = approved.map(|by| Event::ApprovalDecided { step, binding, answer: answer(by) });
                [requested].into_iter().chain(decided).collect()
            })
        }
        Ruling::Deny | Ruling::Abstain => skip(state, SkipReason::Denied, decision.why(), decision.deciders()),
    }
}

/// What follows from an answer that is a refusal; nothing from another one.
fn refused(state: &RunState, answer: &ApprovalAnswer) -> Vec<Event> {
    let by = match answer {
        ApprovalAnswer::Rejected { by, .. } => by.clone(),
        _ => "nobody".to_owned(),
    };
    refusal(answer).map(|(reason, message)| skip(state, reason, message, vec![by])).unwrap_or_default()
}

/// The refusal that an answer is, if it is one, in words.
fn refusal(answer: &ApprovalAnswer) -> Option<(SkipReason, String)> {
    match answer {
        ApprovalAnswer::Approved { .. } | ApprovalAnswer::Edited { .. } => None,
        ApprovalAnswer::Rejected { by, reason, .. } if reason.is_empty() => {
            Some((SkipReason::Rejected, format!("rejected by {by}")))
        }
        ApprovalAnswer::Rejected { by, reason, .. } => {
            Some((SkipReason::Rejected, format!("rejected by {by}: {reason}")))
        }
        ApprovalAnswer::Expired { reason } => Some((SkipReason::Expired, reason.clone())),
    }
}

fn skip(state: &RunState, reason: SkipReason, message: String, by: Vec<String>) -> Vec<Event> {
    let mut events = with_step(state, |step| vec![Event::StepSkipped { step, reason, message: message.clone(), by }]);
    // A guard that had too little fuel left to judge fails, and so denies; the reason is the budget.
    if let Some(kind @ BudgetKind::Fuel) = state.ledger.exhausted() {
        events.push(end(RunEnd::Budget, format!("the budget {kind} is used up: {message}")));
        return events;
    }
    if state.setup.policy.run.on_denied == OnDenied::Stop {
        events.push(end(RunEnd::Denied, message));
    }
    events
}

fn start(state: &RunState, effects: &[Effect], now_us: u64) -> Vec<Event> {
    // Judging and asking take time, too.
    if let Some(kind) = out_of_budget(state, now_us) {
        return vec![end(RunEnd::Budget, format!("the budget {kind} is used up"))];
    }
    let reserved: Amounts = [(BudgetKind::Steps, 1)].into();
    if let Err(error) = state.ledger.can_reserve(&reserved) {
        return vec![end(RunEnd::Budget, error.to_string())];
    }
    let Some(binding) = state.binding(effects) else { return Vec::new() };
    with_step(state, |step| vec![Event::StepStarted { step, binding, reserved }])
}

fn host_call(
    state: &RunState,
    calls: u32,
    effect: Effect,
    judgement: &HostCallJudgement,
    note: Option<String>,
    reserved: Amounts,
) -> Vec<Event> {
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
    let over = state.ledger.can_reserve(&reserved).err();
    with_step(state, |step| {
        vec![match (allowed_by, over) {
            (Ok(_), Some(over)) => {
                let budget = state.ledger.uncovered(&reserved);
                Event::EffectRefused { step, effect, reason: over.to_string(), judgement, budget }
            }
            (Ok(allowed_by), None) => {
                Event::EffectIntended { step, call: calls, effect, allowed_by, judgement, note, reserved }
            }
            (Err(reason), _) => Event::EffectRefused { step, effect, reason, judgement, budget: None },
        }]
    })
}

fn completed(state: &RunState, done: StepDone) -> Vec<Event> {
    let StepDone { output, summary, delta, tape, usage } = done;
    with_step(state, |step| vec![Event::StepCompleted { step, output, summary, delta, tape, usage }])
}

/// The end of a run whose step failed for want of a budget.
fn out_of_budget_after(state: &RunState, usage: Usage, message: &str, now_us: u64) -> Option<Event> {
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
        _ => return over.map(|_| end(RunEnd::Budget, message)),
    };
    Some(end(RunEnd::Budget, format!("the budget {kind} is used up: {message}")))
}

/// Whether an effect that changes the world was intended and is not known to have happened.
fn is_in_doubt(state: &RunState) -> bool {
    let Stage::Executing(execution) = &state.stage else { return false };
    execution.open.values().any(|open| open.effect.changes_the_world())
}

fn kill(state: &RunState, by: &str, times: KillTimes, tape: Option<Digest>, usage: Usage) -> Vec<Event> {
    let (killed, message) = ("killed".to_owned(), format!("killed by {by}"));
    let mut events = match &state.stage {
        Stage::Executing(_) => with_step(state, |step| {
            let (end, message) = (killed, message.clone());
            vec![if is_in_doubt(state) {
                Event::StepInDoubt { step, end, message, tape, usage }
            } else {
                Event::StepFailed { step, end, message, retry_can_help: false, tape, usage }
            }]
        }),
        _ => Vec::new(),
    };
    events.push(Event::RunEnded { end: RunEnd::Killed, message, kill: Some(times) });
    events
}
