//! Hostile guests: each ends in its typed end, within its limit, and the next call is unaffected.

mod loading;

use std::time::{Duration, Instant};

use fusebox::Harness;
use fusebox::sandbox::{End, Error, Limits, Sandbox};
use fusebox_core::Ruling;
use fusebox_tests::{description, executor, guard, guard_that_says, guard_with, impact, module};

const LOOP: &str = "(loop (br 0)) unreachable";

fn harness(bytes: &[u8]) -> Harness {
    Harness::load(&Sandbox::new(None).unwrap(), bytes).unwrap()
}

fn end_of(bytes: &[u8]) -> (End, fusebox::sandbox::Report) {
    // A busy machine may take the thread away for longer than a guard may run.
    let limits = Limits { wall_time: Duration::from_secs(5), ..Limits::guard() };
    let harness = harness(bytes).limits(limits);
    let called = harness.check(&[]);
    // The same sandbox and plugin still answer in time.
    assert!(harness.check(&[]).result.is_err());
    (called.result.unwrap_err(), called.report)
}

fn refusal(bytes: &[u8]) -> Error {
    Sandbox::new(None).unwrap().load(bytes).unwrap_err()
}

#[test]
fn an_honest_guest_in_wat_is_called() {
    let called = harness(&guard("(i32.const 16)")).check(&[]);
    assert_eq!(called.result.unwrap().ruling, Ruling::Abstain);
    let denying = harness(&guard("(i32.store8 (i32.const 16) (i32.const 3)) (i32.const 16)")).check(&[]);
    assert_eq!(denying.result.unwrap().ruling, Ruling::Deny);
    assert!(called.report.usage.call_fuel > 0 && called.report.usage.call_fuel < 1000);
}

#[test]
fn a_loop_runs_out_of_fuel() {
    let (end, report) = end_of(&guard(LOOP));
    assert_eq!(end, End::OutOfFuel);
    assert_eq!(report.usage.call_fuel, Limits::guard().call_fuel);
}

#[test]
fn a_loop_with_all_the_fuel_in_the_world_meets_its_deadline() {
    let limits = Limits { call_fuel: u64::MAX / 2, wall_time: Duration::from_millis(30), ..Limits::guard() };
    let started = Instant::now();
    let called = harness(&guard(LOOP)).limits(limits).check(&[]);
    assert_eq!(called.result, Err(End::Deadline));
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(called.report.usage.call_fuel, limits.call_fuel, "fuel that cannot be known is billed whole");
}

#[test]
fn a_kill_stops_a_running_guest() {
    let limits = Limits { call_fuel: u64::MAX / 2, wall_time: Duration::from_secs(600), ..Limits::guard() };
    let harness = harness(&guard(LOOP)).limits(limits);
    let kill = harness.kill().clone();
    std::thread::scope(|scope| {
        let called = scope.spawn(|| harness.check(&[]));
        kill.kill();
        assert_eq!(called.join().unwrap().result, Err(End::Killed));
    });
}

#[test]
fn a_memory_bomb_meets_its_limit() {
    let (end, report) = end_of(&guard("(loop (drop (memory.grow (i32.const 64))) (br 0)) unreachable"));
    assert_eq!(end, End::MemoryLimit);
    assert!(report.usage.peak_memory <= Limits::guard().memory_bytes as u64);
}

#[test]
fn endless_recursion_and_traps_are_told() {
    let recursion = "(local.get 0)".repeat(12);
    let (end, _) = end_of(&guard(&format!("(call $check {recursion})")));
    assert!(matches!(&end, End::Trapped { message, .. } if message.contains("stack")), "{end:?}");
    let (end, report) = end_of(&guard("(i32.load (i32.const -8))"));
    assert!(matches!(&end, End::Trapped { message, .. } if message.contains("out of bounds")), "{end:?}");
    assert_eq!(report.usage.call_fuel, Limits::guard().call_fuel, "fuel that cannot be known is billed whole");
}

