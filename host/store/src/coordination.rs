//! The role *coordination*: state outside of the log that processes on one store share.

use fusebox_core::{BudgetKind, RunId};

use crate::error::Error;

/// A share of a tenant's budget that a run asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// Name of the tenant.
    pub tenant: String,
    /// Id of the run.
    pub run: RunId,
    /// Kind of the budget.
    pub budget: BudgetKind,
    /// Limit of the tenant's budget.
    pub limit: u64,
    /// Less than this is of no use.
    pub least: u64,
    /// More than this is not wanted.
    pub most: u64,
}

/// Amount that a run has used of a tenant's budget; the rest of its share returns to the tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// Name of the tenant.
    pub tenant: String,
    /// Id of the run.
    pub run: RunId,
    /// Kind of the budget.
    pub budget: BudgetKind,
    /// All that the run has used.
    pub used: u64,
}

/// Fencing tokens, reservations of tenants' budgets, offsets of sinks and shared cells.
pub trait Coordination {
    /// A new token for the lease of a run: holders of older tokens cannot write any more.
    ///
    /// # Errors
    /// When the log cannot be written.
    fn next_fencing_token(&self, run: &RunId) -> Result<u64, Error>;

    /// Reserves a share of a tenant's budget for a run. Returns the run's total share, used or not.
    ///
    /// # Errors
    /// [`Error::BudgetExceeded`] when the budget cannot cover it, or when the log cannot be written.
    fn reserve(&self, reservation: Reservation) -> Result<u64, Error>;

    /// Amount that one run of a tenant has reserved or used.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn reserved_by(&self, tenant: &str, run: &RunId, budget: BudgetKind) -> Result<u64, Error>;

    /// Amount that all runs of a tenant have reserved or used.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn reserved(&self, tenant: &str, budget: BudgetKind) -> Result<u64, Error>;

    /// Position in the log up to which a sink received events; none when it never did.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn sink_offset(&self, sink: &str) -> Result<Option<i64>, Error>;

    /// Stores the position in the log up to which a sink received events.
    ///
    /// # Errors
    /// When the log cannot be written.
    fn set_sink_offset(&self, sink: &str, log_index: i64) -> Result<(), Error>;

    /// The state of a breaker or rate limit, with its version; version 0 when there is none yet.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn shared_cell(&self, name: &str) -> Result<(u64, String), Error>;

    /// Replaces the state of a breaker or rate limit, unless it changed since this version. Returns whether it did.
    ///
    /// # Errors
    /// When the log cannot be written.
    fn set_shared_cell(&self, name: &str, version: u64, state: String) -> Result<bool, Error>;
}
