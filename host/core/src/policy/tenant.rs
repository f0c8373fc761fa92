//! Budgets of tenants.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::RunLimits;

/// Rules for a tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TenantPolicy {
    /// Budgets of all runs of the tenant together, for all time. A run reserves its share before it uses it.
    pub limits: Budgets,
    /// Most bytes of the tenant's events and blobs in the log. Beyond that, none of its runs begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota_bytes: Option<u64>,
    /// Time after the end of the tenant's runs at which their blobs are erased, in seconds, instead of
    /// `audit.erase_after_s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub erase_after_s: Option<u64>,
}

/// Hard limits of a tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Budgets {
    /// Model tokens, input and output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Money, in integer micro-USD.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub micro_usd: Option<u64>,
    /// Instructions of plugins, in wasmtime's fuel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    /// Wall time of runs, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_us: Option<u64>,
    /// Steps that are carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
}

impl Budgets {
    /// These budgets as limits of a run.
    #[must_use]
    pub fn as_limits(&self) -> RunLimits {
        let Self { tokens, micro_usd, fuel, time_us, steps } = *self;
        RunLimits { tokens, micro_usd, fuel, time_us, steps, ..RunLimits::default() }
    }
}
