//! Events as they are stored: sealed into the chain of their run.

use serde::Serialize;
use serde_json::Value;

use super::cause::Causes;
use super::{Event, HostEvent, MAX_EVENT_BYTES, RunEvent, RunEventKind, SCHEMA_VERSION};
use crate::id::DEFAULT_TENANT;
use crate::{Digest, DigestBuilder, Error, RunId, json};

/// What an event's fields but its payload take with their lengths, for the names that runs and kinds of events have.
const HEAD_BYTES: usize = 256;

/// Hash of an event: SHA-256 over these fields, each preceded by its length as 8 bytes, numbers as 8 bytes, all big-endian.
#[must_use]
pub fn event_hash(previous: &Digest, run: &str, seq: u64, time_us: u64, kind: &str, payload: &str) -> Digest {
    // What is short is put together first: hashing many short pieces takes longer than hashing them.
    let mut head = [0; HEAD_BYTES];
    let mut length = 0;
    let parts: [&[u8]; 5] =
        [previous.as_bytes(), run.as_bytes(), &seq.to_be_bytes(), &time_us.to_be_bytes(), kind.as_bytes()];
    for part in parts {
        for bytes in [&(part.len() as u64).to_be_bytes()[..], part] {
            let Some(place) = head.get_mut(length..length + bytes.len()) else {
                return parts
                    .iter()
                    .fold(DigestBuilder::bare(), |all, part| all.part(part))
                    .part(payload.as_bytes())
                    .finish();
            };
            place.copy_from_slice(bytes);
            length += bytes.len();
        }
    }
    DigestBuilder::bare().raw(head.get(..length).unwrap_or_default()).part(payload.as_bytes()).finish()
}

/// Whose log a chain is part of, by its first event.
#[must_use]
pub fn tenant_of_first(payload: &str) -> String {
    #[derive(serde::Deserialize)]
    struct First {
        tenant: Option<String>,
    }
    let named = serde_json::from_str::<First>(payload).ok().and_then(|first| first.tenant);
    named.unwrap_or_else(|| DEFAULT_TENANT.to_owned())
}

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
        event_hash(&self.previous, self.run.as_str(), self.seq, self.time_us, &self.kind, &self.payload)
    }

    /// The event.
    ///
    /// # Errors
    /// When the payload is not an event that this version knows.
    pub fn event(&self) -> Result<Event, Error> {
        Event::read(&self.kind, &self.payload)
    }

    /// The event, in the chain of a run.
    ///
    /// # Errors
    /// When the payload is not an event of a run that this version knows.
    pub fn run_event(&self) -> Result<RunEvent, Error> {
        json::parse_as("the event", self.payload.as_bytes(), MAX_EVENT_BYTES)
    }

    /// Whether it is an event of a run, of this kind.
    #[must_use]
    pub fn is(&self, kind: RunEventKind) -> bool {
        let name: &str = kind.into();
        self.kind == name
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

/// An event with what its chain says of it.
#[derive(Serialize)]
struct StoredEvent<'a, E> {
    #[serde(flatten)]
    event: &'a E,
    schema: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
}

/// The end of a run's chain, to which events are added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    run: RunId,
    seq: u64,
    head: Digest,
    /// Whose log it is part of, where its first event does not say so itself.
    tenant: Option<String>,
    causes: Causes,
}

impl Chain {
    /// The chain of a run without events.
    #[must_use]
    pub fn new(run: RunId) -> Self {
        Self::at(run, 0, Digest::ZERO)
    }

    /// Lets its first event say whose log it is part of, for chains that are no runs.
    #[must_use]
    pub fn of_tenant(mut self, tenant: &str) -> Self {
        self.tenant = Some(tenant.to_owned());
        self
    }

    /// The chain of a run whose last event has this place and hash.
    #[must_use]
    pub fn at(run: RunId, seq: u64, head: Digest) -> Self {
        Self { run, seq, head, tenant: None, causes: Causes::default() }
    }

