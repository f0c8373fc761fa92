//! Limits on the rate of agents' steps.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rate::RateSettings;

/// Limit on the rate of an agent's steps of a type. Each agent and each step type it applies to is counted separately.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimitPolicy {
    /// Agent that the limit applies to; all without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Step type that the limit applies to; all without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_type: Option<String>,
    /// Number of steps …
    #[schemars(range(min = 1))]
    pub count: u32,
    /// … in this many seconds.
    #[schemars(range(min = 1, max = 86_400))]
    pub per_s: u32,
    /// Most steps at once; without it, all of `count`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub burst: Option<u32>,
}

impl RateLimitPolicy {
    /// Whether the limit applies to steps of this type by this agent.
    #[must_use]
    pub fn is_for(&self, agent: &str, step_type: &str) -> bool {
        self.agent.as_ref().is_none_or(|only| only == agent)
            && self.step_type.as_ref().is_none_or(|only| only == step_type)
    }

    /// The numbers without agent and step type.
    #[must_use]
    pub fn settings(&self) -> RateSettings {
        RateSettings { count: self.count, per_s: self.per_s, burst: self.burst }
    }
}
