//! Events of the effects of a step.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::parts::{AllowedBy, Judgement, ModelUse};
use crate::{Amounts, BudgetKind, Digest, Effect, Failure, StepId};

/// An effect is about to happen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EffectIntended {
    /// Id of the step.
    pub step: StepId,
    /// Number of the host call in the step, counted from 0.
    pub call: u32,
    /// The effect, as the host derived it.
    pub effect: Effect,
    /// What allows the effect: an effect approved with the step, or a judgement of its own.
    pub allowed_by: AllowedBy,
    /// The judgement, where nothing that was approved covers the effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judgement: Option<Judgement>,
    /// A remark for people on how the effect happens, such as missing confinement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Amounts that the ledger sets aside.
    #[serde(default, skip_serializing_if = "Amounts::is_empty")]
    pub reserved: Amounts,
    /// Answers to the executor since its last effect, and its request now. Kept as a blob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Digest>,
}

/// An effect happened, or failed to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EffectPerformed {
    /// Id of the step.
    pub step: StepId,
    /// Number of the host call in the step, counted from 0.
    pub call: u32,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Amounts that the effect used.
    #[serde(default, skip_serializing_if = "Amounts::is_empty")]
    pub spent: Amounts,
    /// Model, tokens and price of a model call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelUse>,
    /// Answer to the executor. Kept as a blob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Digest>,
    /// The effect that takes this one back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inverse: Option<Box<Effect>>,
}

/// An effect that was intended did not happen before its process ended, or what it was answered is lost and it can be
/// asked for again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EffectNotPerformed {
    /// Id of the step.
    pub step: StepId,
    /// Number of the host call in the step, counted from 0.
    pub call: u32,
    /// Amounts that the effect may have used.
    #[serde(default, skip_serializing_if = "Amounts::is_empty")]
    pub spent: Amounts,
}

/// An effect was asked for and refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EffectRefused {
    /// Id of the step.
    pub step: StepId,
    /// The effect, as the host derived it.
    pub effect: Effect,
    /// Why, in words.
    pub reason: String,
    /// The judgement, where no approved effect covers the effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judgement: Option<Judgement>,
    /// The budget that could not cover it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetKind>,
}
