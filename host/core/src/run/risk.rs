//! Predicted risk within a run: its timing, its consequences, and the actual shape of the run.

use super::setup::RunSetup;
use super::stage::Stage;
use super::state::RunState;
use crate::budget::BudgetKind;
use crate::event::{RiskPredicted, RunEvent};
use crate::gate::Reason;
use crate::risk::{Assessment, PlanShape, ShapeStep};
use crate::step_state::StepState;
use crate::{Decider, Finding, LimitSource, Ruling};

/// Events that follow from the risk of the plan: its profile only tightens.
pub(super) fn assessed(state: &RunState, assessment: Box<Assessment>) -> Vec<RunEvent> {
    let RunSetup { policy, plan, operator, .. } = &*state.setup;
    let profile = policy.risk_limits(assessment.level, operator);
    let limits = state.limits.tighten(&profile).capped();
    let limits_by = limits.set_by(&[
        (LimitSource::Operator, operator),
        (LimitSource::Policy, &policy.limits),
        (LimitSource::Plan, &plan.limits),
        (LimitSource::RiskProfile(assessment.level), &profile),
        (LimitSource::Run, &state.limits),
    ]);
    vec![RiskPredicted { assessment, limits, limits_by }.into()]
}

impl RunState {
    /// The last prediction of the plan's risk; none before it, and where policy does not predict.
    #[must_use]
    pub fn risk(&self) -> Option<&Assessment> {
        self.risk.assessment.as_deref()
    }

    /// Whether the risk of the current plan is to be predicted before anything else.
    #[must_use]
    pub fn is_risk_due(&self) -> bool {
        let can_be = self.is_before_a_step() || matches!(self.stage, Stage::Plan(_));
        !self.risk.is_predicted && can_be && self.ended.is_none() && self.setup.policy.predicts().is_some()
    }

    /// Whether a step or its retry comes next, so that the plan can be judged before it.
    pub(super) fn is_before_a_step(&self) -> bool {
        match &self.stage {
            Stage::Idle | Stage::Delayed { .. } => true,
            // Changes of the failed try are restored first, whatever the plan's risk.
            Stage::Retry { restores, .. } => restores.is_empty(),
            _ => false,
        }
    }

    /// Reasons why a person must approve the plan even when all guards allow.
    pub(super) fn plan_reasons(&self) -> Vec<Reason> {
        let counts = self.setup.policy.enforces_risk().is_some();
        let review = self.risk.assessment.as_ref().and_then(|risk| risk.review.clone()).filter(|_| counts);
        let reason = |why| Reason::new(Decider::Risk, Ruling::Review, Finding::info("uncertain-risk", why));
        review.map(reason).into_iter().collect()
    }

    /// Message for a step type that is not permitted, with the predicted risk if that is the reason.
    pub(super) fn why_not_permitted(&self, step_type: &str) -> String {
        let RunSetup { policy, operator, .. } = &*self.setup;
        let Some(level) = self.risk.profiled else { return String::new() };
        match policy.risk_limits(level, operator).step_types {
            Some(permitted) if !permitted.contains(step_type) => {
                let permitted: Vec<_> = permitted.into_iter().collect();
                format!(
                    "; its plan was predicted to be of {level} risk, and the policy's risk.profiles.{} lets it use {} only",
                    level.name().to_lowercase(),
                    permitted.join(", ")
                )
            }
            _ => String::new(),
        }
    }

    /// The shape of the run so far: its steps that were carried out, their tokens, the most retries, and its working
    /// time. `None` before the first step was carried out.
    #[must_use]
    pub fn shape(&self, now_us: u64) -> Option<PlanShape<'_>> {
        let none = std::collections::BTreeMap::new();
        let programs = self.setup.policy.risk.as_ref().map_or(&none, |risk| &risk.tools.programs);
        let did =
            |state: StepState| !matches!(state, StepState::Pending | StepState::AwaitingApproval | StepState::Skipped);
        let steps = self.setup.plan.steps.iter().zip(&self.steps).filter(|(_, progress)| did(progress.state));
        let retries = u64::from(self.most_attempts.saturating_sub(1));
        let shape = |step| ShapeStep {
            retries: Some(retries),
            time_s: None,
            bytes: 0,
            ..ShapeStep::of(step, &step.input, programs)
        };
        let steps: Vec<ShapeStep<'_>> = steps.map(|(step, _)| shape(step)).collect();
        (!steps.is_empty()).then(|| PlanShape {
            steps,
            declared: Vec::new(),
            tokens: Some(self.ledger.line(BudgetKind::Tokens).spent),
            time_s: Some(self.elapsed_us(now_us).div_ceil(1_000_000)),
        })
    }
}
