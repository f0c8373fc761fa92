//! Bytes that effects refer to by digest.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::Digest;

/// Bytes by their digest. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents(BTreeMap<Digest, Bytes>);

impl Contents {
    /// Adds bytes and returns their digest.
    pub fn insert(&mut self, bytes: Bytes) -> Digest {
        let digest = Digest::of(&bytes);
        self.0.insert(digest, bytes);
        digest
    }

    /// The bytes with this digest.
    #[must_use]
    pub fn get(&self, digest: &Digest) -> Option<&Bytes> {
        self.0.get(digest)
    }

    /// Total number of bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.values().map(Bytes::len).sum()
    }

    /// All entries, by digest.
    pub fn iter(&self) -> impl Iterator<Item = (&Digest, &Bytes)> {
        self.0.iter()
    }
}
