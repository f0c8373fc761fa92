//! Levels of a plan's risk.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Level of a plan's risk, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RiskLevel {
    /// The risk of most plans.
    Low,
    /// More risk than usual.
    Medium,
    /// A person should look at each step.
    High,
}

impl RiskLevel {
    /// All levels, the least first: the order of a model's outputs.
    pub const ALL: [Self; 3] = [Self::Low, Self::Medium, Self::High];

    /// Index of the level in [`ALL`](Self::ALL).
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::Low => 0,
            Self::Medium => 1,
            Self::High => 2,
        }
    }

    /// Name of the level in capitals.
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
