//! The policy of a project: a file beside a plan or in a workspace. It can only tighten.

use std::collections::{BTreeMap, BTreeSet};

use fusebox_core::policy::{ApprovalPolicy, DecisionPolicy, EffectKind, GuardPolicy, OnError, StepTypePolicy};
use fusebox_core::{Policy, RunLimits};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::Table;

use super::{bad, keys, read_table};
use crate::bundled;
use crate::error::Error;

/// Name of policy files, in the home and in projects.
pub const PROJECT_FILE: &str = "fusebox.toml";

/// Settings that a project's policy may have.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProjectPolicy {
    /// Bundled guards that judge beside those of the policy. Their allow counts as no opinion.
    pub guards: BTreeMap<String, ProjectGuard>,
    /// Step types that need an approval.
    pub step_types: BTreeMap<String, StepTypePolicy>,
    /// Effects that need an approval, and how long one is waited for at the most.
    pub approval: ApprovalPolicy,
    /// The ruling when all guards abstain; counts where it is stricter.
    pub decision: Option<DecisionPolicy>,
    /// Limits and budgets; the tighter ones count.
    pub limits: RunLimits,
}

/// A guard of a project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProjectGuard {
    /// Ruling that counts when the guard fails.
    pub on_error: OnError,
    /// Settings of the guard.
    pub settings: serde_json::Value,
}

impl Default for ProjectGuard {
    fn default() -> Self {
        Self { on_error: OnError::default(), settings: serde_json::Value::Object(serde_json::Map::new()) }
    }
}

/// Name of a project's guard beside those of the policy. `project` counts from 1.
pub(super) fn guard_name(guard: &str, project: usize) -> String {
    if project == 1 { format!("project:{guard}") } else { format!("project-{project}:{guard}") }
}

impl ProjectPolicy {
    /// Parses a project's policy.
    ///
    /// # Errors
    /// When it holds a key that could loosen a policy, or an invalid value.
    pub fn parse(text: &str, name: &str) -> Result<(Self, Table), Error> {
        let table = read_table(text, name)?;
        let loosens = ["executors", "impact", "gateway", "prices", "risk", "run"];
        if let Some(key) = loosens.into_iter().find(|key| table.contains_key(*key)) {
            return Err(bad(
                name,
                format!(
                    "a project's policy only tightens, so {key:?} has no place in it; use it with --policy instead"
                ),
            ));
        }
        let project: Self = match toml::from_str(text) {
            Ok(project) => project,
            Err(error) => {
                keys::check::<Self>(text, name)?;
                return Err(bad(name, error.to_string()));
            }
        };
        project.limits.check()?;
        let lifts = |(_, step_type): &(&String, &StepTypePolicy)| step_type.needs_approval != Some(true);
        if let Some((step_type, _)) = project.step_types.iter().find(lifts) {
            let message =
                format!("a project's policy only tightens: step_types.{step_type}.needs_approval can only be true");
            return Err(bad(name, message));
        }
        if let Some(guard) = project.guards.keys().find(|guard| bundled::component(guard).is_none()) {
            let known: Vec<&str> = bundled::names().collect();
            let message =
                format!("a project may use bundled guards only, and {guard:?} is none of {}", known.join(", "));
            return Err(bad(name, message));
        }
        if project.approval.expires_s == Some(0) {
            return Err(bad(name, "approval.expires_s must be at least 1".to_owned()));
        }
        Ok((project, table))
    }

    /// Tightens a policy. `number` tells this project's guards from those of others.
    pub fn tighten(self, policy: &mut Policy, number: usize) {
        policy.limits = policy.limits.tighten(&self.limits);
        for (guard, ProjectGuard { on_error, settings }) in self.guards {
            let added = GuardPolicy {
                plugin: Some(guard.clone()),
                only_tightens: true,
                on_error,
                settings,
                ..GuardPolicy::default()
            };
            policy.guards.insert(guard_name(&guard, number), added);
        }
        for name in self.step_types.into_keys() {
            policy.step_types.insert(name, StepTypePolicy { needs_approval: Some(true) });
        }
        let effects: BTreeSet<EffectKind> = self.approval.effects;
        policy.approval.effects.extend(effects);
        policy.approval.expires_s = match (policy.approval.expires_s, self.approval.expires_s) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        if let Some(decision) = self.decision
            && decision.when_all_abstain.ruling() > policy.decision.when_all_abstain.ruling()
        {
            policy.decision = decision;
        }
    }
}

#[cfg(test)]
mod tests {
    use fusebox_core::Ruling;
    use fusebox_core::policy::AbstainedRuling;

    use super::*;
    use crate::policy::LoadedPolicy;

    fn tightened(text: &str) -> Policy {
        let mut policy = LoadedPolicy::builtin().unwrap().policy;
        ProjectPolicy::parse(text, "p").unwrap().0.tighten(&mut policy, 1);
        policy
    }

    #[test]
    fn a_project_tightens() {
        let policy = tightened(
            "[limits]\nsteps = 3\n[step_types.read_file]\nneeds_approval = true\n[approval]\neffects = ['read']\n\
             [decision]\nwhen_all_abstain = 'review'\n[guards.protected-paths.settings]\nprotect = ['*.sql']",
        );
        assert_eq!(policy.limits.steps, Some(3));
        assert!(policy.needs_approval("read_file", Some(false)));
        assert!(policy.approval.effects.contains(&EffectKind::Read));
        assert_eq!(policy.decision.when_all_abstain, AbstainedRuling::Review);
        let own = &policy.guards["project:protected-paths"];
        assert!(own.only_tightens && own.plugin.as_deref() == Some("protected-paths"));
        let before = LoadedPolicy::builtin().unwrap().policy;
        assert_eq!(policy.guards["protected-paths"], before.guards["protected-paths"], "the policy's own stays");
    }

    #[test]
    fn nothing_in_it_loosens() {
        for (text, named) in [
            ("[run]\non_denied = 'skip'", "only tightens"),
            ("[executors.run_command]\ngrants = { workspace = true }", "only tightens"),
            ("[gateway]\nretries = 1", "only tightens"),
            ("[step_types.edit_file]\nneeds_approval = false", "can only be true"),
            ("[step_types.edit_file]", "can only be true"),
            ("[guards.protected-paths]\nmode = 'monitor'", "unknown key \"mode\""),
            ("[guards.mine]\n", "bundled"),
            ("[guards.protected-paths]\npath = 'x.wasm'", "unknown key \"path\""),
            ("[approval]\nexpires_s = 0", "expires_s"),
        ] {
            let error = ProjectPolicy::parse(text, "p").unwrap_err().to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
        let loose = tightened("[limits]\nsteps = 1000\n[decision]\nwhen_all_abstain = 'allow'");
        let mut strict = loose.clone();
        strict.decision.when_all_abstain = AbstainedRuling::Deny;
        ProjectPolicy::parse("[decision]\nwhen_all_abstain = 'review'", "p").unwrap().0.tighten(&mut strict, 1);
        assert_eq!(strict.decision.when_all_abstain.ruling(), Ruling::Deny);
    }
}
