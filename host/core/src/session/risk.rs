//! Predicted risk within a session: its timing and its consequences.

use super::setup::SessionSetup;
use super::state::SessionState;
use crate::event::{RiskPredicted, RunEvent};
use crate::risk::Assessment;
use crate::{LimitSource, RunLimits};

impl SessionState {
    /// Whether the risk is to be predicted anew: the session has doubled since the last time.
    #[must_use]
    pub fn is_risk_due(&self, setup: &SessionSetup) -> bool {
        let actions = self.shape.actions();
        let is_due = actions > 0 && actions >= self.predicted_at.saturating_mul(2);
        is_due && self.ended.is_none() && setup.policy.predicts().is_some()
    }
}

/// Events that follow from the risk of the session: its profile only tightens.
pub(super) fn assessed(state: &SessionState, setup: &SessionSetup, assessment: Box<Assessment>) -> Vec<RunEvent> {
    let profile = setup.policy.risk_limits(assessment.level, &RunLimits::default());
    let limits = state.limits.tighten(&profile).capped();
    let limits_by = limits.set_by(&[
        (LimitSource::Policy, &setup.policy.limits),
        (LimitSource::RiskProfile(assessment.level), &profile),
        (LimitSource::Run, &state.limits),
    ]);
    vec![RiskPredicted { assessment, limits, limits_by }.into()]
}
