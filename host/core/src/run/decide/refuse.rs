//! The refusal of a command.

use crate::Error;
use crate::run::state::RunState;

/// Refuses a command that the state does not ask for.
#[derive(Clone, Copy)]
pub(super) struct Refuse<'a> {
    pub state: &'a RunState,
    pub command: &'static str,
}

impl Refuse<'_> {
    pub fn error(self) -> Error {
        Error::NotNow { state: self.state.phase().to_string(), command: self.command }
    }
}
