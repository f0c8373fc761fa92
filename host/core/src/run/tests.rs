//! Whatever a run is told, in whatever order, its rules hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::{Ask, Command, HostCallJudgement, Phase, RunSetup, RunState, StepDone, StepState, decide};
use crate::event::{Event, Judgement, RunEnd, Usage};
use crate::gate::{GateSetup, GuardAnswer, GuardSlot};
use crate::policy::{GuardMode, OnDenied, OnError, StepTypePolicy};
use crate::{
    ApprovalAnswer, Binding, BudgetKind, Decision, Digest, Effect, Error, Plan, Policy, Ruling, RunLimits, Verdict,
};

fn setup(steps: usize, on_denied: OnDenied, needs_approval: bool, limits: RunLimits) -> Arc<RunSetup> {
    let step = r#"{"step_type":"t","input":{}}"#;
    let text = format!(r#"{{"goal":"g","agent":{{"id":"a"}},"steps":[{}]}}"#, vec![step; steps].join(","));
    let mut policy = Policy::default();
    policy.run.on_denied = on_denied;
    policy.step_types.insert("t".into(), StepTypePolicy { needs_approval: Some(needs_approval) });
    let slot = GuardSlot { name: "g".into(), on_error: OnError::Deny, mode: GuardMode::Enforce };
    Arc::new(RunSetup {
        run: "run".parse().unwrap(),
        plan: Arc::new(Plan::parse(text.as_bytes()).unwrap()),
        policy_digest: policy.digest(),
        policy: Arc::new(policy),
        plugins: BTreeMap::new(),
        gate: Arc::new(GateSetup {
            guards: vec![slot],
            impact: None,
            when_all_abstain: Ruling::Allow,
            own: crate::builtin::OwnPlaces::default(),
        }),
        claimed_approval: BTreeMap::new(),
        limits,
    })
}

fn effect(name: &str) -> Effect {
    Effect::Write { path: name.parse().unwrap(), before: None, after: Digest::of(b"x"), size: 1 }
}

fn usage(fuel: u64) -> Usage {
    Usage { call_fuel: fuel, ..Usage::default() }
}

fn verdict(ruling: Ruling) -> GuardAnswer {
    GuardAnswer::Verdict(Verdict { ruling, ..Verdict::abstain() })
}

fn done(fuel: u64) -> Command {
    let digest = Digest::of(b"");
    Command::Completed(StepDone {
        output: digest,
        summary: "done".into(),
        delta: None,
        tape: digest,
        usage: usage(fuel),
    })
}

fn failed() -> Command {
    let (end, message) = ("failure".to_owned(), "did not work".to_owned());
    Command::Failed { end, message, retry_can_help: false, tape: None, usage: usage(1) }
}

fn decision(ruling: Ruling) -> HostCallJudgement {
    let decision = Decision { ruling, reasons: vec![], impact: None, limits: RunLimits::default() };
    HostCallJudgement::Decided(Judgement { decision, usage: usage(1) })
}

fn kill() -> Command {
    Command::Kill { by: "test".into(), tape: None, usage: usage(1) }
}

fn any_ruling() -> impl Strategy<Value = Ruling> {
    prop_oneof![Just(Ruling::Abstain), Just(Ruling::Allow), Just(Ruling::Review), Just(Ruling::Deny)]
}

/// Any command, fitting or not. `Answered` carries a wrong binding here; [`drive`] sometimes puts the right one in.
fn any_command() -> impl Strategy<Value = Command> {
    let name = prop_oneof![Just("a"), Just("b")];
    prop_oneof![
        6 => Just(Command::Advance),
        4 => name.clone().prop_map(|name| Command::Previewed { effects: vec![effect(name)], usage: usage(2) }),
        4 => any_ruling().prop_map(|ruling| Command::Judged { answer: verdict(ruling), usage: usage(3) }),
        1 => Just(Command::Judged { answer: GuardAnswer::Failed("trap".into()), usage: usage(3) }),
        3 => any::<bool>().prop_map(|approve| {
            let (by, channel) = ("p".to_owned(), "test".to_owned());
            let answer = if approve {
                ApprovalAnswer::Approved { by, channel }
            } else {
                ApprovalAnswer::Rejected { by, channel, reason: String::new() }
            };
            Command::Answered { binding: Binding(Digest::ZERO), answer }
        }),
        4 => (name, any_ruling()).prop_map(|(name, ruling)| Command::HostCall {
            effect: effect(name),
            judgement: decision(ruling),
            note: None,
        }),
        3 => (0..3u32).prop_map(|call| Command::HostCallDone { call, failure: None }),
        3 => Just(done(5)),
        1 => Just(failed()),
        1 => Just(kill()),
    ]
}

/// Tells a run all commands and gives back the events that came of them.
fn drive(state: &mut RunState, commands: Vec<(Command, bool)>) -> Vec<Event> {
    let mut log = Vec::new();
    for (now, (command, right_binding)) in commands.into_iter().enumerate() {
        let command = match (command, state.ask()) {
            (Command::Answered { answer, .. }, Ask::Person { binding, .. }) if right_binding => {
                Command::Answered { binding, answer }
            }
            (command, _) => command,
        };
        if let Ok(events) = decide(state, command, now as u64) {
            for event in events {
                state.apply(&event, now as u64);
                log.push(event);
            }
        }
    }
    log
}

/// Checks §5.1 over a log alone: each intended effect was allowed with its step, approved with it, or judged allowed.
fn no_effect_without_its_allow(log: &[Event]) -> Result<(), TestCaseError> {
    let (mut effects, mut ruling, mut approved) = (Vec::new(), Ruling::Abstain, false);
    let mut used = std::collections::BTreeSet::new();
    for event in log {
        match event {
            Event::StepProposed { .. } => {
                (effects, ruling, approved) = (Vec::new(), Ruling::Abstain, false);
                used.clear();
            }
            Event::EffectsPreviewed { effects: previewed, .. } => effects.clone_from(previewed),
            Event::Decided { decision, .. } => ruling = decision.ruling,
            Event::ApprovalDecided { answer, .. } => approved = matches!(answer, ApprovalAnswer::Approved { .. }),
            Event::StepStarted { .. } => {
                prop_assert!(ruling == Ruling::Allow || (ruling == Ruling::Review && approved));
            }
            Event::EffectIntended { effect, allowed_by: crate::event::AllowedBy::Covered(index), .. } => {
                prop_assert!(effects[*index as usize].covers(effect));
                prop_assert!(used.insert(*index), "an approved change covers one host call");
            }
            _ => {}
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn rules_hold_whatever_it_is_told(
        commands in prop::collection::vec((any_command(), any::<bool>()), 0..80),
        skip in any::<bool>(),
        needs_approval in any::<bool>(),
        fuel in prop::option::of(1..60u64),
    ) {
        let on_denied = if skip { OnDenied::Skip } else { OnDenied::Stop };
        let limits = RunLimits { fuel, steps: Some(2), ..RunLimits::default() };
        let setup = setup(3, on_denied, needs_approval, limits);
        let mut state = RunState::new(Arc::clone(&setup));
        let log = drive(&mut state, commands);

        no_effect_without_its_allow(&log)?;

        // Terminal is final.
        let ended = log.iter().position(|event| matches!(event, Event::RunEnded { .. }));
        prop_assert!(ended.is_none_or(|place| place + 1 == log.len()));
        if let Phase::Ended(_) = state.phase() {
            prop_assert_eq!(state.ask(), Ask::Nothing);
            let is_refused = matches!(decide(&state, kill(), 0), Err(Error::NotNow { .. }));
            prop_assert!(is_refused);
        }

        // No more steps than the budget says, whatever happens.
        let steps = state.ledger().line(BudgetKind::Steps);
        prop_assert!(steps.spent + steps.reserved <= 2);

        // The fold over the events is the live state.
        let mut folded = RunState::new(setup);
        for event in &log {
            folded.apply(event, 0);
        }
        prop_assert_eq!(folded.phase(), state.phase());
        prop_assert_eq!(folded.steps(), state.steps());
        prop_assert_eq!(folded.ledger(), state.ledger());
        prop_assert_eq!(folded.ask(), state.ask());
        prop_assert_eq!(folded.history(), state.history());

        // What the log says reads back as it was.
        for event in &log {
            let text = crate::json::canonical(event);
            prop_assert_eq!(&crate::json::parse_as::<Event>("event", text.as_bytes(), 1 << 20).unwrap(), event);
        }
    }
}

fn tell(state: &mut RunState, command: Command) -> Vec<Event> {
    let events = decide(state, command, 0).unwrap();
    for event in &events {
        state.apply(event, 0);
    }
    events
}

/// A run whose first step is being carried out with the effect `a`.
fn executing(limits: RunLimits) -> RunState {
    let mut state = RunState::new(setup(1, OnDenied::Stop, false, limits));
    tell(&mut state, Command::Advance);
    tell(&mut state, Command::Advance);
    tell(&mut state, Command::Previewed { effects: vec![effect("a")], usage: usage(1) });
    tell(&mut state, Command::Judged { answer: verdict(Ruling::Abstain), usage: usage(1) });
    tell(&mut state, Command::Advance);
    tell(&mut state, Command::Advance);
    assert!(matches!(state.ask(), Ask::Execute { .. }));
    state
}

#[test]
fn a_run_completes() {
    let mut state = executing(RunLimits::default());
    let call = Command::HostCall { effect: effect("a"), judgement: HostCallJudgement::NotNeeded, note: None };
    assert!(matches!(tell(&mut state, call)[..], [Event::EffectIntended { call: 0, .. }]));
    tell(&mut state, Command::HostCallDone { call: 0, failure: None });
    tell(&mut state, done(1));
    tell(&mut state, Command::Advance);
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
        let events = tell(&mut state, Command::HostCall { effect: effect("b"), judgement, note: None });
        assert_eq!(matches!(events[..], [Event::EffectIntended { .. }]), intended);
    }
}

#[test]
fn an_approved_change_covers_one_host_call() {
    let mut state = executing(RunLimits::default());
    let call = || Command::HostCall { effect: effect("a"), judgement: HostCallJudgement::NotNeeded, note: None };
    assert!(matches!(tell(&mut state, call())[..], [Event::EffectIntended { .. }]));
    tell(&mut state, Command::HostCallDone { call: 0, failure: None });
    assert!(matches!(tell(&mut state, call())[..], [Event::EffectRefused { .. }]));
}

#[test]
fn killing_leaves_an_open_write_in_doubt() {
    let mut state = executing(RunLimits::default());
    let call = Command::HostCall { effect: effect("a"), judgement: HostCallJudgement::NotNeeded, note: None };
    tell(&mut state, call);
    tell(&mut state, kill());
    assert_eq!(state.steps()[0].state, StepState::InDoubt);
    assert_eq!(state.phase(), Phase::Ended(RunEnd::Killed));
}

#[test]
fn an_approval_of_something_else_is_void() {
    let mut state = RunState::new(setup(1, OnDenied::Stop, true, RunLimits::default()));
    tell(&mut state, Command::Advance);
    tell(&mut state, Command::Advance);
    tell(&mut state, Command::Previewed { effects: vec![effect("a")], usage: usage(0) });
    tell(&mut state, Command::Judged { answer: verdict(Ruling::Allow), usage: usage(0) });
    tell(&mut state, Command::Advance);
    tell(&mut state, Command::Advance);
    let answer = ApprovalAnswer::Approved { by: "p".into(), channel: "test".into() };
    let wrong = Command::Answered { binding: Binding(Digest::ZERO), answer };
    assert!(matches!(decide(&state, wrong, 0), Err(Error::BindingChanged { .. })));
    assert_eq!(state.phase(), Phase::Paused);
}

#[test]
fn failing_with_an_open_write_leaves_it_in_doubt() {
    let mut state = executing(RunLimits::default());
    tell(&mut state, Command::HostCall { effect: effect("a"), judgement: HostCallJudgement::NotNeeded, note: None });
    tell(&mut state, failed());
    assert_eq!(state.steps()[0].state, StepState::InDoubt);
}

#[test]
fn a_step_does_not_start_when_the_time_is_up() {
    let mut state =
        RunState::new(setup(1, OnDenied::Stop, false, RunLimits { time_us: Some(10), ..RunLimits::default() }));
    tell(&mut state, Command::Advance);
    tell(&mut state, Command::Advance);
    tell(&mut state, Command::Previewed { effects: vec![], usage: usage(0) });
    tell(&mut state, Command::Judged { answer: verdict(Ruling::Allow), usage: usage(0) });
    tell(&mut state, Command::Advance);
    let events = decide(&state, Command::Advance, 10).unwrap();
    assert!(matches!(events[..], [Event::RunEnded { end: RunEnd::Budget, .. }]));
}

#[test]
fn running_dry_of_the_runs_fuel_is_a_budget_end() {
    let mut state = executing(RunLimits { fuel: Some(3), ..RunLimits::default() });
    tell(&mut state, failed());
    assert_eq!(state.phase(), Phase::Ended(RunEnd::Budget));
}

#[test]
fn the_time_budget_ends_a_run_between_steps() {
    let mut state =
        RunState::new(setup(1, OnDenied::Stop, false, RunLimits { time_us: Some(10), ..RunLimits::default() }));
    tell(&mut state, Command::Advance);
    let events = decide(&state, Command::Advance, 10).unwrap();
    assert!(matches!(events[..], [Event::RunEnded { end: RunEnd::Budget, .. }]));
}
