//! Policies: their types, their defaults and their digest. The shell defines the file format and finds the files.

mod approval;
mod audit;
mod gateway;
mod pace;
mod plugins;
mod process;
mod risk;
mod sessions;
mod sink;
mod tenant;
mod workspace;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use approval::{ApprovalPolicy, ApprovalProof, EffectKind, StepTypePolicy};
pub use audit::AuditPolicy;
pub use gateway::{Endpoint, GatewayPolicy, ModelPolicy, Protocol, Route, Unpriced};
pub use plugins::{ExecutorPolicy, Grants, GuardGrants, GuardMode, GuardPolicy, ImpactPolicy, OnError, PluginLimits};

pub use pace::RateLimitPolicy;
pub use process::{LinkedFiles, PathAccess, PathGrant, ProcessLimits, ProcessPolicy, Protection};
pub use risk::{
    OtherThresholds, RiskFloor, RiskMode, RiskModel, RiskPolicy, RiskProfile, RiskProfiles, RiskTools, ThresholdsFor,
    ToolClass,
};
pub use sessions::{OutsideRuling, SessionReview, SessionsPolicy};
pub use sink::{SinkFrom, SinkKind, SinkPolicy};
pub use tenant::{Budgets, TenantPolicy};
pub use workspace::{HardLinks, WorkspacePolicy};

use crate::breaker::BreakerSettings;
use crate::risk_level::RiskLevel;
use crate::{Digest, Price, Ruling, RunLimits, json};

/// A policy. The default is the strict built-in one without plugins.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Guards by name. Each of them judges every action.
    pub guards: BTreeMap<String, GuardPolicy>,
    /// The impact model, if any.
    pub impact: Option<ImpactPolicy>,
    /// Executors by name.
    pub executors: BTreeMap<String, ExecutorPolicy>,
    /// Rules for step types beyond the claims of their executors.
    pub step_types: BTreeMap<String, StepTypePolicy>,
    /// Rules for decisions.
    pub decision: DecisionPolicy,
    /// Rules for approvals, and the time to wait for one.
    pub approval: ApprovalPolicy,
    /// Rules for the course of runs.
    pub run: RunPolicy,
    /// Limits and budgets of every run.
    pub limits: RunLimits,
    /// Confinement of processes.
    pub process: ProcessPolicy,
    /// Rules for reading files of a workspace.
    pub workspace: WorkspacePolicy,
    /// Access to language models. Without models there is none.
    #[serde(skip_serializing_if = "GatewayPolicy::is_default")]
    pub gateway: GatewayPolicy,
    /// Conditions under which an agent whose steps keep failing is blocked for a while; without them, it never is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breaker: Option<BreakerSettings>,
    /// Limits on the rate of agents' steps.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rate_limits: Vec<RateLimitPolicy>,
    /// Budgets of tenants: all runs of a tenant together stay within them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tenants: BTreeMap<String, TenantPolicy>,
    /// Prediction of the risk of plans, and its consequences; without it, nothing is predicted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub risk: Option<RiskPolicy>,
    /// Rules for sessions: actions that others carry out.
    #[serde(skip_serializing_if = "SessionsPolicy::is_default")]
    pub sessions: SessionsPolicy,
    /// Rules for signing the log and erasing from it.
    #[serde(skip_serializing_if = "AuditPolicy::is_default")]
    pub audit: AuditPolicy,
    /// Sinks by name, which receive events besides the log.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sinks: BTreeMap<String, SinkPolicy>,
    /// Prices by the provider's name of the model. A model that is not named here is unpriced, which is not "free".
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub prices: BTreeMap<String, Price>,
}

/// Rules for decisions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DecisionPolicy {
    /// The ruling when all guards abstain: allow, review or deny.
    pub when_all_abstain: AbstainedRuling,
}

impl Default for DecisionPolicy {
    fn default() -> Self {
        Self { when_all_abstain: AbstainedRuling::Allow }
    }
}

/// The ruling when all guards abstain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AbstainedRuling {
    /// The action may happen, unless an approval is needed.
    Allow,
    /// A person must decide.
    Review,
    /// The action must not happen.
    Deny,
}

impl AbstainedRuling {
    /// The ruling that it stands for.
    #[must_use]
    pub fn ruling(self) -> Ruling {
        match self {
            Self::Allow => Ruling::Allow,
            Self::Review => Ruling::Review,
            Self::Deny => Ruling::Deny,
        }
    }
}

/// Rules for the course of runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RunPolicy {
    /// Consequence of a denied or rejected step for its run.
    pub on_denied: OnDenied,
    /// Consequence of a failed step for its run.
    pub on_step_failure: OnStepFailure,
    /// Most retries of one step; a plan can ask for fewer. Counts with `on_step_failure = "retry"` only.
    #[schemars(range(max = 100))]
    pub max_retries: u32,
    /// Wait before the first retry, in milliseconds; each further one waits twice as long, 30 seconds at the most.
    #[schemars(range(max = 30_000))]
    pub retry_backoff_ms: u32,
    /// Used share of a budget, in percent, at which a warning is given; 100 gives none.
    #[schemars(range(min = 1, max = 100))]
    pub warn_percent: u32,
}

