//! Updates of a run that were not shown yet.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch as flag;

/// Number of updates not yet printed. A question to a person waits for it first: the events that led to it stand above
/// it.
#[derive(Debug, Clone)]
pub struct Backlog(Arc<flag::Sender<usize>>);

impl Backlog {
    pub fn new() -> Self {
        Self(Arc::new(flag::Sender::new(0)))
    }

    pub fn add(&self) {
        self.0.send_modify(|waiting| *waiting += 1);
    }

    pub fn remove(&self) {
        self.0.send_modify(|waiting| *waiting = waiting.saturating_sub(1));
    }

    /// Waits until everything is printed, but not for ever. Says whether it is.
    pub async fn is_printed(&self) -> bool {
        let mut waiting = self.0.subscribe();
        tokio::time::timeout(Duration::from_secs(1), waiting.wait_for(|waiting| *waiting == 0)).await.is_ok()
    }
}
