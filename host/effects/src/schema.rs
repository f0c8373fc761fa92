//! JSON Schemas of others: of plugins, and of answers that plugins want. Nothing is fetched, patterns are linear, and nothing
//! takes exponential time.

use fusebox_core::json::canonical;
use jsonschema::{Draft, PatternOptions, ValidationError, ValidationOptions, Validator};
use serde_json::Value;

/// Largest schema, in bytes.
pub const MAX_SCHEMA_BYTES: usize = 64 * 1024;
/// Most patterns of a schema.
const MAX_PATTERNS: usize = 64;
/// All compiled patterns of a schema together, in bytes. The engine is linear in the text.
const MAX_PATTERN_BYTES: usize = 8 * 1024 * 1024;
/// Most work of a check: parts of the schema times parts of the value.
const MAX_CHECKS: usize = 50_000_000;
/// Keywords whose values hold schemas under free names.
const NAMED: [&str; 5] = ["$defs", "definitions", "dependentSchemas", "patternProperties", "properties"];
/// Keywords whose values are data, not schemas.
const DATA: [&str; 4] = ["const", "default", "enum", "examples"];
/// Most parts of a schema, those that it refers to counted each time: checking an answer takes time in proportion.
const MAX_PARTS: usize = 20_000;
/// Most references of a schema to its own parts, one inside of another.
const MAX_REFERENCES: usize = 32;

/// A schema that is ready to check values.
#[derive(Debug)]
pub struct CheckedSchema {
    validator: Validator,
    parts: usize,
}

impl CheckedSchema {
    /// Compiles a schema. It may refer to its own parts only.
    ///
    /// # Errors
    /// Description of the fault, in words that follow "the schema".
    pub fn new(schema: &Value) -> Result<Self, String> {
        Self::compiled(schema, jsonschema::options())
    }

    /// A schema of a bundled plugin, which is one of draft 7 as well: the schema of that draft's schemas is a fraction of the
    /// newer one's, and it is read at each start.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn bundled(schema: &Value) -> Result<Self, String> {
        Self::compiled(schema, jsonschema::options().with_draft(Draft::Draft7))
    }

    fn compiled(schema: &Value, options: ValidationOptions) -> Result<Self, String> {
        if canonical(schema).len() > MAX_SCHEMA_BYTES {
            return Err(format!("is larger than {MAX_SCHEMA_BYTES} bytes"));
        }
        let mut left = MAX_PARTS;
        measure(schema, schema, 0, &mut left)?;
        let patterns = patterns(schema);
        if patterns > MAX_PATTERNS {
            return Err(format!("has more than {MAX_PATTERNS} patterns"));
        }
        let patterns = PatternOptions::regex().size_limit(MAX_PATTERN_BYTES / patterns.max(8));
        let validator = options.with_pattern_options(patterns).build(schema);
        let validator = validator.map_err(|error| format!("is no JSON Schema: {error}"))?;
        Ok(Self { validator, parts: MAX_PARTS - left })
    }

    /// The first fault in a value, with its place, if there is one.
    ///
    /// # Errors
    /// When value and schema together are so large that checking would take seconds.
    pub fn fault<'a>(&'a self, value: &'a Value) -> Result<Option<ValidationError<'a>>, String> {
        if nodes(value).saturating_mul(self.parts) > MAX_CHECKS {
            return Err("it is too large to be checked against its schema".to_owned());
        }
        Ok(self.validator.iter_errors(value).next())
    }

    /// All faults in a value, each with its place.
    ///
    /// # Errors
    /// As [`fault`](Self::fault).
    pub fn faults<'a>(&'a self, value: &'a Value) -> Result<Vec<ValidationError<'a>>, String> {
        if nodes(value).saturating_mul(self.parts) > MAX_CHECKS {
            return Err("it is too large to be checked against its schema".to_owned());
        }
        Ok(self.validator.iter_errors(value).collect())
    }
}

/// Parts of a value.
fn nodes(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(nodes).sum(),
        Value::Object(map) => map.values().map(nodes).sum(),
        _ => 0,
    }
}

/// Patterns anywhere in a schema: text that only looks like one is counted, too.
fn patterns(schema: &Value) -> usize {
    match schema {
        Value::Array(items) => items.iter().map(patterns).sum(),
        Value::Object(map) => {
            let own = usize::from(map.get("pattern").is_some_and(Value::is_string));
            let of_properties = map.get("patternProperties").and_then(Value::as_object).map_or(0, serde_json::Map::len);
            own + of_properties + map.values().map(patterns).sum::<usize>()
        }
        _ => 0,
    }
}

/// Refuses schemas that never end or that take exponential time, which references alone can bring about.
fn measure(part: &Value, root: &Value, references: usize, left: &mut usize) -> Result<(), &'static str> {
    *left = left.checked_sub(1).ok_or("has too many parts, counting those that it refers to each time")?;
    match part {
        Value::Array(items) => items.iter().try_for_each(|item| measure(item, root, references, left)),
        Value::Object(map) => {
            let moves = ["$id", "id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor"];
            if moves.iter().any(|key| map.get(*key).is_some_and(Value::is_string)) {
                return Err("may refer to its own parts by `$ref` and a JSON Pointer only");
            }
            if let Some(Value::String(reference)) = map.get("$ref") {
                let target = reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
                let target = target.ok_or("refers to something that is no part of it")?;
                if references == MAX_REFERENCES {
                    return Err("refers to itself, or through too many of its parts");
                }
                measure(target, root, references + 1, left)?;
            }
            map.iter().try_for_each(|(key, value)| match value {
                // Keys in these are free names, each of a schema.
                Value::Object(named) if NAMED.contains(&key.as_str()) => {
                    named.values().try_for_each(|schema| measure(schema, root, references, left))
                }
                _ if DATA.contains(&key.as_str()) => Ok(()),
                _ => measure(value, root, references, left),
            })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(text: &str) -> Result<CheckedSchema, String> {
        CheckedSchema::new(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn data_in_a_schema_is_no_schema_but_names_are() {
        assert!(schema(r#"{"examples":[{"id":"u1"}],"default":{"$ref":"x"},"enum":[{"id":"a"}]}"#).is_ok());
        for endless in [
            r##"{"properties":{"default":{"$ref":"#"}}}"##,
            r##"{"$defs":{"enum":{"$ref":"#/$defs/enum"}},"$ref":"#/$defs/enum"}"##,
        ] {
            assert!(schema(endless).is_err(), "{endless}");
        }
        assert!(schema(r#"{"properties":{"id":{"type":"string"},"$id":{"type":"string"}}}"#).is_ok());
    }

    #[test]
    fn patterns_are_bounded_together() {
        let many = |count: usize, pattern: &str| {
            let patterns = vec![serde_json::json!({ "pattern": pattern }); count];
            CheckedSchema::new(&serde_json::json!({ "allOf": patterns }))
        };
        assert!(many(8, "^[0-9a-f]{64}$").is_ok());
        assert!(many(MAX_PATTERNS + 1, "a").is_err());
        assert!(many(MAX_PATTERNS, r"\p{L}{20}").is_err(), "each may be an eighth of all at the most");
    }

    #[test]
    fn what_would_take_long_is_not_checked() {
        let parts = vec![serde_json::json!({ "type": "string" }); 3000];
        let schema = CheckedSchema::new(&serde_json::json!({ "items": { "allOf": parts } })).unwrap();
        let large: Value = vec![serde_json::json!("x"); 100_000].into();
        assert!(schema.fault(&large).is_err());
        assert!(schema.fault(&vec![serde_json::json!("x"); 10].into()).unwrap().is_none());
    }
}
