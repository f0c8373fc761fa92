//! Keys of approvers: the holder of a key can approve without a terminal.
//!
//! A key is an ed25519 key (RFC 8032) in a file, or an SSH key whose private half an ssh-agent holds: in a keyring, or in
//! a hardware token. Its public half is listed in the home, which no agent can reach. The signature covers the question
//! and the answer, and the log keeps it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use ed25519_dalek::{Signature, Signer as _, SigningKey, Verifier as _, VerifyingKey};
use fusebox_core::event::Signed;
use fusebox_core::{ApprovalAnswer, ApprovalId, Binding, json};
use serde::{Deserialize, Serialize};

#[cfg(unix)]
use super::{ssh::SshKey, ssh_agent};
use crate::ambient::random;
use crate::error::Error;
use crate::hex::{from_hex, hex};
use crate::home::Home;
use crate::input::read_file;

/// Largest file with a key or a list of keys, in bytes.
const MAX_BYTES: usize = 1024 * 1024;
/// Longest name, in characters.
const MAX_NAME_CHARS: usize = 64;

/// An approver's key, for signing.
pub struct ApproverKey {
    name: String,
    half: PrivateHalf,
}

/// Place of the private half.
enum PrivateHalf {
    /// Here.
    Read(SigningKey),
    /// With the ssh-agent that listens at a socket.
    #[cfg(unix)]
    Agent { key: SshKey, socket: PathBuf },
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
    /// Reads a key from its file: one that [`KnownKeys::add`] wrote, or the public half of an SSH key (`.pub`) that is
    /// listed and that the ssh-agent of this environment (`SSH_AUTH_SOCK`) holds.
    ///
    /// # Errors
    /// When the file cannot be read, others may read a private half, it holds no key, or there is no agent.
    pub fn read(path: &Path, known: &KnownKeys) -> Result<Self, Error> {
        let bytes = read_file("the key", path, MAX_BYTES)?;
        if !bytes.trim_ascii_start().starts_with(b"{") {
            return Self::of_agent(&bytes, known);
        }
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
        Ok(Self { name: file.approver, half: PrivateHalf::Read(SigningKey::from_bytes(&seed)) })
    }

    #[cfg(unix)]
    fn of_agent(text: &[u8], known: &KnownKeys) -> Result<Self, Error> {
        let key = ssh_key(text)?;
        let line = key.line();
        let name = known.all().find(|(_, public)| *public == line).map(|(name, _)| name.to_owned());
        let name = name.ok_or_else(|| {
            bad("no approver with this SSH key is known here; add it with `fusebox approvers add NAME --ssh FILE`"
                .to_owned())
        })?;
        let socket = std::env::var_os("SSH_AUTH_SOCK").filter(|socket| !socket.is_empty()).map(PathBuf::from);
        let socket = socket.ok_or_else(|| bad("there is no ssh-agent: SSH_AUTH_SOCK is not set".to_owned()))?;
        Ok(Self { name, half: PrivateHalf::Agent { key, socket } })
    }

    #[cfg(not(unix))]
    fn of_agent(_: &[u8], _: &KnownKeys) -> Result<Self, Error> {
        Err(bad("it is no key of Fusebox, and SSH keys are used on Unix alone".to_owned()))
    }

    /// Name of the approver.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Signs a text. A token may ask for a touch meanwhile.
    pub(crate) fn sign(&self, text: &[u8]) -> Result<String, Error> {
        match &self.half {
            PrivateHalf::Read(key) => Ok(hex(&key.sign(text).to_bytes())),
            #[cfg(unix)]
            PrivateHalf::Agent { key, socket } => {
                let signature = ssh_agent::sign(socket, key, &SshKey::signed_bytes(text)).map_err(bad)?;
                let stored = key.wrap(&signature);
                if key.verifies(&stored, text) {
                    Ok(stored)
                } else {
                    Err(bad("the ssh-agent gave a wrong signature".to_owned()))
                }
            }
        }
    }

