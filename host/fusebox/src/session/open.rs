//! Opening a session, or finding it.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use fusebox_core::event::{KillTimes, RunEnd, SessionContinued, SessionOpened, SessionRules};
use fusebox_core::gate::GateSetup;
use fusebox_core::id::check_tenant;
use fusebox_core::session::{SessionCommand, SessionSetup};
use fusebox_core::{Digest, Error as CoreError, LimitSource, RunId, json};
use fusebox_effects::Workspace;
use fusebox_store::{Batch, Blob, SALT_BYTES};
use serde::Serialize;

use super::book::Book;
use super::options::SessionOptions;
use crate::admission::kill_switch::ending_new;
use crate::admission::quota::over_quota;
use crate::ambient::{host_version, new_run_id, new_salt, now_us, rfc3339};
use crate::error::Error;
use crate::journal::lease::FileLock;
use crate::journal::replay::missing;
use crate::redaction::retention::RetentionFilter;
use crate::services::Services;

/// Longest id of a session in another program, and longest name of a call there, in characters.
pub const MAX_NAME_CHARS: usize = 256;
/// Longest goal that is kept, in characters.
const MAX_GOAL_CHARS: usize = 200;

/// A session while its lock is held.
pub struct Live {
    pub book: Book,
    pub setup: SessionSetup,
    pub retention: RetentionFilter,
    pub workspace: Arc<Workspace>,
    /// Secret salt of the session's blobs.
    pub salt: [u8; SALT_BYTES],
    held: FileLock,
}

/// Rules of a session as they are kept.
#[derive(Serialize)]
struct KeptSetup<'a> {
    gate: &'a GateSetup,
    projects: Vec<String>,
}

/// Locks a session by its identity.
pub fn lock(services: &Services, options: &SessionOptions) -> Result<FileLock, Error> {
    let SessionOptions { tenant, origin, external_id, patience, .. } = options;
    let name = lock_name(tenant, origin, external_id);
    FileLock::take_within(&services.home, &name, *patience)
}

/// Name of the lock of a session.
pub fn lock_name(tenant: &str, origin: &str, external_id: &str) -> String {
    let digest = Digest::of(json::canonical(&(tenant, origin, external_id)).as_bytes()).to_string();
    format!("session-{}", digest.get(..40).unwrap_or_default())
}

/// Refuses names that a session cannot have.
pub fn check(options: &SessionOptions) -> Result<(), Error> {
    let SessionOptions { tenant, origin, external_id, .. } = options;
    check_tenant(tenant)?;
    origin.parse::<RunId>().map_err(|_| CoreError::BadId { id: origin.chars().take(80).collect() })?;
    check_name("the id of the session", external_id)
}

/// Refuses a name of another program that is empty, too long, or holds control characters.
pub fn check_name(what: &'static str, name: &str) -> Result<(), Error> {
    let message = if name.is_empty() {
        "it is empty".to_owned()
    } else if name.chars().count() > MAX_NAME_CHARS {
        format!("it has more than {MAX_NAME_CHARS} characters")
    } else if name.chars().any(char::is_control) {
        "it holds control characters".to_owned()
    } else {
        return Ok(());
    };
    Err(Error::BadSessionName { what, message })
}

/// Opens a session, or finds it, and holds its lock. `known` is its state as this process knows it.
pub fn open(services: &Arc<Services>, options: &SessionOptions, known: Option<Book>) -> Result<Live, Error> {
    check(options)?;
    let held = lock(services, options)?;
    let Some(book) = find(services, options, known)? else { return begin(services, options, None, held) };
    if let Some((end, _)) = book.state.ended()
        && end != RunEnd::Killed
    {
        return begin(services, options, Some(book.run().clone()), held);
    }
    let mut live = Live::of(services, book, held)?;
    live.settle(services)?;
    match live.book.state.ended() {
        // A killed session stays killed, whatever its program does.
        Some((RunEnd::Killed, _)) => Ok(live),
        Some(_) => {
            let Live { book, held, .. } = live;
            begin(services, options, Some(book.run().clone()), held)
        }
        None => {
            live.follow_rules(services)?;
            Ok(live)
        }
    }
}

