//! Events and blobs on SQLite.

use fusebox_core::{Digest, RunId, SealedEvent};
use rusqlite::{OptionalExtension as _, Row, params};
use tokio::sync::{oneshot, watch};

use super::writer::{self, Request};
use super::{SqliteStore, blobs, erase, read};
use crate::blob::Blob;
use crate::error::Error;
use crate::events::{Batch, Erased, Erasure, Events, Pending};

impl Events for SqliteStore {
    fn append(&self, batch: Batch) -> Pending {
        let (answer, pending) = oneshot::channel();
        self.request(Request::Append { batch, answer });
        Pending::new(pending)
    }

    fn events(&self, run: &RunId, after: u64, max: u32) -> Result<Vec<SealedEvent>, Error> {
        let reader = self.reader();
        // Both questions about one moment.
        let moment = reader.unchecked_transaction()?;
        let mut statement = moment.prepare_cached(
            "SELECT seq, time_us, kind, payload, previous, hash FROM events
             WHERE run_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
        )?;
        let rows = statement.query_map(params![run.as_str(), after, max], |row| sealed(run, row))?;
        let events: Vec<SealedEvent> = rows.collect::<Result<_, _>>()?;
        let damaged = |seq, what: &str| Error::Damaged { run: run.to_string(), seq, what: what.to_owned() };
        for (place, event) in (after + 1..).zip(&events) {
            if event.seq != place {
                return Err(damaged(place, "it is missing"));
            }
            if event.computed_hash() != event.hash {
                return Err(damaged(place, "its hash is not that of its content"));
            }
        }
        if let Some((_, second)) = events.iter().zip(events.iter().skip(1)).find(|(one, two)| two.previous != one.hash)
        {
            return Err(damaged(second.seq, "it does not follow from the event before it"));
        }
        let last = events.last().map_or(after, |last| last.seq);
        if events.len() < max as usize && read::listed_events(&moment, run)?.is_some_and(|listed| last < listed) {
            return Err(damaged(last + 1, "it is missing"));
        }
        Ok(events)
    }

    fn head(&self, run: &RunId) -> Result<Option<(u64, Digest)>, Error> {
        writer::head(&self.reader(), run.as_str())
    }

    fn blob(&self, run: &RunId, digest: &Digest) -> Result<Option<Blob>, Error> {
        blobs::find(&self.reader(), run.as_str(), digest)
    }

    fn blobs(&self, run: &RunId, after: u32, max: u32) -> Result<Vec<Blob>, Error> {
        blobs::of_run(&self.reader(), run.as_str(), after, max)
    }

    fn stored(&self, tenant: &str) -> Result<u64, Error> {
        let reader = self.reader();
        let mut statement = reader.prepare_cached("SELECT bytes FROM stored WHERE tenant = ?1")?;
        Ok(statement.query_row([tenant], |row| row.get(0)).optional()?.unwrap_or(0))
    }

    fn erase(&self, erasure: Erasure) -> Result<Erased, Error> {
        let is_real = !erasure.dry_run;
        let erased = self.change(move |transaction| erase::erase(transaction, &erasure))?;
        if is_real && erased.blobs > 0 {
            // Erased bytes are removed from the write-ahead log too, unless another process is reading it.
            let reader = self.reader();
            reader.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        }
        Ok(erased)
    }

    fn commits(&self) -> watch::Receiver<u64> {
        self.commits.clone()
    }
}

fn sealed(run: &RunId, row: &Row<'_>) -> Result<SealedEvent, rusqlite::Error> {
    let digest = |column| -> Result<Digest, rusqlite::Error> {
        let bytes: Vec<u8> = row.get(column)?;
        // A digest that is cut short becomes zero, which no content hashes to.
        Ok(Digest::from_bytes(&bytes).unwrap_or(Digest::ZERO))
    };
    Ok(SealedEvent {
        run: run.clone(),
        seq: row.get(0)?,
        time_us: row.get(1)?,
        kind: row.get(2)?,
        payload: row.get(3)?,
        previous: digest(4)?,
        hash: digest(5)?,
    })
}
