//! Starting runs, and taking them up again.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use fusebox_core::event::{Chain, Event, Usage};
use fusebox_core::explain::Explainer;
use fusebox_core::run::{Continuation, Phase, RunSetup, StoredSetup};
use fusebox_core::{Contents, Plan, RunId, RunLimits, RunState, StepId, json};
use fusebox_effects::Workspace;
use fusebox_store::Blob;
use tokio::sync::{Mutex, mpsc};

use crate::account::Account;
use crate::approver::Approver;
use crate::builder::Explanations;
use crate::driver::{Beginning, Driver};
use crate::explain::explainer_of;
use crate::host::Host;
use crate::journal::{Journal, JournalSetup, over_quota};
use crate::keeping::{Keeping, kept_plan};
use crate::lease::Lease;
use crate::now::{new_run_id, rfc3339};
use crate::outputs::Outputs;
use crate::place::Opened;
use crate::recall::{JudgedBy, Recalled, recall};
use crate::run::{Killer, Run, RunOptions, Until};
use crate::watchman::Watchman;
use crate::{Error, switches};

/// How long a process that holds a run for a moment is waited for.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_millis(500);
/// Longest name of a tenant, in characters.
const MAX_TENANT_CHARS: usize = 64;

/// A run that is about to be created or taken up.
struct Prepared {
    state: RunState,
    chain: Chain,
    lease: Lease,
    workspace: Workspace,
    left_out: u64,
    beginning: Beginning,
    keeping: Keeping,
    /// Steps whose inputs were not kept and are not at hand.
    lost: BTreeSet<StepId>,
}

impl Host {
    /// Starts carrying out a plan. Nothing happens until the run is awaited.
    ///
    /// # Errors
    /// When the plan does not fit policy and plugins, a budget is zero, a kill switch is set, or the workspace cannot be
    /// used.
    pub fn run(&self, plan: Plan, options: RunOptions) -> Result<Run, Error> {
        let approver = Arc::clone(&options.approver);
        let prepared = self.create(plan, &options)?;
        self.drive(prepared, approver, Until::End)
    }

    /// Creates a run and leaves it to be carried out by whoever [continues](Self::continue_run) it. It is durable when this
    /// returns.
    ///
    /// # Errors
    /// As [`run`](Self::run), or when the log cannot be written.
    pub fn start(&self, plan: Plan, options: &RunOptions) -> Result<RunId, Error> {
        let Prepared { state, chain, lease, beginning, keeping, lost, .. } = self.create(plan, options)?;
        let id = state.setup().run.clone();
        let (updates, _) = mpsc::unbounded_channel();
        let mut journal = self.journal((state, chain), lease, (keeping, lost), updates)?;
        if let Beginning::Create { created, blobs } = beginning {
            for blob in blobs {
                journal.keep(blob);
            }
            let now = journal.now_us();
            journal.record(*created, now)?;
            pollster::block_on(journal.let_go())?;
        }
        Ok(id)
    }

    /// Takes a run up again: one that was created only, that waited, or whose process ended. What it had done is not done
    /// again. Nothing happens until the run is awaited.
    ///
    /// # Errors
    /// When there is no such run, it has ended, was paused, is driven by another process, or its workspace cannot be used.
    pub fn continue_run(&self, run: &RunId, approver: Arc<dyn Approver>, until: Until) -> Result<Run, Error> {
        let prepared = self.take_up(run)?;
        self.drive(prepared, approver, until)
    }

