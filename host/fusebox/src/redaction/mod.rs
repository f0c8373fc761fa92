//! Redaction: guards that policy names for it get all texts to be stored, and their rewrites are stored instead.

pub mod retention;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fusebox_core::{Action, Agent, EvaluationContext, Json, Origin, Scope, json};
use fusebox_sandbox::{Kill, Limits, PreparedAction};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::Error;
use crate::plugins::loaded::Loaded;

/// Step type of texts for redaction: no executor serves it.
const STEP_TYPE: &str = "store";
/// Largest text that is searched, in bytes.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// Texts that are put to a guard together, in bytes.
const CHUNK_BYTES: usize = 128 * 1024;
/// More fuel than a guard has for judging: only the storing process waits for it.
const FUEL: u64 = 10_000_000_000;
const WALL_TIME: std::time::Duration = std::time::Duration::from_secs(10);

/// Guards that replace secrets in stored texts.
pub struct Redactor {
    guards: Vec<(String, Loaded)>,
    kill: Kill,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.guards.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Redactor").field("guards", &names).finish_non_exhaustive()
    }
}

impl Redactor {
    /// These guards, each with the settings for it; none when there are none.
    pub fn of(guards: Vec<(String, Loaded)>, kill: Kill) -> Option<Arc<Self>> {
        (!guards.is_empty()).then(|| Arc::new(Self { guards, kill }))
    }

    /// Whether it is one of these guards.
    pub fn is_guard(&self, name: &str) -> bool {
        self.guards.iter().any(|(guard, _)| guard == name)
    }

    /// The same JSON without secrets; `None` when there are none in it.
    ///
    /// # Errors
    /// When a guard fails: then it is unknown whether there are secrets, and nothing may be stored.
    pub fn redacted(&self, text: &str) -> Result<Option<String>, Error> {
        let mut now: Option<String> = None;
        for (name, guard) in &self.guards {
            let failed = |message: String| Error::Unredacted { guard: name.clone(), message };
            let input = now.as_deref().unwrap_or(text);
            // Many guards expect an object as input, so the value is wrapped in one. Field names and decoded texts
            // stand beside it, because guards look at values.
            let value: Value = serde_json::from_str(input).map_err(|error| failed(error.to_string()))?;
            let mut beside = HiddenTexts::default();
            beside.collect(&value);
            let (names, encoded) = (&beside.names, &beside.decoded);
            let wrapped =
                Json::from_checked(serde_json::json!({ "stored": value, "names": names, "decoded": encoded }));
            let action = Action {
                step_type: STEP_TYPE.to_owned(),
                input: wrapped,
                description: String::new(),
                scope: Scope::Workspace,
                origin: Origin::Embedder,
            };
            let agent = Agent { id: "store".to_owned(), kind: None, tier: None };
            let situation = Arc::new(EvaluationContext::outside_of_a_run(agent, Origin::Embedder, 0));
            let limits = Limits { call_fuel: FUEL, wall_time: WALL_TIME, transfer_bytes: MAX_BYTES, ..Limits::plan() };
            let options = guard.options(limits, FUEL, &self.kill);
            let options = fusebox_sandbox::CallOptions { limits, ..options };
            let verdict = guard.plugin.check(&PreparedAction::new(&action, &[], situation), &options).result;
            let verdict = verdict.map_err(|end| failed(end.to_string()))?;
            if let Some(rewrite) = verdict.rewrite {
                let part = |name: &str| rewrite.value().get(name).cloned();
                let texts = |name| part(name).and_then(|part| serde_json::from_value::<Vec<String>>(part).ok());
                let strange = || failed("its rewrite is another thing".to_owned());
                let mut stored = part("stored").ok_or_else(strange)?;
                let (names, decoded) = (texts("names").ok_or_else(strange)?, texts("decoded").ok_or_else(strange)?);
                if names.len() != beside.names.len() || decoded.len() != beside.decoded.len() {
                    return Err(strange());
                }
                beside.put_back(&mut stored, &names, &decoded);
                now = Some(json::canonical(&stored));
            }
        }
        Ok(now)
    }