    /// The public half, as it is listed.
    fn public(&self) -> String {
        match &self.half {
            PrivateHalf::Read(key) => hex(key.verifying_key().as_bytes()),
            #[cfg(unix)]
            PrivateHalf::Agent { key, .. } => key.line(),
        }
    }
}

#[cfg(unix)]
fn ssh_key(text: &[u8]) -> Result<SshKey, Error> {
    let text = std::str::from_utf8(text).map_err(|_| bad("it is no key: it is not text".to_owned()))?;
    SshKey::parse(text).map_err(|why| bad(format!("it is no key: {why}")))
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

    /// Names of approvers, with their public keys: hexadecimal digits, or the line of an SSH key.
    pub fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.keys.iter().map(|(name, key)| (name.as_str(), key.as_str()))
    }

    /// Creates a key for an approver, writes its private half to a new file that only this user can read, and lists the
    /// public one.
    ///
    /// # Errors
    /// When the name is taken or cannot be used, or a file cannot be written.
    pub fn add(&mut self, name: &str, file: &Path) -> Result<String, Error> {
        self.check_name(name)?;
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

    /// Lists an SSH key of an approver, whose private half an ssh-agent holds.
    ///
    /// # Errors
    /// When the name is taken or cannot be used, the file holds no such key, or the list cannot be written.
    #[cfg(unix)]
    pub fn add_ssh(&mut self, name: &str, file: &Path) -> Result<String, Error> {
        self.check_name(name)?;
        let line = ssh_key(&read_file("the SSH key", file, MAX_BYTES)?)?.line();
        if let Some((other, _)) = self.keys.iter().find(|(_, known)| **known == line) {
            return Err(bad(format!("it is the key of {other} already")));
        }
        self.keys.insert(name.to_owned(), line.clone());
        self.write()?;
        Ok(line)
    }

    fn check_name(&self, name: &str) -> Result<(), Error> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-_@".contains(c);
        if name.is_empty() || name.len() > MAX_NAME_CHARS || !name.chars().all(is_plain) {
            return Err(bad(format!("{name:?} is no name: use 1 to 64 letters, digits, `.`, `_`, `-` or `@`")));
        }
        if self.keys.contains_key(name) {
            return Err(bad(format!("{name} has a key already; remove it first")));
        }
        Ok(())
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
        let public = key.public();
        match self.keys.get(&key.name) {
            Some(known) if *known == public => Ok(()),
            Some(_) => Err(bad(format!("it is not the key that is known for {}", key.name))),
            None => Err(bad(format!("no approver {} is known here; `fusebox approvers` lists them", key.name))),
        }
    }

    /// Whether a signature is that of a known approver over this answer.
    #[must_use]
    pub fn verifies(&self, signed: &Signed, id: &ApprovalId, binding: &Binding, answer: &ApprovalAnswer) -> bool {
        let Some(listed) = self.keys.get(&signed.key) else { return false };
        let text = answer.signed_text(id, binding);
        #[cfg(unix)]
        if let Ok(key) = SshKey::parse(listed) {
            return key.verifies(&signed.signature, text.as_bytes());
        }
        let public = from_hex(listed).and_then(|key| key.try_into().ok());
        let signature = from_hex(&signed.signature).and_then(|bytes| Signature::from_slice(&bytes).ok());
        let (Some(public), Some(signature)) = (public, signature) else { return false };
        let Ok(public) = VerifyingKey::from_bytes(&public) else { return false };
        public.verify(text.as_bytes(), &signature).is_ok()
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
        let known = KnownKeys::open(&home).unwrap();
        let key = ApproverKey::read(&file, &known).unwrap();
        known.check(&key).unwrap();
        let binding = Binding(fusebox_core::Digest::of(b"binding"));
        let id = ApprovalId::of(&binding, 1);
        let reject =
            |reason: &str| ApprovalAnswer::Rejected { by: "ann".into(), channel: "key".into(), reason: reason.into() };
        let signature = key.sign(reject("a").signed_text(&id, &binding).as_bytes()).unwrap();
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
