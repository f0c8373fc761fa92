//! Verdicts of guards.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Json, RunLimits};

/// Most findings of one verdict.
pub const MAX_FINDINGS: usize = 64;
/// Longest stored text of a finding, in bytes.
pub const MAX_FINDING_BYTES: usize = 4096;

/// A judgement, strictest last: the maximum of several counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ruling {
    /// No opinion.
    Abstain,
    /// The action may happen. Counts only when no other guard is stricter.
    Allow,
    /// A person must decide.
    Review,
    /// The action must not happen.
    Deny,
}

/// Severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// For information only.
    Info,
    /// Worth a look.
    Warning,
    /// Speaks against it.
    Error,
}

/// One observation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Short stable name for machines.
    pub code: String,
    /// Severity of the finding.
    pub severity: Severity,
    /// One sentence for people.
    pub message: String,
    /// Index of the effect that the finding is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<u32>,
}

impl Finding {
    /// A finding that speaks against something.
    pub fn error(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), severity: Severity::Error, message: message.into(), effect: None }
    }

    /// A finding worth a look.
    pub fn warning(code: &str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// A finding that is good to know.
    pub fn info(code: &str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Info, ..Self::error(code, message) }
    }

    /// Sets the effect that the finding is about.
    #[must_use]
    pub fn on(mut self, effect: usize) -> Self {
        self.effect = u32::try_from(effect).ok();
        self
    }
}

/// A guard's judgement of an action or a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// Ruling of the guard.
    pub ruling: Ruling,
    /// Findings that support the ruling.
    pub findings: Vec<Finding>,
    /// Replacement for the action's input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<Json>,
    /// Tighter limits for the rest of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<RunLimits>,
}

impl Verdict {
    /// A judgement with one finding.
    #[must_use]
    pub fn new(ruling: Ruling, finding: Finding) -> Self {
        Self { ruling, findings: vec![finding], rewrite: None, limits: None }
    }

    /// No opinion.
    #[must_use]
    pub fn abstain() -> Self {
        Self { ruling: Ruling::Abstain, findings: Vec::new(), rewrite: None, limits: None }
    }
}
