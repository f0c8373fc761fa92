//! Looking whether other processes ask something of a run.

use std::sync::{Mutex, PoisonError};

use fusebox_core::RunId;

use crate::Error;
use crate::board::{Board, Wish};
use crate::home::Home;
use crate::run::Killer;

/// Hears what is asked of one run.
pub struct Watchman {
    board: Board,
    run: RunId,
    tenant: String,
    killer: Killer,
    seen: Mutex<u64>,
}

impl Watchman {
    /// Hears everything that is asked from now on.
    pub fn new(home: &Home, run: RunId, tenant: String, killer: Killer) -> Result<Self, Error> {
        let board = Board::open(home)?;
        let seen = Mutex::new(board.generation());
        Ok(Self { board, run, tenant, killer, seen })
    }

    /// Does what was asked since the last look. Called at every tick, and before every step and effect.
    pub fn look(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for request in self.board.asked_since(&mut seen, &self.run, &self.tenant) {
            match request.wish {
                Wish::Kill => self.killer.kill_since(&request.by, request.requested_us),
                Wish::Pause => self.killer.pause(&request.by),
            }
        }
    }
}
