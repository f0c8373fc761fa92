//! Predicting how risky plans are, under a policy.

use std::path::Path;
use std::sync::Arc;

use fusebox_core::policy::{RiskFloor, RiskModel, RiskPolicy};
use fusebox_core::risk::{Assessment, Features, PlanShape, Prediction, RiskLevel, Thresholds, Tool};
use fusebox_core::session::{SessionSetup, SessionState};
use fusebox_core::{Agent, Plan, Policy, RunLimits, RunState};
use fusebox_risk::{Explained, FeatureContext, Model, features};

use crate::error::Error;
use crate::plugins::registry::Registry;
use crate::policy::LoadedPolicy;

/// Wall time of a run that nothing limits, in seconds, where policy has no profile for LOW.
const USUAL_TIME_S: u64 = 300;

/// Predicts how risky plans are, under a policy.
#[derive(Debug)]
pub struct Predictor {
    policy: RiskPolicy,
    /// None is the embedded model, which is made ready when it is first asked.
    model: Option<Arc<Model>>,
    challenger: Option<Arc<Model>>,
}

impl Predictor {
    /// The predictor of a policy, if it wants one. Models in files are checked here.
    pub(crate) fn of(loaded: &LoadedPolicy) -> Result<Option<Self>, Error> {
        let Some(policy) = loaded.policy.predicts() else { return Ok(None) };
        let open = |model: &RiskModel| {
            let path = loaded.folder.as_deref().unwrap_or(Path::new("")).join(&model.path);
            Model::open(&path, model.sha256.as_deref()).map(Arc::new)
        };
        Ok(Some(Self {
            model: policy.model.as_ref().map(open).transpose()?,
            challenger: policy.challenger.as_ref().map(open).transpose()?,
            policy: policy.clone(),
        }))
    }

    /// The model whose predictions count.
    ///
    /// # Errors
    /// Never in a build that passes its tests.
    pub fn model(&self) -> Result<Arc<Model>, Error> {
        match &self.model {
            Some(model) => Ok(Arc::clone(model)),
            None => Ok(Model::embedded()?),
        }
    }

    /// The second model, whose predictions are only recorded.
    #[must_use]
    pub fn challenger(&self) -> Option<&Model> {
        self.challenger.as_deref()
    }

    /// The policy that it predicts under.
    #[must_use]
    pub fn policy(&self) -> &RiskPolicy {
        &self.policy
    }

    /// Assessment of the features of any plan.
    #[must_use]
    pub fn assess(&self, features: Features, estimator: &str, agent: &Agent) -> Assessment {
        let rules = self.policy.thresholds_for(agent).hits(&features);
        let rule_level = rules.first().map_or(RiskLevel::Low, |hit| hit.level);
        let asked = self.model().and_then(|model| Ok(model.predict(&features)?));
        let (prediction, failure) = match asked {
            Ok(prediction) => (Some(prediction), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let level = match (&prediction, self.policy.floor) {
            (Some(prediction), RiskFloor::Rules) => prediction.level.max(rule_level),
            (Some(prediction), RiskFloor::None) => prediction.level,
            // An unknown risk is never low.
            (None, _) => rule_level.max(RiskLevel::Medium),
        };
        Assessment {
            features,
            estimator: estimator.to_owned(),
            level,
            rule_level,
            rules,
            review: self.review(prediction.as_ref(), failure.as_deref()),
            // A challenger that fails is no reason to hold anything up.
            challenger: self.challenger.as_ref().and_then(|model| model.predict(&features).ok()),
            prediction,
            failure,
        }
    }

    /// Reason why a person must look at the plan, if there is one.
    fn review(&self, prediction: Option<&Prediction>, failure: Option<&str>) -> Option<String> {
        let Some(prediction) = prediction else {
            return Some(format!("its risk could not be predicted: {}", failure.unwrap_or_default()));
        };
        if !prediction.out_of_distribution.is_empty() {
            let far = prediction.out_of_distribution.join(", ");
            return Some(format!("it is unlike all plans that the predictor was trained on, by its {far}"));
        }
        let top = prediction.probabilities.of(prediction.level);
        let least = self.policy.review_below;
        (top < least).then(|| {
            format!("its risk is uncertain: {} is the most likely with {top:.2}, below {least:.2}", prediction.level)
        })
    }

    /// Explains the score that the model gives to features.
    ///
    /// # Errors
    /// When a feature is out of its range, which the error names, or the model gives an invalid answer.
    pub fn explain(&self, features: &Features) -> Result<Explained, Error> {
        Ok(self.model()?.explain(features)?)
    }

    /// Assessment of a plan, under a host's executors and limits.
    pub(crate) fn assess_plan(
        &self,
        plan: &Plan,
        registry: &Registry,
        policy: &Policy,
        limits: &RunLimits,
    ) -> Assessment {
        let shape = PlanShape::of(plan, &self.policy.tools.programs);
        let (features, estimator) = self.features(&shape, registry, policy, limits);
        self.assess(features, estimator, &plan.agent)
    }

    /// Assessment of a session so far.
    pub(crate) fn assess_session(&self, registry: &Registry, setup: &SessionSetup, state: &SessionState) -> Assessment {
        let shape = state.shape().plan();
        let (features, estimator) = self.features(&shape, registry, &setup.policy, state.limits());
        self.assess(features, estimator, &state.identity().agent)
    }

    /// Features of the shape of a plan or a run.
    pub(crate) fn features(
        &self,
        shape: &PlanShape<'_>,
        registry: &Registry,
        policy: &Policy,
        limits: &RunLimits,
    ) -> (Features, &'static str) {
        let tools = &self.policy.tools;
        let is_high_risk = |tool: Tool<'_>| {
            let annotations = registry.executor(tool.step_type).map(|(_, served)| &served.step_type.annotations);
            tools.is_high_risk(tool, annotations)
        };
        let time_s = limits.time_us.map(|micros| micros.div_ceil(1_000_000)).or(self.policy.profiles.low.time_s);
        let context = FeatureContext {
            is_high_risk: &is_high_risk,
            retries: policy.retries(None, limits).into(),
            most_retries: policy.retries(Some(u32::MAX), limits).into(),
            time_s: time_s.unwrap_or(USUAL_TIME_S),
        };
        features(shape, &context)
    }

    /// Assessment of a run's current plan.
    pub(crate) fn assess_run(predictor: Option<&Self>, registry: &Registry, state: &RunState) -> Assessment {
        let setup = state.setup();
        match predictor {
            Some(predictor) => predictor.assess_plan(&setup.plan, registry, &setup.policy, &setup.limits),
            None => {
                let nobody = Self { policy: RiskPolicy::default(), model: None, challenger: None };
                nobody.assess_plan(&setup.plan, registry, &setup.policy, &setup.limits)
            }
        }
    }
}

impl Predictor {
    /// The thresholds in force for agents of a type.
    #[must_use]
    pub fn thresholds_of(&self, agent_type: Option<&str>) -> Thresholds {
        let kind = agent_type.map(ToOwned::to_owned);
        self.policy.thresholds_for(&Agent { id: String::new(), kind, tier: None })
    }
}
