//! Kill switches: durable, and in the log like everything else.

use std::sync::{Mutex, PoisonError};

use fusebox_core::event::Chain;
use fusebox_core::{Digest, Event, KillTarget, RunId};
use fusebox_store::{Batch, Error as StoreError, EventLog, Switch};

use crate::Error;
use crate::board::Board;
use crate::home::Home;
use crate::now::now_us;

/// The chain of what concerns no single run.
const HOST_CHAIN: &str = "host";
/// How often it is tried to add to the chain before others.
const TRIES: u32 = 100;

/// Adds an event to the chain of what concerns no single run, and waits until it is durable. Several processes may do so at
/// once; each comes behind the other.
pub fn record_for_host(log: &dyn EventLog, event: &Event) -> Result<(), Error> {
    let run: RunId = HOST_CHAIN.parse()?;
    let mut tries = 0;
    loop {
        let (seq, head) = log.head(&run)?.unwrap_or((0, Digest::ZERO));
        let sealed = Chain::at(run.clone(), seq, head).seal(event, now_us());
        match log.append(Batch { events: vec![sealed], ..Batch::default() }).wait() {
            Err(StoreError::Conflict { .. }) if tries < TRIES => tries += 1,
            done => return Ok(done?),
        }
    }
}

/// Kill switches as they were when the board was last written to: asking costs a look at the board.
pub struct SwitchCache {
    board: Board,
    seen: Mutex<Option<(u64, Vec<Switch>)>>,
}

impl SwitchCache {
    pub fn open(home: &Home) -> Result<Self, Error> {
        Ok(Self { board: Board::open(home)?, seen: Mutex::default() })
    }

    /// The switch that ends whatever a tenant does, if one is set.
    pub fn ending_all(&self, log: &dyn EventLog, tenant: &str) -> Result<Option<Switch>, Error> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // Switches are set before the board is written to, so what is read now is at least as new as this count.
        let generation = self.board.generation();
        if seen.as_ref().is_none_or(|(then, _)| *then != generation) {
            *seen = Some((generation, log.switches()?));
        }
        let switches = seen.iter().flat_map(|(_, switches)| switches);
        Ok(switches.clone().find(|switch| ends_all(&switch.target, tenant)).cloned())
    }
}

/// The switch that ends whatever a tenant begins now, if one is set.
pub fn ending_new(log: &dyn EventLog, tenant: &str) -> Result<Option<Switch>, Error> {
    Ok(log.switches()?.into_iter().find(|switch| ends_all(&switch.target, tenant)))
}

fn ends_all(target: &KillTarget, tenant: &str) -> bool {
    match target {
        KillTarget::All => true,
        KillTarget::Tenant(of) => of == tenant,
        KillTarget::Run(_) => false,
    }
}
