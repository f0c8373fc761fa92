//! Limits of a run.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::budget::LimitKind;
use crate::error::Error;
use crate::json::MAX_INTEGER;
use crate::risk_level::RiskLevel;
use crate::show::usd;

/// Source of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LimitSource {
    /// The operator, for this run.
    Operator,
    /// The policy.
    Policy,
    /// The plan, for its own run.
    Plan,
    /// The profile of this predicted risk.
    RiskProfile(RiskLevel),
    /// A source during the run, such as a guard's verdict.
    Run,
}

impl std::fmt::Display for LimitSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Operator => f.write_str("the operator"),
            Self::Policy => f.write_str("the policy"),
            Self::Plan => f.write_str("the plan"),
            Self::RiskProfile(level) => write!(f, "the risk profile {level}"),
            Self::Run => f.write_str("the run so far"),
        }
    }
}

/// Limits of a run. They come from the operator, the policy, the plan and guards, and combine field by field to the
/// tighter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RunLimits {
    /// Model tokens, input and output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Money, in integer micro-USD.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub micro_usd: Option<u64>,
    /// Instructions of plugins, in wasmtime's fuel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    /// Wall time of the whole run, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_us: Option<u64>,
    /// Steps that are carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Most retries of one step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// The only step types that may run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_types: Option<BTreeSet<String>>,
    /// Whether every step needs an approval.
    pub require_approval: bool,
}

impl RunLimits {
    /// Whether no limit is set.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The tighter of two, field by field.
    #[must_use]
    pub fn tighten(&self, other: &Self) -> Self {
        Self {
            tokens: tighter(self.tokens, other.tokens),
            micro_usd: tighter(self.micro_usd, other.micro_usd),
            fuel: tighter(self.fuel, other.fuel),
            time_us: tighter(self.time_us, other.time_us),
            steps: tighter(self.steps, other.steps),
            retries: tighter(self.retries, other.retries),
            step_types: match (&self.step_types, &other.step_types) {
                (Some(one), Some(two)) => Some(one.intersection(two).cloned().collect()),
                (one, two) => one.clone().or_else(|| two.clone()),
            },
            require_approval: self.require_approval || other.require_approval,
        }
    }

    /// The same limits without the budgets that `other` sets itself.
    #[must_use]
    pub fn except_budgets_of(mut self, other: &Self) -> Self {
        self.tokens = self.tokens.filter(|_| other.tokens.is_none());
        self.micro_usd = self.micro_usd.filter(|_| other.micro_usd.is_none());
        self.fuel = self.fuel.filter(|_| other.fuel.is_none());
        self.time_us = self.time_us.filter(|_| other.time_us.is_none());
        self.steps = self.steps.filter(|_| other.steps.is_none());
        self.retries = self.retries.filter(|_| other.retries.is_none());
        self
    }

    /// Every limit that is set, by its name, in words.
    #[must_use]
    pub fn in_words(&self) -> Vec<(LimitKind, String)> {
        let number = |value: Option<u64>| value.map(|value| value.to_string());
        let time = |value: Option<u64>| value.map(|micros| format!("{} s", micros as f64 / 1e6));
        let money = |value: Option<u64>| value.map(usd);
        let types = self.step_types.as_ref().map(|types| types.iter().cloned().collect::<Vec<_>>().join(", "));
        [
            (LimitKind::Tokens, number(self.tokens)),
            (LimitKind::MicroUsd, money(self.micro_usd)),
            (LimitKind::Fuel, number(self.fuel)),
            (LimitKind::TimeUs, time(self.time_us)),
            (LimitKind::Steps, number(self.steps)),
            (LimitKind::Retries, number(self.retries.map(u64::from))),
            (LimitKind::StepTypes, types),
            (LimitKind::RequireApproval, self.require_approval.then(|| "yes".to_owned())),
        ]
        .into_iter()
        .filter_map(|(kind, value)| Some((kind, value?)))
        .collect()
    }

