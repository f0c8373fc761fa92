//! Proposing an action in a session: it is refused, or judged, and the answer is durable before it is given.

use std::sync::Arc;

use bytes::Bytes;
use fusebox_core::breaker::CallOutcome;
use fusebox_core::event::{ProposalAnswer, RunEvent};
use fusebox_core::run::Judging;
use fusebox_core::session::{Call, Proposal, Refusal, SessionCommand, SessionState, Verdict};
use fusebox_core::{Decider, Digest, Failure, Json, json};
use fusebox_store::{Blob, Error as StoreError};

use super::book::Entry;
use super::judge::{JudgedAction, SessionJudge, only_reads};
use super::open::{Live, check_name};
use super::options::SessionAction;
use super::past::Past;
use crate::admission::quota::over_quota;
use crate::admission::throttle::{Admission, Admitted, ThrottleKey};
use crate::ambient::rfc3339;
use crate::error::Error;
use crate::journal::tenant_budget::TenantBudget;
use crate::services::Services;

/// Longest description that is kept, in characters.
const MAX_DESCRIPTION_CHARS: usize = 2000;

/// Proposes an action in a session whose lock is held.
pub fn propose(services: &Arc<Services>, live: &mut Live, proposed: &SessionAction) -> Result<Verdict, Error> {
    if let Some(call) = &proposed.call {
        check_name("the name of the call", call)?;
    }
    let Live { book, setup, retention, workspace, salt, .. } = live;
    if let Some(refusal) = book.state.refusal(&proposed.action.step_type)
        && book.state.ended().is_some()
    {
        // Nothing is added to a session that is over.
        return Ok(denied(&book.state, refusal));
    }
    let action_digest = action_digest(*salt, &proposed.action.step_type, &proposed.action.input);
    if let Some(before) = answered_before(&book.state, proposed, &action_digest) {
        return repeated(services, book, &before);
    }
    let mut action = proposed.action.clone();
    action.description = action.description.chars().take(MAX_DESCRIPTION_CHARS).collect();
    let past = Arc::new(Past { log: Arc::clone(&services.store), run: book.run().clone(), until: book.state.last().0 });
    let mut entry = book.entry(setup, retention);
    if entry.state().is_risk_due(entry.setup)
        && let Some(predictor) = &services.predictor
    {
        let assessment = predictor.assess_session(&services.registry, entry.setup, entry.state());
        entry.submit(SessionCommand::Assess(Box::new(assessment)))?;
    }
    let now = entry.now_us();
    let judge_state = entry.state().clone();
    let judge = SessionJudge { services, workspace, state: &judge_state, past };
    let proposal = Proposal { call: proposed.call.clone(), action: Some(action_digest), review: proposed.review };
    let resolved = judge.resolve(proposed);
    let turn = match &resolved {
        Err(failure) => Turn::Refused(unresolved(failure)),
        Ok(_) => turn(services, &entry, &action.step_type)?,
    };
    let resolved = resolved.unwrap_or_default();
    let approval = entry.setup.approval_reasons(&judge_state, &action.step_type, only_reads(&resolved.effects));
    // Guards judge effects, and no guard judges what is refused: what else an action says is searched for secrets here.
    let said = json::canonical(&(&action.input, &action.description));
    let judging = judge_state.judging(entry.setup, action, approval, now);
    if entry.retention.is_secret(said.as_bytes()) {
        entry.retention.flag(judging.step());
    }
    let (events, admitted) = match turn {
        Turn::Refused(refusal) => {
            let judging = with_input(&mut entry, judging, &proposed.action.input);
            let proposal = without_secret(&entry, proposal, &judging);
            (entry.submit(SessionCommand::Refuse { judging: Box::new(judging), proposal, refusal })?, None)
        }
        Turn::Admitted(admitted) => {
            let judged = judge.judge(judging, resolved, proposed.revise.as_ref())?;
            let JudgedAction { judging, contents, logs, found_by } = judged;
            let step = judging.step().clone();
            if found_by.iter().any(|guard| entry.retention.is_found_by(guard)) {
                entry.retention.flag(&step);
            }
            let judging = with_input(&mut entry, judging, &proposed.action.input);
            let proposal = without_secret(&entry, proposal, &judging);
            let events = entry.submit(SessionCommand::Propose { judging: Box::new(judging), proposal })?;
            // The content of a denied action is not stored, unless a person may be asked about it: it may hold secrets.
            if events.iter().any(is_to_be_kept) {
                contents.iter().for_each(|(_, bytes)| entry.content(&step, bytes.clone()));
            }
            for (plugin, log) in &logs {
                entry.keep_log(&step, plugin, log)?;
            }
            (events, admitted)
        }
    };
    let verdict = Verdict::of(&events).ok_or_else(|| Error::Undecided { what: "the action".to_owned() })?;
    entry.commit(&services.store)?;
    // What is denied has no outcome, and makes room for another probe of the breaker.
    if let (ProposalAnswer::Denied, Some(admitted)) = (&verdict.answer, admitted) {
        services.throttle.record(&admitted, CallOutcome::Unknown, book.now_us())?;
    }
    Ok(verdict)
}

