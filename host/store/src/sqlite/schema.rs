//! The tables.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, Transaction};

use crate::error::Error;
use crate::sqlite::project;

/// The format, kept in `PRAGMA user_version`.
const FORMAT: i64 = 1;

/// `log_index` is the order of commits; events and blobs are only ever added.
const EVENTS: &str = "
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
CREATE INDEX events_of_switches ON events (log_index) WHERE kind IN ('kill_set', 'kill_lifted');
CREATE TRIGGER events_are_not_updated BEFORE UPDATE ON events
    BEGIN SELECT RAISE(ABORT, 'events are never changed'); END;
CREATE TRIGGER events_are_not_deleted BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'events are never deleted'); END;
-- REPLACE deletes without asking the trigger above.
CREATE TRIGGER events_are_not_replaced BEFORE INSERT ON events
    WHEN EXISTS (SELECT 1 FROM events WHERE log_index = NEW.log_index)
      OR EXISTS (SELECT 1 FROM events WHERE run_id = NEW.run_id AND seq = NEW.seq)
    BEGIN SELECT RAISE(ABORT, 'events are never replaced'); END;
";

/// Read models can be rebuilt from events at any time; leases, the ledger of tenants and gauges hold current state that
/// belongs to no single run.
pub const READ_MODELS: &str = "
-- Read model: one row a run.
CREATE TABLE runs (
    run_id     TEXT    PRIMARY KEY,
    goal       TEXT    NOT NULL,
    agent      TEXT    NOT NULL,
    tenant     TEXT    NOT NULL,
    kind       TEXT    NOT NULL DEFAULT 'run',
    steps      INTEGER NOT NULL,
    completed  INTEGER NOT NULL DEFAULT 0,
    started    INTEGER NOT NULL DEFAULT 0,
    paused     INTEGER NOT NULL DEFAULT 0,
    question   TEXT,
    ended      TEXT,
    last_event TEXT    NOT NULL,
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    events     INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX runs_by_time ON runs (created_us);
CREATE INDEX runs_by_agent ON runs (agent, created_us);
CREATE INDEX runs_by_tenant ON runs (tenant, created_us);
CREATE INDEX runs_unfinished ON runs (created_us) WHERE ended IS NULL;
CREATE INDEX runs_under_way ON runs (run_id)
    WHERE ended IS NULL AND kind = 'run' AND started = 1 AND paused = 0 AND question IS NULL
      AND last_event NOT IN ('run_interrupted', 'run_left');
-- Read model: the newest session of each id that a program gave.
CREATE TABLE sessions (
    tenant      TEXT NOT NULL,
    origin      TEXT NOT NULL,
    external_id TEXT NOT NULL,
    run_id      TEXT NOT NULL,
    PRIMARY KEY (tenant, origin, external_id)
) STRICT, WITHOUT ROWID;
-- States of sessions as of an event: a process that comes folds the events after it.
CREATE TABLE snapshots (
    run_id TEXT    PRIMARY KEY,
    seq    INTEGER NOT NULL,
    head   BLOB    NOT NULL,
    state  TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
-- Read model: what people are asked, and were.
CREATE TABLE questions (
    id         TEXT    PRIMARY KEY,
    run_id     TEXT    NOT NULL,
    seq        INTEGER NOT NULL,
    kind       TEXT    NOT NULL,
    step       TEXT,
    asked_us   INTEGER NOT NULL,
    expires_us INTEGER,
    answer     TEXT,
    by         TEXT,
    decided_us INTEGER
) STRICT;
CREATE INDEX questions_open ON questions (asked_us) WHERE answer IS NULL;
CREATE INDEX questions_due ON questions (expires_us) WHERE answer IS NULL;
CREATE INDEX questions_of_runs ON questions (run_id) WHERE answer IS NULL;
-- Read model: kill switches, set or lifted. `set_at` and `runs.created_at` are places in the log: what was there when a
-- switch was set stays killed, however soon it is lifted.
CREATE TABLE switches (
    target    TEXT    PRIMARY KEY,
    by        TEXT    NOT NULL,
    set_us    INTEGER NOT NULL,
    set_at    INTEGER NOT NULL,
    is_lifted INTEGER NOT NULL DEFAULT 0
) STRICT;
-- Read model: pauses that were asked for and have not taken place.
CREATE TABLE pauses (
    run_id TEXT PRIMARY KEY,
    by     TEXT NOT NULL,
    reason TEXT NOT NULL
) STRICT;
-- Who may write to a run: the holder of the newest token.
CREATE TABLE leases (
    run_id TEXT    PRIMARY KEY,
    token  INTEGER NOT NULL
) STRICT;
-- The ledger of tenants: what each run has set aside or used, and the sum of all.
CREATE TABLE allotments (
    tenant TEXT    NOT NULL,
    run_id TEXT    NOT NULL,
    budget TEXT    NOT NULL,
    amount INTEGER NOT NULL,
    PRIMARY KEY (tenant, run_id, budget)
) STRICT, WITHOUT ROWID;
CREATE TABLE reserved (
    tenant TEXT    NOT NULL,
    budget TEXT    NOT NULL,
    amount INTEGER NOT NULL,
    PRIMARY KEY (tenant, budget)
) STRICT, WITHOUT ROWID;
-- Breakers and rate limits.
CREATE TABLE gauges (
    name    TEXT    PRIMARY KEY,
    version INTEGER NOT NULL,
    state   TEXT    NOT NULL
) STRICT;
";

/// The tenant of each chain, blobs by the chain that names them, the Merkle trees of all tenants, and their
/// checkpoints. Trees can be rebuilt from the events; checkpoints cannot.
const PROOFS: &str = "
CREATE TABLE chains (
    chain  INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL UNIQUE,
    tenant TEXT NOT NULL
) STRICT;
CREATE TABLE blobs (
    chain  INTEGER NOT NULL,
    digest BLOB    NOT NULL,
    salt   BLOB,
    bytes  BLOB    NOT NULL,
    since  INTEGER NOT NULL,
    UNIQUE (chain, digest)
) STRICT;
-- Bytes of events and blobs of a tenant.
CREATE TABLE stored (
    tenant TEXT    PRIMARY KEY,
    bytes  INTEGER NOT NULL
) STRICT;
-- Up to where the trees have grown.
CREATE TABLE grown (
    log_index INTEGER NOT NULL
) STRICT;
INSERT INTO grown VALUES (0);
-- The right edge of a tree: roots of its largest perfect subtrees, and where the events of its last, unfinished block begin.
CREATE TABLE trees (
    tenant   TEXT    PRIMARY KEY,
    size     INTEGER NOT NULL,
    nodes    BLOB    NOT NULL,
    block_at INTEGER NOT NULL
) STRICT;
-- Roots of perfect subtrees from the sixth level on; on the sixth, where their events begin.
CREATE TABLE tree_nodes (
    tenant   TEXT    NOT NULL,
    level    INTEGER NOT NULL,
    place    INTEGER NOT NULL,
    hash     BLOB    NOT NULL,
    first_at INTEGER,
    PRIMARY KEY (tenant, level, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX tree_blocks ON tree_nodes (tenant, first_at) WHERE first_at IS NOT NULL;
CREATE TABLE checkpoints (
    tenant  TEXT    NOT NULL,
    size    INTEGER NOT NULL,
    time_us INTEGER NOT NULL,
    note    TEXT    NOT NULL,
    PRIMARY KEY (tenant, size)
) STRICT, WITHOUT ROWID;
-- Last event that each sink has taken.
CREATE TABLE sinks (
    name      TEXT    PRIMARY KEY,
    log_index INTEGER NOT NULL
) STRICT;
CREATE TRIGGER checkpoints_are_not_updated BEFORE UPDATE ON checkpoints
    BEGIN SELECT RAISE(ABORT, 'checkpoints are never changed'); END;
CREATE TRIGGER checkpoints_are_not_deleted BEFORE DELETE ON checkpoints
    BEGIN SELECT RAISE(ABORT, 'checkpoints are never deleted'); END;
";

/// Statements that are kept prepared: all that there are.
const STATEMENTS: usize = 96;
/// Most bytes that are left written ahead.
const MAX_AHEAD: u64 = 384 * 1024;
/// Longest wait for other processes.
const PATIENCE: Duration = Duration::from_secs(30);
/// Length of one wait for another process.
const PAUSE: Duration = Duration::from_micros(300);
/// Time between two tries of an operation for which SQLite does not wait.
const RETRY: Duration = Duration::from_millis(2);

/// Sets a connection up: durable commits, waiting for other processes instead of failing.
pub fn configure(connection: &mut Connection) -> Result<(), rusqlite::Error> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Without this, statements whose values meet a partial index are planned anew each time.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.busy_handler(Some(wait))?;
    // The last process to close the log would write it anew, with two syncs, after each command.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    write_ahead(connection)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    // Erased data is overwritten.
    connection.pragma_update(None, "secure_delete", "ON")?;
    Ok(())
}

/// Brings what is written ahead into the log when it is much: the next process to open the log reads all of it. Nothing
/// waits for other processes.
pub fn close(connection: &Connection) {
    let ahead = connection.path().map(|path| format!("{path}-wal"));
    if ahead.and_then(|ahead| std::fs::metadata(ahead).ok()).is_some_and(|file| file.len() > MAX_AHEAD) {
        // What is not brought in now is so later.
        let _ = connection.busy_timeout(Duration::ZERO);
        let _ = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    }
}

/// Waits a moment for another process to finish its write. SQLite's own waiting backs off to a tenth of a second, which is
/// hundreds of commits.
fn wait(waited: i32) -> bool {
    let goes_on = u128::try_from(waited).is_ok_and(|waited| waited * PAUSE.as_micros() < PATIENCE.as_micros());
    if goes_on {
        std::thread::sleep(PAUSE);
    }
    goes_on
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

/// Creates the tables, unless they are there.
pub fn create(connection: &mut Connection, path: &Path) -> Result<(), Error> {
    let is_there = |found: i64| match found {
        0 => Ok(false),
        FORMAT => Ok(true),
        _ => Err(Error::OtherFormat { path: path.to_owned(), found, known: FORMAT }),
    };
    // Mostly there is nothing to do, and no other process has to wait for that.
    if is_there(format(connection)?)? {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    if !is_there(format(&transaction)?)? {
        transaction.execute_batch(EVENTS)?;
        transaction.execute_batch(READ_MODELS)?;
        transaction.execute_batch(PROOFS)?;
        transaction.pragma_update(None, "user_version", FORMAT)?;
    }
    transaction.commit()?;
    Ok(())
}

fn format(connection: &Connection) -> Result<i64, rusqlite::Error> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Triggers and views of a log, as they were written, by name.
pub fn guards(connection: &Connection) -> Result<BTreeMap<String, String>, rusqlite::Error> {
    let query = "SELECT name, coalesce(sql, '') FROM sqlite_master WHERE type IN ('trigger', 'view')";
    connection.prepare(query)?.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// Those of a log as it is made.
pub fn known_guards() -> Result<BTreeMap<String, String>, Error> {
    let mut made = Connection::open_in_memory()?;
    create(&mut made, Path::new(""))?;
    Ok(guards(&made)?)
}

/// Rebuilds the read models from the events, and the triggers that keep the log from being changed.
pub fn rebuild_read_models(connection: &mut Connection) -> Result<(), Error> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let kinds = "SELECT type, name FROM sqlite_master WHERE type IN ('trigger', 'view')";
    let found: Vec<(String, String)> = {
        let mut found = transaction.prepare(kinds)?;
        found.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?
    };
    for (kind, name) in found {
        transaction.execute_batch(&format!("DROP {kind} \"{}\"", name.replace('"', "\"\"")))?;
    }
    for sql in known_guards()?.values() {
        transaction.execute_batch(sql)?;
    }
    transaction.execute_batch(
        "DELETE FROM runs; DELETE FROM questions; DELETE FROM switches; DELETE FROM pauses; DELETE FROM sessions;
         DELETE FROM snapshots;",
    )?;
    rebuild(&transaction)?;
    transaction.commit()?;
    Ok(())
}

fn rebuild(transaction: &Transaction<'_>) -> Result<(), Error> {
    let mut events =
        transaction.prepare("SELECT run_id, seq, time_us, kind, payload, log_index FROM events ORDER BY log_index")?;
    let mut rows = events.query([])?;
    while let Some(row) = rows.next()? {
        let run: String = row.get(0)?;
        let event = project::Stored {
            run: &run,
            seq: row.get(1)?,
            time_us: row.get(2)?,
            kind: &row.get::<_, String>(3)?,
            payload: &row.get::<_, String>(4)?,
            log_index: row.get(5)?,
        };
        project::event(transaction, &event)?;
        project::last_of_run(transaction, &event)?;
    }
    Ok(())
}
