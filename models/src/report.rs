//! Report of a training: everything but the plots.

use std::collections::BTreeMap;

use anyhow::Result;
use fastrand::Rng;
use fusebox_core::risk::{FEATURES, Features, RiskLevel, Thresholds};
use fusebox_risk::TrainedFeature;
use serde::Serialize;

use crate::data::{Data, Sample, Source};
use crate::metrics::{Metrics, level, log_loss, metrics};
use crate::network::{Epoch, Network};

/// Bins of a feature, at the most: tenths of the training data.
const BINS: usize = 10;

/// Report of a training.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The network's shape.
    pub network: &'static str,
    /// Number of plans, by part and source.
    pub plans: BTreeMap<String, BTreeMap<&'static str, usize>>,
    /// SHA-256 of the data that was read or drawn, by source.
    pub digests: BTreeMap<String, String>,
    /// The log: traces, events, and traces that are no plans.
    pub log: LogReport,
    /// Results of the epochs.
    pub epochs: Vec<Epoch>,
    /// Of the test data by source; `mixed` is all but the hard set.
    pub metrics: BTreeMap<&'static str, Metrics>,
    /// Growth of the log loss on the mixed test data when one feature is shuffled (Breiman 2001).
    pub importance: BTreeMap<&'static str, f64>,
    /// Number of wrong plans in the hard test set, by the threshold that they are near.
    pub hard_by_threshold: BTreeMap<String, (usize, usize)>,
}

/// Contents of the event log.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct LogReport {
    /// Number of traces.
    pub traces: u64,
    /// Number of events.
    pub events: u64,
    /// Traces that are no plans.
    pub left_out: u64,
}

/// The test data that the bars are about: all but the hard set.
#[must_use]
pub fn mixed(test: &[Sample]) -> Vec<Sample> {
    test.iter().filter(|sample| sample.source != Source::Hard).copied().collect()
}

/// The test data of one source.
#[must_use]
pub fn of_source(test: &[Sample], source: Source) -> Vec<Sample> {
    test.iter().filter(|sample| sample.source == source).copied().collect()
}

/// Reports on a network.
///
/// # Errors
/// When the network's weights do not fit one another.
pub fn report(network: &Network, epochs: Vec<Epoch>, data: &Data, log: LogReport, seed: u64) -> Result<Report> {
    let mut by_source = BTreeMap::new();
    for source in [Source::Synthetic, Source::Bpi, Source::Hard, Source::Outcomes] {
        let samples = of_source(&data.test, source);
        if !samples.is_empty() {
            by_source.insert(source.name(), metrics(&network.predict(&samples)?, &samples));
        }
    }
    let mixed = mixed(&data.test);
    by_source.insert("mixed", metrics(&network.predict(&mixed)?, &mixed));
    Ok(Report {
        network: "9-64-32-3, ReLU, dropout 0.2, softmax",
        plans: [("train", &data.train), ("validate", &data.validate), ("test", &data.test)]
            .into_iter()
            .map(|(part, samples)| (part.to_owned(), counts(samples)))
            .collect(),
        digests: data.digests.clone(),
        log,
        epochs,
        metrics: by_source,
        importance: importance(network, &mixed, seed)?,
        hard_by_threshold: hard_by_threshold(network, &of_source(&data.test, Source::Hard))?,
    })
}

fn counts(samples: &[Sample]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for sample in samples {
        *counts.entry(sample.source.name()).or_default() += 1;
        *counts.entry(sample.label.name()).or_default() += 1;
    }
    counts
}

fn importance(network: &Network, samples: &[Sample], seed: u64) -> Result<BTreeMap<&'static str, f64>> {
    let before = log_loss(&network.predict(samples)?, samples);
    let mut random = Rng::with_seed(seed);
    FEATURES
        .into_iter()
        .enumerate()
        .map(|(place, name)| {
            let mut order: Vec<usize> = (0..samples.len()).collect();
            random.shuffle(&mut order);
            let others = order.iter().filter_map(|other| samples.get(*other));
            let shuffled: Vec<Sample> =
                samples.iter().zip(others).map(|(sample, other)| with(sample, &other.features, place)).collect();
            Ok((name, log_loss(&network.predict(&shuffled)?, samples) - before))
        })
        .collect()
}

