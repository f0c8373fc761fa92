//! The `fusebox` command.

mod answer;
mod approvers;
mod args;
mod ask;
mod audit;
mod backlog;
mod check;
mod clean;
mod describe;
mod doctor;
mod effects_view;
mod exit;
mod explain;
mod hook;
mod hooks;
mod kill;
mod list;
mod man;
mod operator;
mod output;
mod pack;
mod plugins;
mod policy;
mod print;
mod risk;
mod run;
mod schema;
mod sessions;
mod signal;
mod sinks;
mod terminal_approver;
mod trust;
mod view;
mod watch;

use crate::args::{Args, Task};
use crate::exit::{Exit, report};

fn main() {
    // Before anything else: the launcher must have one thread.
    if fusebox::serve_launcher(std::env::args_os()) {
        return;
    }
    let args = Args::read().unwrap_or_else(|error| print::usage(&error));
    let json = args.task.json();
    let done = match args.task {
        Task::Run(task) => run::run(task),
        Task::Start(task) => signal::start(task),
        Task::Continue(task) => signal::continue_run(task, fusebox::StopAt::End),
        Task::Next(task) => signal::continue_run(task, fusebox::StopAt::NextStep),
        Task::Pause(task) => signal::pause(&task),
        Task::Resume(task) => signal::resume(&task),
        Task::AddStep(task) => signal::add_step(task),
        Task::Recover(task) => signal::recover(&task),
        Task::Runs(task) => list::runs(&task),
        Task::Show(task) => list::show(&task),
        Task::Explain(task) => explain::explain(&task),
        Task::Tail(task) => list::tail(&task),
        Task::Approvals(task) => ask::approvals(&task),
        Task::Approve(task) => answer::approve(&task),
        Task::Reject(task) => answer::reject(&task),
        Task::Grants(task) => ask::grants(&task),
        Task::Revoke(task) => answer::revoke(&task),
        Task::Approvers(task) => approvers::approvers(&task),
        Task::Unkill(task) => kill::unkill(&task),
        Task::Check(task) => check::check(task),
        Task::Hook(task) => hook::hook(task),
        Task::Hooks(task) => hooks::hooks(task),
        Task::Sessions(task) => sessions::sessions(task),
        Task::Plugins(task) => plugins::plugins(task),
        Task::Policy(task) => policy::policy(task),
        Task::Trust(task) => trust::trust(&task),
        Task::Sinks(task) => sinks::sinks(task),
        Task::Audit(task) => audit::audit(&task),
        Task::Risk(task) => risk::risk(task),
        Task::Kill(task) => kill::kill(&task),
        Task::Clean(task) => clean::clean(&task),
        Task::Doctor(task) => doctor::doctor(task),
        Task::Pack { to } => pack::pack(&to),
        Task::Schema { of } => {
            schema::print(of);
            Ok(Exit::Completed)
        }
        Task::Completions { shell } => man::completions(shell),
        Task::Man { command, dir } => man::man(command.as_deref(), dir.as_deref()),
    };
    let mut exit = done.unwrap_or_else(|error| {
        report(&error, json);
        Exit::of(&error)
    });
    if let Err(error) = print::finish() {
        // Where standard output is full, a JSON line would be lost.
        report(&error, false);
        exit = if exit == Exit::Completed { Exit::of(&error) } else { exit };
    }
    // A prompt may still wait for input on a thread that cannot be ended; the process must not wait for it.
    std::process::exit(exit.code())
}
