//! Impact of acting compared with that of refraining.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Ruling;

/// Most factors of one estimate.
pub const MAX_FACTORS: usize = 64;

/// One reason for an estimate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Factor {
    /// Short stable name.
    pub name: String,
    /// Share of the impact, in [0, 1].
    pub contribution: f64,
    /// One sentence for people.
    pub note: String,
}

/// A model's estimate of one alternative.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Estimate {
    /// Size of the change for the worse, in [0, 1].
    pub impact: f64,
    /// The model's confidence, in [0, 1].
    pub confidence: f64,
    /// Reasons for the estimate.
    pub factors: Vec<Factor>,
}

impl Estimate {
    /// The first fault in the estimate, if there is one: a number outside of [0, 1], NaN included, or too many factors.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let good = |value: f64| (0.0..=1.0).contains(&value);
        if !good(self.impact) {
            return Some(format!("the impact is {}, not in [0, 1]", self.impact));
        }
        if !good(self.confidence) {
            return Some(format!("the confidence is {}, not in [0, 1]", self.confidence));
        }
        if let Some(factor) = self.factors.iter().find(|factor| !good(factor.contribution)) {
            return Some(format!("the contribution of {:?} is {}, not in [0, 1]", factor.name, factor.contribution));
        }
        (self.factors.len() > MAX_FACTORS).then(|| format!("more than {MAX_FACTORS} factors"))
    }
}

/// Both alternatives of one action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Impact {
    /// Impact of acting.
    pub act: Estimate,
    /// Impact of refraining.
    pub refrain: Estimate,
}

impl Impact {
    /// Impact that acting adds to refraining, in [0, 1].
    #[must_use]
    pub fn net(&self) -> f64 {
        (self.act.impact - self.refrain.impact).clamp(0.0, 1.0)
    }

    /// Class of the net impact.
    #[must_use]
    pub fn class(&self) -> ImpactClass {
        ImpactClass::of(self.net())
    }
}

/// Classes of impact: NEGLIGIBLE < 0.05 ≤ LOW < 0.20 ≤ MODERATE < 0.40 ≤ HIGH < 0.75 ≤ CRITICAL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ImpactClass {
    /// Below 0.05.
    Negligible,
    /// Below 0.20.
    Low,
    /// Below 0.40.
    Moderate,
    /// Below 0.75; a person must decide.
    High,
    /// From 0.75; must not happen.
    Critical,
}

impl ImpactClass {
    /// The class of an impact in [0, 1].
    #[must_use]
    pub fn of(impact: f64) -> Self {
        match impact {
            _ if impact < 0.05 => Self::Negligible,
            _ if impact < 0.20 => Self::Low,
            _ if impact < 0.40 => Self::Moderate,
            _ if impact < 0.75 => Self::High,
            _ => Self::Critical,
        }
    }

    /// Ruling that the class asks for.
    #[must_use]
    pub fn ruling(self) -> Ruling {
        match self {
            Self::Negligible | Self::Low | Self::Moderate => Ruling::Abstain,
            Self::High => Ruling::Review,
            Self::Critical => Ruling::Deny,
        }
    }
}

impl fmt::Display for ImpactClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Negligible => "NEGLIGIBLE",
            Self::Low => "LOW",
            Self::Moderate => "MODERATE",
            Self::High => "HIGH",
            Self::Critical => "CRITICAL",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_is_never_low() {
        assert_eq!(ImpactClass::of(f64::NAN), ImpactClass::Critical);
        let estimate = |impact| Estimate { impact, confidence: 1.0, factors: vec![] };
        for bad in [f64::NAN, f64::INFINITY, -0.1, 1.1] {
            assert!(estimate(bad).fault().is_some(), "{bad}");
        }
        assert_eq!(estimate(0.5).fault(), None);
    }

    #[test]
    fn classes_start_where_they_should() {
        let classes = [0.0, 0.05, 0.20, 0.40, 0.75].map(ImpactClass::of);
        assert!(classes.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(classes[3].ruling(), Ruling::Review);
        assert_eq!(classes[4].ruling(), Ruling::Deny);
    }
}
