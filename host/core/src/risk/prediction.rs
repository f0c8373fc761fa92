//! Predictions and assessments of a plan's risk.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Features, RiskLevel, RuleHit};
use crate::Digest;

/// Probabilities of the levels, by a model. The three sum to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "named after the levels")]
pub struct Probabilities {
    pub low: f64,
    pub medium: f64,
    pub high: f64,
}

impl Probabilities {
    /// The most likely level; of two equally likely ones the more severe.
    #[must_use]
    pub fn level(&self) -> RiskLevel {
        if self.high >= self.medium && self.high >= self.low {
            RiskLevel::High
        } else if self.medium >= self.low {
            RiskLevel::Medium
        } else {
            RiskLevel::Low
        }
    }

    /// The probability of a level.
    #[must_use]
    pub fn of(&self, level: RiskLevel) -> f64 {
        match level {
            RiskLevel::Low => self.low,
            RiskLevel::Medium => self.medium,
            RiskLevel::High => self.high,
        }
    }
}

/// One model's prediction for a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Prediction {
    /// Digest of the model's file.
    pub model: Digest,
    /// The most likely level, by the model alone.
    pub level: RiskLevel,
    /// The probability of HIGH, in [0, 1].
    pub score: f64,
    /// The probabilities of all levels.
    pub probabilities: Probabilities,
    /// Names of the features outside of the model's training data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub out_of_distribution: Vec<String>,
}

/// Assessment of a plan's risk: the model's prediction, the level of the rules, and the level that counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Assessment {
    /// Features of the plan.
    pub features: Features,
    /// Source of `est_tokens`: `declared`, or the name of the estimator.
    pub estimator: String,
    /// Level that counts.
    pub level: RiskLevel,
    /// The level that the rules ask for.
    pub rule_level: RiskLevel,
    /// Rules that the plan exceeds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleHit>,
    /// Prediction of the model; none when it could not be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prediction: Option<Prediction>,
    /// Reason why the model could not be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Prediction of a second model, which does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenger: Option<Prediction>,
    /// Reason why a person must look at the plan, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<String>,
}

impl Assessment {
    /// The probability of HIGH by the model; 1 when no model could be asked, because an unknown risk is not low.
    #[must_use]
    pub fn score(&self) -> f64 {
        self.prediction.as_ref().map_or(1.0, |prediction| prediction.score)
    }
}
