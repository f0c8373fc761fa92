//! The log on SQLite.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;

use fusebox_core::{BudgetKind, Digest, RunId, SealedEvent};
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};
use tokio::sync::{oneshot, watch};

use crate::audit::{SignCheckpoints, Signing};
use crate::blobs::{self, Blob};
use crate::erase::{self, Erased, Erasure};
use crate::rows::{QuestionRow, RunFilter, RunRow, Switch};
use crate::tenants::{self, Share};
use crate::writer::{self, Change, Request};
use crate::{Batch, Error, EventLog, Pending, read, schema};

/// An event log in one SQLite database. Several processes may open it; each has one writer thread.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    requests: Option<mpsc::Sender<Request>>,
    writer: Option<JoinHandle<()>>,
    reader: Mutex<Connection>,
    signing: Option<Signing>,
    commits: watch::Receiver<u64>,
}

impl SqliteStore {
    /// Opens a log, creating it when it is not there.
    ///
    /// # Errors
    /// When the file cannot be opened or created, or was written by a newer version.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::open_with(path, None)
    }

    /// Opens a log of which checkpoints are signed while it is written.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_signing(path: &Path, signing: Signing) -> Result<Self, Error> {
        Self::open_with(path, Some(signing))
    }

    fn open_with(path: &Path, signing: Option<Signing>) -> Result<Self, Error> {
        let open = || -> Result<Connection, rusqlite::Error> {
            let mut connection = Connection::open(path)?;
            schema::configure(&mut connection)?;
            Ok(connection)
        };
        let failed = |source: rusqlite::Error| match Error::from(source) {
            Error::Sqlite(source) => Error::Open { path: path.to_owned(), source },
            other => other,
        };
        let mut connection = open().map_err(failed)?;
        schema::migrate(&mut connection, path)?;
        let reader = open().map_err(failed)?;
        let (requests, inbox) = mpsc::channel();
        let signs = signing.clone();
        let (told, commits) = watch::channel(0);
        let writer = std::thread::Builder::new()
            .name("fusebox-log".to_owned())
            .spawn(move || writer::run(connection, &inbox, signs, &told))
            .map_err(|_| Error::Closed)?;
        let (requests, writer, reader) = (Some(requests), Some(writer), Mutex::new(reader));
        Ok(Self { path: path.to_owned(), requests, writer, reader, signing, commits })
    }

    /// Rebuilds the lists of runs, questions and kill switches from the events.
    ///
    /// # Errors
    /// When the log cannot be read or written.
    pub fn rebuild_read_models(&self) -> Result<(), Error> {
        schema::rebuild_read_models(&mut self.reader())
    }

    /// The database file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn request(&self, request: Request) {
        if let Some(requests) = &self.requests {
            // When the writer is gone, so is the answer's sender, and the caller is told that the log is closed.
            let _ = requests.send(request);
        }
    }

    /// Lets the writer change something within its next transaction, and waits until that is durable.
    pub(crate) fn change<T: Send + 'static>(
        &self,
        make: impl FnMut(&Transaction<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, made) = mpsc::sync_channel(1);
        self.request(Request::Change(Box::new(Changing { make, made: None, answer })));
        made.recv().unwrap_or(Err(Error::Closed))
    }

    /// Who signs checkpoints, if anybody does.
    pub(crate) fn signer(&self) -> Option<std::sync::Arc<dyn SignCheckpoints>> {
        self.signing.as_ref().map(|signing| std::sync::Arc::clone(&signing.signer))
    }

    pub(crate) fn reader(&self) -> MutexGuard<'_, Connection> {
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
            // What was erased is not left behind in the write-ahead log either, unless another process is reading it.
            let reader = self.reader();
            reader.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        }
        Ok(erased)
    }

    fn head(&self, run: &RunId) -> Result<Option<(u64, Digest)>, Error> {
        writer::head(&self.reader(), run.as_str())
    }

    fn runs(&self, filter: &RunFilter, max: u32) -> Result<Vec<RunRow>, Error> {
        read::runs(&self.reader(), filter, max)
    }

    fn run(&self, run: &RunId) -> Result<Option<RunRow>, Error> {
        read::run(&self.reader(), run)
    }

    fn unsettled(&self, now_us: u64) -> Result<Vec<RunRow>, Error> {
        read::unsettled(&self.reader(), now_us)
    }

    fn open_questions(&self, max: u32) -> Result<Vec<QuestionRow>, Error> {
        read::open_questions(&self.reader(), max)
    }

    fn questions(&self, prefix: &str) -> Result<Vec<QuestionRow>, Error> {
        read::questions(&self.reader(), prefix)
    }

    fn killed_by(&self, run: &RunId) -> Result<Option<Switch>, Error> {
        read::killed_by(&self.reader(), run)
    }

    fn to_be_killed(&self) -> Result<Vec<RunRow>, Error> {
        read::to_be_killed(&self.reader())
    }

    fn pause_asked(&self, run: &RunId) -> Result<Option<(String, String)>, Error> {
        read::pause_asked(&self.reader(), run)
    }

    fn switches(&self) -> Result<Vec<Switch>, Error> {
        read::switches(&self.reader())
    }

    fn claim(&self, run: &RunId) -> Result<u64, Error> {
        let run = run.clone();
        self.change(move |transaction| {
            let mut statement = transaction.prepare_cached(
                "INSERT INTO leases (run_id, token) VALUES (?1, 1)
                 ON CONFLICT (run_id) DO UPDATE SET token = token + 1 RETURNING token",
            )?;
            Ok(statement.query_row([run.as_str()], |row| row.get(0))?)
        })
    }

    fn allot(&self, share: Share) -> Result<u64, Error> {
        self.change(move |transaction| tenants::allot(transaction, &share))
    }

    fn allotment(&self, tenant: &str, run: &RunId, budget: BudgetKind) -> Result<u64, Error> {
        tenants::of_run(&self.reader(), tenant, run, budget)
    }

    fn allotted(&self, tenant: &str, budget: BudgetKind) -> Result<u64, Error> {
        tenants::allotted(&self.reader(), tenant, budget)
    }

    fn commits(&self) -> watch::Receiver<u64> {
        self.commits.clone()
    }

    fn told(&self, sink: &str) -> Result<Option<i64>, Error> {
        let reader = self.reader();
        let mut statement = reader.prepare_cached("SELECT log_index FROM sinks WHERE name = ?1")?;
        Ok(statement.query_row([sink], |row| row.get(0)).optional()?)
    }

    fn set_told(&self, sink: &str, log_index: i64) -> Result<(), Error> {
        let sink = sink.to_owned();
        self.change(move |transaction| {
            let mut statement = transaction.prepare_cached(
                "INSERT INTO sinks (name, log_index) VALUES (?1, ?2)
                 ON CONFLICT (name) DO UPDATE SET log_index = max(log_index, ?2)",
            )?;
            statement.execute(params![sink, log_index])?;
            Ok(())
        })
    }

    fn gauge(&self, name: &str) -> Result<(u64, String), Error> {
        let reader = self.reader();
        let mut statement = reader.prepare_cached("SELECT version, state FROM gauges WHERE name = ?1")?;
        let found = statement.query_row([name], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        Ok(found.unwrap_or((0, String::new())))
    }

    fn set_gauge(&self, name: &str, version: u64, state: String) -> Result<bool, Error> {
        let name = name.to_owned();
        self.change(move |transaction| {
            let mut statement = transaction.prepare_cached(
                "INSERT INTO gauges (name, version, state) SELECT ?1, 1, ?3 WHERE ?2 = 0
                 ON CONFLICT (name) DO NOTHING",
            )?;
            if statement.execute(params![name, version, state])? == 1 {
                return Ok(true);
            }
            let mut statement = transaction.prepare_cached(
                "UPDATE gauges SET version = version + 1, state = ?3 WHERE name = ?1 AND version = ?2",
            )?;
            Ok(statement.execute(params![name, version, state])? == 1)
        })
    }
}

/// A change whose outcome somebody waits for.
struct Changing<T, F> {
    make: F,
    made: Option<Result<T, Error>>,
    answer: mpsc::SyncSender<Result<T, Error>>,
}

impl<T: Send, F: FnMut(&Transaction<'_>) -> Result<T, Error> + Send> Change for Changing<T, F> {
    fn make(&mut self, transaction: &Transaction<'_>) -> Result<(), Error> {
        let made = (self.make)(transaction);
        // What SQLite refuses may have been half done, so the transaction must not stand.
        let failed = match &made {
            Err(error @ (Error::Sqlite(_) | Error::Full)) => Err(error.clone()),
            _ => Ok(()),
        };
        self.made = Some(made);
        failed
    }

    fn answer(self: Box<Self>, written: Result<(), Error>) {
        let outcome = match (written, self.made) {
            (Ok(()), Some(made)) => made,
            (Ok(()), None) => Err(Error::Closed),
            (Err(error), _) => Err(error),
        };
        // Whoever asked may have gone away.
        let _ = self.answer.send(outcome);
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
