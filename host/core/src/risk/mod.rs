//! Predicted risk: features of a plan, predictions of models, and the rules that bound them from below. Features are
//! computed and models are run in `fusebox-risk`; here are the types that policy and events hold.

mod features;

mod prediction;
mod rules;
mod shape;

pub use crate::risk_level::RiskLevel;
pub use features::{FEATURES, Features};
pub use prediction::{Assessment, Prediction, Probabilities};
pub use rules::{HighThresholds, MediumThresholds, RuleHit, RuleName, Thresholds};
pub use shape::{PlanShape, ShapeStep, Tool};
