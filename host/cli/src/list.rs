//! `fusebox runs`, `show` and `tail`.

use std::time::Duration;

use anstyle::{AnsiColor, Style};
use fusebox::core::event::RunEventKind;
use fusebox::core::show::safe_line;
use fusebox::{Control, Error, EventUpdate, Home, ListedRun, ListedState, RunFilter, RunKind, RunUpdate, rfc3339};

use crate::args::{OneRunArgs, RunsArgs, ShowArgs};
use crate::exit::Exit;
use crate::output::{Output, Run, Time};
use crate::print;
use crate::view::View;

/// Events that are read at once.
const PAGE: u32 = 500;
/// Time between two looks for new events.
const LOOK: Duration = Duration::from_millis(20);

/// The runs of the default home.
pub fn control() -> Result<Control, Error> {
    Control::open(&Home::default_path()?)
}

pub fn runs(args: &RunsArgs) -> Result<Exit, Error> {
    let filter = RunFilter {
        states: args.state.iter().map(|state| state.name().to_owned()).collect(),
        unfinished: false,
        agent: args.agent.clone(),
        tenant: args.tenant.clone(),
        since_us: args.since,
        until_us: args.until,
    };
    let control = control()?;
    let listed = control.runs(&filter, args.limit)?;
    for run in &listed {
        if args.json { print::json(&Output::Run(of_run(run))) } else { print::out(&line(run)) }
    }
    if args.json {
        return Ok(Exit::Completed);
    }
    if listed.is_empty() {
        print::out("no runs");
    }
    for switch in control.switches()? {
        let by = safe_line(&switch.by, 80);
        print::out(&format!("! the kill switch for {} is set, by {by} at {}", switch.target, rfc3339(switch.set_us)));
    }
    Ok(Exit::Completed)
}

pub fn show(args: &ShowArgs) -> Result<Exit, Error> {
    let (control, run) = (control()?, args.run.parse()?);
    let listed = control.run(&run)?;
    if args.json {
        print::json(&Output::Run(of_run(&listed)));
    } else {
        heading(&listed);
    }
    let (mut after, mut view) = (0, View::new());
    loop {
        let events = control.events(&run, after, PAGE)?;
        for event in &events {
            tell(&mut view, event, args.json);
            if args.logs
                && let Some(log) = control.plugin_log(event)?
            {
                if args.json { print::json(&Output::plugin_log(&log)) } else { view.log(&log) }
            }
            after = event.sealed.seq;
        }
        if events.len() < PAGE as usize {
            break;
        }
    }
    if !args.json {
        what_to_do(&control.run(&run)?);
    }
    Ok(Exit::Completed)
}

pub fn tail(args: &OneRunArgs) -> Result<Exit, Error> {
    let (control, run) = (control()?, args.run.parse()?);
    let listed = control.run(&run)?;
    if !args.json {
        heading(&listed);
    }
    let (mut after, mut view) = (0, View::new());
    loop {
        let events = control.events(&run, after, PAGE)?;
        for event in &events {
            tell(&mut view, event, args.json);
            after = event.sealed.seq;
            if event.sealed.is(RunEventKind::RunEnded) {
                return Ok(Exit::Completed);
            }
        }
        if events.is_empty() {
            std::thread::sleep(LOOK);
        }
    }
}

fn tell(view: &mut View, event: &EventUpdate, json: bool) {
    if json {
        print::event(event);
    } else {
        view.told_at(event.sealed.time_us);
        view.update(&RunUpdate::Event(Box::new(event.clone())));
    }
}

fn heading(run: &ListedRun) {
    let dim = Style::new().dimmed();
    print::out(&line(run));
    let created = rfc3339(run.row.created_us);
    print::out(&format!("{dim}created {created}, tenant {}, {} events{dim:#}\n", run.row.tenant, run.row.events));
}

/// Prints what an operator can do about a run that does not go on by itself.
fn what_to_do(run: &ListedRun) {
    let id = &run.row.run;
    let hint = match run.row.state {
        ListedState::Ended(_) => return,
        ListedState::Paused => format!("resume it with `fusebox resume {id}`"),
        _ if run.row.kind == RunKind::Session => {
            format!("its program carries it out; watch it with `fusebox tail {id}`")
        }
        _ if run.is_driven => format!("a process carries it out; watch it with `fusebox tail {id}`"),
        ListedState::Created => format!("carry it out with `fusebox continue {id}`"),
        ListedState::Running => format!("no process carries it out; continue it with `fusebox continue {id}`"),
        ListedState::AwaitingApproval | ListedState::InDoubt => {
            "it waits for a person; `fusebox approvals` says for what".to_owned()
        }
    };
    print::out(&format!("\n{hint}"));
}

fn line(run: &ListedRun) -> String {
    let row = &run.row;
    let color = match row.state {
        ListedState::Ended(fusebox::RunEnd::Completed) => AnsiColor::Green,
        ListedState::Ended(_) => AnsiColor::Red,
        ListedState::Created | ListedState::Running => AnsiColor::Cyan,
        ListedState::Paused | ListedState::AwaitingApproval | ListedState::InDoubt => AnsiColor::Yellow,
    };
    let (style, dim) = (color.on_default(), Style::new().dimmed());
    let state = format!("{}{}", row.state.name(), why(run).map(|why| format!("({why})")).unwrap_or_default());
    let steps = format!("{}/{}", row.completed, row.steps);
    let (agent, goal) = (safe_line(&row.agent, 40), safe_line(&row.goal, 80));
    let at = rfc3339(row.updated_us).chars().take(19).collect::<String>();
    format!("{} {style}{state:<20}{style:#} {steps:>7} {dim}{at}{dim:#} {agent:<16} {goal}", row.run)
}

fn why(run: &ListedRun) -> Option<&'static str> {
    match run.row.state {
        ListedState::Running if run.row.last_event == "run_left" => Some("between-steps"),
        ListedState::Running if run.row.kind == RunKind::Run && !run.is_driven => Some("interrupted"),
        state => state.why(),
    }
}

fn of_run(run: &ListedRun) -> Run<'_> {
    let row = &run.row;
    Run {
        run_id: &row.run,
        state: row.state.name(),
        why: why(run),
        goal: &row.goal,
        agent: &row.agent,
        tenant: &row.tenant,
        steps: row.steps,
        completed: row.completed,
        created: Time(row.created_us),
        updated: Time(row.updated_us),
        events: row.events,
        driven: run.is_driven,
    }
}
