use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::event::{
    KillTimes, ObservedOutcome, ProposalAnswer, RunEvent, SessionContinued, SessionOpened, SessionRules, Usage,
};
use crate::gate::{GateAsk, GateSetup, GuardAnswer, GuardSlot};
use crate::policy::{GuardMode, OnError, SessionReview, StepTypePolicy};
use crate::run::Judging;
use crate::{
    Action, Agent, ApprovalAnswer, ApprovalScope, BudgetKind, Decider, Digest, Effect, Error, Json, Origin, Policy,
    Ruling, RunLimits, Scope, Verdict as GuardVerdict,
};

fn policy(review: SessionReview) -> Policy {
    let mut policy = Policy::default();
    policy.sessions.review = review;
    policy.step_types.insert("run_command".into(), StepTypePolicy { needs_approval: Some(false) });
    policy
}

fn setup(review: SessionReview) -> SessionSetup {
    let policy = policy(review);
    let guards = vec![GuardSlot::new("guard", OnError::Deny, GuardMode::Enforce)];
    SessionSetup {
        run: "session".parse().unwrap(),
        policy_digest: policy.digest(),
        policy: Arc::new(policy),
        plugins: Arc::default(),
        gate: Arc::new(GateSetup { guards, ..GateSetup::default() }),
        claimed_approval: BTreeMap::new(),
        place: Digest::ZERO,
    }
}

fn opened(limits: RunLimits) -> SessionOpened {
    SessionOpened {
        goal: String::new(),
        agent: Agent { id: "a".into(), kind: None, tier: None },
        tenant: "default".into(),
        origin: "test".into(),
        external_id: "1".into(),
        continues: None,
        rules: Box::new(SessionRules {
            workspace: "/w".into(),
            place: Digest::ZERO,
            policy: Digest::ZERO,
            plugins: BTreeMap::new(),
            limits,
            idle_us: Some(1000),
            setup: Digest::ZERO,
            host: "h".into(),
            engine: "e".into(),
        }),
        limits_by: BTreeMap::new(),
    }
}

