//! The journal of one run: whatever is decided is applied, sealed and made durable, in this order of places and never
//! another.

use std::sync::Arc;

use bytes::Bytes;
use fusebox_core::event::{Chain, Event, RunEnd};
use fusebox_core::run::decide;
use fusebox_core::{Amounts, BudgetKind, Command, Digest, Failure, RunState, SealedEvent};
use fusebox_store::{Batch, EventLog, Pending, Settlement};
use tokio::sync::mpsc;

use crate::Error;
use crate::account::{Account, used};
use crate::home::Home;
use crate::lease::Lease;
use crate::now::now_us;
use crate::recall::{Recalled, recall};
use crate::updates::{RunEvent, RunUpdate};

/// State, chain and log of a run. Events gather until [`flush`](Self::flush), which must come before every effect.
pub struct Journal {
    pub state: RunState,
    chain: Chain,
    store: Arc<dyn EventLog>,
    home: Home,
    /// The right to write; `None` while a person is waited for.
    lease: Option<Lease>,
    account: Account,
    batch: Batch,
    /// Handed to the writer, not yet known to be durable. Kept here so that nothing is forgotten when whoever waited is
    /// dropped.
    in_flight: Vec<Pending>,
    /// Sealed, not yet told to whoever watches.
    untold: Vec<(SealedEvent, Event)>,
    updates: mpsc::UnboundedSender<RunUpdate>,
    pub ended: Option<(RunEnd, String, u64)>,
}

/// What a journal is opened with.
pub struct JournalSetup {
    pub state: RunState,
    pub chain: Chain,
    pub store: Arc<dyn EventLog>,
    pub home: Home,
    pub lease: Lease,
    pub account: Account,
    pub updates: mpsc::UnboundedSender<RunUpdate>,
}

impl Journal {
    pub fn new(setup: JournalSetup) -> Self {
        let JournalSetup { state, chain, store, home, lease, account, updates } = setup;
        let (batch, in_flight, untold) = (Batch::default(), Vec::new(), Vec::new());
        Self { state, chain, store, home, lease: Some(lease), account, batch, in_flight, untold, updates, ended: None }
    }

    /// The time of what happens now: never before what happened last, however the clock jumps.
    pub fn now_us(&self) -> u64 {
        now_us().max(self.state.last().1)
    }

    /// Tells the run something. The events that follow are applied at once and durable after the next flush.
    pub fn tell(&mut self, command: Command) -> Result<Vec<Event>, Error> {
        let now = self.now_us();
        let events = decide(&self.state, command, now)?;
        for event in &events {
            self.record(event.clone(), now);
        }
        while self.ended.is_none()
            && let Some((budget, used, limit)) = self.state.warning_due(now)
        {
            self.record(Event::BudgetWarning { budget, used, limit }, now);
        }
        Ok(events)
    }

    /// Records an event that needs no decision.
    pub fn record(&mut self, event: Event, now: u64) {
        self.state.apply(&event, now);
        if let Event::RunEnded { end, message, .. } = &event {
            self.ended = Some((*end, message.clone(), now));
            self.settle();
        }
        let sealed = self.chain.seal(&event, now);
        self.batch.events.push(sealed.clone());
        self.untold.push((sealed, event));
    }

    /// Keeps some bytes with the next events.
    pub fn blob(&mut self, bytes: Bytes) -> Digest {
        let digest = Digest::of(&bytes);
        self.batch.blobs.push(bytes);
        digest
    }

    /// Some bytes that were kept.
    pub fn kept(&self, digest: &Digest) -> Result<Option<Bytes>, Error> {
        let waiting = self.batch.blobs.iter().find(|bytes| Digest::of(bytes) == *digest);
        match waiting {
            Some(bytes) => Ok(Some(bytes.clone())),
            None => Ok(self.store.blob(digest)?),
        }
    }

