//! Chains of events: runs and other chains; each is part of one tenant's log.

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use crate::error::Error;

/// A chain as it is known by the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainRow {
    pub chain: i64,
    pub tenant: String,
}

pub const INSERT: &str = "INSERT INTO chains (run_id, tenant) VALUES (?1, ?2)";
pub const FIND: &str = "SELECT chain, tenant FROM chains WHERE run_id = ?1";

/// Inserts a chain that begins.
pub fn insert(transaction: &Transaction<'_>, run: &str, tenant: &str) -> Result<ChainRow, Error> {
    transaction.prepare_cached(INSERT)?.execute(params![run, tenant])?;
    Ok(ChainRow { chain: transaction.last_insert_rowid(), tenant: tenant.to_owned() })
}

/// A chain by its name.
pub fn find(connection: &Connection, run: &str) -> Result<Option<ChainRow>, Error> {
    let mut statement = connection.prepare_cached(FIND)?;
    let row = statement.query_row([run], |row| Ok(ChainRow { chain: row.get(0)?, tenant: row.get(1)? }));
    Ok(row.optional()?)
}
