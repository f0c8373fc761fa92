use proptest::prelude::*;

use super::*;
use crate::Estimate;
use crate::policy::OnError;

#[derive(Debug, Clone)]
struct Case {
    mode: GuardMode,
    on_error: OnError,
    answer: GuardAnswer,
}

fn any_case() -> impl Strategy<Value = Case> {
    let ruling = prop_oneof![Just(Ruling::Abstain), Just(Ruling::Allow), Just(Ruling::Review), Just(Ruling::Deny)];
    let answer = prop_oneof![
        4 => ruling.prop_map(|ruling| GuardAnswer::Verdict(Verdict { ruling, ..Verdict::abstain() })),
        1 => Just(GuardAnswer::Failed("trap".into())),
        1 => Just(GuardAnswer::Verdict(Verdict { rewrite: Some(crate::Json::empty_object()), ..Verdict::abstain() })),
    ];
    let mode = prop_oneof![3 => Just(GuardMode::Enforce), 1 => Just(GuardMode::Monitor)];
    let on_error = prop_oneof![Just(OnError::Deny), Just(OnError::Review)];
    (mode, on_error, answer).prop_map(|(mode, on_error, answer)| Case { mode, on_error, answer })
}

fn decide(cases: &[Case], needs_approval: bool) -> Decision {
    let slot = |(index, case): (usize, &Case)| GuardSlot::new(&index.to_string(), case.on_error, case.mode);
    let setup = GateSetup { guards: cases.iter().enumerate().map(slot).collect(), ..GateSetup::default() };
    let reason = Reason::new(Decider::Policy, Ruling::Review, Finding::info("needs-approval", "always"));
    let mut gate = Gate::new(Arc::new(setup), needs_approval.then_some(reason).into_iter().collect());
    gate.previewed(Vec::new());
    for case in cases {
        gate.judged(case.answer.clone());
    }
    match gate.ask() {
        GateAsk::Decided(decision) => decision.clone(),
        other => panic!("not decided: {other:?}"),
    }
}

proptest! {
    #[test]
    fn a_failed_guard_never_means_allow(cases in prop::collection::vec(any_case(), 0..6), approval in any::<bool>()) {
        let decision = decide(&cases, approval);
        prop_assert_ne!(decision.ruling, Ruling::Abstain);
        for case in cases.iter().filter(|case| case.mode == GuardMode::Enforce) {
            match case.answer.clone().checked(MayRewrite::NotGranted) {
                GuardAnswer::Failed(_) => prop_assert!(decision.ruling >= case.on_error.ruling()),
                GuardAnswer::Verdict(verdict) => prop_assert!(decision.ruling >= verdict.ruling),
            }
        }
        if approval {
            prop_assert!(decision.ruling >= Ruling::Review);
        }
    }

    #[test]
    fn a_monitor_never_touches_the_decision(cases in prop::collection::vec(any_case(), 0..6)) {
        let enforced: Vec<Case> =
            cases.iter().filter(|case| case.mode == GuardMode::Enforce).cloned().collect();
        prop_assert_eq!(decide(&cases, false).ruling, decide(&enforced, false).ruling);
    }
}

fn gate_at_estimate() -> Gate {
    let setup = GateSetup { impact: Some("impact".into()), ..GateSetup::default() };
    let mut gate = Gate::new(Arc::new(setup), vec![]);
    gate.previewed(vec![]);
    gate
}

#[test]
fn impact_decides_by_class_and_unknown_impact_is_for_a_person() {
    let estimate = |impact| Estimate { impact, confidence: 1.0, factors: vec![] };
    for (act, refrain, expected) in [
        (0.1, 0.0, Ruling::Allow),
        (0.5, 0.0, Ruling::Review),
        (0.5, 0.4, Ruling::Allow),
        (0.9, 0.0, Ruling::Deny),
        (f64::NAN, 0.0, Ruling::Review),
        (0.0, f64::INFINITY, Ruling::Review),
    ] {
        let mut gate = gate_at_estimate();
        gate.estimated(Ok(Impact { act: estimate(act), refrain: estimate(refrain) }));
        assert!(matches!(gate.ask(), GateAsk::Decided(decision) if decision.ruling == expected), "{act} {refrain}");
    }
    let mut gate = gate_at_estimate();
    gate.estimated(Err("trap".into()));
    assert!(matches!(gate.ask(), GateAsk::Decided(decision) if decision.ruling == Ruling::Review));
}

