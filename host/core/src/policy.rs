//! What policy says. The file format and its discovery are the shell's; here are the types, their defaults and their
//! digest.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Digest, Ruling, RunLimits, json};

/// A policy. The default is the strict built-in one without plugins.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Guards by name. All that are named here judge every action.
    pub guards: BTreeMap<String, GuardPolicy>,
    /// The impact model, if any.
    pub impact: Option<ImpactPolicy>,
    /// Executors by name.
    pub executors: BTreeMap<String, ExecutorPolicy>,
    /// What is known of step types beyond what their executors claim.
    pub step_types: BTreeMap<String, StepTypePolicy>,
    /// How a decision comes about.
    pub decision: DecisionPolicy,
    /// How runs go on.
    pub run: RunPolicy,
    /// Limits of every run.
    pub limits: RunLimits,
}

/// One guard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GuardPolicy {
    /// Component file; a bundled plugin when left out.
    pub path: Option<String>,
    /// What counts when the guard fails.
    pub on_error: OnError,
    /// Whether its verdicts count.
    pub mode: GuardMode,
    /// Its settings.
    pub settings: Value,
}

/// What counts when a guard traps, runs dry, times out or answers nonsense. It never is "allow".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The action must not happen.
    #[default]
    Deny,
    /// A person must decide.
    Review,
}

impl OnError {
    /// The ruling that it stands for.
    #[must_use]
    pub fn ruling(self) -> Ruling {
        match self {
            Self::Deny => Ruling::Deny,
            Self::Review => Ruling::Review,
        }
    }
}

/// Whether a guard's verdicts count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GuardMode {
    /// They count.
    #[default]
    Enforce,
    /// They are only recorded, its failures included.
    Monitor,
}

/// The impact model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImpactPolicy {
    /// Name of the model.
    pub name: String,
    /// Component file; a bundled plugin when left out.
    #[serde(default)]
    pub path: Option<String>,
    /// Its settings.
    #[serde(default = "no_settings")]
    pub settings: Value,
}

/// One executor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExecutorPolicy {
    /// Component file; a bundled plugin when left out.
    pub path: Option<String>,
    /// What it may ask of the host.
    pub grants: Grants,
    /// Its settings.
    pub settings: Value,
}

/// What an executor may ask of the host. Nothing, unless it is granted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Grants {
    /// Files of the workspace.
    pub workspace: bool,
    /// Processes.
    pub process: bool,
    /// Language models.
    pub model: bool,
}

/// What policy knows of a step type.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StepTypePolicy {
    /// Whether each step needs an approval. `false` is the only thing that lifts what an executor asks for; a step type
    /// that policy does not list always needs one.
    pub needs_approval: Option<bool>,
}

/// How a decision comes about.
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
    /// May happen, unless an approval is needed.
    Allow,
    /// A person must decide.
    Review,
    /// Must not happen.
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

/// How runs go on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RunPolicy {
    /// What a denied or rejected step does to its run.
    pub on_denied: OnDenied,
}

/// What a denied or rejected step does to its run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnDenied {
    /// The run ends as failed.
    #[default]
    Stop,
    /// The run goes on with the next step.
    Skip,
}

fn no_settings() -> Value {
    Value::Object(serde_json::Map::new())
}

impl Default for GuardPolicy {
    fn default() -> Self {
        Self { path: None, on_error: OnError::default(), mode: GuardMode::default(), settings: no_settings() }
    }
}

impl Default for ExecutorPolicy {
    fn default() -> Self {
        Self { path: None, grants: Grants::default(), settings: no_settings() }
    }
}

impl Policy {
    /// Whether a step of this type needs an approval, given what its executor says, if it has one.
    #[must_use]
    pub fn needs_approval(&self, step_type: &str, claimed: Option<bool>) -> bool {
        match self.step_types.get(step_type) {
            Some(StepTypePolicy { needs_approval: Some(needed) }) => *needed,
            // Listed without a word on approvals: the executor is believed. Not listed: it is not.
            Some(StepTypePolicy { needs_approval: None }) => claimed.unwrap_or(true),
            None => true,
        }
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
}
