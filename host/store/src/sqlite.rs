//! The log on SQLite.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;

use bytes::Bytes;
use fusebox_core::{Digest, RunId, SealedEvent};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use tokio::sync::oneshot;

use crate::writer::{self, Request};
use crate::{Batch, Error, EventLog, Pending, RunRow, schema};

/// An event log in one SQLite database. Several processes may open it; each has one writer thread.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    requests: Option<mpsc::Sender<Request>>,
    writer: Option<JoinHandle<()>>,
    reader: Mutex<Connection>,
}

impl SqliteStore {
    /// Opens a log, creating it when it is not there.
    ///
    /// # Errors
    /// When the file cannot be opened or created, or was written by a newer version.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let open = || -> Result<Connection, rusqlite::Error> {
            let connection = Connection::open(path)?;
            schema::configure(&connection)?;
            Ok(connection)
        };
        let failed = |source| Error::Open { path: path.to_owned(), source: Arc::new(source) };
        let mut connection = open().map_err(failed)?;
        schema::migrate(&mut connection, path)?;
        let reader = open().map_err(failed)?;
        let (requests, inbox) = mpsc::channel();
        let writer = std::thread::Builder::new()
            .name("fusebox-log".to_owned())
            .spawn(move || writer::run(connection, &inbox))
            .map_err(|_| Error::Closed)?;
        Ok(Self { path: path.to_owned(), requests: Some(requests), writer: Some(writer), reader: Mutex::new(reader) })
    }

    /// Rebuilds the list of runs from the events.
    ///
    /// # Errors
    /// When the log cannot be read or written.
    pub fn rebuild_read_models(&self) -> Result<(), Error> {
        schema::rebuild_runs(&mut self.reader())
    }

    /// The database file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn reader(&self) -> MutexGuard<'_, Connection> {
        // A reader that panicked left nothing half done: reading changes nothing.
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(writer) = self.writer.take() {
            // Batches that were handed over are written before this returns; a panic there was reported by then.
            let _ = writer.join();
        }
    }
}

impl EventLog for SqliteStore {
    fn append(&self, batch: Batch) -> Pending {
        let (answer, pending) = oneshot::channel();
        if let Some(requests) = &self.requests {
            // When the writer is gone, so is the answer's sender, and the caller is told that the log is closed.
            let _ = requests.send(Request { batch, answer });
        }
        Pending::new(pending)
    }

    fn events(&self, run: &RunId, after: u64, max: u32) -> Result<Vec<SealedEvent>, Error> {
        let reader = self.reader();
        let mut statement = reader.prepare_cached(
            "SELECT seq, time_us, kind, payload, previous, hash FROM events
             WHERE run_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
        )?;
        let rows = statement.query_map(params![run.as_str(), after, max], |row| sealed(run, row))?;
        rows.map(|row| {
            let event = row?;
            let whole = event.computed_hash() == event.hash;
            let damaged = || Error::Damaged {
                run: run.to_string(),
                seq: event.seq,
                what: "its hash is not that of its content".to_owned(),
            };
            if whole { Ok(event) } else { Err(damaged()) }
        })
        .collect()
    }

    fn blob(&self, digest: &Digest) -> Result<Option<Bytes>, Error> {
        let reader = self.reader();
        let mut statement = reader.prepare_cached("SELECT bytes FROM blobs WHERE digest = ?1")?;
        let found: Option<Vec<u8>> = statement.query_row([digest.as_bytes()], |row| row.get(0)).optional()?;
        match found {
            Some(bytes) if Digest::of(&bytes) != *digest => Err(Error::Damaged {
                run: String::new(),
                seq: 0,
                what: format!("the blob {digest} has another digest"),
            }),
            found => Ok(found.map(Bytes::from)),
        }
    }

    fn runs(&self, max: u32) -> Result<Vec<RunRow>, Error> {
        let reader = self.reader();
        let mut statement = reader.prepare_cached(
            "SELECT run_id, last_event, created_us, updated_us, events FROM runs ORDER BY created_us DESC LIMIT ?1",
        )?;
        let rows = statement.query_map([max], |row| {
            Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })?;
        rows.map(|row| {
            let (run, last_event, created_us, updated_us, events) = row?;
            let damaged =
                |error: fusebox_core::Error| Error::Damaged { run: run.clone(), seq: 0, what: error.to_string() };
            Ok(RunRow { run: run.parse().map_err(damaged)?, last_event, created_us, updated_us, events })
        })
        .collect()
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
