//! The host: the embedding API over everything below. Each method delegates to one stage or flow.

pub mod builder;

use std::mem::ManuallyDrop;
use std::sync::Arc;

use fusebox_core::id::DEFAULT_TENANT;
use fusebox_core::risk::{Assessment, RiskLevel};
use fusebox_core::{Decision, Json, Plan, RunId, RunLimits, Step};
use fusebox_effects::Confinement;
use fusebox_effects::gateway::Gateway;
use fusebox_risk::Outcome;
use fusebox_store::Store;

use crate::approval::approver::Approver;
use crate::audit::Audit;
use crate::check::proposal::Proposal;
use crate::control::Control;
use crate::control::outcomes::RiskLabel;
use crate::error::{Error, suggestion};
use crate::gate::report::CheckReport;
use crate::home::Home;
use crate::plugins::loaded::Loaded;
use crate::policy::LoadedPolicy;
use crate::prediction::Predictor;
use crate::run::handle::Run;
use crate::run::options::{RunOptions, StopAt};
use crate::services::{Notice, Services};
use crate::session::handle::Session;
use crate::session::options::SessionOptions;
use crate::sinks::{SinkStatus, Sinks, Subscription};
use crate::{check, control, run};

/// Plugins under a policy, with a log. It has two threads of its own: one writes the log, one ends guests in time.
pub struct Host {
    /// First, so that it is dropped first: sinks read the log.
    sinks: Sinks,
    pub(crate) services: Arc<Services>,
    loaded: LoadedPolicy,
    notices: Vec<Notice>,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host")
            .field("home", &self.services.home.path())
            .field("policy", &self.loaded.source)
            .finish_non_exhaustive()
    }
}

impl Host {
    /// Ends the host where the process ends as well: the log is closed as when the host is dropped, and the memory of plugins
    /// is left to the system.
    pub fn finish(self) {
        let Self { sinks, services, .. } = self;
        drop(sinks);
        // Where a run holds them still, they end with it.
        if let Some(Services { sandbox, registry, redactor, .. }) = Arc::into_inner(services) {
            let _ = ManuallyDrop::new((sandbox, registry, redactor));
        }
    }

    /// All plugins by name.
    #[must_use]
    pub fn plugins(&self) -> Vec<(&str, &Loaded)> {
        self.services.registry.all()
    }

    /// A plugin of the policy.
    ///
    /// # Errors
    /// When the policy has no plugin of that name.
    pub fn plugin(&self, name: &str) -> Result<&Loaded, Error> {
        let plugins = self.plugins();
        let known: Vec<&str> = plugins.iter().map(|(known, _)| *known).collect();
        let place = known.iter().position(|known| *known == name);
        place.and_then(|place| plugins.get(place)).map(|(_, loaded)| *loaded).ok_or_else(|| Error::PluginNotInPolicy {
            name: name.to_owned(),
            suggestion: suggestion(name, known.iter().copied()),
            known: known.join(", "),
        })
    }

    /// Source of the policy: a file, or `built-in`.
    #[must_use]
    pub fn policy_source(&self) -> &str {
        &self.loaded.source
    }

    /// The policy in force, with where each setting came from.
    #[must_use]
    pub fn policy(&self) -> &LoadedPolicy {
        &self.loaded
    }

    /// Notices for the operator about the setup of the host.
    #[must_use]
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// The model gateway; `None` when the policy names no model.
    #[must_use]
    pub fn gateway(&self) -> Option<&Gateway> {
        self.services.gateway.as_ref()
    }

    /// Confinement of processes on this machine. The first call tests it, which takes some milliseconds.
    #[must_use]
    pub fn confinement(&self) -> &Confinement {
        &self.services.confinement
    }

    /// Home of the host.
    #[must_use]
    pub fn home(&self) -> &Home {
        &self.services.home
    }

    /// Its runs, as an operator handles them.
    #[must_use]
    pub fn control(&self) -> Control {
        Control::of(self.services.home.clone(), Arc::clone(&self.services.store), self.services.audit.clone())
    }

    /// The risk predictor; `None` unless the policy enables one.
    #[must_use]
    pub fn predictor(&self) -> Option<&Predictor> {
        self.services.predictor.as_ref()
    }

    /// Its audit log: proofs, exports, and records of other programs.
    #[must_use]
    pub fn audit(&self) -> &Audit {
        &self.services.audit
    }

    /// State of the sinks of the policy and of the embedder.
    #[must_use]
    pub fn sinks(&self) -> Vec<SinkStatus> {
        self.sinks.status()
    }