#[test]
fn nonsense_verdicts_are_no_verdicts() {
    // A ruling that does not exist, a list longer than memory, text that is not UTF-8.
    for body in [
        "(i32.store8 (i32.const 16) (i32.const 9)) (i32.const 16)",
        "(i32.store (i32.const 20) (i32.const 16)) (i32.store (i32.const 24) (i32.const 1000000)) (i32.const 16)",
        "(i32.const -4)",
        "(i32.const 17)",
    ] {
        let (end, _) = end_of(&guard(body));
        assert!(matches!(end, End::Trapped { .. } | End::OutputTooLarge), "{body}: {end:?}");
    }
    // A rewritten input that is no JSON.
    let rewrite = "(i32.store8 (i32.const 28) (i32.const 1)) (i32.store (i32.const 32) (i32.const 4097))
                   (i32.store (i32.const 36) (i32.const 3)) (i32.const 16)";
    let (end, _) = end_of(&guard(rewrite));
    assert!(matches!(end, End::BadAnswer { .. }), "{end:?}");
}

const LOG: &str = r#"(import "fusebox:plugin/log@0.1.0" "emit" (func $emit (param i32 i32 i32)))
    (import "fusebox:plugin/log@0.1.0" "panic" (func $panic (param i32 i32)))"#;

#[test]
fn a_million_host_calls_meet_their_limit() {
    let body = "(loop (call $emit (i32.const 0) (i32.const 0) (i32.const 0)) (br 0)) unreachable";
    let (end, report) = end_of(&guard_with(LOG, body));
    assert_eq!(end, End::HostCallLimit);
    assert!(report.log.lines.len() as u64 + report.log.dropped <= Limits::guard().host_calls);
    assert!(report.log.dropped > 0, "empty lines are bounded, too");
}

#[test]
fn a_huge_log_line_is_dropped_and_counted_and_a_larger_one_is_refused() {
    let logged = "(call $emit (i32.const 2) (i32.const 0) (i32.const 131072)) (i32.const 16)";
    let called = harness(&guard_with(LOG, logged)).check(&[]);
    assert!(called.result.is_ok());
    assert_eq!((called.report.log.lines.len(), called.report.log.dropped), (0, 1));
    let grown = "(drop (memory.grow (i32.const 100)))
        (call $emit (i32.const 2) (i32.const 0) (i32.const 4000000)) (i32.const 16)";
    let (end, _) = end_of(&guard_with(LOG, grown));
    assert_eq!(end, End::OutputTooLarge);
}

#[test]
fn a_panic_text_is_part_of_the_trap() {
    let body = "(call $panic (i32.const 4097) (i32.const 6)) unreachable";
    let (end, _) = end_of(&guard_with(LOG, body));
    let End::Trapped { panic, last_host_call, .. } = end else { panic!("{end:?}") };
    assert_eq!(panic.as_deref(), Some("\"name\""));
    assert_eq!(last_host_call, None);
}

#[test]
fn an_impact_that_is_no_number_does_not_pass() {
    for number in ["nan", "inf", "-0.1", "1.5"] {
        let called = harness(&impact(number)).impact(&[]);
        assert!(called.result.unwrap().act.fault().is_some(), "{number}");
    }
    assert_eq!(harness(&impact("0.25")).impact(&[]).result.unwrap().act.fault(), None);
}

#[test]
fn executors_end_like_guards() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let limits = Limits { wall_time: Duration::from_millis(50), call_fuel: u64::MAX / 2, ..Limits::executor() };
    let looping = harness(&executor("", "(loop (br 0))")).limits(limits);
    let called = runtime.block_on(looping.replay(fusebox::sandbox::Tape::default()));
    assert_eq!(called.result, Err(End::Deadline));
    let dry = harness(&executor("", "(loop (br 0))")).limits(Limits { call_fuel: 10_000, ..Limits::executor() });
    let called = runtime.block_on(dry.replay(fusebox::sandbox::Tape::default()));
    assert_eq!(called.result, Err(End::OutOfFuel));
}

