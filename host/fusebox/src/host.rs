//! The host: plugins under a policy, a log, and the two main jobs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex as StdMutex};

use fusebox_core::event::Chain;
use fusebox_core::{Digest, Plan};
use fusebox_effects::Confinement;
use fusebox_effects::gateway::Gateway;
use fusebox_sandbox::{Kill, Sandbox};
use fusebox_store::EventLog;

use crate::Error;
use crate::audit::Audit;
use crate::builder::{Explanations, HostBuilder, Notice, RecordChecks};
use crate::control::Control;
use crate::facts::Surroundings;
use crate::home::Home;
use crate::pace::Paces;
use crate::policy::LoadedPolicy;
use crate::predicting::Predictor;
use crate::redaction::Redactor;
use crate::registry::{Loaded, Registry};
use crate::sinks::{SinkStatus, Sinks, Subscription};
use crate::switches::SwitchCache;

/// Plugins under a policy, with a log. It has two threads of its own: one writes the log, one ends guests in time.
pub struct Host {
    /// First, because what they are told comes from the log.
    pub(crate) sinks: Sinks,
    pub(crate) sandbox: Sandbox,
    /// For checks, which nobody kills: they have tight limits.
    pub(crate) never_killed: Kill,
    pub(crate) registry: Arc<Registry>,
    /// Who predicts risks, if policy wants it.
    pub(crate) predictor: Option<Arc<Predictor>>,
    pub(crate) policy: Arc<fusebox_core::Policy>,
    pub(crate) policy_digest: Digest,
    pub(crate) loaded: LoadedPolicy,
    pub(crate) notices: Vec<Notice>,
    pub(crate) gateway: Option<Arc<Gateway>>,
    pub(crate) store: Arc<dyn EventLog>,
    pub(crate) surroundings: Arc<Surroundings>,
    /// For actions that somebody else carries out.
    pub(crate) elsewhere: Surroundings,
    pub(crate) confinement: Arc<Confinement>,
    pub(crate) home: Home,
    /// Folders whose own policies tighten the operator's.
    pub(crate) projects: Vec<PathBuf>,
    /// Guards that keep secrets out of the log.
    pub(crate) redactor: Option<Arc<Redactor>>,
    pub(crate) audit: Audit,
    pub(crate) explanations: Explanations,
    /// Breakers and rate limits.
    pub(crate) paces: Arc<Paces>,
    /// Kill switches that are set.
    pub(crate) switches: SwitchCache,
    pub(crate) checks: RecordChecks,
    /// Checks of this host are one chain of each tenant's log.
    pub(crate) check_chains: StdMutex<BTreeMap<String, Chain>>,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host")
            .field("home", &self.home.path())
            .field("policy", &self.loaded.source)
            .finish_non_exhaustive()
    }
}

impl Host {
    /// Starts setting up a host.
    #[must_use]
    pub fn builder() -> HostBuilder {
        HostBuilder::default()
    }

    /// All plugins by name.
    #[must_use]
    pub fn plugins(&self) -> Vec<(&str, &Loaded)> {
        self.registry.all()
    }

    /// Where the policy came from: a file, or `built-in`.
    #[must_use]
    pub fn policy_source(&self) -> &str {
        &self.loaded.source
    }

    /// The policy in force, with where each setting came from.
    #[must_use]
    pub fn policy(&self) -> &LoadedPolicy {
        &self.loaded
    }

    /// What whoever set it up should know.
    #[must_use]
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// Who answers prompts, if anybody does.
    #[must_use]
    pub fn gateway(&self) -> Option<&Gateway> {
        self.gateway.as_deref()
    }

    /// How processes are confined here. The first question tries it out, which takes some milliseconds.
    #[must_use]
    pub fn confinement(&self) -> &Confinement {
        &self.confinement
    }

    /// Its home.
    #[must_use]
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Its runs, as an operator handles them.
    #[must_use]
    pub fn control(&self) -> Control {
        Control::of(self.home.clone(), Arc::clone(&self.store), self.audit.clone())
    }

    /// Who predicts how risky plans are, if policy wants it.
    #[must_use]
    pub fn predictor(&self) -> Option<&Predictor> {
        self.predictor.as_deref()
    }

    /// Its audit log: what proves it, and what other programs add to it.
    #[must_use]
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// How the sinks of its policy and of the embedder are doing.
    #[must_use]
    pub fn sinks(&self) -> Vec<SinkStatus> {
        self.sinks.status()
    }

    /// Events from now on, of one tenant or of all, whichever process writes them. At most so many are held in memory.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn subscribe(&self, tenant: Option<&str>, most: u32) -> Result<Subscription, Error> {
        Subscription::new(Arc::clone(&self.store), tenant.map(ToOwned::to_owned), most)
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> &dyn EventLog {
        &*self.store
    }

    /// Checks a plan against policy and plugins, without running it.
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
