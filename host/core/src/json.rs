//! JSON from outside: parsed once, strictly, and kept in its canonical form (RFC 8785).

mod canonical;

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::{Digest, Error};

/// Deepest nesting of arrays and objects.
pub const MAX_DEPTH: usize = 64;
/// Largest integer that JavaScript and canonical JSON hold exactly: 2^53 - 1.
pub const MAX_INTEGER: u64 = (1 << 53) - 1;
/// Most characters that an error quotes from the parsed text: it is untrusted, and errors are stored and shown.
const MAX_QUOTED: usize = 1000;

/// A JSON value with its canonical text. Cheap to clone.
#[derive(Clone)]
pub struct Json {
    text: Arc<str>,
    value: Arc<Value>,
}

impl Json {
    /// Parses JSON from outside.
    ///
    /// # Errors
    /// When it is not JSON, too large, too deep, has a key twice, or an integer beyond 2^53 - 1.
    pub fn parse(what: &'static str, bytes: &[u8], max_bytes: usize) -> Result<Self, Error> {
        Ok(Self::from_checked(parse_value(what, bytes, max_bytes)?))
    }

    /// The empty object.
    #[must_use]
    pub fn empty_object() -> Self {
        Self::from_checked(Value::Object(Map::new()))
    }

    /// JSON of a value that the host made or that was parsed strictly before.
    #[must_use]
    pub fn from_checked(value: Value) -> Self {
        let text = canonical(&value);
        Self { text: text.into(), value: Arc::new(value) }
    }

    /// Canonical text (RFC 8785) of the value.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Digest of the canonical text.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.text.as_bytes())
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Json {}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl schemars::JsonSchema for Json {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Json".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        true.into()
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self::from_checked)
    }
}

/// The canonical text (RFC 8785) of any value that serialises to JSON. A value that JSON cannot hold, such as a map
/// with keys that are not texts, becomes `null`; no type of this workspace is such a value.
#[must_use]
pub fn canonical<T: Serialize + ?Sized>(value: &T) -> String {
    canonical::text_of(value).unwrap_or_else(|| "null".to_owned())
}

/// Parses JSON from outside into a value.
///
/// # Errors
/// As [`Json::parse`].
pub fn parse_value(what: &'static str, bytes: &[u8], max_bytes: usize) -> Result<Value, Error> {
    if bytes.len() > max_bytes {
        return Err(Error::TooLarge { what, size: bytes.len(), limit: max_bytes });
    }
    let reason = RefCell::new(None);
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let strict = Strict { depth: 0, reason: &reason };
    let value = strict.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    value.map_err(|error| {
        let (line, column) = (error.line(), error.column());
        match reason.take() {
            Some(Reason::DuplicateKey(key)) => Error::DuplicateKey { key: quoted(key), line, column },
            Some(Reason::Number { number, path }) => {
                Error::NumberTooLarge { number, at: or_the_top(path), line, column }
            }
            Some(Reason::Depth) => Error::TooDeep { limit: MAX_DEPTH, line, column },
            None => {
                let text = error.to_string();
                let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message).to_owned();
                Error::NotJson { message, line, column }
            }
        }
    })
}

/// Parses JSON from outside into a type; the error says where the shape is wrong.
///
/// # Errors
/// As [`Json::parse`], and when the shape is not the type's.
pub fn parse_as<T: de::DeserializeOwned>(what: &'static str, bytes: &[u8], max_bytes: usize) -> Result<T, Error> {
    shape(what, parse_value(what, bytes, max_bytes)?)
}

/// Turns a value into a type; the error says where the shape is wrong.
///
/// # Errors
/// When the shape is not the type's.
pub fn shape<T: de::DeserializeOwned>(what: &'static str, value: Value) -> Result<T, Error> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let at = or_the_top(if path == "." { String::new() } else { path });
        Error::Shape { what, at, message: quoted(error.inner().to_string()) }
    })
}

fn or_the_top(path: String) -> String {
    if path.is_empty() { "the top".to_owned() } else { quoted(path) }
}

fn quoted(text: String) -> String {
    let end = text.char_indices().nth(MAX_QUOTED).and_then(|(end, _)| text.get(..end));
    end.map(|start| format!("{start}…")).unwrap_or(text)
}

/// Reason why the strict visitor stopped; serde errors carry text only.
enum Reason {
    DuplicateKey(String),
    /// The path is assembled from its end, while the parser returns.
    Number {
        number: String,
        path: String,
    },
    Depth,
}

/// Builds a value and refuses JSON that two parsers could read differently.
#[derive(Clone, Copy)]
struct Strict<'a> {
    depth: usize,
    reason: &'a RefCell<Option<Reason>>,
}

