//! Kinds of budgets and limits.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Kind of a budget.
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
    /// Number of steps carried out.
    Steps,
}

impl BudgetKind {
    /// All kinds of budgets.
    pub const ALL: [Self; 5] = [Self::Tokens, Self::MicroUsd, Self::Fuel, Self::TimeUs, Self::Steps];

    /// Name of the kind in messages and files.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Kind of the limit that sets this budget.
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

/// Kind of a limit of a run.
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
    /// Money, in micro-USD.
    #[strum(serialize = "usd")]
    MicroUsd,
    /// Instructions of plugins.
    Fuel,
    /// Wall time.
    #[strum(serialize = "time")]
    TimeUs,
    /// Number of steps carried out.
    Steps,
    /// Retries of each step.
    Retries,
    /// The step types that may run.
    StepTypes,
    /// An approval of every step.
    RequireApproval,
}
