//! Checking the log itself, and exports of it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::{BufRead, Read as _};
use std::path::PathBuf;

use fusebox_core::audit::{
    Checkpoint, ExportVerifier, Fault, FaultKind, Follow, Verified, VerifierKey, follow_rotations, tenant_of_origin,
};
use fusebox_store::{LogReport, Verifying};
use parking_lot::Mutex;

use super::Audit;
use super::kept::witnessed;
use super::kept_states;
use crate::error::Error;

/// Longest line of an export, in bytes: an event with its payload, or a blob.
const MAX_LINE_BYTES: u64 = 256 * 1024 * 1024;
/// Number of lines between calls of `progress`.
const TELL_EVERY: u64 = 1024;

/// Options of a check.
pub struct VerifyOptions<'a> {
    /// Keys that are known to be those of the log; its own when there are none.
    pub keys: Vec<VerifierKey>,
    /// An earlier checkpoint, signed, that the log must have grown from.
    pub since: Option<String>,
    /// A file to which all checkpoints were added as they were signed (`audit.witness`).
    pub witness: Option<PathBuf>,
    /// Threads that read and hash, for the log itself.
    pub threads: usize,
    /// Callback with the number of checked events, and the total as far as it is known.
    pub progress: &'a (dyn Fn(u64, Option<u64>) + Sync),
}

impl std::fmt::Debug for VerifyOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifyOptions").field("keys", &self.keys).field("since", &self.since).finish_non_exhaustive()
    }
}

impl Default for VerifyOptions<'_> {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { keys: Vec::new(), since: None, witness: None, threads, progress: &|_, _| {} }
    }
}

impl VerifyOptions<'_> {
    /// The earlier checkpoint. The caller vouches for it: it is compared, not verified.
    fn since(&self) -> Result<Option<Checkpoint>, Error> {
        Ok(self.since.as_deref().map(Checkpoint::unverified).transpose()?)
    }

    /// Keys that were given for a tenant's log.
    fn given(&self, tenant: &str) -> Vec<VerifierKey> {
        self.keys.iter().filter(|key| tenant_of_origin(key.name()) == tenant).cloned().collect()
    }
}

/// Result of a successful check of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogVerdict {
    /// Amounts that were checked.
    pub report: LogReport,
    /// Tenants whose logs were checked with their own keys, because the caller gave none for them.
    pub by_own_keys: Vec<String>,
}

impl Audit {
    /// Reads the whole log and checks it: every event, every chain, every tree and every checkpoint. `Ok(Err(…))` is
    /// the first fault in the log.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn verify_log(&self, options: &VerifyOptions<'_>) -> Result<Result<LogVerdict, Fault>, Error> {
        // A fault of the keys is not a fault of the log.
        for tenant in self.log.tenants()? {
            if options.given(&tenant).is_empty() || self.keys.has(&tenant) {
                self.keys.public_if_any(&*self.log, &tenant)?;
            }
        }
        let mut since = Vec::new();
        if let Some(checkpoint) = options.since()? {
            since.push((tenant_of_origin(&checkpoint.origin).to_owned(), checkpoint));
        }
        // What lies beside the keys was signed by them.
        for (tenant, note) in self.keys.kept()? {
            since.push((tenant, Checkpoint::unverified(&note)?));
        }
        if let Some(witness) = &options.witness {
            since.extend(witnessed(witness)?);
        }
        let known = Mutex::new(HashMap::<String, Vec<VerifierKey>>::new());
        let checkpoint = |tenant: &str, note: &str| {
            let mut all = known.lock();
            let keys = match all.entry(tenant.to_owned()) {
                Entry::Occupied(keys) => keys.into_mut(),
                Entry::Vacant(place) => place.insert(self.known(tenant, options)?),
            };
            let (said, _) = Checkpoint::verified(note, keys).map_err(|error| error.to_string())?;
            if keys.iter().all(|key| key.name() != said.origin) {
                return Err("it is that of another log".to_owned());
            }
            Ok(said)
        };
        let progress = |done: u64, all: u64| (options.progress)(done, Some(all));
        let verifying =
            Verifying { threads: options.threads, checkpoint: &checkpoint, since: &since, progress: &progress };
        let report = match self.log.verify(&verifying)? {
            Ok(report) => report,
            Err(fault) => return Ok(Err(fault)),
        };
        if let Some(fault) = kept_states::fault(&*self.log)? {
            return Ok(Err(fault));
        }
        // A key that was given speaks of a log that must be there, and must have signed it.
        for key in &options.keys {
            let name = tenant_of_origin(key.name());
            let tree = report.tenants.iter().find(|tree| tree.tenant == name);
            if tree.is_none_or(|tree| tree.newest.is_none()) {
                let message = format!("there is no log of {name} with a checkpoint by the key that was given");
                return Ok(Err(Fault::new(FaultKind::Unsigned, message)));
            }
        }
        // The tree may be whole, and the signature of it gone.
        if let Err(Error::LogBehind { tenant, size }) = self.keys.compare(&*self.log) {
            let message =
                format!("the checkpoint of {size} events of {tenant}, kept beside the keys, is not in the log");
            return Ok(Err(Fault::new(FaultKind::Unsigned, message)));
        }
        let tenants = report.tenants.iter().map(|tree| tree.tenant.clone());
        let by_own_keys = tenants.filter(|tenant| options.given(tenant).is_empty()).collect();
        Ok(Ok(LogVerdict { report, by_own_keys }))
    }

    /// Trusted keys for checkpoints of a tenant's log: the given ones, and those that events of the log tie to them;
    /// its own keys when none was given.
    fn known(&self, tenant: &str, options: &VerifyOptions<'_>) -> Result<Vec<VerifierKey>, String> {
        let mut known = options.given(tenant);
        if known.is_empty() {
            return self.keys.public_if_any(&*self.log, tenant).map_err(|error| error.to_string());
        }
        if !self.keys.has(tenant) {
            return Ok(known);
        }
        let ring = self.keys.ring(&*self.log, tenant).map_err(|error| error.to_string())?;
        let rotations = self.rotations(tenant).map_err(|error| error.to_string())?;
        follow_rotations(&rotations, &ring.origin, Follow::Both, &mut known).map_err(|fault| fault.to_string())?;
        Ok(known)
    }

    /// Checks an export. It needs the file alone, and no log.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn verify_export(
        mut file: impl BufRead,
        options: &VerifyOptions<'_>,
    ) -> Result<Result<Verified, Fault>, Error> {
        let mut verifier = ExportVerifier::new(options.keys.clone());
        if let Some(since) = options.since()? {
            verifier = verifier.since(since);
        }
        let (mut line, mut lines) = (Vec::new(), 0_u64);
        loop {
            line.clear();
            let failed = |source| Error::Unreadable { what: "the export", path: "the export".into(), source };
            let read = (&mut file).take(MAX_LINE_BYTES).read_until(b'\n', &mut line).map_err(failed)?;
            if read == 0 {
                break;
            }
            if line.pop() != Some(b'\n') {
                let message = "its last line does not end, so something is cut off, or a line is too long";
                let fault = Fault::new(FaultKind::Truncated, message);
                let (looked_at, _) = verifier.progress();
                return Ok(Err(fault.at_leaf(looked_at)));
            }
            if let Err(fault) = verifier.line(&line) {
                return Ok(Err(fault));
            }
            lines += 1;
            if lines.is_multiple_of(TELL_EVERY) {
                let (looked_at, all) = verifier.progress();
                (options.progress)(looked_at, all);
            }
        }
        Ok(verifier.finish())
    }
}
