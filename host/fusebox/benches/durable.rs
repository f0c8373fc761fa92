//! Speed of governed steps that are each durable (`synchronous=FULL`): one run, and 32 runs at once, beside a bare
//! SQLite loop that writes the same events in as many commits on the same disk. Steps read a file, under all bundled
//! guards and the impact model, and under one guard. Also: bytes per step, and the time to list and show runs among
//! 100,000.
//!
//! `cargo bench -p fusebox --bench durable`; with `-- --json`, one round of the first two as lines of JSON.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs, reason = "a benchmark")]

use std::path::Path;
use std::time::{Duration, Instant};

use fusebox::core::event::{Chain, RunCreated, RunEnded, RunEvent, RunStarted};
use fusebox::{ApproveAll, Control, Host, Plan, RunFilter, RunId, RunOptions};
use fusebox_store::{Batch, Events as _, SqliteStore};
use rusqlite::{Connection, params};
use serde_json::json;

/// Steps of the one run.
const STEPS: usize = fusebox_tests::bench_amount(2000);
/// Runs at once, and steps of each.
const RUNS: usize = 32;
const STEPS_EACH: usize = if fusebox_tests::IS_SMOKE { 10 } else { 200 };
/// Runs that are listed among.
const LISTED: usize = fusebox_tests::bench_amount(100_000);

/// Rounds, interleaved; medians are given.
fn rounds() -> usize {
    fusebox_tests::bench_rounds(3)
}

fn main() {
    let place = tempfile::tempdir().unwrap();
    let workspace = place.path().join("workspace");
    std::fs::create_dir(&workspace).unwrap();
    std::fs::write(workspace.join("a.txt"), "one\n").unwrap();
    if std::env::args().any(|argument| argument == "--json") {
        return as_json(&place.path().join("home"), &workspace);
    }
    for (name, policy) in [("three guards and an impact model", bundled()), ("one guard", one_guard())] {
        let mut rates: [Vec<f64>; 4] = Default::default();
        let mut bytes = 0;
        for round in 0..rounds() {
            let home = place.path().join(format!("{}-{round}", name.len()));
            let host = Host::builder().home(&home).policy(policy.clone()).build().unwrap();
            let (one, id) = one_run(&host, &workspace);
            let (floor, commits) = floor(&host, &id, place.path());
            bytes = size(&home.join("log.sqlite")) / STEPS as u64;
            rates[0].push(STEPS as f64 / one.as_secs_f64());
            rates[1].push(STEPS as f64 / floor.as_secs_f64());
            let many = many_runs(&host, &workspace);
            let steps = (RUNS * STEPS_EACH) as f64;
            rates[2].push(steps / many.as_secs_f64());
            rates[3].push(commits as f64 / STEPS as f64);
        }
        let [one, floor, many, commits] = rates.map(|mut rates| {
            rates.sort_by(f64::total_cmp);
            rates[rates.len() / 2]
        });
        println!("\n{name}, {} rounds, medians, synchronous=FULL", rounds());
        println!("{:<52} {one:>10.0} steps/s", format!("one run of {STEPS} steps"));
        println!("{:<52} {floor:>10.0} steps/s", format!("bare SQLite, the same events, {commits:.2} commits a step"));
        println!("{:<52} {:>10.2}", "ratio", one / floor);
        println!("{:<52} {many:>10.0} steps/s", format!("{RUNS} runs of {STEPS_EACH} steps at once"));
        println!("{:<52} {bytes:>10} bytes", "log of one step");
    }
    lists(place.path());
}

/// One round for comparisons with other programs (`benches/peers/durable`).
fn as_json(home: &Path, workspace: &Path) {
    let host = Host::builder().home(home).policy(bundled()).build().unwrap();
    let tell = |which: &str, steps: usize, took: Duration| {
        let name = format!("Fusebox, {which}, three guards and an impact model");
        println!(
            "{}",
            json!({ "name": name, "durability": "WAL, synchronous=FULL", "rate": steps as f64 / took.as_secs_f64() })
        );
    };
    tell("one run", STEPS, one_run(&host, workspace).0);
    tell("32 runs", RUNS * STEPS_EACH, many_runs(&host, workspace));
}

/// The built-in policy. So many steps are a risk of which a person would be asked for each: it is not predicted here.
fn bundled() -> fusebox::Policy {
    let mut policy = fusebox::LoadedPolicy::builtin().unwrap().policy;
    policy.risk = None;
    policy
}

fn one_guard() -> fusebox::Policy {
    let mut policy = bundled();
    policy.guards.retain(|name, _| name == "protected-paths");
    policy.impact = None;
    policy
}

fn plan(steps: usize) -> Plan {
    let step = json!({ "step_type": "read_file", "input": { "path": "a.txt" } });
    let plan = json!({ "goal": "g", "agent": { "id": "a" }, "steps": vec![step; steps] });
    Plan::parse(plan.to_string().as_bytes()).unwrap()
}

fn options(workspace: &Path) -> RunOptions {
    RunOptions::new().workspace(workspace).approver(ApproveAll { by: "bench".into() })
}

fn one_run(host: &Host, workspace: &Path) -> (Duration, RunId) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let run = host.run(plan(STEPS), options(workspace)).unwrap();
    let id = run.id().clone();
    let started = Instant::now();
    let summary = runtime.block_on(run.finish()).unwrap();
    assert_eq!(summary.state, "COMPLETED");
    (started.elapsed(), id)
}

