//! Setup of a run.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::gate::GateSetup;
use crate::{Digest, Error, Plan, Policy, RunId, RunLimits, json};

/// Setup of a run. Together with the run's events it determines the run's state.
#[derive(Debug, Clone)]
pub struct RunSetup {
    /// Id of the run.
    pub run: RunId,
    /// Tenant that owns the run.
    pub tenant: String,
    /// Plan of the run.
    pub plan: Arc<Plan>,
    /// Policy in force.
    pub policy: Arc<Policy>,
    /// Digest of the policy.
    pub policy_digest: Digest,
    /// Digests of all plugins in use, by name.
    pub plugins: BTreeMap<String, Digest>,
    /// Judges and rules of the gate.
    pub gate: Arc<GateSetup>,
    /// Executors' claims about their step types: whether each step needs an approval.
    pub claimed_approval: BTreeMap<String, bool>,
    /// Combined limits of the operator, the policy and the plan.
    pub limits: RunLimits,
    /// Limits that the operator asked for.
    pub operator: RunLimits,
    /// Identity of the workspace: its real path and the folder there.
    pub place: Digest,
}

/// The stored part of a run's setup: enough to fold its events without its plugins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredSetup {
    /// Judges and rules of the gate.
    pub gate: GateSetup,
    /// Executors' claims about their step types: whether each step needs an approval.
    pub claimed_approval: BTreeMap<String, bool>,
    /// Limits that the operator asked for.
    #[serde(default, skip_serializing_if = "RunLimits::is_default")]
    pub operator: RunLimits,
    /// Path of the workspace on the run's machine.
    pub workspace: String,
    /// Identity of the workspace.
    pub place: Digest,
    /// Folders whose own policies tighten the operator's.
    pub projects: Vec<String>,
}

/// Largest stored setup, in bytes.
const MAX_SETUP_BYTES: usize = 4 * 1024 * 1024;

impl StoredSetup {
    /// The setup as canonical JSON, which is stored.
    #[must_use]
    pub fn canonical(&self) -> String {
        json::canonical(self)
    }

    /// A setup from its [`canonical`](Self::canonical) form.
    ///
    /// # Errors
    /// When it is not a canonical setup.
    pub fn from_canonical(bytes: &[u8]) -> Result<Self, Error> {
        json::parse_as("the stored setup", bytes, MAX_SETUP_BYTES)
    }
}