    fn create(&self, plan: Plan, options: &RunOptions) -> Result<Prepared, Error> {
        self.check_plan(&plan)?;
        options.limits.check()?;
        check_tenant(&options.tenant)?;
        let id = new_run_id()?;
        if let Some(switch) = switches::ending_new(&*self.store, &options.tenant)? {
            let (target, at) = (switch.target.to_string(), rfc3339(switch.set_us));
            return Err(Error::KillSwitch { target, by: switch.by, at });
        }
        if let Some(over) = over_quota(&*self.store, &self.policy, &options.tenant)? {
            return Err(over.into());
        }
        // Without a key nothing of it could be proved.
        self.audit.keys.ring(&*self.store, &options.tenant)?;
        let limits = options.limits.tighten(&self.policy.limits).tighten(&plan.limits).capped();
        let sources =
            [("the operator", &options.limits), ("the policy", &self.policy.limits), ("the plan", &plan.limits)];
        let limits_by = limits.set_by(&sources);
        let Opened { workspace, mode, left_out } = self.open_workspace(&plan, options)?;
        let plan = Arc::new(plan);
        let JudgedBy { policy, policy_digest, plugins, gate, claimed_approval } = self.judged_by();
        let setup = RunSetup {
            run: id.clone(),
            tenant: options.tenant.clone(),
            plan: Arc::clone(&plan),
            policy,
            policy_digest,
            plugins: plugins.clone(),
            gate,
            claimed_approval,
            limits: limits.clone(),
            operator: options.limits.clone(),
        };
        let kept = kept_plan(self.redactor.as_deref(), &plan)?;
        let mut keeping = Keeping::new(self.redactor.clone(), kept.redacted.clone())?;
        if let Some(salt) = options.salt {
            keeping = keeping.with_salt(salt);
        }
        let plan_blob = keeping.blob(None, Bytes::from(kept.plan.canonical()));
        let policy_blob = Blob::plain(Bytes::from(json::canonical(&*self.policy)));
        let stored = Blob::plain(Bytes::from(self.stored_setup(&workspace, &options.limits).canonical()));
        let created = Event::RunCreated {
            goal: kept.plan.goal.clone(),
            agent: plan.agent.clone(),
            tenant: options.tenant.clone(),
            plan: plan_blob.digest(),
            policy: policy_digest,
            plugins,
            limits,
            limits_by,
            steps: u32::try_from(plan.steps.len()).unwrap_or(u32::MAX),
            workspace: mode,
            host: host_version(),
            engine: self.sandbox.engine(),
            setup: Some(stored.digest()),
            redacted: kept.redacted,
        };
        Ok(Prepared {
            lease: Lease::of_new(&self.home, &id)?,
            chain: Chain::new(id),
            state: RunState::new(Arc::new(setup)),
            workspace,
            left_out,
            beginning: Beginning::Create { created: Box::new(created), blobs: vec![plan_blob, policy_blob, stored] },
            keeping,
            lost: BTreeSet::new(),
        })
    }

    fn take_up(&self, run: &RunId) -> Result<Prepared, Error> {
        let unknown = || Error::UnknownRun { run: run.to_string() };
        self.store.run(run)?.ok_or_else(unknown)?;
        let lease = Lease::take_within(&self.home, &*self.store, run, PATIENCE)?;
        let Recalled { mut state, chain, stored: before_stored, workspace, redacted, .. } = recall(&*self.store, run)?;
        if let Phase::Ended(_) = state.phase() {
            return Err(Error::RunOver { run: run.to_string(), state: state.phase().to_string() });
        }
        let asked = self.store.pause_asked(run)?.map(|(by, _)| by);
        if let Some(by) = state.paused_by().map(ToOwned::to_owned).or(asked) {
            return Err(Error::RunPaused { run: run.to_string(), by });
        }
        self.check_plan(&state.setup().plan)?;
        let workspace = Workspace::open(&workspace)?.with_hard_links(self.policy.workspace.hard_links);
        self.home.keep_apart(workspace.root())?;
        let stored = self.stored_setup(&workspace, &before_stored.operator);
        let judged_by = self.judged_by();
        let before = Arc::clone(state.setup());
        let same = stored == before_stored
            && judged_by.policy_digest == before.policy_digest
            && judged_by.plugins == before.plugins;
        if !same {
            state.set_up_anew(judged_by.setup_after(&before));
        }
        let stored = Blob::plain(Bytes::from(stored.canonical()));
        let continuation = Continuation {
            setup: stored.digest(),
            policy: self.policy_digest,
            plugins: self.registry.digests.clone(),
            host: host_version(),
            engine: self.sandbox.engine(),
        };
        let blobs = vec![stored, Blob::plain(Bytes::from(json::canonical(&*self.policy)))];
        let beginning = Beginning::Continue { continuation: Box::new(continuation), blobs };
        let keeping = Keeping::new(self.redactor.clone(), redacted.iter().cloned().collect())?;
        Ok(Prepared { state, chain, lease, workspace, left_out: 0, beginning, keeping, lost: redacted })
    }

