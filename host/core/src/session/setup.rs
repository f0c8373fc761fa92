//! Rules under which a session is decided.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::gate::{GateSetup, Reason};
use crate::policy::SessionReview;
use crate::{Decider, Digest, Finding, Policy, Ruling, RunId};

use super::state::SessionState;

/// Rules under which a session is decided: those of the process that decides.
#[derive(Debug, Clone)]
pub struct SessionSetup {
    /// Id of the session.
    pub run: RunId,
    /// Policy in force.
    pub policy: Arc<Policy>,
    /// Digest of the policy.
    pub policy_digest: Digest,
    /// Digests of all plugins in use, by name.
    pub plugins: Arc<BTreeMap<String, Digest>>,
    /// Judges and rules of the gate.
    pub gate: Arc<GateSetup>,
    /// Executors' claims about their step types: whether each step needs an approval.
    pub claimed_approval: BTreeMap<String, bool>,
    /// Identity of the workspace.
    pub place: Digest,
}

/// How an action that needs a person's word gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReviewBy {
    /// As the policy says.
    Policy,
    /// The program of the session has nobody to ask: where the policy lets it ask, the action is parked.
    Inbox,
}

impl ReviewBy {
    /// The way under a policy.
    #[must_use]
    pub fn under(self, policy: &Policy) -> SessionReview {
        match (self, policy.sessions.review) {
            (Self::Inbox, SessionReview::Ask) => SessionReview::Park,
            (_, review) => review,
        }
    }
}

impl SessionSetup {
    /// Reasons why an action of this type needs an approval in this state even when all guards allow.
    #[must_use]
    pub fn approval_reasons(&self, state: &SessionState, step_type: &str, only_reads: bool) -> Vec<Reason> {
        let claimed = self.claimed_approval.get(step_type).copied();
        let reason = |by, code: &str, message: String| Reason::new(by, Ruling::Review, Finding::info(code, message));
        let mut reasons = Vec::new();
        if self.policy.needs_approval(step_type, claimed) {
            let message = format!("steps of type {step_type} need an approval");
            reasons.push(reason(Decider::Policy, "needs-approval", message));
        }
        if state.limits().require_approval {
            let message = "the limits of this session ask for an approval of every step".to_owned();
            reasons.push(reason(Decider::Policy, "needs-approval", message));
        }
        if let Some(why) = state.risk_review().filter(|_| !only_reads && self.policy.enforces_risk().is_some()) {
            reasons.push(reason(Decider::Risk, "uncertain-risk", why.to_owned()));
        }
        reasons
    }
}
