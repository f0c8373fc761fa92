//! The model gateway: one alias in, one answer out, from any of its routes.
//!
//! An alias has routes, which are asked in order until one answers. Each request is an *exchange* with a backend (three
//! kinds: a server that speaks OpenAI's chat completions, a router, a recording). An exchange has time limits and a
//! size limit; it is repeated where that can help, and an answer that does not satisfy its schema goes back to be
//! repaired. The highest cost of all this is known before ([`Quote`]) and never exceeded: no exchange begins that the
//! reserved amounts do not cover.

mod backend;
mod cassette;
mod complete;
pub(crate) mod http;
pub(crate) mod key;
mod openai;
mod quote;
mod response;
mod router;
mod setup;
mod structured;

pub use complete::{Completed, Completion, ModelRequest};
pub use quote::{Form, Money, Quote};
pub use response::{ResponseForm, read_response};
pub use setup::MissingKey;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fusebox_core::Price;
use fusebox_core::policy::Unpriced;

use self::backend::Backend;

/// Reaches models. Cheap to share; keys are read once, when it is made.
pub struct Gateway {
    models: Models,
    limits: Limits,
    unpriced: Unpriced,
    lacking: Vec<MissingKey>,
}

/// Models of a gateway.
enum Models {
    /// Those of the policy, by alias.
    Named(BTreeMap<String, Vec<Route>>),
    /// All aliases, answered by one backend.
    Any(Route),
}

/// A route to a model.
#[derive(Clone)]
struct Route {
    endpoint: String,
    /// Name of the model at the endpoint; the alias itself when left out.
    model: Option<String>,
    backend: Arc<dyn Backend>,
    price: Option<Price>,
}

/// Limits of exchanges, beside the budget.
#[derive(Debug, Clone, Copy)]
struct Limits {
    timeout: Duration,
    retries: u32,
    max_wait: Duration,
    repairs: u32,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").field("models", &self.models()).finish_non_exhaustive()
    }
}

impl Gateway {
    /// Aliases of all models; none when any alias is answered, as from a recording.
    #[must_use]
    pub fn models(&self) -> Vec<&str> {
        match &self.models {
            Models::Named(models) => models.keys().map(String::as_str).collect(),
            Models::Any(_) => Vec::new(),
        }
    }

    /// Endpoints that cannot be asked for want of a key.
    #[must_use]
    pub fn lacking(&self) -> &[MissingKey] {
        &self.lacking
    }

    /// Whether an alias can be asked.
    #[must_use]
    pub fn knows(&self, alias: &str) -> bool {
        match &self.models {
            Models::Named(models) => models.contains_key(alias),
            Models::Any(_) => true,
        }
    }
}
