//! The journal of one run: decided events are applied, sealed and made durable, always in this order.

pub mod lease;
pub mod outputs;
pub mod replay;
pub mod tenant_budget;
pub mod updates;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use fusebox_core::event::{BudgetWarning, Chain, PluginLogged, RunEnd, RunEnded, RunEvent, RunEventKind};
use fusebox_core::explain::Explainer;
use fusebox_core::gate::GuardAnswer;
use fusebox_core::run::{DriverCommand, decide};
use fusebox_core::{
    Amounts, BudgetKind, Command, Digest, Effect, Failure, Json, PluginLog, RunState, SealedEvent, StepId, json,
};
use fusebox_store::{Batch, Blob, Pending, Settlement, Store};
use tokio::sync::mpsc;

use crate::admission::quota;
use crate::ambient::now_us;
use crate::error::Error;
use crate::home::Home;
use crate::journal::lease::Lease;
use crate::journal::replay::{ReplayedRun, replay};
use crate::journal::tenant_budget::{TenantBudget, used};
use crate::journal::updates::{EventUpdate, RunLog, RunUpdate};
use crate::redaction::retention::RetentionFilter;

/// Most batches of one run that are on their way to the log while the run goes on.
pub const MAX_IN_FLIGHT: usize = 16;

/// A batch that the writer has.
struct InFlight {
    pending: Pending,
    /// Place of its last event.
    last: u64,
}

/// State, chain and log of a run. Events gather until [`flush`](Self::flush), which must come before every effect that
/// leaves the process, and before every answer. A read of the workspace does not leave it.
pub struct Journal {
    pub state: RunState,
    chain: Chain,
    store: Arc<dyn Store>,
    home: Home,
    /// The right to write; `None` while a person is waited for.
    lease: Option<Lease>,
    tenant_budget: TenantBudget,
    retention: RetentionFilter,
    /// Steps whose inputs were not stored and are missing here: they cannot be carried out.
    unavailable: BTreeSet<StepId>,
    batch: Batch,
    /// Handed to the writer, not yet known to be durable. Kept here so that none is lost when a waiting future is
    /// dropped.
    in_flight: VecDeque<InFlight>,
    /// Sealed events that subscribers have not received yet: they are told when these are durable.
    untold: VecDeque<(SealedEvent, RunEvent)>,
    updates: mpsc::UnboundedSender<RunUpdate>,
    explainer: Option<Explainer>,
    pub ended: Option<(RunEnd, String, u64)>,
}

/// Setup of a journal.
pub struct JournalSetup {
    pub state: RunState,
    pub chain: Chain,
    pub lease: Lease,
    pub retention: RetentionFilter,
    /// Steps whose inputs were not stored and are missing here.
    pub unavailable: BTreeSet<StepId>,
}

