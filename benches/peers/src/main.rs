//! One rule, judged by Fusebox and by others in the same process: a write whose path ends in one of three ways is refused.
//! The input is an edit of 500 bytes as JSON. Each is set up beforehand; what is timed is what one decision costs its user,
//! from the JSON text on. Cedar and Regorus judge in the host's own memory, Fusebox in a fresh sandbox each time.
//! Nothing is written to a log.
//!
//! `cargo run --release --manifest-path benches/peers/Cargo.toml`
#![allow(clippy::unwrap_used, reason = "a benchmark")]

use std::hint::black_box;
use std::time::Instant;

use cedar_policy::{Authorizer, Context, Decision, Entities, PolicySet, Request};
use fusebox::sandbox::Sandbox;
use fusebox::{Effect, Harness};
use fusebox_core::{Digest, Json, Ruling};
use serde_json::{Value, json};

/// Rounds, interleaved over all.
const ROUNDS: usize = 9;
/// Decisions of one engine in one round.
const DECISIONS: usize = 500;
const REFUSED: [&str; 3] = [".pem", "id_rsa", ".env"];

fn main() {
    let input = json!({ "path": "src/main.rs", "new_content": "x".repeat(455) }).to_string();
    let mut engines: Vec<(&str, Box<dyn FnMut() -> bool>)> = vec![
        ("native Rust", Box::new(native(input.clone()))),
        ("Cedar, request built from JSON", Box::new(cedar(input.clone()))),
        ("Regorus, input set from JSON", Box::new(regorus(input.clone()))),
        ("Fusebox, fresh sandbox each time", Box::new(fusebox(&input))),
    ];
    let mut times = vec![Vec::new(); engines.len()];
    for _ in 0..ROUNDS {
        for ((name, judge), times) in engines.iter_mut().zip(&mut times) {
            for _ in 0..DECISIONS {
                let started = Instant::now();
                let is_refused = black_box(judge());
                times.push(started.elapsed());
                assert!(!is_refused, "{name}");
            }
        }
    }
    println!("{:<36} {:>10} {:>10}", "one decision, µs", "p50", "p99");
    for ((name, _), times) in engines.iter().zip(&mut times) {
        times.sort_unstable();
        let at = |percent: usize| times.get((times.len() - 1) * percent / 100).unwrap().as_secs_f64() * 1e6;
        println!("{name:<36} {:>10.2} {:>10.2}", at(50), at(99));
    }
}

fn path_of(input: &str) -> String {
    serde_json::from_str::<Value>(input).unwrap()["path"].as_str().unwrap().to_owned()
}

fn native(input: String) -> impl FnMut() -> bool {
    move || {
        let path = path_of(&input);
        REFUSED.iter().any(|ending| path.ends_with(ending))
    }
}

fn cedar(input: String) -> impl FnMut() -> bool {
    let policies: PolicySet = r#"
        permit (principal, action, resource);
        forbid (principal, action, resource)
        when { context.path like "*.pem" || context.path like "*id_rsa" || context.path like "*.env" };
    "#
    .parse()
    .unwrap();
    let (authorizer, entities) = (Authorizer::new(), Entities::empty());
    move || {
        let context = Context::from_json_str(&input, None).unwrap();
        let name = |text: &str| text.parse().unwrap();
        let request =
            Request::new(name(r#"Agent::"a""#), name(r#"Action::"write""#), name(r#"File::"f""#), context, None)
                .unwrap();
        authorizer.is_authorized(&request, &policies, &entities).decision() == Decision::Deny
    }
}

fn regorus(input: String) -> impl FnMut() -> bool {
    let mut engine = regorus::Engine::new();
    let rule = "package fusebox\nimport rego.v1\ndefault refuse := false\n\
        refuse if { some ending in [\".pem\", \"id_rsa\", \".env\"]; endswith(input.path, ending) }";
    engine.add_policy("rule.rego".to_owned(), rule.to_owned()).unwrap();
    move || {
        engine.set_input_json(&input).unwrap();
        engine.eval_rule("data.fusebox.refuse".to_owned()).unwrap() == regorus::Value::Bool(true)
    }
}

fn fusebox(input: &str) -> impl FnMut() -> bool {
    let bytes = std::fs::read("target/languages/rust-guard.wasm")
        .expect("start it from the root of the repository, after `cargo xtask languages`");
    let settings = json!({ "deny": REFUSED }).to_string();
    let json = |text: &str| Json::parse("the benchmark", text.as_bytes(), 10_000).unwrap();
    let guard = Harness::load(&Sandbox::new(None).unwrap(), &bytes).unwrap();
    let guard = guard.settings(json(&settings));
    let input = input.to_owned();
    move || {
        // Parsed strictly and made canonical, as everything from outside is.
        let parsed = json(&input);
        let path = parsed.value()["path"].as_str().unwrap().parse().unwrap();
        let content = Digest::of(b"");
        let effects = [Effect::Write { path, before: None, after: content, size: 455, obeyed: false }];
        let guard = guard.clone().input(parsed);
        guard.check(&effects).result.unwrap().ruling == Ruling::Deny
    }
}
