//! Signed notes (c2sp.org/signed-note) with ed25519 keys (RFC 8032).

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, Verifier as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

use crate::Error;

/// Type byte of ed25519 signatures in key ids.
const ED25519: u8 = 1;
/// Largest note, in bytes.
const MAX_BYTES: usize = 64 * 1024;
/// Most signatures of a note.
const MAX_SIGNATURES: usize = 64;
/// Longest name of a key, in bytes.
const MAX_NAME_BYTES: usize = 255;

/// The public half of a key, with its name. Written as `name+id+key`, as the tools for signed notes do: the id in eight
/// hexadecimal digits, the key with its type byte in base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    key: ed25519_dalek::VerifyingKey,
}

impl VerifierKey {
    /// Name of the key.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first four bytes of SHA-256 over name, newline, type byte and key.
    #[must_use]
    pub fn id(&self) -> u32 {
        let mut hasher = Sha256::new();
        hasher.update(self.name.as_bytes());
        hasher.update([b'\n', ED25519]);
        hasher.update(self.key.as_bytes());
        let hash: [u8; 32] = hasher.finalize().into();
        let [a, b, c, d, ..] = hash;
        u32::from_be_bytes([a, b, c, d])
    }

    fn verifies(&self, text: &str, signature: &[u8]) -> bool {
        Signature::from_slice(signature).is_ok_and(|signature| self.key.verify(text.as_bytes(), &signature).is_ok())
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![ED25519];
        bytes.extend(self.key.as_bytes());
        write!(f, "{}+{:08x}+{}", self.name, self.id(), STANDARD.encode(bytes))
    }
}

impl FromStr for VerifierKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = |message: &str| Error::BadVerifierKey { message: message.to_owned() };
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(bad("it is not of the form name+id+key"));
        };
        check_name(name)?;
        let bytes = STANDARD.decode(key).map_err(|_| bad("its last part is not base64"))?;
        let Some((&ED25519, key)) = bytes.split_first() else { return Err(bad("it is no ed25519 key")) };
        let key: [u8; 32] = key.try_into().map_err(|_| bad("an ed25519 key has 32 bytes"))?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(&key).map_err(|_| bad("it is no point of the curve"))?;
        let key = Self { name: name.to_owned(), key };
        if format!("{:08x}", key.id()) != id {
            return Err(bad("its id is not that of its name and key; a character may have got lost"));
        }
        Ok(key)
    }
}

impl Serialize for VerifierKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for VerifierKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let key: Self = text.parse().map_err(de::Error::custom)?;
        // People may paste blanks; files have none.
        if key.to_string() == text { Ok(key) } else { Err(de::Error::custom("a key is not written as it must be")) }
    }
}

fn check_name(name: &str) -> Result<(), Error> {
    let is_bad = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(is_bad) {
        let message = format!("{:?} is no name of a key", name.chars().take(80).collect::<String>());
        return Err(Error::BadVerifierKey { message });
    }
    Ok(())
}

/// A key that signs notes.
#[derive(Clone)]
pub struct SigningKey {
    name: String,
    key: ed25519_dalek::SigningKey,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("name", &self.name).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// The key of a secret seed of 32 random bytes.
    ///
    /// # Errors
    /// When the name is empty, longer than 255 bytes, or holds white space, control characters or `+`.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, Error> {
        check_name(name)?;
        Ok(Self { name: name.to_owned(), key: ed25519_dalek::SigningKey::from_bytes(seed) })
    }

    /// Public half of the key.
    #[must_use]
    pub fn verifier(&self) -> VerifierKey {
        VerifierKey { name: self.name.clone(), key: self.key.verifying_key() }
    }

    /// A note of one signature. The text ends with a newline.
    #[must_use]
    pub fn sign(&self, text: &str) -> String {
        format!("{text}\n{}", self.signature_line(text))
    }

    /// The line that this key adds to a note.
    #[must_use]
    pub fn signature_line(&self, text: &str) -> String {
        let mut bytes = self.verifier().id().to_be_bytes().to_vec();
        bytes.extend(self.key.sign(text.as_bytes()).to_bytes());
        format!("\u{2014} {} {}\n", self.name, STANDARD.encode(bytes))
    }
}

/// A text with signatures, none of which is checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct NoteSignature {
    name: String,
    id: u32,
    signature: Vec<u8>,
}

