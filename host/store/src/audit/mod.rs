//! Proofs: the Merkle tree of each tenant's events in the order of the log (RFC 6962), and the checkpoints that were signed of it.

mod grow;
mod read;
mod regrow;
mod sign;
mod verify;

use fusebox_core::audit::{Block, Fault};
use fusebox_core::{Digest, RunId, SealedEvent};

pub use grow::grow;
pub use sign::{SignCheckpoints, SignWhat, Signer, Signing, checkpoint};
pub use verify::{LogReport, TenantReport, Verifying};

use crate::{Error, SqliteStore};

/// A checkpoint that was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointRow {
    /// Leaves of the tree.
    pub size: u64,
    /// Time of the newest event then, in microseconds since 1970.
    pub time_us: u64,
    /// The signed note.
    pub note: String,
}

/// An event's place in the tree of its tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Whose tree.
    pub tenant: String,
    /// Which leaf, counted from 0.
    pub index: u64,
}

/// An event in the order of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    /// Its place in the log, over all tenants.
    pub log_index: i64,
    /// Whose log it is part of.
    pub tenant: String,
    /// The event. Its hash is as stored, and not compared with its content.
    pub event: SealedEvent,
}

/// What proves the log.
pub trait AuditLog {
    /// Whose log a run or other chain is part of.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn tenant_of(&self, run: &RunId) -> Result<Option<String>, Error>;

    /// All tenants that have a log, by name.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn tenants(&self) -> Result<Vec<String>, Error>;

    /// Signs a checkpoint over all events of a tenant by now, unless the newest one covers them already. Gives the newest one;
    /// none when there are no events.
    ///
    /// # Errors
    /// [`Error::Unsigned`] when nobody signs, or when the log cannot be written.
    fn checkpoint(&self, tenant: &str) -> Result<Option<CheckpointRow>, Error>;

    /// Signed checkpoints of a tenant of at least this size, the smallest first, at most `max`.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn checkpoints(&self, tenant: &str, from_size: u64, max: u32) -> Result<Vec<CheckpointRow>, Error>;

    /// The newest checkpoint of a tenant.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn newest_checkpoint(&self, tenant: &str) -> Result<Option<CheckpointRow>, Error>;

    /// An event's place in the tree, once the tree has grown over it.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn leaf_of(&self, run: &RunId, seq: u64) -> Result<Option<Leaf>, Error>;

    /// The path from a leaf to the root of a tree of this size.
    ///
    /// # Errors
    /// When the log cannot be read, or the tree is not that large.
    fn inclusion(&self, tenant: &str, index: u64, size: u64) -> Result<Vec<Digest>, Error>;

    /// The proof that the tree of one size grew into that of another one.
    ///
    /// # Errors
    /// When the log cannot be read, or the tree is not that large.
    fn consistency(&self, tenant: &str, old: u64, new: u64) -> Result<Vec<Digest>, Error>;

    /// A block of an export, with its path to the root of a tree of this size.
    ///
    /// # Errors
    /// When the log cannot be read, or the tree is not that large.
    fn block(&self, tenant: &str, block: u64, size: u64) -> Result<Block, Error>;

    /// Events of a tenant, or of all, behind a place of the log, in order, at most `max`.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn scan(&self, tenant: Option<&str>, after: i64, max: u32) -> Result<Vec<Scanned>, Error>;

    /// The last place of the log; 0 when it is empty.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn end(&self) -> Result<i64, Error>;

    /// Places in the log of all events of some runs, in order.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn places(&self, runs: &[RunId]) -> Result<Vec<i64>, Error>;

    /// The event at a place of the log.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn at(&self, log_index: i64) -> Result<Option<Scanned>, Error>;

    /// Reads the whole log and checks it: every hash, every chain, the tree of every tenant and the checkpoints signed of it.
    /// `Ok(Err(…))` is the first thing that is wrong. Signatures are the caller's to check.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn verify(&self, verifying: &Verifying<'_>) -> Result<Result<LogReport, Fault>, Error>;
}

impl AuditLog for SqliteStore {
    fn tenant_of(&self, run: &RunId) -> Result<Option<String>, Error> {
        Ok(crate::chains::find(&self.reader(), run.as_str())?.map(|chain| chain.tenant))
    }

    fn tenants(&self) -> Result<Vec<String>, Error> {
        read::tenants(&self.reader())
    }

    fn checkpoint(&self, tenant: &str) -> Result<Option<CheckpointRow>, Error> {
        let tenant = tenant.to_owned();
        let signer = self.signer();
        self.change(move |transaction| checkpoint(transaction, &tenant, signer.as_deref()))
    }

    fn checkpoints(&self, tenant: &str, from_size: u64, max: u32) -> Result<Vec<CheckpointRow>, Error> {
        read::checkpoints(&self.reader(), tenant, from_size, max)
    }

    fn newest_checkpoint(&self, tenant: &str) -> Result<Option<CheckpointRow>, Error> {
        read::newest_checkpoint(&self.reader(), tenant)
    }

    fn leaf_of(&self, run: &RunId, seq: u64) -> Result<Option<Leaf>, Error> {
        read::leaf_of(&self.reader(), run, seq)
    }

    fn inclusion(&self, tenant: &str, index: u64, size: u64) -> Result<Vec<Digest>, Error> {
        read::Tree::of(&self.reader(), tenant).inclusion(index, size)
    }

    fn consistency(&self, tenant: &str, old: u64, new: u64) -> Result<Vec<Digest>, Error> {
        read::Tree::of(&self.reader(), tenant).consistency(old, new)
    }

    fn block(&self, tenant: &str, block: u64, size: u64) -> Result<Block, Error> {
        read::Tree::of(&self.reader(), tenant).block(block, size)
    }

    fn scan(&self, tenant: Option<&str>, after: i64, max: u32) -> Result<Vec<Scanned>, Error> {
        read::scan(&self.reader(), tenant, after, max)
    }

    fn end(&self) -> Result<i64, Error> {
        read::end(&self.reader())
    }

    fn places(&self, runs: &[RunId]) -> Result<Vec<i64>, Error> {
        read::places(&self.reader(), runs)
    }

    fn at(&self, log_index: i64) -> Result<Option<Scanned>, Error> {
        read::at(&self.reader(), log_index)
    }

    fn verify(&self, verifying: &Verifying<'_>) -> Result<Result<LogReport, Fault>, Error> {
        verify::verify(self.path(), verifying)
    }
}
