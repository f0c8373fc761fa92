//! Rules for approvals.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Effect;

/// Rules for a step type.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StepTypePolicy {
    /// Whether each step needs an approval. Only `false` overrides an executor that asks for approvals; a step type
    /// that policy does not list always needs one.
    pub needs_approval: Option<bool>,
}

/// Rules for approvals, and the time to wait for one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ApprovalPolicy {
    /// Kinds of effects that need an approval for every step type, such as `remove` or `net`.
    pub effects: BTreeSet<EffectKind>,
    /// Time to wait for a person, in seconds; afterwards the answer is no. Without it, as long as the run may take.
    #[schemars(range(min = 1))]
    pub expires_s: Option<u32>,
    /// Proof that an answer needs.
    pub who: ApprovalProof,
}

/// Proof that an approval comes from a person.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalProof {
    /// A terminal, or an approver's key.
    #[default]
    Terminal,
    /// An approver's key: programs of the operator's own account can open a terminal, and have no key that they cannot
    /// read.
    Key,
}

/// The kinds of effects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "named after the effects")]
pub enum EffectKind {
    Read,
    Write,
    Remove,
    Run,
    Prompt,
    Net,
    Tool,
    Other,
}

impl EffectKind {
    /// The kind of an effect.
    #[must_use]
    pub fn of(effect: &Effect) -> Self {
        match effect {
            Effect::Read { .. } => Self::Read,
            Effect::Write { .. } => Self::Write,
            Effect::Remove { .. } => Self::Remove,
            Effect::Run { .. } => Self::Run,
            Effect::Prompt { .. } => Self::Prompt,
            Effect::Net { .. } => Self::Net,
            Effect::Tool { .. } => Self::Tool,
            Effect::Other { .. } => Self::Other,
        }
    }
}

impl ApprovalPolicy {
    /// The first effect that needs an approval for its kind.
    #[must_use]
    pub fn asks_for<'a>(&self, effects: &'a [Effect]) -> Option<&'a Effect> {
        effects.iter().find(|effect| self.effects.contains(&EffectKind::of(effect)))
    }
}
