//! A run as its caller sees it: a stream of updates and a summary.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use fusebox_core::RunId;
use tokio::sync::mpsc;

use crate::error::Error;
use crate::journal::updates::RunUpdate;
use crate::run::summary::Summary;
use crate::signals::stop::StopHandle;

type Driving = Pin<Box<dyn Future<Output = Result<Summary, Error>> + Send>>;

/// A run that is under way. It goes on while [`next`](Self::next) or [`finish`](Self::finish) is awaited, in a tokio
/// runtime with timers and I/O; it starts no task or thread of its own.
pub struct Run {
    pub(crate) id: RunId,
    pub(crate) workspace: PathBuf,
    pub(crate) left_out: u64,
    pub(crate) driving: Option<Driving>,
    pub(crate) updates: mpsc::UnboundedReceiver<RunUpdate>,
    pub(crate) summary: Option<Result<Summary, Error>>,
    pub(crate) stop: StopHandle,
    /// Looks whether another process asks something of it, as long as the run is there.
    pub(crate) _watcher: Arc<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("id", &self.id).field("workspace", &self.workspace).finish_non_exhaustive()
    }
}

impl Run {
    /// Id of the run.
    #[must_use]
    pub fn id(&self) -> &RunId {
        &self.id
    }

    /// Path of the run's workspace.
    #[must_use]
    pub fn workspace(&self) -> &std::path::Path {
        &self.workspace
    }

    /// Number of links, devices, FIFOs, sockets and files with several hard links missing from the copy of the
    /// workspace.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Handle that stops the run.
    #[must_use]
    pub fn stop_handle(&self) -> StopHandle {
        self.stop.clone()
    }

    /// Goes on until there is something to tell; `None` when the run is over.
    pub async fn next(&mut self) -> Option<RunUpdate> {
        std::future::poll_fn(|context| {
            if let Poll::Ready(Some(update)) = self.updates.poll_recv(context) {
                return Poll::Ready(Some(update));
            }
            if let Some(driving) = &mut self.driving
                && let Poll::Ready(summary) = driving.as_mut().poll(context)
            {
                self.summary = Some(summary);
                self.driving = None;
            }
            match self.updates.poll_recv(context) {
                Poll::Pending if self.driving.is_none() => Poll::Ready(None),
                update => update,
            }
        })
        .await
    }

    /// Carries the run on to its end and returns the summary.
    ///
    /// # Errors
    /// When the log cannot be written; then the run does nothing more.
    pub async fn finish(mut self) -> Result<Summary, Error> {
        while self.next().await.is_some() {}
        self.summary.unwrap_or(Err(Error::Store(fusebox_store::Error::Closed)))
    }
}
