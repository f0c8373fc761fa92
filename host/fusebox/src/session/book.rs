//! State and chain of a session while its lock is held.

use std::sync::Arc;

use bytes::Bytes;
use fusebox_core::event::{Chain, PluginLogged, RunEvent};
use fusebox_core::session::{SessionCommand, SessionSetup, SessionState, decide};
use fusebox_core::{BudgetKind, Digest, PluginLog, RunId, SealedEvent, StepId};
use fusebox_store::{Batch, Blob, Settlement, Snapshot, Store};

use crate::ambient::now_us;
use crate::error::Error;
use crate::redaction::retention::RetentionFilter;

/// Events that are read at once.
const PAGE: u32 = 1000;
/// Events after which the state is kept anew: as many are folded at the most.
const SNAPSHOT_EVERY: u64 = 24;

/// State and chain of a session.
#[derive(Debug, Clone)]
pub struct Book {
    pub state: SessionState,
    chain: Chain,
    /// Place of the last event up to which the state is kept.
    kept_at: u64,
}

/// What a process is about to add to a session.
pub struct Entry<'a> {
    book: &'a mut Book,
    pub setup: &'a SessionSetup,
    pub retention: &'a mut RetentionFilter,
    batch: Batch,
}

impl Book {
    /// A session that begins with an event.
    pub fn begin(run: RunId, opened: fusebox_core::event::SessionOpened, now: u64) -> (Self, SealedEvent) {
        let mut chain = Chain::new(run);
        let sealed = chain.seal(&RunEvent::SessionOpened(opened.clone()), now);
        (Self { state: SessionState::new(opened, now), chain, kept_at: 0 }, sealed)
    }

    /// What the session used up of each budget: the rest of its share returns to its tenant.
    fn settlements(&self) -> Vec<Settlement> {
        let tenant = &self.state.identity().tenant;
        let settle = |budget: BudgetKind| Settlement {
            tenant: tenant.clone(),
            run: self.run().clone(),
            budget,
            used: self.state.budget(budget).spent,
        };
        BudgetKind::ALL.into_iter().map(settle).collect()
    }

    /// Reads a session: its kept state, and the events after it.
    ///
    /// # Errors
    /// When it is no session, or the log is damaged.
    pub fn read(log: &dyn Store, run: &RunId) -> Result<Self, Error> {
        match Self::kept(log, run)? {
            Some(book) => Ok(book),
            None => Self::fold_all(log, run),
        }
    }

    /// The session from all its events.
    pub fn fold_all(log: &dyn Store, run: &RunId) -> Result<Self, Error> {
        let first = log.events(run, 0, 1)?;
        let unknown = || Error::UnknownRun { run: run.to_string() };
        let first = first.first().ok_or_else(unknown)?;
        let RunEvent::SessionOpened(opened) = first.run_event()? else { return Err(unknown()) };
        let state = SessionState::new(opened, first.time_us);
        let mut book = Self { state, chain: Chain::at(run.clone(), first.seq, first.hash), kept_at: 0 };
        book.catch_up(log)?;
        Ok(book)
    }