    fn drive(&self, prepared: Prepared, approver: Arc<dyn Approver>, until: Until) -> Result<Run, Error> {
        let Prepared { state, chain, lease, workspace, left_out, beginning, keeping, lost } = prepared;
        let (id, tenant) = (state.setup().run.clone(), state.setup().tenant.clone());
        let (sender, updates) = mpsc::unbounded_channel();
        let killer = Killer::new(self.sandbox.kill_flag());
        // It hears what is asked from here on; what was asked before stands in the log, which is read when it begins.
        let watchman =
            Arc::new(Watchman::new(&self.home, Arc::clone(&self.store), (id.clone(), tenant), killer.clone())?);
        let hears = Arc::clone(&watchman);
        let watcher: Arc<dyn Fn() + Send + Sync> = Arc::new(move || hears.look());
        self.sandbox.on_tick(&watcher);
        let outputs = Outputs::of(Arc::clone(&self.store), &state);
        let explainer = self.explainer(&state, &chain, &keeping)?;
        let mut journal = self.journal((state, chain), lease, (keeping, lost), sender.clone())?;
        journal.explain(explainer);
        let root = workspace.root().to_path_buf();
        let driver = Driver {
            registry: Arc::clone(&self.registry),
            predictor: self.predictor.clone(),
            surroundings: Arc::clone(&self.surroundings),
            confinement: Arc::clone(&self.confinement),
            gateway: self.gateway.clone(),
            problem: None,
            workspace: Arc::new(workspace),
            approver,
            kill: killer.kill.clone(),
            killer: killer.clone(),
            watchman,
            paces: Arc::clone(&self.paces),
            store: Arc::clone(&self.store),
            until,
            let_on: None,
            continuation: None,
            is_stale: false,
            answered: Vec::new(),
            stopped_us: None,
            journal: Arc::new(Mutex::new(journal)),
            updates: sender,
            outputs: Arc::new(outputs),
            judged: None,
            contents: Contents::default(),
            cut_off: (None, Usage::default()),
        };
        Ok(Run {
            id,
            workspace: root,
            left_out,
            driving: Some(Box::pin(driver.run(beginning))),
            updates,
            summary: None,
            killer,
            _watcher: watcher,
        })
    }

    fn journal(
        &self,
        (state, chain): (RunState, Chain),
        lease: Lease,
        (keeping, lost): (Keeping, BTreeSet<StepId>),
        updates: mpsc::UnboundedSender<crate::RunUpdate>,
    ) -> Result<Journal, Error> {
        let account = Account::of(Arc::clone(&self.store), &state)?;
        let (store, home) = (Arc::clone(&self.store), self.home.clone());
        Ok(Journal::new(JournalSetup { state, chain, store, home, lease, account, keeping, lost, updates }))
    }

    /// What explains a run's steps, if anybody wants it. The agent's words on a step that holds a secret are left out.
    fn explainer(&self, state: &RunState, chain: &Chain, keeping: &Keeping) -> Result<Option<Explainer>, Error> {
        if self.explanations == Explanations::Untold {
            return Ok(None);
        }
        let mut plan = (*state.setup().plan).clone();
        for step in plan.steps.iter_mut().filter(|step| keeping.is_flagged(&step.id)) {
            (step.reasoning, step.alternatives) = (None, Vec::new());
        }
        let run = chain.run();
        Ok(Some(if chain.seq() == 0 {
            Explainer::new(run.clone(), Some(&plan))
        } else {
            explainer_of(&*self.store, run, &plan)?
        }))
    }

    fn judged_by(&self) -> JudgedBy {
        JudgedBy {
            policy: Arc::clone(&self.policy),
            policy_digest: self.policy_digest,
            plugins: self.registry.digests.clone(),
            gate: Arc::clone(&self.registry.gate),
            claimed_approval: self.registry.claimed_approval(),
        }
    }

    fn stored_setup(&self, workspace: &Workspace, operator: &RunLimits) -> StoredSetup {
        let text = |path: &std::path::Path| path.to_string_lossy().into_owned();
        StoredSetup {
            gate: (*self.registry.gate).clone(),
            claimed_approval: self.registry.claimed_approval(),
            operator: operator.clone(),
            workspace: text(workspace.root()),
            projects: self.projects.iter().filter_map(|folder| Some(text(&folder.canonicalize().ok()?))).collect(),
        }
    }
}

fn host_version() -> String {
    format!("fusebox {}", env!("CARGO_PKG_VERSION"))
}

/// A tenant's name stands in messages, files and command lines.
pub fn check_tenant(tenant: &str) -> Result<(), Error> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    if tenant.is_empty() || tenant.len() > MAX_TENANT_CHARS || !tenant.chars().all(is_plain) {
        return Err(Error::BadTenant { tenant: tenant.chars().take(80).collect() });
    }
    Ok(())
}
