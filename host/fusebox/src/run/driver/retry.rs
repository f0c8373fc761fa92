//! Retries of a step: restoring the changes of the failed try, and waiting.

use fusebox_core::Effect;
use fusebox_core::run::DriverCommand;

use super::{Driver, sleep_for};
use crate::error::Error;
use crate::execution::undo::restore;

impl Driver {
    pub(super) async fn restore(&mut self, restores: &[Effect]) -> Result<(), Error> {
        let mut journal = self.journal.lock().await;
        // The upcoming restoration is durable before it begins.
        journal.flush().await?;
        let failure = restore(restores, &self.workspace, |digest| journal.kept(digest))?;
        journal.submit(DriverCommand::Restored { failure })?;
        journal.flush().await
    }

    /// Waits before a step; no longer than the run may take.
    pub(super) async fn wait(&mut self, until_us: u64) -> Result<(), Error> {
        let mut journal = self.journal.lock().await;
        journal.flush().await?;
        let due = until_us.saturating_sub(journal.now_us());
        let left = journal.time_left_us()?.unwrap_or(u64::MAX);
        drop(journal);
        tokio::select! {
            biased;
            () = self.stop.stopped() => return Ok(()),
            () = self.stop.pause_asked() => return Ok(()),
            () = sleep_for(Some(due.min(left))) => {}
        }
        // The timer may be a little early by the clock; then it is asked again.
        if due.min(left) > 0 { Ok(()) } else { self.advance().await }
    }
}
