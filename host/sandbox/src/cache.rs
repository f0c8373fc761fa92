//! Compiled code, in memory and in a private folder.
//!
//! Loading compiled code runs it, so only code that this host wrote is ever loaded. The folder belongs to its user
//! alone. Each piece of code lies beside a seal: digest of the component, engine, digest of the code and the plugin's
//! description, all under a key that never leaves the folder. Code that does not fit its seal, or was sealed with
//! another key, is compiled again. Its digest is taken anew when the system says that its file has changed.
// The only file of this crate with unsafe code: wasmtime cannot know where compiled code comes from.
#![allow(unsafe_code)]

mod folder;

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use fusebox_core::{Digest, Kind};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use wasmtime::Engine;
use wasmtime::component::Component;

use self::folder::KEY_BYTES;
use crate::inspect::RULES;
use crate::{Error, WASMTIME_VERSION, compile};

/// Largest compiled component, in bytes: Python guests have 38 MiB.
const MAX_CODE_BYTES: u64 = 512 * 1024 * 1024;
/// Largest seal: a plugin's description, escaped, and a few words.
const MAX_SEAL_BYTES: u64 = 8 * 1024 * 1024;
/// Most settings that are remembered of one plugin.
const MAX_SETTINGS: usize = 16;
/// Digits of the code that seals a seal.
const MAC_DIGITS: usize = 64;

/// A component compiled by this host; any engine of the same settings can load it.
#[derive(Clone)]
pub struct Compiled(Code);

#[derive(Clone)]
enum Code {
    Memory(Arc<[u8]>),
    /// Mapped into memory when an engine loads it.
    File(Arc<Kept>),
}

/// A file that is checked once, before it is first loaded.
struct Kept {
    file: File,
    path: PathBuf,
    digest: Digest,
    /// Identity of the file when it had that digest.
    identity: Option<String>,
    /// The component, where it is always at hand.
    component: Option<&'static [u8]>,
    /// `None` when the file matches its seal, else the code compiled again.
    checked: OnceLock<Result<Option<Arc<[u8]>>, String>>,
}

impl Kept {
    fn check(&self, engine: &Engine) -> Result<Option<&[u8]>, Error> {
        let checked = self.checked.get_or_init(|| {
            let is_unchanged = self.identity.is_some() && folder::identity(&self.file) == self.identity;
            if is_unchanged || digest_of_file(&self.file).is_ok_and(|found| found == self.digest) {
                return Ok(None);
            }
            let component = self.component.ok_or("its compiled code was changed by another program")?;
            let (_, code) = compile::checked(engine, component).map_err(|error| error.to_string())?;
            Ok(Some(code.into()))
        });
        let failed = |message: &String| Error::Compile { message: message.clone() };
        checked.as_ref().map(Option::as_deref).map_err(failed)
    }
}

impl Compiled {
    /// Code that was just compiled by this host.
    pub fn new(code: Vec<u8>) -> Self {
        Self(Code::Memory(code.into()))
    }

    /// The code itself, when it is in memory.
    pub fn code(&self) -> Option<&[u8]> {
        match &self.0 {
            Code::Memory(code) => Some(code),
            Code::File(_) => None,
        }
    }

    /// Loads it into an engine.
    pub fn load(&self, engine: &Engine) -> Result<Component, Error> {
        let in_memory = match &self.0 {
            Code::Memory(code) => Ok(&**code),
            Code::File(kept) => kept.check(engine)?.ok_or(kept),
        };
        let component = match in_memory {
            // SAFETY: the bytes were made by `precompile_component` of this host, here or in a process of its own.
            Ok(code) => unsafe { Component::deserialize(engine, code) },
            // SAFETY: the same, by an earlier process of the same user. The file was opened once, checked against a seal
            // that only this user could make, and is never written to again: others replace it by a new one.
            Err(kept) => unsafe { Component::deserialize_file(engine, folder::reopened(&kept.file, &kept.path)) },
        };
        component.map_err(|error| Error::Compile { message: format!("{error:#}") })
    }
}

/// Results of the first load of a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Kind of the plugin.
    pub kind: Kind,
    /// The plugin's description, verbatim.
    pub description: String,
    /// Settings that it found nothing wrong with.
    pub settings: Vec<Digest>,
}

/// Binds code to its inputs.
#[derive(Serialize, Deserialize)]
struct Seal {
    component: Digest,
    /// The rules by which it was checked.
    rules: u32,
    version: String,
    compatibility: String,
    /// BLAKE3 of the code.
    code: Digest,
    /// Identity of the file whose content was seen to have that digest.
    #[serde(default)]
    file: Option<String>,
    known: Known,
}

/// A folder of compiled components. Processes may share it.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
    key: [u8; KEY_BYTES],
    compatibility: String,
    max_bytes: u64,
}

impl Cache {
    /// Uses a folder, creating it for this user alone. Keeps at most this many bytes there.
    pub fn open(folder: &Path, compatibility: &str, max_bytes: u64) -> Result<Self, Error> {
        let failed = |source| Error::Cache { folder: folder.to_owned(), source };
        folder::make_private(folder).map_err(failed)?;
        let key = folder::key(folder).map_err(failed)?;
        let (folder, compatibility) = (folder.to_owned(), compatibility.to_owned());
        Ok(Self { folder, key, compatibility, max_bytes })
    }

