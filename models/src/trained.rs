//! A trained model with all that is said of it.

use crate::data::Data;
use crate::network::Network;
use crate::report::Report;

/// What was trained.
pub struct Trained {
    /// The network.
    pub network: Network,
    /// The ONNX file.
    pub onnx: Vec<u8>,
    /// The metadata beside it.
    pub metadata: Vec<u8>,
    /// What is reported of it.
    pub report: Report,
    /// What it was trained and tested on.
    pub data: Data,
}