#[test]
fn asking_for_what_is_not_on_the_tape_diverges() {
    let import = r#"(import "fusebox:plugin/workspace@0.1.0" "remove" (func $remove (param i32 i32 i32)))"#;
    let harness = harness(&executor(import, "(call $remove (i32.const 2048) (i32.const 2) (i32.const 3000))"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let called = runtime.block_on(harness.replay(fusebox::sandbox::Tape::default()));
    let End::Diverged { expected, asked } = called.result.unwrap_err() else { panic!("it must diverge") };
    assert!(expected.contains("end of the tape") && asked.contains("remove"), "{expected} {asked}");
}

#[test]
fn a_guest_sees_nothing_of_another_call() {
    // Counts its calls in memory; every call is the first.
    let body = "(i32.store8 (i32.const 3000) (i32.add (i32.load8_u (i32.const 3000)) (i32.const 1)))
                (if (i32.gt_u (i32.load8_u (i32.const 3000)) (i32.const 1)) (then unreachable)) (i32.const 16)";
    let harness = harness(&guard(body));
    for _ in 0..100 {
        assert!(harness.check(&[]).result.is_ok());
    }
}

#[test]
fn a_table_bomb_meets_its_limit() {
    let import = "(table $bomb 1 funcref)";
    let body = "(loop (drop (table.grow $bomb (ref.null func) (i32.const 5000))) (br 0)) unreachable";
    let (end, _) = end_of(&guard_with(import, body));
    assert_eq!(end, End::MemoryLimit);
    // More than one table may have is refused before anything is compiled, or when the instance is made.
    let bytes = guard_with("(table $bomb 10000000 funcref)", "(i32.const 16)");
    let error = refusal(&bytes);
    assert!(matches!(error, Error::Compile { .. }) && error.to_string().contains("table"), "{error}");
}

#[test]
fn a_huge_list_is_not_taken() {
    // A million findings, each of them zero: the list lies in memory that is really there.
    let body = "(drop (memory.grow (i32.const 900)))
        (i32.store (i32.const 20) (i32.const 131072)) (i32.store (i32.const 24) (i32.const 1000000)) (i32.const 16)";
    let (end, _) = end_of(&guard(body));
    assert_eq!(end, End::OutputTooLarge);
}

#[test]
fn text_that_is_not_utf_8_is_a_trap() {
    let body = "(i32.store8 (i32.const 3000) (i32.const 0xff))
        (call $emit (i32.const 2) (i32.const 3000) (i32.const 1)) (i32.const 16)";
    let (end, _) = end_of(&guard_with(LOG, body));
    assert!(matches!(&end, End::Trapped { message, .. } if message.contains("utf-8")), "{end:?}");
    let described = refusal(&guard_that_says("\u{0}", "", "(i32.const 16)"));
    assert!(matches!(described, Error::BadDescription { .. }));
}

/// A guard in which one function of the canonical ABI is replaced.
fn with_function(name: &str, function: &str) -> Vec<u8> {
    let params = "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)";
    let realloc = if name == "cabi_realloc" { "" } else { REALLOC };
    module(
        "guard-plugin",
        &format!(
            r#"(module (memory (export "memory") 2) (global $heap (mut i32) (i32.const 65536)) {realloc}
            (func (export "{name}") {function})
            (func (export "fusebox:plugin/guard@0.1.0#describe") (result i32)
                (i32.store (i32.const 16) (i32.const 4096)) (i32.store (i32.const 20) (i32.const {len})) (i32.const 16))
            (func (export "fusebox:plugin/guard@0.1.0#check-settings") (param i32 i32) (result i32) (i32.const 1024))
            (func (export "fusebox:plugin/guard@0.1.0#check-plan") {params} (result i32) (i32.const 1024))
            (func (export "fusebox:plugin/guard@0.1.0#check") {params} (result i32) (i32.const 1024))
            (data (i32.const 4096) "{text}"))"#,
            len = description("guard").len(),
            text = description("guard").replace('"', "\\\""),
        ),
    )
}

const REALLOC: &str = r#"(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (global.set $heap (i32.add (global.get $heap) (i32.add (local.get 3) (i32.const 16))))
    (i32.and (i32.sub (global.get $heap) (local.get 3)) (i32.const -16)))"#;

#[test]
fn traps_and_lies_in_realloc_end_the_call() {
    for (function, said) in [
        ("(param i32 i32 i32 i32) (result i32) unreachable", "unreachable"),
        ("(param i32 i32 i32 i32) (result i32) (i32.const -16)", "realloc"),
        ("(param i32 i32 i32 i32) (result i32) (i32.const 17)", ""),
        ("(param i32 i32 i32 i32) (result i32) (loop (br 0)) unreachable", "fuel"),
    ] {
        let (end, _) = end_of(&with_function("cabi_realloc", function));
        assert!(matches!(end, End::Trapped { .. } | End::OutOfFuel) && end.to_string().contains(said), "{end:?}");
    }
}

#[test]
fn a_trap_after_the_result_is_a_failure_all_the_same() {
    let name = "cabi_post_fusebox:plugin/guard@0.1.0#check";
    let (end, _) = end_of(&with_function(name, "(param i32) unreachable"));
    assert!(matches!(end, End::Trapped { .. }), "{end:?}");
    let (end, report) = end_of(&with_function(name, "(param i32) (loop (br 0))"));
    assert_eq!(end, End::OutOfFuel);
    assert_eq!(report.usage.call_fuel, Limits::guard().call_fuel);
    let honest = harness(&with_function(name, "(param i32)")).check(&[]);
    assert!(honest.result.is_ok());
}