fn command_line(number: u8) -> (Action, Vec<Effect>) {
    let words = [format!("do {number}")];
    let action = Action {
        step_type: "run_command".into(),
        input: Json::parse("input", format!(r#"{{"command":"{}"}}"#, words[0]).as_bytes(), 100).unwrap(),
        description: String::new(),
        scope: Scope::Workspace,
        origin: Origin::Hook,
    };
    let effect = Effect::Run {
        argv: words.to_vec(),
        program: "/bin/do".into(),
        cwd: "".parse().unwrap(),
        env_names: Vec::new(),
        environment: Digest::ZERO,
        shell_text: None,
        files: Vec::new(),
    };
    (action, vec![effect])
}

fn judged(setup: &SessionSetup, state: &SessionState, number: u8, ruling: Ruling, now: u64) -> Box<Judging> {
    let (action, effects) = command_line(number);
    let approval = setup.approval_reasons(state, &action.step_type, false);
    let mut judging = state.judging(setup, action, approval, now);
    judging.previewed(effects, Usage::default());
    assert!(matches!(judging.ask(), GateAsk::Judge { guard: 0 }));
    let usage = Usage { call_fuel: 3, ..Usage::default() };
    judging.judged(GuardAnswer::Verdict(GuardVerdict { ruling, ..GuardVerdict::abstain() }), usage);
    Box::new(judging)
}

fn proposal(number: u8, call: &str) -> Proposal {
    let action = Some(Digest::of(&[number]));
    Proposal { call: Some(call.to_owned()), action, review: ReviewBy::Policy }
}

/// A session that a test drives. Its events are kept, so that it can be folded again.
struct Driven {
    setup: SessionSetup,
    state: SessionState,
    events: Vec<(RunEvent, u64)>,
    now: u64,
}

impl Driven {
    fn new(review: SessionReview, limits: RunLimits) -> Self {
        let setup = setup(review);
        Self { state: SessionState::new(opened(limits), 1), setup, events: Vec::new(), now: 1 }
    }

    fn tell(&mut self, command: SessionCommand) -> Result<Option<Verdict>, Error> {
        self.now += 10;
        let events = decide(&self.state, &self.setup, command, self.now)?;
        for event in &events {
            self.state.apply(event, self.now);
            self.events.push((event.clone(), self.now));
        }
        Ok(Verdict::of(&events))
    }

    fn propose(&mut self, number: u8, ruling: Ruling) -> Result<Verdict, Error> {
        let judging = judged(&self.setup, &self.state, number, ruling, self.now);
        let command = SessionCommand::Propose { judging, proposal: proposal(number, &format!("c{}", self.now)) };
        Ok(self.tell(command)?.unwrap())
    }

    fn observe(&mut self, outcome: ObservedOutcome) -> Result<(), Error> {
        let Some(step) = self.state.open_calls().next().map(|call| call.step.clone()) else { return Ok(()) };
        let (summary, output, took_us) = (String::new(), None, Some(5));
        self.tell(SessionCommand::Observe(Observation { step, outcome, summary, output, took_us })).map(drop)
    }

    fn answer(&mut self, answer: ApprovalAnswer) -> Result<(), Error> {
        let Some(id) = self.state.questions.iter().find(|open| open.is_open()).map(|open| open.id.clone()) else {
            return Ok(());
        };
        self.tell(SessionCommand::Answer(SessionAnswer { id, answer, signed: None })).map(drop)
    }
}

fn approved(scope: ApprovalScope) -> ApprovalAnswer {
    ApprovalAnswer::approve("me", "terminal", "", scope)
}

#[derive(Debug, Clone)]
enum Op {
    Propose(u8, Ruling),
    Refuse(u8),
    Observe(ObservedOutcome),
    Approve(ApprovalScope),
    Reject,
    Pause,
    Resume,
    Continue,
    Kill,
    Close,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let ruling = prop_oneof![Just(Ruling::Abstain), Just(Ruling::Allow), Just(Ruling::Review), Just(Ruling::Deny)];
    let outcome = prop_oneof![
        Just(ObservedOutcome::Completed),
        Just(ObservedOutcome::Failed),
        Just(ObservedOutcome::NotDone),
        Just(ObservedOutcome::Unknown)
    ];
    let scope = prop_oneof![Just(ApprovalScope::Once), Just(ApprovalScope::SameKind)];
    let op = prop_oneof![
        12 => (0..3_u8, ruling).prop_map(|(number, ruling)| Op::Propose(number, ruling)),
        1 => (0..3_u8).prop_map(Op::Refuse),
        4 => outcome.prop_map(Op::Observe),
        3 => scope.prop_map(Op::Approve),
        1 => Just(Op::Reject),
        2 => Just(Op::Pause),
        2 => Just(Op::Resume),
        1 => Just(Op::Continue),
        1 => Just(Op::Kill),
        1 => Just(Op::Close),
    ];
    proptest::collection::vec(op, 1..60)
}

fn reviews() -> impl Strategy<Value = SessionReview> {
    prop_oneof![Just(SessionReview::Ask), Just(SessionReview::Park), Just(SessionReview::Deny)]
}

proptest! {
    /// Nothing but a denial is answered in a session that is killed, ended, paused or over its budget; budgets hold; and
    /// the state is a fold over the events, as it is when it was stored in between.
    #[test]
    fn a_session_that_may_not_go_on_only_denies(ops in ops(), review in reviews(), steps in 1..8_u64, fuel in 6..60_u64) {
        let limits = RunLimits { steps: Some(steps), fuel: Some(fuel), ..RunLimits::default() };
        let mut session = Driven::new(review, limits.clone());
        let mut let_through = 0;
        let mut stored = session.state.clone();
        let mut stored_at = 0;
        for (turn, op) in ops.into_iter().enumerate() {
            let before = session.state.clone();
            let is_stopped = before.ended().is_some() || before.paused_by().is_some();
            let is_spent = before.budget(BudgetKind::Steps).remaining() == 0 || before.budget(BudgetKind::Fuel).remaining() == 0;
            match op {
                Op::Propose(number, ruling) => match session.propose(number, ruling) {
                    Ok(verdict) => {
                        prop_assert!(before.ended().is_none());
                        if is_stopped || is_spent || ruling == Ruling::Deny {
                            prop_assert_eq!(verdict.ruling(), Ruling::Deny);
                            prop_assert!(!verdict.message.is_empty());
                        }
                        if verdict.ruling() != Ruling::Deny {
                            let_through += 1;
                        }
                        if verdict.ruling() == Ruling::Review {
                            prop_assert_eq!(review, SessionReview::Ask);
                        }
                        if let ProposalAnswer::Approved { id } = &verdict.answer {
                            prop_assert!(before.questions.iter().any(|one| one.id == *id && !one.is_open()));
                            prop_assert!(!session.state.questions.iter().any(|one| one.id == *id), "used up");
                        }
                    }
                    Err(_) => prop_assert!(before.ended().is_some()),
                },
                Op::Refuse(number) => {
                    let (action, _) = command_line(number);
                    let judging = session.state.judging(&session.setup, action, Vec::new(), session.now);
                    let refusal = Refusal { message: "no".into(), by: Decider::Breaker };
                    let told = session.tell(SessionCommand::Refuse { judging: Box::new(judging), proposal: proposal(number, "x"), refusal });
                    match told {
                        Ok(verdict) => prop_assert_eq!(verdict.unwrap().ruling(), Ruling::Deny),
                        Err(_) => prop_assert!(before.ended().is_some()),
                    }
                }
                Op::Observe(outcome) => { let _ = session.observe(outcome); }
                Op::Approve(scope) => { let _ = session.answer(approved(scope)); }
                Op::Reject => { let _ = session.answer(ApprovalAnswer::reject("me", "terminal", "no")); }
                Op::Pause => { let _ = session.tell(SessionCommand::Pause { by: "me".into(), reason: String::new() }); }
                Op::Resume => { let _ = session.tell(SessionCommand::Resume { by: "me".into() }); }
                Op::Continue => {
                    let continued = SessionContinued { rules: *opened(limits.clone()).rules };
                    let _ = session.tell(SessionCommand::Continue(Box::new(continued)));
                }
                Op::Kill => { let _ = session.tell(SessionCommand::Kill { by: "me".into(), times: KillTimes::new(1, 2) }); }
                Op::Close => { let _ = session.tell(SessionCommand::Close { message: "over".into() }); }
            }
            prop_assert!(session.state.budget(BudgetKind::Steps).spent <= steps);
            prop_assert_eq!(session.state.budget(BudgetKind::Steps).spent, let_through);
            if turn % 7 == 3 {
                let text = serde_json::to_string(&session.state).unwrap();
                stored = serde_json::from_str(&text).unwrap();
                stored_at = session.events.len();
            }
        }
        for (event, time) in &session.events[stored_at..] {
            stored.apply(event, *time);
        }
        prop_assert_eq!(&stored, &session.state);
        let mut folded = SessionState::new(opened(limits), 1);
        session.events.iter().for_each(|(event, time)| folded.apply(event, *time));
        prop_assert_eq!(&folded, &session.state);
    }
}

#[test]
fn a_parked_action_passes_once_after_its_approval() {
    let mut session = Driven::new(SessionReview::Park, RunLimits::default());
    let parked = session.propose(1, Ruling::Review).unwrap();
    let id = parked.question.clone().unwrap();
    assert_eq!((parked.ruling(), parked.message.contains(id.as_str())), (Ruling::Deny, true), "{parked:?}");
    // Proposed again before the answer, it names the same question.
    let again = session.propose(1, Ruling::Review).unwrap();
    assert_eq!((again.question, again.message.contains(id.as_str())), (None, true));
    session.answer(approved(ApprovalScope::Once)).unwrap();
    assert_eq!(session.propose(2, Ruling::Review).unwrap().ruling(), Ruling::Deny, "another action");
    assert_eq!(session.propose(1, Ruling::Review).unwrap().answer, ProposalAnswer::Approved { id });
    assert_eq!(session.propose(1, Ruling::Review).unwrap().ruling(), Ruling::Deny, "it is used up");
}

#[test]
fn an_approval_of_a_kind_holds_until_it_is_revoked_and_no_longer_under_other_rules() {
    let mut session = Driven::new(SessionReview::Park, RunLimits::default());
    session.propose(1, Ruling::Review).unwrap();
    session.answer(approved(ApprovalScope::SameKind)).unwrap();
    let granted = session.propose(1, Ruling::Review).unwrap();
    let ProposalAnswer::Granted { id } = granted.answer else { panic!("{granted:?}") };
    session.tell(SessionCommand::Revoke { grant: id, by: "me".into() }).unwrap();
    assert_eq!(session.propose(1, Ruling::Review).unwrap().ruling(), Ruling::Deny);
}

#[test]
fn what_the_user_said_is_inferred_from_what_happened() {
    let mut session = Driven::new(SessionReview::Ask, RunLimits::default());
    assert_eq!(session.propose(1, Ruling::Review).unwrap().answer, ProposalAnswer::Asked);
    session.observe(ObservedOutcome::Completed).unwrap();
    let Some((RunEvent::StepObserved(observed), _)) = session.events.last() else { panic!() };
    assert_eq!(observed.inferred, Some(crate::event::InferredAnswer::Approved));
    assert_eq!(observed.took_us, 5);
}

#[test]
fn without_a_user_to_ask_the_action_is_parked() {
    let mut session = Driven::new(SessionReview::Ask, RunLimits::default());
    let judging = judged(&session.setup, &session.state, 1, Ruling::Review, session.now);
    let proposal = Proposal { review: ReviewBy::Inbox, ..proposal(1, "c") };
    let verdict = session.tell(SessionCommand::Propose { judging, proposal }).unwrap().unwrap();
    assert!(verdict.ruling() == Ruling::Deny && verdict.question.is_some(), "{verdict:?}");
}

#[test]
fn a_session_without_an_event_for_long_is_idle() {
    let session = Driven::new(SessionReview::Ask, RunLimits::default());
    assert!(!session.state.is_idle(1000) && session.state.is_idle(1001));
}
