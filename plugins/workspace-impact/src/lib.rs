//! Impact model `workspace-impact`: how much an action changes, judged by its effects alone.
//!
//! A first simple form: each kind of effect has a fixed weight, the strongest one counts in full and every further
//! change adds a little. Refraining has no impact.

use fusebox_sdk::prelude::*;

/// Impact that each further change adds to the strongest one.
const PER_FURTHER_CHANGE: f64 = 0.01;
/// The most that further changes add.
const MOST_FOR_FURTHER_CHANGES: f64 = 0.20;

struct WorkspaceImpact;

impl ImpactModel for WorkspaceImpact {
    type Settings = NoSettings;

    fn about() -> About {
        About::new("workspace-impact", "0.1.0", "Estimates how much an action changes, by the kind of its effects.")
    }

    fn estimate(alternative: &Alternative, _: &NoSettings) -> Estimate {
        match alternative {
            Alternative::Refrain(_) => Estimate::strongest(1.0, Vec::new()),
            Alternative::Act(act) => {
                let mut factors: Vec<Factor> = act.effects.iter().filter_map(weigh).collect();
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
fn weigh(effect: &Effect) -> Option<Factor> {
    let factor = match effect {
        Effect::Read(_) => return None,
        Effect::Write(write) if write.before.is_none() => {
            Factor::new("creates", 0.06, format!("creates {}", write.path))
        }
        Effect::Write(write) => Factor::new("overwrites", 0.15, format!("changes {}", write.path)),
        Effect::Remove(remove) => Factor::new("removes", 0.35, format!("removes {}", remove.path)),
        Effect::Run(run) if run.shell_text.is_some() => {
            Factor::new("shell", 0.40, "runs a shell line, which can do several things at once")
        }
        Effect::Run(_) => Factor::new("runs", 0.30, "runs a program, which can do what its user can"),
        Effect::Prompt(_) => Factor::new("prompts", 0.05, "sends text to a language model"),
        Effect::Net(net) => Factor::new("network", 0.40, format!("talks to {}", net.host)),
        Effect::Tool(tool) => Factor::new("tool", 0.40, format!("calls {} of {}", tool.name, tool.server)),
        Effect::Other(other) => Factor::new("other", 0.50, format!("does something unknown: {}", other.kind)),
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
        WorkspaceImpact::estimate(&Alternative::Act(ActAlternative { action, effects }), &NoSettings {}).impact
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
    fn a_wide_claim_adds_caution() {
        assert!(act(vec![], Scope::Global) >= 0.4);
    }
}
