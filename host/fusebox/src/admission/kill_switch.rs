//! Kill switches: durable, and in the log like everything else.

use fusebox_core::KillTarget;
use fusebox_store::{Store, Switch};
use parking_lot::Mutex;

use crate::error::Error;
use crate::home::Home;
use crate::signals::board::Board;

/// Kill switches as they were when the board was last written to: asking costs a look at the board.
pub struct SwitchCache {
    board: Board,
    seen: Mutex<Option<(u64, Vec<Switch>)>>,
}

impl SwitchCache {
    pub fn open(home: &Home) -> Result<Self, Error> {
        Ok(Self { board: Board::open(home)?, seen: Mutex::default() })
    }

    /// The switch that ends all of a tenant's runs, if one is set.
    pub fn ending_all(&self, log: &dyn Store, tenant: &str) -> Result<Option<Switch>, Error> {
        let mut seen = self.seen.lock();
        // Switches are set before the board is written, so this read is at least as new as the count.
        let generation = self.board.generation();
        if seen.as_ref().is_none_or(|(then, _)| *then != generation) {
            *seen = Some((generation, log.switches()?));
        }
        let switches = seen.iter().flat_map(|(_, switches)| switches);
        Ok(switches.clone().find(|switch| ends_all(&switch.target, tenant)).cloned())
    }
}

/// The switch that ends a tenant's new runs, if one is set.
pub fn ending_new(log: &dyn Store, tenant: &str) -> Result<Option<Switch>, Error> {
    Ok(log.switches()?.into_iter().find(|switch| ends_all(&switch.target, tenant)))
}

fn ends_all(target: &KillTarget, tenant: &str) -> bool {
    match target {
        KillTarget::All => true,
        KillTarget::Tenant(of) => of == tenant,
        KillTarget::Run(_) => false,
    }
}
