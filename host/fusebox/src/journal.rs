//! The journal of one run: whatever is decided is applied, sealed and made durable, in this order of places and never
//! another.

use std::sync::Arc;

use bytes::Bytes;
use fusebox_core::event::{Chain, Event, RunEnd};
use fusebox_core::run::decide;
use fusebox_core::{Command, Digest, RunState, SealedEvent};
use fusebox_store::{Batch, EventLog, Pending};
use tokio::sync::mpsc;

use crate::Error;
use crate::now::now_us;
use crate::updates::{RunEvent, RunUpdate};

/// State, chain and log of a run. Events gather until [`flush`](Self::flush), which must come before every effect.
pub struct Journal {
    pub state: RunState,
    chain: Chain,
    store: Arc<dyn EventLog>,
    batch: Batch,
    /// Handed to the writer, not yet known to be durable. Kept here so that nothing is forgotten when whoever waited is
    /// dropped.
    in_flight: Vec<Pending>,
    /// Sealed, not yet told to whoever watches.
    untold: Vec<(SealedEvent, Event)>,
    updates: mpsc::UnboundedSender<RunUpdate>,
    pub ended: Option<(RunEnd, String, u64)>,
}

impl Journal {
    pub fn new(state: RunState, store: Arc<dyn EventLog>, updates: mpsc::UnboundedSender<RunUpdate>) -> Self {
        let chain = Chain::new(state.setup().run.clone());
        let (batch, in_flight, untold) = (Batch::default(), Vec::new(), Vec::new());
        Self { state, chain, store, batch, in_flight, untold, updates, ended: None }
    }

    /// Tells the run something. The events that follow are applied at once and durable after the next flush.
    pub fn tell(&mut self, command: Command) -> Result<Vec<Event>, Error> {
        let now = now_us();
        let events = decide(&self.state, command, now)?;
        for event in &events {
            self.record(event.clone(), now);
        }
        Ok(events)
    }

    /// Records an event that needs no decision.
    pub fn record(&mut self, event: Event, now: u64) {
        self.state.apply(&event, now);
        if let Event::RunEnded { end, message, .. } = &event {
            self.ended = Some((*end, message.clone(), now));
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

    /// Makes all events so far durable, then tells whoever watches.
    pub async fn flush(&mut self) -> Result<(), Error> {
        if !self.batch.events.is_empty() {
            self.in_flight.push(self.store.append(std::mem::take(&mut self.batch)));
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

    /// Number of events so far.
    pub fn events(&self) -> u64 {
        self.chain.seq()
    }
}