    /// Events from now on, of one tenant or of all, written by any process. At most `most` are held in memory.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn subscribe(&self, tenant: Option<&str>, most: u32) -> Result<Subscription, Error> {
        Subscription::new(Arc::clone(&self.services.store), tenant.map(ToOwned::to_owned), most)
    }

    /// Log of the host.
    #[must_use]
    pub fn log(&self) -> &dyn Store {
        &*self.services.store
    }

    /// Checks a plan against policy and plugins, without running it.
    ///
    /// # Errors
    /// When a step has an unknown type, an input that does not fit it, or needs a model and there is none.
    pub fn check_plan(&self, plan: &Plan) -> Result<(), Error> {
        self.services.check_plan(plan)
    }

    /// Checks an input against the schema of a step type, as for a step that a person edits.
    ///
    /// # Errors
    /// When it does not fit, or the type is unknown.
    pub fn check_input(&self, step: &str, step_type: &str, input: &Json) -> Result<(), Error> {
        self.services.registry.check_input(step, step_type, input)
    }

    /// Starts carrying out a plan. Nothing happens until the run is awaited.
    ///
    /// # Errors
    /// When the plan does not fit policy and plugins, a budget is zero, a kill switch is set, or the workspace cannot be
    /// used.
    pub fn run(&self, plan: Plan, options: RunOptions) -> Result<Run, Error> {
        run::open::run(&self.services, plan, options)
    }

    /// Creates a run without carrying it out; [`continue_run`](Self::continue_run) does that, from any process. The run is
    /// durable when this returns.
    ///
    /// # Errors
    /// As [`run`](Self::run), or when the log cannot be written.
    pub fn start(&self, plan: Plan, options: &RunOptions) -> Result<RunId, Error> {
        run::open::start(&self.services, plan, options)
    }

    /// Continues a run: one that was only created, that waited, or whose process ended. Completed work is not repeated.
    /// Nothing happens until the run is awaited.
    ///
    /// # Errors
    /// When there is no such run, it has ended, was paused, is driven by another process, or its workspace cannot be used.
    pub fn continue_run(&self, run: &RunId, approver: Arc<dyn Approver>, until: StopAt) -> Result<Run, Error> {
        run::open::continue_run(&self.services, run, approver, until)
    }

    /// Adds a step after the last one of a run that no process drives; `step` is JSON, as in a plan file. Guards judge
    /// the whole plan with it; where they ask for a review, the approver is asked. The step is durable when this
    /// returns.
    ///
    /// # Errors
    /// When there is no such run, it has ended or is in the middle of a step, the step is not valid, or it is refused.
    pub async fn add_step(&self, run: &RunId, step: &[u8], by: &str, approver: &dyn Approver) -> Result<Step, Error> {
        run::add_step::add_step(&self.services, run, step, by, approver).await
    }

    /// Judges one action that the caller carries out: the same gate as in a run, on the calling thread. Unless
    /// [`RecordChecks::Off`](crate::RecordChecks::Off) was chosen, the decision is durable in the log before this returns.
    ///
    /// # Errors
    /// When the action does not fit its step type, its effects cannot be derived, or the log cannot be written. No
    /// error means allow.
    pub fn check(&self, proposal: &Proposal) -> Result<Decision, Error> {
        self.check_for(DEFAULT_TENANT, proposal)
    }

    /// As [`check`](Self::check), on account of another tenant: under its kill switch, in its log.
    ///
    /// # Errors
    /// As [`check`](Self::check), or when the tenant's name is not valid or it has no room left in the log.
    pub fn check_for(&self, tenant: &str, proposal: &Proposal) -> Result<Decision, Error> {
        check::check(&self.services, tenant, proposal, None)
    }

    /// As [`check_for`](Self::check_for), with a report of every plugin that took part: ruling, fuel, log. Guards that
    /// abstain or only monitor are among them.
    ///
    /// # Errors
    /// As [`check_for`](Self::check_for).
    pub fn check_report(&self, tenant: &str, proposal: &Proposal) -> Result<CheckReport, Error> {
        let mut plugins = Vec::new();
        let decision = check::check(&self.services, tenant, proposal, Some(&mut plugins))?;
        if let Some(redactor) = &self.services.redactor {
            // What plugins log or die of may quote a secret, which is never shown.
            for plugin in plugins.iter_mut().filter(|plugin| !plugin.log.is_empty() || plugin.failure.is_some()) {
                if let Some((log, failure)) = redactor.redacted_value(&(plugin.log.clone(), plugin.failure.clone()))? {
                    (plugin.log, plugin.failure) = (log, failure);
                }
            }
        }
        Ok(CheckReport { decision, plugins })
    }

    /// Opens a session, or finds it: a run whose steps the caller carries out. It is durable when this returns.
    ///
    /// # Errors
    /// When a name or the workspace cannot be used, a kill switch is set, another process holds the session for too long, or
    /// the log cannot be written.
    pub fn session(&self, options: SessionOptions) -> Result<Session, Error> {
        Session::open(&self.services, options)
    }

    /// The chain of the log that holds the decisions of [`check`](Self::check); `None` before the first.
    #[must_use]
    pub fn checks_chain(&self) -> Option<RunId> {
        check::chain(&self.services)
    }

    /// Predicts how risky a plan is, without running it; `None` when the policy disables prediction. `operator` are the
    /// limits that its run would be given.
    #[must_use]
    pub fn assess(&self, plan: &Plan, operator: &RunLimits) -> Option<Assessment> {
        let Services { predictor, policy, registry, .. } = &*self.services;
        let limits = operator.tighten(&policy.limits).tighten(&plan.limits).capped();
        Some(predictor.as_ref()?.assess_plan(plan, registry, policy, &limits))
    }

    /// The limits of a run whose plan limits itself so and has this risk level, where the operator sets none.
    #[must_use]
    pub fn limits_at(&self, level: RiskLevel, plan: &RunLimits) -> RunLimits {
        let policy = &self.services.policy;
        policy.limits.tighten(plan).tighten(&policy.risk_limits(level, &RunLimits::default())).capped()
    }

    /// Records a person's judgement of how risky the plan of a run really was: a label for training. It changes nothing
    /// about the run. It is durable when this returns.
    ///
    /// # Errors
    /// When there is no such run, its risk was not predicted, the reason is too long, or the log cannot be written.
    pub fn overrule(&self, run: &RunId, to: RiskLevel, by: &str, reason: &str) -> Result<RiskLabel, Error> {
        control::outcomes::overrule(&self.services, run, to, by, reason)
    }

    /// Outcomes of the newest runs of a tenant that have ended and whose risk was predicted, the oldest first; at most
    /// `last` runs are read.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn outcomes(&self, tenant: &str, last: u32) -> Result<Vec<Outcome>, Error> {
        control::outcomes::outcomes(&self.services, tenant, last)
    }
}
