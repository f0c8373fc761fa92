//! Explanations of a plan's score: exact Shapley values.

use fusebox_core::risk::Features;
use serde::Serialize;

use crate::{Error, Model};

/// Coalitions of nine features.
const COALITIONS: usize = 1 << 9;

/// A score with the share that each feature has in it.
///
/// `shares` are Shapley values (Shapley 1953; Lundberg and Lee 2017, "A Unified Approach to Interpreting Model Predictions"):
/// the value of a coalition of features is the mean score of the background's plans once these features are the plan's. All
/// 2^9 coalitions are computed, so the shares are exact for this background, and `base` and they sum to `score`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explained {
    /// The mean score of the background, in [0, 1].
    pub base: f64,
    /// Share of each feature, in the order of [`FEATURES`](fusebox_core::risk::FEATURES).
    pub shares: [f64; 9],
    /// The plan's score, in [0, 1].
    pub score: f64,
}

impl Model {
    /// Explains the score of a plan.
    ///
    /// # Errors
    /// As [`predict`](Self::predict).
    pub fn explain(&self, features: &Features) -> Result<Explained, Error> {
        features.check()?;
        let plan = features.inputs();
        let background = &self.metadata().background;
        let mut values = [0.0; COALITIONS];
        for row in background {
            #[expect(clippy::cast_possible_truncation, reason = "a model's input is a 32-bit float")]
            let row = row.map(|value| value as f32);
            self.add_values(&plan, &row, &mut values)?;
        }
        #[expect(clippy::cast_precision_loss, reason = "a background has at most 64 rows")]
        let rows = background.len() as f64;
        Ok(shapley(&values.map(|value| value / rows)))
    }

    /// Adds the score of every coalition with one row of the background. Features that are equal in both make no
    /// difference, so only coalitions of the others are predicted.
    fn add_values(&self, plan: &[f32; 9], row: &[f32; 9], values: &mut [f64; COALITIONS]) -> Result<(), Error> {
        let differing: Vec<usize> =
            plan.iter().zip(row).enumerate().filter(|(_, (plan, row))| plan != row).map(|(place, _)| place).collect();
        let mut inputs = Vec::with_capacity(1 << differing.len());
        for coalition in 0..1_usize << differing.len() {
            let mut input = *row;
            for (bit, place) in differing.iter().enumerate() {
                if coalition >> bit & 1 == 1
                    && let (Some(slot), Some(value)) = (input.get_mut(*place), plan.get(*place))
                {
                    *slot = *value;
                }
            }
            inputs.push(input);
        }
        let scores = self.run_all(&inputs)?;
        for (coalition, value) in values.iter_mut().enumerate() {
            let bits = differing.iter().enumerate().map(|(bit, place)| (coalition >> place & 1) << bit);
            let [_, _, high] = scores.get(bits.sum::<usize>()).copied().unwrap_or_default();
            *value += f64::from(high);
        }
        Ok(())
    }
}

/// Shapley values from the values of all coalitions.
fn shapley(values: &[f64; COALITIONS]) -> Explained {
    let value = |coalition: usize| values.get(coalition).copied().unwrap_or_default();
    let mut shares = [0.0; 9];
    for (place, share) in shares.iter_mut().enumerate() {
        let own = 1 << place;
        *share = (0..COALITIONS)
            .filter(|coalition| coalition & own == 0)
            .map(|coalition| weight(coalition.count_ones()) * (value(coalition | own) - value(coalition)))
            .sum();
    }
    Explained { base: value(0), shares, score: value(COALITIONS - 1) }
}

/// Probability that a feature follows a coalition of this size when all nine come in random order: s! (8 - s)! / 9!.
fn weight(size: u32) -> f64 {
    // 9 × (8 over s), the number of ways in which that happens.
    const WAYS: [f64; 9] = [9.0, 72.0, 252.0, 504.0, 630.0, 504.0, 252.0, 72.0, 9.0];
    WAYS.get(size as usize).map_or(0.0, |ways| 1.0 / ways)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_a_sum_are_its_parts() {
        // Worth: feature i adds i + 1, and 0 and 1 together add 10 more.
        let values = std::array::from_fn(|coalition: usize| {
            let own: f64 = (0..9).filter(|place| coalition >> place & 1 == 1).map(|place| place as f64 + 1.0).sum();
            own + if coalition & 3 == 3 { 10.0 } else { 0.0 } + 5.0
        });
        let explained = shapley(&values);
        let expected = [6.0, 7.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];
        assert_eq!(explained.base, 5.0);
        for (share, expected) in explained.shares.iter().zip(expected) {
            assert!((share - expected).abs() < 1e-9, "{:?}", explained.shares);
        }
        assert!((explained.base + explained.shares.iter().sum::<f64>() - explained.score).abs() < 1e-9);
    }
}
