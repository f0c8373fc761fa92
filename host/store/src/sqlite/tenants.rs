//! The ledger of tenants: budgets of all runs of a tenant together. A run reserves a share before it uses it, and
//! returns the unused rest.

use fusebox_core::{BudgetKind, RunId};
use rusqlite::{OptionalExtension as _, Transaction, params};

use crate::coordination::{Reservation, Settlement};
use crate::error::Error;

/// Adds to a run's share. Returns the whole share.
pub fn reserve(transaction: &Transaction<'_>, reservation: &Reservation) -> Result<u64, Error> {
    let Reservation { tenant, run, budget, limit, least, most } = reservation;
    let taken = reserved(transaction, tenant, *budget)?;
    let room = limit.saturating_sub(taken);
    if room < *least || room == 0 {
        return Err(Error::BudgetExceeded {
            tenant: tenant.clone(),
            budget: *budget,
            spent: taken,
            limit: *limit,
            asked: *least,
        });
    }
    let given = room.min((*most).max(*least));
    let has = of_run(transaction, tenant, run, *budget)?.saturating_add(given);
    store(transaction, tenant, run, *budget, has, taken.saturating_add(given))?;
    Ok(has)
}

/// Records the amount that a run has used, and returns the rest of its share to the tenant.
pub fn settle(transaction: &Transaction<'_>, settlement: &Settlement) -> Result<(), Error> {
    let Settlement { tenant, run, budget, used } = settlement;
    let (has, taken) = (of_run(transaction, tenant, run, *budget)?, reserved(transaction, tenant, *budget)?);
    if has == *used {
        return Ok(());
    }
    store(transaction, tenant, run, *budget, *used, taken.saturating_sub(has).saturating_add(*used))
}

/// Amount that all runs of a tenant have reserved or used.
pub fn reserved(connection: &rusqlite::Connection, tenant: &str, budget: BudgetKind) -> Result<u64, Error> {
    let mut statement = connection.prepare_cached("SELECT amount FROM reserved WHERE tenant = ?1 AND budget = ?2")?;
    Ok(statement.query_row(params![tenant, budget.name()], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// Amount that one run of a tenant has reserved or used.
pub fn of_run(transaction: &rusqlite::Connection, tenant: &str, run: &RunId, budget: BudgetKind) -> Result<u64, Error> {
    let mut statement = transaction
        .prepare_cached("SELECT amount FROM allotments WHERE tenant = ?1 AND run_id = ?2 AND budget = ?3")?;
    Ok(statement.query_row(params![tenant, run.as_str(), budget.name()], |row| row.get(0)).optional()?.unwrap_or(0))
}

fn store(
    transaction: &Transaction<'_>,
    tenant: &str,
    run: &RunId,
    budget: BudgetKind,
    of_run: u64,
    of_all: u64,
) -> Result<(), Error> {
    transaction
        .prepare_cached(
            "INSERT INTO allotments (tenant, run_id, budget, amount) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (tenant, run_id, budget) DO UPDATE SET amount = ?4",
        )?
        .execute(params![tenant, run.as_str(), budget.name(), of_run])?;
    transaction
        .prepare_cached(
            "INSERT INTO reserved (tenant, budget, amount) VALUES (?1, ?2, ?3)
             ON CONFLICT (tenant, budget) DO UPDATE SET amount = ?3",
        )?
        .execute(params![tenant, budget.name(), of_all])?;
    Ok(())
}