    /// The same value without secrets; `None` when there are none in it.
    ///
    /// # Errors
    /// When a guard fails, or its rewrite does not have the value's type.
    pub fn redacted_value<T: Serialize + DeserializeOwned>(&self, value: &T) -> Result<Option<T>, Error> {
        match self.redacted(&json::canonical(value))? {
            None => Ok(None),
            Some(text) => Ok(Some(json::parse_as("what a guard redacted", text.as_bytes(), MAX_BYTES)?)),
        }
    }

    /// Each of these values without secrets, and the values that held some.
    ///
    /// # Errors
    /// As [`redacted_value`](Self::redacted_value).
    pub fn redacted_each<T: Serialize + DeserializeOwned>(
        &self,
        values: Vec<T>,
    ) -> Result<(Vec<T>, Vec<usize>), Error> {
        let (mut all, mut changed) = (Vec::with_capacity(values.len()), Vec::new());
        let mut values = values.into_iter().peekable();
        while values.peek().is_some() {
            // Many small ones cost one call.
            let (mut chunk, mut size) = (Vec::new(), 0);
            while let Some(value) = values.next_if(|_| size < CHUNK_BYTES) {
                size += json::canonical(&value).len();
                chunk.push(value);
            }
            let Some(redacted) = self.redacted_value(&chunk)? else {
                all.extend(chunk);
                continue;
            };
            for (before, after) in chunk.iter().zip(redacted) {
                if json::canonical(before) != json::canonical(&after) {
                    changed.push(all.len());
                }
                all.push(after);
            }
        }
        Ok((all, changed))
    }

    /// The same bytes without secrets: JSON where they are JSON, else as one text. Bytes that are not text are left as
    /// they are.
    ///
    /// # Errors
    /// When a guard fails.
    pub fn redacted_bytes(&self, bytes: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let Ok(text) = std::str::from_utf8(bytes) else { return Ok(None) };
        if serde_json::from_str::<Value>(text).is_ok() {
            return Ok(self.redacted(text)?.map(String::into_bytes));
        }
        let quoted = Value::String(text.to_owned()).to_string();
        let redacted = self.redacted(&quoted)?;
        let redacted = redacted.map(|text| serde_json::from_str::<String>(&text).unwrap_or_default());
        Ok(redacted.map(String::into_bytes))
    }
}

/// Shortest text that is decoded and searched, or as a name: no credential is shorter.
const MIN_BYTES: usize = 16;

/// Texts in JSON where guards do not look: names of fields, and decoded base64 values.
#[derive(Debug, Default)]
struct HiddenTexts {
    names: Vec<String>,
    encoded: Vec<String>,
    decoded: Vec<String>,
}

impl HiddenTexts {
    fn collect(&mut self, value: &Value) {
        match value {
            Value::String(text) => {
                let decoded = (text.len() >= MIN_BYTES).then(|| STANDARD.decode(text).ok()).flatten();
                if let Some(decoded) = decoded.and_then(|bytes| String::from_utf8(bytes).ok()) {
                    self.encoded.push(text.clone());
                    self.decoded.push(decoded);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.collect(item)),
            Value::Object(map) => {
                for (name, value) in map {
                    if name.len() >= MIN_BYTES {
                        self.names.push(name.clone());
                    }
                    self.collect(value);
                }
            }
            _ => {}
        }
    }

    /// Copies the guard's replacements back into the value.
    fn put_back(&self, value: &mut Value, names: &[String], decoded: &[String]) {
        match value {
            Value::String(text) => {
                let place = self.encoded.iter().position(|encoded| encoded == text);
                let pair = place.and_then(|place| Some((self.decoded.get(place)?, decoded.get(place)?)));
                if let Some((before, after)) = pair
                    && before != after
                {
                    *text = STANDARD.encode(after);
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.put_back(item, names, decoded)),
            Value::Object(map) => {
                map.values_mut().for_each(|value| self.put_back(value, names, decoded));
                for (before, after) in self.names.iter().zip(names).filter(|(before, after)| before != after) {
                    if let Some(value) = map.remove(before) {
                        map.insert(after.clone(), value);
                    }
                }
            }
            _ => {}
        }
    }
}
