//! Fields of an event, read strictly.

use crate::error::Error;
use fusebox::core::Json;
use serde_json::Value;

/// Largest event, in bytes.
pub const MAX_EVENT_BYTES: usize = 16 * 1024 * 1024;

/// An event as it was read.
pub struct Reader {
    value: Value,
}

impl Reader {
    /// Reads an event: one object of strict JSON.
    pub fn new(bytes: &[u8]) -> Result<Self, Error> {
        let json = Json::parse("the event", bytes, MAX_EVENT_BYTES)?;
        let value = json.value().clone();
        if !value.is_object() {
            return Err(Error::Field { field: "the event", expected: "an object" });
        }
        Ok(Self { value })
    }

    /// A part of it that is an object.
    pub fn part(&self, field: &'static str) -> Result<Self, Error> {
        match self.value.get(field) {
            Some(value @ Value::Object(_)) => Ok(Self { value: value.clone() }),
            _ => Err(Error::Field { field, expected: "an object" }),
        }
    }

    /// A text that is there.
    pub fn text(&self, field: &'static str) -> Result<String, Error> {
        self.maybe(field).ok_or(Error::Field { field, expected: "a text" })
    }

    /// A text, if it is there.
    pub fn maybe(&self, field: &str) -> Option<String> {
        self.value.get(field)?.as_str().map(ToOwned::to_owned)
    }

    /// A value, if it is there.
    pub fn value(&self, field: &str) -> Option<&Value> {
        self.value.get(field)
    }

    /// A value as JSON; `null` where it is missing.
    pub fn json(&self, field: &str) -> Json {
        Json::from_checked(self.value.get(field).cloned().unwrap_or(Value::Null))
    }

    /// Whether a field is there.
    pub fn has(&self, field: &str) -> bool {
        self.value.get(field).is_some()
    }

    /// A number of milliseconds, as microseconds.
    pub fn millis(&self, field: &str) -> Option<u64> {
        let value = self.value.get(field)?;
        let millis =
            value.as_u64().or_else(|| value.as_f64().filter(|millis| *millis >= 0.0).map(|millis| millis as u64));
        Some(millis?.saturating_mul(1000))
    }
}

/// JSON that may stand in a text: some harnesses write arguments so.
pub fn unwrapped(value: &Value) -> Json {
    if let Value::String(text) = value
        && let Ok(json) = Json::parse("the arguments", text.as_bytes(), MAX_EVENT_BYTES)
        && (json.value().is_object() || json.value().is_array())
    {
        return json;
    }
    Json::from_checked(value.clone())
}

/// First line of a text, cut.
pub fn first_line(text: &str) -> String {
    text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().chars().take(200).collect()
}
