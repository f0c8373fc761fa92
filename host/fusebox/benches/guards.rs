//! Costs of guards, by language: a fresh sandbox for each call, beside the same component in bare wasmtime and a native
//! function that does the same. Then the fuel of each bundled plugin on one input, the memory of each loaded plugin,
//! and the growth after a million decisions. Nothing is written to the log: durability none.
//!
//! `cargo xtask languages` builds the guards in JavaScript and Python; without it they are left out, and said so.
//!
//! `cargo bench -p fusebox --bench guards`
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs, reason = "a benchmark")]

mod bare;

use std::hint::black_box;
use std::path::{Path, PathBuf};

use fusebox::core::{Effect, Json};
use fusebox::sandbox::{Limits, Sandbox};
use fusebox::{CheckEffects, Harness};

use bare::{Bare, micros, native, proposal, time};

/// Rounds, interleaved over all cases.
const ROUNDS: usize = if fusebox_tests::IS_SMOKE { 1 } else { 9 };
/// Decisions after which growth is measured.
const DECISIONS: usize = fusebox_tests::bench_amount(1_000_000);

fn main() {
    let idle = tempfile::Builder::new().suffix(".wasm").tempfile().unwrap();
    let module =
        wit_component::ComponentEncoder::default().module(&fusebox_tests::guard("(i32.const 16)")).unwrap().encode();
    std::fs::write(idle.path(), module.unwrap()).unwrap();
    let guards = [
        ("WAT that abstains at once", idle.path().to_owned(), 1000),
        ("Rust (protected-paths)", component("plugins/dist/protected-paths"), 1000),
        ("Rust (the example)", component("target/languages/rust-guard"), 1000),
        ("JavaScript (the example)", component("target/languages/javascript-guard"), 200),
        ("Python (the example)", component("target/languages/python-guard"), 60),
    ];
    println!("{:<30} {:>12} {:>12} {:>12} {:>12}", "p50 and p99 of one call, µs", "sandbox", "", "bare", "");
    for (name, path, calls) in guards {
        match path.exists() {
            true => cycle(name, &path, calls),
            false => println!("{name:<30} not built: run `cargo xtask languages`"),
        }
    }
    let mut times = Vec::new();
    time(&mut times, 2000, || assert!(!black_box(native(black_box(&proposal())))));
    times.sort_unstable();
    println!("{:<30} {:>12.2} {:>12.2}", "native, no sandbox", micros(&times, 50), micros(&times, 99));
    fuel();
    memory();
    leavings();
}

fn component(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(format!("{name}.wasm"))
}

fn effects() -> Vec<Effect> {
    let CheckEffects::Known(effects, _) = proposal().effects else { panic!("effects are known here") };
    effects
}

fn harness(path: &Path) -> Harness {
    // Twice the time of a guard in use: the first call in each shard sets memory up.
    let limits = Limits { wall_time: 2 * Limits::guard().wall_time, ..Limits::guard() };
    Harness::load(&sandbox(), &std::fs::read(path).unwrap()).unwrap().limits(limits).input(proposal().action.input)
}

/// With the compiled guards of the tests of languages: Python's take half a minute.
fn sandbox() -> Sandbox {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/languages");
    std::fs::create_dir_all(&built).unwrap();
    Sandbox::new(Some(&built.join("cache"))).unwrap()
}

fn cycle(name: &str, path: &Path, calls: usize) {
    let (harness, bare, effects) = (harness(path), Bare::new(path), effects());
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        time(&mut times[0], calls, || drop(black_box(harness.check(black_box(&effects)).result.unwrap())));
        time(&mut times[1], calls, || bare.cycle());
    }
    times.iter_mut().for_each(|times| times.sort_unstable());
    print!("{name:<30}");
    for times in &times {
        print!(" {:>12.2} {:>12.2}", micros(times, 50), micros(times, 99));
    }
    println!();
}

/// Each bundled plugin on the same edit.
fn fuel() {
    println!("\n{:<30} {:>12} {:>12}", "fuel on an edit of 500 bytes", "to set up", "the call");
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("main.rs"), "fn main() {}\n").unwrap();
    let inputs = [
        ("protected-paths", ""),
        ("command-policy", ""),
        ("secret-scan", ""),
        ("workspace-impact", ""),
        ("read_file", r#"{"path":"main.rs"}"#),
        ("edit_file", r#"{"path":"main.rs","find":"main","replace":"start"}"#),
        ("run_command", r#"{"argv":["true"]}"#),
        ("analyze", r#"{"instruction":"why?","files":["main.rs"]}"#),
        ("summarize", r#"{"instruction":"all","files":["main.rs"]}"#),
    ];
    for (name, input) in inputs {
        let harness = Harness::bundled(name).unwrap();
        let usage = match (input, name) {
            ("", "workspace-impact") => harness.impact(&effects()).report.usage,
            ("", _) => harness.check(&effects()).report.usage,
            _ => {
                let harness = harness.input(Json::parse("an input", input.as_bytes(), 1000).unwrap());
                harness.preview(fusebox::Workspace::open(place.path()).unwrap()).report.usage
            }
        };
        println!("{name:<30} {:>12} {:>12}", usage.instantiate_fuel, usage.call_fuel);
    }
}

/// Resident memory before and after loading from a warm cache and calling once.
fn memory() {
    println!("\n{:<30} {:>12}", "memory of a loaded plugin", "KiB");
    let names = ["plugins/dist/protected-paths", "target/languages/javascript-guard", "target/languages/python-guard"];
    for path in names.map(component).iter().filter(|path| path.exists()) {
        let bytes = std::fs::read(path).unwrap();
        Harness::load(&sandbox(), &bytes).unwrap();
        let sandbox = sandbox();
        // The pool is there before: it is not the plugin's.
        let first = std::fs::read(component("plugins/dist/command-policy")).unwrap();
        drop(Harness::load(&sandbox, &first).unwrap().check(&[]));
        let before = resident();
        let harness = Harness::load(&sandbox, &bytes).unwrap();
        drop(harness.check(&[]));
        let name = path.file_stem().unwrap().display().to_string();
        println!("{name:<30} {:>12}", resident().saturating_sub(before) / 1024);
    }
}

fn leavings() {
    let (harness, effects) = (harness(&component("plugins/dist/protected-paths")), effects());
    let decide = |times| (0..times).for_each(|_| drop(black_box(harness.check(&effects))));
    decide(DECISIONS / 20);
    let before = resident();
    decide(DECISIONS);
    let grown = resident().saturating_sub(before) / 1024;
    println!("\n{DECISIONS} decisions left {grown} KiB of memory behind");
}

/// Resident memory of this process, in bytes.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| text.split(' ').nth(1)?.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}
