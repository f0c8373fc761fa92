//! Looking whether other processes ask something of a run.

use std::sync::{Arc, Mutex, PoisonError};

use fusebox_core::RunId;
use fusebox_store::Store;

use crate::ambient::now_us;
use crate::error::Error;
use crate::home::Home;
use crate::signals::board::{Board, Wish};
use crate::signals::stop::Killer;

/// Hears what is asked of one run.
pub struct Watchman {
    board: Board,
    log: Arc<dyn Store>,
    run: RunId,
    tenant: String,
    killer: Killer,
    seen: Mutex<u64>,
}

impl Watchman {
    /// Hears everything that is asked from now on.
    pub fn new(
        home: &Home,
        log: Arc<dyn Store>,
        (run, tenant): (RunId, String),
        killer: Killer,
    ) -> Result<Self, Error> {
        let board = Board::open(home)?;
        let seen = Mutex::new(board.generation());
        Ok(Self { board, log, run, tenant, killer, seen })
    }

    /// Does what was asked since the last look. Called at every tick, and before every step.
    pub fn look(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(requests) = self.board.asked_since(&mut seen, &self.run, &self.tenant) else {
            drop(seen);
            return self.look_in_log();
        };
        for request in requests {
            match request.wish {
                Wish::Kill => self.killer.kill_since(&request.by, request.requested_us),
                Wish::Pause => self.killer.pause(&request.by),
            }
        }
    }

    /// As [`look`](Self::look), but at the count alone, which is nearly always as it was: called before every effect.
    pub fn glance(&self) {
        let is_as_it_was = {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            self.board.generation() == *seen
        };
        if !is_as_it_was {
            self.look();
        }
    }

    /// The same from the log, where all that was asked stands. What cannot be read there is taken as a kill: it may have been
    /// one.
    pub fn look_in_log(&self) {
        match self.log.killed_by(&self.run) {
            Ok(Some(switch)) => self.killer.kill_since(&switch.by, switch.set_us),
            Ok(None) => {}
            Err(error) => self.killer.kill_since(&format!("what is asked cannot be read: {error}"), now_us()),
        }
        if let Ok(Some((by, _))) = self.log.pause_asked(&self.run) {
            self.killer.pause(&by);
        }
    }
}
