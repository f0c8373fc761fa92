//! The log on SQLite.

mod audit;
mod blobs;
mod chains;
mod coordination;
mod erase;
mod events;
mod project;
mod read;
mod read_models;
mod schema;
mod sessions;
mod tenants;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;

use parking_lot::{Mutex, MutexGuard};
use rusqlite::{Connection, Transaction};
use tokio::sync::watch;

use self::writer::{Change, Request};
use crate::audit::{SignCheckpoints, Signing};
use crate::error::Error;

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
        schema::create(&mut connection, path)?;
        let reader = open().map_err(failed)?;
        let (requests, inbox) = mpsc::channel();
        let signs = signing.clone();
        let (commits_seen, commits) = watch::channel(0);
        let writer = std::thread::Builder::new()
            .name("fusebox-log".to_owned())
            .spawn(move || writer::run(connection, &inbox, signs, &commits_seen))
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

    /// Path of the database file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn request(&self, request: Request) {
        if let Some(requests) = &self.requests {
            // When the writer has ended, the answer's sender is dropped, and the caller gets the error that the log is
            // closed.
            let _ = requests.send(request);
        }
    }

    /// Runs a change in the writer's next transaction, and waits until it is durable.
    pub(crate) fn change<T: Send + 'static>(
        &self,
        make: impl FnMut(&Transaction<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, made) = mpsc::sync_channel(1);
        self.request(Request::Change(Box::new(Changing { make, made: None, answer })));
        made.recv().unwrap_or(Err(Error::Closed))
    }

    /// Signer of checkpoints, if there is one.
    pub(crate) fn signer(&self) -> Option<std::sync::Arc<dyn SignCheckpoints>> {
        self.signing.as_ref().map(|signing| std::sync::Arc::clone(&signing.signer))
    }

    pub(crate) fn reader(&self) -> MutexGuard<'_, Connection> {
        // A reader that panicked left nothing half done: reading changes nothing.
        self.reader.lock()
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

/// A change with a caller that waits for its outcome.
struct Changing<T, F> {
    make: F,
    made: Option<Result<T, Error>>,
    answer: mpsc::SyncSender<Result<T, Error>>,
}

impl<T: Send, F: FnMut(&Transaction<'_>) -> Result<T, Error> + Send> Change for Changing<T, F> {
    fn make(&mut self, transaction: &Transaction<'_>) -> Result<(), Error> {
        let made = (self.make)(transaction);
        // A change that SQLite refused may be half done, so the transaction must not stand.
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
        // The caller may have gone away.
        let _ = self.answer.send(outcome);
    }
}
