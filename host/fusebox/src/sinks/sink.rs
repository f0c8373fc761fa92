//! The trait of sinks, and the events that they take.

use fusebox_core::SealedEvent;
use serde_json::Value;

use crate::ambient::rfc3339;

/// An event as sinks receive it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedEvent {
    /// Tenant whose log it is part of.
    pub tenant: String,
    /// The event, as it is stored.
    pub sealed: SealedEvent,
}

impl LoggedEvent {
    /// One JSON object: the event with its run, place, time, hash and tenant.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut value = self.sealed.to_json(&rfc3339(self.sealed.time_us));
        if let Some(map) = value.as_object_mut() {
            map.insert("tenant".to_owned(), self.tenant.as_str().into());
        }
        value
    }

    /// Id by which a receiver recognises duplicates.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}/{}", self.sealed.run, self.sealed.seq)
    }
}

/// A receiver of events.
pub trait Sink: Send {
    /// Takes some events, in the order of the log. If it fails, the same come again, until it takes them; after a
    /// crash, some taken events may come again as well.
    ///
    /// # Errors
    /// The reason why it does not take them, in words.
    fn take(&mut self, events: &[LoggedEvent]) -> Result<(), String>;
}

/// Setup of a new sink.
pub(crate) struct NewSink {
    pub name: String,
    pub tenant: Option<String>,
    pub from: fusebox_core::policy::SinkFrom,
    pub sink: Box<dyn Sink>,
}
