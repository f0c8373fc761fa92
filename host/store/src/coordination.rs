//! The role *coordination*: what processes on one store share that is not in the log.

use fusebox_core::{BudgetKind, RunId};

use crate::error::Error;

/// A share of a tenant's budget that a run asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// The tenant.
    pub tenant: String,
    /// The run.
    pub run: RunId,
    /// Of which budget.
    pub budget: BudgetKind,
    /// The tenant's limit.
    pub limit: u64,
    /// Less than this is of no use.
    pub least: u64,
    /// More than this is not wanted.
    pub most: u64,
}

/// What a run has used of a tenant's budget; the rest of its share goes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// The tenant.
    pub tenant: String,
    /// The run.
    pub run: RunId,
    /// Of which budget.
    pub budget: BudgetKind,
    /// All that the run has used.
    pub used: u64,
}

/// Fencing tokens, reservations of tenants' budgets, offsets of sinks and shared cells.
pub trait Coordination {
    /// A new token for the lease of a run: whoever has an older one cannot write any more.
    ///
    /// # Errors
    /// When the log cannot be written.
    fn next_fencing_token(&self, run: &RunId) -> Result<u64, Error>;

    /// Sets a share of a tenant's budget aside for a run. Gives back what the run has set aside or used in all.
    ///
    /// # Errors
    /// [`Error::BudgetExceeded`] when the budget cannot cover it, or when the log cannot be written.
    fn reserve(&self, reservation: Reservation) -> Result<u64, Error>;

    /// What one run of a tenant has set aside or used.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn reserved_by(&self, tenant: &str, run: &RunId, budget: BudgetKind) -> Result<u64, Error>;

    /// What all runs of a tenant have set aside or used.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn reserved(&self, tenant: &str, budget: BudgetKind) -> Result<u64, Error>;

    /// How far a sink was told; none when it never was.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn sink_offset(&self, sink: &str) -> Result<Option<i64>, Error>;

    /// Keeps in mind how far a sink was told.
    ///
    /// # Errors
    /// When the log cannot be written.
    fn set_sink_offset(&self, sink: &str, log_index: i64) -> Result<(), Error>;

    /// The state of a breaker or rate limit, with its version; version 0 when there is none yet.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn shared_cell(&self, name: &str) -> Result<(u64, String), Error>;

    /// Replaces the state of a breaker or rate limit, if nobody did since this version. Says whether it did.
    ///
    /// # Errors
    /// When the log cannot be written.
    fn set_shared_cell(&self, name: &str, version: u64, state: String) -> Result<bool, Error>;
}