    /// Source of each of these limits, which combine those of `sources`: the first source with exactly this value.
    #[must_use]
    pub fn set_by(&self, sources: &[(LimitSource, &Self)]) -> BTreeMap<LimitKind, LimitSource> {
        let of = |limits: &Self, kind| limits.in_words().into_iter().find(|(other, _)| *other == kind);
        let source = |(kind, value): (LimitKind, String)| {
            let same = |(_, limits): &&(LimitSource, &Self)| of(limits, kind).is_some_and(|(_, other)| other == value);
            // A list of step types can be tighter than that of any single source.
            let (source, _) =
                sources.iter().find(same).or(sources.iter().find(|(_, limits)| of(limits, kind).is_some()))?;
            Some((kind, *source))
        };
        self.in_words().into_iter().filter_map(source).collect()
    }

    /// Whether a step type may run.
    #[must_use]
    pub fn permits(&self, step_type: &str) -> bool {
        self.step_types.as_ref().is_none_or(|permitted| permitted.contains(step_type))
    }

    /// The same limits, each at most 2^53 - 1, the largest exact number of JSON; more is no limit in practice.
    #[must_use]
    pub fn capped(mut self) -> Self {
        for limit in [&mut self.tokens, &mut self.micro_usd, &mut self.fuel, &mut self.time_us, &mut self.steps] {
            *limit = limit.map(|limit| limit.min(MAX_INTEGER));
        }
        self
    }

    /// Refuses budgets of zero: nothing can run under them.
    ///
    /// # Errors
    /// [`Error::BudgetZero`] with the first such budget.
    pub fn check(&self) -> Result<(), Error> {
        let budgets = [
            ("tokens", self.tokens),
            ("micro_usd", self.micro_usd),
            ("fuel", self.fuel),
            ("time_us", self.time_us),
            ("steps", self.steps),
        ];
        match budgets.into_iter().find(|(_, limit)| *limit == Some(0)) {
            Some((budget, _)) => Err(Error::BudgetZero { budget }),
            None => Ok(()),
        }
    }
}

fn tighter<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_limits() -> impl Strategy<Value = RunLimits> {
        let amount = || prop::option::of(0..5u64);
        let types = prop::option::of(prop::collection::btree_set("[abc]", 0..3));
        (amount(), amount(), amount(), amount(), types, any::<bool>()).prop_map(
            |(tokens, micro_usd, fuel, steps, step_types, require_approval)| RunLimits {
                tokens,
                micro_usd,
                fuel,
                steps,
                step_types,
                require_approval,
                ..RunLimits::default()
            },
        )
    }

    #[test]
    fn it_is_known_who_set_a_limit() {
        let limits = |tokens, steps| RunLimits { tokens, steps, ..RunLimits::default() };
        let (operator, policy, plan) = (limits(Some(10), None), limits(Some(5), Some(9)), limits(None, Some(3)));
        let all = operator.tighten(&policy).tighten(&plan);
        let by = all.set_by(&[
            (LimitSource::Operator, &operator),
            (LimitSource::Policy, &policy),
            (LimitSource::Plan, &plan),
        ]);
        let expected = [(LimitKind::Tokens, LimitSource::Policy), (LimitKind::Steps, LimitSource::Plan)];
        assert_eq!(by, expected.into());
    }

    proptest! {
        #[test]
        fn tightening_is_a_meet(a in any_limits(), b in any_limits(), c in any_limits()) {
            prop_assert_eq!(a.tighten(&b), b.tighten(&a));
            prop_assert_eq!(a.tighten(&b).tighten(&c), a.tighten(&b.tighten(&c)));
            prop_assert_eq!(a.tighten(&a), a.clone());
            prop_assert_eq!(a.tighten(&RunLimits::default()), a.clone());
            let both = a.tighten(&b);
            for step_type in ["a", "b", "c"] {
                prop_assert_eq!(both.permits(step_type), a.permits(step_type) && b.permits(step_type));
            }
        }
    }
}
