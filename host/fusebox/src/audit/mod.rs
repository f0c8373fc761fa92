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
mod kept;
mod kept_states;
mod keys;
mod proofs;
mod record;
mod retention;
mod verifying;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fusebox_core::audit::VerifierKey;
use fusebox_core::event::{HostEvent, LogRestored};
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
use crate::log::side_chain::{check_owner, record_for_host};
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

    /// The same without comparing the log with what was signed and kept of it: for [`verify_log`](Self::verify_log), which
    /// does that, and [`restored`](Self::restored).
    ///
    /// # Errors
    /// When the home or its log cannot be used.
    pub fn open_unchecked(home: &Path) -> Result<Self, Error> {
        let home = Home::open(home)?;
        let (log, keys) = open_unchecked(&home, &AuditPolicy::default())?;
        Ok(Self { log, keys, redactor: None, policy: Arc::default() })
    }

    /// Takes the log as it is, after a loss: what was signed and is not there is recorded as lost, and lists beside the
    /// events are made anew from them. Returns what was lost, by tenant.
    ///
    /// # Errors
    /// When the log or the keys cannot be read or written.
    pub fn restored(&self, by: &str, reason: &str) -> Result<Vec<LostEvents>, Error> {
        self.log.rebuild_lists()?;
        let mut lost = Vec::new();
        for (tenant, signed) in self.keys.keep_anew(&*self.log)? {
            let found = self.log.newest_checkpoint(&tenant)?.map_or(0, |newest| newest.size);
            let (reason, by) = (reason.to_owned(), by.to_owned());
            record_for_host(&*self.log, &tenant, &HostEvent::LogRestored(LogRestored { signed, found, reason, by }))?;
            lost.push(LostEvents { tenant, signed, found });
        }
        Ok(lost)
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

/// A part of a tenant's log that was signed and is not there any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostEvents {
    /// Name of the tenant.
    pub tenant: String,
    /// Events when the log was last signed.
    pub signed: u64,
    /// Events that a checkpoint in the log covers.
    pub found: u64,
}

/// A log, and the keys that sign what is written to it.
pub(crate) type OpenLog = (Arc<dyn Store>, Arc<AuditKeys>);

/// Opens a home's log with signed checkpoints for all writers, if it is what was signed.
///
/// # Errors
/// [`Error::LogBehind`] when it is older or missing, [`StoreError::ListDamaged`] when a kill switch was changed, or when it
/// cannot be used.
pub(crate) fn open_log(home: &Home, policy: &AuditPolicy) -> Result<OpenLog, Error> {
    let (store, keys) = open_unchecked(home, policy)?;
    keys.compare(&*store)?;
    if let Some(what) = store.switches_fault()? {
        return Err(StoreError::ListDamaged { list: "kill switches", what }.into());
    }
    Ok((store, keys))
}

/// The same without comparing the log with what was kept of it.
pub(crate) fn open_unchecked(home: &Home, policy: &AuditPolicy) -> Result<OpenLog, Error> {
    let keys = Arc::new(AuditKeys::of(home, policy.witness.as_deref().map(Into::into)));
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
