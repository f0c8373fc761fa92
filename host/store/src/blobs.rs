//! Bytes that events name by digest. Each belongs to the chain whose events name it, so that it can be erased with it.

use bytes::Bytes;
use fusebox_core::{Digest, blob_digest};
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use crate::{Error, chains};

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

    /// Bytes that are named by a digest over a secret salt: once they are erased, nobody can tell what they were by guessing.
    #[must_use]
    pub fn salted(salt: [u8; SALT_BYTES], bytes: Bytes) -> Self {
        Self { digest: blob_digest(Some(&salt), &bytes), salt: Some(salt), bytes }
    }

    /// The digest that events name it by.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What is hashed before the bytes.
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

/// Stores a blob of a chain, unless it has it already. Gives the bytes that are new.
pub fn insert(transaction: &Transaction<'_>, chain: i64, blob: &Blob, since_us: u64) -> Result<u64, Error> {
    let added = transaction
        .prepare_cached(
            "INSERT INTO blobs (chain, digest, salt, bytes, since) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
        )?
        .execute(params![chain, blob.digest.as_bytes(), blob.salt(), blob.bytes.as_ref(), since_us])?;
    Ok(if added == 1 { blob.bytes.len() as u64 } else { 0 })
}

/// A blob that an event of a run names.
pub fn find(connection: &Connection, run: &str, digest: &Digest) -> Result<Option<Blob>, Error> {
    let chain = chains::find(connection, run)?.map_or(0, |chain| chain.chain);
    let mut statement =
        connection.prepare_cached("SELECT salt, bytes FROM blobs WHERE chain IN (?1, 0) AND digest = ?2 LIMIT 1")?;
    let found: Option<(Option<Vec<u8>>, Vec<u8>)> =
        statement.query_row(params![chain, digest.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((salt, bytes)) = found else { return Ok(None) };
    read(run, *digest, salt, bytes).map(Some)
}

/// Blobs of a run behind the first `after`, in the order of their digests.
pub fn of_run(connection: &Connection, run: &str, after: u32, max: u32) -> Result<Vec<Blob>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT b.digest, b.salt, b.bytes FROM blobs b JOIN chains c ON c.chain = b.chain
         WHERE c.run_id = ?1 ORDER BY b.digest LIMIT ?3 OFFSET ?2",
    )?;
    let mut rows = statement.query(params![run, after, max])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let digest = Digest::from_bytes(row.get_ref(0)?.as_blob().unwrap_or_default()).unwrap_or(Digest::ZERO);
        found.push(read(run, digest, row.get(1)?, row.get(2)?)?);
    }
    Ok(found)
}

/// A blob as it was read, if it is what its digest says.
pub fn read(run: &str, digest: Digest, salt: Option<Vec<u8>>, bytes: Vec<u8>) -> Result<Blob, Error> {
    let damaged = |what: String| Error::Damaged { run: run.to_owned(), seq: 0, what };
    if blob_digest(salt.as_deref(), &bytes) != digest {
        return Err(damaged(format!("the blob {digest} has another digest")));
    }
    let salt = salt.map(<[u8; SALT_BYTES]>::try_from).transpose();
    let salt = salt.map_err(|_| damaged(format!("the salt of the blob {digest} is cut short")))?;
    Ok(Blob { digest, salt, bytes: Bytes::from(bytes) })
}
