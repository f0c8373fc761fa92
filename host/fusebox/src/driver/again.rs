//! Trying a step again: restoring what the failed try changed, and waiting.

use fusebox_core::{Command, Effect};

use super::{Driver, sleep_for};
use crate::Error;
use crate::now::now_us;

impl Driver {
    pub(super) async fn restore(&mut self, restores: &[Effect]) -> Result<(), Error> {
        let mut journal = self.journal.lock().await;
        // What will be restored is durable before anything is.
        journal.flush().await?;
        let failure = self.changes.restore(restores, &self.workspace);
        journal.tell(Command::Restored { failure })?;
        journal.flush().await
    }

    /// Waits before a retry; no longer than the run may take.
    pub(super) async fn wait(&mut self, until_us: u64) -> Result<(), Error> {
        let mut journal = self.journal.lock().await;
        journal.flush().await?;
        let now = now_us();
        let due = until_us.saturating_sub(now);
        let left = journal.state.time_left_us(now).unwrap_or(u64::MAX);
        drop(journal);
        tokio::select! {
            biased;
            () = self.kill.killed() => return Ok(()),
            () = sleep_for(Some(due.min(left))) => {}
        }
        // The timer may be a little early by the clock; then it is asked again.
        if due.min(left) > 0 { Ok(()) } else { self.advance().await }
    }
}
