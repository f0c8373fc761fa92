//! `fusebox kill` and `fusebox unkill`.

use std::time::Duration;

use fusebox::core::show::safe_line;
use fusebox::{Error, KillOutcome, KillTarget};

use crate::args::{KillArgs, UnkillArgs};
use crate::exit::Exit;
use crate::list::control;
use crate::operator::user;
use crate::output::{KillTook, KillWord, Output, Time};
use crate::print;

/// Time for a run to answer. A working run answers within milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

pub fn kill(args: &KillArgs) -> Result<Exit, Error> {
    let target = match (&args.run, &args.tenant) {
        (Some(run), _) => KillTarget::Run(run.parse()?),
        (None, Some(tenant)) => KillTarget::Tenant(tenant.clone()),
        (None, None) => KillTarget::All,
    };
    let outcomes = control()?.kill(&target, &format!("{} (fusebox kill)", user()), PATIENCE)?;
    if outcomes.is_empty() && !args.json {
        print::out("no run is under way");
    }
    for outcome in &outcomes {
        show(outcome, args.json);
    }
    let lift = match &target {
        KillTarget::Run(_) => None,
        KillTarget::Tenant(tenant) => Some(format!("fusebox unkill --tenant {tenant}")),
        KillTarget::All => Some("fusebox unkill --all".to_owned()),
    };
    if let Some(lift) = lift {
        if args.json {
            print::json(&Output::KillSwitch { target: &target, set: true, was_set: None });
        } else {
            print::out(&format!("nothing of {target} starts until `{lift}`"));
        }
    }
    let is_open = |outcome: &KillOutcome| matches!(outcome, KillOutcome::NoAnswer(_) | KillOutcome::Failed(..));
    let unanswered = outcomes.iter().any(is_open);
    Ok(if unanswered { Exit::Failed } else { Exit::Completed })
}

/// `fusebox unkill`.
pub fn unkill(args: &UnkillArgs) -> Result<Exit, Error> {
    let target = args.tenant.clone().map_or(KillTarget::All, KillTarget::Tenant);
    let was = control()?.unkill(&target, &format!("{} (fusebox unkill)", user()))?;
    if args.json {
        print::json(&Output::KillSwitch { target: &target, set: false, was_set: Some(was) });
    } else if was {
        print::out(&format!("the kill switch for {target} is lifted; what it killed stays killed"));
    } else {
        print::out(&format!("the kill switch for {target} was not set"));
    }
    Ok(Exit::Completed)
}

fn show(outcome: &KillOutcome, json: bool) {
    let (run_id, word) = match outcome {
        KillOutcome::Killed(run, _) => (run, KillWord::Killed),
        KillOutcome::Ended(run) => (run, KillWord::Ended),
        KillOutcome::NoAnswer(run) => (run, KillWord::NoAnswer),
        KillOutcome::Failed(run, _) => (run, KillWord::Failed),
    };
    let text = match outcome {
        KillOutcome::Killed(_, times) => {
            format!("{run_id} was killed; it stopped {:.1} ms after the request", times.took_us as f64 / 1000.0)
        }
        KillOutcome::Ended(_) => format!("{run_id} had already ended"),
        KillOutcome::Failed(_, why) => {
            format!("{run_id} could not be ended, but begins nothing more: {}", safe_line(why, 1000))
        }
        KillOutcome::NoAnswer(_) => {
            format!(
                "{run_id} is killed and begins nothing more, and its commands were told to end; but its process did not record \
                 it within {} s: it is stopped, stuck, gone, or still looking through what a command left",
                PATIENCE.as_secs()
            )
        }
    };
    if !json {
        print::out(&text);
        return;
    }
    let (message, times) = match outcome {
        KillOutcome::Killed(_, times) => (None, Some(times)),
        KillOutcome::Failed(_, why) => (Some(why.as_str()), None),
        KillOutcome::Ended(_) | KillOutcome::NoAnswer(_) => (None, None),
    };
    let times = times.map(|times| KillTook {
        requested: Time(times.requested_us),
        stopped: Time(times.stopped_us),
        took_us: times.took_us,
    });
    print::json(&Output::Kill { run_id, outcome: word, message, times });
}
