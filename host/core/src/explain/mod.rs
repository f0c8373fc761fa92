//! Explanations: why a step was allowed or not, what it did, and what to do about it. A pure function of the plan and
//! the run's events.
//!
//! ```
//! use fusebox_core::explain::Explainer;
//! use fusebox_core::{Plan, RunId};
//!
//! let plan = Plan::parse(br#"{"goal": "look", "agent": {"id": "a"},
//!     "steps": [{"step_type": "read_file", "input": {"path": "x"}}]}"#)?;
//! let explainer = Explainer::new("0193".parse()?, Some(&plan));
//! // `explainer.note(event, time_us)` gives the explanations that are due with an event.
//! # drop(explainer);
//! # Ok::<(), fusebox_core::Error>(())
//! ```
//!
//! Why it is built so: an explanation uses only what was recorded of a decision, so one given during the run and one
//! read from its log years later are the same.

mod explainer;
mod parts;
mod words;

pub use explainer::Explainer;
pub use parts::{
    After, Before, Change, Explained, Explanation, FailureKind, FileChange, GuardSummary, ImpactSummary, LimitSummary,
    OnError, Phase, Spent,
};