impl Note {
    /// Takes a note apart.
    ///
    /// # Errors
    /// When it is not a signed note: no blank line before its signatures, control characters, or more than 64 KiB or 64
    /// signatures.
    pub fn parse(note: &str) -> Result<Self, Error> {
        let bad = |message: &str| Error::BadNote { message: message.to_owned() };
        if note.len() > MAX_BYTES {
            return Err(bad("it is larger than 64 KiB"));
        }
        if note.chars().any(|c| c < ' ' && c != '\n') {
            return Err(bad("it holds control characters"));
        }
        let at = note.rfind("\n\n").ok_or_else(|| bad("no blank line stands between its text and its signatures"))?;
        let (text, lines) = note.split_at(at + 1);
        let lines = lines.strip_prefix('\n').unwrap_or_default();
        let lines = lines.strip_suffix('\n').ok_or_else(|| bad("its last line does not end"))?;
        let signatures = lines.split('\n').map(NoteSignature::parse).collect::<Result<Vec<_>, _>>()?;
        if signatures.len() > MAX_SIGNATURES {
            return Err(bad("it has more than 64 signatures"));
        }
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// Text of the note, ending with a newline. Untrusted until a signature is checked.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Known keys that signed the note. Signatures of other keys are ignored.
    ///
    /// # Errors
    /// When a signature of a known key is wrong, or none of them signed it.
    pub fn signed_by<'a>(&self, known: &'a [VerifierKey]) -> Result<Vec<&'a VerifierKey>, Error> {
        let mut signed: Vec<&VerifierKey> = Vec::new();
        for signature in &self.signatures {
            let is_its = |key: &&VerifierKey| key.name == signature.name && key.id() == signature.id;
            let Some(key) = known.iter().find(is_its) else { continue };
            if !key.verifies(&self.text, &signature.signature) {
                return Err(Error::WrongSignature { key: key.to_string() });
            }
            if !signed.contains(&key) {
                signed.push(key);
            }
        }
        if signed.is_empty() {
            let names: Vec<String> = self.signatures.iter().map(NoteSignature::shown).collect();
            return Err(Error::NotSigned { by: names.join(", ") });
        }
        Ok(signed)
    }
}

impl NoteSignature {
    fn parse(line: &str) -> Result<Self, Error> {
        let bad = || Error::BadNote { message: "a line of signature is not of the form `— name base64`".to_owned() };
        let (name, signature) = line.strip_prefix("\u{2014} ").and_then(|rest| rest.split_once(' ')).ok_or_else(bad)?;
        check_name(name).map_err(|_| bad())?;
        let bytes = STANDARD.decode(signature).map_err(|_| bad())?;
        let (id, signature) = bytes.split_at_checked(4).ok_or_else(bad)?;
        let id = u32::from_be_bytes(id.try_into().map_err(|_| bad())?);
        Ok(Self { name: name.to_owned(), id, signature: signature.to_vec() })
    }

    fn shown(&self) -> String {
        format!("{}+{:08x}", self.name, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, byte: u8) -> SigningKey {
        SigningKey::from_seed(name, &[byte; 32]).unwrap()
    }

    #[test]
    fn keys_as_text_and_back() {
        let verifier = key("example.com/log", 1).verifier();
        let text = verifier.to_string();
        assert_eq!(text.parse::<VerifierKey>().as_ref(), Ok(&verifier));
        let wrong_id = text.replacen('+', "+0", 1);
        for bad in ["", "a", "a+b", "a+00000000+", &text[1..], &wrong_id, &format!(" {text}x")] {
            assert!(bad.parse::<VerifierKey>().is_err(), "{bad}");
        }
        for bad in ["", "a b", "a+b", "a\nb"] {
            assert!(SigningKey::from_seed(bad, &[1; 32]).is_err(), "{bad:?}");
        }
    }

    /// The example of the specification, whose key is that of golang.org/x/mod/sumdb/note's documentation.
    #[test]
    fn a_note_of_another_program_is_read() {
        let known: VerifierKey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".parse().unwrap();
        let note = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\
                    \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        assert_eq!(Note::parse(note).unwrap().signed_by(std::slice::from_ref(&known)).unwrap(), [&known]);
    }

    #[test]
    fn a_note_counts_by_the_keys_that_are_known() {
        let (one, two, three) = (key("one", 1), key("two", 2), key("three", 3));
        let text = "hello\n\nworld\n";
        let note = format!("{}{}", one.sign(text), two.signature_line(text));
        let parsed = Note::parse(&note).unwrap();
        assert_eq!(parsed.text(), text);
        let known = [two.verifier(), three.verifier()];
        assert_eq!(parsed.signed_by(&known).unwrap(), [&known[0]]);
        assert!(matches!(parsed.signed_by(&[three.verifier()]), Err(Error::NotSigned { .. })));
        let changed = Note::parse(&note.replace("world", "World")).unwrap();
        assert!(matches!(changed.signed_by(&known), Err(Error::WrongSignature { .. })));
        // Another key of the same name is another key.
        assert!(matches!(parsed.signed_by(&[key("one", 9).verifier()]), Err(Error::NotSigned { .. })));
    }

    #[test]
    fn what_is_no_note_is_refused() {
        let good = key("one", 1).sign("text\n");
        assert!(Note::parse(&good).is_ok());
        let long = "x".repeat(MAX_BYTES);
        for bad in [
            "",
            "\n",
            "text\n",
            "text\n\n",
            &good[..good.len() - 1],
            &good.replace("one", ""),
            &good.replace('\u{2014}', "-"),
            &format!("\t{good}"),
            &long,
        ] {
            assert!(Note::parse(bad).is_err(), "{bad:?}");
        }
        let many = "\u{2014} a AAAAAA==\n".repeat(MAX_SIGNATURES + 1);
        assert!(Note::parse(&format!("text\n\n{many}")).is_err());
    }
}
