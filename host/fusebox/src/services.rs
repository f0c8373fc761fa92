//! Shared services of all stages of a step, made once by the builder.

use std::path::PathBuf;
use std::sync::Arc;

use fusebox_core::{Digest, Plan, Policy};
use fusebox_effects::Confinement;
use fusebox_effects::gateway::Gateway;
use fusebox_sandbox::{Kill, Sandbox};
use fusebox_store::Store;

use crate::admission::kill_switch::SwitchCache;
use crate::admission::throttle::Throttle;
use crate::audit::Audit;
use crate::error::Error;
use crate::gate::effects::ExecutionEnvironment;
use crate::home::Home;
use crate::log::side_chain::CheckChains;
use crate::plugins::registry::Registry;
use crate::prediction::Predictor;
use crate::redaction::Redactor;

/// Shared services of all stages of a step. They never change once the host is built.
pub struct Services {
    pub sandbox: Sandbox,
    /// The flag of calls that are never killed: checks, and judging a step that is added. Their limits are tight.
    pub never_killed: Kill,
    pub registry: Registry,
    /// The risk predictor; `None` unless the policy enables one.
    pub predictor: Option<Predictor>,
    pub policy: Arc<Policy>,
    pub policy_digest: Digest,
    /// The model gateway; `None` unless the policy or a cassette names models.
    pub gateway: Option<Gateway>,
    pub store: Arc<dyn Store>,
    /// Environment of this host's processes.
    pub execution_environment: ExecutionEnvironment,
    /// The same for actions that others carry out.
    pub external_environment: ExecutionEnvironment,
    pub confinement: Arc<Confinement>,
    pub home: Home,
    /// Folders whose own policies tighten the operator's.
    pub projects: Vec<PathBuf>,
    /// Guards that keep secrets out of the log.
    pub redactor: Option<Arc<Redactor>>,
    pub audit: Audit,
    pub explanations: Explanations,
    /// Breakers and rate limits.
    pub throttle: Throttle,
    /// Kill switches that are set.
    pub switches: SwitchCache,
    pub checks: RecordChecks,
    /// The chains of the log that hold the decisions of checks.
    pub check_chains: CheckChains,
}

impl Services {
    /// Checks a plan against policy and plugins.
    ///
    /// # Errors
    /// When a step has an unknown type, an input that does not fit it, or needs a model and there is none.
    pub fn check_plan(&self, plan: &Plan) -> Result<(), Error> {
        plan.steps.iter().try_for_each(|step| {
            self.registry.check_input(step.id.as_str(), &step.step_type, &step.input)?;
            match self.registry.executor(&step.step_type) {
                Some((_, served)) if served.grants.model && self.gateway.is_none() => {
                    Err(Error::NoModel { step: step.id.to_string(), step_type: step.step_type.clone() })
                }
                _ => Ok(()),
            }
        })
    }
}

/// Whether runs tell explanations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Explanations {
    /// Checks are not recorded.
    #[default]
    Off,
    /// Each as soon as it is due.
    Each,
}

/// A notice for the operator about the setup of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A project's policy does not count, because the operator has not trusted it.
    UntrustedPolicy {
        /// Path of the policy file.
        file: PathBuf,
    },
}

impl std::fmt::Display for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self::UntrustedPolicy { file } = self;
        let folder = file.parent().unwrap_or(file).display();
        let file = file.display();
        write!(f, "the policy {file} does not count: it is not trusted. Read it, then run `fusebox trust {folder}`")
    }
}

/// Whether [`Host::check`](crate::Host::check) writes its decisions into the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RecordChecks {
    /// Each decision is durable before it is given.
    #[default]
    Durable,
    /// The caller keeps them.
    Off,
}
