//! Reports of plugins that took part in a check.

use fusebox_core::event::Usage;
use fusebox_core::gate::{GuardAnswer, GuardSlot};
use fusebox_core::policy::GuardMode;
use fusebox_core::{Decision, Impact, PluginLog, Ruling};
use fusebox_sandbox::Report;
use schemars::JsonSchema;
use serde::Serialize;

/// Part of a plugin in a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PluginRole {
    /// It previewed the action.
    Executor,
    /// It judged the action.
    Guard,
    /// It estimated the impact.
    ImpactModel,
}

/// What a plugin answered, used and logged in a check.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct PluginReport {
    /// Name of the plugin in the policy; of an executor, its step type.
    pub plugin: String,
    /// Part of the plugin.
    pub role: PluginRole,
    /// Whether the verdicts of a guard count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<GuardMode>,
    /// Ruling of a guard, abstaining included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ruling: Option<Ruling>,
    /// Why it failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Fuel, memory and time that it used.
    pub usage: Usage,
    /// What it logged.
    #[serde(skip_serializing_if = "PluginLog::is_empty")]
    pub log: PluginLog,
}

impl PluginRole {
    /// Name of the role in words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Executor => "executor",
            Self::Guard => "guard",
            Self::ImpactModel => "impact model",
        }
    }
}

impl PluginReport {
    pub(crate) fn of_guard(slot: &GuardSlot, answer: &GuardAnswer, report: Report) -> Self {
        let (ruling, failure) = match answer {
            GuardAnswer::Verdict(verdict) => (Some(verdict.ruling), None),
            GuardAnswer::Failed(why) => (None, Some(why.clone())),
        };
        let mode = Some(slot.mode);
        Self { mode, ruling, failure, ..Self::new(&slot.name, PluginRole::Guard, report) }
    }

    pub(crate) fn of_model(name: &str, estimated: &Result<Impact, String>, report: Report) -> Self {
        Self { failure: estimated.as_ref().err().cloned(), ..Self::new(name, PluginRole::ImpactModel, report) }
    }

    pub(crate) fn new(plugin: &str, role: PluginRole, report: Report) -> Self {
        let Report { usage, log } = report;
        Self { plugin: plugin.to_owned(), role, mode: None, ruling: None, failure: None, usage, log }
    }
}

/// Decision on one action, with a report of every plugin that took part.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct CheckReport {
    /// The decision.
    #[serde(flatten)]
    pub decision: Decision,
    /// Plugins in the order in which they were asked. A plugin that was asked twice stands twice.
    pub plugins: Vec<PluginReport>,
}
