//! `fusebox schema`: JSON Schemas of everything that goes in and comes out.

use fusebox::core::{Decision, Description, Policy};
use fusebox::{Event, Plan, ProjectPolicy, Proposal, Setting, Summary};
use schemars::{SchemaGenerator, schema_for};
use serde_json::{Value, json};

use crate::args::SchemaOf;
use crate::print;

pub fn print(of: SchemaOf) {
    let text = serde_json::to_string_pretty(&schema(of)).unwrap_or_default();
    print::out(&text);
}

fn schema(of: SchemaOf) -> Value {
    match of {
        SchemaOf::Plan => Plan::schema(),
        SchemaOf::Policy => schema_for!(Policy).to_value(),
        SchemaOf::ProjectPolicy => schema_for!(ProjectPolicy).to_value(),
        SchemaOf::Action => Proposal::schema(),
        SchemaOf::Output => output(),
        SchemaOf::Describe => schema_for!(Description).to_value(),
    }
}

/// One line that `--json` prints: an object whose `event` says what it is.
fn output() -> Value {
    let mut generator = SchemaGenerator::default();
    let event = generator.subschema_for::<Event>().to_value();
    let summary = generator.subschema_for::<Summary>().to_value();
    let decision = generator.subschema_for::<Decision>().to_value();
    let setting = generator.subschema_for::<Setting>().to_value();
    let definitions = generator.take_definitions(true);
    let text = || json!({ "type": "string" });
    let named = |name: &str, more: Value| json!({ "properties": { "event": { "const": name } }, "required": ["event"], "allOf": [more] });
    let object = |fields: &[(&str, Value)]| {
        let properties: serde_json::Map<String, Value> =
            fields.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
        let required: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
        json!({ "type": "object", "properties": properties, "required": required })
    };
    let sealed = object(&[
        ("run_id", text()),
        ("seq", json!({ "type": "integer", "minimum": 1 })),
        ("time", json!({ "type": "string", "format": "date-time" })),
        ("hash", json!({ "type": "string", "pattern": "^[0-9a-f]{64}$" })),
    ]);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Output",
        "description": "One line that `--json` prints: an object whose field `event` says what it is.",
        "anyOf": [
            { "title": "an event of a run, as it is stored", "allOf": [event, sealed] },
            named("summary", summary),
            named("decision", decision),
            named("error", object(&[("code", text()), ("message", text())])),
            named("notice", object(&[("message", text())])),
            named("plugin", object(&[("name", text()), ("kind", text()), ("version", text()), ("sha256", text())])),
            named("setting", setting),
            named("policy", object(&[("policy", text()), ("warnings", json!({ "type": "array", "items": text() }))])),
            named("trust", object(&[("folder", text()), ("digest", text())])),
            named("kill", object(&[
                ("run_id", text()),
                ("outcome", json!({ "enum": ["killed", "ended", "no_answer"] })),
            ])),
            named("trust_revoked", object(&[("folder", text())])),
            named("doctor", object(&[
                ("check", text()),
                ("status", json!({ "enum": ["ok", "warning", "error"] })),
                ("message", text()),
            ])),
        ],
        "$defs": definitions,
    })
}
