//! Checkpoints of a log (c2sp.org/tlog-checkpoint): origin, size and root of its tree, signed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::merkle::TreeHead;
use super::note::{Note, VerifierKey};
use crate::{Digest, Error};

/// Tenant whose log an origin names: the last part of the origin.
#[must_use]
pub fn tenant_of_origin(origin: &str) -> &str {
    origin.rsplit('/').next().unwrap_or(origin)
}

/// State of a log at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Name of the log.
    pub origin: String,
    /// Leaves of its tree.
    pub size: u64,
    /// Root of its tree.
    pub root: Digest,
}

impl Checkpoint {
    /// Size and root of the tree.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        TreeHead { size: self.size, root: self.root }
    }

    /// The signed text: three lines.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root.as_bytes()))
    }

    /// Parses the text of a note. Further lines are allowed and ignored.
    ///
    /// # Errors
    /// When it is not a checkpoint.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let bad = |message: &str| Error::BadCheckpoint { message: message.to_owned() };
        let text = text.strip_suffix('\n').ok_or_else(|| bad("its last line does not end"))?;
        let mut lines = text.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(bad("it has fewer than three lines"));
        };
        if origin.is_empty() || lines.any(str::is_empty) {
            return Err(bad("one of its lines is empty"));
        }
        let is_number = !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_digit());
        let has_zeroes = size.len() > 1 && size.starts_with('0');
        let number = size.parse().ok().filter(|_| is_number && !has_zeroes);
        let size = number.ok_or_else(|| bad("its second line is not the number of leaves"))?;
        let root = STANDARD.decode(root).ok().and_then(|bytes| Digest::from_bytes(&bytes));
        let root = root.ok_or_else(|| bad("its third line is not a hash in base64"))?;
        Ok(Self { origin: origin.to_owned(), size, root })
    }

    /// Parses a signed checkpoint, and finds the known keys that signed it.
    ///
    /// # Errors
    /// When it is not a checkpoint, a signature of a known key is wrong, or no known key signed it.
    pub fn verified<'a>(note: &str, known: &'a [VerifierKey]) -> Result<(Self, Vec<&'a VerifierKey>), Error> {
        let note = Note::parse(note)?;
        let keys = note.signed_by(known)?;
        Ok((Self::parse(note.text())?, keys))
    }

    /// Parses a signed checkpoint without checking its signatures.
    ///
    /// # Errors
    /// When it is not a checkpoint.
    pub fn unverified(note: &str) -> Result<Self, Error> {
        Self::parse(Note::parse(note)?.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let checkpoint = Checkpoint { origin: "example.com/log".into(), size: 20_852_163, root: Digest::of(b"root") };
        let text = checkpoint.to_text();
        assert_eq!(Checkpoint::parse(&text), Ok(checkpoint.clone()));
        assert_eq!(Checkpoint::parse(&format!("{text}an extension\n")), Ok(checkpoint));
        for bad in [
            "",
            "a\n1\n",
            &text[1..text.len() - 1],
            &text.replace("20852163", "020852163"),
            &text.replace("20852163", "-1"),
            &text.replace("20852163", "+1"),
            &text.replace("20852163", "99999999999999999999"),
            &text.replace("example.com/log", ""),
            &format!("{text}\nx\n"),
            &text.replace('=', ""),
        ] {
            assert!(Checkpoint::parse(bad).is_err(), "{bad:?}");
        }
    }
}
