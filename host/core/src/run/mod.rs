//! A run as a state machine: it asks for work, takes the results, and records both as events.
//!
//! [`RunState::ask`] says what is needed next, [`decide`] turns an answer (a [`Command`]) into events or refuses it, and
//! [`RunState::apply`] is the only thing that changes the state. So the state is a fold over the run's events, and what
//! the rules of `decide` refuse cannot get into the log. A step is judged beside the state, in a [`Judging`], which
//! becomes one event.

mod apply;
mod apply_effects;
mod ask;
mod attempt;
mod command;
mod decide;
mod follow;
mod judging;
mod phase;
mod plan_risk;
mod risk;
mod setup;
mod stage;
mod state;
mod stopwatch;

#[cfg(test)]
mod tests;

pub use crate::step_state::StepState;
pub use ask::Ask;
pub use command::{
    Command, DriverCommand, EffectRequest, HostCallJudgement, PersonCommand, ProcessCommand, Resumption, StepDone,
    StepFailure,
};
pub use decide::decide;
pub use judging::Judging;
pub use phase::Phase;
pub use setup::{RunSetup, StoredSetup};
pub use stage::{Answered, Open, Question};
pub use state::{KindApproval, RunState, StepProgress};
