//! Events in the CloudEvents format (cloudevents.io, version 1.0), as a batch.

use serde_json::{Value, json};

use super::sink::LoggedEvent;
use crate::ambient::rfc3339;

/// Content type of a batch in JSON.
pub const BATCH: &str = "application/cloudevents-batch+json";

/// One event. Its id is its place, so that a receiver can drop duplicates.
pub fn cloud_event(event: &LoggedEvent) -> Value {
    let sealed = &event.sealed;
    let data: Value = serde_json::from_str(&sealed.payload).unwrap_or(Value::Null);
    json!({
        "specversion": "1.0",
        "id": event.id(),
        "source": format!("/fusebox/{}", event.tenant),
        "type": format!("fusebox.{}", sealed.kind),
        "subject": sealed.run.as_str(),
        "time": rfc3339(sealed.time_us),
        "datacontenttype": "application/json",
        "sequence": format!("{:020}", sealed.seq),
        "hash": sealed.hash.to_string(),
        "data": data,
    })
}
