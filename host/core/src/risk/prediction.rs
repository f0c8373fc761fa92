//! What is said of a plan's risk.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Features, RiskLevel, RuleHit};
use crate::Digest;

/// How likely each level is, by a model. The three sum to 1.
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

/// What one model says of a plan.
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
    /// Features that are outside of what the model was trained on, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub out_of_distribution: Vec<String>,
}

/// What is made of a plan's risk: the model's word, the rules', and what counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Assessment {
    /// What the plan looks like.
    pub features: Features,
    /// Where `est_tokens` comes from: `declared`, or the name of the estimator.
    pub estimator: String,
    /// What counts.
    pub level: RiskLevel,
    /// The level that the rules ask for.
    pub rule_level: RiskLevel,
    /// The rules that the plan is beyond.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleHit>,
    /// What the model says; none when it could not be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prediction: Option<Prediction>,
    /// Why the model could not be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// What a second model says that does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenger: Option<Prediction>,
    /// Why a person must look at the plan, if one must.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<String>,
}

impl Assessment {
    /// The probability of HIGH by the model; 1 when no model could be asked, because what is not known is not low.
    #[must_use]
    pub fn score(&self) -> f64 {
        self.prediction.as_ref().map_or(1.0, |prediction| prediction.score)
    }
}