impl Journal {
    /// Opens the journal of a run whose lease is held.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn open(
        store: &Arc<dyn Store>,
        home: &Home,
        setup: JournalSetup,
        updates: mpsc::UnboundedSender<RunUpdate>,
    ) -> Result<Self, Error> {
        let JournalSetup { state, chain, lease, retention, unavailable } = setup;
        Ok(Self {
            tenant_budget: TenantBudget::of(Arc::clone(store), &state)?,
            state,
            chain,
            store: Arc::clone(store),
            home: home.clone(),
            lease: Some(lease),
            retention,
            unavailable,
            batch: Batch::default(),
            in_flight: VecDeque::new(),
            untold: VecDeque::new(),
            updates,
            explainer: None,
            ended: None,
        })
    }

    /// As [`open`](Self::open), where no process watches.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn unwatched(store: &Arc<dyn Store>, home: &Home, setup: JournalSetup) -> Result<Self, Error> {
        Self::open(store, home, setup, mpsc::unbounded_channel().0)
    }

    /// Tells explanations from now on.
    pub fn explain(&mut self, explainer: Option<Explainer>) {
        self.explainer = explainer;
    }

    /// Time of the next event: never before the last one, even when the clock jumps back.
    pub fn now_us(&self) -> u64 {
        now_us().max(self.state.last().1)
    }

    /// Tells the run something. The events that follow are applied at once and durable after the next flush.
    pub fn submit(&mut self, command: impl Into<Command>) -> Result<Vec<RunEvent>, Error> {
        let now = self.now_us();
        let events = decide(&self.state, command, now)?;
        for event in &events {
            self.record(event.clone(), now)?;
        }
        while self.ended.is_none()
            && let Some((budget, used, limit)) = self.state.warning_due(now)
        {
            self.record(BudgetWarning { budget, used, limit }.into(), now)?;
        }
        Ok(events)
    }

    /// Records an event that needs no decision.
    ///
    /// # Errors
    /// When it may hold a secret, and the redacting guard fails.
    pub fn record(&mut self, event: RunEvent, now: u64) -> Result<(), Error> {
        self.state.apply(&event, now);
        if let RunEvent::RunEnded(RunEnded { end, message, .. }) = &event {
            self.ended = Some((*end, message.clone(), now));
            self.settle();
        }
        let event = self.retention.event(&event)?.unwrap_or(event);
        let sealed = self.chain.seal(&event, now);
        self.batch.events.push(sealed.clone());
        self.untold.push_back((sealed, event));
        Ok(())
    }

    /// Stores some bytes with the next events. Returns the digest by which events name them.
    pub fn blob(&mut self, bytes: Bytes) -> Digest {
        let blob = self.as_blob(bytes);
        let digest = blob.digest();
        self.keep(blob);
        digest
    }

    /// Bytes of the current step as they would be kept.
    pub fn as_blob(&self, bytes: Bytes) -> Blob {
        self.retention.blob(self.current(), bytes)
    }

    /// Keeps a blob with the next events.
    pub fn keep(&mut self, blob: Blob) {
        self.batch.blobs.push(blob);
    }

    /// A text of a plugin, without the secrets in it.
    pub fn cleaned(&self, text: &str) -> String {
        self.retention.cleaned(text)
    }

    /// An answer of a guard whose failure text holds no secrets.
    pub fn cleaned_answer(&self, answer: GuardAnswer) -> GuardAnswer {
        match answer {
            GuardAnswer::Failed(why) => GuardAnswer::Failed(self.cleaned(&why)),
            verdict @ GuardAnswer::Verdict(_) => verdict,
        }
    }

    /// Keeps what a plugin logged about the current step, or about the plan before the first one.
    pub fn keep_log(&mut self, plugin: &str, log: &PluginLog) -> Result<(), Error> {
        let step = if self.state.is_judging_plan() { None } else { self.current().cloned() };
        self.keep_log_about(step, plugin, log)
    }

    /// Keeps what a plugin logged about a step, or about the plan.
    pub fn keep_log_about(&mut self, step: Option<StepId>, plugin: &str, log: &PluginLog) -> Result<(), Error> {
        if log.is_empty() {
            return Ok(());
        }
        // As it is kept: without secrets, also where no guard found one in the step.
        let kept = self.cleaned(&serde_json::to_string(log).unwrap_or_default());
        let blob = self.as_blob(Bytes::from(kept));
        let kept: PluginLog = serde_json::from_slice(blob.bytes()).unwrap_or_default();
        let logged = PluginLogged {
            step: step.clone(),
            plugin: plugin.to_owned(),
            lines: u32::try_from(kept.lines.len()).unwrap_or(u32::MAX),
            dropped: kept.dropped,
            log: blob.digest(),
        };
        self.keep(blob);
        self.submit(DriverCommand::Logged(logged))?;
        let run = self.chain.run().clone();
        let _ = self.updates.send(RunUpdate::Log(Box::new(RunLog { run, step, plugin: plugin.to_owned(), log: kept })));
        Ok(())
    }

    /// Keeps contents of effects with the next events, unless they must not be kept.
    pub fn content(&mut self, bytes: Bytes) {
        if let Some(blob) = self.retention.content(self.current(), bytes) {
            self.keep(blob);
        }
    }

    /// Records a guard's finding in the current step. No part of the step that holds the secret is stored, neither
    /// later ones nor those so far.
    pub fn found_by(&mut self, guard: &str) {
        if self.retention.is_found_by(guard) {
            self.flag();
        }
    }

    /// Searches an effect of the current step for secrets.
    pub fn look_through(&mut self, effect: &Effect, content: Option<&Bytes>) {
        let texts = [Some(json::canonical(effect).as_bytes()), content.map(|bytes| &bytes[..])]
            .into_iter()
            .flatten()
            .any(|bytes| self.retention.is_secret(bytes));
        if texts {
            self.flag();
        }
    }

    /// Searches another input of the current step for secrets.
    pub fn look_through_input(&mut self, input: &Json) {
        if self.retention.is_secret(input.as_str().as_bytes()) {
            self.flag();
        }
    }

    fn flag(&mut self) {
        let Some(step) = self.current().cloned() else { return };
        self.retention.flag(&step);
        let retention = &self.retention;
        self.batch.blobs.retain(|blob| !retention.is_secret(blob.bytes()));
    }

    fn current(&self) -> Option<&StepId> {
        self.state.current().map(|step| &step.id)
    }

    /// Reason why the current step cannot be carried out here, if its input was not stored.
    pub fn unavailable(&self) -> Option<String> {
        let step = self.current().filter(|step| self.unavailable.contains(step))?;
        Some(format!(
            "the input of {step} held a secret, which was not kept; it could only be carried out by the process that was given \
             the plan. Start another run"
        ))
    }

    /// Some bytes that were kept.
    pub fn kept(&self, digest: &Digest) -> Result<Option<Bytes>, Error> {
        let waiting = self.batch.blobs.iter().find(|blob| blob.digest() == *digest);
        match waiting {
            Some(blob) => Ok(Some(blob.bytes().clone())),
            None => Ok(self.store.blob(self.chain.run(), digest)?.map(|blob| blob.bytes().clone())),
        }
    }

    /// Makes all events so far durable, then sends them to subscribers.
    pub async fn flush(&mut self) -> Result<(), Error> {
        self.hand_to_writer();
        self.wait_for(0).await
    }

    /// Hands all events so far to the writer. This waits only where many are on their way: nothing may leave the process
    /// that follows from these events before the next [`flush`](Self::flush).
    pub async fn hand_over(&mut self) -> Result<(), Error> {
        self.hand_to_writer();
        self.tell_durable()?;
        if self.in_flight.len() > MAX_IN_FLIGHT { self.wait_for(MAX_IN_FLIGHT / 2).await } else { Ok(()) }
    }

    /// Whether all events are durable. Sends those that are to subscribers.
    pub fn is_durable(&mut self) -> Result<bool, Error> {
        self.tell_durable()?;
        Ok(self.in_flight.is_empty() && self.batch.events.is_empty())
    }

    fn hand_to_writer(&mut self) {
        if !self.batch.events.is_empty() || !self.batch.settlements.is_empty() {
            let fence = self.lease.as_ref().map(|lease| lease.fence().clone());
            let batch = Batch { fence, ..std::mem::take(&mut self.batch) };
            let last = self.chain.seq();
            self.in_flight.push_back(InFlight { pending: self.store.append(batch), last });
        }
    }

    /// Waits until at most so many batches are on their way.
    async fn wait_for(&mut self, left: usize) -> Result<(), Error> {
        while self.in_flight.len() > left
            && let Some(InFlight { pending, last }) = self.in_flight.front_mut()
        {
            let (written, last) = (pending.await, *last);
            self.in_flight.pop_front();
            written?;
            self.tell(last);
        }
        Ok(())
    }

    fn tell_durable(&mut self) -> Result<(), Error> {
        while let Some(InFlight { pending, last }) = self.in_flight.front_mut()
            && let Some(written) = pending.try_done()
        {
            let last = *last;
            self.in_flight.pop_front();
            written?;
            self.tell(last);
        }
        Ok(())
    }

    /// Sends the events up to a place to subscribers.
    fn tell(&mut self, last: u64) {
        while let Some((sealed, event)) = self.untold.pop_front_if(|(sealed, _)| sealed.seq <= last) {
            // The run may have no subscriber.
            let explained = self.explainer.as_mut().map(|explainer| explainer.note(&event, sealed.time_us));
            let _ = self.updates.send(RunUpdate::Event(Box::new(EventUpdate { sealed, event })));
            for explanation in explained.into_iter().flatten() {
                let _ = self.updates.send(RunUpdate::Explanation(Box::new(explanation)));
            }
        }
    }

    /// Releases the run: all events are durable, the tenant's reserved budgets return, and other processes may continue
    /// it.
    pub async fn release(&mut self) -> Result<(), Error> {
        self.settle();
        self.flush().await?;
        self.lease = None;
        Ok(())
    }

    /// Takes the run again. Returns whether it is unchanged: another process may have continued it.
    pub fn reacquire(&mut self) -> Result<LeaseOutcome, Error> {
        let run = self.state.setup().run.clone();
        let lease = Lease::take(&self.home, &*self.store, &run)?;
        let added = self.store.events(&run, self.chain.seq(), u32::MAX)?;
        if added.iter().any(|event| event.is(RunEventKind::RunContinued)) {
            // Another process carried it on, under its own policy perhaps, and may have ended in the middle of a step.
            return Ok(LeaseOutcome::Elsewhere);
        }
        self.lease = Some(lease);
        if added.is_empty() {
            return Ok(LeaseOutcome::AsItWas);
        }
        let ReplayedRun { state, chain, ended, redacted, .. } = replay(&*self.store, &run)?;
        (self.state, self.chain, self.ended) = (state, chain, ended);
        // The inputs at hand are the stored ones.
        self.unavailable = redacted;
        Ok(LeaseOutcome::Changed)
    }

    /// Whether the run is this process's to drive.
    pub fn is_held(&self) -> bool {
        self.lease.is_some()
    }

    /// Whether events were added to the run while it was let go of.
    pub fn has_moved_on(&self) -> bool {
        let head = self.store.head(&self.state.setup().run);
        head.is_ok_and(|head| head.is_some_and(|(seq, _)| seq != self.chain.seq()))
    }

    /// Reserves the amount of a budget that the run is about to use, if its tenant has such a budget.
    ///
    /// # Errors
    /// [`fusebox_store::Error::BudgetExceeded`] when it cannot cover that.
    pub fn cover(&mut self, kind: BudgetKind, more: u64) -> Result<(), fusebox_store::Error> {
        let used = used(&self.state, kind, self.now_us());
        self.tenant_budget.cover(kind, used, more)
    }

    /// Whether budgets cover these amounts. The tenant's part is reserved.
    pub fn covers(&mut self, amounts: &Amounts) -> Result<bool, Failure> {
        if self.state.ledger().can_reserve(amounts).is_err() {
            return Ok(false);
        }
        for (kind, amount) in amounts {
            match self.cover(*kind, *amount) {
                Ok(()) => {}
                Err(fusebox_store::Error::BudgetExceeded { .. }) => return Ok(false),
                Err(error) => return Err(Failure::Io(error.to_string())),
            }
        }
        Ok(true)
    }

    /// Whether the run or its tenant has such a budget.
    pub fn has_limit(&self, kind: BudgetKind) -> bool {
        self.state.ledger().line(kind).limit.is_some() || self.tenant_budget.kinds().contains(&kind)
    }

    /// Whether the tenant's fuel is used up.
    pub fn is_fuel_exhausted(&mut self) -> Result<bool, Error> {
        let used = used(&self.state, BudgetKind::Fuel, 0);
        Ok(self.tenant_budget.kinds().contains(&BudgetKind::Fuel)
            && self.tenant_budget.left(BudgetKind::Fuel, used, 1)? == 0)
    }

    /// Reason why the run must stop, if its tenant has no room left in the log.
    pub fn over_quota(&self) -> Result<Option<String>, Error> {
        let setup = self.state.setup();
        Ok(quota::over_quota(&*self.store, &setup.policy, &setup.tenant)?.map(|error| error.to_string()))
    }

    /// Sets aside one more of each budget that the run's tenant limits: nothing begins without it.
    pub fn cover_next_step(&mut self) -> Result<(), fusebox_store::Error> {
        self.tenant_budget.kinds().into_iter().try_for_each(|kind| self.cover(kind, 1))
    }

    /// Fuel that the next invocation may use.
    pub fn fuel_for_next(&mut self) -> Result<u64, Error> {
        let own = self.state.fuel_for_next(u64::MAX);
        let used = used(&self.state, BudgetKind::Fuel, 0);
        Ok(own.min(self.tenant_budget.left(BudgetKind::Fuel, used, own)?))
    }

    /// Wall time that the next invocation may use, in microseconds; `None` without a limit.
    pub fn time_left_us(&mut self) -> Result<Option<u64>, Error> {
        let now = self.now_us();
        let own = self.state.time_left_us(now);
        let used = used(&self.state, BudgetKind::TimeUs, now);
        let of_tenant = self.tenant_budget.left(BudgetKind::TimeUs, used, own.unwrap_or(u64::MAX))?;
        Ok(if of_tenant == u64::MAX { own } else { Some(own.unwrap_or(u64::MAX).min(of_tenant)) })
    }

    fn settle(&mut self) {
        let settlements: Vec<Settlement> = self.tenant_budget.settle(&self.state, self.now_us());
        self.batch.settlements.extend(settlements);
    }

    /// Number of events so far.
    pub fn events(&self) -> u64 {
        self.chain.seq()
    }
}

/// State of a run that was taken again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseOutcome {
    /// As it was left.
    AsItWas,
    /// Another process answered, paused or ended it.
    Changed,
    /// Another process carried it on: it is not this one's any more.
    Elsewhere,
}