/// Whether an action comes before the gate.
enum Turn {
    /// It does. A breaker waits for its outcome, if there is one.
    Admitted(Option<Admitted>),
    /// Nothing of its type is let through now.
    Refused(Refusal),
}

fn turn(services: &Services, entry: &Entry<'_>, step_type: &str) -> Result<Turn, Error> {
    let state = entry.state();
    if let Some(refusal) = state.refusal(step_type) {
        return Ok(Turn::Refused(refusal));
    }
    let tenant = &state.identity().tenant;
    let limits = |message: String| Turn::Refused(Refusal { message, by: Decider::Limits });
    if let Some(over) = over_quota(&*services.store, &services.policy, tenant)? {
        return Ok(limits(over.to_string()));
    }
    let mut budget = TenantBudget::under(Arc::clone(&services.store), &services.policy, tenant, entry.run())?;
    for kind in budget.kinds() {
        match budget.cover(kind, state.budget(kind).spent, 1) {
            Err(over @ StoreError::BudgetExceeded { .. }) => return Ok(limits(over.to_string())),
            other => other?,
        }
    }
    let who = ThrottleKey { tenant, agent: &state.identity().agent.id, step_type };
    Ok(match services.throttle.admit(&services.policy, who, entry.now_us())? {
        Admission::Admitted(admitted) => Turn::Admitted(admitted),
        Admission::Refused { message } => Turn::Refused(Refusal { message, by: Decider::Breaker }),
        Admission::Later { until_us, reason } => {
            limits(format!("actions come too fast ({reason}); try again after {}", rfc3339(until_us)))
        }
    })
}

/// What is said of an action whose effects the host cannot derive.
fn unresolved(failure: &Failure) -> Refusal {
    match failure {
        Failure::Denied(message) => Refusal { message: message.clone(), by: Decider::Workspace },
        other => {
            let message = format!("its effects cannot be told: {other}");
            Refusal { message, by: Decider::Workspace }
        }
    }
}

/// Keeps the input, and names it in the judgement.
fn with_input(entry: &mut Entry<'_>, mut judging: Judging, input: &Json) -> Judging {
    let step = judging.step().clone();
    let kept = entry.blob(Some(&step), Bytes::from(input.as_str().to_owned()));
    judging.keep_input_as(kept);
    judging
}

/// The proposal as it may be kept: a digest of an input with a secret could be guessed.
fn without_secret(entry: &Entry<'_>, proposal: Proposal, judging: &Judging) -> Proposal {
    if entry.retention.is_flagged(judging.step()) { Proposal { action: None, ..proposal } } else { proposal }
}

/// Whether the bytes that an action's effects refer to are kept with this event.
fn is_to_be_kept(event: &RunEvent) -> bool {
    match event {
        RunEvent::ApprovalRequested(_) => true,
        RunEvent::StepProposed(proposed) => proposed.answer != ProposalAnswer::Denied,
        _ => false,
    }
}

/// Salted digest of an action, by which a call is known that is proposed twice.
pub fn action_digest(salt: [u8; fusebox_store::SALT_BYTES], step_type: &str, input: &Json) -> Digest {
    Blob::salted(salt, Bytes::from(json::canonical(&(step_type, input)))).digest()
}

/// The same call, where it was answered before: some programs ask by two hooks about one call.
fn answered_before(state: &SessionState, proposed: &SessionAction, action: &Digest) -> Option<Call> {
    if state.refusal(&proposed.action.step_type).is_some() {
        return None;
    }
    let named = state.call(Some(proposed.call.as_deref()?), None)?;
    (named.action.as_ref() == Some(action)).then(|| named.clone())
}

/// The answer that a call got before.
pub fn repeated(services: &Services, book: &super::book::Book, before: &Call) -> Result<Verdict, Error> {
    let events = services.store.events(book.run(), before.seq.saturating_sub(1), 4)?;
    let events: Vec<RunEvent> = events.iter().map(|sealed| sealed.run_event()).collect::<Result<_, _>>()?;
    let of_step = events.into_iter().filter(|event| event.step() == Some(&before.step)).collect::<Vec<_>>();
    Verdict::of(&of_step).ok_or_else(|| Error::Undecided { what: "the action".to_owned() })
}

/// The answer in a session that is over.
fn denied(state: &SessionState, refusal: Refusal) -> Verdict {
    Verdict {
        step: state.next_step(),
        answer: ProposalAnswer::Denied,
        message: refusal.message,
        by: vec![refusal.by],
        question: None,
        decision: None,
    }
}
