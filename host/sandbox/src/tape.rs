//! Tapes: the recorded host calls of one invocation.

use std::sync::{Arc, Mutex, PoisonError};

use fusebox_core::{Error as CoreError, json};
use serde::{Deserialize, Serialize};

use crate::effect_handler::{EffectHandler, HandlerFuture, HostCall, Reply, Stop};

/// Largest tape that is read back, in bytes: base64 and names around what a tape may hold.
const MAX_TAPE_BYTES: usize = 256 * 1024 * 1024;

/// One call and its answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TapeEntry {
    /// What was asked.
    pub call: HostCall,
    /// What was answered.
    pub reply: Reply,
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
    /// Records what `inner` answers. The second part is the tape, which fills while the invocation goes on.
    pub fn new(inner: H) -> (Self, RecordedTape) {
        let tape = Arc::<Mutex<Tape>>::default();
        (Self { inner, tape: Arc::clone(&tape) }, RecordedTape(tape))
    }
}

/// The tape of a [`Recording`].
#[derive(Debug)]
pub struct RecordedTape(Arc<Mutex<Tape>>);

impl RecordedTape {
    /// What has been recorded.
    #[must_use]
    pub fn take(&self) -> Tape {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<H: EffectHandler> EffectHandler for Recording<H> {
    fn call(&mut self, call: HostCall) -> HandlerFuture<'_> {
        Box::pin(async move {
            let reply = self.inner.call(call.clone()).await?;
            let entry = TapeEntry { call, reply: reply.clone() };
            self.tape.lock().unwrap_or_else(PoisonError::into_inner).entries.push(entry);
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
        let asked = call.to_string();
        let answer = match self.entries.next() {
            Some(entry) if entry.call.to_string() == asked => Ok(entry.reply),
            Some(entry) => Err(Stop::Diverged { expected: entry.call.to_string(), asked }),
            None => Err(Stop::Diverged { expected: "the end of the tape".to_owned(), asked }),
        };
        Box::pin(std::future::ready(answer))
    }
}
