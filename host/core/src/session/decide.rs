//! What may follow from what.

use super::command::{Observation, SessionAnswer, SessionCommand};
use super::propose;
use super::risk::assessed;
use super::setup::SessionSetup;
use super::state::{CallState, ParkedQuestion, SessionState};
use crate::event::{
    ApprovalDecided, BudgetWarning, GrantRevoked, InferredAnswer, ObservedOutcome, ProposalAnswer, RunEnd, RunEnded,
    RunEvent, RunPaused, RunResumed, SessionNoted, StepObserved,
};
use crate::gate::GateAsk;
use crate::policy::{ApprovalProof, Policy};
use crate::{ApprovalAnswer, Error};

/// The events that follow from a command in a state. The state is not changed; apply the events to change it.
///
/// # Errors
/// [`Error::NotNow`] for a command that the state does not take, and errors of an approval that does not count.
pub fn decide(
    state: &SessionState,
    setup: &SessionSetup,
    command: SessionCommand,
    now_us: u64,
) -> Result<Vec<RunEvent>, Error> {
    use SessionCommand as C;
    let name: &'static str = (&command).into();
    let not_now = || Error::NotNow { state: state.phase_word().to_owned(), command: name };
    if state.ended.is_some() {
        return Err(not_now());
    }
    let events = match command {
        C::Propose { judging, proposal } if matches!(judging.ask(), GateAsk::Decided(_)) && state.is_next(&judging) => {
            propose::proposed(state, setup, *judging, proposal, now_us)
        }
        C::Refuse { judging, proposal, refusal } if state.is_next(&judging) => {
            propose::refused(*judging, proposal, refusal)
        }
        C::Propose { .. } | C::Refuse { .. } => return Err(not_now()),
        C::Observe(observation) => vec![observed(state, observation, now_us).ok_or_else(not_now)?],
        C::Note { kind, data } => vec![SessionNoted { kind, data }.into()],
        C::Continue(continued) => vec![(*continued).into()],
        C::Assess(assessment) => assessed(state, setup, assessment),
        C::Logged(logged) => vec![logged.into()],
        C::Answer(answer) => vec![answered(state, &setup.policy, answer, now_us)?.ok_or_else(not_now)?],
        C::Pause { by, reason } if state.paused_by.is_none() => vec![RunPaused { by, reason }.into()],
        C::Resume { by } if state.paused_by.is_some() => vec![RunResumed { by }.into()],
        C::Revoke { grant, by } if state.grants.values().any(|held| held.id == grant) => {
            vec![GrantRevoked { grant, by }.into()]
        }
        C::Pause { .. } | C::Resume { .. } | C::Revoke { .. } => return Err(not_now()),
        C::Kill { by, times } => {
            let message = format!("killed by {by}");
            vec![RunEnded { end: RunEnd::Killed, budget: None, message, kill: Some(times) }.into()]
        }
        C::Close { message } => close(state, message, now_us),
    };
    Ok(with_warnings(state, setup, events, now_us))
}

impl SessionState {
    /// The phase in one word.
    #[must_use]
    pub fn phase_word(&self) -> &'static str {
        match self.ended {
            Some(end) => crate::run::Phase::Ended(end).word(),
            None if self.paused_by.is_some() => "PAUSED",
            None => "RUNNING",
        }
    }

    /// Whether a judgement is of the next action.
    fn is_next(&self, judging: &crate::run::Judging) -> bool {
        *judging.step() == self.next_step()
    }
}

/// The end of a call that may be under way.
fn observed(state: &SessionState, observation: Observation, now_us: u64) -> Option<RunEvent> {
    let Observation { step, outcome, summary, output, took_us } = observation;
    let call = state.calls.iter().find(|call| call.step == step && call.state == CallState::Open)?;
    let inferred = match (&call.answer, outcome) {
        (ProposalAnswer::Asked, ObservedOutcome::Completed | ObservedOutcome::Failed) => Some(InferredAnswer::Approved),
        (ProposalAnswer::Asked, ObservedOutcome::NotDone) => Some(InferredAnswer::Rejected),
        _ => None,
    };
    let since = now_us.saturating_sub(call.since_us);
    // A program that claims less than nothing or more than passed is not believed.
    let took_us = took_us.map_or(since, |took| took.min(since));
    Some(StepObserved { step, step_type: call.step_type.clone(), outcome, summary, output, inferred, took_us }.into())
}

