//! Keys that sign checkpoints: each tenant has its own, made on first use and kept in the home.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use fusebox_core::audit::{Checkpoint, SigningKey, VerifierKey, tenant_of_origin};
use fusebox_core::event::EventRef;
use fusebox_core::{Digest, json};
use fusebox_store::{CheckpointRow, SignCheckpoints, Store};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::ambient::random;
use crate::error::Error;
use crate::hex::{from_hex, hex};
use crate::home::Home;
use crate::input::read_file;

/// Largest file of keys, in bytes.
const MAX_BYTES: usize = 1024 * 1024;
/// Origin of logs without a configured one. The domain never exists (RFC 2606).
const DOMAIN: &str = "fusebox.invalid";

/// The keys of all tenants of a home.
pub struct AuditKeys {
    folder: PathBuf,
    /// File that all checkpoints are added to.
    witness: Option<PathBuf>,
    /// Keys as they were read, with the time of their file then.
    read: Mutex<HashMap<String, (SystemTime, Arc<Keyring>)>>,
}

impl std::fmt::Debug for AuditKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditKeys").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// The keys of one tenant, the newest last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Keyring {
    pub origin: String,
    pub keys: Vec<Key>,
}

/// A key, whose secret half is erased once another key has replaced it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Key {
    pub public: VerifierKey,
    /// The secret seed, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seed: Option<String>,
    /// Proof of the change from the previous key to this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub introduced: Option<Introduced>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("public", &self.public.to_string()).finish_non_exhaustive()
    }
}

/// The event that says that a key comes after another one, and the checkpoint that both signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Introduced {
    pub event: EventRef,
    /// Leaves of the checkpoint's tree; none until it is signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

impl AuditKeys {
    /// The keys of a home. Nothing is read or made yet.
    pub(crate) fn of(home: &Home, witness: Option<PathBuf>) -> Self {
        Self { folder: home.path().join("audit"), witness, read: Mutex::default() }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn witness(&self) -> Option<&Path> {
        self.witness.as_deref()
    }

    /// Whether a tenant has keys, usable or not.
    pub(crate) fn has(&self, tenant: &str) -> bool {
        self.file(tenant).exists()
    }

    /// The public keys of a tenant, the newest last.
    pub(crate) fn public(&self, log: &dyn Store, tenant: &str) -> Result<Vec<VerifierKey>, Error> {
        Ok(self.ring(log, tenant)?.keys.iter().map(|key| key.public.clone()).collect())
    }

    /// The public keys of a tenant, if it has any yet.
    pub(crate) fn public_if_any(&self, log: &dyn Store, tenant: &str) -> Result<Vec<VerifierKey>, Error> {
        if self.has(tenant) || log.newest_checkpoint(tenant)?.is_some() {
            return self.public(log, tenant);
        }
        Ok(Vec::new())
    }

    /// The keys of a tenant, made if there are none and nothing of its log is signed yet.
    pub(crate) fn ring(&self, log: &dyn Store, tenant: &str) -> Result<Arc<Keyring>, Error> {
        self.ring_after(tenant, || Ok(log.newest_checkpoint(tenant)?))
    }

    /// As [`ring`](Self::ring), by the newest checkpoint, if it is asked for.
    fn ring_after(
        &self,
        tenant: &str,
        newest: impl FnOnce() -> Result<Option<CheckpointRow>, Error>,
    ) -> Result<Arc<Keyring>, Error> {
        let file = self.file(tenant);
        let time = |file: &Path| std::fs::metadata(file).and_then(|metadata| metadata.modified()).ok();
        let Some(modified) = time(&file) else {
            if newest()?.is_some() {
                // Signatures of another key would not follow from the earlier ones.
                let message = format!(
                    "its log is signed with keys that were in {}, and that file is gone; put it back from a copy, or begin a new home",
                    file.display()
                );
                return Err(bad(tenant, message));
            }
            self.make(tenant, &file)?;
            let modified = time(&file).ok_or_else(|| bad(tenant, "its file is gone".to_owned()))?;
            return self.read_ring(tenant, &file, modified);
        };
        let read = self.read.lock();
        if let Some((_, ring)) = read.get(tenant).filter(|(then, _)| *then == modified) {
            return Ok(Arc::clone(ring));
        }
        drop(read);
        self.read_ring(tenant, &file, modified)
    }

    fn read_ring(&self, tenant: &str, file: &Path, modified: SystemTime) -> Result<Arc<Keyring>, Error> {
        refuse_shown_to_others(tenant, file)?;
        let bytes = read_file("the keys of the log", file, MAX_BYTES)?;
        let ring: Keyring = json::parse_as("the keys of the log", &bytes, MAX_BYTES)?;
        if ring.keys.last().is_none_or(|key| key.seed.is_none()) || tenant_of_origin(&ring.origin) != tenant {
            return Err(bad(tenant, "its file holds no key that signs".to_owned()));
        }
        let ring = Arc::new(ring);
        let mut read = self.read.lock();
        read.insert(tenant.to_owned(), (modified, Arc::clone(&ring)));
        Ok(ring)
    }

    /// Makes the first key. Several processes may do so at once; the first one's stays.
    fn make(&self, tenant: &str, file: &Path) -> Result<(), Error> {
        let seed = random()?;
        // The log is named after its first key, so no two logs have one name.
        let nameless = SigningKey::from_seed(DOMAIN, &seed)?.verifier().to_string();
        let id: String = Digest::of(nameless.as_bytes()).to_string().chars().take(16).collect();
        let origin = format!("{DOMAIN}/{id}/{tenant}");
        let key = Key::new(&origin, &seed, None)?;
        let written = self.write(tenant, &Keyring { origin, keys: vec![key] })?;
        match written.persist_noclobber(file) {
            Ok(_) => Ok(()),
            Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(bad(tenant, error.error.to_string())),
        }
    }

    /// Adds a key that signs together with the current one, until that one is [retired](Self::retire). An added key
    /// that is not yet in force is used again.
    pub(crate) fn add(&self, log: &dyn Store, tenant: &str) -> Result<Keyring, Error> {
        let mut ring = (*self.ring(log, tenant)?).clone();
        if ring.signing().count() < 2 {
            let seed = random()?;
            ring.keys.push(Key::new(&ring.origin, &seed, None)?);
            self.replace(tenant, &ring)?;
        }
        Ok(ring)
    }

    /// Stores the proof of the change from the previous key to the newest one.
    pub(crate) fn introduce(&self, tenant: &str, ring: &mut Keyring, introduced: Introduced) -> Result<(), Error> {
        if let Some(newest) = ring.keys.last_mut() {
            newest.introduced = Some(introduced);
        }
        self.replace(tenant, ring)
    }

    /// Forgets the secret halves of all keys but the newest.
    pub(crate) fn retire(&self, tenant: &str, ring: &mut Keyring) -> Result<(), Error> {
        let last = ring.keys.len().saturating_sub(1);
        ring.keys.iter_mut().take(last).for_each(|key| key.seed = None);
        self.replace(tenant, ring)
    }

    /// Only one process changes the keys of a home at a time.
    pub(crate) fn lock(&self) -> Result<std::fs::File, Error> {
        self.lock_file(".lock")
    }

    /// Waits for a lock by its file, beside the keys.
    pub(super) fn lock_file(&self, name: &str) -> Result<std::fs::File, Error> {
        let tenant = "this home";
        self.make_folder(tenant)?;
        let failed = |error: std::io::Error| bad(tenant, error.to_string());
        let mut options = std::fs::OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(self.folder.join(name)).map_err(failed)?;
        file.lock().map_err(failed)?;
        Ok(file)
    }

    fn replace(&self, tenant: &str, ring: &Keyring) -> Result<(), Error> {
        let file = self.file(tenant);
        let written = self.write(tenant, ring)?;
        written.persist(&file).map_err(|error| bad(tenant, error.error.to_string()))?;
        self.read.lock().remove(tenant);
        Ok(())
    }

    /// Writes keys to a file beside their own, which only this user can read.
    fn write(&self, tenant: &str, ring: &Keyring) -> Result<tempfile::NamedTempFile, Error> {
        self.make_folder(tenant)?;
        let failed = |error: std::io::Error| bad(tenant, error.to_string());
        // Files for temporary use are made with mode 0600.
        let mut file = tempfile::NamedTempFile::new_in(&self.folder).map_err(failed)?;
        writeln!(file, "{}", json::canonical(ring)).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        Ok(file)
    }

    fn make_folder(&self, tenant: &str) -> Result<(), Error> {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&self.folder).map_err(|error| bad(tenant, error.to_string()))
    }

