//! A run as its caller sees it: a stream of updates and a summary.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use fusebox_core::plan::WorkspaceMode;
use fusebox_core::situation::DEFAULT_TENANT;
use fusebox_core::{RunId, RunLimits};
use fusebox_sandbox::Kill;
use fusebox_store::SALT_BYTES;
use tokio::sync::{mpsc, watch};

use crate::Error;
use crate::approver::{ApproveNothing, Approver};
use crate::now::now_us;
use crate::summary::Summary;
use crate::updates::RunUpdate;

/// How to carry out a plan.
#[derive(Clone)]
pub struct RunOptions {
    pub(crate) workspace: Option<PathBuf>,
    pub(crate) mode: WorkspaceMode,
    pub(crate) plan_folder: Option<PathBuf>,
    pub(crate) limits: RunLimits,
    pub(crate) approver: Arc<dyn Approver>,
    pub(crate) tenant: String,
    pub(crate) salt: Option<[u8; SALT_BYTES]>,
}

impl Default for RunOptions {
    fn default() -> Self {
        let nobody = ApproveNothing { reason: "this run has nobody to ask".to_owned() };
        Self {
            workspace: None,
            mode: WorkspaceMode::InPlace,
            plan_folder: None,
            limits: RunLimits::default(),
            approver: Arc::new(nobody),
            tenant: DEFAULT_TENANT.to_owned(),
            salt: None,
        }
    }
}

impl RunOptions {
    /// No workspace but the plan's, no budget but policy's and plan's, nobody to ask.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Works in this folder, whatever the plan names. A plan that asks for a copy gets a copy of it.
    #[must_use]
    pub fn workspace(mut self, folder: impl Into<PathBuf>) -> Self {
        self.workspace = Some(folder.into());
        self
    }

    /// Works on a copy of the workspace.
    #[must_use]
    pub fn on_a_copy(mut self) -> Self {
        self.mode = WorkspaceMode::Copy;
        self
    }

    /// The folder that the plan lies in: where the workspace that it names is looked for.
    #[must_use]
    pub fn plan_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.plan_folder = Some(folder.into());
        self
    }

    /// Budgets and limits of the operator.
    #[must_use]
    pub fn limits(mut self, limits: RunLimits) -> Self {
        self.limits = limits;
        self
    }

    /// On whose account it goes, instead of `default`.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = tenant.into();
        self
    }

    /// Hashes blobs with this salt instead of a random one, so that a run that is repeated with the same inputs gives the same
    /// digests. Whoever knows the salt can guess what was erased.
    #[must_use]
    pub fn salt(mut self, salt: [u8; SALT_BYTES]) -> Self {
        self.salt = Some(salt);
        self
    }

    /// Whom to ask.
    #[must_use]
    pub fn approver(self, approver: impl Approver + 'static) -> Self {
        self.approved_by(Arc::new(approver))
    }

    /// Whom to ask, shared with others.
    #[must_use]
    pub fn approved_by(mut self, approver: Arc<dyn Approver>) -> Self {
        self.approver = approver;
        self
    }
}

/// How far to carry a run on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Until {
    /// To its end, or until it waits for a person.
    #[default]
    End,
    /// To the end of one step.
    NextStep,
}

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
    pub(crate) killer: Killer,
    /// Looks whether another process asks something of it, as long as the run is there.
    pub(crate) _watcher: Arc<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("id", &self.id).field("workspace", &self.workspace).finish_non_exhaustive()
    }
}

/// Stops a run, for good or until it is resumed. Cheap to clone; works from any thread.
#[derive(Debug, Clone)]
pub struct Killer {
    pub(crate) kill: Kill,
    pub(crate) asked: Arc<Mutex<Option<Asked>>>,
    pub(crate) pause: Arc<watch::Sender<Option<String>>>,
}

/// Who asked for an end first, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub by: String,
    pub at_us: u64,
}

impl Killer {
    pub(crate) fn new(kill: Kill) -> Self {
        Self { kill, asked: Arc::default(), pause: Arc::new(watch::Sender::new(None)) }
    }

    /// Kills the run: what is under way stops, and nothing more happens.
    pub fn kill(&self, by: &str) {
        self.kill_since(by, now_us());
    }

    /// Pauses the run once the step under way has ended.
    pub fn pause(&self, by: &str) {
        self.pause.send_if_modified(|asked| asked.is_none() && asked.insert(by.to_owned()) == by);
    }

    /// Pauses the run at once: the step under way is stopped in the middle. When the run goes on, what that step had done is
    /// not done again.
    pub fn interrupt(&self, by: &str) {
        self.pause(by);
        self.kill.kill();
    }

    /// Whether somebody killed the run.
    #[must_use]
    pub fn is_killed(&self) -> bool {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Whether somebody killed the run, or stopped the step under way.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.kill.is_killed()
    }

    /// Waits until somebody kills the run, or stops the step under way.
    pub async fn stopped(&self) {
        self.kill.killed().await;
    }

    /// Who asked for a pause, if anybody did.
    pub(crate) fn pause_asked_by(&self) -> Option<String> {
        self.pause.borrow().clone()
    }

    /// Waits until somebody asks for a pause.
    pub(crate) async fn pause_asked(&self) {
        let mut asked = self.pause.subscribe();
        // The sender lives as long as `self`, so this ends by a request only.
        let _ = asked.wait_for(Option::is_some).await;
    }

    /// Kills it for somebody who asked at this time.
    pub(crate) fn kill_since(&self, by: &str, at_us: u64) {
        let asked = Asked { by: by.to_owned(), at_us };
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(asked);
        self.kill.kill();
    }
}

impl Run {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &RunId {
        &self.id
    }

    /// Where it works.
    #[must_use]
    pub fn workspace(&self) -> &std::path::Path {
        &self.workspace
    }

    /// How many links, devices, FIFOs, sockets and files with further names the copy of the workspace does not have.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// What stops it.
    #[must_use]
    pub fn killer(&self) -> Killer {
        self.killer.clone()
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
                told => told,
            }
        })
        .await
    }

    /// Goes on to the end and gives the summary.
    ///
    /// # Errors
    /// When the log cannot be written; then nothing more was done.
    pub async fn finish(mut self) -> Result<Summary, Error> {
        while self.next().await.is_some() {}
        self.summary.unwrap_or(Err(Error::Store(fusebox_store::Error::Closed)))
    }
}