    /// Makes all events so far durable, then tells whoever watches.
    pub async fn flush(&mut self) -> Result<(), Error> {
        if !self.batch.events.is_empty() || !self.batch.settlements.is_empty() {
            let fence = self.lease.as_ref().map(|lease| lease.fence().clone());
            let batch = Batch { fence, ..std::mem::take(&mut self.batch) };
            self.in_flight.push(self.store.append(batch));
        }
        while let Some(pending) = self.in_flight.first_mut() {
            let written = pending.await;
            self.in_flight.remove(0);
            written?;
        }
        for (sealed, event) in self.untold.drain(..) {
            // Nobody has to watch.
            let _ = self.updates.send(RunUpdate::Event(Box::new(RunEvent { sealed, event })));
        }
        Ok(())
    }

    /// Lets go of the run: all is durable, what its tenant set aside for it goes back, and others may take it up.
    pub async fn let_go(&mut self) -> Result<(), Error> {
        self.settle();
        self.flush().await?;
        self.lease = None;
        Ok(())
    }

    /// Takes the run up again. Says whether it is as it was left: somebody else may have gone on with it.
    pub fn take_up(&mut self) -> Result<Taken, Error> {
        let run = self.state.setup().run.clone();
        let lease = Lease::take(&self.home, &*self.store, &run)?;
        let added = self.store.events(&run, self.chain.seq(), u32::MAX)?;
        if added.iter().any(|event| event.kind == "run_continued") {
            // Another process carried it on, under its own policy perhaps, and may have ended in the middle of a step.
            return Ok(Taken::Elsewhere);
        }
        self.lease = Some(lease);
        if added.is_empty() {
            return Ok(Taken::AsItWas);
        }
        let Recalled { state, chain, ended, .. } = recall(&*self.store, &run)?;
        (self.state, self.chain, self.ended) = (state, chain, ended);
        Ok(Taken::Changed)
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

    /// Sets aside what more of a budget the run is about to use, if its tenant has such a budget.
    ///
    /// # Errors
    /// [`fusebox_store::Error::BudgetExceeded`] when it cannot cover that.
    pub fn cover(&mut self, kind: BudgetKind, more: u64) -> Result<(), fusebox_store::Error> {
        let used = used(&self.state, kind, self.now_us());
        self.account.cover(kind, used, more)
    }

    /// Whether budgets cover all of this. What a tenant's budgets have to set aside for it is set aside.
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
        self.state.ledger().line(kind).limit.is_some() || self.account.kinds().contains(&kind)
    }

    /// Whether the tenant's fuel is used up.
    pub fn is_dry(&mut self) -> Result<bool, Error> {
        let used = used(&self.state, BudgetKind::Fuel, 0);
        Ok(self.account.kinds().contains(&BudgetKind::Fuel) && self.account.left(BudgetKind::Fuel, used, 1)? == 0)
    }

    /// Sets aside one more of each budget that the run's tenant limits: nothing begins without it.
    pub fn cover_next_step(&mut self) -> Result<(), fusebox_store::Error> {
        self.account.kinds().into_iter().try_for_each(|kind| self.cover(kind, 1))
    }

    /// Fuel that the next invocation may use.
    pub fn fuel_for_next(&mut self) -> Result<u64, Error> {
        let own = self.state.fuel_for_next(u64::MAX);
        let used = used(&self.state, BudgetKind::Fuel, 0);
        Ok(own.min(self.account.left(BudgetKind::Fuel, used, own)?))
    }

    /// Wall time that the next invocation may use, in microseconds; `None` without a limit.
    pub fn time_left_us(&mut self) -> Result<Option<u64>, Error> {
        let now = self.now_us();
        let own = self.state.time_left_us(now);
        let used = used(&self.state, BudgetKind::TimeUs, now);
        let of_tenant = self.account.left(BudgetKind::TimeUs, used, own.unwrap_or(u64::MAX))?;
        Ok(if of_tenant == u64::MAX { own } else { Some(own.unwrap_or(u64::MAX).min(of_tenant)) })
    }

    fn settle(&mut self) {
        let settlements: Vec<Settlement> = self.account.settle(&self.state, self.now_us());
        self.batch.settlements.extend(settlements);
    }

    /// Number of events so far.
    pub fn events(&self) -> u64 {
        self.chain.seq()
    }
}

/// How a run is that was taken up again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// As it was left.
    AsItWas,
    /// Somebody answered, paused or ended it.
    Changed,
    /// Another process carried it on: it is not this one's any more.
    Elsewhere,
}
