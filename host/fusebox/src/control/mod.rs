//! Operations on runs from any process: list them, pause, resume and kill them, answer their questions. They need no
//! plugins and no policy, so they work even when those are broken.
//!
//! ```
//! use fusebox::{Control, RunFilter};
//!
//! # let folder = tempfile::tempdir()?;
//! let control = Control::open(folder.path())?;
//! assert!(control.runs(&RunFilter::default(), 20)?.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod answer;
mod explanations;
mod grants;
mod kill;
pub mod outcomes;
mod recover;
mod tenant_budgets;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fusebox_core::event::{HostEvent, PauseAsked, PluginLogged, RunEvent};
use fusebox_core::id::check_tenant;
use fusebox_core::policy::AuditPolicy;
use fusebox_core::run::{PersonCommand, Phase, ProcessCommand};
use fusebox_core::session::SessionCommand;
use fusebox_core::signal::{Signal, SignalKind};
use fusebox_core::{KillTarget, RunId};
use fusebox_store::{RunFilter, RunKind, RunRow, Store, Switch};

pub use answer::{Asked, OpenQuestion, Responder};
pub use grants::StandingApproval;
pub use kill::KillOutcome;
pub use recover::Recovered;

use crate::ambient::now_us;
use crate::audit::{self, Audit};
use crate::copies::{self, WorkspaceCopy};
use crate::error::Error;
use crate::home::Home;
use crate::journal::lease::Lease;
use crate::journal::replay::{ReplayedRun, replay};
use crate::journal::updates::{EventUpdate, RunLog};
use crate::journal::{Journal, JournalSetup};
use crate::log::side_chain::record_for_host;
use crate::redaction::retention::RetentionFilter;
use crate::session;
use crate::session::control::HeldSession;
use crate::signals::board::Board;

/// Longest wait for a process that holds a run only for a moment.
const PATIENCE: Duration = Duration::from_secs(2);
/// Time between two tries to take a run.
const RETRY: Duration = Duration::from_millis(2);
/// Longest time that a process holds a run that it does not drive.
const HELD: Duration = Duration::from_millis(100);

/// All runs of one home.
pub struct Control {
    home: Home,
    log: Arc<dyn Store>,
    audit: Audit,
    /// The only tenant whose runs are visible; all without it.
    tenant: Option<String>,
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").field("home", &self.home.path()).finish_non_exhaustive()
    }
}

/// A run in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedRun {
    /// State of the run in the log.
    pub row: RunRow,
    /// Whether a process drives it.
    pub is_driven: bool,
}

/// Outcome of a pause request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PauseOutcome {
    /// The run is paused.
    Paused,
    /// It was paused already.
    WasPaused,
    /// The process that drives it has been asked, and pauses it when the step under way has ended.
    Asked,
}

impl Control {
    /// Opens the runs of a home.
    ///
    /// # Errors
    /// When the home or its log cannot be used.
    pub fn open(home: &Path) -> Result<Self, Error> {
        let home = Home::open(home)?;
        let (log, keys) = audit::open_log(&home, &AuditPolicy::default())?;
        let audit = Audit { log: Arc::clone(&log), keys, redactor: None, policy: Arc::default() };
        Ok(Self { home, log, audit, tenant: None })
    }

    /// The runs of a host, through its own log.
    pub(crate) fn of(home: Home, log: Arc<dyn Store>, audit: Audit) -> Self {
        Self { home, log, audit, tenant: None }
    }

    /// The same for the runs of one tenant alone: runs of others do not exist for it. Pass it on to code that acts for
    /// that tenant.
    ///
    /// # Errors
    /// When the name is not allowed for a tenant, or this one is already limited to another tenant.
    pub fn of_tenant(&self, tenant: &str) -> Result<Self, Error> {
        check_tenant(tenant)?;
        if !self.is_its(tenant) {
            let only = self.tenant.clone().unwrap_or_default();
            return Err(Error::OtherTenant { tenant: only, asked: format!("the tenant {tenant}") });
        }
        let (home, log, audit) = (self.home.clone(), Arc::clone(&self.log), self.audit.clone());
        Ok(Self { home, log, audit, tenant: Some(tenant.to_owned()) })
    }

    /// The audit log of all tenants; none for one of a single tenant, which [`Audit`]'s calls name.
    #[must_use]
    pub fn audit(&self) -> Option<&Audit> {
        self.tenant.is_none().then_some(&self.audit)
    }