impl Strict<'_> {
    fn refuse<E: de::Error>(&self, reason: Reason) -> E {
        self.reason.replace(Some(reason));
        E::custom("refused")
    }

    fn refuse_number<E: de::Error>(&self, number: &impl ToString) -> E {
        self.refuse(Reason::Number { number: number.to_string(), path: String::new() })
    }

    /// Adds this part to the path of a refused number.
    fn within(&self, part: impl FnOnce() -> String) {
        if let Some(Reason::Number { path, .. }) = self.reason.borrow_mut().as_mut() {
            let dot = if path.is_empty() || path.starts_with('[') { "" } else { "." };
            *path = format!("{}{dot}{path}", part());
        }
    }

    fn deeper<E: de::Error>(&self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(self.refuse(Reason::Depth));
        }
        Ok(Self { depth: self.depth + 1, reason: self.reason })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        if value > MAX_INTEGER { Err(self.refuse_number(&value)) } else { Ok(value.into()) }
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        let exact = value.unsigned_abs() <= MAX_INTEGER;
        if exact { Ok(value.into()) } else { Err(self.refuse_number(&value)) }
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        // Larger integers reach the parser as floats, which look like floats that are meant.
        let exact = value.fract() != 0.0 || value.abs() <= MAX_INTEGER as f64;
        if exact { Ok(value.into()) } else { Err(self.refuse_number(&format_args!("{value:e}"))) }
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let deeper = self.deeper()?;
        let mut items = Vec::new();
        loop {
            let item = access.next_element_seed(deeper);
            match item.inspect_err(|_| self.within(|| format!("[{}]", items.len())))? {
                Some(item) => items.push(item),
                None => return Ok(items.into()),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let deeper = self.deeper()?;
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(self.refuse(Reason::DuplicateKey(key)));
            }
            let value = access.next_value_seed(deeper).inspect_err(|_| self.within(|| key.clone()))?;
            map.insert(key, value);
        }
        Ok(map.into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Json, Error> {
        Json::parse("test", text.as_bytes(), 1 << 20)
    }

    #[test]
    fn refuses_what_two_parsers_could_read_differently() {
        assert!(matches!(parse(r#"{"a":1,"a":2}"#), Err(Error::DuplicateKey { key, .. }) if key == "a"));
        assert!(matches!(parse(r#"{"a":{"b":1,"\u0062":2}}"#), Err(Error::DuplicateKey { .. })));
        for number in ["9007199254740992", "-9007199254740992", "123456789012345678901234567890", "1e300"] {
            assert!(matches!(parse(number), Err(Error::NumberTooLarge { at, .. }) if at == "the top"), "{number}");
        }
        let nested = parse(r#"{"a":[0,{"b":{"c":[[1e300]]}}]}"#);
        assert!(
            matches!(nested, Err(Error::NumberTooLarge { number, at, .. }) if number == "1e300" && at == "a[1].b.c[0][0]")
        );
        for text in [r#""\ud800""#, r#""\udc00x""#, "{", "[1,]", "nul", "1 2", "", "\u{feff}1", "1e999", "'a'"] {
            assert!(matches!(parse(text), Err(Error::NotJson { .. })), "{text}");
        }
        assert!(matches!(Json::parse("test", b"\"\xff\"", 10), Err(Error::NotJson { .. })));
        assert!(matches!(Json::parse("test", b"[1,2,3]", 3), Err(Error::TooLarge { .. })));
    }

    #[test]
    fn an_error_quotes_no_more_than_a_part_of_what_is_long() {
        let long = "ä".repeat(100_000);
        for text in [format!(r#"{{"{long}":1e300}}"#), format!(r#"{{"{long}":1,"{long}":2}}"#)] {
            let said = parse(&text).unwrap_err().to_string();
            assert!(said.contains("ää") && said.len() < 6 * MAX_QUOTED, "{} bytes", said.len());
        }
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Nothing {}
        let text = format!(r#"{{"{long}":1}}"#);
        let said = parse_as::<Nothing>("test", text.as_bytes(), 1 << 20).unwrap_err().to_string();
        assert!(said.contains("ää") && said.len() < 6 * MAX_QUOTED, "{} bytes", said.len());
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(&nested(MAX_DEPTH)).is_ok());
        assert!(matches!(parse(&nested(MAX_DEPTH + 1)), Err(Error::TooDeep { .. })));
        assert!(parse(&nested(100_000)).is_err());
    }

    #[test]
    fn canonical_form_is_rfc_8785() {
        let json = parse(r#"{ "b": 1.0, "a": [1e2, -0, "\u20ac\u000f\"/"], "A": null }"#).unwrap();
        assert_eq!(json.as_str(), r#"{"A":null,"a":[100,0,"€\u000f\"/"],"b":1}"#);
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-(MAX_INTEGER as i64)..=MAX_INTEGER as i64).prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn canonical_text_parses_to_itself(value in any_value()) {
            let json = Json::from_checked(value.clone());
            let again = parse(json.as_str()).unwrap();
            prop_assert_eq!(again.as_str(), json.as_str());
            prop_assert_eq!(again.value(), &value);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Json::parse("test", &bytes, 1 << 20);
        }
    }
}