    fn file(&self, tenant: &str) -> PathBuf {
        self.folder.join(format!("{tenant}.json"))
    }
}

impl SignCheckpoints for AuditKeys {
    fn sign(&self, tenant: &str, size: u64, root: &Digest, newest: Option<&CheckpointRow>) -> Result<String, String> {
        let ring = self.ring_after(tenant, || Ok(newest.cloned())).map_err(|error| error.to_string())?;
        let before = newest.map(|newest| Checkpoint::unverified(&newest.note)).transpose();
        if before.map_err(|error| error.to_string())?.is_some_and(|before| before.origin != ring.origin) {
            return Err("its keys are those of another log".to_owned());
        }
        let text = Checkpoint { origin: ring.origin.clone(), size, root: *root }.to_text();
        let lines = ring.signing().map(|key| key.signing(&ring.origin).map(|key| key.signature_line(&text)));
        let lines: String = lines.collect::<Result<_, _>>().map_err(|error: Error| error.to_string())?;
        Ok(format!("{text}\n{lines}"))
    }

    fn keep(&self, tenant: &str, note: &str) {
        Self::keep(self, tenant, note);
    }
}

impl Keyring {
    /// Keys that sign: one, or two while one comes after the other.
    fn signing(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter().filter(|key| key.seed.is_some())
    }
}

impl Key {
    fn new(origin: &str, seed: &[u8; 32], introduced: Option<Introduced>) -> Result<Self, Error> {
        let public = SigningKey::from_seed(origin, seed)?.verifier();
        Ok(Self { public, seed: Some(hex(seed)), introduced })
    }

    fn signing(&self, origin: &str) -> Result<SigningKey, Error> {
        let seed = self.seed.as_ref().and_then(|seed| from_hex(seed)?.try_into().ok());
        let seed: [u8; 32] = seed.ok_or_else(|| bad(origin, "a seed has 64 hexadecimal digits".to_owned()))?;
        Ok(SigningKey::from_seed(origin, &seed)?)
    }
}

#[cfg_attr(not(unix), allow(unused_variables, clippy::unnecessary_wraps))]
fn refuse_shown_to_others(tenant: &str, file: &Path) -> Result<(), Error> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(file).map(|metadata| metadata.permissions().mode()).unwrap_or_default();
        if mode & 0o077 != 0 {
            return Err(bad(tenant, format!("others can read {}; use `chmod 600` on it", file.display())));
        }
    }
    Ok(())
}

pub(super) fn bad(tenant: &str, message: String) -> Error {
    Error::AuditKey { tenant: tenant.to_owned(), message }
}
