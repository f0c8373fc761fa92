//! The role *audit*: the Merkle tree of each tenant's events in the order of the log (RFC 6962), and the checkpoints signed over it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fusebox_core::audit::{Block, Checkpoint, Fault};
use fusebox_core::{Digest, RunId, SealedEvent};

use crate::error::Error;

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
    /// Tenant that owns the tree.
    pub tenant: String,
    /// Index of the leaf, counted from 0.
    pub index: u64,
}

/// An event in the order of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    /// Its place in the log, over all tenants.
    pub log_index: i64,
    /// Tenant whose log it is part of.
    pub tenant: String,
    /// The event. Its hash is as stored, and not compared with its content.
    pub event: SealedEvent,
}

/// Signer of checkpoints.
pub trait SignCheckpoints: Send + Sync {
    /// Signs a tenant's tree of this size and root, which follows the newest checkpoint so far. Returns the signed
    /// note.
    ///
    /// # Errors
    /// The reason why it cannot be signed, in words.
    fn sign(&self, tenant: &str, size: u64, root: &Digest, newest: Option<&CheckpointRow>) -> Result<String, String>;

    /// A note that was signed is durable in the log, so that it can be kept elsewhere.
    fn keep(&self, tenant: &str, note: &str);
}

/// Signer of checkpoints, and the intervals at which it signs.
#[derive(Clone)]
pub struct Signing {
    /// Signer of the checkpoints.
    pub signer: Arc<dyn SignCheckpoints>,
    /// After so many events of a tenant that this process wrote.
    pub every_events: u64,
    /// After this time since the last one, as soon as there are new events.
    pub every: Duration,
}

impl fmt::Debug for Signing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signing")
            .field("every_events", &self.every_events)
            .field("every", &self.every)
            .finish_non_exhaustive()
    }
}

/// Options of a check of the log.
pub struct Verifying<'a> {
    /// Threads that read and hash; one of them joins as well when there is only one.
    pub threads: usize,
    /// Checks the signature of a note over a tenant's tree, and returns its checkpoint.
    pub checkpoint: &'a (dyn Fn(&str, &str) -> Result<Checkpoint, String> + Sync),
    /// Earlier checkpoints that tenants' trees must have grown from.
    pub since: &'a [(String, Checkpoint)],
    /// Callback with the number of checked events, and their total.
    pub progress: &'a (dyn Fn(u64, u64) + Sync),
}

impl fmt::Debug for Verifying<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifying").field("threads", &self.threads).finish_non_exhaustive()
    }
}

/// Result of a check of the whole log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogReport {
    /// Events that were read.
    pub events: u64,
    /// Runs and other chains.
    pub chains: u64,
    /// Each tenant's tree, by name.
    pub tenants: Vec<TenantReport>,
}

/// Result of a check of one tenant's tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantReport {
    /// Name of the tenant.
    pub tenant: String,
    /// Leaves of the tree.
    pub size: u64,
    /// Root of the tree.
    pub root: Digest,
    /// Signed checkpoints, all of which the tree grew through.
    pub checkpoints: u64,
    /// The newest of them.
    pub newest: Option<CheckpointRow>,
}

/// Proofs of the log.
pub trait AuditLog {
    /// Tenant whose log a run or other chain is part of.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn tenant_of(&self, run: &RunId) -> Result<Option<String>, Error>;

    /// All tenants that have a log, by name.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn tenants(&self) -> Result<Vec<String>, Error>;

    /// Signs a checkpoint over all current events of a tenant, unless the newest one covers them already. Returns the
    /// newest one; none when there are no events.
    ///
    /// # Errors
    /// [`Error::Unsigned`] when there is no signer, or when the log cannot be written.
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

    /// Events of a tenant, or of all, after a place of the log, in order, at most `max`.
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

    /// Makes the lists of runs, questions, kill switches and pauses anew from the events.
    ///
    /// # Errors
    /// When the log cannot be read or written.
    fn rebuild_lists(&self) -> Result<(), Error>;

    /// Fault in the list of kill switches, in words. It costs little, so it can be looked for at every start.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn switches_fault(&self) -> Result<Option<String>, Error>;

    /// Reads the whole log and checks it: every hash, every chain, the tree of every tenant and its signed checkpoints, and
    /// that the lists beside the events follow from them: runs, questions, kill switches, pauses, leases, shares of budgets,
    /// stored bytes.
    /// `Ok(Err(…))` is the first fault in the log. The caller checks the signatures.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn verify(&self, verifying: &Verifying<'_>) -> Result<Result<LogReport, Fault>, Error>;
}