    /// The newest runs that pass a filter, newest first, at most `max`.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn runs(&self, filter: &RunFilter, max: u32) -> Result<Vec<ListedRun>, Error> {
        Ok(self.rows(filter, max)?.into_iter().map(|row| self.listed(row)).collect())
    }

    /// One run by its id.
    ///
    /// # Errors
    /// When there is no such run, or the log cannot be read.
    pub fn run(&self, run: &RunId) -> Result<ListedRun, Error> {
        Ok(self.listed(self.row(run)?))
    }

    /// Events of a run after place `after`, at most `max`, in order.
    ///
    /// # Errors
    /// When the log cannot be read, or an event differs from the one that was written.
    pub fn events(&self, run: &RunId, after: u64, max: u32) -> Result<Vec<EventUpdate>, Error> {
        if self.tenant.is_some() {
            self.row(run)?;
        }
        let sealed = self.log.events(run, after, max)?;
        sealed.into_iter().map(|sealed| Ok(EventUpdate { event: sealed.run_event()?, sealed })).collect()
    }

    /// Lines that an event says a plugin logged; `None` for other events, and where they were erased.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn plugin_log(&self, update: &EventUpdate) -> Result<Option<RunLog>, Error> {
        let RunEvent::PluginLogged(PluginLogged { step, plugin, log, .. }) = &update.event else { return Ok(None) };
        let run = update.sealed.run.clone();
        let Some(kept) = self.log.blob(&run, log)? else { return Ok(None) };
        let log = serde_json::from_slice(kept.bytes()).unwrap_or_default();
        Ok(Some(RunLog { run, step: step.clone(), plugin: plugin.clone(), log }))
    }

    /// All kill switches that are set.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn switches(&self) -> Result<Vec<Switch>, Error> {
        let is_its = |switch: &Switch| match (&self.tenant, &switch.target) {
            (None, _) | (_, KillTarget::All) => true,
            (Some(only), KillTarget::Tenant(tenant)) => tenant == only,
            (Some(_), KillTarget::Run(run)) => self.row(run).is_ok(),
        };
        Ok(self.log.switches()?.into_iter().filter(is_its).collect())
    }

    /// Folders whose own policies tighten the operator's for a run: the continuing process applies them.
    ///
    /// # Errors
    /// When there is no such run, or the log cannot be read.
    pub fn projects(&self, run: &RunId) -> Result<Vec<std::path::PathBuf>, Error> {
        match self.row(run)?.kind {
            RunKind::Run => Ok(replay(&*self.log, run)?.projects),
            RunKind::Session => session::control::projects(&*self.log, run),
        }
    }

    /// Copies of workspaces that runs worked on, the oldest run first.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn copies(&self) -> Result<Vec<WorkspaceCopy>, Error> {
        let copies = copies::list(&self.home, &*self.log)?;
        Ok(copies.into_iter().filter(|copy| self.tenant.is_none() || self.row(&copy.run).is_ok()).collect())
    }

    /// Removes the copy of the workspace of a run that has ended. Returns whether there was one.
    ///
    /// # Errors
    /// When the log cannot be read, or the copy cannot be removed, wholly or in part.
    pub fn remove_copy(&self, run: &RunId) -> Result<bool, Error> {
        let has_ended = |copy: &WorkspaceCopy| copy.run == *run && copy.ended_us.is_some();
        let Some(copy) = self.copies()?.into_iter().find(has_ended) else { return Ok(false) };
        std::fs::remove_dir_all(&copy.path).map_err(|source| Error::NotRemoved { path: copy.path, source })?;
        Ok(true)
    }

    /// Stops a run until it is resumed. A step under way in another process is completed first.
    ///
    /// # Errors
    /// When there is no such run, it has ended, or the log cannot be written.
    pub fn pause(&self, run: &RunId, by: &str, reason: &str) -> Result<PauseOutcome, Error> {
        let RunRow { tenant, kind, .. } = self.row(run)?;
        if kind == RunKind::Session {
            return self.pause_session(run, &tenant, by, reason);
        }
        let request = Signal {
            kind: SignalKind::Pause,
            target: KillTarget::Run(run.clone()),
            by: by.to_owned(),
            requested_us: now_us(),
        };
        match self.journal(run, HELD) {
            Err(Error::RunBusy { .. }) => {
                // Durable first: the driving process may end before it receives the signal.
                let asked = HostEvent::PauseAsked(PauseAsked {
                    run: run.clone(),
                    by: by.to_owned(),
                    reason: reason.to_owned(),
                });
                record_for_host(&*self.log, &tenant, &asked)?;
                Board::open(&self.home)?.request(&request)?;
                Ok(PauseOutcome::Asked)
            }
            Err(error) => Err(error),
            Ok(mut journal) => {
                refuse_ended(&journal)?;
                let was = journal.state.paused_by().is_some();
                if !was {
                    journal.submit(PersonCommand::Pause { by: by.to_owned(), reason: reason.to_owned() })?;
                }
                pollster::block_on(journal.release())?;
                Ok(if was { PauseOutcome::WasPaused } else { PauseOutcome::Paused })
            }
        }
    }

    fn pause_session(&self, run: &RunId, tenant: &str, by: &str, reason: &str) -> Result<PauseOutcome, Error> {
        let mut session = match self.held_session(run, PATIENCE) {
            Err(Error::RunBusy { .. }) => {
                // Whichever process works on the session next pauses it.
                let (run, by, reason) = (run.clone(), by.to_owned(), reason.to_owned());
                record_for_host(&*self.log, tenant, &HostEvent::PauseAsked(PauseAsked { run, by, reason }))?;
                return Ok(PauseOutcome::Asked);
            }
            held => held?,
        };
        session.refuse_ended()?;
        if session.state().paused_by().is_some() {
            return Ok(PauseOutcome::WasPaused);
        }
        session.tell(SessionCommand::Pause { by: by.to_owned(), reason: reason.to_owned() })?;
        Ok(PauseOutcome::Paused)
    }

    /// Resumes a paused run, so that a process can continue it. Returns whether it was paused.
    ///
    /// # Errors
    /// When there is no such run, it has ended, or the log cannot be written.
    pub fn resume(&self, run: &RunId, by: &str) -> Result<bool, Error> {
        if self.row(run)?.kind == RunKind::Session {
            let mut session = self.held_session(run, PATIENCE)?;
            session.refuse_ended()?;
            let was = session.state().paused_by().is_some();
            if was {
                session.tell(SessionCommand::Resume { by: by.to_owned() })?;
            }
            return Ok(was);
        }
        let mut journal = self.journal(run, PATIENCE)?;
        refuse_ended(&journal)?;
        if journal.state.paused_by().is_none() {
            return Ok(false);
        }
        journal.submit(PersonCommand::Resume { by: by.to_owned() })?;
        pollster::block_on(journal.release())?;
        Ok(true)
    }

    fn listed(&self, row: RunRow) -> ListedRun {
        ListedRun { is_driven: Lease::is_held(&self.home, &row.run), row }
    }

    pub(crate) fn log(&self) -> &dyn Store {
        &*self.log
    }

    fn row(&self, run: &RunId) -> Result<RunRow, Error> {
        let found = self.log.run(run)?.filter(|row| self.is_its(&row.tenant));
        found.ok_or_else(|| Error::UnknownRun { run: run.to_string() })
    }

    fn rows(&self, filter: &RunFilter, max: u32) -> Result<Vec<RunRow>, Error> {
        let mut filter = filter.clone();
        if let Some(only) = &self.tenant {
            if filter.tenant.as_ref().is_some_and(|tenant| tenant != only) {
                return Ok(Vec::new());
            }
            filter.tenant = Some(only.clone());
        }
        Ok(self.log.runs(&filter, max)?)
    }

    /// Whether this control handles runs of the tenant.
    fn is_its(&self, tenant: &str) -> bool {
        self.tenant.as_ref().is_none_or(|only| only == tenant)
    }

    /// Switches reach no further than it does.
    fn may_switch(&self, target: &KillTarget) -> Result<(), Error> {
        match (&self.tenant, target) {
            (None, _) => Ok(()),
            (Some(only), KillTarget::Tenant(tenant)) if tenant == only => Ok(()),
            (Some(_), KillTarget::Run(run)) => self.row(run).map(|_| ()),
            (Some(only), _) => Err(Error::OtherTenant { tenant: only.clone(), asked: target.to_string() }),
        }
    }

    /// Takes a run that no process drives, waiting for one that holds it for a moment.
    fn journal(&self, run: &RunId, patience: Duration) -> Result<Journal, Error> {
        let lease = self.lease(run, patience)?;
        let ReplayedRun { state, chain, ended, redacted, .. } = replay(&*self.log, run)?;
        let retention = RetentionFilter::new(None, Vec::new())?;
        let setup = JournalSetup { state, chain, lease, retention, unavailable: redacted };
        let mut journal = Journal::unwatched(&self.log, &self.home, setup)?;
        journal.ended = ended;
        if journal.state.phase() == Phase::Running && !journal.state.is_interrupted() {
            // No process held the run, so its own process ended, and no other worked on it since.
            journal.submit(ProcessCommand::Interrupted)?;
        }
        Ok(journal)
    }

    /// Takes a session, waiting for processes that work on it.
    fn held_session(&self, run: &RunId, patience: Duration) -> Result<HeldSession, Error> {
        HeldSession::take(&self.home, &self.log, run, patience)
    }

    fn lease(&self, run: &RunId, patience: Duration) -> Result<Lease, Error> {
        Lease::take_within(&self.home, &*self.log, run, patience)
    }
}

fn refuse_ended(journal: &Journal) -> Result<(), Error> {
    let state = &journal.state;
    match journal.ended {
        Some(_) => Err(Error::RunOver { run: state.setup().run.to_string(), state: state.phase().to_string() }),
        None => Ok(()),
    }
}
