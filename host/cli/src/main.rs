//! The `fusebox` command.

mod args;
mod check;
mod effects_view;
mod exit;
mod plugins;
mod print;
mod run;
mod terminal_approver;
mod view;
mod watch;

use clap::Parser as _;

use crate::args::{Args, Task};
use crate::exit::{Exit, report};

fn main() {
    let args = Args::parse();
    let json = args.task.json();
    let done = match args.task {
        Task::Run(task) => run::run(task),
        Task::Check(task) => check::check(task),
        Task::Plugins(task) => plugins::plugins(task),
    };
    let exit = done.unwrap_or_else(|error| {
        report(&error, json);
        Exit::of(&error)
    });
    // A prompt may still wait for input on a thread that nobody can end; the process must not wait for it.
    std::process::exit(exit.code())
}
