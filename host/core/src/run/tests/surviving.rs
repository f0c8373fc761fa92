//! Runs that were left and continued, one case at a time.

use super::examples::{allow, carry_on, executing, judge_with, proposed, tell, tell_at};
use super::*;
use crate::Decider;
use crate::event::{
    ApprovalDecided, BudgetWarning, EffectIntended, RunEnded, RunEvent, StepEnd, StepJudged, StepRetried,
};
use crate::run::{DriverCommand, PersonCommand, ProcessCommand};

/// A run whose first step waits for a person, with the effect `a`.
fn waiting(limits: RunLimits) -> RunState {
    let mut state = proposed(2, true, limits);
    allow(&mut state, "a");
    assert!(matches!(state.ask(), Ask::Person { .. }));
    state
}

#[test]
fn an_approval_outlasts_its_process_for_exactly_the_same() {
    for (name, begins) in [("a", true), ("b", false)] {
        let mut state = waiting(RunLimits::default());
        let binding = asks(&state);
        tell(&mut state, answered(binding, approved(false)));
        tell(&mut state, continued());
        assert!(state.judging(0).is_some(), "it is judged anew");
        allow(&mut state, name);
        assert_eq!(matches!(state.ask(), Ask::Execute { .. }), begins, "{name}");
        assert_eq!(state.question().is_some(), !begins, "another effect is another question");
    }
}

#[test]
fn an_approval_begins_one_step_once() {
    let mut state = waiting(RunLimits::default());
    let binding = asks(&state);
    tell(&mut state, answered(binding, approved(false)));
    tell(&mut state, DriverCommand::Advance);
    tell(&mut state, failed_with(true));
    allow(&mut state, "a");
    assert_ne!(asks(&state), binding, "another try is another question");
}

#[test]
fn a_question_of_another_policy_is_asked_anew() {
    let mut state = waiting(RunLimits::default());
    let mut other = (**state.setup()).clone();
    other.policy_digest = Digest::of(b"another policy");
    state.rebind(Arc::new(other));
    tell(&mut state, continued());
    assert_eq!((state.phase(), state.ask()), (Phase::Running, Ask::JudgePlan { guard: 0 }), "from the whole plan on");
    let mut state = waiting(RunLimits::default());
    tell(&mut state, continued());
    assert!(matches!(state.ask(), Ask::Person { .. }), "the same policy asks the same");
}

#[test]
fn a_late_answer_means_no() {
    let mut state = {
        let setup = setup(1, OnDenied::Stop, true, RunLimits::default());
        let mut setup = (*setup).clone();
        Arc::make_mut(&mut setup.policy).approval.expires_s = Some(1);
        proposed_of(Arc::new(setup))
    };
    allow(&mut state, "a");
    let binding = asks(&state);
    assert_eq!(state.question().unwrap().expires_us, Some(1_000_000));
    let events = tell_at(&mut state, answered(binding, approved(false)), 1_000_000);
    assert!(matches!(
        &events[0],
        RunEvent::ApprovalDecided(ApprovalDecided { answer: ApprovalAnswer::Expired { .. }, .. })
    ));
    assert_eq!(state.phase(), Phase::Ended(RunEnd::Denied));
}

fn proposed_of(setup: Arc<RunSetup>) -> RunState {
    let mut state = RunState::new(setup);
    tell(&mut state, DriverCommand::Advance);
    tell(&mut state, DriverCommand::PlanJudged { answer: verdict(Ruling::Abstain), usage: usage(0) });
    tell(&mut state, DriverCommand::Advance);
    state
}

#[test]
fn a_kind_can_be_revoked_and_runs_out() {
    let until = |until_us| ApprovalAnswer::Approved {
        by: "p".into(),
        channel: "test".into(),
        note: String::new(),
        same_kind: true,
        until_us,
    };
    for (answer, revoked, at, asked_again) in [
        (until(None), false, 9, false),
        (until(None), true, 9, true),
        (until(Some(5)), false, 4, false),
        (until(Some(5)), false, 5, true),
    ] {
        let mut state = waiting(RunLimits::default());
        let (binding, id) = (asks(&state), state.question().unwrap().id.clone());
        tell(&mut state, answered(binding, answer));
        tell(&mut state, DriverCommand::Advance);
        tell(&mut state, done(0));
        if revoked {
            assert!(
                decide(&state, PersonCommand::Revoke { grant: "other".parse().unwrap(), by: "p".into() }, 0).is_err()
            );
            tell(&mut state, PersonCommand::Revoke { grant: id, by: "p".into() });
            assert_eq!(state.grants().count(), 0);
        }
        judge_with(&mut state, vec![effect("b")], verdict(Ruling::Allow), usage(0));
        tell_at(&mut state, DriverCommand::Advance, at);
        assert_eq!(state.question().is_some(), asked_again, "{revoked} {at}");
    }
}

