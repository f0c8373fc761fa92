//! The tables, and how older formats become the present one.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};

use crate::Error;

/// The present format, kept in `PRAGMA user_version`.
const FORMAT: i64 = 1;

/// Format 1. `log_index` is the order of commits; events and blobs are only ever added.
const CREATE: &str = "
CREATE TABLE events (
    log_index INTEGER PRIMARY KEY,
    run_id    TEXT    NOT NULL,
    seq       INTEGER NOT NULL,
    time_us   INTEGER NOT NULL,
    kind      TEXT    NOT NULL,
    payload   TEXT    NOT NULL,
    previous  BLOB    NOT NULL,
    hash      BLOB    NOT NULL,
    UNIQUE (run_id, seq)
) STRICT;
CREATE TRIGGER events_are_not_updated BEFORE UPDATE ON events
    BEGIN SELECT RAISE(ABORT, 'events are never changed'); END;
CREATE TRIGGER events_are_not_deleted BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'events are never deleted'); END;
-- REPLACE deletes without asking the trigger above.
CREATE TRIGGER events_are_not_replaced BEFORE INSERT ON events
    WHEN EXISTS (SELECT 1 FROM events WHERE log_index = NEW.log_index)
      OR EXISTS (SELECT 1 FROM events WHERE run_id = NEW.run_id AND seq = NEW.seq)
    BEGIN SELECT RAISE(ABORT, 'events are never replaced'); END;
CREATE TABLE blobs (
    digest BLOB NOT NULL UNIQUE,
    bytes  BLOB NOT NULL
) STRICT;
-- A read model: rebuilt from events at any time.
CREATE TABLE runs (
    run_id     TEXT    PRIMARY KEY,
    last_event TEXT    NOT NULL,
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    events     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX runs_by_time ON runs (created_us);
";

/// How long other processes are waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long before it is tried again what SQLite does not wait for.
const RETRY: Duration = Duration::from_millis(2);

/// Sets a connection up: durable commits, waiting for other processes instead of failing.
pub fn configure(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.busy_timeout(PATIENCE)?;
    write_ahead(connection)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    Ok(())
}

/// Switches to the write-ahead log. Where several open a new log at once, SQLite says at once that it is busy instead of
/// waiting, lest they wait for each other.
fn write_ahead(connection: &Connection) -> Result<(), rusqlite::Error> {
    let until = Instant::now() + PATIENCE;
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && Instant::now() < until => {
                std::thread::sleep(RETRY);
            }
            done => return done,
        }
    }
}

/// Creates the tables, or checks that they are of a known format.
pub fn migrate(connection: &mut Connection, path: &Path) -> Result<(), Error> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let found: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    match found {
        0 => {
            transaction.execute_batch(CREATE)?;
            transaction.pragma_update(None, "user_version", FORMAT)?;
        }
        FORMAT => {}
        _ => return Err(Error::TooNew { path: path.to_owned(), found, known: FORMAT }),
    }
    transaction.commit()?;
    Ok(())
}

/// Rebuilds the list of runs from the events.
pub fn rebuild_runs(connection: &mut Connection) -> Result<(), Error> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    transaction.execute_batch(
        "DELETE FROM runs;
         INSERT INTO runs (run_id, last_event, created_us, updated_us, events)
         SELECT run_id, (SELECT kind FROM events last WHERE last.run_id = e.run_id ORDER BY seq DESC LIMIT 1),
                (SELECT time_us FROM events first WHERE first.run_id = e.run_id ORDER BY seq LIMIT 1),
                (SELECT time_us FROM events last WHERE last.run_id = e.run_id ORDER BY seq DESC LIMIT 1), count(*)
         FROM events e GROUP BY run_id;",
    )?;
    transaction.commit()?;
    Ok(())
}
