//! Stopping a run from any thread.

use std::sync::Arc;

use fusebox_sandbox::Kill;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::ambient::now_us;

/// Stops a run, for good or until it is resumed. Cheap to clone; works from any thread.
#[derive(Debug, Clone)]
pub struct StopHandle {
    pub(crate) kill: Kill,
    pub(crate) asked: Arc<Mutex<Option<KillRequest>>>,
    pub(crate) pause: Arc<watch::Sender<Option<String>>>,
}

/// The first request for an end, with its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KillRequest {
    pub by: String,
    pub at_us: u64,
}

impl StopHandle {
    pub(crate) fn new(kill: Kill) -> Self {
        Self { kill, asked: Arc::default(), pause: Arc::new(watch::Sender::new(None)) }
    }

    /// Kills the run: the work under way stops, and nothing more happens.
    pub fn kill(&self, by: &str) {
        self.kill_since(by, now_us());
    }

    /// Pauses the run once the step under way has ended.
    pub fn pause(&self, by: &str) {
        self.pause.send_if_modified(|asked| asked.is_none() && asked.insert(by.to_owned()) == by);
    }

    /// Pauses the run at once: the step under way is stopped in the middle. When the run goes on, its completed effects
    /// are not repeated.
    pub fn interrupt(&self, by: &str) {
        self.pause(by);
        self.kill.kill();
    }

    /// Whether the run was killed.
    #[must_use]
    pub fn is_killed(&self) -> bool {
        self.asked.lock().is_some()
    }

    /// Whether the run was killed, or the step under way stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.kill.is_killed()
    }

    /// Waits until the run is killed, or the step under way stopped.
    pub async fn stopped(&self) {
        self.kill.killed().await;
    }

    /// Name of the requester of a pause, if there is one.
    pub(crate) fn pause_asked_by(&self) -> Option<String> {
        self.pause.borrow().clone()
    }

    /// Waits until a pause is requested.
    pub(crate) async fn pause_asked(&self) {
        let mut asked = self.pause.subscribe();
        // The sender lives as long as `self`, so this ends by a request only.
        let _ = asked.wait_for(Option::is_some).await;
    }

    /// Kills the run for a requester, as of this time.
    pub(crate) fn kill_since(&self, by: &str, at_us: u64) {
        let asked = KillRequest { by: by.to_owned(), at_us };
        self.asked.lock().get_or_insert(asked);
        self.kill.kill();
    }
}
