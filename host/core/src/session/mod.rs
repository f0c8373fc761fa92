//! A session as a state machine: a run whose steps others carry out. Actions are *proposed* and answered, outcomes are
//! *observed*.
//!
//! Any process may write to a session, one after the other, so its state is small: it is kept beside the log, and a process
//! that comes folds the last events only. [`decide`] turns a [`SessionCommand`] into events or refuses it, and
//! [`SessionState::apply`] is the only thing that changes the state. The state needs no policy to be folded; deciding
//! does, and has it in a [`SessionSetup`].
//!
//! Several actions may be under way at once, and the program that carries them out may report an end late, twice or
//! never. Nothing but a denial is answered in a session that is killed, paused, over its budget, or ended.

mod apply;
mod command;
mod decide;
mod propose;
mod risk;
mod setup;
mod shape;
mod state;

#[cfg(test)]
mod tests;

pub use command::{Observation, Proposal, Refusal, SessionAnswer, SessionCommand};
pub use decide::decide;
pub use propose::Verdict;
pub use setup::{ReviewBy, SessionSetup};
pub use shape::SessionShape;
pub use state::{Call, CallState, ParkedQuestion, QuestionState, SessionState};
