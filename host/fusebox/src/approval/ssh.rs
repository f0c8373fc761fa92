//! SSH keys of approvers: signatures come from an ssh-agent, so that a key can live in a keyring or a hardware token and
//! no program reads it.
//!
//! A signature is an SSHSIG blob (OpenSSH, PROTOCOL.sshsig) in the namespace [`NAMESPACE`], so `ssh-keygen -Y verify`
//! checks it as well.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use sha2::{Digest as _, Sha256, Sha512};

use super::ssh_wire::{Reader, Writer};

/// Namespace of signatures over answers.
pub const NAMESPACE: &str = "fusebox-approval";
/// Beginning of a stored signature of this kind.
const PREFIX: &str = "sshsig:";
/// First bytes of a signature and of what is signed.
const MAGIC: &[u8] = b"SSHSIG";
/// Version of the format.
const VERSION: u32 = 1;
/// The hash of the message in what is signed.
const HASH: &str = "sha512";
/// Flag of a security key's signature: a person was there.
const PRESENT: u8 = 1;

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshKey {
    /// Kind of the key, such as `ssh-ed25519`.
    kind: String,
    /// The key as it is sent to an agent.
    blob: Vec<u8>,
}

impl SshKey {
    /// Reads a line of a `.pub` file: kind, key in base64, comment.
    ///
    /// # Errors
    /// A message, when it is no such line, or of a kind whose signatures cannot be checked.
    pub fn parse(line: &str) -> Result<Self, String> {
        let mut words = line.split_whitespace();
        let (Some(kind), Some(text)) = (words.next(), words.next()) else {
            return Err("an SSH public key is a line of its kind and its text, as in a .pub file".to_owned());
        };
        let blob = STANDARD.decode(text).map_err(|_| "its text is not base64".to_owned())?;
        let inner = Reader::new(&blob).text().ok_or("its text is cut off")?;
        if inner != kind.as_bytes() {
            return Err("its text is that of a key of another kind".to_owned());
        }
        let key = Self { kind: kind.to_owned(), blob };
        match kind {
            "ssh-ed25519" | "sk-ssh-ed25519@openssh.com" | "ecdsa-sha2-nistp256" | "ssh-rsa" => Ok(key),
            _ => Err(format!(
                "keys of the kind {kind} are not supported; use ssh-ed25519, sk-ssh-ed25519@openssh.com, \
                 ecdsa-sha2-nistp256 or ssh-rsa"
            )),
        }
    }

    /// The line of a `.pub` file, without a comment.
    pub fn line(&self) -> String {
        format!("{} {}", self.kind, STANDARD.encode(&self.blob))
    }

    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// Whether the key is an RSA key, of which an agent is asked for a particular hash.
    pub fn is_rsa(&self) -> bool {
        self.kind == "ssh-rsa"
    }

    /// Bytes that the agent signs for a message.
    pub fn signed_bytes(message: &[u8]) -> Vec<u8> {
        let hash = Sha512::digest(message);
        let mut bytes = MAGIC.to_vec();
        bytes.extend(Writer::default().text(NAMESPACE.as_bytes()).text(b"").text(HASH.as_bytes()).text(&hash).finish());
        bytes
    }

    /// The stored form of an agent's signature.
    pub fn wrap(&self, signature: &[u8]) -> String {
        let mut blob = MAGIC.to_vec();
        let fields = Writer::default().number(VERSION).text(&self.blob).text(NAMESPACE.as_bytes()).text(b"");
        blob.extend(fields.text(HASH.as_bytes()).text(signature).finish());
        format!("{PREFIX}{}", STANDARD.encode(blob))
    }

    /// Whether a stored signature is this key's over the message.
    pub fn verifies(&self, stored: &str, message: &[u8]) -> bool {
        self.checked(stored, message).unwrap_or(false)
    }

    fn checked(&self, stored: &str, message: &[u8]) -> Option<bool> {
        let blob = STANDARD.decode(stored.strip_prefix(PREFIX)?).ok()?;
        let mut fields = Reader::new(blob.strip_prefix(MAGIC)?);
        let is_ours = fields.number()? == VERSION
            && fields.text()? == self.blob
            && fields.text()? == NAMESPACE.as_bytes()
            && fields.text()?.is_empty()
            && fields.text()? == HASH.as_bytes();
        let mut signature = Reader::new(fields.text()?);
        let (kind, bytes) = (signature.text()?, signature.text()?);
        let bytes_signed = Self::signed_bytes(message);
        let mut key = Reader::new(&self.blob);
        key.text()?;
        let holds = match (self.kind.as_str(), kind) {
            ("ssh-ed25519", b"ssh-ed25519") => {
                signature::UnparsedPublicKey::new(&signature::ED25519, key.text()?).verify(&bytes_signed, bytes).is_ok()
            }
            ("sk-ssh-ed25519@openssh.com", b"sk-ssh-ed25519@openssh.com") => {
                let (public, application) = (key.text()?, key.text()?);
                let (flags, counter) = (signature.byte()?, signature.number()?);
                let mut said = Sha256::digest(application).to_vec();
                said.push(flags);
                said.extend(counter.to_be_bytes());
                said.extend(Sha256::digest(&bytes_signed));
                flags & PRESENT != 0 && UnparsedPublicKey::new(&signature::ED25519, public).verify(&said, bytes).is_ok()
            }
            ("ecdsa-sha2-nistp256", b"ecdsa-sha2-nistp256") => {
                key.text()?;
                let mut both = Reader::new(bytes);
                let fixed = [both.integer(32)?, both.integer(32)?].concat();
                UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, key.text()?)
                    .verify(&bytes_signed, &fixed)
                    .is_ok()
            }
            ("ssh-rsa", b"rsa-sha2-512") => {
                let (e, n) = (key.text()?, key.text()?);
                let trimmed = |bytes: &[u8]| bytes.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<u8>>();
                RsaPublicKeyComponents { n: trimmed(n), e: trimmed(e) }
                    .verify(&signature::RSA_PKCS1_2048_8192_SHA512, &bytes_signed, bytes)
                    .is_ok()
            }
            _ => false,
        };
        Some(is_ours && holds)
    }
}
