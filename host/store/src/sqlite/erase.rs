//! Erasing blobs: the bytes that events name by digest go, the events and their chain stay.

use fusebox_core::RunId;
use rusqlite::{Transaction, params};

use crate::error::Error;
use crate::events::{Erased, Erasure};

/// Erases, or only counts.
pub fn erase(transaction: &Transaction<'_>, erasure: &Erasure) -> Result<Erased, Error> {
    let Erasure { tenant, run, before_us, dry_run } = erasure;
    let mut chosen = transaction.prepare_cached(
        "SELECT c.chain, c.run_id, c.tenant, count(*), sum(length(b.bytes))
         FROM chains c JOIN blobs b ON b.chain = c.chain LEFT JOIN runs r ON r.run_id = c.run_id
         WHERE (?1 IS NULL OR c.tenant = ?1) AND (?2 IS NULL OR c.run_id = ?2)
           AND (r.run_id IS NULL OR r.ended IS NOT NULL)
           AND (?3 IS NULL OR coalesce(r.updated_us, b.since) < ?3)
         GROUP BY c.chain",
    )?;
    let before_us = before_us.map(|before| i64::try_from(before).unwrap_or(i64::MAX));
    let mut rows = chosen.query(params![tenant, run.as_ref().map(RunId::as_str), before_us])?;
    let mut erased = Erased::default();
    let mut chains = Vec::new();
    while let Some(row) = rows.next()? {
        let (name, of): (String, String) = (row.get(1)?, row.get(2)?);
        let (blobs, bytes): (u64, u64) = (row.get(3)?, row.get(4)?);
        let damaged = |error: fusebox_core::Error| Error::RunDamaged { run: name.clone(), what: error.to_string() };
        erased.runs.push((name.parse().map_err(damaged)?, of.clone()));
        erased.blobs += blobs;
        erased.bytes += bytes;
        chains.push((row.get::<_, i64>(0)?, of, bytes));
    }
    if !dry_run {
        for (chain, tenant, bytes) in chains {
            // Of other chains, only old blobs are erased.
            transaction
                .prepare_cached(
                    "DELETE FROM blobs WHERE chain = ?1 AND (?2 IS NULL OR since < ?2 OR EXISTS (
                         SELECT 1 FROM chains c JOIN runs r ON r.run_id = c.run_id WHERE c.chain = ?1))",
                )?
                .execute(params![chain, before_us])?;
            transaction
                .prepare_cached("UPDATE stored SET bytes = max(0, bytes - ?2) WHERE tenant = ?1")?
                .execute(params![tenant, bytes])?;
        }
    }
    Ok(erased)
}
