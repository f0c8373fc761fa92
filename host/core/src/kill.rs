//! Kill switches.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::RunId;

/// Runs that a kill switch ends.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KillTarget {
    /// All runs, until the switch is lifted.
    All,
    /// All runs of a tenant, until the switch is lifted.
    Tenant(String),
    /// One run, permanently.
    Run(RunId),
}

impl KillTarget {
    /// Whether the target includes this run of this tenant.
    #[must_use]
    pub fn ends(&self, run: &RunId, tenant: &str) -> bool {
        match self {
            Self::All => true,
            Self::Tenant(other) => other == tenant,
            Self::Run(other) => other == run,
        }
    }

    /// File name of the target, unique for each.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::All => "all".to_owned(),
            Self::Tenant(tenant) => format!("tenant:{tenant}"),
            Self::Run(run) => format!("run:{run}"),
        }
    }
}

impl fmt::Display for KillTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all runs"),
            Self::Tenant(tenant) => write!(f, "all runs of the tenant {tenant}"),
            Self::Run(run) => write!(f, "the run {run}"),
        }
    }
}