impl Default for RunPolicy {
    fn default() -> Self {
        Self {
            on_denied: OnDenied::default(),
            on_step_failure: OnStepFailure::default(),
            max_retries: 2,
            retry_backoff_ms: 500,
            warn_percent: 80,
        }
    }
}

/// Longest wait before a retry, in microseconds.
const MAX_BACKOFF_US: u64 = 30_000_000;

impl RunPolicy {
    /// Wait after the try with this number, in microseconds.
    #[must_use]
    pub fn backoff_us(&self, attempt: u32) -> u64 {
        let doubled = 1_u64.checked_shl(attempt.saturating_sub(1)).unwrap_or(u64::MAX);
        (u64::from(self.retry_backoff_ms) * 1000).saturating_mul(doubled).min(MAX_BACKOFF_US)
    }
}

/// Consequence of a denied or rejected step for its run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnDenied {
    /// The run ends as failed.
    #[default]
    Stop,
    /// The run goes on with the next step.
    Skip,
}

/// Consequence of a failed step for its run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnStepFailure {
    /// The run ends as failed.
    #[default]
    Stop,
    /// The step is tried again where that can help: changes of the failed try in the workspace are restored, and the
    /// step is judged anew. When no retry is left, the run ends as failed.
    Retry,
}

impl Policy {
    /// Whether a step of this type needs an approval, given its executor's claim, if there is one.
    #[must_use]
    pub fn needs_approval(&self, step_type: &str, claimed: Option<bool>) -> bool {
        match self.step_types.get(step_type) {
            Some(StepTypePolicy { needs_approval: Some(needed) }) => *needed,
            // A listed type without a rule on approvals follows its executor; an unlisted one does not.
            Some(StepTypePolicy { needs_approval: None }) => claimed.unwrap_or(true),
            None => true,
        }
    }

    /// Most retries of a step, given the plan's own number, if it has one: a plan only tightens.
    #[must_use]
    pub fn retries(&self, asked: Option<u32>, limits: &RunLimits) -> u32 {
        match self.run.on_step_failure {
            OnStepFailure::Stop => 0,
            OnStepFailure::Retry => {
                let most = limits.retries.unwrap_or(u32::MAX);
                asked.map_or(self.run.max_retries, |asked| asked.min(self.run.max_retries)).min(most)
            }
        }
    }

    /// Rules of risk prediction, if risk is predicted.
    #[must_use]
    pub fn predicts(&self) -> Option<&RiskPolicy> {
        self.risk.as_ref().filter(|risk| risk.mode != RiskMode::Off)
    }

    /// Rules of risk prediction, if predictions count.
    #[must_use]
    pub fn enforces_risk(&self) -> Option<&RiskPolicy> {
        self.risk.as_ref().filter(|risk| risk.mode == RiskMode::Enforce)
    }

    /// Limits of a run at a level of risk, except budgets that the operator set.
    #[must_use]
    pub fn risk_limits(&self, level: RiskLevel, operator: &RunLimits) -> RunLimits {
        self.enforces_risk().map(|risk| risk.profile(level, operator)).unwrap_or_default()
    }

    /// Digest over everything that policy says.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(json::canonical(self).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_policy_lifts_a_needed_approval() {
        let mut policy = Policy::default();
        assert!(policy.needs_approval("x", Some(false)), "an unlisted step type is not believed");
        policy.step_types.insert("x".into(), StepTypePolicy { needs_approval: None });
        assert!(!policy.needs_approval("x", Some(false)));
        assert!(policy.needs_approval("x", None));
        assert!(policy.needs_approval("x", Some(true)));
        policy.step_types.insert("x".into(), StepTypePolicy { needs_approval: Some(false) });
        assert!(!policy.needs_approval("x", Some(true)));
    }

    #[test]
    fn retries_need_the_policys_word_and_keep_its_limits() {
        let mut policy = Policy::default();
        assert_eq!(policy.retries(Some(5), &RunLimits::default()), 0);
        policy.run.on_step_failure = OnStepFailure::Retry;
        assert_eq!(policy.retries(Some(1), &RunLimits::default()), 1);
        assert_eq!(policy.retries(Some(5), &RunLimits::default()), 2, "a plan only tightens");
        assert_eq!(policy.retries(None, &RunLimits::default()), 2);
        assert_eq!(policy.retries(Some(5), &RunLimits { retries: Some(1), ..RunLimits::default() }), 1);
    }

    #[test]
    fn waits_grow_and_are_bounded() {
        let run = RunPolicy::default();
        assert_eq!([1, 2, 3].map(|attempt| run.backoff_us(attempt)), [500_000, 1_000_000, 2_000_000]);
        assert_eq!(run.backoff_us(1000), MAX_BACKOFF_US);
    }
}
