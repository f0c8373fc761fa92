//! Predicted risk: what a plan looks like to a predictor, what is said of it, and the rules that nothing may go below.
//! Features are computed and models are run in `fusebox-risk`; here are the types that policy and events hold.

mod features;

mod prediction;
mod rules;
mod shape;

pub use crate::risk_level::RiskLevel;
pub use features::{FEATURES, Features};
pub use prediction::{Assessment, Prediction, Probabilities};
pub use rules::{HighThresholds, MediumThresholds, RuleHit, RuleName, Thresholds};
pub use shape::{PlanShape, ShapeStep, Tool};
