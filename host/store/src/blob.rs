//! Bytes that events name by digest. Each belongs to the chain whose events name it, so that it can be erased with it.

use bytes::Bytes;
use fusebox_core::{Digest, blob_digest};

use crate::error::Error;

/// Bytes of a salt.
pub const SALT_BYTES: usize = 16;

/// Some bytes, with the digest that events name them by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    digest: Digest,
    salt: Option<[u8; SALT_BYTES]>,
    bytes: Bytes,
}

impl Blob {
    /// Bytes that are named by their own digest, because others know them by it.
    #[must_use]
    pub fn plain(bytes: Bytes) -> Self {
        Self { digest: Digest::of(&bytes), salt: None, bytes }
    }

    /// Bytes that are named by a digest over a secret salt: after their erasure, nothing reveals them, not even a
    /// guess.
    #[must_use]
    pub fn salted(salt: [u8; SALT_BYTES], bytes: Bytes) -> Self {
        Self { digest: blob_digest(Some(&salt), &bytes), salt: Some(salt), bytes }
    }

    /// The digest that events name it by.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Salt that is hashed before the bytes.
    #[must_use]
    pub fn salt(&self) -> Option<&[u8]> {
        self.salt.as_ref().map(|salt| &salt[..])
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// A blob as it was read, if it matches its digest.
pub fn checked(run: &str, digest: Digest, salt: Option<Vec<u8>>, bytes: Vec<u8>) -> Result<Blob, Error> {
    let damaged = |what: String| Error::RunDamaged { run: run.to_owned(), what };
    if blob_digest(salt.as_deref(), &bytes) != digest {
        return Err(damaged(format!("the blob {digest} has another digest")));
    }
    let salt = salt.map(<[u8; SALT_BYTES]>::try_from).transpose();
    let salt = salt.map_err(|_| damaged(format!("the salt of the blob {digest} is cut short")))?;
    Ok(Blob { digest, salt, bytes: Bytes::from(bytes) })
}
