//! Events as they are stored: sealed into the chain of their run.

use serde_json::Value;

use super::Event;
use crate::{Digest, DigestBuilder, Error, RunId, json};

/// Largest event read back, in bytes.
const MAX_EVENT_BYTES: usize = 64 * 1024 * 1024;

/// An event with its place in its run's chain: what is stored, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedEvent {
    /// The run.
    pub run: RunId,
    /// Place in the run, counted from 1.
    pub seq: u64,
    /// When it was decided, in microseconds since 1970.
    pub time_us: u64,
    /// The event's name.
    pub kind: String,
    /// The event as canonical JSON.
    pub payload: String,
    /// Hash of the event before; zero for the first.
    pub previous: Digest,
    /// SHA-256 over the length-prefixed fields above, `previous` first.
    pub hash: Digest,
}

impl SealedEvent {
    /// What the hash must be, given the other fields.
    #[must_use]
    pub fn computed_hash(&self) -> Digest {
        DigestBuilder::bare()
            .part(self.previous.as_bytes())
            .part(self.run.as_str().as_bytes())
            .part(&self.seq.to_be_bytes())
            .part(&self.time_us.to_be_bytes())
            .part(self.kind.as_bytes())
            .part(self.payload.as_bytes())
            .finish()
    }

    /// The event.
    ///
    /// # Errors
    /// When the payload is not an event that this version knows.
    pub fn event(&self) -> Result<Event, Error> {
        json::parse_as("the event", self.payload.as_bytes(), MAX_EVENT_BYTES)
    }

    /// The event as one JSON object with its run, place and time: what `--json` prints.
    #[must_use]
    pub fn to_json(&self, time: &str) -> Value {
        let mut value = serde_json::from_str(&self.payload).unwrap_or(Value::Null);
        if let Some(map) = value.as_object_mut() {
            map.insert("run_id".into(), self.run.as_str().into());
            map.insert("seq".into(), self.seq.into());
            map.insert("time".into(), time.into());
            map.insert("hash".into(), self.hash.to_string().into());
        }
        value
    }
}

/// The end of a run's chain, to which events are added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    run: RunId,
    seq: u64,
    head: Digest,
}

impl Chain {
    /// The chain of a run without events.
    #[must_use]
    pub fn new(run: RunId) -> Self {
        Self { run, seq: 0, head: Digest::ZERO }
    }

    /// The chain of a run whose last event has this place and hash.
    #[must_use]
    pub fn at(run: RunId, seq: u64, head: Digest) -> Self {
        Self { run, seq, head }
    }

    /// The run.
    #[must_use]
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// Hash of the last event; zero when there is none.
    #[must_use]
    pub fn head(&self) -> Digest {
        self.head
    }

    /// Events so far.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Adds an event.
    pub fn seal(&mut self, event: &Event, time_us: u64) -> SealedEvent {
        self.seq += 1;
        let mut sealed = SealedEvent {
            run: self.run.clone(),
            seq: self.seq,
            time_us,
            kind: event.kind().to_owned(),
            payload: json::canonical(event),
            previous: self.head,
            hash: Digest::ZERO,
        };
        sealed.hash = sealed.computed_hash();
        self.head = sealed.hash;
        sealed
    }
}
#[cfg(test)]
mod tests {
    use super::super::RunEnd;
    use super::*;

    #[test]
    fn every_change_of_a_sealed_event_shows() {
        let mut chain = Chain::new("run".parse().unwrap());
        let first = chain.seal(&Event::RunStarted, 1);
        let second = chain.seal(&Event::RunEnded { end: RunEnd::Killed, message: String::new(), kill: None }, 2);
        assert_eq!(second.previous, first.hash);
        assert_eq!(second.computed_hash(), second.hash);
        let changes: [fn(&mut SealedEvent); 6] = [
            |event| event.run = "run2".parse().unwrap(),
            |event| event.seq += 1,
            |event| event.time_us += 1,
            |event| event.kind.push('x'),
            |event| event.payload.push(' '),
            |event| event.previous = Digest::ZERO,
        ];
        for change in changes {
            let mut changed = second.clone();
            change(&mut changed);
            assert_ne!(changed.computed_hash(), second.hash);
        }
    }

    #[test]
    fn what_is_stored_reads_back() {
        let event = Event::RunEnded { end: RunEnd::Budget, message: "fuel".into(), kill: None };
        let sealed = Chain::new("run".parse().unwrap()).seal(&event, 1);
        assert_eq!(sealed.event(), Ok(event));
        assert_eq!(sealed.to_json("t")["event"], "run_ended");
    }
}
