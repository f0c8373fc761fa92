//! The nine features of a plan.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::json::MAX_INTEGER;
use crate::{Error, plan};

/// The features' names, in the order in which a model gets them.
pub const FEATURES: [&str; 9] = [
    "num_steps",
    "num_tools",
    "tool_diversity",
    "has_high_risk_tool",
    "est_tokens",
    "max_retries",
    "sequential_tool_calls",
    "plan_depth",
    "time_limit_sec",
];

/// Longest time limit that a feature can hold: ten years, in seconds.
const MAX_SECONDS: u64 = 10 * 366 * 86_400;
/// Most retries that a feature can hold.
const MAX_RETRIES: u64 = 1000;

/// Features of a plan for a predictor. A tool is a step type, for commands with its program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Features {
    /// Number of steps, grouped ones included: 1 to 10,000.
    pub num_steps: u64,
    /// Distinct tools that the plan may use, declared or used: 1 to 20,000.
    pub num_tools: u64,
    /// Distinct tools that steps use: 1 to `num_tools`.
    pub tool_diversity: u64,
    /// Whether one of its tools is of high risk.
    pub has_high_risk_tool: bool,
    /// Model tokens, input and output: up to 2^53 - 1.
    pub est_tokens: u64,
    /// Most retries of one step: up to 1,000.
    pub max_retries: u64,
    /// Longest streak of steps with one tool: 1 to `num_steps`.
    pub sequential_tool_calls: u64,
    /// Depth of groups: 1 without groups, up to 17.
    pub plan_depth: u64,
    /// Longest wall time, in seconds: 1 to ten years.
    pub time_limit_sec: u64,
}

impl Features {
    /// The features as numbers, in the order of [`FEATURES`]; a flag is 0 or 1.
    #[must_use]
    pub fn numbers(&self) -> [u64; 9] {
        [
            self.num_steps,
            self.num_tools,
            self.tool_diversity,
            u64::from(self.has_high_risk_tool),
            self.est_tokens,
            self.max_retries,
            self.sequential_tool_calls,
            self.plan_depth,
            self.time_limit_sec,
        ]
    }

    /// The features as a model gets them: 32-bit floats, in the order of [`FEATURES`].
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a model's input is a 32-bit float")]
    pub fn inputs(&self) -> [f32; 9] {
        self.numbers().map(|number| number as f32)
    }

    /// Whether each feature is in its range.
    ///
    /// # Errors
    /// [`Error::FeatureOutOfRange`] with the first feature that is out of range.
    pub fn check(&self) -> Result<(), Error> {
        let steps = plan::MAX_STEPS as u64;
        let ranges = [
            (1, steps),
            (1, 2 * steps),
            (1, self.num_tools.min(self.num_steps)),
            (0, 1),
            (0, MAX_INTEGER),
            (0, MAX_RETRIES),
            (1, self.num_steps),
            (1, plan::MAX_GROUP_DEPTH as u64 + 1),
            (1, MAX_SECONDS),
        ];
        for ((field, value), (least, most)) in FEATURES.into_iter().zip(self.numbers()).zip(ranges) {
            if !(least..=most).contains(&value) {
                return Err(Error::FeatureOutOfRange { field, value, least, most });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) const PLAIN: Features = Features {
        num_steps: 4,
        num_tools: 3,
        tool_diversity: 2,
        has_high_risk_tool: false,
        est_tokens: 100,
        max_retries: 0,
        sequential_tool_calls: 2,
        plan_depth: 1,
        time_limit_sec: 300,
    };

    #[test]
    fn a_feature_out_of_range_is_named() {
        assert_eq!(PLAIN.check(), Ok(()));
        for (wrong, named) in [
            (Features { num_steps: 0, ..PLAIN }, "num_steps"),
            (Features { num_steps: 10_001, ..PLAIN }, "num_steps"),
            (Features { num_tools: 0, ..PLAIN }, "num_tools"),
            (Features { tool_diversity: 4, ..PLAIN }, "tool_diversity"),
            (Features { est_tokens: u64::MAX, ..PLAIN }, "est_tokens"),
            (Features { max_retries: 1001, ..PLAIN }, "max_retries"),
            (Features { sequential_tool_calls: 5, ..PLAIN }, "sequential_tool_calls"),
            (Features { plan_depth: 18, ..PLAIN }, "plan_depth"),
            (Features { time_limit_sec: 0, ..PLAIN }, "time_limit_sec"),
        ] {
            let error = wrong.check().unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
