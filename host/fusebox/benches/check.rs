//! What one decision costs: `host.check` with one bundled Rust guard, beside the guard's own cycle in the sandbox, the
//! same component in bare wasmtime, and a native function that does the same. One thread and two. Nothing is written to
//! the log: durability none, as stated in the table.
//!
//! `cargo bench -p fusebox --bench check`
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs, reason = "a benchmark")]

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fusebox::core::{Action, Agent, Contents, Effect, Json, Origin, Policy, Scope};
use fusebox::{CheckEffects, Harness, Host, Proposal, RecordChecks};
use serde_json::json;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker, Val};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store};

/// Rounds, interleaved over all cases.
const ROUNDS: usize = 15;
/// Calls of one case in one round.
const CALLS: usize = 2000;
/// How long two threads run in one round.
const TWO_THREADS: Duration = Duration::from_millis(300);

fn main() {
    let home = tempfile::tempdir().unwrap();
    let host = host(home.path());
    let proposal = proposal();
    let harness = Harness::bundled("protected-paths").unwrap().input(proposal.action.input.clone());
    let CheckEffects::Known(effects, _) = proposal.effects.clone() else { panic!("effects are known here") };

    println!(
        "input {} bytes, one guard (protected-paths, Rust), fresh sandbox for each call",
        proposal.action.input.as_str().len()
    );
    let bare = Bare::new();
    let mut times = vec![Vec::new(); 4];
    for _ in 0..ROUNDS {
        time(&mut times[0], || drop(black_box(host.check(black_box(&proposal)).unwrap())));
        time(&mut times[1], || drop(black_box(harness.check(black_box(&effects)).result.unwrap())));
        time(&mut times[2], || bare.cycle());
        time(&mut times[3], || assert!(!black_box(native(black_box(&proposal)))));
    }
    println!("\n{:<52} {:>9} {:>9}", "one thread, durability none", "p50", "p99");
    let names = [
        "host.check: gate and guard",
        "the guard alone in the sandbox",
        "the floor: the same component in bare wasmtime",
        "native: parse and match, no sandbox",
    ];
    for (name, times) in names.iter().zip(&mut times) {
        times.sort_unstable();
        println!("{name:<52} {:>6.2} µs {:>6.2} µs", micros(times, 50), micros(times, 99));
    }
    println!(
        "{:<52} {:>6.2} µs",
        "the gate adds (difference of the medians)",
        micros(&times[0], 50) - micros(&times[1], 50)
    );

    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..5 {
        for (threads, rates) in [1, 2].into_iter().zip(&mut rates) {
            rates.push(rate(&host, &proposal, threads));
        }
    }
    let [one, two] = rates.map(|mut rates| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    });
    println!("\n{:<52} {:>9.0}/s", "host.check on one thread", one);
    println!("{:<52} {:>9.0}/s   {:.2} times", "host.check on two threads", two, two / one);
}

/// A host whose only plugin is the guard.
fn host(home: &std::path::Path) -> Host {
    let mut policy = Policy::default();
    policy.guards.insert("protected-paths".into(), fusebox::core::policy::GuardPolicy::default());
    Host::builder().home(home).policy(policy).record_checks(RecordChecks::Off).build().unwrap()
}

/// An edit of 500 bytes of input, its effects known.
fn proposal() -> Proposal {
    let content = "x".repeat(500 - json!({ "new_content": "", "path": "src/main.rs" }).to_string().len());
    let input = json!({ "path": "src/main.rs", "new_content": content });
    let mut contents = Contents::default();
    let size = content.len() as u64;
    let after = contents.insert(content.into());
    let path = "src/main.rs".parse().unwrap();
    Proposal {
        agent: Agent { id: "bench".into(), kind: None, tier: None },
        action: Action {
            step_type: "editor.write".into(),
            input: Json::from_checked(input),
            description: String::new(),
            scope: Scope::Workspace,
            origin: Origin::Embedder,
        },
        effects: CheckEffects::Known(vec![Effect::Write { path, before: None, after, size }], contents),
        workspace: None,
    }
}

/// The same component and input in wasmtime alone: fuel, epochs and a pool, but no limiter, meter or report, and only
/// the imports that the guard uses.
struct Bare {
    engine: Engine,
    ready: InstancePre<()>,
    check: ComponentExportIndex,
    arguments: [Val; 2],
}

