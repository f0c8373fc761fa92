//! Events that follow from the driver's commands.

use super::refuse::Refuse;
use crate::event::{EffectPerformed, EffectsPreviewed, PlanDecided, RunEvent, SkipReason, StepDelayed};
use crate::gate::GateAsk;
use crate::run::command::DriverCommand;
use crate::run::follow::{
    StepFailure, completed, decided, estimated, exhausted, follow, follow_plan, host_call, judged, plan_judged,
    propose, restored, skip, start, step_failed, with_step,
};
use crate::run::risk::assessed;
use crate::run::stage::Stage;
use crate::run::state::RunState;
use crate::{Decider, Error};

pub(super) fn decide(
    state: &RunState,
    command: DriverCommand,
    now_us: u64,
    not_now: Refuse<'_>,
) -> Result<Vec<RunEvent>, Error> {
    use DriverCommand as C;
    let needs_risk = matches!(command, C::Advance | C::Judged { .. } | C::Delay { .. } | C::Block { .. });
    if needs_risk && state.is_risk_due() {
        return Err(not_now.error());
    }
    Ok(match (command, &state.stage) {
        (C::Assessed(assessment), _) if state.is_risk_due() => assessed(state, assessment),
        (C::Logged(logged), _) => vec![logged.into()],
        (C::Exhausted { budget, message }, _) => exhausted(state, budget, message),
        (C::Delay { until_us, reason }, _) if state.is_about_to_propose(now_us) => {
            with_step(state, |step| vec![StepDelayed { step, until_us, reason }.into()])
        }
        (C::Block { message, by }, _) if state.is_about_to_propose(now_us) => {
            let mut events = propose(state, now_us);
            if let [RunEvent::StepProposed(_)] = events[..] {
                events.extend(skip(state, SkipReason::Denied, message, vec![by]));
            }
            events
        }
        (C::Advance, stage) => return advance(state, stage, now_us, not_now),
        (C::Restored { failure }, Stage::Retry { restores, .. }) if !restores.is_empty() => restored(state, failure),
        (C::Judged { answer, usage }, Stage::Plan(gate)) => match gate.ask() {
            GateAsk::Judge { guard } => plan_judged(state, guard, answer, usage),
            _ => return Err(not_now.error()),
        },
        (C::Judged { answer, usage }, Stage::Gate(gate)) => match gate.ask() {
            GateAsk::Judge { guard } => judged(state, guard, answer, usage),
            _ => return Err(not_now.error()),
        },
        (C::Previewed { effects, tape, usage }, Stage::Gate(gate)) if gate.ask() == GateAsk::Preview => {
            with_step(state, |step| vec![EffectsPreviewed { step, effects, tape, usage }.into()])
        }
        (C::Refused { message, tape, usage }, Stage::Gate(gate)) if gate.ask() == GateAsk::Preview => {
            let effects = Vec::new();
            let mut events = with_step(state, |step| vec![EffectsPreviewed { step, effects, tape, usage }.into()]);
            events.extend(skip(state, SkipReason::Denied, message, vec![Decider::Workspace]));
            events
        }
        (C::Estimated { impact, usage }, Stage::Gate(gate)) if gate.ask() == GateAsk::Estimate => {
            estimated(state, impact, usage)
        }
        (C::HostCall(call), Stage::Executing(execution)) => host_call(state, execution.calls, call),
        (C::HostCallDone { call, failure, spent, model, answer, inverse }, Stage::Executing(execution))
            if execution.open.contains_key(&call) =>
        {
            let performed = |step| EffectPerformed { step, call, failure, spent, model, answer, inverse };
            with_step(state, |step| vec![performed(step).into()])
        }
        (C::Completed(done), Stage::Executing(_)) => completed(state, done),
        (C::Failed { end, message, retry_can_help, tape, usage }, Stage::Executing(_) | Stage::Gate(_)) => {
            step_failed(state, StepFailure { end, message, retry_can_help, tape, usage }, now_us)
        }
        _ => return Err(not_now.error()),
    })
}

/// Continues as far as no input from outside is needed.
fn advance(state: &RunState, stage: &Stage, now_us: u64, not_now: Refuse<'_>) -> Result<Vec<RunEvent>, Error> {
    let is_time = |until_us: u64| now_us >= until_us || state.time_left_us(now_us) == Some(0);
    Ok(match stage {
        Stage::Idle => propose(state, now_us),
        Stage::Delayed { until_us } if is_time(*until_us) => propose(state, now_us),
        Stage::Retry { until_us, restores } if restores.is_empty() && is_time(*until_us) => propose(state, now_us),
        Stage::Plan(gate) => match gate.ask() {
            GateAsk::Decided(decision) => vec![PlanDecided { decision: decision.clone() }.into()],
            _ => return Err(not_now.error()),
        },
        Stage::PlanDecided { decision } => follow_plan(state, decision, now_us),
        Stage::Gate(gate) => match gate.ask() {
            GateAsk::Decided(decision) => decided(state, decision),
            _ => return Err(not_now.error()),
        },
        Stage::Decided { decision, effects } => follow(state, decision, effects, now_us),
        Stage::Approved { effects } => start(state, effects, now_us),
        _ => return Err(not_now.error()),
    })
}
