//! How risky a plan is.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How risky a plan is, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RiskLevel {
    /// As most plans are.
    Low,
    /// More than usual.
    Medium,
    /// A person should look at each step.
    High,
}

impl RiskLevel {
    /// All levels, the least first: the order of a model's outputs.
    pub const ALL: [Self; 3] = [Self::Low, Self::Medium, Self::High];

    /// Its place in [`ALL`](Self::ALL).
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::Low => 0,
            Self::Medium => 1,
            Self::High => 2,
        }
    }

    /// Its name in capitals.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "LOW",
            Self::Medium => "MEDIUM",
            Self::High => "HIGH",
        }
    }
}

impl fmt::Display for RiskLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