    /// Goes on behind an event that was read from the log of a run.
    pub fn follow(&mut self, sealed: &SealedEvent, event: &RunEvent) {
        self.causes.note(event, sealed.seq);
        (self.seq, self.head) = (sealed.seq, sealed.hash);
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

    /// Adds an event of a run. What is stored of it says as well which version of the format it has, and which event of its
    /// run it follows from (`cause`, a place).
    pub fn seal(&mut self, event: &RunEvent, time_us: u64) -> SealedEvent {
        let cause = self.causes.note(event, self.seq + 1);
        self.add(event.kind(), event, cause, time_us)
    }

    /// Adds an event of a session, which follows from the event at this place, if that is known.
    pub fn seal_after(&mut self, cause: Option<u64>, event: &RunEvent, time_us: u64) -> SealedEvent {
        self.add(event.kind(), event, cause, time_us)
    }

    /// Adds an event of the host. The first of its chain says whose log it is part of (`tenant`).
    pub fn seal_host(&mut self, event: &HostEvent, time_us: u64) -> SealedEvent {
        self.add(event.kind(), event, None, time_us)
    }

    fn add<E: Serialize>(&mut self, kind: &str, event: &E, cause: Option<u64>, time_us: u64) -> SealedEvent {
        self.seq += 1;
        let tenant = self.tenant.as_deref().filter(|_| self.seq == 1);
        let stored = StoredEvent { event, schema: SCHEMA_VERSION, cause, tenant };
        let mut sealed = SealedEvent {
            run: self.run.clone(),
            seq: self.seq,
            time_us,
            kind: kind.to_owned(),
            payload: json::canonical(&stored),
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
    use super::super::{ApprovalRequested, PauseAsked, RunEnd, RunEnded, RunStarted, StepJudged, StepRestored};
    use super::*;

    #[test]
    fn every_change_of_a_sealed_event_shows() {
        let mut chain = Chain::new("run".parse().unwrap());
        let first = chain.seal(&RunEvent::RunStarted(RunStarted {}), 1);
        let second = chain.seal(
            &RunEvent::RunEnded(RunEnded { end: RunEnd::Killed, budget: None, message: String::new(), kill: None }),
            2,
        );
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
    fn a_hash_is_over_length_prefixed_fields_however_long_they_are() {
        for run in ["r".to_owned(), "r".repeat(64), "r".repeat(300)] {
            let parts: [&[u8]; 6] =
                [&[0; 32], run.as_bytes(), &7_u64.to_be_bytes(), &8_u64.to_be_bytes(), b"kind", b"{}"];
            let expected = parts.iter().fold(DigestBuilder::bare(), |all, part| all.part(part)).finish();
            assert_eq!(event_hash(&Digest::ZERO, &run, 7, 8, "kind", "{}"), expected);
        }
    }

    #[test]
    fn what_is_stored_reads_back() {
        let event = RunEvent::RunEnded(RunEnded {
            end: RunEnd::Budget,
            budget: Some(crate::BudgetKind::Fuel),
            message: "fuel".into(),
            kill: None,
        });
        let sealed = Chain::new("run".parse().unwrap()).seal(&event, 1);
        assert_eq!(sealed.run_event().as_ref(), Ok(&event));
        assert_eq!(sealed.event(), Ok(event.into()));
        let shown = sealed.to_json("t");
        assert_eq!((&shown["event"], &shown["schema"]), (&"run_ended".into(), &SCHEMA_VERSION.into()));
    }

    #[test]
    fn an_event_says_what_it_follows_from() {
        let step: crate::StepId = "s".parse().unwrap();
        let mut chain = Chain::new("run".parse().unwrap());
        let mut cause = |event: &RunEvent| chain.seal(event, 1).to_json("t")["cause"].as_u64();
        assert_eq!(cause(&RunEvent::RunStarted(RunStarted {})), None);
        let judged = RunEvent::StepJudged(StepJudged {
            step: step.clone(),
            index: 0,
            attempt: 1,
            step_type: "t".into(),
            input: Digest::ZERO,
            description: String::new(),
            proposed_us: 1,
            previews: Vec::new(),
            verdicts: Vec::new(),
            impact: None,
            decision: None,
        });
        assert_eq!(cause(&judged), Some(1));
        let requested = RunEvent::ApprovalRequested(ApprovalRequested {
            step: step.clone(),
            id: "apr-1".parse().unwrap(),
            binding: crate::Binding(Digest::ZERO),
            expires_us: None,
            kind: None,
        });
        assert_eq!(cause(&requested), Some(2));
        assert_eq!(cause(&RunEvent::StepRestored(StepRestored { step })), Some(3));
    }

    #[test]
    fn a_chain_that_is_no_run_says_whose_it_is() {
        let run: RunId = "host-1".parse().unwrap();
        let event = HostEvent::PauseAsked(PauseAsked { run: run.clone(), by: "p".into(), reason: String::new() });
        let mut chain = Chain::new(run.clone()).of_tenant("acme");
        let (first, second) = (chain.seal_host(&event, 1), chain.seal_host(&event, 2));
        assert_eq!(tenant_of_first(&first.payload), "acme");
        assert!(!second.payload.contains("acme"));
        assert_eq!(tenant_of_first("{}"), DEFAULT_TENANT);
        assert_eq!(first.event(), Ok(event.into()));
        assert!(first.run_event().is_err(), "it is no event of a run");
    }
}
