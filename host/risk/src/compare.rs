//! Comparison of two models by outcomes of runs: the champion, whose prediction counted, and a challenger, whose
//! prediction was only recorded.

use fusebox_core::risk::Prediction;
use schemars::JsonSchema;
use serde::Serialize;

use crate::Outcome;

/// Comparison of two models.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Comparison {
    /// Runs of which both models said something.
    pub runs: usize,
    /// Of these, those that went badly.
    pub went_badly: usize,
    /// The share of runs of which both said the same level, in [0, 1].
    pub agreement: f64,
    /// Runs by the champion's level and, within it, by the challenger's: LOW, MEDIUM, HIGH.
    pub levels: [[usize; 3]; 3],
    /// Score of the champion.
    pub champion: Score,
    /// Score of the challenger.
    pub challenger: Score,
}

/// Quality of a model's scores, given the outcomes of runs.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Score {
    /// SHA-256 of the model.
    pub model: String,
    /// Mean squared difference of score and outcome (Brier 1950): 0 is best, 0.25 is that of a coin.
    pub brier: f64,
    /// Probability that a run that went badly has a higher score than one that went well: the area under the ROC curve;
    /// none when all went the same way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auc: Option<f64>,
    /// Runs that went badly and were said to be HIGH.
    pub caught: usize,
    /// Runs that went well and were said to be HIGH.
    pub false_alarms: usize,
}

/// Compares the models of these runs; nothing when no run has the word of both.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts of runs are below 2^53")]
pub fn compare(outcomes: &[Outcome]) -> Option<Comparison> {
    let last = outcomes.iter().rev().find_map(both)?;
    let (champion, challenger) = (last.0.model, last.1.model);
    // Runs of other models than the last ones say nothing of these.
    let of_these = |(one, other): &(&Prediction, &Prediction)| one.model == champion && other.model == challenger;
    let runs: Vec<_> =
        outcomes.iter().filter_map(|run| Some((run.went_badly()?, both(run).filter(of_these)?))).collect();
    let mut levels = [[0; 3]; 3];
    for (_, (one, other)) in &runs {
        if let Some(count) = levels.get_mut(one.level.index()).and_then(|row| row.get_mut(other.level.index())) {
            *count += 1;
        }
    }
    let same = runs.iter().filter(|(_, (one, other))| one.level == other.level).count();
    let of = |pick: fn(&(&Prediction, &Prediction)) -> Prediction| {
        score(&runs.iter().map(|(badly, both)| (pick(both), *badly)).collect::<Vec<_>>())
    };
    if runs.is_empty() {
        return None;
    }
    Some(Comparison {
        runs: runs.len(),
        went_badly: runs.iter().filter(|(badly, _)| *badly).count(),
        agreement: same as f64 / runs.len() as f64,
        levels,
        champion: of(|(one, _)| (*one).clone()),
        challenger: of(|(_, other)| (*other).clone()),
    })
}

fn both(run: &Outcome) -> Option<(&Prediction, &Prediction)> {
    Some((run.assessment.prediction.as_ref()?, run.assessment.challenger.as_ref()?))
}

#[expect(clippy::cast_precision_loss, reason = "counts of runs are below 2^53")]
fn score(said: &[(Prediction, bool)]) -> Score {
    let happened = |badly: bool| if badly { 1.0 } else { 0.0 };
    let squares: f64 = said.iter().map(|(word, badly)| (word.score - happened(*badly)).powi(2)).sum();
    let is_high = |word: &Prediction| word.level == fusebox_core::risk::RiskLevel::High;
    Score {
        model: said.first().map(|(word, _)| word.model.to_string()).unwrap_or_default(),
        brier: squares / said.len() as f64,
        auc: auc(said.iter().map(|(word, badly)| (word.score, *badly)).collect()),
        caught: said.iter().filter(|(word, badly)| *badly && is_high(word)).count(),
        false_alarms: said.iter().filter(|(word, badly)| !*badly && is_high(word)).count(),
    }
}

/// The area under the ROC curve, from ranks (Mann and Whitney 1947); equal scores count half.
#[expect(clippy::cast_precision_loss, reason = "counts of runs are below 2^53")]
fn auc(mut said: Vec<(f64, bool)>) -> Option<f64> {
    said.sort_by(|one, other| one.0.total_cmp(&other.0));
    let badly = said.iter().filter(|(_, badly)| *badly).count();
    let well = said.len() - badly;
    if badly == 0 || well == 0 {
        return None;
    }
    let (mut won, mut below) = (0.0, 0.0);
    for same in said.chunk_by(|one, other| one.0 == other.0) {
        let badly = same.iter().filter(|(_, badly)| *badly).count() as f64;
        let well = same.len() as f64 - badly;
        won += badly * (below + well / 2.0);
        below += well;
    }
    Some(won / (badly as f64 * well as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_counts_pairs() {
        assert_eq!(auc(vec![(0.1, false), (0.9, true)]), Some(1.0));
        assert_eq!(auc(vec![(0.9, false), (0.1, true)]), Some(0.0));
        assert_eq!(auc(vec![(0.5, false), (0.5, true), (0.5, false)]), Some(0.5));
        assert_eq!(auc(vec![(0.1, false), (0.4, true), (0.3, false), (0.2, true)]), Some(0.75));
        assert_eq!(auc(vec![(0.1, true)]), None);
    }
}
