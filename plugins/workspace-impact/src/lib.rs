//! Impact model `workspace-impact`: how much an action changes, judged by its effects alone.
//!
//! Each kind of effect has a weight, which the settings can change; the strongest one counts in full and every further change
//! adds a little. Refraining has no impact.

use fusebox_sdk::prelude::*;

/// Impact that each further change adds to the strongest one.
const PER_FURTHER_CHANGE: f64 = 0.01;
/// The most that further changes add.
const MOST_FOR_FURTHER_CHANGES: f64 = 0.20;

struct WorkspaceImpact;

/// Weights of the kinds of effects, each from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// A file is created.
    creates: f64,
    /// A file is replaced.
    overwrites: f64,
    /// A file is removed.
    removes: f64,
    /// A line is handed to a shell.
    shell: f64,
    /// A program is started.
    runs: f64,
    /// A prompt is sent to a language model.
    prompts: f64,
    /// A request is made over the network.
    network: f64,
    /// A tool of a tool server is called.
    tool: f64,
    /// Something else happens.
    other: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            creates: 0.06,
            overwrites: 0.15,
            removes: 0.35,
            shell: 0.40,
            runs: 0.30,
            prompts: 0.05,
            network: 0.40,
            tool: 0.40,
            other: 0.50,
        }
    }
}

impl Settings {
    fn named(&self) -> [(&'static str, f64); 9] {
        [
            ("creates", self.creates),
            ("overwrites", self.overwrites),
            ("removes", self.removes),
            ("shell", self.shell),
            ("runs", self.runs),
            ("prompts", self.prompts),
            ("network", self.network),
            ("tool", self.tool),
            ("other", self.other),
        ]
    }
}

impl ImpactModel for WorkspaceImpact {
    type Settings = Settings;

    fn about() -> About {
        About::new("workspace-impact", "0.1.0", "Estimates how much an action changes, by the kind of its effects.")
    }

    fn check_settings(settings: &Settings) -> Vec<Finding> {
        let is_wrong = |weight: f64| !(0.0..=1.0).contains(&weight);
        let wrong = settings.named().into_iter().filter(|(_, weight)| is_wrong(*weight));
        wrong
            .map(|(name, weight)| Finding::error("weight-invalid", format!("{name} is {weight}; give 0 to 1")))
            .collect()
    }

    fn estimate(alternative: &Alternative, settings: &Settings) -> Estimate {
        match alternative {
            Alternative::Refrain(_) => Estimate::strongest(1.0, Vec::new()),
            Alternative::Act(act) => {
                let mut factors: Vec<Factor> =
                    act.effects.iter().filter_map(|effect| weigh(effect, settings)).collect();
                let changes = factors.len();
                factors.extend(widen(act.action.scope));
                factors.sort_by(|one, other| other.contribution.total_cmp(&one.contribution));
                factors.truncate(16);
                let mut estimate = Estimate::strongest(0.7, factors);
                let further = changes.saturating_sub(1) as f64 * PER_FURTHER_CHANGE;
                estimate.impact = (estimate.impact + further.min(MOST_FOR_FURTHER_CHANGES)).min(1.0);
                estimate
            }
        }
    }
}

/// The weight of one effect; none for one that changes nothing.
fn weigh(effect: &Effect, weights: &Settings) -> Option<Factor> {
    let factor = match effect {
        Effect::Read(_) => return None,
        Effect::Write(write) if write.before.is_none() => {
            Factor::new("creates", weights.creates, format!("creates {}", write.path))
        }
        Effect::Write(write) => Factor::new("overwrites", weights.overwrites, format!("changes {}", write.path)),
        Effect::Remove(remove) => Factor::new("removes", weights.removes, format!("removes {}", remove.path)),
        Effect::Run(run) if run.shell_text.is_some() => {
            Factor::new("shell", weights.shell, "runs a shell line, which can do several things at once")
        }
        Effect::Run(_) => Factor::new("runs", weights.runs, "runs a program, which can do what its user can"),
        Effect::Prompt(_) => Factor::new("prompts", weights.prompts, "sends text to a language model"),
        Effect::Net(net) => Factor::new("network", weights.network, format!("talks to {}", net.host)),
        Effect::Tool(tool) => Factor::new("tool", weights.tool, format!("calls {} of {}", tool.name, tool.server)),
        Effect::Other(other) => Factor::new("other", weights.other, format!("does something unknown: {}", other.kind)),
    };
    Some(factor)
}

/// A claim of wide reach adds caution; a narrow one takes none away.
fn widen(scope: Scope) -> Option<Factor> {
    match scope {
        Scope::Workspace => None,
        Scope::User => Some(Factor::new("scope", 0.20, "claims to reach the user")),
        Scope::Cohort => Some(Factor::new("scope", 0.40, "claims to reach a group of people")),
        Scope::Global => Some(Factor::new("scope", 0.60, "claims to reach everybody")),
    }
}

fusebox_sdk::export_impact_model!(WorkspaceImpact);

#[cfg(test)]
mod tests {
    use fusebox_sdk::bindings::impact_world::exports::fusebox::plugin::impact::ActAlternative;
    use fusebox_sdk::{Origin, Payload};

    use super::*;

    fn act(effects: Vec<Effect>, scope: Scope) -> f64 {
        let action = Action {
            step_type: "test".into(),
            input: "{}".into(),
            description: String::new(),
            scope,
            origin: Origin::Plan,
        };
        WorkspaceImpact::estimate(&Alternative::Act(ActAlternative { action, effects }), &Settings::default()).impact
    }

    fn create(path: &str) -> Effect {
        Effect::write(path, Payload { handle: 1, size: 0, sha256: String::new() })
    }

    #[test]
    fn reading_is_nothing_and_removing_is_more_than_creating() {
        assert_eq!(act(vec![Effect::read("a")], Scope::Workspace), 0.0);
        assert!(act(vec![Effect::remove("a")], Scope::Workspace) > act(vec![create("a")], Scope::Workspace));
    }

    #[test]
    fn any_number_of_effects_stays_in_range() {
        let impact = act((0..1000).map(|n| create(&n.to_string())).collect(), Scope::Global);
        assert!((0.0..=1.0).contains(&impact), "{impact}");
    }

    #[test]
    fn weights_are_of_the_policy_and_in_range() {
        let weights = Settings { shell: 0.1, ..Settings::default() };
        assert_eq!((weights.shell, weights.runs), (0.1, 0.30));
        assert!(WorkspaceImpact::check_settings(&weights).is_empty());
        for wrong in [1.5, -0.1, f64::NAN] {
            assert_eq!(WorkspaceImpact::check_settings(&Settings { tool: wrong, ..weights }).len(), 1);
        }
    }

    #[test]
    fn a_wide_claim_adds_caution() {
        assert!(act(vec![], Scope::Global) >= 0.4);
    }
}
