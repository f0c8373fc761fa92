//! Requests to kill a run.

use std::path::PathBuf;

use fusebox_core::RunId;
use serde::{Deserialize, Serialize};

/// Requests to kill a run, which the sandbox of its process watches by itself: a host that is stopped, or waits for a
/// log, delays nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KillOrders {
    /// The file of requests, as [`fusebox_core::signal`] lays it out.
    pub board: PathBuf,
    /// Generation of the last request that the host has seen.
    pub seen: u64,
    /// Run of the process.
    pub run: RunId,
    /// Tenant of the run.
    pub tenant: String,
}
