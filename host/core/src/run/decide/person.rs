//! Events that follow from a person's commands.

use super::refuse::Refuse;
use crate::event::{
    ApprovalDecided, DoubtDecided, GrantRevoked, PlanApprovalDecided, RunEnd, RunEvent, RunPaused, RunResumed, Signed,
    StepAdded, StepRetried,
};
use crate::policy::ApprovalProof;
use crate::run::command::PersonCommand;
use crate::run::follow::{end, kill, refusal, refused, with_step};
use crate::run::stage::{Question, Stage};
use crate::run::state::RunState;
use crate::{ApprovalAnswer, ApprovalKind, Binding, Effect, Error};

pub(super) fn decide(
    state: &RunState,
    command: PersonCommand,
    now_us: u64,
    not_now: Refuse<'_>,
) -> Result<Vec<RunEvent>, Error> {
    use PersonCommand as C;
    Ok(match (command, &state.stage) {
        (C::Kill { by, times, tape, usage }, _) => kill(state, &by, times, tape, usage),
        (C::Pause { by, reason }, _) => vec![RunPaused { by, reason }.into()],
        (C::Resume { by }, _) if state.paused_by.is_some() => vec![RunResumed { by }.into()],
        (C::Revoke { grant, by }, _) if state.grants.values().any(|held| held.id == grant) => {
            vec![GrantRevoked { grant, by }.into()]
        }
        (
            C::AddStep { step, by, decision, usage },
            Stage::Idle | Stage::Delayed { .. } | Stage::Person { .. } | Stage::Doubt { .. },
        ) => vec![StepAdded { added: step, by, decision, usage }.into()],
        (C::Answered { binding, answer, signed }, Stage::PlanPerson { question, .. }) => {
            let answer = in_time(question, binding, answer, now_us)?;
            if matches!(answer, ApprovalAnswer::Edited { .. } | ApprovalAnswer::Happened { .. }) {
                return Err(not_now.error());
            }
            needs_key(state, &answer, signed.as_ref())?;
            let why = refusal(&answer);
            let answered = PlanApprovalDecided { id: question.id.clone(), binding, answer, signed };
            [answered.into()].into_iter().chain(why.map(|(_, message)| end(RunEnd::Denied, message))).collect()
        }
        (C::Answered { binding, answer, signed }, Stage::Person { question, effects, .. }) => {
            let answer = in_time(question, binding, answer, now_us)?;
            needs_key(state, &answer, signed.as_ref())?;
            if let (ApprovalAnswer::Approved { same_kind: true, .. }, Some(why)) =
                (&answer, ApprovalKind::refusal(effects))
            {
                return Err(Error::KindNotApproved { why });
            }
            if matches!(answer, ApprovalAnswer::Happened { .. }) {
                return Err(not_now.error());
            }
            let (id, refused) = (question.id.clone(), refused(state, &answer));
            let mut events =
                with_step(state, |step| vec![ApprovalDecided { step, id, binding, answer, signed }.into()]);
            events.extend(refused);
            events
        }
        (C::Answered { binding, answer, signed }, Stage::Doubt { question, restores, .. }) => {
            let answer = in_time(question, binding, answer, now_us)?;
            if matches!(answer, ApprovalAnswer::Edited { .. }) {
                return Err(not_now.error());
            }
            needs_key(state, &answer, signed.as_ref())?;
            doubt_answered(state, question, Answered { answer, signed }, restores)
        }
        _ => return Err(not_now.error()),
    })
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
        return Ok(ApprovalAnswer::Expired { reason: "no person answered before the deadline".to_owned() });
    }
    Ok(answer)
}

/// Refuses an answer that lets something happen without the key that the policy asks for.
fn needs_key(state: &RunState, answer: &ApprovalAnswer, signed: Option<&Signed>) -> Result<(), Error> {
    let is_no = matches!(answer, ApprovalAnswer::Rejected { .. } | ApprovalAnswer::Expired { .. });
    let who = state.setup.policy.approval.who;
    if who == ApprovalProof::Key && signed.is_none() && !is_no { Err(Error::KeyNeeded) } else { Ok(()) }
}

struct Answered {
    answer: ApprovalAnswer,
    signed: Option<Signed>,
}

/// Events that follow from a person's answer about a step in doubt.
fn doubt_answered(state: &RunState, question: &Question, answered: Answered, restores: &[Effect]) -> Vec<RunEvent> {
    let Answered { answer, signed } = answered;
    let Some(step) = state.cursor.checked_sub(1).and_then(|place| state.setup.plan.steps.get(place)) else {
        return Vec::new();
    };
    let after = match &answer {
        ApprovalAnswer::Approved { .. } => {
            let (attempt, restores) = (state.attempt_before.number + 1, restores.to_vec());
            Some(StepRetried { step: step.id.clone(), attempt, wait_us: 0, restores }.into())
        }
        ApprovalAnswer::Happened { .. } | ApprovalAnswer::Edited { .. } => None,
        ApprovalAnswer::Rejected { .. } | ApprovalAnswer::Expired { .. } => {
            let why = refusal(&answer).map(|(_, message)| message).unwrap_or_default();
            Some(end(RunEnd::StepFailed, format!("{} is in doubt: {why}", step.id)))
        }
    };
    let (id, binding) = (question.id.clone(), question.binding);
    let decided = DoubtDecided { step: step.id.clone(), id, binding, answer, signed };
    [decided.into()].into_iter().chain(after).collect()
}
