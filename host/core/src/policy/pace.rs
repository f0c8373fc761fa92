//! How often agents may take steps.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rate::RateSettings;

/// How often an agent may take steps of a type. Each agent and each step type that it is for counts by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimitPolicy {
    /// For this agent only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// For this step type only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_type: Option<String>,
    /// So many times …
    #[schemars(range(min = 1))]
    pub count: u32,
    /// … in this many seconds.
    #[schemars(range(min = 1, max = 86_400))]
    pub per_s: u32,
    /// So many at once at the most; without it, all of `count`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub burst: Option<u32>,
}

impl RateLimitPolicy {
    /// Whether it is for steps of this type by this agent.
    #[must_use]
    pub fn is_for(&self, agent: &str, step_type: &str) -> bool {
        self.agent.as_ref().is_none_or(|only| only == agent)
            && self.step_type.as_ref().is_none_or(|only| only == step_type)
    }

    /// The numbers alone.
    #[must_use]
    pub fn settings(&self) -> RateSettings {
        RateSettings { count: self.count, per_s: self.per_s, burst: self.burst }
    }
}
