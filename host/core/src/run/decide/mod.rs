//! What may follow from what.

mod driver;
mod person;
mod process;
mod refuse;

use refuse::Refuse;

use super::command::{Command, DriverCommand, PersonCommand, ProcessCommand};
use super::phase::Phase;
use super::state::RunState;
use crate::Error;
use crate::event::RunEvent;

/// The events that follow from a command in a state. The state is not changed; apply the events to change it.
///
/// # Errors
/// [`Error::NotNow`] for a command that the state does not ask for, and [`Error::BindingChanged`] for an approval of
/// something else.
pub fn decide(state: &RunState, command: impl Into<Command>, now_us: u64) -> Result<Vec<RunEvent>, Error> {
    let command = command.into();
    let not_now = Refuse { state, command: command.name() };
    if let Phase::Ended(_) = state.phase() {
        return Err(not_now.error());
    }
    if state.paused_by.is_some() && !counts_while_paused(&command) {
        return Err(not_now.error());
    }
    match command {
        Command::Driver(command) => driver::decide(state, command, now_us, not_now),
        Command::Person(command) => person::decide(state, command, now_us, not_now),
        Command::Process(command) => process::decide(state, command, not_now),
    }
}

/// Whether a command counts although the run is paused: people may answer, and effects that had begun come to their end.
fn counts_while_paused(command: &Command) -> bool {
    match command {
        Command::Driver(command) => matches!(command, DriverCommand::HostCallDone { .. } | DriverCommand::Logged(_)),
        Command::Person(command) => !matches!(command, PersonCommand::Pause { .. }),
        Command::Process(command) => !matches!(command, ProcessCommand::Leave | ProcessCommand::ResumeStep),
    }
}