    /// The session from its kept state; `None` where that is of another version, or does not lead to the events after it.
    fn kept(log: &dyn Store, run: &RunId) -> Result<Option<Self>, Error> {
        let Some(Snapshot { seq, head, state, .. }) = log.snapshot(run)? else { return Ok(None) };
        let Ok(state) = serde_json::from_str::<SessionState>(&state) else { return Ok(None) };
        if state.last().0 != seq {
            return Ok(None);
        }
        let mut book = Self { state, chain: Chain::at(run.clone(), seq, head), kept_at: seq };
        match book.catch_up(log) {
            Ok(()) => Ok(Some(book)),
            Err(Error::Store(fusebox_store::Error::Damaged { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Folds the events that other processes added.
    pub fn catch_up(&mut self, log: &dyn Store) -> Result<(), Error> {
        loop {
            let page = log.events(self.chain.run(), self.chain.seq(), PAGE)?;
            for sealed in &page {
                self.fold(sealed)?;
            }
            if page.len() < PAGE as usize {
                return Ok(());
            }
        }
    }

    fn fold(&mut self, sealed: &SealedEvent) -> Result<(), Error> {
        if sealed.previous != self.chain.head() || sealed.seq != self.chain.seq() + 1 {
            let what = "it does not follow from the event before it".to_owned();
            return Err(fusebox_store::Error::Damaged { run: sealed.run.to_string(), seq: sealed.seq, what }.into());
        }
        self.state.apply(&sealed.run_event()?, sealed.time_us);
        self.chain = Chain::at(sealed.run.clone(), sealed.seq, sealed.hash);
        Ok(())
    }

    /// Id of the session.
    pub fn run(&self) -> &RunId {
        self.chain.run()
    }

    /// Time of the next event: never before the last one, even when the clock jumps back.
    pub fn now_us(&self) -> u64 {
        now_us().max(self.state.last().1)
    }

    /// Begins to add to it.
    pub fn entry<'a>(&'a mut self, setup: &'a SessionSetup, retention: &'a mut RetentionFilter) -> Entry<'a> {
        Entry { book: self, setup, retention, batch: Batch::default() }
    }

    /// The state as it is kept.
    pub fn snapshot(&self) -> Snapshot {
        let (run, seq, head) = (self.chain.run().clone(), self.chain.seq(), self.chain.head());
        Snapshot { run, seq, head, state: serde_json::to_string(&self.state).unwrap_or_default() }
    }
}

impl Entry<'_> {
    /// State of the session, with what was added so far.
    pub fn state(&self) -> &SessionState {
        &self.book.state
    }

    /// Time of the next event.
    pub fn now_us(&self) -> u64 {
        self.book.now_us()
    }

    /// Id of the session.
    pub fn run(&self) -> &RunId {
        self.book.run()
    }

    /// Tells the session something. The events that follow are applied at once and durable after [`commit`](Self::commit).
    pub fn submit(&mut self, command: SessionCommand) -> Result<Vec<RunEvent>, Error> {
        let now = self.now_us();
        let events = decide(&self.book.state, self.setup, command, now)?;
        for event in &events {
            self.record(event, now)?;
        }
        Ok(events)
    }

    /// Records an event. What is kept of it is what other processes fold, so it is applied as it is kept.
    fn record(&mut self, event: &RunEvent, now: u64) -> Result<(), Error> {
        let redacted = self.retention.event(event)?;
        let event = redacted.as_ref().unwrap_or(event);
        let cause = self.cause(event);
        self.batch.events.push(self.book.chain.seal_after(cause, event, now));
        self.book.state.apply(event, now);
        Ok(())
    }

    /// Place of the proposal that an event follows from.
    fn cause(&self, event: &RunEvent) -> Option<u64> {
        match event {
            RunEvent::StepProposed(_) => None,
            RunEvent::ApprovalDecided(decided) => {
                self.book.state.question(&decided.id).map(|question| question.judged + 1)
            }
            _ => {
                let step = event.step()?;
                self.book.state.proposal(step)
            }
        }
    }

    /// Keeps bytes of a step with the next events. Returns the digest by which events name them.
    pub fn blob(&mut self, step: Option<&StepId>, bytes: Bytes) -> Digest {
        let blob = self.retention.blob(step, bytes);
        let digest = blob.digest();
        self.keep(blob);
        digest
    }

    /// Keeps contents of effects with the next events, unless they must not be kept.
    pub fn content(&mut self, step: &StepId, bytes: Bytes) {
        if let Some(blob) = self.retention.content(Some(step), bytes) {
            self.keep(blob);
        }
    }

    /// Keeps a blob with the next events.
    pub fn keep(&mut self, blob: Blob) {
        self.batch.blobs.push(blob);
    }

    /// Keeps what a plugin logged about a step.
    pub fn keep_log(&mut self, step: &StepId, plugin: &str, log: &PluginLog) -> Result<(), Error> {
        if log.is_empty() {
            return Ok(());
        }
        let kept = self.retention.cleaned(&serde_json::to_string(log).unwrap_or_default());
        let digest = self.blob(Some(step), Bytes::from(kept));
        let logged = PluginLogged {
            step: Some(step.clone()),
            plugin: plugin.to_owned(),
            lines: u32::try_from(log.lines.len()).unwrap_or(u32::MAX),
            dropped: log.dropped,
            log: digest,
        };
        self.submit(SessionCommand::Logged(logged)).map(drop)
    }

    /// Returns the rest of its tenant's budgets.
    pub fn settle(&mut self) {
        self.batch.settlements = self.book.settlements();
    }

    /// Makes all of it durable.
    ///
    /// # Errors
    /// When it could not be written, or another process wrote without the lock; then no part of it was.
    pub fn commit(self, log: &Arc<dyn Store>) -> Result<(), Error> {
        let Self { book, mut batch, .. } = self;
        if batch.events.is_empty() {
            return Ok(());
        }
        if book.chain.seq() >= book.kept_at + SNAPSHOT_EVERY || book.state.ended().is_some() {
            batch.snapshot = Some(book.snapshot());
            book.kept_at = book.chain.seq();
        }
        Ok(log.append(batch).wait()?)
    }
}
