//! The engineering rules: thresholds that make a plan risky whatever a model predicts. Models are also trained on them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Features, RiskLevel};

/// Thresholds beyond which a plan is risky. Each is the largest value that does not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Thresholds {
    /// Beyond any of these a plan is HIGH.
    pub high: HighThresholds,
    /// Beyond any of these a plan is at least MEDIUM.
    pub medium: MediumThresholds,
}

/// Beyond any of these a plan is HIGH.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HighThresholds {
    /// Number of steps.
    pub num_steps: u64,
    /// Number of model tokens.
    pub est_tokens: u64,
    /// Consecutive steps with one tool.
    pub sequential_tool_calls: u64,
    /// Number of steps of a plan that uses a tool of high risk.
    pub num_steps_with_high_risk_tool: u64,
}

impl Default for HighThresholds {
    fn default() -> Self {
        Self { num_steps: 12, est_tokens: 9000, sequential_tool_calls: 8, num_steps_with_high_risk_tool: 10 }
    }
}

/// Beyond any of these a plan is at least MEDIUM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MediumThresholds {
    /// Number of steps.
    pub num_steps: u64,
    /// Number of model tokens.
    pub est_tokens: u64,
    /// Consecutive steps with one tool.
    pub sequential_tool_calls: u64,
}

impl Default for MediumThresholds {
    fn default() -> Self {
        Self { num_steps: 6, est_tokens: 5000, sequential_tool_calls: 4 }
    }
}

/// A rule that a plan exceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuleHit {
    /// Level that the rule asks for.
    pub level: RiskLevel,
    /// Name of the threshold.
    pub threshold: RuleName,
    /// Largest value that does not count.
    pub limit: u64,
    /// Value of the plan.
    pub value: u64,
}

/// Names of the thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "named after the thresholds")]
pub enum RuleName {
    NumSteps,
    EstTokens,
    SequentialToolCalls,
    NumStepsWithHighRiskTool,
}

impl RuleName {
    /// Name of the threshold in policy files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NumSteps => "num_steps",
            Self::EstTokens => "est_tokens",
            Self::SequentialToolCalls => "sequential_tool_calls",
            Self::NumStepsWithHighRiskTool => "num_steps_with_high_risk_tool",
        }
    }
}

impl Thresholds {
    /// Rules that a plan exceeds, the most severe first.
    #[must_use]
    pub fn hits(&self, features: &Features) -> Vec<RuleHit> {
        let Self { high, medium } = self;
        let with_risky_tool = if features.has_high_risk_tool { features.num_steps } else { 0 };
        let rules = [
            (RiskLevel::High, RuleName::NumSteps, high.num_steps, features.num_steps),
            (RiskLevel::High, RuleName::EstTokens, high.est_tokens, features.est_tokens),
            (
                RiskLevel::High,
                RuleName::SequentialToolCalls,
                high.sequential_tool_calls,
                features.sequential_tool_calls,
            ),
            (RiskLevel::High, RuleName::NumStepsWithHighRiskTool, high.num_steps_with_high_risk_tool, with_risky_tool),
            (RiskLevel::Medium, RuleName::NumSteps, medium.num_steps, features.num_steps),
            (RiskLevel::Medium, RuleName::EstTokens, medium.est_tokens, features.est_tokens),
            (
                RiskLevel::Medium,
                RuleName::SequentialToolCalls,
                medium.sequential_tool_calls,
                features.sequential_tool_calls,
            ),
        ];
        rules
            .into_iter()
            .filter(|(_, _, limit, value)| value > limit)
            .map(|(level, threshold, limit, value)| RuleHit { level, threshold, limit, value })
            .collect()
    }

    /// The level that the rules ask for.
    #[must_use]
    pub fn level(&self, features: &Features) -> RiskLevel {
        self.hits(features).first().map_or(RiskLevel::Low, |hit| hit.level)
    }

    /// The first contradiction, if there is one: a MEDIUM threshold above the HIGH one of the same feature.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let Self { high, medium } = self;
        let pairs = [
            ("num_steps", medium.num_steps, high.num_steps),
            ("est_tokens", medium.est_tokens, high.est_tokens),
            ("sequential_tool_calls", medium.sequential_tool_calls, high.sequential_tool_calls),
        ];
        let (name, medium, high) = pairs.into_iter().find(|(_, medium, high)| medium > high)?;
        Some(format!("medium.{name} ({medium}) may not be above high.{name} ({high})"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn features(num_steps: u64, est_tokens: u64, streak: u64, has_high_risk_tool: bool) -> Features {
        Features {
            num_steps,
            num_tools: num_steps,
            tool_diversity: 1,
            has_high_risk_tool,
            est_tokens,
            max_retries: 0,
            sequential_tool_calls: streak.min(num_steps),
            plan_depth: 1,
            time_limit_sec: 60,
        }
    }

    #[test]
    fn the_rules_are_those_that_models_are_taught() {
        let level = |steps, tokens, streak, risky| Thresholds::default().level(&features(steps, tokens, streak, risky));
        use RiskLevel::{High, Low, Medium};
        assert_eq!([level(12, 0, 1, false), level(13, 0, 1, false)], [Medium, High]);
        assert_eq!([level(6, 9000, 1, false), level(6, 9001, 1, false)], [Medium, High]);
        assert_eq!([level(12, 0, 8, false), level(12, 0, 9, false)], [Medium, High]);
        assert_eq!([level(10, 0, 1, true), level(11, 0, 1, true), level(11, 0, 1, false)], [Medium, High, Medium]);
        assert_eq!([level(6, 5000, 4, true), level(7, 0, 1, false)], [Low, Medium]);
        assert_eq!([level(6, 5001, 1, false), level(6, 0, 5, false)], [Medium, Medium]);
    }

    proptest! {
        #[test]
        fn more_is_never_less_risky(steps in 1..40_u64, tokens in 0..20_000_u64, streak in 1..20_u64, risky: bool,
                                    more in 0..20_u64) {
            let level = |steps, tokens, streak, risky| {
                Thresholds::default().level(&features(steps, tokens, streak, risky))
            };
            let before = level(steps, tokens, streak, risky);
            prop_assert!(level(steps + more, tokens, streak, risky) >= before);
            prop_assert!(level(steps, tokens + more * 500, streak, risky) >= before);
            prop_assert!(level(steps + more, tokens, streak + more, risky) >= before);
            prop_assert!(level(steps, tokens, streak, true) >= before);
        }
    }
}
