//! The log as the rest of the house sees it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use fusebox_core::{BudgetKind, Digest, RunId, SealedEvent};
use tokio::sync::{oneshot, watch};

use crate::audit::AuditLog;
use crate::blobs::Blob;
use crate::rows::{QuestionRow, RunFilter, RunRow, Switch};
use crate::tenants::{Settlement, Share};
use crate::writer::FIRST_TOKEN;
use crate::{Erased, Erasure, Error};

/// Events and the blobs that they refer to: written together or not at all.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Events in order; each continues the chain of its run.
    pub events: Vec<SealedEvent>,
    /// Blobs that the events name by digest; all belong to the chain of the first event. What it has already is kept once.
    pub blobs: Vec<Blob>,
    /// Who writes, if it is a holder of the run's lease: refused once there is a newer one.
    pub fence: Option<Fence>,
    /// What runs have used of their tenants' budgets, when they give back the rest.
    pub settlements: Vec<Settlement>,
}

/// The right to write to a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// The run.
    pub run: RunId,
    /// The token of the lease.
    pub token: u64,
}

impl Fence {
    /// The right to create a run, and to write to it until somebody else claims it.
    #[must_use]
    pub fn of_new(run: RunId) -> Self {
        Self { run, token: FIRST_TOKEN }
    }
}

/// An event log with blobs, the lists that events come to, and what runs share.
pub trait EventLog: AuditLog + Send + Sync {
    /// Hands a batch to the writer. It is durable once the answer is there.
    fn append(&self, batch: Batch) -> Pending;

    /// Events of a run behind `after`, at most `max`, in order.
    ///
    /// # Errors
    /// When the log cannot be read, or an event is not what was written.
    fn events(&self, run: &RunId, after: u64, max: u32) -> Result<Vec<SealedEvent>, Error>;

    /// Place and hash of the last event of a run; `None` when it has none.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn head(&self, run: &RunId) -> Result<Option<(u64, Digest)>, Error>;

    /// A blob that an event of a run names.
    ///
    /// # Errors
    /// When the log cannot be read, or the blob is not what was written.
    fn blob(&self, run: &RunId, digest: &Digest) -> Result<Option<Blob>, Error>;

    /// Blobs of a run behind the first `after`, at most `max`, always in the same order.
    ///
    /// # Errors
    /// When the log cannot be read, or a blob is not what was written.
    fn blobs(&self, run: &RunId, after: u32, max: u32) -> Result<Vec<Blob>, Error>;

    /// Bytes of events and blobs that a tenant has in the log.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn stored(&self, tenant: &str) -> Result<u64, Error>;

    /// Erases blobs of runs that have ended. Events stay, and with them what was proved.
    ///
    /// # Errors
    /// When the log cannot be written.
    fn erase(&self, erasure: Erasure) -> Result<Erased, Error>;

    /// The newest runs that pass a filter, newest first, at most `max`.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn runs(&self, filter: &RunFilter, max: u32) -> Result<Vec<RunRow>, Error>;

    /// One run, if it is there.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn run(&self, run: &RunId) -> Result<Option<RunRow>, Error>;

    /// Runs that may need to be brought into a sound state: those that were under way when last heard of and were not looked
    /// after since, and those that wait for an answer whose time is up.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn unsettled(&self, now_us: u64) -> Result<Vec<RunRow>, Error>;

    /// Questions that are open, oldest first, at most `max`.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn open_questions(&self, max: u32) -> Result<Vec<QuestionRow>, Error>;

    /// Questions whose ids begin so, open or not; two at the most.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn questions(&self, prefix: &str) -> Result<Vec<QuestionRow>, Error>;

    /// The kill switch that ends a run, if there is one: set, or set since the run was created and lifted again.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn killed_by(&self, run: &RunId) -> Result<Option<Switch>, Error>;

    /// Unfinished runs that a kill switch ends.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn to_be_killed(&self) -> Result<Vec<RunRow>, Error>;

    /// Who asked for a pause of a run that has not taken place, and why.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn pause_asked(&self, run: &RunId) -> Result<Option<(String, String)>, Error>;

    /// Kill switches that are set.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn switches(&self) -> Result<Vec<Switch>, Error>;

    /// A new token for the lease of a run: whoever has an older one cannot write any more.
    ///
    /// # Errors
    /// When the log cannot be written.
    fn claim(&self, run: &RunId) -> Result<u64, Error>;

    /// Sets a share of a tenant's budget aside for a run. Gives back what the run has set aside or used in all.
    ///
    /// # Errors
    /// [`Error::BudgetExceeded`] when the budget cannot cover it, or when the log cannot be written.
    fn allot(&self, share: Share) -> Result<u64, Error>;

    /// What one run of a tenant has set aside or used.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn allotment(&self, tenant: &str, run: &RunId, budget: BudgetKind) -> Result<u64, Error>;

    /// What all runs of a tenant have set aside or used.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn allotted(&self, tenant: &str, budget: BudgetKind) -> Result<u64, Error>;

    /// Is told after each commit of this process, by how many there were.
    fn commits(&self) -> watch::Receiver<u64>;

    /// How far a sink was told; none when it never was.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn told(&self, sink: &str) -> Result<Option<i64>, Error>;

    /// Keeps in mind how far a sink was told.
    ///
    /// # Errors
    /// When the log cannot be written.
    fn set_told(&self, sink: &str, log_index: i64) -> Result<(), Error>;

    /// The state of a breaker or rate limit, with its version; version 0 when there is none yet.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn gauge(&self, name: &str) -> Result<(u64, String), Error>;

    /// Replaces the state of a breaker or rate limit, if nobody did since this version. Says whether it did.
    ///
    /// # Errors
    /// When the log cannot be written.
    fn set_gauge(&self, name: &str, version: u64, state: String) -> Result<bool, Error>;
}

/// A write that is under way. Await it, or [`wait`](Self::wait) for it.
#[derive(Debug)]
pub struct Pending(oneshot::Receiver<Result<(), Error>>);

impl Pending {
    pub(crate) fn new(answer: oneshot::Receiver<Result<(), Error>>) -> Self {
        Self(answer)
    }

    /// Blocks this thread until the batch is durable.
    ///
    /// # Errors
    /// When it could not be written; then nothing of it was.
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