    /// The cached code of a component; `None` when it is missing or damaged. It is checked again at its first use: where the
    /// component is always at hand, it is compiled again then.
    pub fn find(&self, component: Digest, bytes: Option<&'static [u8]>) -> Option<(Compiled, Known)> {
        let mut seal = self.seal(component)?;
        let path = self.code_path(component);
        let file = folder::open(&path, MAX_CODE_BYTES)?;
        let identity = folder::identity(&file);
        let checked = OnceLock::new();
        if identity.is_none() || identity != seal.file {
            if digest_of_file(&file).ok()? != seal.code {
                return None;
            }
            if identity.is_some() {
                seal.file = identity;
                // What is not remembered is checked again.
                let _ = self.write_seal(&seal);
            }
        }
        let kept = Kept { file, path, digest: seal.code, identity: seal.file, component: bytes, checked };
        Some((Compiled(Code::File(Arc::new(kept))), seal.known))
    }

    /// Code of a component, as it was stored, and what is known of it; `None` when it is missing or damaged.
    pub fn read(&self, component: Digest) -> Option<(Vec<u8>, Known)> {
        let seal = self.seal(component)?;
        let mut code = Vec::new();
        folder::open(&self.code_path(component), MAX_CODE_BYTES)?.read_to_end(&mut code).ok()?;
        (Digest::from_bytes(blake3::hash(&code).as_bytes())? == seal.code).then_some((code, seal.known))
    }

    /// Stores compiled code. A cache that cannot be written costs time, not correctness.
    pub fn keep(&self, component: Digest, code: &[u8], known: Known) -> io::Result<()> {
        let seal = Seal {
            component,
            rules: RULES,
            version: WASMTIME_VERSION.to_owned(),
            compatibility: self.compatibility.clone(),
            code: Digest::from_bytes(blake3::hash(code).as_bytes()).unwrap_or(Digest::ZERO),
            file: None,
            known,
        };
        // A seal without its code, or with code of another process, does not fit and is made again.
        let file = self.write(&self.code_path(component), code)?;
        let file = folder::identity(&file);
        self.write_seal(&Seal { file, ..seal })?;
        folder::shrink(&self.folder, self.max_bytes)
    }

    /// Remembers settings that a plugin found nothing wrong with: it would say the same again.
    pub fn remember_settings(&self, component: Digest, settings: Digest) -> io::Result<()> {
        let Some(mut seal) = self.seal(component) else { return Ok(()) };
        let known = &mut seal.known.settings;
        known.push(settings);
        known.drain(..known.len().saturating_sub(MAX_SETTINGS));
        self.write_seal(&seal)
    }

    fn write_seal(&self, seal: &Seal) -> io::Result<()> {
        let text = serde_json::to_string(seal)?;
        let mac = Digest::from_bytes(&self.mac(text.as_bytes()).finalize().into_bytes());
        self.write(&self.seal_path(seal.component), format!("{}{text}", mac.unwrap_or(Digest::ZERO)).as_bytes())?;
        Ok(())
    }

    fn seal(&self, component: Digest) -> Option<Seal> {
        let mut sealed = String::new();
        let mut file = folder::open(&self.seal_path(component), MAX_SEAL_BYTES)?;
        file.read_to_string(&mut sealed).ok()?;
        folder::mark_as_used(&file);
        let (mac, text) = sealed.split_at_checked(MAC_DIGITS)?;
        self.mac(text.as_bytes()).verify_slice(mac.parse::<Digest>().ok()?.as_bytes()).ok()?;
        let seal: Seal = serde_json::from_str(text).ok()?;
        let is_ours = seal.rules == RULES
            && seal.component == component
            && seal.version == WASMTIME_VERSION
            && seal.compatibility == self.compatibility;
        is_ours.then_some(seal)
    }

    fn mac(&self, text: &[u8]) -> Hmac<Sha256> {
        Hmac::new(&self.key.into()).chain_update(text)
    }

    fn name(&self, component: Digest) -> String {
        format!("{component}-{}-{WASMTIME_VERSION}", self.compatibility)
    }

    fn code_path(&self, component: Digest) -> PathBuf {
        self.folder.join(format!("{}.cwasm", self.name(component)))
    }

    fn seal_path(&self, component: Digest) -> PathBuf {
        self.folder.join(format!("{}.seal", self.name(component)))
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<File> {
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(content)?;
        Ok(file.persist(path)?)
    }
}

/// BLAKE3 of a file: SHA-256 takes ten times as long where the processor has no instructions for it, and code has megabytes.
fn digest_of_file(file: &File) -> io::Result<Digest> {
    let (mut file, mut hasher) = (file, blake3::Hasher::new());
    file.seek(SeekFrom::Start(0))?;
    hasher.update_reader(file)?;
    Ok(Digest::from_bytes(hasher.finalize().as_bytes()).unwrap_or(Digest::ZERO))
}
