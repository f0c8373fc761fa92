//! Bytes that events name by digest. Each belongs to the chain whose events name it, so that it can be erased with it.

use fusebox_core::Digest;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use crate::blob::{self, Blob};
use crate::error::Error;
use crate::sqlite::chains;

/// Stores a blob of a chain, unless it has it already. Gives the bytes that are new.
pub fn insert(transaction: &Transaction<'_>, chain: i64, blob: &Blob, since_us: u64) -> Result<u64, Error> {
    let added = transaction
        .prepare_cached(
            "INSERT INTO blobs (chain, digest, salt, bytes, since) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
        )?
        .execute(params![chain, blob.digest().as_bytes(), blob.salt(), blob.bytes().as_ref(), since_us])?;
    Ok(if added == 1 { blob.bytes().len() as u64 } else { 0 })
}

/// A blob that an event of a run names.
pub fn find(connection: &Connection, run: &str, digest: &Digest) -> Result<Option<Blob>, Error> {
    let chain = chains::find(connection, run)?.map_or(0, |chain| chain.chain);
    let mut statement =
        connection.prepare_cached("SELECT salt, bytes FROM blobs WHERE chain IN (?1, 0) AND digest = ?2 LIMIT 1")?;
    let found: Option<(Option<Vec<u8>>, Vec<u8>)> =
        statement.query_row(params![chain, digest.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((salt, bytes)) = found else { return Ok(None) };
    blob::checked(run, *digest, salt, bytes).map(Some)
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
        found.push(blob::checked(run, digest, row.get(1)?, row.get(2)?)?);
    }
    Ok(found)
}
