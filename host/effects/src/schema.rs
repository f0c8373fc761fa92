//! JSON Schemas of others: of plugins, and of answers that plugins want. Nothing is fetched, patterns are linear, and nothing
//! takes exponential time.

use fusebox_core::json::canonical;
use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

/// Largest schema, in bytes.
pub const MAX_SCHEMA_BYTES: usize = 64 * 1024;
/// Largest compiled pattern of a schema, in bytes. The engine is linear in the text.
const MAX_PATTERN_BYTES: usize = 1024 * 1024;
/// Most parts of a schema, those that it refers to counted each time: checking an answer takes time in proportion.
const MAX_PARTS: usize = 20_000;
/// How deep a schema may refer to parts of itself, one inside of another.
const MAX_REFERENCES: usize = 32;

/// Compiles a schema. It may refer to its own parts only.
///
/// # Errors
/// What is wrong with it, in words that follow "the schema".
pub fn validator(schema: &Value) -> Result<Validator, String> {
    if canonical(schema).len() > MAX_SCHEMA_BYTES {
        return Err(format!("is larger than {MAX_SCHEMA_BYTES} bytes"));
    }
    let mut left = MAX_PARTS;
    measure(schema, schema, 0, &mut left)?;
    let patterns = PatternOptions::regex().size_limit(MAX_PATTERN_BYTES);
    let validator = jsonschema::options().with_pattern_options(patterns).build(schema);
    validator.map_err(|error| format!("is no JSON Schema: {error}"))
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
            map.values().try_for_each(|value| measure(value, root, references, left))
        }
        _ => Ok(()),
    }
}
