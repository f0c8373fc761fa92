//! Watching the board for requests to kill the run of a program.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use fusebox_core::RunId;
use fusebox_core::show::safe_line;
use fusebox_core::signal::{GENERATION_BYTES, SLOT_BYTES, SLOTS, SignalKind, read_slot, slot_at};
use rustix::event::Timespec;

use crate::kill_orders::KillOrders;

/// Time between two looks.
pub const INTERVAL: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
/// Most characters of a name in a message.
const MAX_BY_CHARS: usize = 100;

/// An open board.
pub struct KillWatch {
    board: File,
    seen: u64,
    run: RunId,
    tenant: String,
}

impl KillWatch {
    /// Opens the board, which the sandbox does not show. Without one, only the host ends the program.
    pub fn open(orders: &KillOrders) -> Option<Self> {
        let KillOrders { board, seen, run, tenant } = orders;
        Some(Self { board: File::open(board).ok()?, seen: *seen, run: run.clone(), tenant: tenant.clone() })
    }

    /// Name of the person who killed the run since the last look, if one did.
    pub fn killed_by(&mut self) -> Option<String> {
        let mut generation = [0; GENERATION_BYTES];
        self.board.read_exact_at(&mut generation, 0).ok()?;
        let now = u64::from_le_bytes(generation);
        let from = std::mem::replace(&mut self.seen, now);
        // Older requests are overwritten; the host reads them in the log.
        let first = from.max(now.saturating_sub(SLOTS)) + 1;
        (first..=now).find_map(|number| {
            let mut slot = [0; SLOT_BYTES];
            self.board.read_exact_at(&mut slot, slot_at(number)).ok()?;
            let request = read_slot(&slot)??;
            let is_meant = request.kind == SignalKind::Kill && request.target.ends(&self.run, &self.tenant);
            is_meant.then(|| safe_line(&request.by, MAX_BY_CHARS))
        })
    }
}
