//! Sessions as an operator handles them: they need no plugins and no policy file, since the log has the session's own rules.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fusebox_core::event::{KillTimes, RunEvent, Signed, StepProposed};
use fusebox_core::gate::GateSetup;
use fusebox_core::run::KindApproval;
use fusebox_core::session::{SessionAnswer, SessionCommand, SessionSetup, SessionState};
use fusebox_core::{Action, ApprovalAnswer, ApprovalId, Binding, Decision, Effect, Json, Origin, RunId, Scope, Step};
use fusebox_store::Store;
use serde::Deserialize;

use super::book::Book;
use super::open::lock_name;
use crate::ambient::now_us;
use crate::error::Error;
use crate::home::Home;
use crate::journal::lease::FileLock;
use crate::journal::replay::{blob, stored_policy};
use crate::redaction::retention::RetentionFilter;

/// Largest stored input of an action, in bytes.
const MAX_INPUT_BYTES: usize = 64 * 1024 * 1024;

/// A session that an operator holds.
pub struct HeldSession {
    log: Arc<dyn Store>,
    book: Book,
    setup: SessionSetup,
    retention: RetentionFilter,
    _lock: FileLock,
}

/// Rules of a session as they were kept.
#[derive(Deserialize)]
struct KeptProjects {
    projects: Vec<PathBuf>,
}

impl HeldSession {
    /// Takes a session, waiting for other processes that work on it.
    ///
    /// # Errors
    /// [`Error::RunBusy`] when another process holds it for too long.
    pub fn take(home: &Home, log: &Arc<dyn Store>, run: &RunId, patience: Duration) -> Result<Self, Error> {
        let book = Book::read(&**log, run)?;
        let identity = book.state.identity();
        let name = lock_name(&identity.tenant, &identity.origin, &identity.external_id);
        let lock = FileLock::take_within(home, &name, patience).map_err(|error| match error {
            Error::RunBusy { holder, .. } => Error::RunBusy { run: run.to_string(), holder },
            other => other,
        })?;
        let book = Book::read(&**log, run)?;
        let identity = book.state.identity();
        let setup = SessionSetup {
            run: run.clone(),
            policy: Arc::new(stored_policy(&**log, run, &identity.rules.policy)?),
            policy_digest: identity.rules.policy,
            plugins: Arc::new(identity.rules.plugins.clone()),
            gate: Arc::new(GateSetup::default()),
            claimed_approval: std::collections::BTreeMap::new(),
            place: identity.rules.place,
        };
        let retention = RetentionFilter::new(None, Vec::new())?;
        Ok(Self { log: Arc::clone(log), book, setup, retention, _lock: lock })
    }

    /// State of the session.
    pub fn state(&self) -> &SessionState {
        &self.book.state
    }

    /// Refuses a session that is over.
    ///
    /// # Errors
    /// [`Error::RunOver`].
    pub fn refuse_ended(&self) -> Result<(), Error> {
        match self.state().ended() {
            Some(_) => {
                let state = self.state().phase_word().to_owned();
                Err(Error::RunOver { run: self.book.run().to_string(), state })
            }
            None => Ok(()),
        }
    }

    /// Kills it, unless it is over.
    pub fn kill(&mut self, by: &str, requested_us: u64) -> Result<(), Error> {
        if self.state().ended().is_some() {
            return Ok(());
        }
        self.tell(SessionCommand::Kill { by: by.to_owned(), times: KillTimes::new(requested_us, now_us()) })
    }

    /// Ends it when nothing happened for as long as its policy lets a session wait. Returns whether it did.
    pub fn close_idle(&mut self) -> Result<bool, Error> {
        if self.state().ended().is_some() || !self.state().is_idle(now_us()) {
            return Ok(false);
        }
        let message = "nothing happened in it for as long as the policy lets a session wait".to_owned();
        self.tell(SessionCommand::Close { message })?;
        Ok(true)
    }

    /// Tells it something, durably.
    pub fn tell(&mut self, command: SessionCommand) -> Result<(), Error> {
        let mut entry = self.book.entry(&self.setup, &mut self.retention);
        entry.submit(command)?;
        if entry.state().ended().is_some() {
            entry.settle();
        }
        entry.commit(&self.log)
    }

    /// Answers one of its questions.
    pub fn answer(&mut self, id: &ApprovalId, answer: ApprovalAnswer, signed: Option<Signed>) -> Result<(), Error> {
        self.tell(SessionCommand::Answer(SessionAnswer { id: id.clone(), answer, signed }))
    }
}

/// A parked action as a person is to see it.
pub struct ParkedAction {
    pub step: Step,
    pub action: Action,
    pub index: usize,
    pub effects: Vec<Effect>,
    pub decision: Decision,
    pub binding: Binding,
    pub expires_us: Option<u64>,
}

/// The action that a question of a session is about; `None` when the question is not open.
pub fn parked(log: &dyn Store, run: &RunId, id: &ApprovalId) -> Result<Option<ParkedAction>, Error> {
    let state = Book::read(log, run)?.state;
    let Some(question) = state.question(id) else { return Ok(None) };
    let sealed = log.events(run, question.judged.saturating_sub(1), 1)?;
    let Some(RunEvent::StepProposed(StepProposed { judged, .. })) =
        sealed.first().map(|sealed| sealed.run_event()).transpose()?
    else {
        return Ok(None);
    };
    let input = Json::parse("the input", &blob(log, run, &judged.input)?, MAX_INPUT_BYTES)?;
    let input = judged.rewritten().cloned().unwrap_or(input);
    let Some(decision) = judged.decision.clone() else { return Ok(None) };
    let action = Action {
        step_type: judged.step_type.clone(),
        input: input.clone(),
        description: judged.description.clone(),
        scope: Scope::Workspace,
        origin: Origin::Hook,
    };
    let step = Step {
        id: judged.step.clone(),
        step_type: judged.step_type.clone(),
        input,
        description: judged.description.clone(),
        reasoning: None,
        confidence: None,
        alternatives: Vec::new(),
        scope: Scope::Workspace,
        safe_point: false,
        max_retries: None,
        time_limit_s: None,
        groups: Vec::new(),
    };
    Ok(Some(ParkedAction {
        step,
        action,
        index: judged.index as usize,
        effects: judged.effects().to_vec(),
        decision,
        binding: question.binding,
        expires_us: question.expires_us,
    }))
}

/// Approvals for the whole session that count now.
pub fn grants(log: &dyn Store, run: &RunId) -> Result<Vec<(String, KindApproval)>, Error> {
    let state = Book::read(log, run)?.state;
    if state.ended().is_some() {
        return Ok(Vec::new());
    }
    Ok(state.grants().map(|(kind, held)| (kind.to_owned(), held.clone())).collect())
}

/// Folders whose own policies tighten the operator's for a session.
pub fn projects(log: &dyn Store, run: &RunId) -> Result<Vec<PathBuf>, Error> {
    let state = Book::read(log, run)?.state;
    let kept = blob(log, run, &state.identity().rules.setup)?;
    Ok(serde_json::from_slice::<KeptProjects>(&kept).map(|kept| kept.projects).unwrap_or_default())
}
