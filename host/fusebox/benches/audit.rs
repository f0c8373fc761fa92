//! Costs of proofs: checking a log of 1,000,000 events from disk beside a bare loop that only reads and hashes them,
//! writing and checking an export, proofs, and the time that signed checkpoints add to a durable step.
//!
//! `cargo bench -p fusebox --bench audit`
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs, reason = "a benchmark")]

use std::path::Path;
use std::time::{Duration, Instant};

use fusebox::core::event::{Chain, RunEvent, StepDelayed, event_hash};
use fusebox::core::policy::AuditPolicy;
use fusebox::{Audit, EventRef, ExportOptions, Host, Plan, RunOptions, VerifyOptions};
use fusebox_store::{Batch, Events as _, SqliteStore};
use rusqlite::Connection;
use serde_json::json;

/// Events of the log that is checked, and of each of its runs.
const EVENTS: u64 = fusebox_tests::bench_amount(1_000_000) as u64;
const EVENTS_OF_A_RUN: u64 = 1000;
/// Steps of a run whose checkpoints are signed.
const STEPS: usize = fusebox_tests::bench_amount(2000);

/// Rounds, interleaved; medians are given.
fn rounds() -> usize {
    fusebox_tests::bench_rounds(5)
}

fn main() {
    let place = tempfile::tempdir().unwrap();
    signing(place.path());
    checking(place.path());
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn timed(what: impl FnOnce()) -> f64 {
    let started = Instant::now();
    what();
    started.elapsed().as_secs_f64()
}

fn checking(place: &Path) {
    let home = place.join("checked");
    let audit = Audit::open(&home).unwrap();
    let written = timed(|| fill(&home.join("log.sqlite")));
    let first = timed(|| {
        audit.checkpoint("default").unwrap();
    });
    let bytes = std::fs::metadata(home.join("log.sqlite")).unwrap().len();
    println!(
        "\na log of {EVENTS} events, {} bytes each, made in {written:.1} s; trees and first checkpoint {first:.2} s",
        bytes / EVENTS
    );
    let (mut bare, mut one, mut two) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds() {
        bare.push(timed(|| read_and_hash(&home.join("log.sqlite"))));
        for (threads, times) in [(1, &mut one), (2, &mut two)] {
            let options = VerifyOptions { threads, ..VerifyOptions::default() };
            times.push(timed(|| assert_eq!(audit.verify_log(&options).unwrap().unwrap().report.events, EVENTS)));
        }
    }
    let (bare, one, two) = (median(bare), median(one), median(two));
    println!("{} rounds, medians; page cache warm", rounds());
    println!("{:<52} {bare:>8.3} s", "bare: read every event and hash it, one thread");
    println!("{:<52} {one:>8.3} s  {:>5.2} times bare", "verify the log, one thread", one / bare);
    println!("{:<52} {two:>8.3} s  {:>5.2} times bare", "verify the log, two threads", two / bare);

    let file = place.join("export.ndjson");
    let exported = timed(|| {
        let mut out = std::io::BufWriter::new(std::fs::File::create(&file).unwrap());
        audit.export(&ExportOptions::default(), &mut out, &|_, _| {}).unwrap();
    });
    let size = std::fs::metadata(&file).unwrap().len() / EVENTS;
    let checked = timed(|| {
        let reader = std::io::BufReader::with_capacity(1 << 20, std::fs::File::open(&file).unwrap());
        assert!(Audit::verify_export(reader, &VerifyOptions::default()).unwrap().unwrap().complete);
    });
    let rate = |seconds: f64| EVENTS as f64 / seconds;
    println!("{:<52} {:>8.0} events/s, {size} bytes each", "export everything", rate(exported));
    println!("{:<52} {:>8.0} events/s", "verify the export", rate(checked));
    let proofs = timed(|| {
        for number in 0..1000 {
            let run_id = format!("run-{}", number * 997 % (EVENTS / EVENTS_OF_A_RUN)).parse().unwrap();
            audit.proof(&EventRef { run_id, seq: number + 1 }).unwrap();
        }
    });
    println!("{:<52} {:>8.0} µs", "proof of one event", proofs * 1e3);
}

/// Writes a log of many runs, as fast as possible.
fn fill(file: &Path) {
    let store = SqliteStore::open(file).unwrap();
    let event = RunEvent::StepDelayed(StepDelayed {
        step: "step-1".parse().unwrap(),
        until_us: 1_795_000_000_000_000,
        reason: "x".repeat(140),
    });
    for run in 0..EVENTS / EVENTS_OF_A_RUN {
        let mut chain = Chain::new(format!("run-{run}").parse().unwrap());
        let events = (0..EVENTS_OF_A_RUN).map(|place| chain.seal(&event, 1_795_000_000_000_000 + place)).collect();
        store.append(Batch { events, ..Batch::default() }).wait().unwrap();
    }
}

fn read_and_hash(file: &Path) {
    let connection = Connection::open(file).unwrap();
    connection.pragma_update(None, "mmap_size", 1_i64 << 32).unwrap();
    let mut statement = connection
        .prepare("SELECT run_id, seq, time_us, kind, payload, previous, hash FROM events ORDER BY log_index")
        .unwrap();
    let mut rows = statement.query([]).unwrap();
    let mut count = 0;
    while let Some(row) = rows.next().unwrap() {
        let digest = |column| fusebox::core::Digest::from_bytes(row.get_ref_unwrap(column).as_blob().unwrap()).unwrap();
        let text = |column| row.get_ref_unwrap(column).as_str().unwrap();
        let (seq, time_us) = (row.get_unwrap(1), row.get_unwrap(2));
        assert_eq!(event_hash(&digest(5), text(0), seq, time_us, text(3), text(4)), digest(6));
        count += 1;
    }
    assert_eq!(count, EVENTS);
}

/// The same run with checkpoints as they are by default, and with none but the first and the last.
fn signing(place: &Path) {
    let workspace = place.join("workspace");
    std::fs::create_dir(&workspace).unwrap();
    std::fs::write(workspace.join("a.txt"), "one\n").unwrap();
    let rare = AuditPolicy { every_events: 1_000_000, every_ms: 86_400_000, ..AuditPolicy::default() };
    let (mut with, mut without, mut checkpoints) = (Vec::new(), Vec::new(), 0);
    for round in 0..rounds() {
        for (name, policy) in [("default", AuditPolicy::default()), ("rare", rare.clone())] {
            let (time, signed) = run(&place.join(format!("{name}-{round}")), &workspace, policy);
            match name {
                "default" => {
                    with.push(time.as_secs_f64());
                    checkpoints = signed;
                }
                _ => without.push(time.as_secs_f64()),
            }
        }
    }
    let (with, without) = (median(with), median(without));
    let per_step = |seconds: f64| seconds / STEPS as f64 * 1e6;
    println!("\none run of {STEPS} durable steps, {} rounds, medians, synchronous=FULL", rounds());
    println!("{:<52} {:>8.0} µs a step, {checkpoints} checkpoints", "checkpoints as by default", per_step(with));
    println!("{:<52} {:>8.0} µs a step", "no checkpoints but the first and the last", per_step(without));
    println!("{:<52} {:>8.2} %", "difference", (with / without - 1.0) * 100.0);
    // The work itself, which noise of the disk does not touch.
    let (grown, signed) = regrown(&place.join("rare-0"));
    let alone = grown + signed * (checkpoints as f64 - 1.0);
    println!(
        "{:<52} {:>8.2} µs a step, {:.2} % of it",
        "trees and signatures alone, one commit",
        per_step(alone),
        alone / with * 100.0
    );
}

/// Time to rebuild the trees of a log and to sign it once, with one commit; and to sign it as often as by default.
fn regrown(home: &Path) -> (f64, f64) {
    let key = fusebox::proofs::SigningKey::from_seed("log", &[1; 32]).unwrap();
    let checkpoint = fusebox::proofs::Checkpoint { origin: "log".into(), size: 1, root: fusebox::core::Digest::ZERO };
    let times = (0..rounds()).map(|round| {
        let copy = home.with_extension(round.to_string());
        std::fs::create_dir(&copy).unwrap();
        std::fs::set_permissions(&copy, std::fs::metadata(home).unwrap().permissions()).unwrap();
        let settled =
            Connection::open(home.join("log.sqlite")).unwrap().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
        settled.unwrap();
        std::fs::copy(home.join("log.sqlite"), copy.join("log.sqlite")).unwrap();
        let connection = Connection::open(copy.join("log.sqlite")).unwrap();
        let forget = "DROP TRIGGER checkpoints_are_not_deleted; DELETE FROM checkpoints; DELETE FROM trees;
                      DELETE FROM tree_nodes; UPDATE grown SET log_index = 0;";
        connection.execute_batch(forget).unwrap();
        drop(connection);
        let audit = Audit::open(&copy).unwrap();
        let grown = timed(|| {
            audit.checkpoint("default").unwrap();
        });
        let signed = timed(|| {
            std::hint::black_box(key.sign(&checkpoint.to_text()));
        });
        (grown, signed)
    });
    let (grown, signed): (Vec<f64>, Vec<f64>) = times.unzip();
    (median(grown), median(signed))
}

fn run(home: &Path, workspace: &Path, audit: AuditPolicy) -> (Duration, usize) {
    let mut policy = fusebox::LoadedPolicy::builtin().unwrap().policy;
    policy.audit = audit;
    // So many steps are a risk of which a person would be asked for each.
    policy.risk = None;
    let host = Host::builder().home(home).policy(policy).build().unwrap();
    let step = json!({ "step_type": "read_file", "input": { "path": "a.txt" } });
    let plan = json!({ "goal": "g", "agent": { "id": "a" }, "steps": vec![step; STEPS] });
    let plan = Plan::parse(plan.to_string().as_bytes()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let run = host.run(plan, RunOptions::new().workspace(workspace)).unwrap();
    let started = Instant::now();
    assert_eq!(runtime.block_on(run.finish()).unwrap().state, "COMPLETED");
    let time = started.elapsed();
    drop(host);
    (time, Audit::open(home).unwrap().checkpoints("default", u32::MAX).unwrap().len())
}
