//! Events that follow from commands, one case at a time.

use super::*;
use crate::event::{ApprovalDecided, EffectIntended, EffectRefused, RunEnded, RunEvent, StepRetried};
use crate::run::{DriverCommand, EffectRequest};

pub fn tell(state: &mut RunState, command: impl Into<Command>) -> Vec<RunEvent> {
    tell_at(state, command, 0)
}

pub fn tell_at(state: &mut RunState, command: impl Into<Command>, now_us: u64) -> Vec<RunEvent> {
    let events = decide(state, command, now_us).unwrap();
    for event in &events {
        state.apply(event, now_us);
    }
    events
}

/// A run whose plan was judged and whose first step is proposed.
pub fn proposed(steps: usize, needs_approval: bool, limits: RunLimits) -> RunState {
    let mut state = RunState::new(setup(steps, OnDenied::Stop, needs_approval, limits));
    tell(&mut state, DriverCommand::Advance);
    assert!(matches!(state.ask(), Ask::JudgePlan { guard: 0 }));
    tell(&mut state, DriverCommand::PlanJudged { answer: verdict(Ruling::Abstain), usage: usage(0) });
    tell(&mut state, DriverCommand::Advance);
    assert!(state.judging(0).is_some());
    state
}

/// A run whose first step is being carried out with the effect `a`.
pub fn executing(limits: RunLimits) -> RunState {
    let mut state = proposed(1, false, limits);
    carry_on(&mut state);
    state
}

pub fn carry_on(state: &mut RunState) {
    judge_with(state, vec![effect("a")], verdict(Ruling::Abstain), usage(1));
    tell(state, DriverCommand::Advance);
    assert!(matches!(state.ask(), Ask::Execute { .. }));
}

/// Judges the next step with these effects; no decision is followed yet.
pub fn judge_with(state: &mut RunState, effects: Vec<Effect>, answer: GuardAnswer, used: Usage) -> Vec<RunEvent> {
    let mut judging = state.judging(0).expect("a step is to be judged");
    judging.previewed(effects, used);
    judging.judged(answer, used);
    tell(state, DriverCommand::StepJudged(Box::new(judging)))
}

/// Judges the next step, which is allowed, and follows the decision.
pub fn allow(state: &mut RunState, name: &str) -> Vec<RunEvent> {
    judge_with(state, vec![effect(name)], verdict(Ruling::Allow), usage(0));
    tell(state, DriverCommand::Advance)
}

#[test]
fn a_run_completes() {
    let mut state = executing(RunLimits::default());
    let call = host_call(effect("a"), HostCallJudgement::NotNeeded);
    assert!(matches!(tell(&mut state, call)[..], [RunEvent::EffectIntended(EffectIntended { call: 0, .. })]));
    tell(&mut state, host_call_done(0));
    tell(&mut state, done(1));
    tell(&mut state, DriverCommand::Advance);
    assert_eq!(state.phase(), Phase::Ended(RunEnd::Completed));
    assert_eq!(state.ledger().line(BudgetKind::Fuel).spent, 3);
}

#[test]
fn an_effect_that_nothing_covers_is_refused_unless_judged_allowed() {
    let mut state = executing(RunLimits::default());
    for (judgement, intended) in [
        (HostCallJudgement::NotNeeded, false),
        (decision(Ruling::Review), false),
        (decision(Ruling::Deny), false),
        (decision(Ruling::Allow), true),
    ] {
        let events = tell(&mut state, host_call(effect("b"), judgement));
        assert_eq!(matches!(events[..], [RunEvent::EffectIntended(_)]), intended);
    }
}

#[test]
fn an_approved_change_covers_one_host_call() {
    let mut state = executing(RunLimits::default());
    let call = || host_call(effect("a"), HostCallJudgement::NotNeeded);
    assert!(matches!(tell(&mut state, call())[..], [RunEvent::EffectIntended(_)]));
    tell(&mut state, host_call_done(0));
    assert!(matches!(tell(&mut state, call())[..], [RunEvent::EffectRefused(_)]));
}

