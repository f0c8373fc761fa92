//! Errors of the log.

use std::path::PathBuf;
use std::sync::Arc;

/// The log could not be read or written. Nothing that was acknowledged is lost by it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The database cannot be opened.
    #[error("cannot open the log {path}: is its folder there, and may you write to it?")]
    Open {
        /// Path of the database file.
        path: PathBuf,
        /// Error of SQLite.
        #[source]
        source: Arc<rusqlite::Error>,
    },
    /// The log was made by a version with another format.
    #[error(
        "the log {path} has format {found}; this version knows format {known}; use the version that made it, or another home"
    )]
    OtherFormat {
        /// Path of the database file.
        path: PathBuf,
        /// Format of the file.
        found: i64,
        /// The newest known format.
        known: i64,
    },
    /// SQLite failed.
    #[error("the log could not be read or written")]
    Sqlite(#[source] Arc<rusqlite::Error>),
    /// The disk is full.
    #[error("the disk is full, so nothing can be recorded and nothing is done; free some space")]
    Full,
    /// An event does not continue its run's chain: another process wrote to the run.
    #[error("event {seq} of run {run} does not continue the log; another process has written to this run")]
    Conflict {
        /// Id of the run.
        run: String,
        /// Place of the event.
        seq: u64,
    },
    /// Stored data differs from the data that was written.
    #[error("the log is damaged at event {seq} of run {run}: {what}")]
    Damaged {
        /// Id of the run.
        run: String,
        /// Place of the event.
        seq: u64,
        /// Description of the damage.
        what: String,
    },
    /// What is kept of a run, apart from one event, differs from what was written.
    #[error("the log is damaged in the run {run}: {what}")]
    RunDamaged {
        /// Id of the run.
        run: String,
        /// Description of the damage.
        what: String,
    },
    /// A list that the log keeps differs from what was written.
    #[error(
        "the log's list of {list} is damaged: {what}; `fusebox audit restored` makes the lists anew from the events"
    )]
    ListDamaged {
        /// Entries of the list.
        list: &'static str,
        /// Description of the damage.
        what: String,
    },
    /// Another process has taken the run over.
    #[error("another process has taken the run {run} over, so nothing more is written to it from here")]
    Fenced {
        /// Id of the run.
        run: String,
    },
    /// A tenant's budget that cannot cover a run's request.
    #[error(
        "the budget {budget} of the tenant {tenant} cannot cover this: {spent} of {limit} are used or set aside by its \
         runs, {asked} more asked"
    )]
    BudgetExceeded {
        /// Name of the tenant.
        tenant: String,
        /// Kind of the budget.
        budget: fusebox_core::BudgetKind,
        /// Used or set aside so far.
        spent: u64,
        /// The hard limit.
        limit: u64,
        /// Requested amount.
        asked: u64,
    },
    /// The log may be read, but not written to.
    #[error("the log may only be read by this user, so nothing can be recorded and nothing is done")]
    ReadOnly,
    /// The file is not a database, or is too damaged for SQLite.
    #[error("the log is damaged: SQLite cannot read it. Restore it from a backup; nothing was changed")]
    Corrupt(#[source] Arc<rusqlite::Error>),
    /// A checkpoint could not be signed. Events are written all the same.
    #[error("no checkpoint of the log of {tenant} could be signed: {message}")]
    Unsigned {
        /// Tenant that owns the log.
        tenant: String,
        /// Reason of the refusal.
        message: String,
    },
    /// A tenant has no room left in the log.
    #[error(
        "the log of the tenant {tenant} holds {stored} bytes, and {limit} is all it may hold. Raise \
         tenants.{tenant}.quota_bytes, or erase what is no longer needed (`fusebox audit erase`; its events stay, and count)"
    )]
    QuotaExceeded {
        /// Name of the tenant.
        tenant: String,
        /// Bytes that the tenant has stored.
        stored: u64,
        /// Most bytes that the tenant may store.
        limit: u64,
    },
    /// A tree that is kept is not that of the events.
    #[error("the tree of {tenant} is damaged: {what}; `fusebox audit verify` says whether its events are")]
    TreeDamaged {
        /// Name of the tenant.
        tenant: String,
        /// Description of the damage.
        what: String,
    },
    /// The writer has ended.
    #[error("the log is closed")]
    Closed,
}

fusebox_core::error_codes!(Error {
    Open => "FBX-4001",
    OtherFormat => "FBX-4002",
    Sqlite => "FBX-4003",
    Full => "FBX-4004",
    Conflict => "FBX-4005",
    Damaged => "FBX-4006",
    Closed => "FBX-4007",
    Fenced => "FBX-4008",
    BudgetExceeded => "FBX-4009",
    ReadOnly => "FBX-4010",
    Corrupt => "FBX-4011",
    Unsigned => "FBX-4012",
    QuotaExceeded => "FBX-4013",
    TreeDamaged => "FBX-4014",
    RunDamaged => "FBX-4015",
    ListDamaged => "FBX-4016",
});

impl Error {
    /// Whether another process holds the log, so that a later try may succeed.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        let (Self::Sqlite(source) | Self::Open { source, .. }) = self else { return false };
        matches!(
            source.sqlite_error_code(),
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)
        )
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::Full,
            Some(rusqlite::ErrorCode::ReadOnly) => Self::ReadOnly,
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
                Self::Corrupt(Arc::new(error))
            }
            _ => Self::Sqlite(Arc::new(error)),
        }
    }
}