#[test]
fn a_kind_that_was_approved_under_another_policy_counts_no_more() {
    let mut state = waiting(RunLimits::default());
    let binding = asks(&state);
    tell(&mut state, answered(binding, approved(true)));
    assert_eq!(state.grants().count(), 1);
    let mut other = (**state.setup()).clone();
    other.policy_digest = Digest::of(b"another policy");
    state.rebind(Arc::new(other));
    tell(&mut state, continued());
    assert_eq!(state.grants().count(), 0);
}

#[test]
fn what_was_done_is_remembered_and_what_was_not_is_free_again() {
    let mut state = executing(RunLimits { tokens: Some(10), ..RunLimits::default() });
    tell(&mut state, host_call(effect("a"), HostCallJudgement::NotNeeded));
    tell(&mut state, continued());
    assert!(matches!(state.ask(), Ask::Execute { .. }), "it stays where it was");
    assert!(decide(&state, ProcessCommand::ResumeStep, 0).is_err(), "first it must be known whether that happened");
    assert_eq!(state.open_effects().len(), 1);
    tell(&mut state, ProcessCommand::HostCallUndone { call: 0, spent: Amounts::new() });
    tell(&mut state, ProcessCommand::ResumeStep);
    let again = tell(&mut state, host_call(effect("a"), HostCallJudgement::NotNeeded));
    assert!(
        matches!(again[..], [RunEvent::EffectIntended(EffectIntended { call: 1, .. })]),
        "its approval was not used up"
    );
    tell(&mut state, host_call_done(1));
    let answers: Vec<_> = state.answered().iter().map(|answered| (answered.call, answered.answer.is_some())).collect();
    assert_eq!(answers, [(0, false), (1, true)]);
    let third = tell(&mut state, host_call(effect("a"), HostCallJudgement::NotNeeded));
    assert!(matches!(third[..], [RunEvent::EffectRefused(_)]));
}

#[test]
fn a_step_in_doubt_waits_for_a_person() {
    let in_doubt = || {
        let mut state = executing(RunLimits::default());
        tell(&mut state, host_call(effect("a"), HostCallJudgement::NotNeeded));
        tell(&mut state, host_call_done(0));
        tell(&mut state, host_call(effect("b"), decision(Ruling::Allow)));
        tell(&mut state, ProcessCommand::Doubt { message: "its process ended".into() });
        assert_eq!((state.phase(), state.steps()[0].state), (Phase::Paused, StepState::InDoubt));
        state
    };
    let mut state = in_doubt();
    let binding = asks(&state);
    let events = tell(&mut state, answered(binding, approved(false)));
    assert!(
        matches!(&events[1], RunEvent::StepRetried(StepRetried { attempt: 2, restores, .. }) if restores.len() == 1)
    );
    assert!(matches!(state.ask(), Ask::Restore { .. }), "what it is known to have done is taken back");
    tell(&mut state, DriverCommand::Restored { failure: None });
    carry_on(&mut state);

    let mut state = in_doubt();
    let binding = asks(&state);
    tell(&mut state, answered(binding, happened()));
    assert_eq!(state.steps()[0].state, StepState::Completed);
    tell(&mut state, DriverCommand::Advance);
    assert_eq!(state.phase(), Phase::Ended(RunEnd::Completed));

    let mut state = in_doubt();
    let binding = asks(&state);
    tell(&mut state, answered(binding, rejected()));
    assert_eq!(state.phase(), Phase::Ended(RunEnd::StepFailed));
}

#[test]
fn a_resumed_step_that_goes_another_way_is_in_doubt() {
    let mut state = executing(RunLimits::default());
    tell(&mut state, host_call(effect("a"), HostCallJudgement::NotNeeded));
    tell(&mut state, host_call_done(0));
    tell(&mut state, DriverCommand::Failed(failure(StepEnd::Diverged, false)));
    assert_eq!(state.steps()[0].state, StepState::InDoubt);
    assert!(state.question().is_some());
}

