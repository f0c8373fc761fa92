//! Keys of approvers: the holder of a key can approve without a terminal.
//!
//! A key is an ed25519 key (RFC 8032). Its public half is listed in the home, which no agent can reach; its private
//! half is a file that the approver keeps elsewhere. The signature covers the question and the answer, and the log
//! keeps it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use ed25519_dalek::{Signature, Signer as _, SigningKey, Verifier as _, VerifyingKey};
use fusebox_core::event::Signed;
use fusebox_core::{ApprovalAnswer, ApprovalId, Binding, json};
use serde::{Deserialize, Serialize};

use crate::ambient::random;
use crate::error::Error;
use crate::hex::{from_hex, hex};
use crate::home::Home;
use crate::input::read_file;

/// Largest file with a key or a list of keys, in bytes.
const MAX_BYTES: usize = 1024 * 1024;
/// Longest name, in characters.
const MAX_NAME_CHARS: usize = 64;

/// The private half of an approver's key.
pub struct ApproverKey {
    name: String,
    key: SigningKey,
}

impl std::fmt::Debug for ApproverKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApproverKey").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A file with a private key.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    approver: String,
    /// The secret seed, in hexadecimal digits.
    ed25519_seed: String,
}

impl ApproverKey {
    /// Reads a key from its file.
    ///
    /// # Errors
    /// When the file cannot be read, others may read it, or it holds no key.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let bytes = read_file("the key", path, MAX_BYTES)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(path).map(|metadata| metadata.permissions().mode()).unwrap_or_default();
            if mode & 0o077 != 0 {
                return Err(bad(format!("others can read {}; use `chmod 600` on it", path.display())));
            }
        }
        let file: KeyFile = json::parse_as("the key", &bytes, MAX_BYTES)?;
        let seed = from_hex(&file.ed25519_seed).and_then(|seed| seed.try_into().ok());
        let seed: [u8; 32] = seed.ok_or_else(|| bad("it holds no seed of 64 hexadecimal digits".to_owned()))?;
        Ok(Self { name: file.approver, key: SigningKey::from_bytes(&seed) })
    }

    /// Name of the approver.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn sign(&self, text: &[u8]) -> String {
        hex(&self.key.sign(text).to_bytes())
    }
}

/// Approvers whose keys are known in a home.
#[derive(Debug)]
pub struct KnownKeys {
    path: PathBuf,
    keys: BTreeMap<String, String>,
}

