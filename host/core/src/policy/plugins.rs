//! What policy says of plugins.

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
    /// What the plugin calls itself, where that is not its name here: so a guard can judge twice, with other settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// Whether its allow counts as no opinion.
    #[serde(skip_serializing_if = "is_false")]
    pub only_tightens: bool,
    /// What counts when the guard fails.
    pub on_error: OnError,
    /// Whether its verdicts count.
    pub mode: GuardMode,
    /// What it may do besides judging.
    #[serde(skip_serializing_if = "GuardGrants::is_none")]
    pub grants: GuardGrants,
    /// Its settings.
    pub settings: Value,
    /// Settings with which it replaces what must not be kept: texts that are about to be stored are put to it as inputs, and
    /// what it rewrites them to is stored. Without them, it is not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redaction: Option<Value>,
    /// Limits of each call, instead of those of its kind.
    #[serde(skip_serializing_if = "PluginLimits::is_default")]
    pub limits: PluginLimits,
}

/// What a guard may do besides judging.
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

/// Limits of each call into a plugin; calls about a whole plan may have more. What is left out stays as it is for plugins of that kind.
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

/// Most fuel that policy can give to one call.
const MAX_FUEL: u64 = 1_000_000_000_000;
/// Most memory that policy can give to one plugin, in MiB.
const MAX_MEMORY_MIB: u32 = 1024;
/// Most wall time that policy can give to one call: a day, in milliseconds.
const MAX_TIME_MS: u32 = 86_400_000;

impl PluginLimits {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What is out of range, if anything.
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
    /// What it may ask of the host.
    pub grants: Grants,
    /// Its settings.
    pub settings: Value,
    /// Limits of each step, instead of those of its kind.
    #[serde(skip_serializing_if = "PluginLimits::is_default")]
    pub limits: PluginLimits,
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