/// The newest session with this identity, as it is now.
fn find(services: &Services, options: &SessionOptions, known: Option<Book>) -> Result<Option<Book>, Error> {
    let SessionOptions { tenant, origin, external_id, .. } = options;
    let log = &*services.store;
    let Some(run) = log.session(tenant, origin, external_id)? else { return Ok(None) };
    match known.filter(|book| *book.run() == run) {
        Some(mut book) => {
            book.catch_up(log)?;
            Ok(Some(book))
        }
        None => Book::read(log, &run).map(Some),
    }
}

impl Live {
    fn of(services: &Services, book: Book, held: FileLock) -> Result<Self, Error> {
        // Wherever its program goes, the workspace stays the one that the session began in.
        let workspace = open_workspace(services, Path::new(&book.state.identity().rules.workspace))?;
        let setup = setup_of(services, book.run().clone(), &workspace)?;
        let kept = book.state.identity().rules.setup;
        let salt = match services.store.blob(book.run(), &kept)? {
            Some(blob) => blob.salt().and_then(|salt| salt.try_into().ok()),
            None => None,
        };
        let salt = match salt {
            Some(salt) => salt,
            None if book.state.ended().is_some() => new_salt()?,
            None => return missing(book.run(), &kept),
        };
        let retention = RetentionFilter::new(services.redactor.clone(), Vec::new())?.with_salt(salt);
        Ok(Self { book, setup, retention, workspace, salt, held })
    }

    /// Lets happen what is due: a kill switch ends the session, a pause that was asked for begins, and a session in which
    /// nothing happened for long is over.
    fn settle(&mut self, services: &Services) -> Result<(), Error> {
        if self.book.state.ended().is_some() {
            return Ok(());
        }
        let run = self.book.run().clone();
        let mut commands = Vec::new();
        if let Some(switch) = services.store.killed_by(&run)? {
            let times = KillTimes::new(switch.set_us, now_us());
            commands.push(SessionCommand::Kill { by: switch.by, times });
        } else if self.book.state.is_idle(self.book.now_us()) {
            let message = "nothing happened in it for as long as the policy lets a session wait".to_owned();
            commands.push(SessionCommand::Close { message });
        } else if self.book.state.paused_by().is_none()
            && let Some((by, reason)) = services.store.pause_asked(&run)?
        {
            commands.push(SessionCommand::Pause { by, reason });
        }
        self.tell(services, commands)
    }

    /// Makes the rules of this process those of the session, where they are others.
    fn follow_rules(&mut self, services: &Services) -> Result<(), Error> {
        let identity = self.book.state.identity();
        let rules = &*identity.rules;
        let is_same = rules.policy == services.policy_digest
            && rules.plugins == services.registry.digests
            && rules.place == self.setup.place
            && rules.host == host_version()
            && rules.engine == services.sandbox.engine();
        if is_same {
            return Ok(());
        }
        let (setup, policy) = blobs_of(services, self.salt);
        let rules = rules_of(services, &self.workspace, &self.setup, &setup, &policy);
        let mut entry = self.book.entry(&self.setup, &mut self.retention);
        entry.keep(setup);
        entry.keep(policy);
        entry.submit(SessionCommand::Continue(Box::new(SessionContinued { rules })))?;
        entry.commit(&services.store)
    }

    fn tell(&mut self, services: &Services, commands: Vec<SessionCommand>) -> Result<(), Error> {
        let mut entry = self.book.entry(&self.setup, &mut self.retention);
        for command in commands {
            entry.submit(command)?;
        }
        entry.commit(&services.store)
    }
}

