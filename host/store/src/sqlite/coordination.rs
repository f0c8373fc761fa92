//! Coordination on SQLite.

use fusebox_core::{BudgetKind, RunId};
use rusqlite::{OptionalExtension as _, params};

use super::{SqliteStore, tenants};
use crate::coordination::{Coordination, Reservation};
use crate::error::Error;

impl Coordination for SqliteStore {
    fn next_fencing_token(&self, run: &RunId) -> Result<u64, Error> {
        let run = run.clone();
        self.change(move |transaction| {
            let mut statement = transaction.prepare_cached(
                "INSERT INTO leases (run_id, token) VALUES (?1, 1)
                 ON CONFLICT (run_id) DO UPDATE SET token = token + 1 RETURNING token",
            )?;
            Ok(statement.query_row([run.as_str()], |row| row.get(0))?)
        })
    }

    fn reserve(&self, reservation: Reservation) -> Result<u64, Error> {
        self.change(move |transaction| tenants::reserve(transaction, &reservation))
    }

    fn reserved_by(&self, tenant: &str, run: &RunId, budget: BudgetKind) -> Result<u64, Error> {
        tenants::of_run(&self.reader(), tenant, run, budget)
    }

    fn reserved(&self, tenant: &str, budget: BudgetKind) -> Result<u64, Error> {
        tenants::reserved(&self.reader(), tenant, budget)
    }

    fn sink_offset(&self, sink: &str) -> Result<Option<i64>, Error> {
        let reader = self.reader();
        let mut statement = reader.prepare_cached("SELECT log_index FROM sinks WHERE name = ?1")?;
        Ok(statement.query_row([sink], |row| row.get(0)).optional()?)
    }

    fn set_sink_offset(&self, sink: &str, log_index: i64) -> Result<(), Error> {
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

    fn shared_cell(&self, name: &str) -> Result<(u64, String), Error> {
        let reader = self.reader();
        let mut statement = reader.prepare_cached("SELECT version, state FROM gauges WHERE name = ?1")?;
        let found = statement.query_row([name], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        Ok(found.unwrap_or((0, String::new())))
    }

    fn set_shared_cell(&self, name: &str, version: u64, state: String) -> Result<bool, Error> {
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