#[test]
fn killing_leaves_an_open_write_in_doubt() {
    let mut state = executing(RunLimits::default());
    let call = host_call(effect("a"), HostCallJudgement::NotNeeded);
    tell(&mut state, call);
    tell(&mut state, kill());
    assert_eq!(state.steps()[0].state, StepState::InDoubt);
    assert_eq!(state.phase(), Phase::Ended(RunEnd::Killed));
}

#[test]
fn an_approval_of_something_else_is_void() {
    let mut state = proposed(1, true, RunLimits::default());
    allow(&mut state, "a");
    let answer = approved(false);
    let wrong = answered(Binding(Digest::ZERO), answer);
    assert!(matches!(decide(&state, wrong, 0), Err(Error::BindingChanged { .. })));
    assert_eq!(state.phase(), Phase::Paused);
}

#[test]
fn failing_with_an_open_write_leaves_it_in_doubt() {
    let mut state = executing(RunLimits::default());
    tell(&mut state, host_call(effect("a"), HostCallJudgement::NotNeeded));
    tell(&mut state, failed());
    assert_eq!(state.steps()[0].state, StepState::InDoubt);
}

#[test]
fn a_step_does_not_start_when_the_time_is_up() {
    let mut state = proposed(1, false, RunLimits { time_us: Some(10), ..RunLimits::default() });
    judge_with(&mut state, vec![], verdict(Ruling::Allow), usage(0));
    let events = decide(&state, DriverCommand::Advance, 10).unwrap();
    assert!(matches!(events[..], [RunEvent::RunEnded(RunEnded { end: RunEnd::Budget, .. })]));
}

#[test]
fn running_dry_of_the_runs_fuel_is_a_budget_end() {
    let mut state = executing(RunLimits { fuel: Some(3), ..RunLimits::default() });
    tell(&mut state, failed());
    assert_eq!(state.phase(), Phase::Ended(RunEnd::Budget));
}

#[test]
fn the_time_budget_ends_a_run_between_steps() {
    let mut state = proposed(2, false, RunLimits { time_us: Some(10), ..RunLimits::default() });
    carry_on(&mut state);
    tell(&mut state, done(1));
    assert!(state.judging(10).is_none());
    let events = decide(&state, DriverCommand::Advance, 10).unwrap();
    assert!(matches!(events[..], [RunEvent::RunEnded(RunEnded { end: RunEnd::Budget, .. })]));
}

#[test]
fn a_plan_is_judged_before_its_first_step() {
    let start = || {
        let mut state = RunState::new(setup(1, OnDenied::Skip, false, RunLimits::default()));
        tell(&mut state, DriverCommand::Advance);
        state
    };
    let mut state = start();
    tell(&mut state, DriverCommand::PlanJudged { answer: verdict(Ruling::Deny), usage: usage(0) });
    tell(&mut state, DriverCommand::Advance);
    tell(&mut state, DriverCommand::Advance);
    assert_eq!(state.phase(), Phase::Ended(RunEnd::Denied), "a denied plan has nothing to skip to");

    let mut state = start();
    tell(&mut state, DriverCommand::PlanJudged { answer: verdict(Ruling::Review), usage: usage(0) });
    tell(&mut state, DriverCommand::Advance);
    tell(&mut state, DriverCommand::Advance);
    assert!(matches!(state.ask(), Ask::PersonOnPlan { .. }));
    let binding = asks(&state);
    let wrong = answered(Binding(Digest::ZERO), approved(false));
    assert!(matches!(decide(&state, wrong, 0), Err(Error::BindingChanged { .. })));
    tell(&mut state, answered(binding, approved(false)));
    assert!(state.judging(0).is_some());
}

