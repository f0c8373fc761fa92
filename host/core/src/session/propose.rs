//! The answer to a proposed action.

use std::sync::Arc;

use super::command::{Proposal, Refusal};
use super::setup::{ReviewBy, SessionSetup};
use super::state::{MAX_QUESTIONS, SessionState};
use crate::approval::BoundInSession;
use crate::event::{ApprovalRequested, ProposalAnswer, RunEvent, SkipReason, StepJudged, StepProposed, StepSkipped};
use crate::gate::Reason;
use crate::policy::SessionReview;
use crate::run::Judging;
use crate::{Action, ApprovalId, ApprovalKind, Binding, BudgetKind, Decider, Decision, Effect, Ruling, StepId, json};

/// A session's answer to a proposed action.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Id of the step.
    pub step: StepId,
    /// The answer.
    pub answer: ProposalAnswer,
    /// Why, in one line; empty where nothing is to be said.
    pub message: String,
    /// Deciders of a denial or review.
    pub by: Vec<Decider>,
    /// Question that a person may answer so that the same action passes.
    pub question: Option<ApprovalId>,
    /// The gate's decision, where it came to one.
    pub decision: Option<Decision>,
}

impl SessionState {
    /// The judgement of the session's next action. `approval` says what already asks for a person.
    #[must_use]
    pub fn judging(&self, setup: &SessionSetup, action: Action, approval: Vec<Reason>, now_us: u64) -> Judging {
        Judging::of_action(Arc::clone(&setup.gate), (self.next_step(), self.actions()), action, approval, now_us)
    }
}

impl Verdict {
    /// The answer as a ruling: review where the program of the session asks its user.
    #[must_use]
    pub fn ruling(&self) -> Ruling {
        match self.answer {
            ProposalAnswer::Allowed | ProposalAnswer::Approved { .. } | ProposalAnswer::Granted { .. } => Ruling::Allow,
            ProposalAnswer::Asked => Ruling::Review,
            ProposalAnswer::Denied => Ruling::Deny,
        }
    }

    /// The verdict of events that follow from a proposal; `None` for other events.
    #[must_use]
    pub fn of(events: &[RunEvent]) -> Option<Self> {
        let StepProposed { judged, answer, .. } = events.iter().find_map(|event| match event {
            RunEvent::StepProposed(proposed) => Some(proposed),
            _ => None,
        })?;
        let mut verdict = Self {
            step: judged.step.clone(),
            answer: answer.clone(),
            message: String::new(),
            by: Vec::new(),
            question: None,
            decision: judged.decision.clone(),
        };
        if let Some(decision) = &judged.decision
            && decision.ruling != Ruling::Allow
        {
            (verdict.message, verdict.by) = (decision.why(), decision.deciders());
        }
        for event in events {
            match event {
                RunEvent::StepSkipped(StepSkipped { message, by, .. }) => {
                    (verdict.message, verdict.by) = (message.clone(), by.clone());
                }
                RunEvent::ApprovalRequested(ApprovalRequested { id, .. }) => verdict.question = Some(id.clone()),
                _ => {}
            }
        }
        Some(verdict)
    }
}

impl SessionState {
    /// Reason why no action of this type is let through now, whatever guards say.
    #[must_use]
    pub fn refusal(&self, step_type: &str) -> Option<Refusal> {
        let refusal = |by, message: String| Some(Refusal { message, by });
        if let Some((end, why)) = self.ended() {
            let by = if end == crate::event::RunEnd::Killed { Decider::KillSwitch } else { Decider::Limits };
            return refusal(by, format!("the session is over: {why}"));
        }
        if let Some(by) = &self.paused_by {
            let message = format!("the session is paused by {by}; `fusebox resume` lets it go on");
            return refusal(Decider::Person(by.clone()), message);
        }
        if let Some(kind) = self.exhausted() {
            return refusal(Decider::Limits, format!("the budget {kind} of the session is used up"));
        }
        if !self.limits.permits(step_type) {
            return refusal(Decider::Limits, self.not_permitted(step_type));
        }
        None
    }

    /// The first budget that lets nothing more through.
    fn exhausted(&self) -> Option<BudgetKind> {
        let one_more = [(BudgetKind::Steps, 1)].into();
        if self.ledger.can_reserve(&one_more).is_err() {
            return Some(BudgetKind::Steps);
        }
        self.ledger.exhausted()
    }

    fn not_permitted(&self, step_type: &str) -> String {
        let mut message = format!("the limits of this session do not permit steps of type {step_type}");
        if let Some(level) = self.profiled {
            message.push_str(&format!(
                "; it was predicted to be of {level} risk, whose profile in the policy (risk.profiles.{}) may be why",
                level.name().to_lowercase()
            ));
        }
        message
    }
}

/// Events of an action that is refused before any guard judges it.
pub(super) fn refused(judging: Judging, proposal: Proposal, refusal: Refusal) -> Vec<RunEvent> {
    let judged = answered(judging.into_event(), proposal, ProposalAnswer::Denied);
    let skipped = StepSkipped {
        step: judged.judged.step.clone(),
        reason: SkipReason::Denied,
        message: refusal.message,
        by: vec![refusal.by],
    };
    vec![judged.into(), skipped.into()]
}

