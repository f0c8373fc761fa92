//! Sinks: receivers of events besides the log. Their events come from the log, so none is lost even when a sink fails;
//! and each sink has its own thread, so a slow or failing one never delays a run.

mod cloud_events;
mod kinds;
#[cfg(feature = "otel")]
mod otel;
mod sink;
mod subscription;
mod worker;

use std::path::Path;
use std::sync::Arc;

use fusebox_core::Policy;
use fusebox_core::policy::{SinkKind, SinkPolicy};
use fusebox_store::Store;

use kinds::LackingSink;
pub use kinds::{JsonlSink, MemorySink, StdoutSink, WebhookSink};
#[cfg(feature = "otel")]
pub use otel::{Arguments, OtelSink};
pub(crate) use sink::NewSink;
pub use sink::{LoggedEvent, Sink};
pub use subscription::Subscription;
pub use worker::SinkStatus;

use crate::error::Error;
use crate::home::Home;
use crate::input::read_file;
use worker::Worker;

/// Largest file with a secret, in bytes.
const MAX_SECRET_BYTES: usize = 16 * 1024;

/// Sinks that a host tells, each by a thread of its own.
pub(crate) struct Sinks {
    workers: Vec<Worker>,
}

impl Sinks {
    /// Starts telling the sinks of a policy, and those that the embedder added.
    pub fn start(
        policy: &Policy,
        folder: Option<&Path>,
        added: Vec<NewSink>,
        home: &Home,
        log: &Arc<dyn Store>,
    ) -> Result<Self, Error> {
        let mut sinks = added;
        for (name, policy) in &policy.sinks {
            let sink = made(name, policy, folder)?;
            sinks.push(NewSink { name: name.clone(), tenant: policy.tenant.clone(), from: policy.from, sink });
        }
        let start = |sink: NewSink| Worker::start(sink, home, Arc::clone(log));
        Ok(Self { workers: sinks.into_iter().map(start).collect::<Result<_, _>>()? })
    }

    /// State of each sink.
    pub fn status(&self) -> Vec<SinkStatus> {
        self.workers.iter().map(Worker::status).collect()
    }
}

fn made(name: &str, policy: &SinkPolicy, folder: Option<&Path>) -> Result<Box<dyn Sink>, Error> {
    let beside = |path: &str| folder.map_or_else(|| path.into(), |folder| folder.join(path));
    Ok(match policy.kind {
        SinkKind::Stdout => Box::new(StdoutSink),
        SinkKind::Jsonl => Box::new(JsonlSink::new(beside(policy.path.as_deref().unwrap_or_default()))),
        SinkKind::Webhook => {
            let secret = match (&policy.secret_env, &policy.secret_file) {
                (Some(variable), _) => std::env::var(variable)
                    .map_err(|_| format!("its secret is looked for in ${variable}, which is not set")),
                (None, file) => {
                    let path = beside(file.as_deref().unwrap_or_default());
                    let bytes = read_file("the secret", &path, MAX_SECRET_BYTES).map_err(|error| error.to_string());
                    bytes.and_then(|bytes| String::from_utf8(bytes).map_err(|_| "its secret is no text".to_owned()))
                }
            };
            match secret {
                Ok(secret) => Box::new(WebhookSink::new(name, policy.url.as_deref().unwrap_or_default(), &secret)?),
                Err(lacking) => Box::new(LackingSink(lacking)),
            }
        }
    })
}
