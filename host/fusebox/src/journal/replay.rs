//! Reading a run back from the log.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use fusebox_core::event::{Chain, RunContinued, RunCreated, RunEnd, RunEnded, RunEvent};
use fusebox_core::gate::GateSetup;
use fusebox_core::run::{RunSetup, StoredSetup};
use fusebox_core::{Digest, Plan, Policy, RunId, RunState, SealedEvent, StepId, json};
use fusebox_store::{RunKind, Store};

use crate::error::Error;

/// Events that are read at once.
const PAGE: u32 = 1000;
/// Largest policy that is kept, in bytes.
const MAX_POLICY_BYTES: usize = 16 * 1024 * 1024;

/// A run as its log says that it stands.
pub struct ReplayedRun {
    pub state: RunState,
    pub chain: Chain,
    /// Digest of its stored setup.
    pub setup: Digest,
    pub workspace: PathBuf,
    /// Folders whose own policies tighten the operator's.
    pub projects: Vec<PathBuf>,
    /// The last stored setup: judges, limits and workspace.
    pub stored: StoredSetup,
    /// Steps whose inputs were not stored.
    pub redacted: BTreeSet<StepId>,
    /// End of the run with its reason and time, if it has ended.
    pub ended: Option<(RunEnd, String, u64)>,
}

/// Refuses what no process of this host can carry on.
///
/// # Errors
/// When there is no such run, or it is a session.
pub fn check_has_plan(log: &dyn Store, run: &RunId) -> Result<(), Error> {
    match log.run(run)?.map(|row| row.kind) {
        Some(RunKind::Session) => Err(Error::IsSession { run: run.to_string() }),
        Some(_) => Ok(()),
        None => Err(Error::UnknownRun { run: run.to_string() }),
    }
}

/// Folds all events of a run.
///
/// # Errors
/// When there is no such run, or the log is damaged.
pub fn replay(log: &dyn Store, run: &RunId) -> Result<ReplayedRun, Error> {
    let unknown = || Error::UnknownRun { run: run.to_string() };
    let first = log.events(run, 0, 1)?;
    let created = first.first().ok_or_else(unknown)?;
    let RunEvent::RunCreated(RunCreated { tenant, plan, policy, plugins, limits, setup, redacted, .. }) =
        created.run_event()?
    else {
        return Err(unknown());
    };
    let digest = setup;
    let plan = Plan::from_canonical(&blob(log, run, &plan)?)?;
    let stored = stored_setup(log, run, &digest)?;
    let setup = RunSetup {
        run: run.clone(),
        tenant,
        plan: Arc::new(plan),
        policy: Arc::new(stored_policy(log, run, &policy)?),
        policy_digest: policy,
        plugins,
        gate: Arc::new(stored.gate.clone()),
        claimed_approval: stored.claimed_approval.clone(),
        limits,
        operator: stored.operator.clone(),
        place: stored.place,
    };
    let mut replayed = ReplayedRun {
        state: RunState::new(Arc::new(setup)),
        chain: Chain::new(run.clone()),
        setup: digest,
        workspace: stored.workspace.clone().into(),
        projects: stored.projects.iter().map(PathBuf::from).collect(),
        stored,
        redacted: redacted.into_iter().collect(),
        ended: None,
    };
    loop {
        let page = log.events(run, replayed.chain.seq(), PAGE)?;
        for sealed in &page {
            replayed.fold(log, sealed)?;
        }
        if page.len() < PAGE as usize {
            return Ok(replayed);
        }
    }
}

impl ReplayedRun {
    fn fold(&mut self, log: &dyn Store, sealed: &SealedEvent) -> Result<(), Error> {
        let run = &sealed.run;
        if sealed.previous != self.chain.head() || sealed.seq != self.chain.seq() + 1 {
            return Err(damaged(run, sealed.seq, "it does not follow from the event before it").into());
        }
        let event = sealed.run_event()?;
        if let RunEvent::RunContinued(RunContinued { setup, policy, plugins, .. }) = &event {
            let before = self.state.setup();
            if *setup != self.setup || *policy != before.policy_digest || *plugins != before.plugins {
                let stored = stored_setup(log, run, setup)?;
                let policy_is = stored_policy(log, run, policy)?;
                let policy_snapshot = PolicySnapshot {
                    policy: Arc::new(policy_is),
                    policy_digest: *policy,
                    plugins: plugins.clone(),
                    gate: Arc::new(stored.gate.clone()),
                    claimed_approval: stored.claimed_approval.clone(),
                };
                (self.setup, self.stored) = (*setup, stored);
                self.state.rebind(policy_snapshot.setup_after(before, self.stored.place));
            }
        }
        if let RunEvent::RunEnded(RunEnded { end, message, .. }) = &event {
            self.ended = Some((*end, message.clone(), sealed.time_us));
        }
        self.state.apply(&event, sealed.time_us);
        self.chain.follow(sealed, &event);
        Ok(())
    }
}

/// Judges and policy of a run, which can change while no process carries it out.
pub struct PolicySnapshot {
    pub policy: Arc<Policy>,
    pub policy_digest: Digest,
    pub plugins: BTreeMap<String, Digest>,
    pub gate: Arc<GateSetup>,
    pub claimed_approval: BTreeMap<String, bool>,
}

impl PolicySnapshot {
    /// The setup of a run that was set up otherwise before, in a workspace with this identity.
    pub fn setup_after(self, before: &RunSetup, place: Digest) -> Arc<RunSetup> {
        let Self { policy, policy_digest, plugins, gate, claimed_approval } = self;
        Arc::new(RunSetup {
            run: before.run.clone(),
            tenant: before.tenant.clone(),
            plan: Arc::clone(&before.plan),
            limits: before.limits.tighten(&policy.limits),
            policy,
            policy_digest,
            plugins,
            gate,
            claimed_approval,
            operator: before.operator.clone(),
            place,
        })
    }
}

fn stored_setup(log: &dyn Store, run: &RunId, digest: &Digest) -> Result<StoredSetup, Error> {
    Ok(StoredSetup::from_canonical(&blob(log, run, digest)?)?)
}

pub fn stored_policy(log: &dyn Store, run: &RunId, digest: &Digest) -> Result<Policy, Error> {
    Ok(json::parse_as("the stored policy", &blob(log, run, digest)?, MAX_POLICY_BYTES)?)
}

/// A blob that an event of a run names.
pub fn blob(log: &dyn Store, run: &RunId, digest: &Digest) -> Result<Bytes, Error> {
    log.blob(run, digest)?.map_or_else(|| missing(run, digest), |blob| Ok(blob.bytes().clone()))
}

/// A blob that an event of a run names is not there.
pub fn missing<T>(run: &RunId, digest: &Digest) -> Result<T, Error> {
    let what = format!("the blob {digest} is missing, or was erased");
    Err(fusebox_store::Error::RunDamaged { run: run.to_string(), what }.into())
}

fn damaged(run: &RunId, seq: u64, what: &str) -> fusebox_store::Error {
    fusebox_store::Error::Damaged { run: run.to_string(), seq, what: what.to_owned() }
}