impl KnownKeys {
    /// Opens the list of a home.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open(home: &Home) -> Result<Self, Error> {
        let path = home.path().join("approvers.json");
        let keys = if path.exists() {
            json::parse_as("the list of approvers", &read_file("the list of approvers", &path, MAX_BYTES)?, MAX_BYTES)?
        } else {
            BTreeMap::new()
        };
        Ok(Self { path, keys })
    }

    /// Names of approvers, with their public keys in hexadecimal digits.
    pub fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.keys.iter().map(|(name, key)| (name.as_str(), key.as_str()))
    }

    /// Creates a key for an approver, writes its private half to a new file that only this user can read, and lists the
    /// public one.
    ///
    /// # Errors
    /// When the name is taken or cannot be used, or a file cannot be written.
    pub fn add(&mut self, name: &str, file: &Path) -> Result<String, Error> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-_@".contains(c);
        if name.is_empty() || name.len() > MAX_NAME_CHARS || !name.chars().all(is_plain) {
            return Err(bad(format!("{name:?} is no name: use 1 to 64 letters, digits, `.`, `_`, `-` or `@`")));
        }
        if self.keys.contains_key(name) {
            return Err(bad(format!("{name} has a key already; remove it first")));
        }
        let seed: [u8; 32] = random()?;
        let key = SigningKey::from_bytes(&seed);
        let text = json::canonical(&KeyFile { approver: name.to_owned(), ed25519_seed: hex(&seed) });
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let failed = |error: std::io::Error| bad(format!("{} cannot be written: {error}", file.display()));
        let mut written = options.open(file).map_err(failed)?;
        writeln!(written, "{text}").and_then(|()| written.sync_all()).map_err(failed)?;
        let public = hex(key.verifying_key().as_bytes());
        self.keys.insert(name.to_owned(), public.clone());
        self.write()?;
        Ok(public)
    }

    /// Removes an approver from the list. Returns whether they were on it.
    ///
    /// # Errors
    /// When the list cannot be written.
    pub fn remove(&mut self, name: &str) -> Result<bool, Error> {
        let was = self.keys.remove(name).is_some();
        if was {
            self.write()?;
        }
        Ok(was)
    }

    /// Whether a key is the one that is listed for its approver.
    pub(crate) fn check(&self, key: &ApproverKey) -> Result<(), Error> {
        let public = hex(key.key.verifying_key().as_bytes());
        match self.keys.get(&key.name) {
            Some(known) if *known == public => Ok(()),
            Some(_) => Err(bad(format!("it is not the key that is known for {}", key.name))),
            None => Err(bad(format!("no approver {} is known here; `fusebox approvers` lists them", key.name))),
        }
    }

    /// Whether a signature is that of a known approver over this answer.
    #[must_use]
    pub fn verifies(&self, signed: &Signed, id: &ApprovalId, binding: &Binding, answer: &ApprovalAnswer) -> bool {
        let public = self.keys.get(&signed.key).and_then(|key| from_hex(key)).and_then(|key| key.try_into().ok());
        let signature = from_hex(&signed.signature).and_then(|bytes| Signature::from_slice(&bytes).ok());
        let (Some(public), Some(signature)) = (public, signature) else { return false };
        let Ok(public) = VerifyingKey::from_bytes(&public) else { return false };
        public.verify(answer.signed_text(id, binding).as_bytes(), &signature).is_ok()
    }

    fn write(&self) -> Result<(), Error> {
        let failed = |error: std::io::Error| bad(format!("the list of approvers cannot be written: {error}"));
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        file.write_all(json::canonical(&self.keys).as_bytes()).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(&self.path).map_err(|error| failed(error.error))?;
        Ok(())
    }
}

fn bad(message: String) -> Error {
    Error::BadKey { message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_for_one_answer_of_one_approver() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(&folder.path().join("home")).unwrap();
        let mut known = KnownKeys::open(&home).unwrap();
        let file = folder.path().join("ann.key");
        known.add("ann", &file).unwrap();
        assert!(known.add("ann", &folder.path().join("other")).is_err(), "the name is taken");
        assert!(known.add("bob", &file).is_err(), "no file is overwritten");
        assert!(known.add("../x", &folder.path().join("x")).is_err());
        let key = ApproverKey::read(&file).unwrap();
        let known = KnownKeys::open(&home).unwrap();
        known.check(&key).unwrap();
        let binding = Binding(fusebox_core::Digest::of(b"binding"));
        let id = ApprovalId::of(&binding, 1);
        let reject =
            |reason: &str| ApprovalAnswer::Rejected { by: "ann".into(), channel: "key".into(), reason: reason.into() };
        let signature = key.sign(reject("a").signed_text(&id, &binding).as_bytes());
        let signed = Signed { key: "ann".into(), signature };
        assert!(known.verifies(&signed, &id, &binding, &reject("a")));
        assert!(!known.verifies(&signed, &id, &binding, &reject("b")));
        assert!(!known.verifies(&signed, &ApprovalId::of(&binding, 2), &binding, &reject("a")));
        assert!(!known.verifies(&Signed { signature: "zz".into(), ..signed.clone() }, &id, &binding, &reject("a")));
        let mut known = known;
        assert!(known.remove("ann").unwrap());
        assert!(known.check(&key).is_err() && !known.verifies(&signed, &id, &binding, &reject("a")));
    }
}
