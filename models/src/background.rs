//! Plans that represent all others: the baseline of explanations.

use crate::data::Sample;
use crate::network::Scaler;

/// Number of rows. Each costs 512 predictions for an explanation.
pub const ROWS: usize = 8;
/// Rounds of moving centres.
const ROUNDS: usize = 20;
/// Plans that are sampled.
const LOOKED_AT: usize = 5000;

/// The plans that are nearest to the centres of as many clusters (k-means by Lloyd 1982, over scaled features; it begins with plans
/// at even distances of the data as they are ordered). Real plans, because no plan has half a risky tool.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "features are below 2^53")]
pub fn background(samples: &[Sample], scaler: &Scaler) -> Vec<[f64; 9]> {
    let step = samples.len().div_ceil(LOOKED_AT).max(1);
    let rows: Vec<[f64; 9]> =
        samples.iter().step_by(step).map(|sample| sample.features.numbers().map(|value| value as f64)).collect();
    let scaled: Vec<[f64; 9]> = rows.iter().map(|row| scale(row, scaler)).collect();
    let mut centres: Vec<[f64; 9]> = scaled.iter().step_by(scaled.len().div_ceil(ROWS).max(1)).copied().collect();
    for _ in 0..ROUNDS {
        let mut sums = vec![([0.0; 9], 0_u32); centres.len()];
        for row in &scaled {
            if let Some((sum, count)) = nearest(row, &centres).and_then(|place| sums.get_mut(place)) {
                sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
                *count += 1;
            }
        }
        for (centre, (sum, count)) in centres.iter_mut().zip(&sums).filter(|(_, (_, count))| *count > 0) {
            *centre = sum.map(|sum| sum / f64::from(*count));
        }
    }
    centres.iter().filter_map(|centre| rows.get(nearest(centre, &scaled)?).copied()).collect()
}

fn scale(row: &[f64; 9], scaler: &Scaler) -> [f64; 9] {
    let mut scaled = *row;
    for ((value, mean), deviation) in scaled.iter_mut().zip(scaler.mean).zip(scaler.deviation) {
        *value = (*value - mean) / deviation;
    }
    scaled
}

fn nearest(row: &[f64; 9], of: &[[f64; 9]]) -> Option<usize> {
    let distance = |other: &[f64; 9]| row.iter().zip(other).map(|(one, other)| (one - other).powi(2)).sum::<f64>();
    let near = of.iter().enumerate().min_by(|one, other| distance(one.1).total_cmp(&distance(other.1)));
    near.map(|(place, _)| place)
}
