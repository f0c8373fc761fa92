//! Tapes: the recorded host calls of one invocation.

use std::sync::Arc;

use fusebox_core::{Error as CoreError, json};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::effect_handler::{EffectHandler, HandlerFuture, HostCall, Reply, Stop};

/// Largest tape that is read back, in bytes: its content with base64 and names around it.
const MAX_TAPE_BYTES: usize = 256 * 1024 * 1024;

/// One call and its answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TapeEntry {
    /// Call of the executor.
    pub call: HostCall,
    /// Answer to the call.
    pub reply: Reply,
}

impl TapeEntry {
    /// The answer, if the call matches.
    fn answer(self, call: &HostCall) -> Result<Reply, Stop> {
        let (expected, asked) = (self.call.to_string(), call.to_string());
        if expected == asked { Ok(self.reply) } else { Err(Stop::Diverged { expected, asked }) }
    }
}

/// The host calls of one invocation, in order.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Tape {
    /// Calls with their answers.
    pub entries: Vec<TapeEntry>,
}

impl Tape {
    /// The tape as canonical JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        json::canonical(self)
    }

    /// A tape from its JSON.
    ///
    /// # Errors
    /// When it is not a tape.
    pub fn from_json(text: &str) -> Result<Self, CoreError> {
        json::parse_as("the tape", text.as_bytes(), MAX_TAPE_BYTES)
    }
}

/// Answers through another handler and records every call.
#[derive(Debug)]
pub struct Recording<H> {
    inner: H,
    tape: Arc<Mutex<Tape>>,
}

impl<H> Recording<H> {
    /// Records the answers of `inner`. The second part is the tape, which fills while the invocation goes on.
    pub fn new(inner: H) -> (Self, RecordedTape) {
        let tape = RecordedTape::default();
        (Self::onto(tape.clone(), inner), tape)
    }

    /// Records the answers of `inner` onto a tape that others read meanwhile.
    pub fn onto(tape: RecordedTape, inner: H) -> Self {
        Self { inner, tape: tape.0 }
    }
}

/// The tape of a [`Recording`]. All clones are one.
#[derive(Debug, Clone, Default)]
pub struct RecordedTape(Arc<Mutex<Tape>>);

impl RecordedTape {
    /// Takes the recorded tape.
    #[must_use]
    pub fn take(&self) -> Tape {
        std::mem::take(&mut *self.0.lock())
    }

    /// The tape from this place on, before this call, as JSON; and the number of calls so far.
    #[must_use]
    pub fn part(&self, from: usize, asked: &HostCall) -> (String, usize) {
        let tape = self.0.lock();
        let entries = tape.entries.get(from..).unwrap_or_default();
        (json::canonical(&(entries, asked)), tape.entries.len())
    }
}

/// A part of a tape: the answers before a call, and that call.
#[derive(Debug, Clone)]
pub struct TapePart {
    /// Calls with their answers.
    pub entries: Vec<TapeEntry>,
    /// The call that came then.
    pub asked: HostCall,
}

impl TapePart {
    /// A part from the JSON that [`RecordedTape::part`] gives.
    ///
    /// # Errors
    /// When it is not such a part.
    pub fn from_json(bytes: &[u8]) -> Result<Self, CoreError> {
        let (entries, asked) = json::parse_as("the part of a tape", bytes, MAX_TAPE_BYTES)?;
        Ok(Self { entries, asked })
    }
}

/// Answers earlier calls from a tape, and later ones through another handler.
#[derive(Debug)]
pub struct Resuming<H> {
    answered: std::vec::IntoIter<TapeEntry>,
    inner: H,
}

impl<H> Resuming<H> {
    /// Answers these first, in this order.
    pub fn new(answered: Vec<TapeEntry>, inner: H) -> Self {
        Self { answered: answered.into_iter(), inner }
    }
}

impl<H: EffectHandler> EffectHandler for Resuming<H> {
    fn call(&mut self, call: HostCall) -> HandlerFuture<'_> {
        match self.answered.next() {
            None => self.inner.call(call),
            Some(entry) => Box::pin(std::future::ready(entry.answer(&call))),
        }
    }

    fn progress(&mut self, message: &str, fraction: Option<f64>) {
        self.inner.progress(message, fraction);
    }
}

impl<H: EffectHandler> EffectHandler for Recording<H> {
    fn call(&mut self, call: HostCall) -> HandlerFuture<'_> {
        Box::pin(async move {
            let reply = self.inner.call(call.clone()).await?;
            let entry = TapeEntry { call, reply: reply.clone() };
            self.tape.lock().entries.push(entry);
            Ok(reply)
        })
    }

    fn progress(&mut self, message: &str, fraction: Option<f64>) {
        self.inner.progress(message, fraction);
    }
}

/// Answers from a tape; nothing reaches the world.
#[derive(Debug)]
pub struct Replaying {
    entries: std::vec::IntoIter<TapeEntry>,
}

impl Replaying {
    /// Answers from this tape, from its start.
    #[must_use]
    pub fn new(tape: Tape) -> Self {
        Self { entries: tape.entries.into_iter() }
    }
}

impl EffectHandler for Replaying {
    fn call(&mut self, call: HostCall) -> HandlerFuture<'_> {
        let answer = match self.entries.next() {
            Some(entry) => entry.answer(&call),
            None => Err(Stop::Diverged { expected: "the end of the tape".to_owned(), asked: call.to_string() }),
        };
        Box::pin(std::future::ready(answer))
    }
}
