//! Proposals of thresholds from outcomes of runs. Nothing is applied: a person writes them into the policy, or does
//! not.

use std::collections::BTreeMap;

use fusebox_core::risk::{Features, RuleName, Thresholds};
use schemars::JsonSchema;
use serde::Serialize;

use crate::Outcome;

/// Runs of one agent type from which on something is proposed.
pub const LEAST_RUNS: usize = 30;
/// Runs that went badly, and that went well, from which on something is proposed.
pub const LEAST_EITHER: usize = 5;
/// Least gain in separation over the current threshold for a proposal: a difference of shares, in [0, 1].
const LEAST_GAIN: f64 = 0.05;

/// Proposed thresholds for one agent type.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Proposal {
    /// The agent type; none for agents that name none.
    pub agent_type: Option<String>,
    /// Its runs, those that went badly, and those that went well.
    pub runs: usize,
    /// Those that went badly.
    pub went_badly: usize,
    /// By threshold; empty when there are too few runs.
    pub thresholds: Vec<ProposedThreshold>,
}

/// Proposed value of one HIGH threshold.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ProposedThreshold {
    /// Name of the threshold.
    pub threshold: RuleName,
    /// Separation by the current value.
    pub now: Separation,
    /// Best separation, where the gain is large enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proposed: Option<Separation>,
}

/// Quality of separation by a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Separation {
    /// The most that does not count as HIGH.
    pub limit: u64,
    /// The share of runs that went badly and are beyond it, in [0, 1].
    pub caught: f64,
    /// The share of runs that went well and are beyond it, in [0, 1].
    pub false_alarms: f64,
}

impl Separation {
    /// Gain in separation over chance (Youden 1950, "Index for rating diagnostic tests"), in [-1, 1].
    #[must_use]
    pub fn index(&self) -> f64 {
        self.caught - self.false_alarms
    }
}

/// The value of a feature.
type Value = fn(&Features) -> u64;

/// Proposes HIGH thresholds for each agent type. `in_force` gives those of an agent type now.
#[must_use]
pub fn propose(outcomes: &[Outcome], in_force: &dyn Fn(Option<&str>) -> Thresholds) -> Vec<Proposal> {
    let mut by_type: BTreeMap<Option<&str>, Vec<(&Features, bool)>> = BTreeMap::new();
    for run in outcomes {
        let Some(badly) = run.went_badly() else { continue };
        let entry = (&run.assessment.features, badly);
        by_type.entry(run.agent.kind.as_deref()).or_default().push(entry);
    }
    by_type
        .into_iter()
        .map(|(agent_type, runs)| {
            let went_badly = runs.iter().filter(|(_, badly)| *badly).count();
            let either = went_badly.min(runs.len() - went_badly);
            let enough = runs.len() >= LEAST_RUNS && either >= LEAST_EITHER;
            let thresholds = if enough { of_type(&runs, &in_force(agent_type)) } else { Vec::new() };
            Proposal { agent_type: agent_type.map(ToOwned::to_owned), runs: runs.len(), went_badly, thresholds }
        })
        .collect()
}

fn of_type(runs: &[(&Features, bool)], in_force: &Thresholds) -> Vec<ProposedThreshold> {
    let rules: [(RuleName, u64, u64, Value); 3] = [
        (RuleName::NumSteps, in_force.high.num_steps, in_force.medium.num_steps, |features| features.num_steps),
        (RuleName::EstTokens, in_force.high.est_tokens, in_force.medium.est_tokens, |features| features.est_tokens),
        (
            RuleName::SequentialToolCalls,
            in_force.high.sequential_tool_calls,
            in_force.medium.sequential_tool_calls,
            |features| features.sequential_tool_calls,
        ),
    ];
    rules
        .into_iter()
        .map(|(threshold, high, medium, of)| {
            let values: Vec<(u64, bool)> = runs.iter().map(|(features, badly)| (of(features), *badly)).collect();
            let now = separation(&values, high);
            // A HIGH threshold below the MEDIUM one makes no sense.
            let limits = values.iter().map(|(value, _)| *value).filter(|value| *value >= medium);
            let best = limits
                .map(|limit| separation(&values, limit))
                .max_by(|one, other| one.index().total_cmp(&other.index()).then(one.limit.cmp(&other.limit)));
            let proposed = best.filter(|best| best.index() >= now.index() + LEAST_GAIN);
            ProposedThreshold { threshold, now, proposed }
        })
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts of runs are below 2^53")]
fn separation(values: &[(u64, bool)], limit: u64) -> Separation {
    let share = |wanted: bool| {
        let all = values.iter().filter(|(_, badly)| *badly == wanted).count();
        let beyond = values.iter().filter(|(value, badly)| *badly == wanted && *value > limit).count();
        beyond as f64 / all as f64
    };
    Separation { limit, caught: share(true), false_alarms: share(false) }
}

#[cfg(test)]
mod tests {
    use fusebox_core::Agent;
    use fusebox_core::risk::{Assessment, RiskLevel};

    use super::*;
    use crate::OutcomeKind;

    fn run(agent_type: &str, num_steps: u64, outcome: OutcomeKind) -> Outcome {
        let features = Features {
            num_steps,
            num_tools: 1,
            tool_diversity: 1,
            has_high_risk_tool: false,
            est_tokens: 10,
            max_retries: 0,
            sequential_tool_calls: 1,
            plan_depth: 1,
            time_limit_sec: 60,
        };
        Outcome {
            run: "r".into(),
            ended_us: 0,
            agent: Agent { id: "a".into(), kind: Some(agent_type.into()), tier: None },
            assessment: Assessment {
                features,
                estimator: "declared".into(),
                level: RiskLevel::Low,
                rule_level: RiskLevel::Low,
                rules: Vec::new(),
                prediction: None,
                failure: None,
                challenger: None,
                review: None,
            },
            actual: None,
            by_profile: false,
            outcome,
            overruled: None,
        }
    }

    #[test]
    fn what_separates_better_is_proposed_by_agent_type() {
        let mut outcomes = Vec::new();
        for steps in 1..=40 {
            let outcome = if steps > 20 { OutcomeKind::Failed } else { OutcomeKind::Completed };
            outcomes.push(run("coding", steps, outcome));
        }
        outcomes.push(run("writing", 50, OutcomeKind::Failed));
        let proposals = propose(&outcomes, &|_| Thresholds::default());
        assert_eq!(proposals.len(), 2);
        let steps = &proposals[0].thresholds[0];
        assert_eq!((steps.now.limit, steps.proposed.map(|proposed| proposed.limit)), (12, Some(20)));
        assert_eq!((steps.now.caught, steps.now.false_alarms), (1.0, 0.4));
        assert_eq!(proposals[0].thresholds[1].proposed, None, "tokens say nothing here");
        assert!(proposals[1].thresholds.is_empty(), "one run is too few");
    }
}
