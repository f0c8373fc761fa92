//! `fusebox start`, `continue`, `next`, `pause`, `resume`, `add-step` and `recover`.

use fusebox::core::show::safe_line;
use fusebox::{Error, Host, PauseOutcome, RunId, RunKind, StopAt};

use crate::args::{AddStepArgs, ContinueArgs, JsonArgs, OneRunArgs, PauseArgs, StartArgs};
use crate::backlog::Backlog;
use crate::exit::Exit;
use crate::list::control;
use crate::operator::user;
use crate::output::{Output, PauseWord};
use crate::print;
use crate::run::{Explanations, approver, builder, carry_out, prepare, read_input, runtime, tell_notices};

pub fn start(args: StartArgs) -> Result<Exit, Error> {
    let (host, plan, options) = prepare(args.create, Explanations::Hidden, args.json)?;
    let run = host.start(plan, &options)?;
    if args.json {
        print::json(&Output::RunStart { run_id: &run });
    } else {
        print::out(&format!(
            "{run}\ncarry it out with `fusebox continue {run}`, or step by step with `fusebox next {run}`"
        ));
    }
    Ok(Exit::Completed)
}

pub fn continue_run(args: ContinueArgs, until: StopAt) -> Result<Exit, Error> {
    let run: RunId = args.run.parse()?;
    let host = host_for(&run, args.policy, args.cassette)?;
    tell_notices(&host, args.json);
    let backlog = Backlog::new();
    let runtime = runtime()?;
    let run = host.continue_run(&run, approver(args.approve, &backlog), until)?;
    carry_out(&host, run, runtime, &backlog, args.json)
}

/// A host under the policies that count for a run.
fn host_for(
    run: &RunId,
    policy: Option<std::path::PathBuf>,
    cassette: Option<std::path::PathBuf>,
) -> Result<Host, Error> {
    let mut builder = builder(policy);
    for folder in control()?.projects(run)? {
        builder = builder.project(folder);
    }
    if let Some(cassette) = cassette {
        builder = builder.cassette(cassette);
    }
    builder.build()
}

pub fn pause(args: &PauseArgs) -> Result<Exit, Error> {
    let run = args.run.parse()?;
    let outcome = control()?.pause(&run, &user(), &args.reason)?;
    let (word, text) = match outcome {
        PauseOutcome::Paused => (PauseWord::Paused, format!("{run} is paused; `fusebox resume {run}` lets it go on")),
        PauseOutcome::WasPaused => (PauseWord::WasPaused, format!("{run} was paused already")),
        PauseOutcome::Asked => (PauseWord::Asked, format!("{run} pauses when the step under way has ended")),
    };
    if args.json {
        print::json(&Output::Pause { run_id: &run, outcome: word });
    } else {
        print::out(&text);
    }
    Ok(Exit::Completed)
}

pub fn resume(args: &OneRunArgs) -> Result<Exit, Error> {
    let run = args.run.parse()?;
    let control = control()?;
    let was = control.resume(&run, &user())?;
    if args.json {
        print::json(&Output::Resume { run_id: &run, was_paused: was });
    } else if was && control.run(&run)?.row.kind == RunKind::Session {
        print::out(&format!("the session {run} may go on"));
    } else if was {
        print::out(&format!("{run} may go on; carry it on with `fusebox continue {run}`"));
    } else {
        print::out(&format!("{run} was not paused"));
    }
    Ok(Exit::Completed)
}

pub fn add_step(args: AddStepArgs) -> Result<Exit, Error> {
    let run: RunId = args.run.parse()?;
    let step = read_input("the step", &args.step)?;
    let host = host_for(&run, args.policy, args.cassette)?;
    let backlog = Backlog::new();
    let approver = approver(args.approve, &backlog);
    let added = runtime()?.block_on(host.add_step(&run, &step, &user(), &*approver))?;
    if args.json {
        print::json(&Output::StepAdd { run_id: &run, step: &added.id });
    } else {
        print::out(&format!("{} is now the last step of {run}", safe_line(added.id.as_str(), 80)));
    }
    Ok(Exit::Completed)
}

pub fn recover(args: &JsonArgs) -> Result<Exit, Error> {
    let recovered = control()?.recover()?;
    let mut is_sound = true;
    for run in &recovered {
        let outcome = match &run.outcome {
            Ok(outcome) => outcome.clone(),
            Err(error) => {
                is_sound = false;
                format!("[{}] {error}", error.root_code())
            }
        };
        if args.json {
            print::json(&Output::Recovery {
                run_id: &run.run,
                state: &run.state,
                recovered: run.outcome.is_ok(),
                message: &outcome,
            });
        } else {
            print::out(&format!("{} {}: {}", run.run, run.state, safe_line(&outcome, 1000)));
        }
    }
    if recovered.is_empty() && !args.json {
        print::out("nothing was left unsettled");
    }
    Ok(if is_sound { Exit::Completed } else { Exit::Failed })
}
