//! Events are read as they were written, and `docs/events.md` says what they are.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use fusebox::Event;
use fusebox_core::event::SCHEMA_VERSION;
use fusebox_core::json::canonical;
use fusebox_tests::root;
use serde_json::{Value, json};

fn golden(format: u32) -> Vec<Value> {
    let file = root().join(format!("tests/golden/events/format-{format}.ndjson"));
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Payloads as they were written. With the first release, the file of each format is frozen and read for ever.
#[test]
fn events_of_every_format_are_read() {
    for format in 1..=SCHEMA_VERSION {
        let events = golden(format);
        assert!(events.len() > 10);
        for payload in events {
            let kind = payload["event"].as_str().unwrap();
            let event = Event::read(kind, &payload.to_string()).unwrap_or_else(|error| panic!("{payload}: {error}"));
            assert_eq!(payload["event"], event.kind());
            // Nothing of it is lost: what is written of it today has all that was written then.
            let again = serde_json::to_value(&event).unwrap();
            let mut lost: BTreeSet<&String> = payload.as_object().unwrap().keys().collect();
            // 1 and 1.0 are one number in canonical JSON.
            let same = |key: &str| again.get(key).map(canonical) == payload.get(key).map(canonical);
            lost.retain(|key| !same(key));
            let said_by_all = ["schema", "cause", "tenant"];
            lost.retain(|key| !said_by_all.contains(&key.as_str()));
            assert!(lost.is_empty(), "{lost:?} of {payload}");
        }
    }
}

#[test]
fn every_kind_of_event_has_its_golden_one() {
    let held: BTreeSet<String> =
        golden(SCHEMA_VERSION).iter().map(|payload| payload["event"].as_str().unwrap().to_owned()).collect();
    let known: BTreeSet<String> = kinds().iter().map(name_of).collect();
    assert_eq!(known.difference(&held).collect::<Vec<_>>(), Vec::<&String>::new());
    assert!(golden(SCHEMA_VERSION).iter().all(|payload| payload["schema"] == SCHEMA_VERSION));
}

#[test]
fn a_kind_names_one_event() {
    let all: Vec<String> = kinds().iter().map(name_of).collect();
    let known: BTreeSet<&String> = all.iter().collect();
    assert_eq!(known.len(), all.len(), "events of runs and of the host share no name: {all:?}");
}

fn schema() -> Value {
    let generator = schemars::SchemaGenerator::default();
    generator.into_root_schema_for::<Event>().to_value()
}

fn kinds() -> Vec<Value> {
    let schema = schema();
    let of = |name: &str| schema["$defs"][name]["oneOf"].as_array().unwrap().clone();
    [of("RunEvent"), of("HostEvent")].concat()
}

fn name_of(kind: &Value) -> String {
    kind["properties"]["event"]["const"].as_str().unwrap().to_owned()
}

/// What a field holds, in a word or two.
fn type_of(schema: &Value) -> String {
    let of = |value: &Value| value.as_str().map(ToOwned::to_owned);
    if let Some(reference) = of(&schema["$ref"]) {
        return reference.rsplit('/').next().unwrap_or_default().to_owned();
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let all: Vec<String> = any.iter().map(type_of).filter(|name| name != "null").collect();
        return all.join(" or ");
    }
    if let Some(types) = schema["type"].as_array() {
        let all: Vec<String> = types.iter().filter_map(of).filter(|name| name != "null").collect();
        return all.join(" or ");
    }
    match schema["type"].as_str() {
        Some("array") => format!("list of {}", type_of(&schema["items"])),
        Some("object") if schema["additionalProperties"].is_object() => {
            format!("{} by name", type_of(&schema["additionalProperties"]))
        }
        Some(name) => name.to_owned(),
        None => "anything".to_owned(),
    }
}

fn page() -> String {
    let mut page = format!(
        "# Events\n\n<!-- made by `UPDATE_EVENTS=1 cargo test -p fusebox-tests --test host events` -->\n\n\
         Every event that the log can hold, as version {SCHEMA_VERSION} of its format has it. `docs/schemas/output.json` is the same as \
         JSON Schema; `tests/golden/events` holds one of each kind, which a test reads; from the first release on, every released version stays readable.\n\n\
         ## What all events have\n\n\
         | Field | What it is |\n|---|---|\n\
         | `event` | the kind of event |\n\
         | `schema` | version of the format |\n\
         | `cause` | place, in the same chain, of the event that this one follows from; none for what comes from outside |\n\
         | `tenant` | whose log a chain is part of, in its first event |\n\n\
         Beside this payload, which is canonical JSON (RFC 8785), an event has a run (or another chain), a place in it counted from 1, a \
         time in microseconds since 1970, the hash of the event before it and its own: SHA-256 over previous hash, run, place, time, kind \
         and payload, each preceded by its length as 8 bytes, numbers as 8 bytes, all big-endian. `--json` shows run, place, time and \
         hash as `run_id`, `seq`, `time` and `hash`.\n\n\
         Digests name blobs: SHA-256 over a salt and the bytes (docs/audit.md), except for contents of files and prompts, policies and \
         setups, which are known by their own SHA-256.\n"
    );
    let defined = schema()["$defs"].clone();
    for kind in kinds() {
        // The fields of a kind are those of its type.
        let of = &defined[kind["$ref"].as_str().unwrap().rsplit('/').next().unwrap()];
        let description = kind["description"].as_str().or(of["description"].as_str());
        let _ = write!(page, "\n## {}\n\n{}\n", name_of(&kind), description.unwrap_or_default());
        let required: BTreeSet<&str> =
            of["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let Some(properties) = of["properties"].as_object() else { continue };
        page.push_str("\n| Field | Type | What it is |\n|---|---|---|\n");
        for (name, schema) in properties {
            let optional = if required.contains(name.as_str()) { "" } else { ", optional" };
            let words = schema["description"].as_str().unwrap_or_default().replace('\n', " ");
            let _ = writeln!(page, "| `{name}` | {}{optional} | {words} |", type_of(schema));
        }
    }
    page
}

#[test]
fn the_page_about_events_is_true() {
    let file = root().join("docs/events.md");
    if std::env::var_os("UPDATE_EVENTS").is_some() {
        std::fs::write(&file, page()).unwrap();
    }
    let hint = "made anew by `UPDATE_EVENTS=1 cargo test -p fusebox-tests --test host events`";
    assert_eq!(std::fs::read_to_string(&file).unwrap_or_default(), page(), "{hint}");
    assert_ne!(json!(kinds().len()), json!(0));
}
