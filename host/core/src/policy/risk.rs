//! Rules for predicted risk.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::describe::Annotations;
use crate::risk::{RiskLevel, Thresholds, Tool};
use crate::{Agent, RunLimits};

/// Prediction of the risk of plans, and its consequences.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RiskPolicy {
    /// Whether predictions count.
    pub mode: RiskMode,
    /// Model that predicts; the embedded one when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<RiskModel>,
    /// A second model that predicts as well. Its prediction is recorded and does not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub challenger: Option<RiskModel>,
    /// Floor of a plan's level.
    pub floor: RiskFloor,
    /// A person must look at a plan when the most likely level is less likely than this.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub review_below: f64,
    /// Environment in which this policy is in force, such as `production`; thresholds may differ by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Risk classes of tools.
    pub tools: RiskTools,
    /// Thresholds beyond which a plan is risky whatever a model predicts.
    pub thresholds: Thresholds,
    /// Other thresholds for some agents or environments: of those that fit, later ones override earlier ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub thresholds_for: Vec<ThresholdsFor>,
    /// Limits of a run by the level of its plan.
    pub profiles: RiskProfiles,
}

/// The top probability below which a person must look at a plan.
const REVIEW_BELOW: f64 = 0.6;

impl Default for RiskPolicy {
    fn default() -> Self {
        Self {
            mode: RiskMode::default(),
            model: None,
            challenger: None,
            floor: RiskFloor::default(),
            review_below: REVIEW_BELOW,
            environment: None,
            tools: RiskTools::default(),
            thresholds: Thresholds::default(),
            thresholds_for: Vec::new(),
            profiles: RiskProfiles::default(),
        }
    }
}

/// Whether predictions count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RiskMode {
    /// The prediction sets limits of the run.
    #[default]
    Enforce,
    /// The prediction is only recorded.
    Monitor,
    /// Nothing is predicted.
    Off,
}

/// Floor of a plan's level.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RiskFloor {
    /// The level that the thresholds ask for.
    #[default]
    Rules,
    /// Nothing: the model's level counts, whatever the thresholds ask for.
    None,
}

/// A model in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RiskModel {
    /// The ONNX file, relative to the policy's folder. Its metadata lies beside it, as a file with the ending `json`.
    pub path: String,
    /// SHA-256 of the ONNX file, in hexadecimal digits. Another file is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// Risk classes of tools. A tool is a step type, or one with a program, such as `run_command:rm`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RiskTools {
    /// Step types that plans of any level may use.
    pub safe: BTreeSet<String>,
    /// Step types that plans of level MEDIUM may use besides.
    pub standard: BTreeSet<String>,
    /// Tools of high risk. A step type in none of these lists is one as well, unless its executor declares that it
    /// neither destroys nor reaches beyond the workspace.
    pub high_risk: BTreeSet<String>,
    /// For step types that start programs, the place of the program in their inputs, as a JSON Pointer.
    pub programs: BTreeMap<String, String>,
}

impl Default for RiskTools {
    fn default() -> Self {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            safe: set(&["analyze", "read_file", "summarize"]),
            standard: set(&["edit_file"]),
            high_risk: set(&["run_command"]),
            programs: [("run_command".to_owned(), "/argv/0".to_owned())].into(),
        }
    }
}

impl RiskTools {
    /// Whether a tool is of high risk, given its executor's annotations of the step type, if there are any.
    #[must_use]
    pub fn is_high_risk(&self, tool: Tool<'_>, annotations: Option<&Annotations>) -> bool {
        let Tool { step_type, program } = tool;
        let of_type = |listed: &String| listed.strip_prefix(step_type)?.strip_prefix(':').map(ToOwned::to_owned);
        let mut listed = self.high_risk.iter().filter_map(of_type);
        // An unknown program may be any.
        let is_named = match program {
            Some(program) => listed.any(|listed| listed == program),
            None => listed.next().is_some(),
        };
        if self.high_risk.contains(step_type) || is_named {
            return true;
        }
        if self.safe.contains(step_type) || self.standard.contains(step_type) {
            return false;
        }
        annotations.is_none_or(|said| !said.read_only && (said.destructive || said.open_world))
    }
}

/// Step types that the profile of a level permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ToolClass {
    /// Those of `tools.safe`.
    Safe,
    /// Those of `tools.safe` and `tools.standard`.
    Standard,
    /// All step types.
    All,
}

/// Limits of a run by the level of its plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "named after the levels")]
pub struct RiskProfiles {
    pub low: RiskProfile,
    pub medium: RiskProfile,
    pub high: RiskProfile,
}

impl Default for RiskProfiles {
    fn default() -> Self {
        let profile = |tokens, retries, time_s, tools, require_approval| RiskProfile {
            tokens: Some(tokens),
            retries: Some(retries),
            time_s: Some(time_s),
            tools: Some(tools),
            require_approval: Some(require_approval),
        };
        Self {
            low: profile(10_000, 5, 300, ToolClass::All, false),
            medium: profile(5000, 3, 180, ToolClass::Standard, false),
            high: profile(2000, 1, 60, ToolClass::Safe, true),
        }
    }
}