impl Bare {
    fn new() -> Self {
        let mut pool = PoolingAllocationConfig::new();
        pool.linear_memory_keep_resident(2 << 20).table_keep_resident(64 << 10).pagemap_scan(Enabled::Auto);
        pool.max_memory_size(256 << 20).table_elements(50_000).max_tables_per_module(4);
        let mut config = Config::new();
        config.consume_fuel(true).epoch_interruption(true).concurrency_support(false);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        let engine = Engine::new(&config).unwrap();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../plugins/dist/protected-paths.wasm");
        let component = Component::from_file(&engine, path).unwrap();
        let mut linker = Linker::<()>::new(&engine);
        linker.instance("fusebox:plugin/types@0.1.0").unwrap();
        let mut context = linker.instance("fusebox:plugin/context@0.1.0").unwrap();
        context.func_wrap("settings", |_, (): ()| Ok(("{}".to_owned(),))).unwrap();
        let mut log = linker.instance("fusebox:plugin/log@0.1.0").unwrap();
        log.func_wrap("panic", |_, (_,): (String,)| Ok(())).unwrap();
        let ready = linker.instantiate_pre(&component).unwrap();
        let guard = component.get_export_index(None, "fusebox:plugin/guard@0.1.0").unwrap();
        let check = component.get_export_index(Some(&guard), "check").unwrap();
        Self { engine, ready, check, arguments: arguments() }
    }

    fn cycle(&self) {
        let mut store = Store::new(&self.engine, ());
        store.set_fuel(10_000_000).unwrap();
        store.set_epoch_deadline(1_000_000);
        let instance = self.ready.instantiate(&mut store).unwrap();
        let check = instance.get_func(&mut store, self.check).unwrap();
        let mut results = [Val::Bool(false)];
        check.call(&mut store, &self.arguments, &mut results).unwrap();
        black_box(&results);
    }
}

fn arguments() -> [Val; 2] {
    let text = |text: &str| Val::String(text.to_owned());
    let record = |fields: Vec<(&str, Val)>| {
        Val::Record(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    };
    let proposal = proposal();
    let content = record(vec![("handle", Val::U64(1)), ("size", Val::U64(450)), ("sha256", text(&"0".repeat(64)))]);
    let write = record(vec![
        ("path", text("src/main.rs")),
        ("before", Val::Option(None)),
        ("after", text(&"0".repeat(64))),
        ("size", Val::U64(450)),
        ("content", content),
    ]);
    let action = record(vec![
        ("step-type", text(&proposal.action.step_type)),
        ("input", text(proposal.action.input.as_str())),
        ("description", text("")),
        ("scope", Val::Enum("workspace".to_owned())),
        ("origin", Val::Variant("embedder".to_owned(), None)),
    ]);
    [action, Val::List(vec![Val::Variant("write".to_owned(), Some(Box::new(write)))])]
}

/// What a program without a sandbox would do: parse the input and look for the protected names in the path.
fn native(proposal: &Proposal) -> bool {
    let input: serde_json::Value = serde_json::from_str(proposal.action.input.as_str()).unwrap();
    let path = input["path"].as_str().unwrap().to_lowercase();
    [".git", ".hg", ".svn", ".env", ".ssh", ".gnupg", ".aws", ".netrc", ".npmrc", ".pypirc"]
        .iter()
        .any(|name| path.split('/').any(|part| part == *name))
}

fn time(times: &mut Vec<u64>, mut call: impl FnMut()) {
    for _ in 0..CALLS / 10 {
        call();
    }
    for _ in 0..CALLS {
        let started = Instant::now();
        call();
        times.push(u64::try_from(started.elapsed().as_nanos()).unwrap());
    }
}

fn micros(sorted: &[u64], percent: usize) -> f64 {
    sorted[(sorted.len() - 1) * percent / 100] as f64 / 1000.0
}

fn rate(host: &Host, proposal: &Proposal, threads: usize) -> f64 {
    let (stop, calls) = (AtomicBool::new(false), AtomicU64::new(0));
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut own = 0;
                while !stop.load(Ordering::Relaxed) {
                    black_box(host.check(proposal).unwrap());
                    own += 1;
                }
                calls.fetch_add(own, Ordering::Relaxed);
            });
        }
        std::thread::sleep(TWO_THREADS);
        stop.store(true, Ordering::Relaxed);
    });
    calls.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64()
}