/// A plan with one feature of another one.
fn with(sample: &Sample, other: &Features, place: usize) -> Sample {
    let mut features = sample.features;
    match place {
        0 => features.num_steps = other.num_steps,
        1 => features.num_tools = other.num_tools,
        2 => features.tool_diversity = other.tool_diversity,
        3 => features.has_high_risk_tool = other.has_high_risk_tool,
        4 => features.est_tokens = other.est_tokens,
        5 => features.max_retries = other.max_retries,
        6 => features.sequential_tool_calls = other.sequential_tool_calls,
        7 => features.plan_depth = other.plan_depth,
        _ => features.time_limit_sec = other.time_limit_sec,
    }
    Sample { features, ..*sample }
}

fn hard_by_threshold(network: &Network, samples: &[Sample]) -> Result<BTreeMap<String, (usize, usize)>> {
    let Thresholds { high, medium } = Thresholds::default();
    let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for (sample, said) in samples.iter().zip(network.predict(samples)?) {
        let features = &sample.features;
        let with_risky_tool = if features.has_high_risk_tool { features.num_steps } else { 0 };
        let met = [
            ("est_tokens", features.est_tokens, medium.est_tokens),
            ("est_tokens", features.est_tokens, high.est_tokens),
            ("sequential_tool_calls", features.sequential_tool_calls, medium.sequential_tool_calls),
            ("sequential_tool_calls", features.sequential_tool_calls, high.sequential_tool_calls),
            ("num_steps", features.num_steps, medium.num_steps),
            ("num_steps", features.num_steps, high.num_steps),
            ("num_steps with a high-risk tool", with_risky_tool, high.num_steps_with_high_risk_tool),
        ];
        for (name, _, threshold) in met.into_iter().filter(|(_, value, threshold)| value.abs_diff(*threshold) <= 1) {
            let (wrong, all) = counts.entry(format!("{name} {threshold}")).or_default();
            *wrong += usize::from(level(&said) != sample.label);
            *all += 1;
        }
    }
    Ok(counts)
}

/// Training data of the network, feature by feature.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "features and counts are below 2^53")]
pub fn trained_features(samples: &[Sample]) -> Vec<TrainedFeature> {
    let of = |(place, name): (usize, &&str)| {
        let mut values: Vec<f64> = samples
            .iter()
            .filter_map(|sample| sample.features.numbers().get(place).map(|value| *value as f64))
            .collect();
        values.sort_by(f64::total_cmp);
        let at = |share: f64| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a list")]
            let place = (share * values.len() as f64) as usize;
            values.get(place.min(values.len().saturating_sub(1))).copied().unwrap_or_default()
        };
        let (least, most) = (at(0.0), at(1.0));
        let mut edges: Vec<f64> = (1..BINS).map(|tenth| at(tenth as f64 / BINS as f64)).collect();
        edges.dedup();
        edges.retain(|edge| *edge < most);
        let mut feature =
            TrainedFeature { name: (*name).to_owned(), least, most, shares: vec![0.0; edges.len() + 1], edges };
        let mut counts = vec![0_u32; feature.shares.len()];
        for value in &values {
            if let Some(count) = counts.get_mut(feature.bin(*value)) {
                *count += 1;
            }
        }
        feature.shares = counts.iter().map(|count| f64::from(*count) / values.len() as f64).collect();
        feature
    };
    FEATURES.iter().enumerate().map(of).collect()
}

/// Wrong plans of the test data, with their predictions, as comma-separated values.
///
/// # Errors
/// When the network's weights do not fit one another.
pub fn wrong(network: &Network, test: &[Sample]) -> Result<String> {
    let mut text = format!("source,{},is,said,p_low,p_medium,p_high\n", FEATURES.join(","));
    for (sample, said) in test.iter().zip(network.predict(test)?) {
        let is = level(&said);
        if is != sample.label {
            let numbers = sample.features.numbers().map(|number| number.to_string()).join(",");
            let [low, medium, high] = said.map(|value| format!("{value:.4}"));
            let source = sample.source.name();
            text.push_str(&format!("{source},{numbers},{},{is},{low},{medium},{high}\n", sample.label));
        }
    }
    Ok(text)
}

/// Names of the levels.
#[must_use]
pub fn levels() -> [&'static str; 3] {
    RiskLevel::ALL.map(RiskLevel::name)
}
