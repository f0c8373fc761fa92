//! What may follow from what.

use super::state::{Command, HostCallJudgement, Phase, RunState, Stage, StepDone};
use crate::event::{AllowedBy, Event, RunEnd, SkipReason, Usage};
use crate::gate::GuardAnswer;
use crate::policy::OnDenied;
use crate::{Amounts, ApprovalAnswer, BudgetKind, Decision, Digest, Effect, Error, Impact, Ledger, Ruling, StepId};

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
        (Command::Kill { by, tape, usage }, _) => Ok(kill(state, &by, tape, usage)),
        (Command::Advance, Stage::Idle) => Ok(propose(state, now_us)),
        (Command::Advance, Stage::Gate(gate)) => match gate.ask() {
            crate::GateAsk::Decided(decision) => Ok(decided(state, decision)),
            _ => Err(not_now(state, &Command::Advance)),
        },
        (Command::Advance, Stage::Decided { decision, effects }) => Ok(follow(state, decision, effects, now_us)),
        (Command::Advance, Stage::Approved { effects }) => Ok(start(state, effects, now_us)),
        (Command::Previewed { effects, usage }, Stage::Gate(gate)) if gate.ask() == crate::GateAsk::Preview => {
            Ok(with_step(state, |step| vec![Event::EffectsPreviewed { step, effects, usage }]))
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
        (Command::HostCall { effect, judgement, note }, Stage::Executing(execution)) => {
            Ok(host_call(state, execution.calls, effect, &judgement, note))
        }
        (Command::HostCallDone { call, failure }, Stage::Executing(execution))
            if execution.open.contains_key(&call) =>
        {
            Ok(with_step(state, |step| vec![Event::EffectPerformed { step, call, failure }]))
        }
        (Command::Completed(done), Stage::Executing(_)) => Ok(completed(state, done)),
        (Command::Failed { end, message, retry_can_help, tape, usage }, Stage::Executing(_) | Stage::Gate(_)) => {
            let text = message.clone();
            let failed = with_step(state, |step| {
                vec![if is_in_doubt(state) {
                    Event::StepInDoubt { step, end, message: text, tape, usage }
                } else {
                    Event::StepFailed { step, end, message: text, retry_can_help, tape, usage }
                }]
            });
            Ok(failed.into_iter().chain([after_failure(state, usage, message, now_us)]).collect())
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
        Command::Kill { .. } => "a kill",
    };
    Error::NotNow { state: state.phase.to_string(), command }
}

/// Events of the current step; none behind the last one, where nothing is under way.
fn with_step(state: &RunState, events: impl FnOnce(StepId) -> Vec<Event>) -> Vec<Event> {
    state.current().map(|step| step.id.clone()).map(events).unwrap_or_default()
}

fn end(end: RunEnd, message: impl Into<String>) -> Event {
    Event::RunEnded { end, message: message.into() }
}

fn propose(state: &RunState, now_us: u64) -> Vec<Event> {
    if state.phase == Phase::Created {
        return vec![Event::RunStarted];
    }
    let Some(step) = state.current() else {
        return vec![end(RunEnd::Completed, "all steps were carried out")];
    };
    if let Some(kind) = out_of_budget(state, now_us) {
        return vec![end(RunEnd::Budget, format!("the budget {kind} is used up"))];
    }
    let proposed = Event::StepProposed {
        step: step.id.clone(),
        index: u32::try_from(state.cursor).unwrap_or(u32::MAX),
        attempt: state.attempt,
        step_type: step.step_type.clone(),
        input: step.input.digest(),
        description: step.description.clone(),
    };
    if state.limits.permits(&step.step_type) {
        return vec![proposed];
    }
    let message = format!("the limits of this run do not permit steps of type {}", step.step_type);
    let mut events = vec![proposed];
    events.extend(skip(state, SkipReason::Denied, message));
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
    let (verdict, failure) = match answer.checked() {
        GuardAnswer::Verdict(verdict) => (Some(verdict), None),
        GuardAnswer::Failed(why) => (None, Some(why)),
    };
    with_step(state, |step| {
        vec![Event::GuardJudged { step, guard: slot.name.clone(), mode: slot.mode, verdict, failure, usage }]
    })
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
            let Some(binding) = state.binding(effects) else { return Vec::new() };
            with_step(state, |step| vec![Event::ApprovalRequested { step, binding }])
        }
        Ruling::Deny | Ruling::Abstain => skip(state, SkipReason::Denied, decision.why()),
    }
}

/// What follows from an answer that is not an approval; nothing from an approval.
fn refused(state: &RunState, answer: &ApprovalAnswer) -> Vec<Event> {
    match answer {
        ApprovalAnswer::Approved { .. } => Vec::new(),
        ApprovalAnswer::Rejected { by, reason, .. } if reason.is_empty() => {
            skip(state, SkipReason::Rejected, format!("rejected by {by}"))
        }
        ApprovalAnswer::Rejected { by, reason, .. } => {
            skip(state, SkipReason::Rejected, format!("rejected by {by}: {reason}"))
        }
        ApprovalAnswer::Expired { reason } => skip(state, SkipReason::Expired, reason.clone()),
    }
}

fn skip(state: &RunState, reason: SkipReason, message: String) -> Vec<Event> {
    let mut events = with_step(state, |step| vec![Event::StepSkipped { step, reason, message: message.clone() }]);
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
) -> Vec<Event> {
    let allowed_by = match (state.covering(&effect), judgement) {
        (Some(index), _) => Ok(AllowedBy::Covered(u32::try_from(index).unwrap_or(u32::MAX))),
        (None, HostCallJudgement::Decided(judged)) if judged.decision.ruling == Ruling::Allow => Ok(AllowedBy::Judged),
        (None, HostCallJudgement::Decided(judged)) => Err(judged.decision.why()),
        (None, HostCallJudgement::NotNeeded) => Err("no approved effect covers it".to_owned()),
    };
    let judgement = match judgement {
        HostCallJudgement::NotNeeded => None,
        HostCallJudgement::Decided(judged) => Some(judged.clone()),
    };
    with_step(state, |step| {
        vec![match allowed_by {
            Ok(allowed_by) => Event::EffectIntended { step, call: calls, effect, allowed_by, judgement, note },
            Err(reason) => Event::EffectRefused { step, effect, reason, judgement },
        }]
    })
}

fn completed(state: &RunState, done: StepDone) -> Vec<Event> {
    let StepDone { output, summary, delta, tape, usage } = done;
    with_step(state, |step| vec![Event::StepCompleted { step, output, summary, delta, tape, usage }])
}

fn after_failure(state: &RunState, usage: Usage, message: String, now_us: u64) -> Event {
    if state.time_left_us(now_us) == Some(0) {
        return end(RunEnd::Budget, format!("the budget {} is used up: {message}", BudgetKind::TimeUs));
    }
    let mut ledger: Ledger = state.ledger.clone();
    ledger.settle(&Amounts::new(), &[(BudgetKind::Fuel, usage.fuel())].into());
    match ledger.exhausted() {
        Some(kind @ BudgetKind::Fuel) => end(RunEnd::Budget, format!("the budget {kind} is used up: {message}")),
        _ => end(RunEnd::StepFailed, message),
    }
}

/// Whether an effect that changes the world was intended and is not known to have happened.
fn is_in_doubt(state: &RunState) -> bool {
    let Stage::Executing(execution) = &state.stage else { return false };
    execution.open.values().any(|effect| !effect.only_reads())
}

fn kill(state: &RunState, by: &str, tape: Option<Digest>, usage: Usage) -> Vec<Event> {
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
    events.push(end(RunEnd::Killed, message));
    events
}
