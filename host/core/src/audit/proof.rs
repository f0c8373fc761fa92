//! Proofs as text (c2sp.org/tlog-proof): that one leaf is in a tree that was signed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::checkpoint::Checkpoint;
use super::merkle::{leaf_hash, root_of_inclusion};
use super::note::VerifierKey;
use crate::{Digest, Error};

/// First line of every proof.
const FIRST: &str = "c2sp.org/tlog-proof@v1";
/// Most hashes of a proof: a tree has no more leaves than fit into 64 bits.
const MAX_HASHES: usize = 64;

/// A leaf's place in a tree, the hashes from there to its root, and the signed root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Description of the leaf by the proof's maker; untrusted except for its hash.
    pub extra: Option<Vec<u8>>,
    /// Index of the leaf, counted from 0.
    pub index: u64,
    /// Hashes from the leaf's sibling up.
    pub hashes: Vec<Digest>,
    /// The signed checkpoint, verbatim.
    pub checkpoint: String,
}

impl Proof {
    /// The proof as text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let hashes: String = self.hashes.iter().map(|hash| STANDARD.encode(hash.as_bytes()) + "\n").collect();
        let extra = self.extra.as_ref().map(|extra| format!("extra {}\n", STANDARD.encode(extra))).unwrap_or_default();
        format!("{FIRST}\n{extra}index {}\n{hashes}\n{}", self.index, self.checkpoint)
    }

    /// Reads a proof.
    ///
    /// # Errors
    /// When it is not a proof.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let bad = |message: &str| Error::BadProof { message: message.to_owned() };
        let (head, checkpoint) = text.split_once("\n\n").ok_or_else(|| bad("it has no blank line"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(FIRST) {
            return Err(bad("its first line is not that of a proof"));
        }
        let extra = lines.next_if(|line| line.starts_with("extra ")).and_then(|line| line.strip_prefix("extra "));
        let extra =
            extra.map(|text| STANDARD.decode(text).map_err(|_| bad("its extra data is not base64"))).transpose()?;
        let index = lines.next().and_then(|line| line.strip_prefix("index ")?.parse().ok());
        let index = index.ok_or_else(|| bad("it does not say which leaf"))?;
        let hash = |line: &str| STANDARD.decode(line).ok().and_then(|bytes| Digest::from_bytes(&bytes));
        let hashes: Option<Vec<Digest>> = lines.map(hash).collect();
        let hashes = hashes.filter(|hashes| hashes.len() <= MAX_HASHES).ok_or_else(|| bad("its hashes are none"))?;
        Ok(Self { extra, index, hashes, checkpoint: checkpoint.to_owned() })
    }

    /// Checks that an event's hash is that leaf, under a checkpoint that a known key signed. Returns the checkpoint.
    ///
    /// # Errors
    /// When the hash is not that leaf, or no known key signed the checkpoint.
    pub fn verify(&self, event: &Digest, known: &[VerifierKey]) -> Result<Checkpoint, Error> {
        let (checkpoint, _) = Checkpoint::verified(&self.checkpoint, known)?;
        let root = root_of_inclusion(&leaf_hash(event), self.index, checkpoint.size, &self.hashes);
        if root == Some(checkpoint.root) {
            Ok(checkpoint)
        } else {
            Err(Error::BadProof { message: format!("the event {event} is not leaf {} of that tree", self.index) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CompactRange, SigningKey, inclusion_proof};
    use super::*;

    #[test]
    fn a_proof_is_for_one_event() {
        let events: Vec<Digest> = (0_u8..10).map(|byte| Digest::of(&[byte])).collect();
        let (mut tree, mut nodes) = (CompactRange::default(), Vec::new());
        for event in &events {
            tree.push(leaf_hash(event), |node| nodes.push(node));
        }
        let key = SigningKey::from_seed("log", &[1; 32]).unwrap();
        let note = key.sign(&Checkpoint { origin: "log".into(), size: 10, root: tree.root() }.to_text());
        let hashes = inclusion_proof(3, 10, |level, index| match level {
            0 => Ok(leaf_hash(&events[usize::try_from(index).unwrap()])),
            _ => nodes.iter().find(|node| node.level == level && node.index == index).map(|node| node.hash).ok_or(()),
        });
        let proof = Proof { extra: Some(b"an event".to_vec()), index: 3, hashes: hashes.unwrap(), checkpoint: note };
        let read = Proof::parse(&proof.to_text()).unwrap();
        assert_eq!(read, proof);
        assert!(read.verify(&events[3], &[key.verifier()]).is_ok());
        assert!(read.verify(&events[4], &[key.verifier()]).is_err());
        let other = SigningKey::from_seed("log", &[2; 32]).unwrap();
        assert!(read.verify(&events[3], &[other.verifier()]).is_err());
        for bad in [
            "",
            "c2sp.org/tlog-proof@v1\n\n",
            "c2sp.org/tlog-proof@v1\nindex x\n\n",
            "x\nindex 1\n\n",
            "c2sp.org/tlog-proof@v1\nindex 1\nxx\n\n",
        ] {
            assert!(Proof::parse(bad).is_err(), "{bad:?}");
        }
    }
}
