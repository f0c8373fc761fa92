//! Sessions: their ids in other programs, and their kept states.

use fusebox_core::{Digest, RunId};
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use crate::error::Error;
use crate::events::Snapshot;

/// Place and hash of the last event of a kept state, and the state.
type Kept = (u64, Vec<u8>, String);

pub fn newest(connection: &Connection, tenant: &str, origin: &str, external_id: &str) -> Result<Option<RunId>, Error> {
    let mut statement = connection
        .prepare_cached("SELECT run_id FROM sessions WHERE tenant = ?1 AND origin = ?2 AND external_id = ?3")?;
    let found: Option<String> = statement.query_row([tenant, origin, external_id], |row| row.get(0)).optional()?;
    found.map(|run| parsed("sessions", &run)).transpose()
}

pub fn snapshot(connection: &Connection, run: &RunId) -> Result<Option<Snapshot>, Error> {
    let mut statement = connection.prepare_cached("SELECT seq, head, state FROM snapshots WHERE run_id = ?1")?;
    let found: Option<Kept> =
        statement.query_row([run.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?;
    Ok(found.map(|kept| of(run.clone(), kept)))
}

pub fn snapshots(connection: &Connection, after: Option<&RunId>, max: u32) -> Result<Vec<Snapshot>, Error> {
    let mut statement = connection
        .prepare_cached("SELECT seq, head, state, run_id FROM snapshots WHERE run_id > ?1 ORDER BY run_id LIMIT ?2")?;
    let after = after.map_or("", RunId::as_str);
    let mut rows = statement.query(params![after, max])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let run: String = row.get(3)?;
        all.push(of(parsed("snapshots", &run)?, (row.get(0)?, row.get(1)?, row.get(2)?)));
    }
    Ok(all)
}

fn of(run: RunId, (seq, head, state): Kept) -> Snapshot {
    // A hash that is cut short becomes zero, which is that of no event.
    Snapshot { run, seq, head: Digest::from_bytes(&head).unwrap_or(Digest::ZERO), state }
}

fn parsed(list: &'static str, run: &str) -> Result<RunId, Error> {
    run.parse().map_err(|error: fusebox_core::Error| Error::ListDamaged { list, what: error.to_string() })
}

pub fn keep(transaction: &Transaction<'_>, snapshot: &Snapshot) -> Result<(), Error> {
    let Snapshot { run, seq, head, state } = snapshot;
    transaction
        .prepare_cached(
            "INSERT INTO snapshots (run_id, seq, head, state) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (run_id) DO UPDATE SET seq = ?2, head = ?3, state = ?4",
        )?
        .execute(params![run.as_str(), seq, head.as_bytes(), state])?;
    Ok(())
}
