//! Decision of the gate, with its reasons.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decider::Decider;
use crate::{Finding, ImpactClass, Json, Ruling, RunLimits};

/// Code of the finding that a guard failed to judge.
pub const GUARD_FAILED: &str = "guard-failed";

/// A decider's part in a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// A guard, the impact model, the policy or the built-in rules.
    pub by: Decider,
    /// Ruling that the decider asks for.
    pub ruling: Ruling,
    /// Findings that support the ruling.
    pub findings: Vec<Finding>,
}

impl Reason {
    /// A reason with one finding.
    pub fn new(by: Decider, ruling: Ruling, finding: Finding) -> Self {
        Self { by, ruling, findings: vec![finding] }
    }
}

/// Decision of the gate: `Allow`, `Review` or `Deny`, never `Abstain`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Decision {
    /// Ruling on the action.
    pub ruling: Ruling,
    /// Reasons of all deciders that did not abstain.
    pub reasons: Vec<Reason>,
    /// Class of the estimated impact, if there is an impact model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impact: Option<ImpactClass>,
    /// Tighter limits that guards ask for.
    #[serde(default, skip_serializing_if = "RunLimits::is_default")]
    pub limits: RunLimits,
    /// Input that guards substituted for the proposed one: the decision is about this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Json>,
}

impl Decision {
    /// Whether the decision denies only because guards failed to judge.
    #[must_use]
    pub fn is_of_failed_guards(&self) -> bool {
        let mut deciding = self.reasons.iter().filter(|reason| reason.ruling == self.ruling).peekable();
        let has_failed = |reason: &Reason| reason.findings.iter().any(|finding| finding.code == GUARD_FAILED);
        self.ruling == Ruling::Deny && deciding.peek().is_some() && deciding.all(has_failed)
    }

    /// Deciders that asked for this ruling, each once.
    #[must_use]
    pub fn deciders(&self) -> Vec<Decider> {
        let mut names: Vec<Decider> = Vec::new();
        for reason in self.reasons.iter().filter(|reason| reason.ruling == self.ruling) {
            if !names.contains(&reason.by) {
                names.push(reason.by.clone());
            }
        }
        names
    }

    /// Reasons for a review or denial, in one line.
    #[must_use]
    pub fn why(&self) -> String {
        let decisive = self.reasons.iter().filter(|reason| reason.ruling == self.ruling);
        let lines: Vec<String> = decisive
            .map(|reason| match reason.findings.first() {
                Some(finding) => format!("{}: {}", reason.by, finding.message),
                None => reason.by.to_string(),
            })
            .collect();
        lines.join("; ")
    }
}
