//! The log as the rest of the house sees it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use fusebox_core::{Digest, RunId, SealedEvent};
use tokio::sync::oneshot;

use crate::Error;

/// Events and the blobs that they refer to: written together or not at all.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Events in order; each continues the chain of its run.
    pub events: Vec<SealedEvent>,
    /// Blobs that the events name by digest. Blobs that are there already are kept once.
    pub blobs: Vec<Bytes>,
}

/// A run as the list of runs shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// The run.
    pub run: RunId,
    /// Kind of its last event.
    pub last_event: String,
    /// Time of its first event, in microseconds since 1970.
    pub created_us: u64,
    /// Time of its last event.
    pub updated_us: u64,
    /// Number of its events.
    pub events: u64,
}

/// An event log with blobs.
pub trait EventLog: Send + Sync {
    /// Hands a batch to the writer. It is durable once the answer is there.
    fn append(&self, batch: Batch) -> Pending;

    /// Events of a run behind `after`, at most `max`, in order.
    ///
    /// # Errors
    /// When the log cannot be read, or an event is not what was written.
    fn events(&self, run: &RunId, after: u64, max: u32) -> Result<Vec<SealedEvent>, Error>;

    /// A blob by its digest.
    ///
    /// # Errors
    /// When the log cannot be read, or the blob is not what was written.
    fn blob(&self, digest: &Digest) -> Result<Option<Bytes>, Error>;

    /// The newest runs, newest first, at most `max`.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn runs(&self, max: u32) -> Result<Vec<RunRow>, Error>;
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
