//! The role *events*: the log itself, with the blobs that its events name.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use fusebox_core::{Digest, RunId, SealedEvent};
use tokio::sync::{oneshot, watch};

use crate::blob::Blob;
use crate::coordination::Settlement;
use crate::error::Error;

/// Token of the process that creates a run.
pub const FIRST_TOKEN: u64 = 1;

/// Events and the blobs that they refer to: written together or not at all.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Events in order; each continues the chain of its run.
    pub events: Vec<SealedEvent>,
    /// Blobs that the events name by digest; all belong to the chain of the first event. A blob that the chain has
    /// already is stored once.
    pub blobs: Vec<Blob>,
    /// Fence of a writer that holds the run's lease: refused once there is a newer one.
    pub fence: Option<Fence>,
    /// Amounts that runs have used of their tenants' budgets, when they release the rest.
    pub settlements: Vec<Settlement>,
    /// State of a session after these events.
    pub snapshot: Option<Snapshot>,
}

/// State of a session as of one of its events, which follows from the events up to there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Id of the session.
    pub run: RunId,
    /// Place of the event.
    pub seq: u64,
    /// Hash of the event.
    pub head: Digest,
    /// The state, in the form of the program that wrote it.
    pub state: String,
}

/// The right to write to a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// Id of the run.
    pub run: RunId,
    /// The token of the lease.
    pub token: u64,
}

impl Fence {
    /// The right to create a run, and to write to it until another process claims it.
    #[must_use]
    pub fn of_new(run: RunId) -> Self {
        Self { run, token: FIRST_TOKEN }
    }
}

/// Selection of blobs to erase: those of ended runs that meet all conditions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Erasure {
    /// Tenant that owns the runs.
    pub tenant: Option<String>,
    /// Id of the run.
    pub run: Option<RunId>,
    /// Time before which the run's last event lies, in microseconds since 1970; for chains that are not runs, time
    /// before which the blob was stored.
    pub before_us: Option<u64>,
    /// Whether to only count the blobs.
    pub dry_run: bool,
}

/// Result of an erasure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Erased {
    /// Runs that had blobs, with their tenants.
    pub runs: Vec<(RunId, String)>,
    /// Number of blobs.
    pub blobs: u64,
    /// Size of the blobs in bytes.
    pub bytes: u64,
}

/// The append-only log of events, and blobs.
pub trait Events {
    /// Hands a batch to the writer. It is durable once the answer is there.
    fn append(&self, batch: Batch) -> Pending;

    /// Events of a run after place `after`, at most `max`, in order.
    ///
    /// # Errors
    /// When the log cannot be read, or an event differs from the one that was written.
    fn events(&self, run: &RunId, after: u64, max: u32) -> Result<Vec<SealedEvent>, Error>;

    /// Place and hash of the last event of a run; `None` when it has none.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn head(&self, run: &RunId) -> Result<Option<(u64, Digest)>, Error>;

    /// A blob that an event of a run names.
    ///
    /// # Errors
    /// When the log cannot be read, or the blob differs from the one that was written.
    fn blob(&self, run: &RunId, digest: &Digest) -> Result<Option<Blob>, Error>;

    /// Blobs of a run after the first `after`, at most `max`, always in the same order.
    ///
    /// # Errors
    /// When the log cannot be read, or a blob differs from the one that was written.
    fn blobs(&self, run: &RunId, after: u32, max: u32) -> Result<Vec<Blob>, Error>;

    /// Bytes of events and blobs that a tenant has in the log.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn stored(&self, tenant: &str) -> Result<u64, Error>;

    /// Erases blobs of runs that have ended. Events stay, and with them their proofs.
    ///
    /// # Errors
    /// When the log cannot be written.
    fn erase(&self, erasure: Erasure) -> Result<Erased, Error>;

    /// Number of commits of this process, updated after each.
    fn commits(&self) -> watch::Receiver<u64>;
}

/// A write that is under way. Await it, or [`wait`](Self::wait) for it.
#[derive(Debug)]
pub struct Pending(oneshot::Receiver<Result<(), Error>>);

impl Pending {
    /// A write that this answers. A sender that goes without an answer means [`Error::Closed`].
    #[must_use]
    pub fn new(answer: oneshot::Receiver<Result<(), Error>>) -> Self {
        Self(answer)
    }

    /// The answer, if there is one by now: after that, there is none to wait for.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn try_done(&mut self) -> Option<Result<(), Error>> {
        match self.0.try_recv() {
            Ok(answer) => Some(answer),
            Err(oneshot::error::TryRecvError::Closed) => Some(Err(Error::Closed)),
            Err(oneshot::error::TryRecvError::Empty) => None,
        }
    }

    /// Blocks this thread until the batch is durable.
    ///
    /// # Errors
    /// When it could not be written; then no part of it was.
    pub fn wait(self) -> Result<(), Error> {
        pollster::block_on(self)
    }
}

impl Future for Pending {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|answer| answer.unwrap_or(Err(Error::Closed)))
    }
}
