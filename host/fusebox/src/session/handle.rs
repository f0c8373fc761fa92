//! A session as its caller sees it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use fusebox_core::breaker::CallOutcome;
use fusebox_core::event::ObservedOutcome;
use fusebox_core::session::{Call, CallState, Observation, SessionCommand, SessionState, Verdict};
use fusebox_core::{Json, RunId};
use parking_lot::Mutex;

use super::book::Book;
use super::open::{self, Live};
use super::options::{ObservedCall, SessionAction, SessionOptions, SessionOutcome};
use super::propose;
use crate::admission::throttle::{Throttle, ThrottleKey};
use crate::error::Error;
use crate::services::Services;

/// Longest summary that is kept, in characters.
const MAX_SUMMARY_CHARS: usize = 500;
/// Largest data of a note that are kept, in bytes.
const MAX_NOTE_BYTES: usize = 64 * 1024;

/// Largest output of an action, in bytes.
const MAX_OUTPUT_BYTES: usize = 64 * 1024 * 1024;

/// What became of an outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// Whether it was recorded: the session knows the call, and its outcome was not known.
    pub is_recorded: bool,
    /// The output without its secrets, where guards found some.
    pub redacted: Option<Json>,
}

/// A session: a run whose steps others carry out. Every call blocks its thread until what follows from it is durable, and
/// while another process works on the same session.
pub struct Session {
    services: Arc<Services>,
    options: SessionOptions,
    run: RunId,
    workspace: PathBuf,
    /// The session as this process left it; none after a failure.
    known: Mutex<Option<Book>>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("run", &self.run).finish_non_exhaustive()
    }
}

impl Session {
    /// Opens a session, or finds it.
    pub(crate) fn open(services: &Arc<Services>, options: SessionOptions) -> Result<Self, Error> {
        let live = open::open(services, &options, None)?;
        let workspace = live.workspace.root().to_path_buf();
        let (run, known) = (live.book.run().clone(), Mutex::new(Some(live.book)));
        Ok(Self { services: Arc::clone(services), options, run, workspace, known })
    }

    /// Id of the session: that of a run.
    #[must_use]
    pub fn id(&self) -> &RunId {
        &self.run
    }

    /// The folder that the session works in, without links: the one that it began in.
    #[must_use]
    pub fn workspace(&self) -> &Path {
        &self.workspace
    }

    /// The answer that the newest call like this got, as long as it is kept in mind and the session may go on.
    ///
    /// # Errors
    /// As [`propose`](Self::propose).
    pub fn answered(&self, call: &ObservedCall) -> Result<Option<Verdict>, Error> {
        self.with(|services, live| {
            let counts = |call: &Call| live.book.state.refusal(&call.step_type).is_none();
            let found = find(&live.book.state, live.salt, call).filter(counts);
            found.map(|call| propose::repeated(services, &live.book, &call)).transpose()
        })
    }

    /// Proposes an action that the caller is about to carry out. The answer is durable before it is given. No error means
    /// allow.
    ///
    /// # Errors
    /// When the session cannot be worked on, because another process holds it for too long, or the log cannot be written.
    pub fn propose(&self, action: &SessionAction) -> Result<Verdict, Error> {
        self.with(|services, live| propose::propose(services, live, action))
    }

    /// Records the outcome of an action.
    ///
    /// # Errors
    /// As [`propose`](Self::propose), or when a guard that keeps secrets out of the log fails.
    pub fn observe(&self, call: &ObservedCall, outcome: &SessionOutcome) -> Result<Observed, Error> {
        self.with(|services, live| observe(services, live, call, outcome))
    }

    /// Records something that is no action, such as a prompt. `kind` is a word.
    ///
    /// # Errors
    /// As [`observe`](Self::observe), or when the kind is no word.
    pub fn note(&self, kind: &str, data: Option<&Json>) -> Result<(), Error> {
        open::check_name("the kind of the note", kind)?;
        self.with(|services, live| note(services, live, kind, data))
    }

    /// Ends the session. What is still under way has no known outcome then. Nothing happens to one that is over.
    ///
    /// # Errors
    /// As [`propose`](Self::propose).
    pub fn close(&self, message: &str) -> Result<(), Error> {
        self.with(|services, live| {
            if live.book.state.ended().is_some() {
                return Ok(());
            }
            let Live { book, setup, retention, .. } = live;
            let mut entry = book.entry(setup, retention);
            entry.submit(SessionCommand::Close { message: message.to_owned() })?;
            entry.settle();
            entry.commit(&services.store)
        })
    }

