//! Answers under a schema: checked by the host, independently of the provider.

use fusebox_core::json::canonical;
use fusebox_core::{Failure, Json};

use crate::schema::CheckedSchema;

/// Largest answer that is parsed, in bytes.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;
/// Most bytes of an answer that go back to be mended.
const MAX_CARRIED_BYTES: u64 = 16 * 1024;
/// Most bytes of the description of a fault.
const MAX_COMPLAINT_BYTES: usize = 1000;
/// The words around them.
const WORDS_BYTES: u64 = 512;

/// A schema, ready to check answers.
pub struct Schema {
    schema: CheckedSchema,
}

impl Schema {
    /// Compiles a schema. Nothing is fetched: it may refer to itself only.
    pub fn new(schema: &Json) -> Result<Self, Failure> {
        let wrong = |message: String| Failure::InvalidInput(format!("the schema of the answer {message}"));
        Ok(Self { schema: CheckedSchema::new(schema.value()).map_err(wrong)? })
    }

    /// The JSON of an answer, or its fault.
    pub fn check(&self, answer: &str) -> Result<Json, String> {
        let text = unfenced(answer);
        let json = Json::parse("the answer", text.as_bytes(), MAX_ANSWER_BYTES).map_err(|error| error.to_string())?;
        let complaint = self.schema.fault(json.value())?;
        let complaint = complaint.map(|error| format!("at {:?}: {error}", error.instance_path().to_string()));
        complaint.map_or(Ok(json), Err)
    }
}

/// A text without the fence that models like to put around JSON.
fn unfenced(text: &str) -> &str {
    let text = text.trim();
    let inner = text.strip_prefix("```").and_then(|rest| rest.strip_suffix("```"));
    inner.map_or(text, |inner| inner.strip_prefix("json").unwrap_or(inner).trim())
}

/// Most bytes that a prompt grows by when it carries an answer to be mended.
pub fn carried_bytes(output_tokens: u64) -> u64 {
    carried_answer_bytes(output_tokens) + MAX_COMPLAINT_BYTES as u64 + WORDS_BYTES
}

fn carried_answer_bytes(output_tokens: u64) -> u64 {
    output_tokens.saturating_mul(4).min(MAX_CARRIED_BYTES)
}

/// The prompt that asks to mend an answer.
pub fn repair_prompt(prompt: &str, answer: &str, complaint: &str, output_tokens: u64) -> String {
    let answer = cut(answer, usize::try_from(carried_answer_bytes(output_tokens)).unwrap_or(0));
    let complaint = cut(complaint, MAX_COMPLAINT_BYTES);
    format!(
        "{prompt}\n\nYour last answer was:\n{answer}\n\nIt cannot be used. {complaint}\nAnswer again with the JSON alone, \
         so that it satisfies the schema."
    )
}

fn cut(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

/// Whether a prompt contains its schema: guards must see all text that the model gets.
pub fn names_schema(prompt: &str, schema: &Json) -> bool {
    prompt.contains(schema.as_str()) || prompt.contains(&canonical(schema.value()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::MAX_SCHEMA_BYTES;

    fn schema(text: &str) -> Result<Schema, Failure> {
        Schema::new(&Json::parse("schema", text.as_bytes(), 1 << 20).unwrap())
    }

    #[test]
    fn answers_are_checked() {
        let schema = schema(r#"{"type":"object","required":["a"],"properties":{"a":{"type":"integer"}}}"#).unwrap();
        assert_eq!(schema.check("```json\n{\"a\": 1}\n```").unwrap().as_str(), r#"{"a":1}"#);
        for (bad, named) in
            [("", "JSON"), ("{", "JSON"), ("{}", "a"), (r#"{"a":"x"}"#, "integer"), (r#"{"a":1,"a":2}"#, "twice")]
        {
            let complaint = schema.check(bad).unwrap_err();
            assert!(complaint.contains(named), "{bad}: {complaint}");
        }
    }

    #[test]
    fn hostile_schemas_are_refused_or_harmless() {
        assert!(schema(r#"{"type": 7}"#).is_err());
        assert!(schema(r#"{"$ref": "http://127.0.0.1:1/x"}"#).is_err(), "nothing is fetched");
        assert!(schema(r#"{"$ref": "file:///etc/passwd"}"#).is_err());
        assert!(schema(&format!(r#"{{"pattern": "{}"}}"#, "(a{1000}){1000}")).is_err());
        assert!(schema(&format!(r#"{{"const": "{}"}}"#, "x".repeat(MAX_SCHEMA_BYTES))).is_err());
        for endless in [
            r##"{"$ref":"#"}"##,
            r##"{"properties":{"a":{"$ref":"#"}}}"##,
            r##"{"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}},"$ref":"#/$defs/a"}"##,
            r#"{"$dynamicRef":"x"}"#,
            r#"{"$id":"x"}"#,
        ] {
            assert!(matches!(schema(endless), Err(Failure::InvalidInput(_))), "{endless}");
        }
        let level =
            |n: usize| format!(r##""a{n}":{{"anyOf":[{{"$ref":"#/$defs/a{0}"}},{{"$ref":"#/$defs/a{0}"}}]}}"##, n + 1);
        let levels: Vec<String> = (0..25).map(level).collect();
        let doubling = format!(r##"{{"$defs":{{{},"a25":{{}}}},"$ref":"#/$defs/a0"}}"##, levels.join(","));
        assert!(schema(&doubling).is_err(), "exponential");
        let fine = schema(r##"{"$defs":{"n":{"type":"integer"}},"items":{"$ref":"#/$defs/n"}}"##).unwrap();
        assert!(fine.check("[1]").is_ok() && fine.check("[\"x\"]").is_err());
        let slow = schema(r#"{"pattern": "^(a+)+$"}"#).unwrap();
        assert!(slow.check(&format!("\"{}!\"", "a".repeat(100_000))).is_err(), "patterns are linear");
    }

    #[test]
    fn what_a_mending_carries_is_bounded() {
        let prompt = repair_prompt("p", &"ä".repeat(1_000_000), &"x".repeat(1_000_000), 100);
        assert!(prompt.len() as u64 <= 1 + carried_bytes(100), "{}", prompt.len());
    }
}
