//! Quality of predictions.

use fusebox_core::risk::RiskLevel;
use serde::Serialize;

use crate::data::Sample;

/// Bins of the calibration error and of the reliability diagram.
pub const BINS: usize = 15;
/// The least probability that a log is taken of.
const LEAST: f64 = 1e-12;

/// Quality of predictions on some data.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Metrics {
    /// Number of plans.
    pub plans: usize,
    /// Share of plans with the right level, in [0, 1].
    pub accuracy: f64,
    /// Mean of minus the natural logarithm of the right level's probability.
    pub log_loss: f64,
    /// Expected calibration error over 15 bins of the top probability (Naeini et al. 2015), in [0, 1].
    pub calibration_error: f64,
    /// By level: LOW, MEDIUM, HIGH.
    pub levels: [LevelMetrics; 3],
    /// Plans by their level (rows) and the predicted one (columns).
    pub confusion: [[usize; 3]; 3],
    /// HIGH plans that were predicted to be less, and are so even with the rules as a floor.
    pub high_missed_with_floor: usize,
}

/// Quality of predictions of one level.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct LevelMetrics {
    /// Of those that were predicted, the share that was right.
    pub precision: f64,
    /// Of those that there are, the share that was predicted.
    pub recall: f64,
    /// The harmonic mean of both.
    pub f1: f64,
}

/// The most likely level; of equally likely ones the more severe, as in the host.
#[must_use]
pub fn level(said: &[f64; 3]) -> RiskLevel {
    let [low, medium, high] = *said;
    fusebox_core::risk::Probabilities { low, medium, high }.level()
}

/// Share of plans with the right level.
#[must_use]
pub fn accuracy(said: &[[f64; 3]], samples: &[Sample]) -> f64 {
    let right = said.iter().zip(samples).filter(|(said, sample)| level(said) == sample.label).count();
    share(right, samples.len())
}

/// Mean cross-entropy.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts of plans are below 2^53")]
pub fn log_loss(said: &[[f64; 3]], samples: &[Sample]) -> f64 {
    let each = said.iter().zip(samples).map(|(said, sample)| {
        let right = said.get(sample.label.index()).copied().unwrap_or_default();
        -right.max(LEAST).ln()
    });
    each.sum::<f64>() / samples.len().max(1) as f64
}

/// Bins of the top probability: how many plans, their mean top probability, and the share that was right.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "15 bins of [0, 1]"
)]
pub fn reliability(said: &[[f64; 3]], samples: &[Sample]) -> [(usize, f64, f64); BINS] {
    let mut bins = [(0_usize, 0.0, 0.0); BINS];
    for (said, sample) in said.iter().zip(samples) {
        let is = level(said);
        let top = said.get(is.index()).copied().unwrap_or_default();
        let place = ((top * BINS as f64) as usize).min(BINS - 1);
        if let Some((count, sum, right)) = bins.get_mut(place) {
            *count += 1;
            *sum += top;
            *right += if is == sample.label { 1.0 } else { 0.0 };
        }
    }
    bins.map(|(count, sum, right)| {
        let all = count.max(1) as f64;
        (count, sum / all, right / all)
    })
}

/// All metrics.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts of plans are below 2^53")]
pub fn metrics(said: &[[f64; 3]], samples: &[Sample]) -> Metrics {
    let mut confusion = [[0_usize; 3]; 3];
    let mut missed = 0;
    let rules = fusebox_core::risk::Thresholds::default();
    for (said, sample) in said.iter().zip(samples) {
        let is = level(said);
        if let Some(count) = confusion.get_mut(sample.label.index()).and_then(|row| row.get_mut(is.index())) {
            *count += 1;
        }
        let floored = is.max(rules.level(&sample.features));
        missed += usize::from(sample.label == RiskLevel::High && floored != RiskLevel::High);
    }
    let cell = |row: usize, column: usize| confusion.get(row).and_then(|row| row.get(column)).copied().unwrap_or(0);
    let of = |place: usize| {
        let right = cell(place, place);
        let precision = share(right, (0..3).map(|row| cell(row, place)).sum());
        let recall = share(right, (0..3).map(|column| cell(place, column)).sum());
        let sum = precision + recall;
        LevelMetrics { precision, recall, f1: if sum > 0.0 { 2.0 * precision * recall / sum } else { 0.0 } }
    };
    let all = samples.len().max(1) as f64;
    let bins = reliability(said, samples);
    Metrics {
        plans: samples.len(),
        accuracy: accuracy(said, samples),
        log_loss: log_loss(said, samples),
        calibration_error: bins.iter().map(|(count, top, right)| *count as f64 / all * (top - right).abs()).sum(),
        levels: [of(0), of(1), of(2)],
        confusion,
        high_missed_with_floor: missed,
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of plans are below 2^53")]
fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
