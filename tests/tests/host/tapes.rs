//! Kept tapes of every bundled executor: run again, wherever and however often, they give the same bytes and use the same
//! fuel. `UPDATE_TAPES=1` records them anew after the plugins have changed. `cargo xtask emulate` runs this on other
//! processors.

use fusebox::Harness;
use fusebox::sandbox::{Allocation, End, Recording, Replaying, Sandbox, SandboxSetup, Tape};
use fusebox_core::{Digest, Json};
use fusebox_tests::root;
use serde_json::{Value, json};

use crate::memory::Files;

/// Plugins with their inputs.
fn inputs() -> [(&'static str, Value); 6] {
    [
        ("read_file", json!({ "path": "a.txt" })),
        ("edit_file", json!({ "path": "a.txt", "find": "two", "replace": "three ü" })),
        ("edit_file", json!({ "path": "new/b.txt", "new_content": "x".repeat(10_000) })),
        ("run_command", json!({ "argv": ["make", "test"] })),
        ("analyze", json!({ "instruction": "why?", "files": ["a.txt"] })),
        ("summarize", json!({ "instruction": "all of it", "files": ["a.txt"] })),
    ]
}

fn text(json: &Json) -> String {
    json.as_str().to_owned()
}

fn harness(sandbox: &Sandbox, kept: &Value) -> Harness {
    let name = kept["plugin"].as_str().unwrap();
    let bytes = std::fs::read(root().join(format!("plugins/dist/{name}.wasm"))).unwrap();
    let input = Json::parse("the input", kept["input"].to_string().as_bytes(), 1 << 20).unwrap();
    Harness::load(sandbox, &bytes).unwrap().input(input)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

/// Runs a plugin in a world in memory and keeps all of it.
fn record(sandbox: &Sandbox, plugin: &str, input: &Value) -> Value {
    let mut kept = json!({ "plugin": plugin, "input": input });
    let harness = harness(sandbox, &kept);
    let files = Files::with("a.txt", "one\ntwo\n");
    let (recording, tape) = Recording::new(files.clone());
    let previewed = harness.preview_with(recording);
    let effects = previewed.result.unwrap().unwrap();
    kept["preview"] = json!({
        "tape": serde_json::to_value(tape.take()).unwrap(),
        "effects": Digest::of(format!("{effects:?}").as_bytes()),
        "call_fuel": previewed.report.usage.call_fuel,
    });
    let (recording, tape) = Recording::new(files);
    let executed = runtime().block_on(harness.execute(recording));
    let outcome = executed.result.unwrap().unwrap();
    kept["execute"] = json!({
        "tape": serde_json::to_value(tape.take()).unwrap(),
        "output": text(&outcome.output),
        "summary": outcome.summary,
        "delta": outcome.delta.as_ref().map(text),
        "call_fuel": executed.report.usage.call_fuel,
    });
    kept
}

fn tape(of: &Value) -> Tape {
    Tape::from_json(&of["tape"].to_string()).unwrap()
}

#[test]
fn kept_tapes_run_again_with_the_same_bytes_and_fuel_in_either_engine() {
    let file = root().join("tests/tapes.json");
    if std::env::var_os("UPDATE_TAPES").is_some() {
        let sandbox = Sandbox::new(None).unwrap();
        let kept: Vec<Value> = inputs().iter().map(|(plugin, input)| record(&sandbox, plugin, input)).collect();
        std::fs::write(&file, format!("{}\n", serde_json::to_string_pretty(&kept).unwrap())).unwrap();
    }
    let kept: Vec<Value> = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(kept.len(), inputs().len());
    for executors in [Allocation::OnDemand, Allocation::Pooled] {
        let sandbox = SandboxSetup { executors, ..SandboxSetup::default() }.build().unwrap();
        for kept in &kept {
            let name = format!("{} in {executors:?}", kept["plugin"]);
            let harness = harness(&sandbox, kept);
            let (preview, execute) = (&kept["preview"], &kept["execute"]);
            let again = harness.preview_with(Replaying::new(tape(preview)));
            let effects = Digest::of(format!("{:?}", again.result.unwrap().unwrap()).as_bytes());
            assert_eq!(json!(effects), preview["effects"], "{name}");
            assert_eq!(again.report.usage.call_fuel, preview["call_fuel"], "{name}: fuel of the preview");
            let again = runtime().block_on(harness.replay(tape(execute)));
            let outcome = again.result.unwrap().unwrap();
            assert_eq!(text(&outcome.output), execute["output"], "{name}");
            assert_eq!(outcome.summary, execute["summary"], "{name}");
            assert_eq!(json!(outcome.delta.as_ref().map(text)), execute["delta"], "{name}");
            assert_eq!(again.report.usage.call_fuel, execute["call_fuel"], "{name}: fuel");
        }
    }
}

#[test]
fn a_tape_that_says_something_else_is_told_with_both() {
    let kept: Vec<Value> = serde_json::from_slice(&std::fs::read(root().join("tests/tapes.json")).unwrap()).unwrap();
    let sandbox = Sandbox::new(None).unwrap();
    let harness = harness(&sandbox, &kept[1]);
    let whole = tape(&kept[1]["execute"]);
    let replay = |tape: Tape| runtime().block_on(harness.replay(tape)).result;
    let diverged = |tape: Tape| match replay(tape) {
        Err(End::Diverged { expected, asked }) => (expected, asked),
        other => panic!("it must diverge: {other:?}"),
    };
    for cut in 0..whole.entries.len() {
        let mut tape = whole.clone();
        tape.entries.truncate(cut);
        let (expected, asked) = diverged(tape);
        assert_eq!(expected, "the end of the tape");
        assert_eq!(asked, whole.entries[cut].call.to_string());
    }
    let mut swapped = whole.clone();
    swapped.entries.reverse();
    let (expected, asked) = diverged(swapped);
    assert_eq!(expected, whole.entries.last().unwrap().call.to_string());
    assert_eq!(asked, whole.entries[0].call.to_string());
}
