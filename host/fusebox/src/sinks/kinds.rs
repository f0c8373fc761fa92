//! The sinks that come with the host.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use fusebox_effects::Webhook;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::cloud_events::{BATCH, cloud_event};
use super::sink::{LoggedEvent, Sink};
use crate::ambient::now_us;
use crate::error::Error;

/// Adds a line of JSON to a file for each event.
#[derive(Debug)]
pub struct JsonlSink {
    path: PathBuf,
    file: Option<File>,
}

impl JsonlSink {
    /// Of this file, which is created for this user alone when there is something to write.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), file: None }
    }

    fn file(&mut self) -> std::io::Result<&mut File> {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match &mut self.file {
            Some(file) => Ok(file),
            none => Ok(none.insert(options.open(&self.path)?)),
        }
    }
}

impl Sink for JsonlSink {
    fn take(&mut self, events: &[LoggedEvent]) -> Result<(), String> {
        // One write, so that lines of several processes do not mix.
        let write = |file: &mut File| {
            let before = file.metadata()?.len();
            let written = file.write_all(lines(events).as_bytes()).and_then(|()| file.sync_data());
            if written.is_err() {
                // Half a line would spoil the next one. If it cannot be cut off, the events are still sent again.
                let _ = file.set_len(before);
            }
            written
        };
        self.file().and_then(write).map_err(|error| format!("{}: {error}", self.path.display()))
    }
}

/// A sink with an incomplete setup, shown in its status. Its events wait in the log.
#[derive(Debug)]
pub(super) struct LackingSink(pub String);

impl Sink for LackingSink {
    fn take(&mut self, _: &[LoggedEvent]) -> Result<(), String> {
        Err(self.0.clone())
    }
}

/// Prints a line of JSON for each event.
#[derive(Debug, Clone, Copy)]
pub struct StdoutSink;

impl Sink for StdoutSink {
    fn take(&mut self, events: &[LoggedEvent]) -> Result<(), String> {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(lines(events).as_bytes()).and_then(|()| stdout.flush()).map_err(|error| error.to_string())
    }
}

fn lines(events: &[LoggedEvent]) -> String {
    events.iter().map(|event| format!("{}\n", event.to_json())).collect()
}

/// Holds events in memory until the embedder takes them out. When it is full, the others wait in the log.
#[derive(Debug, Clone)]
pub struct MemorySink {
    held: Arc<Mutex<VecDeque<LoggedEvent>>>,
    most: usize,
}

impl MemorySink {
    /// For at most so many events.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { held: Arc::default(), most }
    }

    /// Takes out all events that it holds.
    #[must_use]
    pub fn take_out(&self) -> Vec<LoggedEvent> {
        self.held.lock().drain(..).collect()
    }
}

impl Sink for MemorySink {
    fn take(&mut self, events: &[LoggedEvent]) -> Result<(), String> {
        let mut held = self.held.lock();
        if held.len().saturating_add(events.len()) > self.most {
            return Err(format!("it holds {} of at most {} events", held.len(), self.most));
        }
        held.extend(events.iter().cloned());
        Ok(())
    }
}

/// Sends batches of events, signed, to an address.
#[derive(Debug)]
pub struct WebhookSink {
    webhook: Webhook,
    runtime: Runtime,
}

impl WebhookSink {
    /// A webhook at an address, with its secret. Nothing is sent yet.
    ///
    /// # Errors
    /// When the address or the secret cannot be used.
    pub fn new(name: &str, url: &str, secret: &str) -> Result<Self, Error> {
        let webhook = Webhook::new(name, url, secret)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let failed = |error: std::io::Error| Error::SinkWrong { sink: name.to_owned(), message: error.to_string() };
        Ok(Self { webhook, runtime: runtime.map_err(failed)? })
    }
}

impl Sink for WebhookSink {
    fn take(&mut self, events: &[LoggedEvent]) -> Result<(), String> {
        let (Some(first), Some(last)) = (events.first(), events.last()) else { return Ok(()) };
        // The same batch has the same id, however often it is sent.
        let id = format!("{}..{}", first.id(), last.id());
        let body = Value::from(events.iter().map(cloud_event).collect::<Vec<_>>()).to_string().into_bytes();
        self.runtime.block_on(self.webhook.send(&id, now_us() / 1_000_000, BATCH, body))
    }
}
