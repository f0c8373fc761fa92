//! Predicted risk: its timing and its consequences.

use super::examples::{judge_with, tell};
use super::*;
use crate::event::{RiskPredicted, RunEvent, StepEnd};
use crate::policy::{RiskMode, RiskPolicy, RiskTools};
use crate::risk::{Assessment, Features, RiskLevel};
use crate::run::{DriverCommand, PersonCommand, ProcessCommand};
use crate::{Decider, LimitKind, LimitSource, Plan, Step};

fn predicting(risk: RiskPolicy, operator: RunLimits, limits: RunLimits) -> RunState {
    let mut setup = (*setup(2, OnDenied::Stop, false, limits)).clone();
    let mut policy = (*setup.policy).clone();
    policy.risk = Some(risk);
    setup.policy_digest = policy.digest();
    (setup.policy, setup.operator) = (Arc::new(policy), operator);
    RunState::new(Arc::new(setup))
}

fn assessment(level: RiskLevel, review: Option<&str>) -> Command {
    let features = Features {
        num_steps: 2,
        num_tools: 1,
        tool_diversity: 1,
        has_high_risk_tool: false,
        est_tokens: 1,
        max_retries: 0,
        sequential_tool_calls: 2,
        plan_depth: 1,
        time_limit_sec: 300,
    };
    DriverCommand::Assessed(Box::new(Assessment {
        features,
        estimator: "bytes/4".into(),
        level,
        rule_level: RiskLevel::Low,
        rules: Vec::new(),
        prediction: None,
        failure: None,
        challenger: None,
        review: review.map(Into::into),
    }))
    .into()
}

/// Takes the plan through the gate.
fn judge_plan(state: &mut RunState) -> Vec<RunEvent> {
    assert!(matches!(state.ask(), Ask::JudgePlan { guard: 0 }), "{:?}", state.ask());
    tell(state, DriverCommand::PlanJudged { answer: verdict(Ruling::Abstain), usage: usage(0) });
    tell(state, DriverCommand::Advance);
    if state.judging(0).is_some() { Vec::new() } else { tell(state, DriverCommand::Advance) }
}

