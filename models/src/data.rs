//! Data for training a network.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use fusebox_core::Digest;
use fusebox_core::risk::{Features, RiskLevel, Thresholds};
use serde::Serialize;

/// Source of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Drawn from risk profiles.
    Synthetic,
    /// Traces of a log of business processes.
    Bpi,
    /// Plans within one unit of a threshold.
    Hard,
    /// Plans around the thresholds; only trained on.
    Boundary,
    /// Runs with their outcomes.
    Outcomes,
}

impl Source {
    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Synthetic => "synthetic",
            Self::Bpi => "bpi",
            Self::Hard => "hard",
            Self::Boundary => "boundary",
            Self::Outcomes => "outcomes",
        }
    }
}

/// One plan with its label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Features of the plan.
    pub features: Features,
    /// Risk level of the plan.
    pub label: RiskLevel,
    /// Source of the plan.
    pub source: Source,
}

impl Sample {
    /// A plan with the label that the engineering rules give it.
    #[must_use]
    pub fn by_rule(features: Features, source: Source) -> Self {
        Self { features, label: Thresholds::default().level(&features), source }
    }
}

/// Part of the data that a plan is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Weights are fitted to it.
    Train,
    /// It decides when training stops, and calibrates.
    Validate,
    /// It is used only in the end.
    Test,
}

/// Of a hundred plans, those that are trained on, and those that validate.
const TRAIN_PERCENT: u64 = 70;
const VALIDATE_PERCENT: u64 = 15;

/// The part of a plan: a pure function of seed and features, so that plans with equal features are in the same part,
/// whatever their source. A trace that occurs twice can thus not leak from one part into another.
#[must_use]
pub fn part(features: &Features, seed: u64) -> Part {
    let text = format!("{seed} {:?}", features.numbers());
    let digest = Digest::of(text.as_bytes()).to_string();
    let number = u64::from_str_radix(digest.get(..12).unwrap_or_default(), 16).unwrap_or_default() % 100;
    match number {
        n if n < TRAIN_PERCENT => Part::Train,
        n if n < TRAIN_PERCENT + VALIDATE_PERCENT => Part::Validate,
        _ => Part::Test,
    }
}

/// All data, in parts.
#[derive(Debug, Clone, Default)]
pub struct Data {
    /// Samples that weights are fitted to.
    pub train: Vec<Sample>,
    /// Samples that decide when training stops.
    pub validate: Vec<Sample>,
    /// Samples for the final test only.
    pub test: Vec<Sample>,
    /// Digests of the data that was read or drawn, by source.
    pub digests: BTreeMap<String, String>,
}

impl Data {
    /// Splits samples into parts and adds them. `name` is their source's name in the report.
    pub fn add(&mut self, name: &str, samples: &[Sample], seed: u64) {
        for sample in samples {
            match part(&sample.features, seed) {
                Part::Train => self.train.push(*sample),
                // Samples for training only must not count in the test.
                _ if sample.source == Source::Boundary => {}
                Part::Validate => self.validate.push(*sample),
                Part::Test => self.test.push(*sample),
            }
        }
        self.digests.insert(name.to_owned(), digest(samples));
    }
}

/// SHA-256 over the lines of samples, as they are written to a file.
#[must_use]
pub fn digest(samples: &[Sample]) -> String {
    Digest::of(csv(samples).as_bytes()).to_string()
}

/// Samples as comma-separated values with a header.
#[must_use]
pub fn csv(samples: &[Sample]) -> String {
    let mut text = format!("{},label\n", fusebox_core::risk::FEATURES.join(","));
    for sample in samples {
        for number in sample.features.numbers() {
            text.push_str(&format!("{number},"));
        }
        text.push_str(sample.label.name());
        text.push('\n');
    }
    text
}

/// Runs that `fusebox risk export` wrote, as samples: a person's judgement counts; a run that went badly is at least
/// MEDIUM, and one level above that of the rules; else the level of the rules stands.
///
/// # Errors
/// When a line is not of an export. The error names the line.
pub fn outcomes(text: &str) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for (place, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let run: fusebox_risk::Outcome =
            serde_json::from_str(line).with_context(|| format!("line {} is no outcome of a run", place + 1))?;
        let features = run.assessment.features;
        features.check().with_context(|| format!("line {}", place + 1))?;
        let by_rule = Sample::by_rule(features, Source::Outcomes);
        let label = match (run.overruled, run.went_badly(), by_rule.label) {
            (Some(level), _, _) => level,
            (None, Some(true), RiskLevel::Low) => RiskLevel::Medium,
            (None, Some(true), _) => RiskLevel::High,
            (None, Some(false) | None, level) => level,
        };
        samples.push(Sample { label, ..by_rule });
    }
    ensure!(!samples.is_empty(), "there is no run in it; export some with `fusebox risk export`");
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_that_look_the_same_are_in_the_same_part() {
        let mut counts = [0; 3];
        for num_steps in 1..=1000 {
            let features = Features {
                num_steps,
                num_tools: 1,
                tool_diversity: 1,
                has_high_risk_tool: false,
                est_tokens: 5,
                max_retries: 0,
                sequential_tool_calls: 1,
                plan_depth: 1,
                time_limit_sec: 60,
            };
            let here = part(&features, 7);
            assert_eq!(part(&features, 7), here);
            counts[here as usize] += 1;
        }
        assert!((600..800).contains(&counts[0]) && counts[1] > 100 && counts[2] > 100, "{counts:?}");
    }
}
