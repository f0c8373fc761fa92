//! Metadata of a model: a JSON file beside it.

use fusebox_core::json;
use fusebox_core::risk::{FEATURES, RiskLevel};
use serde::{Deserialize, Serialize};

use crate::Error;

/// The version of the metadata that this host reads.
pub(crate) const FORMAT: u32 = 1;
/// Largest metadata, in bytes.
pub(crate) const MAX_METADATA_BYTES: usize = 1024 * 1024;
/// Most rows of a background: each costs 512 predictions for an explanation.
const MAX_BACKGROUND: usize = 64;
/// Most bins of a feature.
const MAX_BINS: usize = 64;

/// Metadata of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// The version of this format.
    pub format: u32,
    /// SHA-256 of the ONNX file, in hexadecimal digits.
    pub model_sha256: String,
    /// The opset of the ONNX file.
    pub opset: i64,
    /// Training data by feature, in the order of the model's inputs.
    pub features: Vec<TrainedFeature>,
    /// The levels, in the order of its outputs.
    pub levels: Vec<RiskLevel>,
    /// Divisor of the logits before the softmax, which calibrates the probabilities (Guo et al. 2017, "On Calibration
    /// of Modern Neural Networks"). It is part of the graph.
    pub temperature: f64,
    /// Plans that represent all others: the baseline of explanations.
    pub background: Vec<[f64; 9]>,
    /// The seed of the training.
    pub seed: u64,
    /// Quality and training of the model; for people.
    pub report: serde_json::Value,
}

/// Training data of one feature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainedFeature {
    /// Name of the feature.
    pub name: String,
    /// The least that it was trained on.
    pub least: f64,
    /// The most that it was trained on.
    pub most: f64,
    /// Upper edges of all bins but the last, ascending: a value is in the first bin whose edge it does not exceed.
    pub edges: Vec<f64>,
    /// Shares of the training data by bin; they sum to 1.
    pub shares: Vec<f64>,
}

impl Metadata {
    /// Parses and checks metadata.
    ///
    /// # Errors
    /// [`Error::BadMetadata`] when they are not of this format, or not for these features and levels.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let metadata: Self = json::parse_as("the model's metadata", bytes, MAX_METADATA_BYTES)
            .map_err(|error| bad(error.to_string()))?;
        metadata.check()?;
        Ok(metadata)
    }

    fn check(&self) -> Result<(), Error> {
        if self.format != FORMAT {
            return Err(bad(format!("format is {}, and this host reads {FORMAT}", self.format)));
        }
        let names: Vec<&str> = self.features.iter().map(|feature| feature.name.as_str()).collect();
        if names != FEATURES {
            return Err(bad(format!("features are {}; expected {}", names.join(", "), FEATURES.join(", "))));
        }
        if self.levels != RiskLevel::ALL {
            return Err(bad("levels are not low, medium, high".to_owned()));
        }
        if !(self.temperature.is_finite() && self.temperature > 0.0) {
            return Err(bad(format!("temperature is {}; expected a number above 0", self.temperature)));
        }
        if self.background.is_empty() || self.background.len() > MAX_BACKGROUND {
            return Err(bad(format!("background has {} rows; expected 1 to {MAX_BACKGROUND}", self.background.len())));
        }
        if self.background.iter().flatten().any(|value| !value.is_finite()) {
            return Err(bad("background has a number that is not finite".to_owned()));
        }
        self.features.iter().try_for_each(TrainedFeature::check)
    }
}

impl TrainedFeature {
    fn check(&self) -> Result<(), Error> {
        let Self { name, least, most, edges, shares } = self;
        let wrong = |what: &str| Err(bad(format!("{name}: {what}")));
        if !(least.is_finite() && most.is_finite() && least <= most) {
            return wrong("least and most are not a range");
        }
        if shares.is_empty() || shares.len() > MAX_BINS || edges.len() + 1 != shares.len() {
            return wrong("there must be 1 to 64 shares, and one edge less");
        }
        let ascend = edges.windows(2).all(|pair| matches!(pair, [one, next] if one < next));
        if !ascend || edges.iter().any(|edge| !edge.is_finite()) {
            return wrong("edges do not ascend");
        }
        let sum: f64 = shares.iter().sum();
        if shares.iter().any(|share| !(0.0..=1.0).contains(share)) || (sum - 1.0).abs() > 1e-6 {
            return wrong("shares do not sum to 1");
        }
        Ok(())
    }

    /// The bin of a value.
    #[must_use]
    pub fn bin(&self, value: f64) -> usize {
        self.edges.iter().position(|edge| value <= *edge).unwrap_or(self.edges.len())
    }
}

fn bad(message: String) -> Error {
    Error::BadMetadata { message }
}