fn answered(judged: StepJudged, proposal: Proposal, answer: ProposalAnswer) -> StepProposed {
    let Proposal { call, action, .. } = proposal;
    StepProposed { judged: Box::new(judged), call, action, answer }
}

/// What a proposal comes to.
struct Outcome {
    answer: ProposalAnswer,
    after: Vec<RunEvent>,
}

/// Events of an action that the gate decided on.
pub(super) fn proposed(
    state: &SessionState,
    setup: &SessionSetup,
    judging: Judging,
    proposal: Proposal,
    now_us: u64,
) -> Vec<RunEvent> {
    let action = judging.action().clone();
    let judged = judging.into_event();
    let step = judged.step.clone();
    let refusal = state.refusal(&action.step_type);
    let outcome = match (&judged.decision, refusal) {
        (_, Some(Refusal { message, by })) => skip(&step, SkipReason::Denied, message, vec![by]),
        (None, None) => skip(&step, SkipReason::GuardFailed, "the gate came to no decision".to_owned(), Vec::new()),
        (Some(decision), None) => follow(
            Following { state, setup, step: &step, action: &action },
            decision,
            judged.effects(),
            proposal.review,
            now_us,
        ),
    };
    [answered(judged, proposal, outcome.answer).into()].into_iter().chain(outcome.after).collect()
}

fn skip(step: &StepId, reason: SkipReason, message: String, by: Vec<Decider>) -> Outcome {
    let skipped = StepSkipped { step: step.clone(), reason, message, by };
    Outcome { answer: ProposalAnswer::Denied, after: vec![skipped.into()] }
}

/// The proposal whose decision is followed.
#[derive(Clone, Copy)]
struct Following<'a> {
    state: &'a SessionState,
    setup: &'a SessionSetup,
    step: &'a StepId,
    action: &'a Action,
}

fn follow(of: Following<'_>, decision: &Decision, effects: &[Effect], review: ReviewBy, now_us: u64) -> Outcome {
    let Following { state, setup, step, action } = of;
    let let_through = |answer| Outcome { answer, after: Vec::new() };
    match decision.ruling {
        Ruling::Allow => let_through(ProposalAnswer::Allowed),
        Ruling::Deny | Ruling::Abstain => {
            let reason = if decision.is_of_failed_guards() { SkipReason::GuardFailed } else { SkipReason::Denied };
            skip(step, reason, decision.why(), decision.deciders())
        }
        Ruling::Review => {
            let binding = binding(setup, action, effects);
            let kind = ApprovalKind::refusal(effects).is_none().then(|| ApprovalKind::of(action, effects, decision));
            if let Some(held) = kind.as_ref().and_then(|kind| state.granted(kind, now_us)) {
                return let_through(ProposalAnswer::Granted { id: held.id.clone() });
            }
            let parked = state.parked(&binding);
            if let Some(approved) = parked.filter(|parked| !parked.is_open()) {
                return let_through(ProposalAnswer::Approved { id: approved.id.clone() });
            }
            match review.under(&setup.policy) {
                SessionReview::Ask => let_through(ProposalAnswer::Asked),
                SessionReview::Deny => skip(step, SkipReason::Denied, decision.why(), decision.deciders()),
                SessionReview::Park => park(of, decision, binding, kind.as_ref(), now_us),
            }
        }
    }
}

/// The action waits for a person: the same one passes, once, after an approval.
fn park(of: Following<'_>, decision: &Decision, binding: Binding, kind: Option<&ApprovalKind>, now_us: u64) -> Outcome {
    let Following { state, setup, step, .. } = of;
    let waits = |id: &ApprovalId| {
        format!(
            "it waits for a person: `fusebox approve {id}` lets exactly this action pass, once; propose it again then ({})",
            decision.why()
        )
    };
    if let Some(open) = state.parked(&binding) {
        return skip(step, SkipReason::Denied, waits(&open.id), decision.deciders());
    }
    if state.questions.len() >= MAX_QUESTIONS {
        let message = format!("{MAX_QUESTIONS} questions of this session wait for a person; answer some of them first");
        return skip(step, SkipReason::Denied, message, vec![Decider::Limits]);
    }
    // The proposal itself is the next event, the question the one after it.
    let id = ApprovalId::of(&binding, state.seq + 2);
    let expires_us =
        setup.policy.approval.expires_s.map(|seconds| now_us.saturating_add(u64::from(seconds) * 1_000_000));
    let message = waits(&id);
    let kind = kind.map(json::canonical);
    let requested = ApprovalRequested { step: step.clone(), id, binding, expires_us, kind };
    let skipped = StepSkipped { step: step.clone(), reason: SkipReason::Denied, message, by: decision.deciders() };
    Outcome { answer: ProposalAnswer::Denied, after: vec![requested.into(), skipped.into()] }
}

/// The binding of an action in a session.
fn binding(setup: &SessionSetup, action: &Action, effects: &[Effect]) -> Binding {
    Binding::of_session(BoundInSession {
        run: &setup.run,
        action,
        effects,
        plugins: &setup.plugins,
        policy: &setup.policy_digest,
        place: &setup.place,
    })
}