#[test]
fn answers_that_were_not_asked_for_change_nothing() {
    let mut gate = gate_at_estimate();
    let before = gate.clone();
    gate.judged(GuardAnswer::Verdict(Verdict { ruling: Ruling::Allow, ..Verdict::abstain() }));
    gate.previewed(vec![]);
    assert_eq!(gate, before);
}

fn rewriting(names: &[&str]) -> Gate {
    let slot = |name: &&str| GuardSlot {
        rewrites: name.starts_with('r'),
        ..GuardSlot::new(name, OnError::Deny, GuardMode::Enforce)
    };
    let setup = GateSetup { guards: names.iter().map(slot).collect(), ..GateSetup::default() };
    let mut gate = Gate::new(Arc::new(setup), vec![]);
    gate.previewed(vec![]);
    gate
}

fn says(ruling: Ruling) -> GuardAnswer {
    GuardAnswer::Verdict(Verdict { ruling, ..Verdict::abstain() })
}

fn rewrites() -> GuardAnswer {
    GuardAnswer::Verdict(Verdict { rewrite: Some(Json::empty_object()), ..Verdict::abstain() })
}

#[test]
fn those_that_rewrite_are_asked_first_and_once_when_nothing_is_rewritten() {
    let mut gate = rewriting(&["j", "r"]);
    assert_eq!(gate.ask(), GateAsk::Judge { guard: 1 });
    assert_eq!(gate.judged(says(Ruling::Review)), None);
    assert_eq!(gate.ask(), GateAsk::Judge { guard: 0 });
    assert_eq!(gate.judged(says(Ruling::Abstain)), None);
    assert!(matches!(gate.ask(), GateAsk::Decided(decision) if decision.ruling == Ruling::Review));
}

#[test]
fn what_was_rewritten_is_previewed_and_judged_by_all() {
    let mut gate = rewriting(&["r1", "j", "r2"]);
    assert_eq!(gate.judged(says(Ruling::Deny)), None, "said of what is then rewritten: does not count");
    assert_eq!(gate.ask(), GateAsk::Judge { guard: 2 });
    assert_eq!(gate.judged(rewrites()), Some(Json::empty_object()));
    assert_eq!(gate.ask(), GateAsk::Preview);
    gate.previewed(vec![]);
    for guard in 0..3 {
        assert_eq!(gate.ask(), GateAsk::Judge { guard });
        assert_eq!(gate.judged(says(Ruling::Abstain)), None);
    }
    assert!(matches!(gate.ask(), GateAsk::Decided(decision) if decision.ruling == Ruling::Allow));
}

#[test]
fn a_rewrite_at_the_wrong_time_is_a_failure_of_the_guard() {
    let mut gate = rewriting(&["r"]);
    assert!(gate.judged(rewrites()).is_some());
    gate.previewed(vec![]);
    assert_eq!(gate.judged(rewrites()), None);
    assert!(matches!(gate.ask(), GateAsk::Decided(decision) if decision.ruling == Ruling::Deny));

    let mut gate = rewriting(&["j"]);
    assert_eq!(gate.judged(rewrites()), None, "neither declared nor granted");
    assert!(matches!(gate.ask(), GateAsk::Decided(decision) if decision.ruling == Ruling::Deny));

    let setup = rewriting(&["r"]).setup().clone();
    let mut gate = Gate::for_plan(Arc::new(setup), Vec::new());
    assert_eq!(gate.judged(rewrites()), None, "a plan cannot be rewritten");
    assert!(matches!(gate.ask(), GateAsk::Decided(decision) if decision.ruling == Ruling::Deny));
}

#[test]
fn a_failure_while_rewriting_counts_whatever_others_rewrite() {
    let mut gate = rewriting(&["r1", "r2"]);
    gate.judged(GuardAnswer::Failed("trap".into()));
    gate.judged(rewrites());
    gate.previewed(vec![]);
    gate.judged(says(Ruling::Allow));
    gate.judged(says(Ruling::Allow));
    assert!(matches!(gate.ask(), GateAsk::Decided(decision) if decision.ruling == Ruling::Deny));
}

#[test]
fn who_only_tightens_cannot_allow() {
    let slot = GuardSlot { only_tightens: true, ..GuardSlot::new("p", OnError::Deny, GuardMode::Enforce) };
    let setup = GateSetup { guards: vec![slot], when_all_abstain: Ruling::Review, ..GateSetup::default() };
    let mut gate = Gate::new(Arc::new(setup), vec![]);
    gate.previewed(vec![]);
    gate.judged(says(Ruling::Allow));
    assert!(matches!(gate.ask(), GateAsk::Decided(decision) if decision.ruling == Ruling::Review));
}
