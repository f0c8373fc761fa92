//! Events that follow from the driver's commands.

use super::refuse::Refuse;
use crate::event::{EffectPerformed, PlanDecided, RunEvent, SkipReason, StepDelayed};
use crate::gate::GateAsk;
use crate::run::command::DriverCommand;
use crate::run::follow::{
    blocked, completed, exhausted, follow, follow_plan, host_call, plan_judged, preview_failed, propose, restored,
    skip, start, step_failed, with_step,
};
use crate::run::judging::Judging;
use crate::run::risk::assessed;
use crate::run::stage::Stage;
use crate::run::state::RunState;
use crate::{Decider, Error, Ruling};

pub(super) fn decide(
    state: &RunState,
    command: DriverCommand,
    now_us: u64,
    not_now: Refuse<'_>,
) -> Result<Vec<RunEvent>, Error> {
    use DriverCommand as C;
    let needs_risk =
        matches!(command, C::Advance | C::PlanJudged { .. } | C::StepJudged(_) | C::Delay { .. } | C::Block { .. });
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
        (C::Block { message, by }, _) if state.is_about_to_propose(now_us) => match propose(state, now_us) {
            events if events.is_empty() => blocked(state, message, by, now_us),
            events => events,
        },
        (C::Advance, stage) => return advance(state, stage, now_us, not_now),
        (C::Restored { failure }, Stage::Retry { restores, .. }) if !restores.is_empty() => restored(state, failure),
        (C::PlanJudged { answer, usage }, Stage::Plan(gate)) => match gate.ask() {
            GateAsk::Judge { guard } => plan_judged(state, guard, answer, usage),
            _ => return Err(not_now.error()),
        },
        (C::StepJudged(judging), _)
            if is_due(state, &judging, now_us) && matches!(judging.ask(), GateAsk::Decided(_)) =>
        {
            vec![judging.into_event().into()]
        }
        (C::PreviewRefused { judging, message }, _)
            if is_due(state, &judging, now_us) && judging.ask() == GateAsk::Preview =>
        {
            let judged: RunEvent = judging.into_event().into();
            let after = state.after(&judged, now_us);
            let skipped = skip(&after, SkipReason::Denied, message, vec![Decider::Workspace]);
            [judged].into_iter().chain(skipped).collect()
        }
        (C::PreviewFailed { judging, failure }, _)
            if is_due(state, &judging, now_us) && judging.ask() == GateAsk::Preview =>
        {
            preview_failed(state, *judging, failure, now_us)
        }
        (C::HostCall(call), Stage::Executing(execution)) => host_call(state, execution.calls, call),
        (C::HostCallDone { call, failure, spent, model, answer, inverse }, Stage::Executing(execution))
            if execution.open.contains_key(&call) =>
        {
            let performed = |step| EffectPerformed { step, call, failure, spent, model, answer, inverse };
            with_step(state, |step| vec![performed(step).into()])
        }
        (C::Completed(done), Stage::Executing(_)) => completed(state, done),
        (C::Failed(failure), Stage::Executing(_)) => step_failed(state, failure, now_us),
        _ => return Err(not_now.error()),
    })
}

/// Whether a judgement is of the step that comes next in this state.
fn is_due(state: &RunState, judging: &Judging, now_us: u64) -> bool {
    state.is_about_to_judge(now_us) && judging.is_of(state)
}

/// Continues as far as no input from outside is needed.
fn advance(state: &RunState, stage: &Stage, now_us: u64, not_now: Refuse<'_>) -> Result<Vec<RunEvent>, Error> {
    let is_time = |until_us: u64| now_us >= until_us || state.time_left_us(now_us) == Some(0);
    Ok(match stage {
        Stage::Idle | Stage::Proposed => instead_of_judging(state, now_us, not_now)?,
        Stage::Delayed { until_us } if is_time(*until_us) => instead_of_judging(state, now_us, not_now)?,
        Stage::Retry { until_us, restores } if restores.is_empty() && is_time(*until_us) => {
            instead_of_judging(state, now_us, not_now)?
        }
        Stage::Plan(gate) => match gate.ask() {
            GateAsk::Decided(decision) => vec![PlanDecided { decision: decision.clone() }.into()],
            _ => return Err(not_now.error()),
        },
        Stage::PlanDecided { decision } if decision.ruling == Ruling::Allow => {
            instead_of_judging(state, now_us, not_now)?
        }
        Stage::PlanDecided { decision } => follow_plan(state, decision, now_us),
        Stage::Decided { decision, effects } => follow(state, decision, effects, now_us),
        Stage::Approved { effects } => start(state, effects, now_us),
        _ => return Err(not_now.error()),
    })
}

/// What comes before the next step is judged; an error where that is due itself.
fn instead_of_judging(state: &RunState, now_us: u64, not_now: Refuse<'_>) -> Result<Vec<RunEvent>, Error> {
    match propose(state, now_us) {
        events if events.is_empty() => Err(not_now.error()),
        events => Ok(events),
    }
}
