//! Whether the last steps of a long run are judged as fast as its first: one run of 10,000 steps with all bundled
//! guards, with the time of the guards and of the whole step, and the cost of setting a situation up with a history of
//! that length. Durability of the log is full.
//!
//! `cargo bench -p fusebox --bench history`
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs, reason = "a benchmark")]

use fusebox::core::event::RunEvent;
use fusebox::{ApproveAll, Host, Plan, RunOptions, RunUpdate};
use serde_json::json;

/// Steps of the run: the most that a plan may have.
const STEPS: usize = fusebox_tests::bench_amount(10_000);
/// Number of the first and of the last steps that are compared.
const COMPARED: usize = fusebox_tests::bench_amount(500);

fn main() {
    let place = tempfile::tempdir().unwrap();
    let workspace = place.path().join("workspace");
    std::fs::create_dir(&workspace).unwrap();
    std::fs::write(workspace.join("a.txt"), "one\n").unwrap();
    let policy = place.path().join("policy.toml");
    // So many steps are a risk of which a person would be asked for each.
    std::fs::write(&policy, "[risk]\nmode = \"off\"\n").unwrap();
    let host = Host::builder().home(place.path().join("home")).policy_file(policy).build().unwrap();
    let step = json!({ "step_type": "read_file", "input": { "path": "a.txt" } });
    let plan = json!({ "goal": "g", "agent": { "id": "a" }, "steps": vec![step; STEPS] });
    let plan = Plan::parse(plan.to_string().as_bytes()).unwrap();
    let options = RunOptions::new().workspace(&workspace).approver(ApproveAll { by: "bench".into() });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut judged, mut ended) = (vec![0_u64; STEPS], vec![0_u64; STEPS]);
    runtime.block_on(async {
        let mut run = host.run(plan, options).unwrap();
        let mut at = 0;
        while let Some(update) = run.next().await {
            let RunUpdate::Event(update) = update else { continue };
            match update.event {
                RunEvent::StepJudged(step) => {
                    judged[at] += step.verdicts.iter().map(|verdict| verdict.usage.duration_us).sum::<u64>();
                }
                RunEvent::StepCompleted(_) => {
                    ended[at] = update.sealed.time_us;
                    at += 1;
                }
                _ => {}
            }
        }
        assert_eq!(run.finish().await.unwrap().state, "COMPLETED");
        assert_eq!(at, STEPS);
    });
    let steps: Vec<u64> = ended.windows(2).map(|pair| pair[1] - pair[0]).collect();
    println!("{:<44} {:>12} {:>12}", format!("µs, median of {COMPARED} of {STEPS} steps"), "first", "last");
    for (name, times) in [("all guards of one step", &judged), ("the whole step, durable", &steps)] {
        let (first, last) = (median(&times[1..=COMPARED]), median(&times[times.len() - COMPARED..]));
        println!("{name:<44} {first:>12} {last:>12}");
    }
}

fn median(times: &[u64]) -> u64 {
    let mut times = times.to_vec();
    times.sort_unstable();
    times[times.len() / 2]
}
