//! Events as they come, for a part of the same program.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use fusebox_store::{Scanned, Store};
use tokio::sync::watch;

use super::sink::LoggedEvent;
use super::worker::next_of;
use crate::error::Error;

/// Time between two looks for events of other processes.
const LOOK: Duration = Duration::from_millis(50);

/// Events of a log from some moment on, in order, written by any process. It holds a bounded number of them; the others
/// wait in the log, so a slow reader misses nothing and delays no run.
pub struct Subscription {
    log: Arc<dyn Store>,
    tenant: Option<String>,
    after: i64,
    held: VecDeque<LoggedEvent>,
    most: u32,
    commits: watch::Receiver<u64>,
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription")
            .field("tenant", &self.tenant)
            .field("held", &self.held.len())
            .finish_non_exhaustive()
    }
}

impl Subscription {
    pub(crate) fn new(log: Arc<dyn Store>, tenant: Option<String>, most: u32) -> Result<Self, Error> {
        let (after, commits) = (log.end()?, log.commits());
        Ok(Self { log, tenant, after, held: VecDeque::new(), most: most.max(1), commits })
    }

    /// Waits for the next event. It needs a tokio runtime with timers.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn next(&mut self) -> Result<LoggedEvent, Error> {
        loop {
            self.commits.mark_unchanged();
            if let Some(event) = self.try_next()? {
                return Ok(event);
            }
            // Commits of this process wake it at once, those of others by and by.
            let _ = tokio::time::timeout(LOOK, self.commits.changed()).await;
        }
    }

    /// The next event, if it has come.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn try_next(&mut self) -> Result<Option<LoggedEvent>, Error> {
        if self.held.is_empty() {
            let (found, last) = next_of(&*self.log, self.tenant.as_deref(), self.after, self.most)?;
            self.after = last;
            self.held
                .extend(found.into_iter().map(|Scanned { tenant, event, .. }| LoggedEvent { tenant, sealed: event }));
        }
        Ok(self.held.pop_front())
    }
}
