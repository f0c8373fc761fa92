//! What may follow from what.

use super::follow::{
    StepFailure, completed, decided, end, estimated, exhausted, follow, follow_plan, host_call, in_doubt, judged, kill,
    plan_judged, propose, refusal, refused, restored, skip, start, step_failed, with_step,
};
use super::notification::{Command, Resumption};
use super::phase::Phase;
use super::risk::assessed;
use super::stage::{Question, Stage};
use super::state::RunState;
use crate::Decider;
use crate::event::StepEnd;
use crate::event::{Event, RunEnd, Signed, SkipReason, Usage};
use crate::{ApprovalAnswer, Binding, Effect, Error};

/// The events that follow from a command in a state. The state is not changed; apply the events to change it.
///
/// # Errors
/// [`Error::NotNow`] for a command that the state does not ask for, and [`Error::BindingChanged`] for an approval of
/// something else.
pub fn decide(state: &RunState, command: Command, now_us: u64) -> Result<Vec<Event>, Error> {
    if let Phase::Ended(_) = state.phase() {
        return Err(not_now(state, &command));
    }
    if let Command::Continue(resumption) = command {
        let Resumption { setup, policy, plugins, host, engine } = *resumption;
        let steps = u32::try_from(state.steps.len()).unwrap_or(u32::MAX);
        return Ok(vec![Event::RunContinued { setup, policy, plugins, host, engine, steps }]);
    }
    let is_for_people = matches!(
        command,
        Command::Kill { .. }
            | Command::Resume { .. }
            | Command::Answered { .. }
            | Command::AddStep { .. }
            | Command::Revoke { .. }
            | Command::HostCallDone { .. }
            | Command::HostCallUndone { .. }
            | Command::Doubt { .. }
            | Command::Interrupted
    );
    if state.paused_by.is_some() && !is_for_people {
        return Err(not_now(state, &command));
    }
    let needs_risk =
        matches!(command, Command::Advance | Command::Judged { .. } | Command::Delay { .. } | Command::Block { .. });
    if needs_risk && state.is_risk_due() {
        return Err(not_now(state, &command));
    }
    match (command, &state.stage) {
        (Command::Assessed(assessment), _) if state.is_risk_due() => Ok(assessed(state, assessment)),
        (Command::Kill { by, times, tape, usage }, _) => Ok(kill(state, &by, times, tape, usage)),
        (Command::Leave, Stage::Idle | Stage::Delayed { .. }) if !state.is_interrupted() => Ok(vec![Event::RunLeft]),
        (Command::Interrupted, _) if state.phase() == Phase::Running && !state.is_interrupted() => {
            Ok(vec![Event::RunInterrupted])
        }
        (Command::Pause { by, reason }, _) => Ok(vec![Event::RunPaused { by, reason }]),
        (Command::Resume { by }, _) if state.paused_by.is_some() => Ok(vec![Event::RunResumed { by }]),
        (Command::Revoke { grant, by }, _) if state.grants.values().any(|held| held.id == grant) => {
            Ok(vec![Event::GrantRevoked { grant, by }])
        }
        (
            Command::AddStep { step, by, decision, usage },
            Stage::Idle | Stage::Delayed { .. } | Stage::Person { .. } | Stage::Doubt { .. },
        ) => Ok(vec![Event::StepAdded { added: step, by, decision, usage }]),
        (Command::Exhausted { budget, message }, _) => Ok(exhausted(state, budget, message)),
        (Command::Delay { until_us, reason }, _) if state.is_about_to_propose(now_us) => {
            Ok(with_step(state, |step| vec![Event::StepDelayed { step, until_us, reason }]))
        }
        (Command::Block { message, by }, _) if state.is_about_to_propose(now_us) => {
            let mut events = propose(state, now_us);
            if let [Event::StepProposed { .. }] = events[..] {
                events.extend(skip(state, SkipReason::Denied, message, vec![by]));
            }
            Ok(events)
        }
        (Command::Advance, Stage::Idle) => Ok(propose(state, now_us)),
        (Command::Advance, Stage::Delayed { until_us })
            if now_us >= *until_us || state.time_left_us(now_us) == Some(0) =>
        {
            Ok(propose(state, now_us))
        }
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
        (Command::Answered { binding, answer, signed }, Stage::PlanPerson { question, .. }) => {
            let answer = in_time(question, binding, answer, now_us)?;
            if matches!(answer, ApprovalAnswer::Edited { .. } | ApprovalAnswer::Happened { .. }) {
                return Err(not_now(state, &Command::Answered { binding, answer, signed }));
            }
            let why = refusal(&answer);
            let answered = Event::PlanApprovalDecided { id: question.id.clone(), binding, answer, signed };
            Ok([answered].into_iter().chain(why.map(|(_, message)| end(RunEnd::Denied, message))).collect())
        }
        (Command::Answered { binding, answer, signed }, Stage::Doubt { question, restores, .. }) => {
            let answer = in_time(question, binding, answer, now_us)?;
            doubt_answered(state, question, (answer, signed), restores)
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
        (Command::Answered { binding, answer, signed }, Stage::Person { question, .. }) => {
            let answer = in_time(question, binding, answer, now_us)?;
            if matches!(answer, ApprovalAnswer::Happened { .. }) {
                return Err(not_now(state, &Command::Answered { binding, answer, signed }));
            }
            let id = question.id.clone();
            let refused = refused(state, &answer);
            Ok(with_step(state, |step| vec![Event::ApprovalDecided { step, id, binding, answer, signed }])
                .into_iter()
                .chain(refused)
                .collect())
        }
        (command @ Command::HostCall { .. }, Stage::Executing(execution)) => {
            Ok(host_call(state, execution.calls, command))
        }
        (Command::HostCallDone { call, failure, spent, model, answer, inverse }, Stage::Executing(execution))
            if execution.open.contains_key(&call) =>
        {
            let performed = |step| Event::EffectPerformed { step, call, failure, spent, model, answer, inverse };
            Ok(with_step(state, |step| vec![performed(step)]))
        }
        (Command::HostCallUndone { call, spent }, Stage::Executing(execution))
            if execution.open.contains_key(&call) =>
        {
            Ok(with_step(state, |step| vec![Event::EffectNotPerformed { step, call, spent }]))
        }
        (Command::ResumeStep, Stage::Executing(execution))
            if !execution.open.values().any(|open| open.effect.changes_the_world()) =>
        {
            let calls = execution.calls;
            Ok(with_step(state, |step| vec![Event::StepResumed { step, calls }]))
        }
        (Command::Doubt { message }, Stage::Executing(_)) => {
            Ok(in_doubt(state, StepEnd::ProcessEnded, message, None, Usage::default()))
        }
        (Command::Completed(done), Stage::Executing(_)) => Ok(completed(state, done)),
        (Command::Failed { end, message, retry_can_help, tape, usage }, Stage::Executing(_) | Stage::Gate(_)) => {
            Ok(step_failed(state, StepFailure { end, message, retry_can_help, tape, usage }, now_us))
        }
        (Command::Refused { message, tape, usage }, Stage::Gate(gate)) if gate.ask() == crate::GateAsk::Preview => {
            let effects = Vec::new();
            let previewed = with_step(state, |step| vec![Event::EffectsPreviewed { step, effects, tape, usage }]);
            Ok(previewed
                .into_iter()
                .chain(skip(state, SkipReason::Denied, message, vec![Decider::Workspace]))
                .collect())
        }
        (command, _) => Err(not_now(state, &command)),
    }
}

fn not_now(state: &RunState, command: &Command) -> Error {
    let command = match command {
        Command::Advance => "going on",
        Command::Assessed(_) => "a prediction of its risk",
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
        Command::HostCallUndone { .. } => "that an effect did not happen",
        Command::Doubt { .. } => "a doubt",
        Command::ResumeStep => "carrying a step on",
        Command::Leave => "leaving it",
        Command::Interrupted => "an interruption",
        Command::Continue(_) => "taking it up again",
        Command::Pause { .. } => "a pause",
        Command::Resume { .. } => "resuming it",
        Command::Delay { .. } => "a delay",
        Command::Block { .. } => "holding a step up",
        Command::Exhausted { .. } => "the end of a budget",
        Command::AddStep { .. } => "another step",
        Command::Revoke { .. } => "revoking a grant that it does not have",
    };
    Error::NotNow { state: state.phase().to_string(), command }
}

/// The answer to a question, which counts only before its time is up.
fn in_time(
    question: &Question,
    binding: Binding,
    answer: ApprovalAnswer,
    now_us: u64,
) -> Result<ApprovalAnswer, Error> {
    if binding != question.binding {
        return Err(Error::BindingChanged { approved: binding.0.to_string(), current: question.binding.0.to_string() });
    }
    if question.expires_us.is_some_and(|expires| now_us >= expires) && !matches!(answer, ApprovalAnswer::Expired { .. })
    {
        return Ok(ApprovalAnswer::Expired { reason: "nobody answered before its time was up".to_owned() });
    }
    Ok(answer)
}

/// What follows from a person's word on a step in doubt.
fn doubt_answered(
    state: &RunState,
    question: &Question,
    (answer, signed): (ApprovalAnswer, Option<Signed>),
    restores: &[Effect],
) -> Result<Vec<Event>, Error> {
    let binding = question.binding;
    let Some(step) = state.cursor.checked_sub(1).and_then(|place| state.setup.plan.steps.get(place)) else {
        return Ok(Vec::new());
    };
    let after = match &answer {
        ApprovalAnswer::Approved { .. } => vec![Event::StepRetried {
            step: step.id.clone(),
            attempt: state.attempt_before.number + 1,
            wait_us: 0,
            restores: restores.to_vec(),
        }],
        ApprovalAnswer::Happened { .. } => Vec::new(),
        ApprovalAnswer::Rejected { .. } | ApprovalAnswer::Expired { .. } => {
            let why = refusal(&answer).map(|(_, message)| message).unwrap_or_default();
            vec![end(RunEnd::StepFailed, format!("{} is in doubt: {why}", step.id))]
        }
        ApprovalAnswer::Edited { .. } => {
            return Err(not_now(state, &Command::Answered { binding, answer, signed }));
        }
    };
    let id = question.id.clone();
    let decided = Event::DoubtDecided { step: step.id.clone(), id, binding, answer, signed };
    Ok([decided].into_iter().chain(after).collect())
}
