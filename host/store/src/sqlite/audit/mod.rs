//! Proofs on SQLite.

mod grow;
mod lists;
mod read;
mod regrow;
mod sign;
mod verify;

use fusebox_core::audit::{Block, Fault};
use fusebox_core::{Digest, RunId};

pub use grow::grow;
pub use sign::{FIRST_SIGNED, SignWhat, Signer, Tried, checkpoint};

use crate::audit::{AuditLog, CheckpointRow, Leaf, LogReport, Scanned, Verifying};
use crate::error::Error;
use crate::sqlite::SqliteStore;

impl AuditLog for SqliteStore {
    fn tenant_of(&self, run: &RunId) -> Result<Option<String>, Error> {
        Ok(crate::sqlite::chains::find(&self.reader(), run.as_str())?.map(|chain| chain.tenant))
    }

    fn tenants(&self) -> Result<Vec<String>, Error> {
        read::tenants(&self.reader())
    }

    fn checkpoint(&self, tenant: &str) -> Result<Option<CheckpointRow>, Error> {
        let tenant = tenant.to_owned();
        let signer = self.signer();
        self.change(move |transaction| checkpoint(transaction, &tenant, signer.as_deref()))
    }

    fn checkpoints(&self, tenant: &str, from_size: u64, max: u32) -> Result<Vec<CheckpointRow>, Error> {
        read::checkpoints(&self.reader(), tenant, from_size, max)
    }

    fn newest_checkpoint(&self, tenant: &str) -> Result<Option<CheckpointRow>, Error> {
        read::newest_checkpoint(&self.reader(), tenant)
    }

    fn leaf_of(&self, run: &RunId, seq: u64) -> Result<Option<Leaf>, Error> {
        read::leaf_of(&self.reader(), run, seq)
    }

    fn inclusion(&self, tenant: &str, index: u64, size: u64) -> Result<Vec<Digest>, Error> {
        read::Tree::of(&self.reader(), tenant).inclusion(index, size)
    }

    fn consistency(&self, tenant: &str, old: u64, new: u64) -> Result<Vec<Digest>, Error> {
        read::Tree::of(&self.reader(), tenant).consistency(old, new)
    }

    fn block(&self, tenant: &str, block: u64, size: u64) -> Result<Block, Error> {
        read::Tree::of(&self.reader(), tenant).block(block, size)
    }

    fn scan(&self, tenant: Option<&str>, after: i64, max: u32) -> Result<Vec<Scanned>, Error> {
        read::scan(&self.reader(), tenant, after, max)
    }

    fn end(&self) -> Result<i64, Error> {
        read::end(&self.reader())
    }

    fn places(&self, runs: &[RunId]) -> Result<Vec<i64>, Error> {
        read::places(&self.reader(), runs)
    }

    fn at(&self, log_index: i64) -> Result<Option<Scanned>, Error> {
        read::at(&self.reader(), log_index)
    }

    fn rebuild_lists(&self) -> Result<(), Error> {
        self.rebuild_read_models()
    }

    fn switches_fault(&self) -> Result<Option<String>, Error> {
        lists::switches_fault(&self.reader())
    }

    fn verify(&self, verifying: &Verifying<'_>) -> Result<Result<LogReport, Fault>, Error> {
        verify::verify(self.path(), verifying)
    }
}
