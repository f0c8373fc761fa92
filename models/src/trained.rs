//! A trained model with all that is said of it.

use crate::data::Data;
use crate::network::Network;
use crate::report::Report;

/// Result of a training.
pub struct Trained {
    /// Network that was trained.
    pub network: Network,
    /// Content of the ONNX file.
    pub onnx: Vec<u8>,
    /// The metadata beside it.
    pub metadata: Vec<u8>,
    /// Report of the training.
    pub report: Report,
    /// Data of training and test.
    pub data: Data,
}