/// The end of the session. What is still open has no known outcome.
fn close(state: &SessionState, message: String, now_us: u64) -> Vec<RunEvent> {
    let open: Vec<_> = state.open_calls().map(|call| call.step.clone()).collect();
    let unknown = open.into_iter().filter_map(|step| {
        let summary = "the session ended before its outcome was reported".to_owned();
        let observation =
            Observation { step, outcome: ObservedOutcome::Unknown, summary, output: None, took_us: Some(0) };
        observed(state, observation, now_us)
    });
    let ended = RunEnded { end: RunEnd::Completed, budget: None, message, kill: None };
    unknown.chain([ended.into()]).collect()
}

/// A person's answer to a parked action; `None` where it does not fit.
fn answered(
    state: &SessionState,
    policy: &Policy,
    answer: SessionAnswer,
    now_us: u64,
) -> Result<Option<RunEvent>, Error> {
    let SessionAnswer { id, answer, signed } = answer;
    let Some(ParkedQuestion { step, binding, kind, expires_us, .. }) = state.question(&id) else { return Ok(None) };
    if matches!(answer, ApprovalAnswer::Edited { .. } | ApprovalAnswer::Happened { .. }) {
        return Ok(None);
    }
    let is_late = expires_us.is_some_and(|expires| now_us >= expires);
    let answer = match answer {
        ApprovalAnswer::Expired { reason } => ApprovalAnswer::Expired { reason },
        _ if is_late => ApprovalAnswer::Expired { reason: "no person answered before the deadline".to_owned() },
        answer => answer,
    };
    let is_yes = matches!(answer, ApprovalAnswer::Approved { .. });
    if is_yes && policy.approval.who == ApprovalProof::Key && signed.is_none() {
        return Err(Error::KeyNeeded);
    }
    if let ApprovalAnswer::Approved { same_kind: true, .. } = answer
        && kind.is_none()
    {
        let why = "each action like this one is approved by itself".to_owned();
        return Err(Error::KindNotApproved { why });
    }
    Ok(Some(ApprovalDecided { step: step.clone(), id, binding: *binding, answer, signed }.into()))
}

/// The same events, and warnings of budgets that they nearly use up.
fn with_warnings(state: &SessionState, setup: &SessionSetup, mut events: Vec<RunEvent>, now_us: u64) -> Vec<RunEvent> {
    let spends = |event: &RunEvent| {
        matches!(event, RunEvent::StepProposed(_) | RunEvent::StepObserved(_) | RunEvent::RiskPredicted(_))
    };
    if !events.iter().any(spends) || !state.has_budgets() {
        return events;
    }
    let mut after = state.clone();
    events.iter().for_each(|event| after.apply(event, now_us));
    while after.ended.is_none()
        && let Some(warning) = after.warning_due(setup)
    {
        after.apply(&warning, now_us);
        events.push(warning);
    }
    events
}

impl SessionState {
    fn has_budgets(&self) -> bool {
        self.ledger.lines().any(|(_, line)| line.limit.is_some())
    }

    fn warning_due(&self, setup: &SessionSetup) -> Option<RunEvent> {
        let percent = u128::from(setup.policy.run.warn_percent);
        self.ledger.lines().find_map(|(budget, line)| {
            let (used, limit) = (line.spent.saturating_add(line.reserved), line.limit?);
            let is_due = percent < 100 && u128::from(used) * 100 >= u128::from(limit) * percent;
            (is_due && !self.warned.contains(&budget)).then(|| BudgetWarning { budget, used, limit }.into())
        })
    }
}