/// Limits of a run whose plan is of some level. A missing limit does not apply.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RiskProfile {
    /// Model tokens, input and output.
    #[schemars(range(min = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Most retries of one step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// Wall time of the whole run, in seconds.
    #[schemars(range(min = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_s: Option<u64>,
    /// Step types that may run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<ToolClass>,
    /// Whether every step needs an approval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_approval: Option<bool>,
}

impl RiskProfile {
    fn limits(&self, tools: &RiskTools) -> RunLimits {
        let step_types = match self.tools {
            None | Some(ToolClass::All) => None,
            Some(ToolClass::Safe) => Some(tools.safe.clone()),
            Some(ToolClass::Standard) => Some(tools.safe.union(&tools.standard).cloned().collect()),
        };
        RunLimits {
            tokens: self.tokens,
            retries: self.retries,
            time_us: self.time_s.map(|seconds| seconds.saturating_mul(1_000_000)),
            step_types,
            require_approval: self.require_approval == Some(true),
            ..RunLimits::default()
        }
    }
}

/// Thresholds for some agents or environments. A missing condition fits all; a missing threshold stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ThresholdsFor {
    /// Type of agents that the thresholds apply to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_type: Option<String>,
    /// Tier of agents that the thresholds apply to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_tier: Option<String>,
    /// Value of `risk.environment` that the thresholds apply to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Beyond any of these a plan is HIGH.
    pub high: OtherThresholds,
    /// Beyond any of these a plan is at least MEDIUM.
    pub medium: OtherThresholds,
}

/// Thresholds that replace others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OtherThresholds {
    /// Number of steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_steps: Option<u64>,
    /// Number of model tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub est_tokens: Option<u64>,
    /// Consecutive steps with one tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequential_tool_calls: Option<u64>,
    /// Number of steps beyond which a tool of high risk makes a plan HIGH; of `high` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_steps_with_high_risk_tool: Option<u64>,
}

impl ThresholdsFor {
    fn fits(&self, agent: &Agent, environment: Option<&str>) -> bool {
        let fits = |wanted: Option<&str>, is: Option<&str>| wanted.is_none() || wanted == is;
        fits(self.agent_type.as_deref(), agent.kind.as_deref())
            && fits(self.agent_tier.as_deref(), agent.tier.as_deref())
            && fits(self.environment.as_deref(), environment)
    }

    fn over(&self, under: Thresholds) -> Thresholds {
        let Thresholds { mut high, mut medium } = under;
        let OtherThresholds { num_steps, est_tokens, sequential_tool_calls, num_steps_with_high_risk_tool } = self.high;
        high.num_steps = num_steps.unwrap_or(high.num_steps);
        high.est_tokens = est_tokens.unwrap_or(high.est_tokens);
        high.sequential_tool_calls = sequential_tool_calls.unwrap_or(high.sequential_tool_calls);
        high.num_steps_with_high_risk_tool =
            num_steps_with_high_risk_tool.unwrap_or(high.num_steps_with_high_risk_tool);
        medium.num_steps = self.medium.num_steps.unwrap_or(medium.num_steps);
        medium.est_tokens = self.medium.est_tokens.unwrap_or(medium.est_tokens);
        medium.sequential_tool_calls = self.medium.sequential_tool_calls.unwrap_or(medium.sequential_tool_calls);
        Thresholds { high, medium }
    }
}

impl RiskPolicy {
    /// The thresholds for an agent.
    #[must_use]
    pub fn thresholds_for(&self, agent: &Agent) -> Thresholds {
        let environment = self.environment.as_deref();
        let fitting = self.thresholds_for.iter().filter(|other| other.fits(agent, environment));
        let mut all = fitting.fold(self.thresholds, |under, other| other.over(under));
        // Each set is valid by itself; combined, HIGH must not be below MEDIUM.
        all.medium.num_steps = all.medium.num_steps.min(all.high.num_steps);
        all.medium.est_tokens = all.medium.est_tokens.min(all.high.est_tokens);
        all.medium.sequential_tool_calls = all.medium.sequential_tool_calls.min(all.high.sequential_tool_calls);
        all
    }

    /// Limits of a run at a level of risk, except budgets that the operator set.
    #[must_use]
    pub fn profile(&self, level: RiskLevel, operator: &RunLimits) -> RunLimits {
        let profile = match level {
            RiskLevel::Low => &self.profiles.low,
            RiskLevel::Medium => &self.profiles.medium,
            RiskLevel::High => &self.profiles.high,
        };
        profile.limits(&self.tools).except_budgets_of(operator)
    }