#[test]
fn a_paused_run_goes_on_only_when_resumed() {
    let mut state = proposed(1, false, RunLimits::default());
    tell(&mut state, PersonCommand::Pause { by: "p".into(), reason: String::new() });
    assert_eq!((state.phase(), state.ask()), (Phase::Paused, Ask::Resume { by: "p" }));
    assert!(decide(&state, DriverCommand::Advance, 0).is_err());
    assert!(decide(&state, PersonCommand::Pause { by: "p".into(), reason: String::new() }, 0).is_err());
    tell(&mut state, PersonCommand::Resume { by: "p".into() });
    carry_on(&mut state);
    tell(&mut state, PersonCommand::Pause { by: "p".into(), reason: String::new() });
    tell(&mut state, kill());
    assert_eq!(state.phase(), Phase::Ended(RunEnd::Killed), "a paused run can be killed");
}

#[test]
fn time_counts_only_while_a_process_works() {
    let mut state = waiting(RunLimits { time_us: Some(100), ..RunLimits::default() });
    assert_eq!(state.time_left_us(1000), Some(100), "it waits for a person");
    let binding = asks(&state);
    tell_at(&mut state, answered(binding, approved(false)), 1000);
    assert_eq!(state.time_left_us(1010), Some(90));
    tell_at(&mut state, PersonCommand::Pause { by: "p".into(), reason: String::new() }, 1010);
    tell_at(&mut state, PersonCommand::Resume { by: "p".into() }, 2000);
    assert_eq!(state.time_left_us(2005), Some(85));
    tell_at(&mut state, continued(), 5000);
    assert_eq!(state.time_left_us(5000), Some(90), "nobody knows how long its process went on after its last event");
}

#[test]
fn a_step_that_is_added_comes_last() {
    let mut state = executing(RunLimits::default());
    let step =
        |state: &RunState| Box::new(state.setup().plan.parse_addition(br#"{"step_type":"t","input":{}}"#).unwrap());
    let add = |state: &RunState| PersonCommand::AddStep {
        step: step(state),
        by: "p".into(),
        decision: Decision {
            ruling: Ruling::Allow,
            reasons: vec![],
            impact: None,
            limits: RunLimits::default(),
            input: None,
        },
        usage: usage(1),
    };
    assert!(decide(&state, add(&state), 0).is_err(), "not in the middle of a step");
    tell(&mut state, done(0));
    let command = add(&state);
    tell(&mut state, command);
    assert_eq!(state.steps().len(), 2);
    assert_eq!(state.current().unwrap().id.as_str(), "step-2");
    carry_on(&mut state);
}

#[test]
fn a_step_that_is_not_let_on_waits_or_is_skipped() {
    let mut state = executing(RunLimits::default());
    assert!(decide(&state, DriverCommand::Delay { until_us: 5, reason: String::new() }, 0).is_err());
    tell(&mut state, failed_with(true));
    tell(&mut state, DriverCommand::Delay { until_us: 5, reason: "slowly".into() });
    assert_eq!(state.ask(), Ask::Wait { until_us: 5 });
    assert!(decide(&state, DriverCommand::Advance, 4).is_err());
    let events = tell_at(&mut state, DriverCommand::Block { message: "open".into(), by: Decider::Breaker }, 5);
    assert!(matches!(
        events[..],
        [
            RunEvent::StepJudged(StepJudged { attempt: 2, .. }),
            RunEvent::StepSkipped(_),
            RunEvent::RunEnded(RunEnded { end: RunEnd::Denied, .. })
        ]
    ));
}

#[test]
fn a_warning_is_given_once_and_in_time() {
    let mut state = executing(RunLimits { tokens: Some(10), ..RunLimits::default() });
    let call = prompt_call;
    tell(&mut state, call(7));
    assert_eq!(state.warning_due(0), None);
    tell(&mut state, call(1));
    assert_eq!(state.warning_due(0), Some((BudgetKind::Tokens, 8, 10)));
    state.apply(&RunEvent::BudgetWarning(BudgetWarning { budget: BudgetKind::Tokens, used: 8, limit: 10 }), 0);
    assert_eq!(state.warning_due(0), None);
}
