//! Starting runs, and taking them up again.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use fusebox_core::LimitSource;
use fusebox_core::event::{Chain, Event, Usage};
use fusebox_core::explain::Explainer;
use fusebox_core::run::{Continuation, Phase, RunSetup, StoredSetup};
use fusebox_core::{Contents, Plan, RunId, RunLimits, RunState, StepId, json};
use fusebox_effects::Workspace;
use fusebox_store::Blob;
use tokio::sync::{Mutex, mpsc};

use crate::admission::kill_switch;
use crate::admission::quota::over_quota;
use crate::ambient::{new_run_id, rfc3339};
use crate::approval::approver::Approver;
use crate::error::Error;
use crate::journal::lease::{BRIEFLY, Lease};
use crate::journal::outputs::Outputs;
use crate::journal::replay::{JudgedBy, Recalled, recall};
use crate::journal::tenant_budget::Account;
use crate::journal::{Journal, JournalSetup};
use crate::log::explained::explainer_of;
use crate::redaction::retention::{Keeping, kept_plan};
use crate::run::driver::{Beginning, Driver};
use crate::run::handle::Run;
use crate::run::options::{RunOptions, Until};
use crate::run::workspace::{Opened, open_workspace};
use crate::services::Explanations;
use crate::services::Services;
use crate::signals::listener::Watchman;
use crate::signals::stop::Killer;

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

/// Starts carrying out a plan. Nothing happens until the run is awaited.
///
/// # Errors
/// When the plan does not fit policy and plugins, a budget is zero, a kill switch is set, or the workspace cannot be
/// used.
pub fn run(services: &Arc<Services>, plan: Plan, options: RunOptions) -> Result<Run, Error> {
    let approver = Arc::clone(&options.approver);
    let prepared = create(services, plan, &options)?;
    drive(services, prepared, approver, Until::End)
}

/// Creates a run and leaves it to be carried out by whoever continues it. It is durable when this
/// returns.
///
/// # Errors
/// As [`run`], or when the log cannot be written.
pub fn start(services: &Arc<Services>, plan: Plan, options: &RunOptions) -> Result<RunId, Error> {
    let Prepared { state, chain, lease, beginning, keeping, lost, .. } = create(services, plan, options)?;
    let id = state.setup().run.clone();
    let (updates, _) = mpsc::unbounded_channel();
    let mut journal = journal(services, (state, chain), lease, (keeping, lost), updates)?;
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
pub fn continue_run(
    services: &Arc<Services>,
    run: &RunId,
    approver: Arc<dyn Approver>,
    until: Until,
) -> Result<Run, Error> {
    let prepared = take_up(services, run)?;
    drive(services, prepared, approver, until)
}

fn create(services: &Arc<Services>, plan: Plan, options: &RunOptions) -> Result<Prepared, Error> {
    services.check_plan(&plan)?;
    options.limits.check()?;
    fusebox_core::id::check_tenant(&options.tenant)?;
    let id = new_run_id()?;
    if let Some(switch) = kill_switch::ending_new(&*services.store, &options.tenant)? {
        let (target, at) = (switch.target.to_string(), rfc3339(switch.set_us));
        return Err(Error::KillSwitch { target, by: switch.by, at });
    }
    if let Some(over) = over_quota(&*services.store, &services.policy, &options.tenant)? {
        return Err(over.into());
    }
    // Without a key nothing of it could be proved.
    services.audit.keys.ring(&*services.store, &options.tenant)?;
    let limits = options.limits.tighten(&services.policy.limits).tighten(&plan.limits).capped();
    let sources = [
        (LimitSource::Operator, &options.limits),
        (LimitSource::Policy, &services.policy.limits),
        (LimitSource::Plan, &plan.limits),
    ];
    let limits_by = limits.set_by(&sources);
    let Opened { workspace, mode, left_out } = open_workspace(services, &plan, options)?;
    let plan = Arc::new(plan);
    let JudgedBy { policy, policy_digest, plugins, gate, claimed_approval } = judged_by(services);
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
    let kept = kept_plan(services.redactor.as_deref(), &plan)?;
    let mut keeping = Keeping::new(services.redactor.clone(), kept.redacted.clone())?;
    if let Some(salt) = options.salt {
        keeping = keeping.with_salt(salt);
    }
    let plan_blob = keeping.blob(None, Bytes::from(kept.plan.canonical()));
    let policy_blob = Blob::plain(Bytes::from(json::canonical(&*services.policy)));
    let stored = Blob::plain(Bytes::from(stored_setup(services, &workspace, &options.limits).canonical()));
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
        engine: services.sandbox.engine(),
        setup: stored.digest(),
        redacted: kept.redacted,
    };
    Ok(Prepared {
        lease: Lease::of_new(&services.home, &id)?,
        chain: Chain::new(id),
        state: RunState::new(Arc::new(setup)),
        workspace,
        left_out,
        beginning: Beginning::Create { created: Box::new(created), blobs: vec![plan_blob, policy_blob, stored] },
        keeping,
        lost: BTreeSet::new(),
    })
}