#[test]
fn a_hoard_of_payloads_meets_its_limit() {
    let import = r#"(import "fusebox:plugin/payloads@0.1.0" "begin" (func $begin (param i32)))"#;
    // Fails where a payload was begun when 2000 were begun: the contract's own limit is 1024.
    let body = "(local $n i32)
        (loop (call $begin (i32.const 3000)) (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br_if 0 (i32.lt_u (local.get $n) (i32.const 2000))))
        (if (i32.eqz (i32.load8_u (i32.const 3000))) (then unreachable))";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let called = runtime.block_on(harness(&executor(import, body)).replay(fusebox::sandbox::Tape::default()));
    assert!(called.result.unwrap().is_ok(), "more of them are refused by value");
    assert_eq!(called.report.usage.host_calls, 2000);
}

/// Knows nothing.
struct Nothing;

impl fusebox::sandbox::EffectHandler for Nothing {
    fn call(&mut self, call: fusebox::sandbox::HostCall) -> fusebox::sandbox::HandlerFuture<'_> {
        Box::pin(std::future::ready(Ok(Err(fusebox_core::Failure::NotFound(call.name().to_owned())))))
    }
}

#[test]
fn a_tape_is_bounded_whatever_is_asked() {
    use fusebox::sandbox::{Recording, Replaying};
    let import = r#"(import "fusebox:plugin/workspace@0.1.0" "stat" (func $stat (param i32 i32 i32)))"#;
    // Paths of megabytes, then more short ones than any plan needs.
    let large = "(drop (memory.grow (i32.const 130)))
        (loop (call $stat (i32.const 65536) (i32.const 4000000) (i32.const 3000)) (br 0))";
    let small = "(loop (call $stat (i32.const 2048) (i32.const 300) (i32.const 3000)) (br 0))";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    for body in [large, small] {
        let limits = Limits { host_calls: 1_000_000, ..Limits::executor() };
        let harness = harness(&executor(import, body)).limits(limits);
        let (recording, tape) = Recording::new(Nothing);
        let called = runtime.block_on(harness.execute(recording));
        assert_eq!(called.result, Err(End::HostCallLimit));
        let tape = tape.take();
        // Characters that JSON escapes take six bytes each.
        assert!(tape.to_json().len() < 52_000_000, "{} bytes", tape.to_json().len());
        let again = runtime.block_on(harness.execute(Replaying::new(tape)));
        assert_eq!(again.result, Err(End::HostCallLimit), "the same from its tape");
        assert_eq!(again.report.usage.call_fuel, called.report.usage.call_fuel);
    }
}

#[test]
fn a_rewrite_that_was_not_declared_is_a_failure_of_the_guard() {
    let place = tempfile::tempdir().unwrap();
    // A verdict that abstains and replaces the input by `{}`.
    let body = "(i32.store8 (i32.const 28) (i32.const 1)) (i32.store (i32.const 32) (i32.const 2048))
                (i32.store (i32.const 36) (i32.const 2)) (i32.const 16)";
    assert!(harness(&guard(body)).check(&[]).result.unwrap().rewrite.is_some());
    std::fs::write(place.path().join("hostile.wasm"), guard(body)).unwrap();
    let policy = place.path().join("policy.toml");
    std::fs::write(&policy, "[guards.hostile]\npath = 'hostile.wasm'\n[step_types.other]\nneeds_approval = false")
        .unwrap();
    let builder = fusebox::Host::builder().home(place.path().join("home")).policy_file(policy);
    let host = builder.compile_in(fusebox::CompilePlace::Here).build().unwrap();
    let proposal = br#"{"agent":{"id":"a"},"step_type":"other","input":{},"effects":[{"effect":"read","path":"a"}]}"#;
    std::fs::create_dir(place.path().join("workspace")).unwrap();
    let proposal = fusebox::Proposal::parse(proposal, Some(place.path().join("workspace"))).unwrap();
    let decision = host.check(&proposal).unwrap();
    assert_eq!(decision.ruling, Ruling::Deny, "{}", decision.why());
    assert!(decision.why().contains("hostile") && decision.why().contains("rewr"), "{}", decision.why());
}
