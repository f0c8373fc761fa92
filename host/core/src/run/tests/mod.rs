//! The rules of a run hold for all commands in any order.

mod examples;
mod risk;
mod surviving;

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::{
    Ask, Command, EffectRequest, HostCallJudgement, Judging, Phase, Resumption, RunSetup, RunState, StepDone,
    StepFailure, StepState, decide,
};
use crate::event::{
    ApprovalDecided, EffectIntended, EffectNotPerformed, Judgement, KillTimes, RunEnd, RunEvent, StepEnd, StepJudged,
    StepStarted, Usage,
};
use crate::gate::{GateAsk, GateSetup, GuardAnswer, GuardSlot};
use crate::policy::{GuardMode, OnDenied, OnError, OnStepFailure, StepTypePolicy};
use crate::run::{DriverCommand, PersonCommand, ProcessCommand};
use crate::{
    Amounts, ApprovalAnswer, Binding, BudgetKind, Decider, Decision, Digest, Effect, Error, Failure, Json, Origin,
    Plan, Policy, Ruling, RunLimits, Verdict,
};

fn setup(steps: usize, on_denied: OnDenied, needs_approval: bool, limits: RunLimits) -> Arc<RunSetup> {
    let step = r#"{"step_type":"t","input":{}}"#;
    let text = format!(r#"{{"goal":"g","agent":{{"id":"a"}},"steps":[{}]}}"#, vec![step; steps].join(","));
    let mut policy = Policy::default();
    policy.run.on_denied = on_denied;
    policy.run.on_step_failure = OnStepFailure::Retry;
    policy.run.retry_backoff_ms = 0;
    policy.limits = limits.clone();
    policy.step_types.insert("t".into(), StepTypePolicy { needs_approval: Some(needs_approval) });
    let slot = GuardSlot { rewrites: true, ..GuardSlot::new("g", OnError::Deny, GuardMode::Enforce) };
    Arc::new(RunSetup {
        run: "run".parse().unwrap(),
        tenant: "default".into(),
        plan: Arc::new(Plan::parse(text.as_bytes()).unwrap()),
        policy_digest: policy.digest(),
        policy: Arc::new(policy),
        plugins: BTreeMap::new(),
        gate: Arc::new(GateSetup { guards: vec![slot], ..GateSetup::default() }),
        claimed_approval: BTreeMap::new(),
        limits,
        operator: RunLimits::default(),
        place: Digest::ZERO,
    })
}

fn effect(name: &str) -> Effect {
    Effect::Write { path: name.parse().unwrap(), before: None, after: Digest::of(b"x"), size: 1, obeyed: false }
}

fn usage(fuel: u64) -> Usage {
    Usage { call_fuel: fuel, ..Usage::default() }
}

fn verdict(ruling: Ruling) -> GuardAnswer {
    GuardAnswer::Verdict(Verdict { ruling, ..Verdict::abstain() })
}

fn done(fuel: u64) -> Command {
    let digest = Digest::of(b"");
    DriverCommand::Completed(StepDone {
        output: digest,
        summary: "done".into(),
        delta: None,
        tape: digest,
        reads: Vec::new(),
        usage: usage(fuel),
    })
    .into()
}

fn failed() -> Command {
    failed_with(false)
}

fn failed_with(retry_can_help: bool) -> Command {
    DriverCommand::Failed(failure(StepEnd::Failure, retry_can_help)).into()
}

fn failure(end: StepEnd, retry_can_help: bool) -> StepFailure {
    let message = "did not work".to_owned();
    StepFailure { end, message, retry_can_help, tape: None, reads: Vec::new(), usage: usage(1) }
}

fn host_call(effect: Effect, judgement: HostCallJudgement) -> Command {
    let asked = (!effect.only_reads()).then(|| Digest::of(b"asked"));
    DriverCommand::HostCall(EffectRequest { effect, judgement, note: None, reserve: Amounts::new(), over: None, asked })
        .into()
}

/// A model call that may cost this many tokens, allowed by guards.
fn prompt_call(amount: u64) -> Command {
    let effect = Effect::Prompt { model: "m".into(), content: Digest::ZERO, size: 1, max_output_tokens: 1 };
    let (judgement, reserve) = (decision(Ruling::Allow), tokens(amount));
    DriverCommand::HostCall(EffectRequest { effect, judgement, note: None, reserve, over: None, asked: None }).into()
}

fn host_call_done(call: u32) -> Command {
    spent(call, Amounts::new())
}

fn spent(call: u32, spent: Amounts) -> Command {
    let inverse = Some(Box::new(effect("inverse")));
    DriverCommand::HostCallDone {
        call,
        failure: None,
        spent,
        model: None,
        answer: Some(Digest::of(b"answer")),
        inverse,
    }
    .into()
}

fn approved(same_kind: bool) -> ApprovalAnswer {
    ApprovalAnswer::Approved { by: "p".into(), channel: "test".into(), note: String::new(), same_kind, until_us: None }
}

fn edited(input: Json) -> ApprovalAnswer {
    ApprovalAnswer::Edited { by: "p".into(), channel: "test".into(), note: String::new(), input }
}

fn happened() -> ApprovalAnswer {
    ApprovalAnswer::Happened { by: "p".into(), channel: "test".into(), note: String::new() }
}

fn rejected() -> ApprovalAnswer {
    ApprovalAnswer::Rejected { by: "p".into(), channel: "test".into(), reason: String::new() }
}

fn answered(binding: Binding, answer: ApprovalAnswer) -> Command {
    PersonCommand::Answered { binding, answer, signed: None }.into()
}

fn continued() -> Command {
    ProcessCommand::Continue(Box::new(Resumption {
        setup: Digest::ZERO,
        policy: Digest::ZERO,
        plugins: BTreeMap::new(),
        host: "h".into(),
        engine: "e".into(),
        voided: Vec::new(),
    }))
    .into()
}

fn asks(state: &RunState) -> Binding {
    state.question().expect("a person is asked").binding
}

fn json(text: &str) -> Json {
    Json::parse("test", text.as_bytes(), 1000).unwrap()
}

fn rewriting(text: &str) -> GuardAnswer {
    GuardAnswer::Verdict(Verdict { rewrite: Some(json(text)), ..Verdict::abstain() })
}

fn tokens(amount: u64) -> Amounts {
    [(BudgetKind::Tokens, amount)].into()
}

fn decision(ruling: Ruling) -> HostCallJudgement {
    let decision = Decision { ruling, reasons: vec![], impact: None, limits: RunLimits::default(), input: None };
    HostCallJudgement::Decided(Box::new(Judgement { decision, usage: usage(1) }))
}

fn kill() -> Command {
    PersonCommand::Kill { by: "test".into(), times: KillTimes::new(1, 2), tape: None, usage: usage(1) }.into()
}

fn any_ruling() -> impl Strategy<Value = Ruling> {
    prop_oneof![Just(Ruling::Abstain), Just(Ruling::Allow), Just(Ruling::Review), Just(Ruling::Deny)]
}

/// One thing that a run is told.
#[derive(Debug, Clone)]
enum Told {
    Command(Box<Command>),
    /// Effects of the preview that the judgement under way asks for.
    Previewed(Vec<Effect>),
    PreviewRefused,
    PreviewFailed,
    /// Answer of the guard that judges the step, or the plan.
    Judged(GuardAnswer),
}

impl<C: Into<Command>> From<C> for Told {
    fn from(command: C) -> Self {
        Self::Command(Box::new(command.into()))
    }
}

/// Any input, valid or not. `Answered` carries a wrong binding here; [`drive`] sometimes puts the right one in.
fn any_input() -> impl Strategy<Value = Told> {
    let name = prop_oneof![Just("a"), Just("b")];
    prop_oneof![
        6 => Just(Told::from(DriverCommand::Advance)),
        4 => name.clone().prop_map(|name| Told::Previewed(vec![effect(name)])),
        4 => any_ruling().prop_map(|ruling| Told::Judged(verdict(ruling))),
        1 => Just(Told::Judged(GuardAnswer::Failed("trap".into()))),
        1 => Just(Told::Judged(rewriting(r#"{"b":1}"#))),
        1 => Just(Told::PreviewRefused),
        1 => Just(Told::PreviewFailed),
        4 => (0..5u8).prop_map(|answer| {
            let answer = match answer {
                0 => approved(false),
                1 => approved(true),
                2 => edited(json(r#"{"a":1}"#)),
                3 => happened(),
                _ => rejected(),
            };
            answered(Binding(Digest::ZERO), answer).into()
        }),
        4 => (name, any_ruling(), 0..9u64).prop_map(|(name, ruling, reserve)| Told::from(DriverCommand::HostCall(EffectRequest {
            effect: effect(name),
            judgement: decision(ruling),
            note: None,
            reserve: tokens(reserve),
            over: None,
            asked: Some(Digest::of(b"asked")),
        }))),
        3 => (0..3u32).prop_map(|call| host_call_done(call).into()),
        3 => Just(done(5).into()),
        2 => any::<bool>().prop_map(|can_help| failed_with(can_help).into()),
        2 => Just(continued().into()),
        1 => Just(Told::from(ProcessCommand::Interrupted)),
        1 => Just(Told::from(ProcessCommand::Leave)),
        1 => (0..3u32).prop_map(|call| Told::from(ProcessCommand::HostCallUndone { call, spent: tokens(1) })),
        1 => Just(Told::from(ProcessCommand::Doubt { message: "gone".into() })),
        1 => Just(Told::from(ProcessCommand::ResumeStep)),
        1 => Just(Told::from(PersonCommand::Pause { by: "p".into(), reason: String::new() })),
        2 => Just(Told::from(PersonCommand::Resume { by: "p".into() })),
        1 => Just(Told::from(DriverCommand::Delay { until_us: 40, reason: "slowly".into() })),
        1 => Just(Told::from(DriverCommand::Block { message: "open".into(), by: Decider::Breaker })),
        1 => any::<bool>().prop_map(|works| Told::from(DriverCommand::Restored {
            failure: (!works).then(|| Failure::Io("disk".into())),
        })),
        1 => Just(kill().into()),
    ]
}

/// Tells a run everything and returns the resulting events.
fn drive(state: &mut RunState, inputs: Vec<(Told, bool)>) -> Vec<(RunEvent, u64)> {
    let mut log = Vec::new();
    let mut judging = None;
    for (now, (told, right_binding)) in inputs.into_iter().enumerate() {
        let now = now as u64;
        let command = match (told, state.ask()) {
            (Told::Command(command), ask) => match (*command, ask) {
                (
                    Command::Person(PersonCommand::Answered { answer, .. }),
                    Ask::Person { question, .. }
                    | Ask::PersonOnPlan { question, .. }
                    | Ask::PersonOnDoubt { question, .. },
                ) if right_binding => Some(answered(question.binding, answer)),
                (command, _) => Some(command),
            },
            (Told::Judged(answer), Ask::JudgePlan { .. }) => {
                Some(DriverCommand::PlanJudged { answer, usage: usage(3) }.into())
            }
            // A judgement that began before something else happened is kept, as a driver in error would.
            (told, _) => answer_judging(state, &mut judging, told, now).map(Command::from),
        };
        let decided = command.and_then(|command| decide(state, command, now).ok());
        for event in decided.into_iter().flatten() {
            state.apply(&event, now);
            log.push((event, now));
        }
    }
    log
}

/// Tells the judgement under way something. Returns the command that ends it, when it is over.
fn answer_judging(state: &RunState, judging: &mut Option<Judging>, told: Told, now_us: u64) -> Option<DriverCommand> {
    let mut under_way = judging.take().or_else(|| state.judging(now_us))?;
    match told {
        Told::Previewed(effects) => under_way.previewed(effects, usage(2)),
        Told::Judged(answer) => under_way.judged(answer, usage(3)),
        Told::PreviewRefused => {
            under_way.refused(usage(1));
            return Some(DriverCommand::PreviewRefused { judging: Box::new(under_way), message: "no".into() });
        }
        Told::PreviewFailed => {
            let failure = failure(StepEnd::Failure, false);
            return Some(DriverCommand::PreviewFailed { judging: Box::new(under_way), failure });
        }
        Told::Command(_) => {}
    }
    match under_way.ask() {
        GateAsk::Decided(_) => Some(DriverCommand::StepJudged(Box::new(under_way))),
        _ => {
            *judging = Some(under_way);
            None
        }
    }
}

/// Checks §5.1 over a log alone: each intended effect was allowed with its step, approved with it, or judged allowed.
fn no_effect_without_its_allow(log: &[RunEvent]) -> Result<(), TestCaseError> {
    let (mut effects, mut ruling, mut approved) = (Vec::new(), Ruling::Abstain, std::collections::BTreeSet::new());
    let mut used = BTreeMap::new();
    for event in log {
        match event {
            RunEvent::StepJudged(judged) => {
                effects = judged.effects().to_vec();
                ruling = judged.decision.as_ref().map_or(Ruling::Abstain, |decision| decision.ruling);
                used.clear();
            }
            RunEvent::ApprovalDecided(ApprovalDecided { answer: ApprovalAnswer::Approved { .. }, binding, .. }) => {
                approved.insert(binding.0.to_string());
            }
            RunEvent::StepStarted(StepStarted { binding, .. }) => {
                // One approval is for one start.
                let by_person = ruling == Ruling::Review && approved.remove(&binding.0.to_string());
                prop_assert!(ruling == Ruling::Allow || by_person);
            }
            RunEvent::EffectIntended(EffectIntended {
                call,
                effect,
                allowed_by: crate::event::AllowedBy::Covered(index),
                ..
            }) => {
                prop_assert!(effects[*index as usize].covers(effect));
                prop_assert!(used.insert(*index, *call).is_none(), "an approved change covers one host call");
            }
            RunEvent::EffectNotPerformed(EffectNotPerformed { call, .. }) => used.retain(|_, used_by| used_by != call),
            _ => {}
        }
    }
    Ok(())
}

/// Each decision and each end of a step is explained once, and every explanation reads as a paragraph of one line.
fn every_step_is_explained(log: &[(RunEvent, u64)]) -> Result<(), TestCaseError> {
    use crate::explain::{Explainer, Phase};
    let mut explainer = Explainer::new("r".parse().unwrap(), None);
    for (event, time) in log {
        let explained = explainer.note(event, *time);
        let phases: Vec<Phase> = explained.iter().map(|one| one.explained.phase()).collect();
        match event {
            RunEvent::StepJudged(StepJudged { decision: Some(_), .. }) => {
                prop_assert_eq!(&phases[..], &[Phase::Before]);
            }
            RunEvent::StepCompleted(_) => prop_assert_eq!(&phases[..], &[Phase::After]),
            RunEvent::StepSkipped(_) => prop_assert_eq!(phases.last(), Some(&Phase::OnError)),
            RunEvent::StepFailed(_) | RunEvent::StepInDoubt(_) => prop_assert_eq!(&phases[..], &[Phase::OnError]),
            RunEvent::RunEnded(_) => prop_assert!(phases.iter().all(|phase| *phase == Phase::OnError)),
            _ => prop_assert!(phases.is_empty(), "{:?} for {:?}", phases, event),
        }
        for explanation in explained {
            prop_assert_eq!(explanation.step.as_ref(), event.step().or(explanation.step.as_ref()));
            prop_assert_eq!(explanation.paragraph().lines().count(), 1);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn rules_hold_whatever_it_is_told(
        inputs in prop::collection::vec((any_input(), any::<bool>()), 0..80),
        skip in any::<bool>(),
        needs_approval in any::<bool>(),
        fuel in prop::option::of(1..60u64),
    ) {
        let on_denied = if skip { OnDenied::Skip } else { OnDenied::Stop };
        let limits = RunLimits { fuel, steps: Some(2), tokens: Some(20), ..RunLimits::default() };
        let setup = setup(3, on_denied, needs_approval, limits);
        let mut state = RunState::new(Arc::clone(&setup));
        let timed = drive(&mut state, inputs);
        let log: Vec<RunEvent> = timed.iter().map(|(event, _)| event.clone()).collect();

        no_effect_without_its_allow(&log)?;

        // Terminal is final.
        let ended = log.iter().position(|event| matches!(event, RunEvent::RunEnded(_)));
        prop_assert!(ended.is_none_or(|place| place + 1 == log.len()));
        if let Phase::Ended(_) = state.phase() {
            prop_assert_eq!(state.ask(), Ask::Nothing);
            let is_refused = matches!(decide(&state, kill(), 0), Err(Error::NotNow { .. }));
            prop_assert!(is_refused);
        }

        // No more steps than the budget allows.
        let steps = state.ledger().line(BudgetKind::Steps);
        prop_assert!(steps.spent + steps.reserved <= 2);
        let tokens = state.ledger().line(BudgetKind::Tokens);
        prop_assert!(tokens.spent + tokens.reserved <= 20);

        // The fold over the events is the live state.
        let mut folded = RunState::new(setup);
        for (event, time) in &timed {
            folded.apply(event, *time);
        }
        prop_assert_eq!(folded.phase(), state.phase());
        prop_assert_eq!(folded.steps(), state.steps());
        prop_assert_eq!(folded.ledger(), state.ledger());
        prop_assert_eq!(folded.ask(), state.ask());
        prop_assert_eq!(folded.action(), state.action());
        prop_assert_eq!(folded.history(), state.history());
        prop_assert_eq!(folded.answered(), state.answered());
        prop_assert_eq!(folded.elapsed_us(1000), state.elapsed_us(1000));

        // Each event follows from an earlier one of its run, if from any.
        let mut chain = crate::event::Chain::new("r".parse().unwrap());
        for event in &log {
            let sealed = chain.seal(event, 0);
            let cause = sealed.to_json("t")["cause"].as_u64();
            prop_assert!(cause.is_none_or(|cause| cause < sealed.seq), "{:?} of {}", cause, sealed.payload);
            prop_assert_eq!(&sealed.run_event().unwrap(), event);
        }

        every_step_is_explained(&timed)?;

        // Events read back from the log are unchanged.
        for event in &log {
            let text = crate::json::canonical(event);
            prop_assert_eq!(&crate::json::parse_as::<RunEvent>("event", text.as_bytes(), 1 << 20).unwrap(), event);
        }
    }
}
