//! Starting runs, and taking them up again.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use fusebox_core::event::{Chain, RunCreated, RunEvent, Usage};
use fusebox_core::explain::Explainer;
use fusebox_core::run::{Phase, Resumption, RunSetup, StoredSetup};
use fusebox_core::{Contents, LimitSource, Plan, RunId, RunLimits, RunState, json};
use fusebox_effects::Workspace;
use fusebox_store::Blob;
use tokio::sync::{Mutex, mpsc};

use crate::admission::kill_switch;
use crate::admission::quota::over_quota;
use crate::ambient::{host_version, new_run_id, rfc3339};
use crate::approval::approver::Approver;
use crate::approval::keys::KnownKeys;
use crate::error::Error;
use crate::journal::lease::{BRIEFLY, Lease};
use crate::journal::outputs::Outputs;
use crate::journal::replay::{PolicySnapshot, ReplayedRun, check_has_plan, replay};
use crate::journal::{Journal, JournalSetup};
use crate::log::explained::explainer_of;
use crate::redaction::retention::{RetentionFilter, redacted_plan};
use crate::run::driver::{Driver, Start};
use crate::run::handle::Run;
use crate::run::options::{RunOptions, StopAt};
use crate::run::workspace::{OpenedWorkspace, open_workspace};
use crate::services::{Explanations, Services};
use crate::signals::listener::SignalListener;
use crate::signals::stop::StopHandle;

/// A run that is about to be created or continued.
struct Prepared {
    journal: JournalSetup,
    workspace: Workspace,
    left_out: u64,
    start: Start,
}

/// Starts carrying out a plan. Nothing happens until the run is awaited.
///
/// # Errors
/// When the plan does not fit policy and plugins, a budget is zero, a kill switch is set, or the workspace cannot be
/// used.
pub fn run(services: &Arc<Services>, plan: Plan, options: RunOptions) -> Result<Run, Error> {
    let approver = Arc::clone(&options.approver);
    let prepared = create(services, plan, &options)?;
    drive(services, prepared, approver, StopAt::End)
}

/// Creates a run for another process to continue. It is durable when this returns.
///
/// # Errors
/// As [`run`], or when the log cannot be written.
pub fn start(services: &Arc<Services>, plan: Plan, options: &RunOptions) -> Result<RunId, Error> {
    let Prepared { journal, start, .. } = create(services, plan, options)?;
    let id = journal.state.setup().run.clone();
    let mut journal = Journal::unwatched(&services.store, &services.home, journal)?;
    if let Start::Create { created, blobs } = start {
        for blob in blobs {
            journal.keep(blob);
        }
        let now = journal.now_us();
        journal.record(*created, now)?;
        pollster::block_on(journal.release())?;
    }
    Ok(id)
}

/// Continues a run: one that was only created, that waited, or whose process ended. Completed work is not repeated.
/// Nothing happens until the run is awaited.
///
/// # Errors
/// When there is no such run, it has ended, was paused, is driven by another process, or its workspace cannot be used.
pub fn continue_run(
    services: &Arc<Services>,
    run: &RunId,
    approver: Arc<dyn Approver>,
    until: StopAt,
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
    let OpenedWorkspace { workspace, mode, left_out } = open_workspace(services, &id, &plan, options)?;
    let plan = Arc::new(plan);
    let PolicySnapshot { policy, policy_digest, plugins, gate, claimed_approval } = policy_snapshot(services);
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
        place: workspace.identity()?,
    };
    let kept = redacted_plan(services.redactor.as_deref(), &plan)?;
    let mut retention = RetentionFilter::new(services.redactor.clone(), kept.redacted.clone())?;
    if let Some(salt) = options.salt {
        retention = retention.with_salt(salt);
    }
    let plan_blob = retention.blob(None, Bytes::from(kept.plan.canonical()));
    let policy_blob = Blob::plain(Bytes::from(json::canonical(&*services.policy)));
    let stored = Blob::plain(Bytes::from(stored_setup(services, &workspace, &options.limits)?.canonical()));
    let created = RunEvent::RunCreated(RunCreated {
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
    });
    let journal = JournalSetup {
        lease: Lease::of_new(&services.home, &id)?,
        chain: Chain::new(id),
        state: RunState::new(Arc::new(setup)),
        retention,
        unavailable: BTreeSet::new(),
    };
    let start = Start::Create { created: Box::new(created), blobs: vec![plan_blob, policy_blob, stored] };
    Ok(Prepared { journal, workspace, left_out, start })
}

