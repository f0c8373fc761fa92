//! What events are made of.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Decider;
use crate::Decision;

/// What one plugin invocation used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// Fuel for setting up the instance. Comparable on one machine only.
    pub instantiate_fuel: u64,
    /// Fuel of the call.
    pub call_fuel: u64,
    /// Most memory, in bytes.
    pub peak_memory: u64,
    /// Calls to the host.
    pub host_calls: u64,
    /// Wall time, in microseconds.
    pub duration_us: u64,
}

impl Usage {
    /// Adds what another invocation used.
    pub fn add(&mut self, other: &Self) {
        self.instantiate_fuel = self.instantiate_fuel.saturating_add(other.instantiate_fuel);
        self.call_fuel = self.call_fuel.saturating_add(other.call_fuel);
        self.peak_memory = self.peak_memory.max(other.peak_memory);
        self.host_calls = self.host_calls.saturating_add(other.host_calls);
        self.duration_us = self.duration_us.saturating_add(other.duration_us);
    }

    /// Fuel for instance and call together: what a budget is charged.
    #[must_use]
    pub fn fuel(&self) -> u64 {
        self.instantiate_fuel.saturating_add(self.call_fuel)
    }
}

/// The model call that a prompt effect was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelUse {
    /// The endpoint that answered, or was asked last.
    pub endpoint: String,
    /// What it calls the model.
    pub model: String,
    /// Requests that were sent, retries and repairs included.
    pub exchanges: u32,
    /// Whether all that was used has a price; otherwise the cost is not known.
    pub priced: bool,
    /// Whether some of what was used is an upper bound, because the endpoint did not say it.
    pub estimated: bool,
}

/// What allowed an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AllowedBy {
    /// The effect at this place among those that were allowed or approved with the step.
    Covered(u32),
    /// A judgement of this effect alone, then and there.
    Judged,
}

/// How one effect was judged alone, while its step was carried out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Judgement {
    /// What the gate decided. "Review" means no at that point.
    pub decision: Decision,
    /// What all who judged used.
    pub usage: Usage,
}

/// Why a step was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// The gate denied it.
    Denied,
    /// A person rejected it.
    Rejected,
    /// It needed an approval, and no answer came in time.
    Expired,
    /// A guard failed to judge it, which the policy takes for a denial.
    GuardFailed,
}

/// How a try of a step ended that did not complete.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::IntoStaticStr, strum::Display,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum StepEnd {
    /// The plugin reported a failure.
    Failure,
    /// The plugin used up its fuel.
    OutOfFuel,
    /// The plugin used up its wall time.
    Deadline,
    /// The plugin wanted more memory or table elements than it may have.
    MemoryLimit,
    /// The plugin passed more bytes to the host than it may.
    OutputTooLarge,
    /// The plugin called the host more often than it may.
    HostCallLimit,
    /// An effect was refused.
    Denied,
    /// The plugin trapped.
    Trapped,
    /// The plugin's answer makes no sense.
    BadAnswer,
    /// The plugin does not fit this host.
    Incompatible,
    /// The plugin asked for something else than its tape says.
    Diverged,
    /// The host could not go on.
    HostFailed,
    /// The tenant's budget is used up.
    Budget,
    /// The process of the run ended in the middle of the step.
    ProcessEnded,
    /// The run was killed.
    Killed,
}

/// What stopped a step that did not complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StoppedBy {
    /// These denied or rejected it.
    Deciders(Vec<Decider>),
    /// It ended so.
    End(StepEnd),
}

/// How a run ended, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunEnd {
    /// All steps were carried out, or skipped where policy says so.
    Completed,
    /// A step was denied, rejected, or nobody approved it.
    Denied,
    /// A guard failed to judge a step or the plan, which the policy takes for a denial.
    GuardFailed,
    /// A step failed.
    StepFailed,
    /// A budget is used up.
    Budget,
    /// A person killed it.
    Killed,
}

/// When a kill was asked for, and when everything had stopped. Times are microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KillTimes {
    /// When it was asked for.
    pub requested_us: u64,
    /// When the guest, its processes and its model calls had ended.
    pub stopped_us: u64,
    /// The difference.
    pub took_us: u64,
}

impl KillTimes {
    /// Both times with their difference.
    #[must_use]
    pub fn new(requested_us: u64, stopped_us: u64) -> Self {
        Self { requested_us, stopped_us, took_us: stopped_us.saturating_sub(requested_us) }
    }
}

/// An approver's signature over an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Signed {
    /// Name of the approver's key.
    pub key: String,
    /// The ed25519 signature, in hexadecimal digits (RFC 8032); of an SSH key `sshsig:` and, in base64, the signature in the
    /// namespace `fusebox-approval` (OpenSSH, PROTOCOL.sshsig).
    pub signature: String,
}