fn step(id: &str) -> Box<Step> {
    let text = format!(r#"{{"goal":"g","agent":{{"id":"a"}},"steps":[{{"id":"{id}","step_type":"t","input":{{}}}}]}}"#);
    Box::new(Plan::parse(text.as_bytes()).unwrap().steps[0].clone())
}

/// A person adds a step.
fn added(id: &str) -> Command {
    let decision =
        Decision { ruling: Ruling::Allow, reasons: vec![], impact: None, limits: RunLimits::default(), input: None };
    PersonCommand::AddStep { step: step(id), by: "ann".into(), decision, usage: usage(0) }.into()
}

#[test]
fn risk_comes_before_everything_else_and_sets_limits() {
    let mut state = predicting(RiskPolicy::default(), RunLimits::default(), RunLimits::default());
    assert_eq!(state.ask(), Ask::Risk);
    assert!(decide(&state, DriverCommand::Advance, 0).is_err(), "nothing begins before");
    let events = tell(&mut state, assessment(RiskLevel::Medium, None));
    let [RunEvent::RiskPredicted(RiskPredicted { limits, limits_by, .. })] = &events[..] else { panic!("{events:?}") };
    assert_eq!((limits.tokens, limits.retries), (Some(5000), Some(3)));
    assert_eq!(limits_by[&LimitKind::Tokens], LimitSource::RiskProfile(RiskLevel::Medium));
    assert_eq!(state.limits().time_us, Some(180_000_000));
    assert_eq!(state.ledger().line(BudgetKind::Tokens).limit, Some(5000));
    assert_eq!(state.ask(), Ask::Advance);
    assert!(decide(&state, assessment(RiskLevel::Low, None), 0).is_err(), "it is not asked for twice");
    tell(&mut state, DriverCommand::Advance);
    assert!(
        matches!(judge_plan(&mut state)[..], [RunEvent::StepJudged(_), RunEvent::StepSkipped(_), ..]),
        "t is no standard tool"
    );
}

#[test]
fn an_operators_budget_counts_instead_and_a_plans_only_tightens() {
    let operator = RunLimits { tokens: Some(90_000), ..RunLimits::default() };
    let both = RunLimits { time_us: Some(7_000_000), ..operator.clone() };
    let mut state = predicting(RiskPolicy::default(), operator, both);
    let events = tell(&mut state, assessment(RiskLevel::High, None));
    let [RunEvent::RiskPredicted(RiskPredicted { limits, limits_by, .. })] = &events[..] else { panic!("{events:?}") };
    assert_eq!((limits.tokens, limits.time_us, limits.retries), (Some(90_000), Some(7_000_000), Some(1)));
    assert_eq!(
        (limits_by[&LimitKind::Tokens], limits_by[&LimitKind::Retries]),
        (LimitSource::Operator, LimitSource::RiskProfile(RiskLevel::High))
    );
    assert!(limits.require_approval);
}

#[test]
fn what_is_not_sure_is_for_a_person() {
    let mut state = predicting(RiskPolicy::default(), RunLimits::default(), RunLimits::default());
    tell(&mut state, assessment(RiskLevel::Low, Some("who knows")));
    tell(&mut state, DriverCommand::Advance);
    assert!(matches!(judge_plan(&mut state)[..], [RunEvent::PlanApprovalRequested(_)]));
    let Ask::PersonOnPlan { decision, .. } = state.ask() else { panic!("{:?}", state.ask()) };
    assert_eq!(decision.reasons[0].by, Decider::Risk);
}

#[test]
fn a_person_is_asked_without_guards_as_well() {
    let state = predicting(RiskPolicy::default(), RunLimits::default(), RunLimits::default());
    let mut setup = (**state.setup()).clone();
    setup.gate = Arc::new(GateSetup::default());
    let mut state = RunState::new(Arc::new(setup));
    tell(&mut state, assessment(RiskLevel::Low, Some("who knows")));
    tell(&mut state, DriverCommand::Advance);
    tell(&mut state, DriverCommand::Advance);
    assert!(matches!(tell(&mut state, DriverCommand::Advance)[..], [RunEvent::PlanApprovalRequested(_)]));
}

#[test]
fn a_monitored_risk_changes_nothing() {
    let risk = RiskPolicy { mode: RiskMode::Monitor, ..RiskPolicy::default() };
    let mut state = predicting(risk, RunLimits::default(), RunLimits::default());
    tell(&mut state, assessment(RiskLevel::High, Some("who knows")));
    assert_eq!(*state.limits(), RunLimits::default());
    tell(&mut state, DriverCommand::Advance);
    assert!(judge_plan(&mut state).is_empty());
    assert!(state.judging(0).is_some());
}

#[test]
fn risk_that_is_off_is_not_asked_for() {
    let risk = RiskPolicy { mode: RiskMode::Off, ..RiskPolicy::default() };
    assert_eq!(predicting(risk, RunLimits::default(), RunLimits::default()).ask(), Ask::Advance);
}

#[test]
fn another_plan_is_predicted_anew_and_limits_only_tighten() {
    let mut policy = RiskPolicy::default();
    policy.tools.safe.insert("t".into());
    let mut state = predicting(policy, RunLimits::default(), RunLimits::default());
    tell(&mut state, assessment(RiskLevel::High, None));
    tell(&mut state, added("more"));
    assert_eq!(state.ask(), Ask::Risk, "the plan is another one");
    tell(&mut state, assessment(RiskLevel::Low, None));
    assert_eq!(state.limits().tokens, Some(2000), "what was tight stays tight");
    assert!(state.limits().require_approval);
    assert_eq!(state.risk().map(|risk| risk.level), Some(RiskLevel::Low), "what is said is what was said last");
}

#[test]
fn what_was_approved_by_kind_is_asked_for_again_when_the_risk_is_high() {
    let risk =
        RiskPolicy { tools: RiskTools { safe: ["t".into()].into(), ..RiskTools::default() }, ..RiskPolicy::default() };
    let mut setup = (*setup(4, OnDenied::Stop, true, RunLimits::default())).clone();
    setup.policy = Arc::new(Policy { risk: Some(risk), ..(*setup.policy).clone() });
    let mut state = RunState::new(Arc::new(setup));
    tell(&mut state, assessment(RiskLevel::Low, None));
    tell(&mut state, DriverCommand::Advance);
    judge_plan(&mut state);
    let ask = |state: &mut RunState| {
        judge_with(state, vec![effect("a")], verdict(Ruling::Abstain), usage(0));
        tell(state, DriverCommand::Advance)
    };
    let carry_out = |state: &mut RunState| {
        tell(state, DriverCommand::Advance);
        tell(state, done(0));
    };
    assert!(matches!(ask(&mut state)[..], [RunEvent::ApprovalRequested(_)]));
    let binding = state.binding(&[effect("a")]).unwrap();
    tell(&mut state, answered(binding, approved(true)));
    carry_out(&mut state);
    assert!(matches!(ask(&mut state)[..], [RunEvent::ApprovalRequested(_), RunEvent::ApprovalDecided(_)]), "the kind");
    carry_out(&mut state);
    tell(&mut state, added("more"));
    tell(&mut state, assessment(RiskLevel::High, None));
    assert!(matches!(ask(&mut state)[..], [RunEvent::ApprovalRequested(_)]), "every step, from now on");
}

#[test]
fn another_policy_predicts_anew_and_the_plan_is_judged_anew() {
    let mut state = predicting(RiskPolicy::default(), RunLimits::default(), RunLimits::default());
    tell(&mut state, assessment(RiskLevel::Low, None));
    tell(&mut state, DriverCommand::Advance);
    state.rebind(Arc::clone(&state.setup().clone()));
    let digest = Digest::of(b"");
    let (host, engine) = (String::new(), String::new());
    let resumption =
        Resumption { setup: digest, policy: digest, plugins: BTreeMap::new(), host, engine, voided: Vec::new() };
    tell(&mut state, ProcessCommand::Continue(Box::new(resumption)));
    assert_eq!(state.ask(), Ask::Risk, "before the plan is judged");
    tell(&mut state, assessment(RiskLevel::Low, Some("who knows")));
    assert!(matches!(judge_plan(&mut state)[..], [RunEvent::PlanApprovalRequested(_)]), "the gate begins anew");
}

#[test]
fn a_step_that_is_tried_again_under_another_policy_waits_for_its_prediction() {
    let mut state = super::examples::executing(RunLimits::default());
    let failed = DriverCommand::Failed(failure(StepEnd::Deadline, true));
    assert!(matches!(tell(&mut state, failed)[..], [RunEvent::StepFailed(_), RunEvent::StepRetried(_)]));
    let mut setup = (**state.setup()).clone();
    let mut policy = (*setup.policy).clone();
    policy.risk = Some(RiskPolicy::default());
    setup.policy = Arc::new(policy);
    state.rebind(Arc::new(setup));
    assert_eq!(state.ask(), Ask::Risk);
    assert!(decide(&state, DriverCommand::Advance, u64::MAX).is_err(), "nothing is proposed before");
    let mut unsure = state.clone();
    tell(&mut unsure, assessment(RiskLevel::Low, Some("who knows")));
    assert!(matches!(judge_plan(&mut unsure)[..], [RunEvent::PlanApprovalRequested(_)]), "a person looks at it first");
    tell(&mut state, assessment(RiskLevel::High, None));
    let events = decide(&state, DriverCommand::Advance, 0).unwrap();
    assert!(matches!(events[..], [RunEvent::StepJudged(_), RunEvent::StepSkipped(_), ..]), "t is not safe: {events:?}");
}

#[test]
fn what_was_done_has_a_shape() {
    let mut policy = RiskPolicy::default();
    policy.tools.safe.insert("t".into());
    let mut state = predicting(policy, RunLimits::default(), RunLimits::default());
    assert_eq!(state.shape(0), None);
    tell(&mut state, assessment(RiskLevel::Low, None));
    tell(&mut state, DriverCommand::Advance);
    judge_plan(&mut state);
    super::examples::carry_on(&mut state);
    tell(&mut state, done(1));
    let shape = state.shape(2_500_000).unwrap();
    assert_eq!((shape.steps.len(), shape.tokens, shape.time_s), (1, Some(0), Some(3)));
    assert_eq!(shape.steps[0].retries, Some(0));
}