    /// The state of the session, as it is now in the log.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn state(&self) -> Result<SessionState, Error> {
        Ok(Book::read(&*self.services.store, &self.run)?.state)
    }

    /// Works on the session while its lock is held.
    fn with<T>(&self, work: impl FnOnce(&Arc<Services>, &mut Live) -> Result<T, Error>) -> Result<T, Error> {
        let mut known = self.known.lock();
        let mut live = open::open(&self.services, &self.options, known.take())?;
        let done = work(&self.services, &mut live)?;
        *known = Some(live.book);
        Ok(done)
    }
}

fn observe(
    services: &Arc<Services>,
    live: &mut Live,
    call: &ObservedCall,
    outcome: &SessionOutcome,
) -> Result<Observed, Error> {
    let redacted = match (&services.redactor, &outcome.output) {
        (Some(redactor), Some(output)) => redactor.redacted(output.as_str())?,
        _ => None,
    };
    let redacted =
        redacted.map(|text| Json::parse("what a guard redacted", text.as_bytes(), MAX_OUTPUT_BYTES)).transpose()?;
    let Live { book, setup, retention, salt, .. } = live;
    let open = find(&book.state, *salt, call).filter(|call| call.state == CallState::Open);
    let Some(call) = open else { return Ok(Observed { is_recorded: false, redacted }) };
    let Call { step, step_type, .. } = call;
    let kept = redacted.as_ref().or(outcome.output.as_ref());
    let output = kept.and_then(|output| bounded(output, services.policy.sessions.output_kib));
    // What the world answers was judged by no guard, so each part is searched for secrets.
    retention.flag(&step);
    let summary = retention.cleaned(&outcome.summary.chars().take(MAX_SUMMARY_CHARS).collect::<String>());
    let mut entry = book.entry(setup, retention);
    let output = output.map(|output| entry.blob(Some(&step), output));
    let (outcome, took_us) = (outcome.outcome, outcome.took_us);
    entry.submit(SessionCommand::Observe(Observation { step, outcome, summary, output, took_us }))?;
    entry.commit(&services.store)?;
    let counted = match outcome {
        ObservedOutcome::Completed => CallOutcome::Succeeded,
        ObservedOutcome::Failed => CallOutcome::Failed,
        ObservedOutcome::NotDone | ObservedOutcome::Unknown => CallOutcome::Unknown,
    };
    let identity = book.state.identity();
    let who = ThrottleKey { tenant: &identity.tenant, agent: &identity.agent.id, step_type: &step_type };
    if let Some(admitted) = Throttle::resumed(&services.policy, who, 0) {
        services.throttle.record(&admitted, counted, book.now_us())?;
    }
    Ok(Observed { is_recorded: true, redacted })
}

/// The newest call that is meant.
fn find(state: &SessionState, salt: [u8; fusebox_store::SALT_BYTES], call: &ObservedCall) -> Option<Call> {
    let found = match call {
        ObservedCall::Step(step) => state.open_calls().find(|call| call.step == *step),
        ObservedCall::Named(name) => state.call(Some(name), None),
        ObservedCall::Like { step_type, input } => {
            let action = propose::action_digest(salt, step_type, input);
            state.call(None, Some(&action))
        }
        ObservedCall::NamedLike { step_type, input } => {
            let action = propose::action_digest(salt, step_type, input);
            state.call(None, Some(&action)).filter(|call| call.call.is_some())
        }
    };
    found.cloned()
}

/// An output as far as it is kept: JSON that is too long becomes a text that is cut.
fn bounded(output: &Json, most_kib: u32) -> Option<Bytes> {
    let most = most_kib as usize * 1024;
    let text = output.as_str();
    if most == 0 {
        return None;
    }
    if text.len() <= most {
        return Some(Bytes::from(text.to_owned()));
    }
    let mut end = most;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let cut = text.get(..end).unwrap_or_default();
    Some(Bytes::from(fusebox_core::json::canonical(&serde_json::json!({ "cut": cut, "bytes": text.len() }))))
}

fn note(services: &Arc<Services>, live: &mut Live, kind: &str, data: Option<&Json>) -> Result<(), Error> {
    let Live { book, setup, retention, .. } = live;
    if book.state.ended().is_some() {
        return Ok(());
    }
    // No step: what is searched for secrets is the data themselves.
    let data = data.and_then(|data| bounded(data, u32::try_from(MAX_NOTE_BYTES / 1024).unwrap_or(u32::MAX)));
    let data = data.map(|data| Bytes::from(retention.cleaned(&String::from_utf8_lossy(&data))));
    let mut entry = book.entry(setup, retention);
    let data = data.map(|data| entry.blob(None, data));
    entry.submit(SessionCommand::Note { kind: kind.to_owned(), data })?;
    entry.commit(&services.store)
}