#[test]
fn an_edited_action_is_a_new_one_and_judged_again() {
    let mut state = proposed(1, true, RunLimits::default());
    allow(&mut state, "a");
    let binding = asks(&state);
    let input = json(r#"{"a":1}"#);
    tell(&mut state, answered(binding, edited(input.clone())));
    assert!(state.judging(0).is_some());
    let action = state.action().unwrap();
    assert_eq!((action.input, action.origin), (input, Origin::Person));
    // The approval of the earlier action no longer counts.
    allow(&mut state, "a");
    assert!(matches!(decide(&state, answered(binding, approved(false)), 0), Err(Error::BindingChanged { .. })));
}

#[test]
fn a_rewritten_action_is_what_is_approved_and_carried_out() {
    let mut state = proposed(1, false, RunLimits::default());
    let mut judging = state.judging(0).unwrap();
    judging.previewed(vec![effect("a")], usage(1));
    judging.judged(rewriting(r#"{"b":1}"#), usage(1));
    assert_eq!((judging.ask(), &judging.action().input), (GateAsk::Preview, &json(r#"{"b":1}"#)));
    judging.previewed(vec![effect("b")], usage(1));
    judging.judged(verdict(Ruling::Abstain), usage(1));
    tell(&mut state, DriverCommand::StepJudged(Box::new(judging)));
    tell(&mut state, DriverCommand::Advance);
    assert_eq!(state.ask(), Ask::Execute { effects: &[effect("b")] });
    assert_eq!(state.action().unwrap().input, json(r#"{"b":1}"#));
    assert_eq!(state.ledger().line(BudgetKind::Fuel).spent, 4);
}

#[test]
fn a_kind_that_was_approved_is_not_asked_again() {
    let mut state = proposed(3, true, RunLimits::default());
    let mut asked = 0;
    for name in ["a", "b", "c"] {
        let events = allow(&mut state, name);
        assert!(matches!(events[0], RunEvent::ApprovalRequested(_)));
        if state.question().is_some() {
            let binding = asks(&state);
            asked += 1;
            tell(&mut state, answered(binding, approved(true)));
        } else {
            assert!(matches!(
                &events[1],
                RunEvent::ApprovalDecided(ApprovalDecided { answer: ApprovalAnswer::Approved { .. }, .. })
            ));
        }
        tell(&mut state, DriverCommand::Advance);
        assert!(matches!(state.ask(), Ask::Execute { .. }));
        tell(&mut state, done(0));
    }
    tell(&mut state, DriverCommand::Advance);
    assert_eq!(asked, 1);
    assert_eq!(state.phase(), Phase::Ended(RunEnd::Completed));
}

#[test]
fn a_failed_try_is_restored_waited_for_and_proposed_again() {
    let mut state = executing(RunLimits::default());
    tell(&mut state, host_call(effect("a"), HostCallJudgement::NotNeeded));
    tell(&mut state, host_call_done(0));
    let events = tell(&mut state, failed_with(true));
    assert!(matches!(events[..], [RunEvent::StepFailed(_), RunEvent::StepRetried(StepRetried { attempt: 2, .. })]));
    assert!(matches!(state.ask(), Ask::Restore { restores: [_] }));
    assert!(decide(&state, DriverCommand::Advance, 0).is_err(), "first it is restored");
    tell(&mut state, DriverCommand::Restored { failure: None });
    assert!(matches!(state.ask(), Ask::Wait { .. }));
    let judged = judge_with(&mut state, vec![effect("a")], verdict(Ruling::Abstain), usage(1));
    assert!(matches!(judged[..], [RunEvent::StepJudged(StepJudged { attempt: 2, .. })]));
    tell(&mut state, DriverCommand::Advance);
    tell(&mut state, failed_with(true));
    carry_on(&mut state);
    tell(&mut state, failed_with(true));
    assert_eq!(state.phase(), Phase::Ended(RunEnd::StepFailed), "two retries are the most");
    assert_eq!(state.ledger().line(BudgetKind::Steps).spent, 3, "each try is in the ledger");
}

#[test]
fn a_failure_that_a_retry_cannot_help_is_not_retried() {
    let mut state = executing(RunLimits::default());
    tell(&mut state, failed());
    assert_eq!(state.phase(), Phase::Ended(RunEnd::StepFailed));
    let mut state = executing(RunLimits { retries: Some(0), ..RunLimits::default() });
    tell(&mut state, failed_with(true));
    assert_eq!(state.phase(), Phase::Ended(RunEnd::StepFailed));
}

#[test]
fn a_run_that_took_more_than_its_budget_is_not_completed() {
    let mut state = executing(RunLimits { tokens: Some(10), ..RunLimits::default() });
    let prompt = Effect::Prompt { model: "m".into(), content: Digest::ZERO, size: 1, max_output_tokens: 1 };
    let (judgement, reserve) = (decision(Ruling::Allow), tokens(1));
    tell(
        &mut state,
        DriverCommand::HostCall(EffectRequest {
            effect: prompt,
            judgement,
            note: None,
            reserve,
            over: None,
            asked: None,
        }),
    );
    tell(&mut state, spent(0, tokens(11)));
    tell(&mut state, done(0));
    tell(&mut state, DriverCommand::Advance);
    assert_eq!(state.phase(), Phase::Ended(RunEnd::Budget));
}

#[test]
fn what_a_model_call_may_cost_is_reserved_and_settled() {
    let mut state = executing(RunLimits { tokens: Some(10), ..RunLimits::default() });
    let call = prompt_call;
    tell(&mut state, call(8));
    assert_eq!(state.ledger().line(BudgetKind::Tokens).reserved, 8);
    tell(&mut state, spent(0, tokens(3)));
    let line = state.ledger().line(BudgetKind::Tokens);
    assert_eq!((line.reserved, line.spent), (0, 3));
    let refused = tell(&mut state, call(8));
    assert!(matches!(refused[..], [RunEvent::EffectRefused(EffectRefused { budget: Some(BudgetKind::Tokens), .. })]));
    tell(&mut state, call(7));
    // The cost of a call that was cut off is unknown: its whole reservation counts.
    tell(&mut state, failed());
    assert_eq!(state.ledger().line(BudgetKind::Tokens).spent, 10);
    assert_eq!(state.steps()[0].state, StepState::Failed, "a prompt leaves nothing in doubt");
    assert_eq!(state.phase(), Phase::Ended(RunEnd::Budget));
}

#[test]
fn a_judgement_counts_only_for_the_step_that_it_is_of() {
    let mut state = proposed(2, true, RunLimits::default());
    let judged = |judging: &Judging| DriverCommand::StepJudged(Box::new(judging.clone()));
    let mut judging = state.judging(0).unwrap();
    assert!(decide(&state, judged(&judging), 0).is_err(), "no gate has decided");
    judging.previewed(vec![effect("a")], usage(0));
    judging.judged(verdict(Ruling::Allow), usage(0));
    tell(&mut state, judged(&judging));
    assert!(decide(&state, judged(&judging), 0).is_err(), "it is judged already");
    tell(&mut state, DriverCommand::Advance);
    let binding = asks(&state);
    tell(&mut state, answered(binding, edited(json(r#"{"a":1}"#))));
    assert!(decide(&state, judged(&judging), 0).is_err(), "it is of another input");
    carry_on_after_edit(&mut state);
    tell(&mut state, done(0));
    assert!(decide(&state, judged(&judging), 0).is_err(), "it is of another step");
}

fn carry_on_after_edit(state: &mut RunState) {
    allow(state, "a");
    let binding = asks(state);
    tell(state, answered(binding, approved(false)));
    tell(state, DriverCommand::Advance);
}

#[test]
fn a_preview_that_fails_or_is_refused_leaves_a_judgement_without_decision() {
    let mut state = proposed(1, false, RunLimits::default());
    let mut judging = state.judging(0).unwrap();
    judging.refused(usage(2));
    let events = tell(&mut state, DriverCommand::PreviewRefused { judging: Box::new(judging), message: "no".into() });
    assert!(matches!(
        &events[..],
        [RunEvent::StepJudged(StepJudged { decision: None, .. }), RunEvent::StepSkipped(_), RunEvent::RunEnded(_)]
    ));
    assert_eq!(state.ledger().line(BudgetKind::Fuel).spent, 2);

    let mut state = proposed(1, false, RunLimits::default());
    let judging = Box::new(state.judging(0).unwrap());
    let failure = failure(StepEnd::Deadline, true);
    let events = tell(&mut state, DriverCommand::PreviewFailed { judging, failure });
    assert!(matches!(
        &events[..],
        [RunEvent::StepJudged(_), RunEvent::StepFailed(_), RunEvent::StepRetried(StepRetried { attempt: 2, .. })]
    ));
    carry_on(&mut state);
}
