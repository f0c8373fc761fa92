//! Rules for plugins.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Ruling;

/// One guard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GuardPolicy {
    /// Component file; a bundled plugin when left out.
    pub path: Option<String>,
    /// Name in the plugin's description, where it is not the name here: one guard can judge twice, with different
    /// settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// Whether its allow counts as no opinion.
    #[serde(skip_serializing_if = "is_false")]
    pub only_tightens: bool,
    /// Ruling that counts when the guard fails.
    pub on_error: OnError,
    /// Whether its verdicts count.
    pub mode: GuardMode,
    /// Rights beyond judging.
    #[serde(skip_serializing_if = "GuardGrants::is_none")]
    pub grants: GuardGrants,
    /// Settings of the plugin.
    pub settings: Value,
    /// Settings for redaction: texts to be stored are given to the guard as inputs, and its rewrites are stored.
    /// Without them, the guard does not redact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redaction: Option<Value>,
    /// Limits of each call, instead of those of its kind.
    #[serde(skip_serializing_if = "PluginLimits::is_default")]
    pub limits: PluginLimits,
}

/// Rights of a guard beyond judging.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GuardGrants {
    /// Replace an action's input, where its description says that it does.
    pub rewrite: bool,
}

impl GuardGrants {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// Limits of each call into a plugin; calls about a whole plan may have more. A missing limit keeps the value of the
/// plugin's kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PluginLimits {
    /// Instructions, in wasmtime's fuel.
    #[schemars(range(min = 1, max = 1_000_000_000_000_u64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    /// Memory, in MiB.
    #[schemars(range(min = 1, max = 1024))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u32>,
    /// Wall time, in milliseconds: of a guard's or impact model's call, or of an executor's step.
    #[schemars(range(min = 1, max = 86_400_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_ms: Option<u32>,
}

/// Most fuel of one call that policy can grant.
const MAX_FUEL: u64 = 1_000_000_000_000;
/// Most memory of one plugin that policy can grant, in MiB.
const MAX_MEMORY_MIB: u32 = 1024;
/// Most wall time of one call that policy can grant: a day, in milliseconds.
const MAX_TIME_MS: u32 = 86_400_000;

impl PluginLimits {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The first limit that is out of range, if there is one.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let wrong = |what: &str, most: u64| Some(format!("limits.{what} must be from 1 to {most}"));
        match self {
            Self { fuel: Some(fuel), .. } if !(1..=MAX_FUEL).contains(fuel) => wrong("fuel", MAX_FUEL),
            Self { memory_mib: Some(mib), .. } if !(1..=MAX_MEMORY_MIB).contains(mib) => {
                wrong("memory_mib", MAX_MEMORY_MIB.into())
            }
            Self { time_ms: Some(ms), .. } if !(1..=MAX_TIME_MS).contains(ms) => wrong("time_ms", MAX_TIME_MS.into()),
            _ => None,
        }
    }
}

/// Ruling that counts when a guard traps, runs out of fuel, times out or gives an invalid answer. It never is "allow".
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
    /// Its verdicts count.
    #[default]
    Enforce,
    /// Its verdicts and failures are only recorded.
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
    /// Settings of the model.
    #[serde(default = "no_settings")]
    pub settings: Value,
    /// Limits of each call, instead of those of its kind.
    #[serde(default, skip_serializing_if = "PluginLimits::is_default")]
    pub limits: PluginLimits,
}

/// One executor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExecutorPolicy {
    /// Component file; a bundled plugin when left out.
    pub path: Option<String>,
    /// Host calls that the executor may make.
    pub grants: Grants,
    /// Settings of the executor.
    pub settings: Value,
    /// Limits of each step, instead of those of its kind.
    #[serde(skip_serializing_if = "PluginLimits::is_default")]
    pub limits: PluginLimits,
}

/// Host calls that an executor may make. None, unless granted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Grants {
    /// Files of the workspace.
    pub workspace: bool,
    /// Processes on the host.
    pub process: bool,
    /// Language models.
    pub model: bool,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn no_settings() -> Value {
    Value::Object(serde_json::Map::new())
}

impl Default for GuardPolicy {
    fn default() -> Self {
        Self {
            path: None,
            plugin: None,
            only_tightens: false,
            on_error: OnError::default(),
            mode: GuardMode::default(),
            grants: GuardGrants::default(),
            settings: no_settings(),
            redaction: None,
            limits: PluginLimits::default(),
        }
    }
}

impl Default for ExecutorPolicy {
    fn default() -> Self {
        Self { path: None, grants: Grants::default(), settings: no_settings(), limits: PluginLimits::default() }
    }
}
