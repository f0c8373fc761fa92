//! Cost of one decision: `host.check` with one bundled Rust guard, beside the guard's own cycle in the sandbox, the
//! same component in bare wasmtime, and a native function that does the same. One thread and two. Nothing is written to
//! the log: durability none, as stated in the table.
//!
//! `cargo bench -p fusebox --bench check`
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs, reason = "a benchmark")]

mod bare;

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fusebox::core::Policy;
use fusebox::{CheckEffects, Harness, Host, Proposal, RecordChecks};

use bare::{Bare, micros, native, proposal, time};

/// Rounds, interleaved over all cases.
const ROUNDS: usize = if fusebox_tests::IS_SMOKE { 1 } else { 15 };
/// Calls of one case in one round.
const CALLS: usize = fusebox_tests::bench_amount(2000);
/// Time of one round with two threads.
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
    let bare = Bare::new(std::path::Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../plugins/dist/protected-paths.wasm"
    )));
    let mut times = vec![Vec::new(); 4];
    for _ in 0..ROUNDS {
        time(&mut times[0], CALLS, || drop(black_box(host.check(black_box(&proposal)).unwrap())));
        time(&mut times[1], CALLS, || drop(black_box(harness.check(black_box(&effects)).result.unwrap())));
        time(&mut times[2], CALLS, || bare.cycle());
        time(&mut times[3], CALLS, || assert!(!black_box(native(black_box(&proposal)))));
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
