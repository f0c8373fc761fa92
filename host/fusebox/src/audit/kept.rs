//! Checkpoints kept outside of the log: the newest of each tenant beside its keys, so that a log that is missing, cut or
//! older than that is noticed; and all of them in a file that the policy names, the *witness*.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use fusebox_core::audit::{Checkpoint, tenant_of_origin};
use fusebox_store::Store;

use super::keys::AuditKeys;
use crate::error::Error;
use crate::input::read_file;

/// Ending of the files beside the keys.
const ENDING: &str = "signed";
/// File whose lock a process holds while it keeps one: a change of keys, which has a lock of its own, signs as well.
const LOCK: &str = ".keeping";
/// Largest kept checkpoint, in bytes.
const MAX_NOTE_BYTES: usize = 64 * 1024;
/// Largest witness that is read, in bytes.
const MAX_WITNESS_BYTES: usize = 256 * 1024 * 1024;

impl AuditKeys {
    /// Keeps a checkpoint that was signed and is durable in the log, unless a newer one is kept. A failure changes nothing:
    /// the kept one is older then, and what it says still holds.
    pub(super) fn keep(&self, tenant: &str, note: &str) {
        let _ = self.try_keep(tenant, note);
        if let Some(witness) = self.witness() {
            let _ = append(witness, note);
        }
    }

    fn try_keep(&self, tenant: &str, note: &str) -> Result<(), Error> {
        let size = |note: &str| Checkpoint::unverified(note).map_or(0, |checkpoint| checkpoint.size);
        // Processes keep theirs one after another, so that the newest stays.
        let _lock = self.lock_file(LOCK)?;
        let file = self.kept_file(tenant);
        let kept = fs::read_to_string(&file).unwrap_or_default();
        if size(&kept) >= size(note) {
            return Ok(());
        }
        let failed = |error: std::io::Error| super::keys::bad(tenant, error.to_string());
        // One write of as many bytes leaves no moment at which the file holds anything else than a checkpoint.
        if kept.len() == note.len() {
            let mut file = fs::OpenOptions::new().write(true).open(&file).map_err(failed)?;
            return file.write_all(note.as_bytes()).map_err(failed);
        }
        let mut written = tempfile::NamedTempFile::new_in(self.folder()).map_err(failed)?;
        // Without waiting for the disk: after a loss of power an older one stands here, or an empty file.
        written.write_all(note.as_bytes()).map_err(failed)?;
        written.persist(&file).map_err(|error| failed(error.error))?;
        Ok(())
    }

    /// All kept checkpoints, each with its tenant.
    pub(super) fn kept(&self) -> Result<Vec<(String, String)>, Error> {
        let failed =
            |source| Error::Unreadable { what: "the kept checkpoints", path: self.folder().to_owned(), source };
        let entries = match fs::read_dir(self.folder()) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut kept = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            let tenant = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".signed"));
            let Some(tenant) = tenant.map(ToOwned::to_owned) else { continue };
            let note = read_file("the kept checkpoint", &path, MAX_NOTE_BYTES)?;
            // What the power took before it was on disk says as little as a file that is not there.
            if note.iter().all(|byte| *byte == 0) {
                continue;
            }
            let note = String::from_utf8(note)
                .map_err(|_| super::keys::bad(&tenant, "its checkpoint is no text".to_owned()))?;
            kept.push((tenant, note));
        }
        kept.sort();
        Ok(kept)
    }

    fn kept_file(&self, tenant: &str) -> PathBuf {
        self.folder().join(format!("{tenant}.{ENDING}"))
    }

    /// Compares the log with the kept checkpoints.
    ///
    /// # Errors
    /// [`Error::LogBehind`] when a kept checkpoint is not in the log, or is not signed by the tenant's keys.
    pub(super) fn compare(&self, log: &dyn Store) -> Result<(), Error> {
        if self.compare_now(log).is_ok() {
            return Ok(());
        }
        // Another process may have been writing one.
        let _lock = self.lock_file(LOCK)?;
        self.compare_now(log)
    }

    fn compare_now(&self, log: &dyn Store) -> Result<(), Error> {
        for (tenant, note) in self.kept()? {
            let size = match Checkpoint::verified(&note, &self.public(log, &tenant)?) {
                Ok((checkpoint, _)) => checkpoint.size,
                Err(error) => {
                    let file = self.kept_file(&tenant);
                    let message = format!("{} does not hold what its keys signed: {error}", file.display());
                    return Err(super::keys::bad(&tenant, message));
                }
            };
            let found = log.checkpoints(&tenant, size, 1)?;
            if found.first().is_none_or(|found| found.size != size || found.note != note) {
                return Err(Error::LogBehind { tenant, size });
            }
        }
        Ok(())
    }

    /// Takes the log as it is: the kept checkpoints that are not in it are put aside, and the newest in it are kept.
    pub(super) fn keep_anew(&self, log: &dyn Store) -> Result<Vec<(String, u64)>, Error> {
        let mut lost = Vec::new();
        for (tenant, note) in self.kept()? {
            let size = Checkpoint::unverified(&note).map_or(0, |checkpoint| checkpoint.size);
            let found = log.checkpoints(&tenant, size, 1)?;
            if found.first().is_some_and(|found| found.size == size && found.note == note) {
                continue;
            }
            let file = self.kept_file(&tenant);
            let aside = file.with_extension(format!("{ENDING}.{size}"));
            fs::rename(&file, &aside).map_err(|error| super::keys::bad(&tenant, error.to_string()))?;
            if let Some(newest) = log.newest_checkpoint(&tenant)? {
                self.try_keep(&tenant, &newest.note)?;
            }
            lost.push((tenant, size));
        }
        Ok(lost)
    }
}

/// Adds a checkpoint at the end of a witness; an empty line stands behind each.
fn append(witness: &Path, note: &str) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new().create(true).append(true).open(witness)?;
    file.write_all(format!("{note}\n").as_bytes())?;
    file.sync_data()
}

/// Checkpoints of a witness, each with its tenant.
///
/// # Errors
/// When it cannot be read, or holds something else.
pub(super) fn witnessed(file: &Path) -> Result<Vec<(String, Checkpoint)>, Error> {
    let bytes = read_file("the witness", file, MAX_WITNESS_BYTES)?;
    let text = String::from_utf8_lossy(&bytes);
    // A note is a text, an empty line, and signatures.
    let mut parts = text.split("\n\n").filter(|part| !part.trim().is_empty());
    let mut all = Vec::new();
    while let Some(said) = parts.next() {
        let signatures = parts.next().unwrap_or_default().trim_end();
        let checkpoint = Checkpoint::unverified(&format!("{said}\n\n{signatures}\n"))?;
        all.push((tenant_of_origin(&checkpoint.origin).to_owned(), checkpoint));
    }
    Ok(all)
}
