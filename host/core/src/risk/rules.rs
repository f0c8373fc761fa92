//! The engineering rules: what is risky whatever a model says. They are also what models are taught.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Features, RiskLevel};

/// From where on a plan is risky. Each limit is the most that does not count yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Thresholds {
    /// Beyond any of these a plan is HIGH.
    pub high: HighThresholds,
    /// Beyond any of these it is at least MEDIUM.
    pub medium: MediumThresholds,
}

/// Beyond any of these a plan is HIGH.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HighThresholds {
    /// Steps.
    pub num_steps: u64,
    /// Model tokens.
    pub est_tokens: u64,
    /// Steps with one tool, one behind the other.
    pub sequential_tool_calls: u64,
    /// Steps of a plan with a tool of high risk.
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
    /// Steps.
    pub num_steps: u64,
    /// Model tokens.
    pub est_tokens: u64,
    /// Steps with one tool, one behind the other.
    pub sequential_tool_calls: u64,
}

impl Default for MediumThresholds {
    fn default() -> Self {
        Self { num_steps: 6, est_tokens: 5000, sequential_tool_calls: 4 }
    }
}

/// A rule that a plan is beyond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuleHit {
    /// The level that it asks for.
    pub level: RiskLevel,
    /// The threshold's name.
    pub threshold: RuleName,
    /// The most that would not have counted.
    pub limit: u64,
    /// What the plan has.
    pub value: u64,
}

/// The thresholds' names.
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
    /// Its name in policy files.
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
    /// Every rule that a plan is beyond, the most severe first.
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

    /// What makes no sense, if anything: a MEDIUM threshold above the HIGH one of the same feature.
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
