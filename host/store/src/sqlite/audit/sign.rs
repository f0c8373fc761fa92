//! Signing checkpoints while events are written.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rusqlite::{Transaction, params};

use super::{grow, read};
use crate::audit::{CheckpointRow, SignCheckpoints, Signing};
use crate::error::Error;

const LAST_TIME: &str = "SELECT time_us FROM events ORDER BY log_index DESC LIMIT 1";
const INSERT_CHECKPOINT: &str = "INSERT INTO checkpoints (tenant, size, time_us, note) VALUES (?1, ?2, ?3, ?4)";
/// Statements of the first checkpoint that is signed.
pub const FIRST_SIGNED: [&str; 7] =
    [grow::NEW_EVENTS, grow::EDGE, grow::SAVE_EDGE, grow::SAVE_GROWN, read::NEWEST, LAST_TIME, INSERT_CHECKPOINT];

/// State of the checkpoints that are due.
pub struct Signer {
    signing: Signing,
    tenants: HashMap<String, Due>,
}

/// Events of a tenant that no checkpoint covers yet.
#[derive(Default)]
struct Due {
    events: u64,
    /// Time at which the last one was signed here; none before the first.
    signed: Option<Instant>,
}

impl Signer {
    pub fn new(signing: Signing) -> Self {
        Self { signing, tenants: HashMap::new() }
    }

    /// Counts events that were written.
    pub fn wrote(&mut self, tenant: &str, events: u64) {
        match self.tenants.get_mut(tenant) {
            Some(due) => due.events += events,
            None => {
                self.tenants.insert(tenant.to_owned(), Due { events, signed: None });
            }
        }
    }

    /// Time until a checkpoint is due; `None` when none is.
    pub fn due_in(&self) -> Option<Duration> {
        let waiting = self.tenants.values().filter(|due| due.events > 0);
        waiting.map(|due| due.signed.map_or(Duration::ZERO, |at| self.signing.every.saturating_sub(at.elapsed()))).min()
    }

    /// Signs the checkpoints that are due, within the transaction that writes the events, so that it costs no flush of
    /// its own. Returns what was tried, for after the commit.
    pub fn sign_due(&self, transaction: &Transaction<'_>, all: SignWhat) -> Result<Vec<Tried>, Error> {
        let is_due = |due: &Due| {
            due.events > 0
                && (all == SignWhat::All
                    || due.events >= self.signing.every_events
                    || due.signed.is_none_or(|at| at.elapsed() >= self.signing.every))
        };
        let mut tried = Vec::new();
        for (tenant, _) in self.tenants.iter().filter(|(_, due)| is_due(due)) {
            match checkpoint(transaction, tenant, Some(&*self.signing.signer)) {
                // Events are stored even when they cannot be signed now; a request for a checkpoint returns the reason.
                Ok(row) => tried.push(Tried { tenant: tenant.clone(), note: row.map(|row| row.note) }),
                Err(Error::Unsigned { .. }) => tried.push(Tried { tenant: tenant.clone(), note: None }),
                Err(error) => return Err(error),
            }
        }
        Ok(tried)
    }

    /// Records that checkpoints of these tenants were signed and are durable.
    pub fn signed(&mut self, tried: &[Tried]) {
        for Tried { tenant, note } in tried {
            if let Some(note) = note {
                self.signing.signer.keep(tenant, note);
            }
            self.tenants.insert(tenant.clone(), Due { events: 0, signed: Some(Instant::now()) });
        }
    }
}

/// A checkpoint that was due.
pub struct Tried {
    tenant: String,
    /// The signed note; none when it was not signed.
    note: Option<String>,
}

/// Selection of checkpoints to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignWhat {
    /// Those that are due.
    Due,
    /// All that would cover something new.
    All,
}

/// Signs a checkpoint over all events of a tenant by now, unless the newest one covers them.
pub fn checkpoint(
    transaction: &Transaction<'_>,
    tenant: &str,
    signer: Option<&dyn SignCheckpoints>,
) -> Result<Option<CheckpointRow>, Error> {
    grow(transaction)?;
    let range = grow::edge(transaction, tenant)?.range;
    let (size, root) = (range.size(), range.root());
    let newest = read::newest_checkpoint(transaction, tenant)?;
    if size == 0 || newest.as_ref().is_some_and(|newest| newest.size >= size) {
        return Ok(newest);
    }
    let unsigned = |message: String| Error::Unsigned { tenant: tenant.to_owned(), message };
    let signer = signer.ok_or_else(|| unsigned("this process has no key for it".to_owned()))?;
    let note = signer.sign(tenant, size, &root, newest.as_ref()).map_err(unsigned)?;
    let time_us: u64 = transaction.prepare_cached(LAST_TIME)?.query_row([], |row| row.get(0))?;
    transaction.prepare_cached(INSERT_CHECKPOINT)?.execute(params![tenant, size, time_us, note])?;
    Ok(Some(CheckpointRow { size, time_us, note }))
}