fn many_runs(host: &Host, workspace: &Path) -> Duration {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let runs: Vec<_> = (0..RUNS).map(|_| host.run(plan(STEPS_EACH), options(workspace)).unwrap()).collect();
    let started = Instant::now();
    runtime.block_on(async {
        let tasks: Vec<_> = runs.into_iter().map(|run| tokio::spawn(run.finish())).collect();
        for task in tasks {
            assert_eq!(task.await.unwrap().unwrap().state, "COMPLETED");
        }
    });
    started.elapsed()
}

/// The same events in a bare table with the same index, one commit where the run had one. Gives the number of commits.
fn floor(host: &Host, run: &RunId, folder: &Path) -> (Duration, usize) {
    let mut events = Vec::new();
    loop {
        let page = host.log().events(run, events.len() as u64, 10_000).unwrap();
        if page.is_empty() {
            break;
        }
        events.extend(page);
    }
    let file = folder.join("floor.sqlite");
    let mut connection = Connection::open(&file).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    connection.pragma_update(None, "synchronous", "FULL").unwrap();
    connection
        .execute_batch(
            "CREATE TABLE events (log_index INTEGER PRIMARY KEY, run_id TEXT, seq INTEGER, time_us INTEGER, kind TEXT,
             payload TEXT, previous BLOB, hash BLOB, UNIQUE (run_id, seq)) STRICT",
        )
        .unwrap();
    let mut commits = 0;
    let started = Instant::now();
    // A run commits before each step is carried out, and at its end.
    for group in events.chunk_by(|event, _| event.kind != "step_started") {
        let transaction = connection.transaction().unwrap();
        for event in group {
            transaction
                .prepare_cached(
                    "INSERT INTO events (run_id, seq, time_us, kind, payload, previous, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                )
                .unwrap()
                .execute(params![
                    event.run.as_str(),
                    event.seq,
                    event.time_us,
                    event.kind,
                    event.payload,
                    event.previous.as_bytes(),
                    event.hash.as_bytes()
                ])
                .unwrap();
        }
        transaction.commit().unwrap();
        commits += 1;
    }
    let took = started.elapsed();
    drop(connection);
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(folder.join(format!("floor.sqlite{ending}")));
    }
    (took, commits)
}

fn size(log: &Path) -> u64 {
    let with = |ending: &str| std::fs::metadata(format!("{}{ending}", log.display())).map_or(0, |file| file.len());
    with("") + with("-wal")
}

/// Listing and showing among many runs.
fn lists(place: &Path) {
    let home = place.join("listed");
    drop(Control::open(&home).unwrap());
    let log = SqliteStore::open(&home.join("log.sqlite")).unwrap();
    let mut last = None;
    let mut pending = Vec::new();
    for number in 0..LISTED {
        let run: RunId = format!("run-{number:06}").parse().unwrap();
        let mut chain = Chain::new(run.clone());
        let events = [created(number), RunEvent::RunStarted(RunStarted {}), ended()]
            .map(|event| chain.seal(&event, number as u64));
        pending.push(log.append(Batch { events: events.into(), ..Batch::default() }));
        last = Some(run);
        if pending.len() == 2000 {
            pending.drain(..).for_each(|pending| pending.wait().unwrap());
        }
    }
    pending.into_iter().for_each(|pending| pending.wait().unwrap());
    drop(log);
    let last = last.unwrap();
    println!("\namong {LISTED} runs, opening the home included");
    let time = |name: &str, what: &dyn Fn(&Control)| {
        let mut times: Vec<Duration> = (0..9)
            .map(|_| {
                let started = Instant::now();
                what(&Control::open(&home).unwrap());
                started.elapsed()
            })
            .collect();
        times.sort_unstable();
        println!("{name:<52} {:>10.2} ms", times[times.len() / 2].as_secs_f64() * 1e3);
    };
    time("the newest 20", &|control| assert_eq!(control.runs(&RunFilter::default(), 20).unwrap().len(), 20));
    let filter = RunFilter { agent: Some("agent-7".into()), states: vec!["FAILED".into()], ..RunFilter::default() };
    time("20 of one agent in one state, of which there are none", &|control| {
        assert!(control.runs(&filter, 20).unwrap().is_empty());
    });
    let unfinished = RunFilter { unfinished: true, ..RunFilter::default() };
    time("those that have not ended", &|control| assert!(control.runs(&unfinished, 20).unwrap().is_empty()));
    time("one run with its events", &|control| {
        control.run(&last).unwrap();
        assert_eq!(control.events(&last, 0, 100).unwrap().len(), 3);
    });
}

fn created(number: usize) -> RunEvent {
    RunEvent::RunCreated(RunCreated {
        goal: "Make the failing median test pass".into(),
        agent: fusebox::core::Agent { id: format!("agent-{}", number % 100), kind: None, tier: None },
        tenant: format!("tenant-{}", number % 10),
        plan: fusebox::core::Digest::ZERO,
        policy: fusebox::core::Digest::ZERO,
        plugins: Default::default(),
        limits: Default::default(),
        limits_by: Default::default(),
        steps: 5,
        workspace: fusebox::core::plan::WorkspaceMode::InPlace,
        host: "fusebox".into(),
        engine: "wasmtime".into(),
        setup: fusebox_core::Digest::ZERO,
        redacted: Vec::new(),
    })
}

fn ended() -> RunEvent {
    RunEvent::RunEnded(RunEnded {
        end: fusebox::RunEnd::Completed,
        budget: None,
        message: "all steps were carried out".into(),
        kill: None,
    })
}
