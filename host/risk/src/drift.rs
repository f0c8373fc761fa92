//! Whether plans are still like those that a model was trained on: the population stability index.

use fusebox_core::risk::Features;
use schemars::JsonSchema;
use serde::Serialize;

use crate::Metadata;

/// From here on a feature has moved enough to be examined (Siddiqi 2006, "Credit Risk Scorecards", chapter 9).
pub const MOVED: f64 = 0.1;
/// From here on it has drifted: the model should be trained anew (same source).
pub const DRIFTED: f64 = 0.25;
/// Plans below which nothing can be said.
pub const LEAST_PLANS: usize = 30;
/// A share that is taken for none, so that an empty bin does not make the index infinite.
const LEAST_SHARE: f64 = 1e-4;

/// Drift of one feature.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Drift {
    /// Name of the feature.
    pub feature: String,
    /// Its population stability index: 0 for the same distribution, without bound above.
    pub psi: f64,
    /// Class of the drift.
    pub verdict: Verdict,
    /// Upper edges of all bins but the last.
    pub edges: Vec<f64>,
    /// Shares of the training data by bin.
    pub trained: Vec<f64>,
    /// Shares of the plans by bin.
    pub now: Vec<f64>,
}

/// Whether a drift matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// There are fewer plans than [`LEAST_PLANS`].
    TooFew,
    /// The drift is below [`MOVED`].
    Stable,
    /// The drift is at least [`MOVED`].
    Moved,
    /// The drift is at least [`DRIFTED`].
    Drifted,
}

/// Drift of each feature of these plans from a model's training data; empty without plans.
///
/// PSI = Σ (now − trained) × ln(now ÷ trained) over the bins of the training data.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "features and counts are below 2^53")]
pub fn drift(metadata: &Metadata, plans: &[Features]) -> Vec<Drift> {
    if plans.is_empty() {
        return Vec::new();
    }
    let of = |(place, trained): (usize, &crate::TrainedFeature)| {
        let mut counts = vec![0_u64; trained.shares.len()];
        for plan in plans {
            let value = plan.numbers().get(place).copied().unwrap_or_default();
            if let Some(count) = counts.get_mut(trained.bin(value as f64)) {
                *count += 1;
            }
        }
        let now: Vec<f64> = counts.iter().map(|count| *count as f64 / plans.len() as f64).collect();
        let psi = psi(&trained.shares, &now);
        let verdict = if plans.len() < LEAST_PLANS {
            Verdict::TooFew
        } else if psi >= DRIFTED {
            Verdict::Drifted
        } else if psi >= MOVED {
            Verdict::Moved
        } else {
            Verdict::Stable
        };
        let (feature, edges) = (trained.name.clone(), trained.edges.clone());
        Drift { feature, psi, verdict, edges, trained: trained.shares.clone(), now }
    };
    metadata.features.iter().enumerate().map(of).collect()
}

/// The population stability index of two distributions over the same bins.
fn psi(trained: &[f64], now: &[f64]) -> f64 {
    let term = |(trained, now): (&f64, &f64)| {
        let (trained, now) = (trained.max(LEAST_SHARE), now.max(LEAST_SHARE));
        (now - trained) * (now / trained).ln()
    };
    trained.iter().zip(now).map(term).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shares() -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec(1..100_u32, 5).prop_map(|counts| {
            let sum: u32 = counts.iter().sum();
            counts.iter().map(|count| f64::from(*count) / f64::from(sum)).collect()
        })
    }

    proptest! {
        #[test]
        fn the_index_is_none_for_the_same_and_positive_for_others(one in shares(), other in shares()) {
            prop_assert_eq!(psi(&one, &one), 0.0);
            prop_assert!(psi(&one, &other) >= 0.0);
            prop_assert!((psi(&one, &other) - psi(&other, &one)).abs() < 1e-9);
        }
    }

    #[test]
    fn the_index_of_a_known_case() {
        // Worked by hand: (0.3 − 0.5) ln(0.6) + (0.7 − 0.5) ln(1.4).
        assert!((psi(&[0.5, 0.5], &[0.3, 0.7]) - 0.169_459_572).abs() < 1e-6);
        assert!(psi(&[1.0, 0.0], &[0.0, 1.0]).is_finite());
    }
}
