//! Plugins in Rust, JavaScript and Python, and of the stock WASI target, all under the same engine. `cargo xtask languages`
//! builds them and runs these tests.

use std::sync::OnceLock;
use std::time::Duration;

use fusebox::sandbox::{End, Error, Limits, Recording, Replaying, Sandbox};
use fusebox::{Effect, Harness};
use fusebox_core::{Digest, EvaluationContext, Failure, Json, ProposedEffect, Severity};
use fusebox_tests::root;
use serde_json::Value;

use crate::memory::Files;

const LANGUAGES: [&str; 3] = ["rust", "javascript", "python"];

/// One for all tests: large components are compiled once.
fn sandbox() -> &'static Sandbox {
    static SANDBOX: OnceLock<Sandbox> = OnceLock::new();
    SANDBOX.get_or_init(|| Sandbox::new(Some(&root().join("target/languages/cache"))).unwrap())
}

fn bytes(name: &str) -> Vec<u8> {
    let path = root().join(format!("target/languages/{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask languages`", path.display()))
}

fn load(name: &str) -> Harness {
    Harness::load(sandbox(), &bytes(name)).unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

fn json(value: &Value) -> Json {
    Json::parse("a test", value.to_string().as_bytes(), 1 << 20).unwrap()
}

fn cases() -> Value {
    serde_json::from_slice(&std::fs::read(root().join("examples/plugins/cases.json")).unwrap()).unwrap()
}

/// An effect of a case, with its content.
fn effect(case: &Value) -> (Effect, Option<Vec<u8>>) {
    let text = |key: &str| case[key].as_str().unwrap();
    if case.get("read").is_some() {
        return (Effect::Read { path: text("read").parse().unwrap() }, None);
    }
    if case.get("remove").is_some() {
        return (Effect::Remove { path: text("remove").parse().unwrap(), before: None, obeyed: false }, None);
    }
    if let Some(argv) = case.get("run").and_then(Value::as_array) {
        let argv: Vec<String> = argv.iter().map(|it| it.as_str().unwrap().to_owned()).collect();
        let effect = Effect::Run {
            argv,
            program: "/bin/cat".into(),
            cwd: "".parse().unwrap_or_default(),
            env_names: Vec::new(),
            environment: Digest::ZERO,
            shell_text: None,
            files: vec![],
        };
        return (effect, None);
    }
    let pad = usize::try_from(case.get("pad").and_then(Value::as_u64).unwrap_or(0)).unwrap();
    let content = [vec![b'.'; pad], text("content").as_bytes().to_vec()].concat();
    let (after, size) = (Digest::of(&content), content.len() as u64);
    (Effect::Write { path: text("write").parse().unwrap(), before: None, after, size, obeyed: false }, Some(content))
}

#[test]
#[ignore = "cargo xtask languages builds what it needs and runs it"]
fn guards_in_all_languages_judge_alike() {
    let table = cases();
    for language in LANGUAGES {
        // JavaScript looks at each byte of a large file with some hundred instructions.
        let limits = Limits { call_fuel: 200_000_000, wall_time: Duration::from_secs(2), ..Limits::guard() };
        let guard = load(&format!("{language}-guard")).settings(json(&table["settings"])).limits(limits);
        for case in table["cases"].as_array().unwrap() {
            let name = format!("{language}: {}", case["name"].as_str().unwrap());
            let (effects, contents): (Vec<_>, Vec<_>) = case["effects"].as_array().unwrap().iter().map(effect).unzip();
            let guard = contents.into_iter().flatten().fold(guard.clone(), Harness::content);
            let called = guard.check(&effects);
            let verdict = called.result.unwrap_or_else(|end| panic!("{name}: {end}"));
            assert_eq!(serde_json::to_value(verdict.ruling).unwrap(), case["ruling"], "{name}");
            let found: Vec<Value> =
                verdict.findings.iter().map(|finding| serde_json::json!([finding.code, finding.effect])).collect();
            assert_eq!(Value::from(found), case["findings"], "{name}");
            let again = guard.check(&effects);
            assert_eq!(again.report.usage.call_fuel, called.report.usage.call_fuel, "{name}: fuel");
        }
    }
}

#[test]
#[ignore = "cargo xtask languages builds what it needs and runs it"]
fn guards_in_all_languages_judge_their_settings() {
    let table = cases();
    for language in LANGUAGES {
        let guard = load(&format!("{language}-guard"));
        let judge = |settings: &Value| guard.plugin().check_settings(&json(settings), guard.kill()).result.unwrap();
        assert_eq!(judge(&table["settings"]), [], "{language}");
        for bad in table["bad_settings"].as_array().unwrap() {
            assert!(judge(bad).iter().any(|finding| finding.severity == Severity::Error), "{language}: {bad}");
        }
    }
}

#[test]
#[ignore = "cargo xtask languages builds what it needs and runs it"]
fn executors_in_all_languages_do_alike_and_run_from_their_tapes() {
    let text = "pear\napple\n\nfig\n";
    // The same executor for WASI as well.
    for language in LANGUAGES.into_iter().chain(["wasi"]) {
        let executor = load(&format!("{language}-executor")).input(json(&serde_json::json!({ "path": "a.txt" })));
        let files = Files::with("a.txt", text);
        let (recording, tape) = Recording::new(files.clone());
        let previewed = executor.preview_with(recording);
        let effects = previewed.result.unwrap_or_else(|end| panic!("{language}: {end}")).unwrap();
        let [ProposedEffect::Read { path }, ProposedEffect::Write { path: written, content }] = &effects[..] else {
            panic!("{language}: {effects:?}")
        };
        assert_eq!((path.as_str(), written.as_str(), &content[..]), ("a.txt", "a.txt", &b"apple\nfig\npear\n"[..]));
        let again = executor.preview_with(Replaying::new(tape.take()));
        assert_eq!(again.result.unwrap().unwrap(), effects, "{language}");
        assert_eq!(again.report.usage.call_fuel, previewed.report.usage.call_fuel, "{language}: fuel");

        let (recording, tape) = Recording::new(files.clone());
        let executed = runtime().block_on(executor.execute(recording));
        let outcome = executed.result.unwrap_or_else(|end| panic!("{language}: {end}")).unwrap();
        assert_eq!(outcome.output.as_str(), r#"{"lines":3}"#, "{language}");
        assert_eq!(outcome.summary, "sorted 3 lines of a.txt", "{language}");
        assert_eq!(files.get("a.txt"), "apple\nfig\npear\n", "{language}");
        let again = runtime().block_on(executor.replay(tape.take()));
        assert_eq!(again.result.unwrap().unwrap(), outcome, "{language}");
        assert_eq!(again.report.usage.call_fuel, executed.report.usage.call_fuel, "{language}: fuel");

        let delta = outcome.delta.unwrap();
        let (recording, tape) = Recording::new(files.clone());
        let undone = runtime().block_on(executor.undo(&delta, recording));
        assert_eq!(undone.result, Ok(Ok(())), "{language}");
        assert_eq!(files.get("a.txt"), text, "{language}");
        let again = runtime().block_on(executor.undo(&delta, Replaying::new(tape.take())));
        assert_eq!(again.result, Ok(Ok(())), "{language}");
        assert_eq!(again.report.usage.call_fuel, undone.report.usage.call_fuel, "{language}: fuel");
    }
}

#[test]
#[ignore = "cargo xtask languages builds what it needs and runs it"]
fn executors_in_all_languages_refuse_by_value() {
    for language in LANGUAGES.into_iter().chain(["wasi"]) {
        let executor = load(&format!("{language}-executor")).input(json(&serde_json::json!({ "path": "a.txt" })));
        let preview =
            |files: Files| executor.preview_with(files).result.unwrap_or_else(|end| panic!("{language}: {end}"));
        assert!(matches!(preview(Files::default()), Err(Failure::NotFound(_))), "{language}");
        assert!(matches!(preview(Files::with("a.txt", "ü")), Err(Failure::InvalidInput(_))), "{language}");
    }
}

#[test]
#[ignore = "cargo xtask languages builds what it needs and runs it"]
fn an_uncaught_exception_is_told_in_all_languages() {
    // Neither expects an input that is no object.
    for language in ["javascript", "python"] {
        let executor = load(&format!("{language}-executor")).input(json(&Value::Null));
        match executor.preview_with(Files::default()).result {
            Err(End::Trapped { panic: Some(panic), .. }) => assert!(panic.contains("TypeError"), "{language}: {panic}"),
            other => panic!("{language}: {other:?}"),
        }
    }
}

fn probe(then: &str) -> Harness {
    let mut situation = EvaluationContext::outside_of_a_run(
        fusebox_core::Agent { id: "a".into(), kind: None, tier: None },
        fusebox_core::Origin::Plan,
        1_234_567_890_000_000,
    );
    situation.contents = fusebox_core::Contents::default();
    load("wasi-probe").input(json(&serde_json::json!({ "then": then }))).situation(situation)
}

#[test]
#[ignore = "cargo xtask languages builds what it needs and runs it"]
fn a_stock_wasi_guest_finds_nothing_and_always_the_same() {
    let run = || runtime().block_on(probe("").execute(Files::default()));
    let first = run();
    let found: Value = serde_json::from_str(first.result.as_ref().unwrap().as_ref().unwrap().output.as_str()).unwrap();
    assert_eq!(found["files"], serde_json::json!([]), "{found}");
    assert_eq!(found["wrote"], false);
    assert_eq!((&found["variables"], &found["arguments"], &found["stdin"]), (&0.into(), &0.into(), &0.into()));
    assert_eq!(found["now"], 1_234_567_890 + 3600, "time is that of the proposal, and moves on by sleeping only");
    assert_eq!(found["slept"], 3_600_000_000_000_u64);
    let said: Vec<&str> = first.report.log.lines.iter().map(|line| line.message.as_str()).collect();
    assert_eq!(said, ["looked around", "and said so"]);
    for _ in 0..3 {
        let again = run();
        assert_eq!(again.result, first.result);
        assert_eq!(again.report.usage.call_fuel, first.report.usage.call_fuel);
    }
}

#[test]
#[ignore = "cargo xtask languages builds what it needs and runs it"]
fn a_stock_wasi_guest_meets_its_limits() {
    let run = |then: &str| runtime().block_on(probe(then).execute(Files::default()));
    let flooded = run("flood");
    assert!(flooded.result.unwrap().is_ok());
    let kept: usize = flooded.report.log.lines.iter().map(|line| line.message.len()).sum();
    assert!(kept <= Limits::executor().log_bytes && flooded.report.log.dropped > 0, "{kept}");
    // The probe prints two lines before the flood.
    let lines = flooded.report.log.lines.len() as u64 + flooded.report.log.dropped;
    assert_eq!(lines, 10_002, "each line is kept or counted");
    let End::Trapped { panic, .. } = run("panic").result.unwrap_err() else { panic!("it must trap") };
    assert!(panic.unwrap().contains("asked to panic"));
    assert!(matches!(run("exit").result, Err(End::Trapped { message, .. }) if message.contains('3')));
    assert!(matches!(run("hoard").result, Err(End::Trapped { .. })), "handles are bounded");
    let calls = |host_calls| {
        let endless = probe("ask").limits(Limits { host_calls, ..Limits::executor() });
        let called = runtime().block_on(endless.execute(Files::default()));
        (called.result, called.report.usage.call_fuel, called.report.usage.host_calls)
    };
    assert_eq!(calls(3000), (Err(End::HostCallLimit), Limits::executor().call_fuel, 3001));
    assert_eq!(calls(3000), calls(3000), "however late it was stopped");
    let endless = probe("ask").limits(Limits { host_calls: 5000, ..Limits::executor() });
    assert_eq!(runtime().block_on(endless.execute(Files::default())).result, Err(End::HostCallLimit));
}

#[test]
#[ignore = "cargo xtask languages builds what it needs and runs it"]
fn guards_get_no_wasi_and_nobody_gets_a_network() {
    let error = sandbox().load(&bytes("wasi-guard")).unwrap_err();
    assert!(matches!(error, Error::Incompatible { .. }), "{error}");
    assert!(error.to_string().contains("wasi:") && error.to_string().contains("wasm32-unknown-unknown"), "{error}");
}
