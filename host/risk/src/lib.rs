//! Predicts the risk of a plan before it runs, and explains its predictions.
//!
//! ```
//! use fusebox_risk::core::risk::{Features, RiskLevel};
//! use fusebox_risk::Model;
//!
//! let model = Model::embedded()?;
//! let features = Features {
//!     num_steps: 20,
//!     num_tools: 3,
//!     tool_diversity: 3,
//!     has_high_risk_tool: true,
//!     est_tokens: 800,
//!     max_retries: 0,
//!     sequential_tool_calls: 2,
//!     plan_depth: 1,
//!     time_limit_sec: 300,
//! };
//! assert_eq!(model.predict(&features)?.level, RiskLevel::High);
//! let explained = model.explain(&features)?;
//! let sum: f64 = explained.shares.iter().sum();
//! assert!((explained.base + sum - explained.score).abs() < 1e-9);
//! # Ok::<(), fusebox_risk::Error>(())
//! ```
//!
//! Why it is built so: features are a pure function of a plan's shape, so that predictions can be compared with actual
//! runs. A model is any ONNX graph from nine numbers to three probabilities, with metadata beside it that describe its
//! training; it is checked before it is used. The consequences of a prediction are not decided here: the rules of
//! `fusebox-core` are the floor, and the run's state machine applies the profile.

pub mod compare;
pub mod drift;
mod error;
mod explain;
mod features;
mod metadata;
mod model;
mod onnx;
mod outcome;
pub mod thresholds;

pub use compare::Comparison;
pub use error::Error;
pub use explain::Explained;
pub use features::{BYTES_PER_TOKEN, DECLARED, ESTIMATED, FeatureContext, features};
pub use fusebox_core as core;
pub use metadata::{Metadata, TrainedFeature};
pub use model::{MAX_MODEL_BYTES, Model};
pub use outcome::{Outcome, OutcomeKind};
