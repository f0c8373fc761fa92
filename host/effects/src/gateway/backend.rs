//! Backends, which answer prompts.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use fusebox_core::Json;

/// One request to one backend.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Name of the model at the backend.
    pub model: &'a str,
    /// Text of the whole prompt.
    pub prompt: &'a str,
    /// Most tokens of the answer.
    pub max_output_tokens: u64,
    /// Schema that the answer must satisfy.
    pub schema: Option<&'a Json>,
}

/// Answer of a backend.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The text; of a structured answer, its JSON.
    pub text: String,
    /// Tokens of the prompt, if the backend says.
    pub input_tokens: Option<u64>,
    /// Tokens of the answer, if the backend says.
    pub output_tokens: Option<u64>,
}

/// Reason why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Description of the fault, without any key.
    pub message: String,
    /// Remedy for the fault.
    pub remedy: Remedy,
    /// Whether the backend may have worked on the request, and so may charge for it.
    pub charge: Billable,
    /// Whether a time limit was reached.
    pub timed_out: bool,
}

/// Remedy for a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Asking the same again may help, after this wait if the backend named one.
    Retry(Option<Duration>),
    /// Only another route can help.
    Next,
}

/// Cost of a failed exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Billable {
    /// Nothing: it was not begun, or was refused.
    Nothing,
    /// The prompt and, at the most, this many bytes of an answer that came so far.
    Partial(u64),
}

impl Fault {
    /// A fault that only another route can help, before any charge.
    pub fn fatal(message: impl Into<String>) -> Self {
        Self { message: message.into(), remedy: Remedy::Next, charge: Billable::Nothing, timed_out: false }
    }

    /// A fault that a retry may help, before anything was charged.
    pub fn passing(message: impl Into<String>) -> Self {
        Self { remedy: Remedy::Retry(None), ..Self::fatal(message) }
    }

    /// A time limit was reached after the request was sent.
    pub fn timed_out(message: impl Into<String>, charge: Billable) -> Self {
        Self { timed_out: true, charge, ..Self::passing(message) }
    }

    /// The same, with this charge.
    pub fn charged(mut self, charge: Billable) -> Self {
        self.charge = charge;
        self
    }
}

/// Receives pieces of the answer as they come.
pub type OnText<'a> = &'a mut (dyn FnMut(&str) + Send);

/// An exchange under way. Dropping it ends it at once.
pub type Exchange<'a> = Pin<Box<dyn Future<Output = Result<Answer, Fault>> + Send + 'a>>;

/// Answers prompts. Three implementations: OpenAI-compatible servers, a router, recordings.
pub trait Backend: Send + Sync {
    /// Makes one request.
    fn exchange<'a>(&'a self, ask: Ask<'a>, on_text: OnText<'a>) -> Exchange<'a>;
}