    /// The first value that is out of range, if there is one.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        if !(0.0..=1.0).contains(&self.review_below) {
            return Some("review_below must be from 0 to 1".to_owned());
        }
        for (level, profile) in
            [("low", &self.profiles.low), ("medium", &self.profiles.medium), ("high", &self.profiles.high)]
        {
            if profile.tokens == Some(0) || profile.time_s == Some(0) {
                return Some(format!("profiles.{level}: tokens and time_s must be at least 1"));
            }
        }
        if let Some(other) =
            self.thresholds_for.iter().find(|other| other.medium.num_steps_with_high_risk_tool.is_some())
        {
            let name = other.agent_type.as_deref().or(other.environment.as_deref()).unwrap_or_default();
            return Some(format!("thresholds_for {name}: num_steps_with_high_risk_tool belongs to high only"));
        }
        let places = self.tools.programs.values().find(|place| !place.starts_with('/'));
        if let Some(place) = places {
            return Some(format!("tools.programs: {place:?} is no JSON Pointer; it begins with `/`"));
        }
        if let Some(model) = self.model.iter().chain(&self.challenger).find(|model| !model.is_digest_plain()) {
            return Some(format!("the sha256 of {} must have 64 hexadecimal digits", model.path));
        }
        let all = self.thresholds_for.iter().map(|other| other.over(self.thresholds));
        [self.thresholds].into_iter().chain(all).find_map(|thresholds| thresholds.fault())
    }
}

impl RiskModel {
    fn is_digest_plain(&self) -> bool {
        let is_plain = |digest: &String| digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        self.sha256.as_ref().is_none_or(is_plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(kind: Option<&str>, tier: Option<&str>) -> Agent {
        Agent { id: "a".into(), kind: kind.map(Into::into), tier: tier.map(Into::into) }
    }

    #[test]
    fn thresholds_follow_agent_and_environment() {
        let other = |steps| OtherThresholds { num_steps: Some(steps), ..OtherThresholds::default() };
        let mut policy = RiskPolicy {
            environment: Some("production".into()),
            thresholds_for: vec![
                ThresholdsFor { agent_type: Some("coding".into()), high: other(30), ..ThresholdsFor::default() },
                ThresholdsFor { agent_tier: Some("new".into()), high: other(8), ..ThresholdsFor::default() },
                ThresholdsFor { environment: Some("test".into()), high: other(99), ..ThresholdsFor::default() },
            ],
            ..RiskPolicy::default()
        };
        let steps = |policy: &RiskPolicy, kind, tier| policy.thresholds_for(&agent(kind, tier)).high.num_steps;
        assert_eq!(steps(&policy, None, None), 12);
        assert_eq!(steps(&policy, Some("coding"), None), 30);
        assert_eq!(steps(&policy, Some("coding"), Some("new")), 8, "the later one lies over the earlier one");
        policy.environment = Some("test".into());
        assert_eq!(steps(&policy, None, None), 99);
        assert_eq!(policy.fault(), None);
        policy.thresholds_for[1].high.num_steps = Some(2);
        assert!(policy.fault().unwrap().contains("medium.num_steps"));
    }

    #[test]
    fn an_operators_budget_replaces_a_profiles() {
        let policy = RiskPolicy::default();
        let operator = RunLimits { tokens: Some(50_000), ..RunLimits::default() };
        let high = policy.profile(RiskLevel::High, &operator);
        assert_eq!((high.tokens, high.time_us, high.retries), (None, Some(60_000_000), Some(1)));
        assert!(high.require_approval && high.permits("read_file") && !high.permits("edit_file"));
        let medium = policy.profile(RiskLevel::Medium, &RunLimits::default());
        assert!(!medium.require_approval && medium.permits("edit_file") && !medium.permits("run_command"));
        assert!(policy.profile(RiskLevel::Low, &RunLimits::default()).permits("anything"));
    }

    #[test]
    fn what_is_not_listed_is_risky_unless_it_says_otherwise() {
        let tools = RiskTools::default();
        let harmless = Annotations { destructive: false, open_world: false, ..Annotations::default() };
        let pessimistic = Annotations::default();
        let is = |step_type, annotations| tools.is_high_risk(Tool { step_type, program: None }, annotations);
        assert!(is("run_command", Some(&harmless)), "what a plugin says removes no caution");
        assert!(!is("edit_file", None));
        assert!(is("deploy", None) && is("deploy", Some(&pessimistic)));
        assert!(!is("lint", Some(&harmless)));
        let mut tools = RiskTools { high_risk: ["run_command:rm".to_owned()].into(), ..RiskTools::default() };
        tools.standard.insert("run_command".to_owned());
        let is = |program| tools.is_high_risk(Tool { step_type: "run_command", program: Some(program) }, None);
        assert!(is("rm") && !is("make"));
        let unknown = Tool { step_type: "run_command", program: None };
        assert!(tools.is_high_risk(unknown, None), "what is not known is not low");
    }
}
