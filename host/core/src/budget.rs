//! Kinds of budgets and limits.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is budgeted.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    strum::Display,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum BudgetKind {
    /// Model tokens.
    Tokens,
    /// Money, in micro-USD.
    MicroUsd,
    /// Instructions of plugins.
    Fuel,
    /// Wall time, in microseconds.
    TimeUs,
    /// Steps carried out.
    Steps,
}

impl BudgetKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Tokens, Self::MicroUsd, Self::Fuel, Self::TimeUs, Self::Steps];

    /// Its name in messages and files.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The limit that sets it.
    #[must_use]
    pub fn limit_kind(self) -> LimitKind {
        match self {
            Self::Tokens => LimitKind::Tokens,
            Self::MicroUsd => LimitKind::MicroUsd,
            Self::Fuel => LimitKind::Fuel,
            Self::TimeUs => LimitKind::TimeUs,
            Self::Steps => LimitKind::Steps,
        }
    }
}

/// One limit of a run.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
    strum::Display,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum LimitKind {
    /// Model tokens.
    Tokens,
    /// Money.
    #[strum(serialize = "usd")]
    MicroUsd,
    /// Instructions of plugins.
    Fuel,
    /// Wall time.
    #[strum(serialize = "time")]
    TimeUs,
    /// Steps carried out.
    Steps,
    /// Retries of one step.
    Retries,
    /// The step types that may run.
    StepTypes,
    /// An approval of every step.
    RequireApproval,
}