fn take_up(services: &Arc<Services>, run: &RunId) -> Result<Prepared, Error> {
    let unknown = || Error::UnknownRun { run: run.to_string() };
    services.store.run(run)?.ok_or_else(unknown)?;
    let lease = Lease::take_within(&services.home, &*services.store, run, BRIEFLY)?;
    let Recalled { mut state, chain, stored: before_stored, workspace, redacted, .. } = recall(&*services.store, run)?;
    if let Phase::Ended(_) = state.phase() {
        return Err(Error::RunOver { run: run.to_string(), state: state.phase().to_string() });
    }
    let asked = services.store.pause_asked(run)?.map(|(by, _)| by);
    if let Some(by) = state.paused_by().map(ToOwned::to_owned).or(asked) {
        return Err(Error::RunPaused { run: run.to_string(), by });
    }
    services.check_plan(&state.setup().plan)?;
    let workspace = Workspace::open(&workspace)?.with_hard_links(services.policy.workspace.hard_links);
    services.home.keep_apart(workspace.root())?;
    let stored = stored_setup(services, &workspace, &before_stored.operator);
    let judged_by = judged_by(services);
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
        policy: services.policy_digest,
        plugins: services.registry.digests.clone(),
        host: host_version(),
        engine: services.sandbox.engine(),
    };
    let blobs = vec![stored, Blob::plain(Bytes::from(json::canonical(&*services.policy)))];
    let beginning = Beginning::Continue { continuation: Box::new(continuation), blobs };
    let keeping = Keeping::new(services.redactor.clone(), redacted.iter().cloned().collect())?;
    Ok(Prepared { state, chain, lease, workspace, left_out: 0, beginning, keeping, lost: redacted })
}

fn drive(
    services: &Arc<Services>,
    prepared: Prepared,
    approver: Arc<dyn Approver>,
    until: Until,
) -> Result<Run, Error> {
    let Prepared { state, chain, lease, workspace, left_out, beginning, keeping, lost } = prepared;
    let (id, tenant) = (state.setup().run.clone(), state.setup().tenant.clone());
    let (sender, updates) = mpsc::unbounded_channel();
    let killer = Killer::new(services.sandbox.kill_flag());
    // It hears what is asked from here on; what was asked before stands in the log, which is read when it begins.
    let watchman =
        Arc::new(Watchman::new(&services.home, Arc::clone(&services.store), (id.clone(), tenant), killer.clone())?);
    let hears = Arc::clone(&watchman);
    let watcher: Arc<dyn Fn() + Send + Sync> = Arc::new(move || hears.look());
    services.sandbox.on_tick(&watcher);
    let outputs = Outputs::of(Arc::clone(&services.store), &state);
    let explainer = explainer(services, &state, &chain, &keeping)?;
    let mut journal = journal(services, (state, chain), lease, (keeping, lost), sender.clone())?;
    journal.explain(explainer);
    let root = workspace.root().to_path_buf();
    let driver = Driver {
        services: Arc::clone(services),
        problem: None,
        workspace: Arc::new(workspace),
        approver,
        kill: killer.kill.clone(),
        killer: killer.clone(),
        watchman,
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
    services: &Arc<Services>,
    (state, chain): (RunState, Chain),
    lease: Lease,
    (keeping, lost): (Keeping, BTreeSet<StepId>),
    updates: mpsc::UnboundedSender<crate::RunUpdate>,
) -> Result<Journal, Error> {
    let account = Account::of(Arc::clone(&services.store), &state)?;
    let (store, home) = (Arc::clone(&services.store), services.home.clone());
    Ok(Journal::new(JournalSetup { state, chain, store, home, lease, account, keeping, lost, updates }))
}

/// What explains a run's steps, if anybody wants it. The agent's words on a step that holds a secret are left out.
fn explainer(
    services: &Arc<Services>,
    state: &RunState,
    chain: &Chain,
    keeping: &Keeping,
) -> Result<Option<Explainer>, Error> {
    if services.explanations == Explanations::Off {
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
        explainer_of(&*services.store, run, &plan)?
    }))
}

fn judged_by(services: &Arc<Services>) -> JudgedBy {
    JudgedBy {
        policy: Arc::clone(&services.policy),
        policy_digest: services.policy_digest,
        plugins: services.registry.digests.clone(),
        gate: Arc::clone(&services.registry.gate),
        claimed_approval: services.registry.claimed_approval(),
    }
}

fn stored_setup(services: &Arc<Services>, workspace: &Workspace, operator: &RunLimits) -> StoredSetup {
    let text = |path: &std::path::Path| path.to_string_lossy().into_owned();
    StoredSetup {
        gate: (*services.registry.gate).clone(),
        claimed_approval: services.registry.claimed_approval(),
        operator: operator.clone(),
        workspace: text(workspace.root()),
        projects: services.projects.iter().filter_map(|folder| Some(text(&folder.canonicalize().ok()?))).collect(),
    }
}

fn host_version() -> String {
    format!("fusebox {}", env!("CARGO_PKG_VERSION"))
}
