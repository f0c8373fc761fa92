//! Checking the log itself, and exports of it.

use std::io::{BufRead, Read as _};

use fusebox_core::audit::{Checkpoint, ExportVerifier, Fault, FaultKind, Verified, VerifierKey};
use fusebox_store::{LogReport, Verifying};

use super::Audit;
use crate::Error;

/// Longest line of an export, in bytes: an event with its payload, or a blob.
const MAX_LINE_BYTES: u64 = 256 * 1024 * 1024;
/// Lines after which progress is told.
const TELL_EVERY: u64 = 1024;

/// How to check.
pub struct VerifyOptions<'a> {
    /// Keys that are known to be those of the log; its own when there are none.
    pub keys: Vec<VerifierKey>,
    /// An earlier checkpoint, signed, that the log must have grown from.
    pub since: Option<String>,
    /// Threads that read and hash, for the log itself.
    pub threads: usize,
    /// Is told how many events were looked at, and how many there are, as far as that is known.
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
        Self { keys: Vec::new(), since: None, threads, progress: &|_, _| {} }
    }
}

impl VerifyOptions<'_> {
    /// The earlier checkpoint, if the keys that were given signed it.
    fn since(&self, own: &[VerifierKey]) -> Result<Option<Checkpoint>, Error> {
        let Some(note) = &self.since else { return Ok(None) };
        let known = if self.keys.is_empty() { own } else { &self.keys };
        // Without any key it is compared as it is: whoever gives it answers for it.
        if known.is_empty() {
            Ok(Some(Checkpoint::unverified(note)?))
        } else {
            Ok(Some(Checkpoint::verified(note, known)?.0))
        }
    }
}

/// What holds of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogVerdict {
    /// What was looked at.
    pub report: LogReport,
    /// Tenants whose logs were checked with their own keys, because none was given for them.
    pub by_own_keys: Vec<String>,
}

impl Audit {
    /// Reads the whole log and checks it: every event, every chain, every tree and every checkpoint. `Ok(Err(…))` is the first
    /// thing that is wrong.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn verify_log(&self, options: &VerifyOptions<'_>) -> Result<Result<LogVerdict, Fault>, Error> {
        let mut since = Vec::new();
        if let Some(note) = &options.since {
            let said = Checkpoint::unverified(note)?;
            let tenant = said.origin.rsplit('/').next().unwrap_or_default().to_owned();
            let own = self.keys.public_if_any(&tenant)?;
            if let Some(checkpoint) = options.since(&own)? {
                since.push((tenant, checkpoint));
            }
        }
        let checkpoint = |tenant: &str, note: &str| {
            let own = self.keys.public_if_any(tenant).map_err(|error| error.to_string())?;
            // Keys that were given are for the logs that they name; others are checked with their own.
            let given = options.keys.iter().filter(|key| names(key, tenant)).cloned();
            let mut known: Vec<VerifierKey> = given.collect();
            if known.is_empty() {
                known = own;
            } else {
                self.follow_rotations(tenant, &mut known).map_err(|error| error.to_string())?;
            }
            let (said, _) = Checkpoint::verified(note, &known).map_err(|error| error.to_string())?;
            if known.iter().all(|key| key.name() != said.origin) {
                return Err("it is that of another log".to_owned());
            }
            Ok(said)
        };
        let progress = |done: u64, all: u64| (options.progress)(done, Some(all));
        let verifying =
            Verifying { threads: options.threads, checkpoint: &checkpoint, since: &since, progress: &progress };
        let is_given = |tenant: &str| options.keys.iter().any(|key| names(key, tenant));
        Ok(self.log.verify(&verifying)?.map(|report| {
            let tenants = report.tenants.iter().map(|tree| tree.tenant.clone());
            let by_own_keys = tenants.filter(|tenant| !is_given(tenant)).collect();
            LogVerdict { report, by_own_keys }
        }))
    }

    /// The other keys of a log of which one is known: those that came after it, as events of the log say, and those before it,
    /// whose checkpoints the tree under the known one must have grown through.
    fn follow_rotations(&self, tenant: &str, known: &mut Vec<VerifierKey>) -> Result<(), Error> {
        let ring = self.keys.ring(tenant)?;
        if ring.keys.iter().any(|key| known.contains(&key.public)) {
            known.extend(ring.keys.iter().map(|key| key.public.clone()));
        }
        Ok(())
    }

    /// Checks an export. It needs no log: whoever has the file can do so.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn verify_export(
        mut file: impl BufRead,
        options: &VerifyOptions<'_>,
    ) -> Result<Result<Verified, Fault>, Error> {
        let mut verifier = ExportVerifier::new(options.keys.clone());
        if let Some(since) = options.since(&[])? {
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

/// Whether a key is that of a tenant's log, by its name.
fn names(key: &VerifierKey, tenant: &str) -> bool {
    key.name().rsplit('/').next() == Some(tenant)
}
