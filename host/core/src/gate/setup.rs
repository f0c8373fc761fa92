//! Setup of the gate.

use serde::{Deserialize, Serialize};

use crate::Ruling;
use crate::builtin::OwnPlaces;
use crate::policy::{ApprovalPolicy, GuardMode, OnError, OutsideRuling};

/// Judges of the gate, and the rulings that replace a missing verdict. The same for all actions under one policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateSetup {
    /// All guards, in the order in which they judge.
    pub guards: Vec<GuardSlot>,
    /// Name of the impact model, if there is one.
    pub impact: Option<String>,
    /// The ruling when all guards abstain.
    pub when_all_abstain: Ruling,
    /// Places of the host that no agent may touch.
    pub own: OwnPlaces,
    /// Effects that need an approval even when all guards allow.
    pub approval: ApprovalPolicy,
    /// Ruling on what an action does outside of the workspace.
    pub outside: OutsideRuling,
}

impl Default for GateSetup {
    fn default() -> Self {
        Self {
            guards: Vec::new(),
            impact: None,
            when_all_abstain: Ruling::Allow,
            own: OwnPlaces::default(),
            approval: ApprovalPolicy::default(),
            outside: OutsideRuling::default(),
        }
    }
}

/// One guard's slot in the gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardSlot {
    /// Name of the guard.
    pub name: String,
    /// Ruling that counts when the guard fails.
    pub on_error: OnError,
    /// Whether the guard's verdicts count.
    pub mode: GuardMode,
    /// The guard declares that it rewrites inputs, and policy grants it.
    pub rewrites: bool,
    /// The guard's allow counts as no opinion: its policy may only tighten.
    pub only_tightens: bool,
}

impl GuardSlot {
    /// A guard that only judges.
    #[must_use]
    pub fn new(name: &str, on_error: OnError, mode: GuardMode) -> Self {
        Self { name: name.to_owned(), on_error, mode, rewrites: false, only_tightens: false }
    }
}
