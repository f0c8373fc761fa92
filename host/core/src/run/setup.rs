//! What a run is started with.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::gate::GateSetup;
use crate::{Digest, Error, Plan, Policy, RunId, RunLimits, json};

/// What a run is started with. Together with its events it determines its state.
#[derive(Debug, Clone)]
pub struct RunSetup {
    /// The run.
    pub run: RunId,
    /// On whose account it goes.
    pub tenant: String,
    /// The plan.
    pub plan: Arc<Plan>,
    /// The policy.
    pub policy: Arc<Policy>,
    /// Digest of the policy.
    pub policy_digest: Digest,
    /// Digests of all plugins in use, by name.
    pub plugins: BTreeMap<String, Digest>,
    /// Who judges.
    pub gate: Arc<GateSetup>,
    /// What executors say of the step types that they serve: whether each step needs an approval.
    pub claimed_approval: BTreeMap<String, bool>,
    /// What the operator, the policy and the plan come to.
    pub limits: RunLimits,
    /// What the operator asked for.
    pub operator: RunLimits,
}

/// What a run is judged by and where it works, as it is kept: enough to fold its events without its plugins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredSetup {
    /// Who judges.
    pub gate: GateSetup,
    /// What executors say of the step types that they serve: whether each step needs an approval.
    pub claimed_approval: BTreeMap<String, bool>,
    /// What the operator asked for.
    #[serde(default, skip_serializing_if = "RunLimits::is_default")]
    pub operator: RunLimits,
    /// Where it works, on the machine that it runs on.
    pub workspace: String,
    /// Folders whose own policies tighten the operator's.
    pub projects: Vec<String>,
}

/// A stored setup is small.
const MAX_SETUP_BYTES: usize = 4 * 1024 * 1024;

impl StoredSetup {
    /// The setup as canonical JSON: what is kept of it.
    #[must_use]
    pub fn canonical(&self) -> String {
        json::canonical(self)
    }

    /// A setup from its [`canonical`](Self::canonical) form.
    ///
    /// # Errors
    /// When it is something else.
    pub fn from_canonical(bytes: &[u8]) -> Result<Self, Error> {
        json::parse_as("the stored setup", bytes, MAX_SETUP_BYTES)
    }
}
