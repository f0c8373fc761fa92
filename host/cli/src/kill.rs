//! `fusebox kill`: ends runs of other processes.

use std::time::Duration;

use fusebox::{Error, Home, KillOutcome, KillTarget, kill_runs, rfc3339};
use serde_json::json;

use crate::args::KillArgs;
use crate::exit::Exit;
use crate::print;
use crate::terminal_approver::user;

/// How long a run may take to answer. One that works answers within milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

pub fn kill(args: &KillArgs) -> Result<Exit, Error> {
    let target = match &args.run {
        Some(run) => KillTarget::Run(run.parse()?),
        None => KillTarget::All,
    };
    let home = Home::open(&Home::default_path()?)?;
    let outcomes = kill_runs(&home, &target, &format!("{}(fusebox-kill)", user()), PATIENCE)?;
    if outcomes.is_empty() && !args.json {
        print::out("no run is under way");
    }
    for outcome in &outcomes {
        show(outcome, args.json);
    }
    let unanswered = outcomes.iter().any(|outcome| matches!(outcome, KillOutcome::NoAnswer(_)));
    Ok(if unanswered { Exit::Failed } else { Exit::Completed })
}

fn show(outcome: &KillOutcome, json: bool) {
    let (run, word) = match outcome {
        KillOutcome::Killed(run, _) => (run, "killed"),
        KillOutcome::Ended(run) => (run, "ended"),
        KillOutcome::NoAnswer(run) => (run, "no_answer"),
    };
    let mut value = json!({ "event": "kill", "run_id": run, "outcome": word });
    let text = match outcome {
        KillOutcome::Killed(_, times) => {
            if let Some(map) = value.as_object_mut() {
                map.insert("requested".to_owned(), rfc3339(times.requested_us).into());
                map.insert("stopped".to_owned(), rfc3339(times.stopped_us).into());
                map.insert("took_us".to_owned(), times.took_us.into());
            }
            format!("{run} was killed; it stopped {:.1} ms after the request", times.took_us as f64 / 1000.0)
        }
        KillOutcome::Ended(_) => format!("{run} had ended by itself"),
        KillOutcome::NoAnswer(_) => {
            format!("{run} did not answer within {} s: its process may be gone, or stuck", PATIENCE.as_secs())
        }
    };
    if json { print::json(&value) } else { print::out(&text) }
}
