//! Looking whether other processes ask something of a run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fusebox_core::RunId;
use fusebox_core::signal::SignalKind;
use fusebox_effects::KillOrders;
use fusebox_store::Store;
use parking_lot::Mutex;

use crate::ambient::now_us;
use crate::error::Error;
use crate::home::Home;
use crate::signals::board::Board;
use crate::signals::stop::StopHandle;

/// Listens to requests about one run.
pub struct SignalListener {
    board: Board,
    log: Arc<dyn Store>,
    run: RunId,
    tenant: String,
    stop: StopHandle,
    seen: Mutex<u64>,
    /// When the log was last read for requests.
    log_read: Mutex<Option<Instant>>,
}

/// Age at which requests are read from the log again although the board has not moved. Each request stands on the board
/// before it stands in the log, so this is for boards that were damaged or replaced.
const LOG_AGE: Duration = Duration::from_millis(100);

impl SignalListener {
    /// Hears everything that is asked from now on.
    pub fn new(home: &Home, log: Arc<dyn Store>, run: RunId, tenant: String, stop: StopHandle) -> Result<Self, Error> {
        let board = Board::open(home)?;
        let seen = Mutex::new(board.generation());
        Ok(Self { board, log, run, tenant, stop, seen, log_read: Mutex::new(None) })
    }

    /// Handles the requests before a step: those on the board, and those in the log where that may hold others.
    pub fn look(&self) {
        let is_fresh = self.log_read.lock().is_some_and(|read| read.elapsed() < LOG_AGE);
        if !(self.peek() && is_fresh) {
            self.poll_log();
        }
    }

    /// Handles the requests since the last look. Called at every tick.
    pub fn poll(&self) {
        let mut seen = self.seen.lock();
        let Some(requests) = self.board.signals_since(&mut seen, &self.run, &self.tenant) else {
            drop(seen);
            return self.poll_log();
        };
        for request in requests {
            match request.kind {
                SignalKind::Kill => self.stop.kill_since(&request.by, request.requested_us),
                SignalKind::Pause => self.stop.pause(&request.by),
            }
        }
    }

    /// The requests that processes of the run watch by themselves, from the last look on.
    pub fn orders(&self) -> KillOrders {
        KillOrders {
            board: self.board.path().to_path_buf(),
            seen: *self.seen.lock(),
            run: self.run.clone(),
            tenant: self.tenant.clone(),
        }
    }

    /// As [`poll`](Self::poll), but at the count alone, which is nearly always as it was: called before every effect.
    /// Returns whether it was.
    pub fn peek(&self) -> bool {
        let is_as_it_was = {
            let seen = self.seen.lock();
            self.board.generation() == *seen
        };
        if !is_as_it_was {
            self.poll();
        }
        is_as_it_was
    }

    /// The same from the log, which holds all requests. An unreadable one is taken as a kill: it may have been one.
    pub fn poll_log(&self) {
        match self.log.killed_by(&self.run) {
            Ok(Some(switch)) => self.stop.kill_since(&switch.by, switch.set_us),
            Ok(None) => {}
            Err(error) => self.stop.kill_since(&format!("the requests cannot be read: {error}"), now_us()),
        }
        if let Ok(Some((by, _))) = self.log.pause_asked(&self.run) {
            self.stop.pause(&by);
        }
        *self.log_read.lock() = Some(Instant::now());
    }
}
