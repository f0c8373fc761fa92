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

/// A run as `fusebox runs --json` lists it.
fn listed_run() -> Value {
    let (text, number) = (json!({ "type": "string" }), json!({ "type": "integer", "minimum": 0 }));
    let time = json!({ "type": "string", "format": "date-time" });
    json!({
        "type": "object",
        "properties": {
            "run_id": text, "goal": text, "agent": text, "tenant": text,
            "state": { "enum": ["CREATED", "RUNNING", "PAUSED", "COMPLETED", "FAILED", "KILLED"] },
            "why": { "type": ["string", "null"] },
            "steps": number, "completed": number, "events": number,
            "created": time, "updated": time,
            "driven": { "type": "boolean", "description": "whether a process carries it out just now" },
        },
        "required": ["run_id", "state", "goal", "agent", "tenant", "created"],
    })
}

/// One line that `--json` prints: an object whose `event` says what it is.
fn output() -> Value {
    let mut generator = SchemaGenerator::default();
    let event = generator.subschema_for::<Event>().to_value();
    let summary = generator.subschema_for::<Summary>().to_value();
    let decision = generator.subschema_for::<Decision>().to_value();
    let setting = generator.subschema_for::<Setting>().to_value();
    let explanation = generator.subschema_for::<fusebox::Explanation>().to_value();
    let definitions = generator.take_definitions(true);
    let text = || json!({ "type": "string" });
    let number = || json!({ "type": "integer", "minimum": 0 });
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
            named("run", listed_run()),
            named("run_start", object(&[("run_id", text())])),
            named("pause", object(&[
                ("run_id", text()),
                ("outcome", json!({ "enum": ["paused", "was_paused", "asked"] })),
            ])),
            named("resume", object(&[("run_id", text()), ("was_paused", json!({ "type": "boolean" }))])),
            named("step_add", object(&[("run_id", text()), ("step", text())])),
            named("recovery", object(&[
                ("run_id", text()),
                ("state", text()),
                ("recovered", json!({ "type": "boolean" })),
                ("message", text()),
            ])),
            named("approval", object(&[("id", text()), ("run_id", text())])),
            named("approval_answer", object(&[
                ("id", text()),
                ("run_id", text()),
                ("answer", text()),
                ("by", text()),
                ("time", json!({ "type": "string", "format": "date-time" })),
            ])),
            named("grant", object(&[("run_id", text()), ("grant", text()), ("by", text()), ("kind", json!({}))])),
            named("approver", object(&[("name", text()), ("ed25519", text())])),
            named("kill", object(&[
                ("run_id", text()),
                ("outcome", json!({ "enum": ["killed", "ended", "no_answer", "failed"] })),
            ])),
            named("workspace_copy", object(&[
                ("run_id", text()),
                ("path", text()),
                ("bytes", number()),
                ("removed", json!({ "type": "boolean" })),
            ])),
            named("kill_switch", object(&[("target", json!({})), ("set", json!({ "type": "boolean" }))])),
            named("trust_revoked", object(&[("folder", text())])),
            named("explanation", explanation),
            named("sink", object(&[("name", text()), ("told", number()), ("backlog", number())])),
            named("audit_export", object(&[("events", number()), ("blobs", number()), ("size", number())])),
            named("audit_verified", object(&[("events", number()), ("trust", json!({ "enum": ["given", "own"] }))])),
            named("audit_fault", object(&[("kind", text()), ("message", text())])),
            named("audit_checkpoint", object(&[("tenant", text()), ("size", number()), ("note", text())])),
            named("audit_key", object(&[("tenant", text()), ("key", text()), ("newest", json!({ "type": "boolean" }))])),
            named("audit_proof", object(&[("run_id", text()), ("seq", number()), ("proof", text())])),
            named("audit_consistency", object(&[("old", text()), ("new", text()), ("hashes", json!({ "type": "array" }))])),
            named("audit_record", object(&[("run_id", text()), ("seq", number())])),
            named("audit_erase", object(&[("runs", number()), ("blobs", number()), ("bytes", number())])),
            named("doctor", object(&[
                ("check", text()),
                ("status", json!({ "enum": ["ok", "warning", "error"] })),
                ("message", text()),
            ])),
        ],
        "$defs": definitions,
    })
}
