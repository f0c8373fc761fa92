//! The audit log: its proofs, its exports, and records of other programs.
//!
//! ```
//! use fusebox::{Audit, Record};
//!
//! # let folder = tempfile::tempdir()?;
//! # let home = folder.path();
//! let audit = Audit::open(home)?;
//! let proposed = audit.record("default", Record::proposed("mail-bot", "send_mail", "a reply to Ann"))?;
//! audit.record("default", Record::executed("mail-bot", "send_mail", "sent").because(proposed))?;
//! let checkpoint = audit.checkpoint("default")?.unwrap();
//! assert_eq!(checkpoint.size, 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod export;
mod keys;
mod proofs;
mod record;
mod retention;
mod verifying;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fusebox_core::audit::VerifierKey;
use fusebox_core::id::DEFAULT_TENANT;
use fusebox_core::policy::AuditPolicy;
use fusebox_core::{Policy, RunId};
use fusebox_store::{CheckpointRow, Error as StoreError, Signing, SqliteStore, Store};

pub use export::{ExportOptions, Exported};
pub use keys::AuditKeys;
pub use proofs::ConsistencyProof;
pub use record::{Record, RecordKind};
pub use retention::EraseOptions;
pub use verifying::{LogVerdict, VerifyOptions};

use crate::error::Error;
use crate::home::Home;
use crate::log::side_chain::check_owner;
use crate::redaction::Redactor;

/// The audit log of a home, for all tenants.
#[derive(Clone)]
pub struct Audit {
    pub(crate) log: Arc<dyn Store>,
    pub(crate) keys: Arc<AuditKeys>,
    /// Redactor of secrets in records, if guards of a policy redact.
    pub(crate) redactor: Option<Arc<Redactor>>,
    /// The policy that says how much tenants may have in the log.
    pub(crate) policy: Arc<Policy>,
}

impl std::fmt::Debug for Audit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Audit").field("keys", &self.keys).finish_non_exhaustive()
    }
}

impl Audit {
    /// The audit log of a home, without a policy: records are stored without redaction.
    ///
    /// # Errors
    /// When the home or its log cannot be used.
    pub fn open(home: &Path) -> Result<Self, Error> {
        let home = Home::open(home)?;
        let (log, keys) = open_log(&home, &AuditPolicy::default())?;
        Ok(Self { log, keys, redactor: None, policy: Arc::default() })
    }

    /// Public keys of a tenant's log, the newest last.
    ///
    /// # Errors
    /// When they cannot be read, or there is no such tenant yet.
    pub fn keys(&self, tenant: &str) -> Result<Vec<VerifierKey>, Error> {
        self.check_known(tenant)?;
        self.keys.public(&*self.log, tenant)
    }

    /// The default tenant has keys before it has a log; any other one is a slip of the pen until something is written for it.
    fn check_known(&self, tenant: &str) -> Result<(), Error> {
        check_owner(tenant)?;
        if tenant == DEFAULT_TENANT || self.keys.has(tenant) || self.log.tenants()?.iter().any(|known| known == tenant)
        {
            return Ok(());
        }
        Err(Error::NothingToExport { tenant: tenant.to_owned() })
    }

    /// All tenants that have a log, by name. Events that concern no tenant are in the log of `@host`.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn tenants(&self) -> Result<Vec<String>, Error> {
        Ok(self.log.tenants()?)
    }

    /// Tenant that owns a run or other chain.
    ///
    /// # Errors
    /// When there is no such run, or the log cannot be read.
    pub fn tenant_of(&self, run: &RunId) -> Result<String, Error> {
        self.log.tenant_of(run)?.ok_or_else(|| Error::UnknownRun { run: run.to_string() })
    }

    /// Bytes of events and blobs that a tenant has in the log.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn stored(&self, tenant: &str) -> Result<u64, Error> {
        Ok(self.log.stored(tenant)?)
    }

    /// Signs a checkpoint over all current events of a tenant; none when there are no events.
    ///
    /// # Errors
    /// When it cannot be signed or written.
    pub fn checkpoint(&self, tenant: &str) -> Result<Option<CheckpointRow>, Error> {
        check_owner(tenant)?;
        Ok(self.log.checkpoint(tenant)?)
    }

    /// Checkpoints that were signed, the newest first, at most `max`.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn checkpoints(&self, tenant: &str, max: u32) -> Result<Vec<CheckpointRow>, Error> {
        let mut all = self.log.checkpoints(tenant, 0, u32::MAX)?;
        all.reverse();
        all.truncate(max as usize);
        Ok(all)
    }
}

/// Opens a home's log with signed checkpoints for all writers.
pub(crate) fn open_log(home: &Home, policy: &AuditPolicy) -> Result<(Arc<dyn Store>, Arc<AuditKeys>), Error> {
    let keys = Arc::new(AuditKeys::of(home));
    let signing = Signing {
        signer: Arc::clone(&keys) as Arc<dyn fusebox_store::SignCheckpoints>,
        every_events: policy.every_events,
        every: Duration::from_millis(policy.every_ms),
    };
    Ok((Arc::new(SqliteStore::open_signing(&home.log(), signing)?), keys))
}

/// Error when the stored tree is not the signed one, so that it proves nothing.
pub(crate) fn unproven(tenant: &str) -> Error {
    let what = "the stored tree is not the signed one".to_owned();
    StoreError::TreeDamaged { tenant: tenant.to_owned(), what }.into()
}