fn take_up(services: &Arc<Services>, run: &RunId) -> Result<Prepared, Error> {
    check_has_plan(&*services.store, run)?;
    let lease = Lease::take_within(&services.home, &*services.store, run, BRIEFLY)?;
    let ReplayedRun { mut state, chain, stored: before_stored, workspace, redacted, .. } =
        replay(&*services.store, run)?;
    if let Phase::Ended(_) = state.phase() {
        return Err(Error::RunOver { run: run.to_string(), state: state.phase().to_string() });
    }
    let asked = services.store.pause_asked(run)?.map(|(by, _)| by);
    if let Some(by) = state.paused_by().map(ToOwned::to_owned).or(asked) {
        return Err(Error::RunPaused { run: run.to_string(), by });
    }
    services.check_plan(&state.setup().plan)?;
    let before_at = workspace;
    let workspace = Workspace::open(&before_at)?.with_hard_links(services.policy.workspace.hard_links);
    if workspace.root() != before_at {
        let (now, then) = (workspace.root().display(), before_at.display());
        let reason = format!(
            "that of the run was {then}, and a link there leads to {now} now; begin another run there if that is meant"
        );
        return Err(Error::NoWorkspace { reason });
    }
    services.home.keep_apart(workspace.root())?;
    let stored = stored_setup(services, &workspace, &before_stored.operator)?;
    let policy_snapshot = policy_snapshot(services);
    let before = Arc::clone(state.setup());
    let same = stored == before_stored
        && policy_snapshot.policy_digest == before.policy_digest
        && policy_snapshot.plugins == before.plugins;
    if !same {
        state.rebind(policy_snapshot.setup_after(&before, stored.place));
    }
    let stored = Blob::plain(Bytes::from(stored.canonical()));
    let known = KnownKeys::open(&services.home)?;
    let is_unknown = |key: &&str| !known.all().any(|(name, _)| name == *key);
    let voided = state.approving_keys().into_iter().filter(is_unknown).map(ToOwned::to_owned).collect();
    let resumption = Resumption {
        voided,
        setup: stored.digest(),
        policy: services.policy_digest,
        plugins: services.registry.digests.clone(),
        host: host_version(),
        engine: services.sandbox.engine(),
    };
    let blobs = vec![stored, Blob::plain(Bytes::from(json::canonical(&*services.policy)))];
    let start = Start::Continue { resumption: Box::new(resumption), blobs };
    let retention = RetentionFilter::new(services.redactor.clone(), redacted.iter().cloned().collect())?;
    let journal = JournalSetup { state, chain, lease, retention, unavailable: redacted };
    Ok(Prepared { journal, workspace, left_out: 0, start })
}

fn drive(
    services: &Arc<Services>,
    prepared: Prepared,
    approver: Arc<dyn Approver>,
    until: StopAt,
) -> Result<Run, Error> {
    let Prepared { journal: setup, workspace, left_out, start } = prepared;
    let (id, tenant) = (setup.state.setup().run.clone(), setup.state.setup().tenant.clone());
    let (sender, updates) = mpsc::unbounded_channel();
    let stop = StopHandle::new(services.sandbox.kill_flag());
    // The listener hears later requests; earlier ones stand in the log, which is read when it begins.
    let (store, heard) = (Arc::clone(&services.store), id.clone());
    let signals = Arc::new(SignalListener::new(&services.home, store, heard, tenant, stop.clone())?);
    let hears = Arc::clone(&signals);
    let watcher: Arc<dyn Fn() + Send + Sync> = Arc::new(move || hears.poll());
    services.sandbox.on_tick(&watcher);
    let outputs = Outputs::of(Arc::clone(&services.store), &setup.state);
    let explainer = explainer(services, &setup)?;
    let mut journal = Journal::open(&services.store, &services.home, setup, sender.clone())?;
    journal.explain(explainer);
    let root = workspace.root().to_path_buf();
    let driver = Driver {
        services: Arc::clone(services),
        validation_error: None,
        workspace: Arc::new(workspace),
        approver,
        kill: stop.kill.clone(),
        stop: stop.clone(),
        signals,
        until,
        admitted: None,
        resumption: None,
        is_stale: false,
        answered: Vec::new(),
        stopped_us: None,
        journal: Arc::new(Mutex::new(journal)),
        updates: sender,
        outputs: Arc::new(outputs),
        contents: Contents::default(),
        aborted: (None, Usage::default()),
    };
    Ok(Run {
        id,
        workspace: root,
        left_out,
        driving: Some(Box::pin(driver.run(start))),
        updates,
        summary: None,
        stop,
        _watcher: watcher,
    })
}

/// The explainer of a run's steps, if explanations are wanted. The agent's words on a step with a secret are left out.
fn explainer(services: &Arc<Services>, setup: &JournalSetup) -> Result<Option<Explainer>, Error> {
    let JournalSetup { state, chain, retention, .. } = setup;
    if services.explanations == Explanations::Off {
        return Ok(None);
    }
    let mut plan = (*state.setup().plan).clone();
    for step in plan.steps.iter_mut().filter(|step| retention.is_flagged(&step.id)) {
        (step.reasoning, step.alternatives) = (None, Vec::new());
    }
    let run = chain.run();
    Ok(Some(if chain.seq() == 0 {
        Explainer::new(run.clone(), Some(&plan))
    } else {
        explainer_of(&*services.store, run, &plan)?
    }))
}

fn policy_snapshot(services: &Arc<Services>) -> PolicySnapshot {
    PolicySnapshot {
        policy: Arc::clone(&services.policy),
        policy_digest: services.policy_digest,
        plugins: services.registry.digests.clone(),
        gate: Arc::clone(&services.registry.gate),
        claimed_approval: services.registry.claimed_approval(),
    }
}

fn stored_setup(services: &Arc<Services>, workspace: &Workspace, operator: &RunLimits) -> Result<StoredSetup, Error> {
    let text = |path: &std::path::Path| path.to_string_lossy().into_owned();
    Ok(StoredSetup {
        gate: (*services.registry.gate).clone(),
        claimed_approval: services.registry.claimed_approval(),
        operator: operator.clone(),
        workspace: text(workspace.root()),
        place: workspace.identity()?,
        projects: services.projects.iter().filter_map(|folder| Some(text(&folder.canonicalize().ok()?))).collect(),
    })
}
