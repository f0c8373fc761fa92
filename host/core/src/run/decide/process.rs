//! Events that follow from a process's commands.

use super::refuse::Refuse;
use crate::Error;
use crate::event::{EffectNotPerformed, RunContinued, RunEvent, RunInterrupted, RunLeft, StepEnd, StepResumed, Usage};
use crate::run::command::{ProcessCommand, Resumption};
use crate::run::follow::{in_doubt, with_step};
use crate::run::phase::Phase;
use crate::run::stage::Stage;
use crate::run::state::RunState;

pub(super) fn decide(state: &RunState, command: ProcessCommand, not_now: Refuse<'_>) -> Result<Vec<RunEvent>, Error> {
    use ProcessCommand as C;
    Ok(match (command, &state.stage) {
        (C::Continue(resumption), _) => {
            let Resumption { setup, policy, plugins, host, engine, voided } = *resumption;
            let steps = u32::try_from(state.steps.len()).unwrap_or(u32::MAX);
            vec![RunContinued { setup, policy, plugins, host, engine, steps, voided }.into()]
        }
        (C::Leave, Stage::Idle | Stage::Delayed { .. }) if !state.is_interrupted() => vec![RunLeft {}.into()],
        (C::Interrupted, _) if state.phase() == Phase::Running && !state.is_interrupted() => {
            vec![RunInterrupted {}.into()]
        }
        (C::HostCallUndone { call, spent }, Stage::Executing(execution)) if execution.open.contains_key(&call) => {
            with_step(state, |step| vec![EffectNotPerformed { step, call, spent }.into()])
        }
        (C::ResumeStep, Stage::Executing(execution))
            if !execution.open.values().any(|open| open.effect.changes_the_world()) =>
        {
            let calls = execution.calls;
            with_step(state, |step| vec![StepResumed { step, calls }.into()])
        }
        (C::Doubt { message }, Stage::Executing(_)) => {
            in_doubt(state, StepEnd::ProcessEnded, message, None, Usage::default())
        }
        _ => return Err(not_now.error()),
    })
}
