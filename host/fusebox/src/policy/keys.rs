//! Unknown keys of a policy file: an error with the line, the place, and a similar known key.

use schemars::JsonSchema;
use serde_json::Value;
use toml::de::{DeTable, DeValue};

use super::bad;
use crate::error::Error;
use crate::error::suggestion;

/// Refuses the first key that the schema of `T` does not know.
pub fn check<T: JsonSchema>(text: &str, name: &str) -> Result<(), Error> {
    let schema = schemars::schema_for!(T).to_value();
    let table = DeTable::parse(text).map_err(|error| bad(name, error.to_string()))?;
    let walk = Walk { root: &schema, text, name };
    walk.table(table.get_ref(), &schema, "")
}

struct Walk<'a> {
    root: &'a Value,
    text: &'a str,
    name: &'a str,
}

impl Walk<'_> {
    fn table(&self, table: &DeTable<'_>, schema: &Value, path: &str) -> Result<(), Error> {
        let schema = self.resolved(schema);
        let none = serde_json::Map::new();
        let known = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
        // An open object may hold any key, as a plugin's settings do; a map has one schema for all its values.
        let others = schema.get("additionalProperties");
        for (key, value) in table {
            let key_text: &str = key.get_ref();
            let inner = match (known.get(key_text), others) {
                (Some(inner), _) => inner,
                (None, Some(Value::Bool(false))) => return Err(self.unknown(key_text, key.span().start, known, path)),
                (None, Some(inner @ Value::Object(_))) => inner,
                (None, _) => continue,
            };
            let path = if path.is_empty() { key_text.to_owned() } else { format!("{path}.{key_text}") };
            self.value(value.get_ref(), inner, &path)?;
        }
        Ok(())
    }

    fn value(&self, value: &DeValue<'_>, schema: &Value, path: &str) -> Result<(), Error> {
        match value {
            DeValue::Table(table) => self.table(table, schema, path),
            DeValue::Array(items) => {
                let Some(inner) = self.resolved(schema).get("items") else { return Ok(()) };
                items.iter().try_for_each(|item| self.value(item.get_ref(), inner, path))
            }
            _ => Ok(()),
        }
    }

    /// A schema with references resolved, and without the alternative of being absent.
    fn resolved<'s>(&'s self, schema: &'s Value) -> &'s Value {
        let mut schema = schema;
        // References of a generated schema go one or two levels deep.
        for _ in 0..8 {
            let choices = schema.get("anyOf").and_then(Value::as_array);
            let reference = schema.get("$ref").and_then(Value::as_str);
            if let Some(target) = reference.and_then(|at| self.root.pointer(at.trim_start_matches('#'))) {
                schema = target;
            } else if let Some(choice) =
                choices.and_then(|all| all.iter().find(|one| one.get("type") != Some(&"null".into())))
            {
                schema = choice;
            } else {
                break;
            }
        }
        schema
    }

    fn unknown(&self, key: &str, at: usize, known: &serde_json::Map<String, Value>, path: &str) -> Error {
        let line = self.text.get(..at).unwrap_or_default().matches('\n').count() + 1;
        let place = if path.is_empty() { String::new() } else { format!(" in {path}") };
        let shown: String = key.chars().take(80).collect();
        let names: Vec<&str> = known.keys().map(String::as_str).collect();
        let similar = suggestion(key, names.iter().copied());
        bad(self.name, format!("line {line}: unknown key {shown:?}{place}{similar}. Known are {}", names.join(", ")))
    }
}