/// Begins a session.
fn begin(
    services: &Arc<Services>,
    options: &SessionOptions,
    continues: Option<RunId>,
    held: FileLock,
) -> Result<Live, Error> {
    let SessionOptions { agent, tenant, origin, external_id, goal, .. } = options;
    if let Some(switch) = ending_new(&*services.store, tenant)? {
        let at = rfc3339(switch.set_us);
        return Err(Error::KillSwitch { target: switch.target.to_string(), by: switch.by, at });
    }
    if let Some(over) = over_quota(&*services.store, &services.policy, tenant)? {
        return Err(over.into());
    }
    // Without a key nothing of it could be proved.
    services.audit.keys.ring(&*services.store, tenant)?;
    if let Some(redactor) = &services.redactor
        && redactor.redacted_value(&(agent.clone(), external_id.clone()))?.is_some()
    {
        return Err(Error::SecretInName { what: "the agent or the id of the session" });
    }
    let workspace = open_workspace(services, &options.workspace)?;
    let (run, salt) = (new_run_id()?, new_salt()?);
    let setup = setup_of(services, run.clone(), &workspace)?;
    let retention = RetentionFilter::new(services.redactor.clone(), Vec::new())?.with_salt(salt);
    let (kept, policy) = blobs_of(services, salt);
    let limits = services.policy.limits.clone().capped();
    let goal: String = goal.chars().take(MAX_GOAL_CHARS).collect();
    let opened = SessionOpened {
        goal: retention.cleaned(&goal),
        agent: agent.clone(),
        tenant: tenant.clone(),
        origin: origin.clone(),
        external_id: external_id.clone(),
        continues,
        limits_by: limits.set_by(&[(LimitSource::Policy, &limits)]),
        rules: Box::new(rules_of(services, &workspace, &setup, &kept, &policy)),
    };
    let (book, sealed) = Book::begin(run, opened, now_us());
    let batch = Batch { events: vec![sealed], blobs: vec![kept, policy], ..Batch::default() };
    services.store.append(batch).wait()?;
    Ok(Live { book, setup, retention, workspace, salt, held })
}

/// Opens the workspace of a session.
fn open_workspace(services: &Services, folder: &Path) -> Result<Arc<Workspace>, Error> {
    let workspace = Workspace::open(folder)?.with_hard_links(services.policy.workspace.hard_links);
    services.home.keep_apart(workspace.root())?;
    Ok(Arc::new(workspace))
}

fn setup_of(services: &Services, run: RunId, workspace: &Workspace) -> Result<SessionSetup, Error> {
    Ok(SessionSetup {
        run,
        policy: Arc::clone(&services.policy),
        policy_digest: services.policy_digest,
        plugins: Arc::new(services.registry.digests.clone()),
        gate: Arc::clone(&services.registry.gate),
        claimed_approval: services.registry.claimed_approval(),
        place: workspace.identity()?,
    })
}

/// What a session is judged by in this process; judges and policy as they are kept.
fn rules_of(
    services: &Services,
    workspace: &Workspace,
    setup: &SessionSetup,
    judges: &Blob,
    policy: &Blob,
) -> SessionRules {
    SessionRules {
        workspace: text(workspace.root()),
        place: setup.place,
        policy: policy.digest(),
        plugins: services.registry.digests.clone(),
        limits: services.policy.limits.clone().capped(),
        idle_us: Some(services.policy.sessions.idle_us()),
        setup: judges.digest(),
        host: host_version(),
        engine: services.sandbox.engine(),
    }
}

/// Judges and rules of the gate, whose salt is that of the session, and the policy: each as it is kept.
fn blobs_of(services: &Services, salt: [u8; SALT_BYTES]) -> (Blob, Blob) {
    let projects = services.projects.iter().filter_map(|folder| Some(text(&folder.canonicalize().ok()?))).collect();
    let kept = KeptSetup { gate: &services.registry.gate, projects };
    let setup = Blob::salted(salt, Bytes::from(json::canonical(&kept)));
    (setup, Blob::plain(Bytes::from(json::canonical(&*services.policy))))
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
