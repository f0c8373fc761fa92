//! What the bundled guards cost on reference inputs: the table of `docs/guards.md` is true.

use std::fmt::Write as _;

use fusebox::Harness;
use fusebox_core::{Digest, Effect, Json};
use fusebox_tests::root;

const GUARDS: [&str; 3] = ["command-policy", "protected-paths", "secret-scan"];
const BEGIN: &str = "<!-- fuel: made by `UPDATE_FUEL=1 cargo test -p fusebox-tests --test host guards` -->\n";
const END: &str = "<!-- end of fuel -->\n";

/// Reference inputs: what they are called, their effect, and the content that it refers to.
fn inputs() -> Vec<(&'static str, Effect, Vec<u8>)> {
    let line = b"let total = values.iter().sum::<u64>(); // as before\n";
    let text = |size: usize| line.iter().copied().cycle().take(size).collect::<Vec<u8>>();
    let write = |content: &[u8]| Effect::Write {
        path: "src/main.rs".parse().unwrap(),
        before: None,
        after: Digest::of(content),
        size: content.len() as u64,
        obeyed: false,
    };
    let run = |words: &[&str]| Effect::Run {
        argv: words.iter().map(|word| (*word).to_owned()).collect(),
        program: format!("/usr/bin/{}", words[0]),
        cwd: "".parse().unwrap(),
        env_names: vec!["PATH".to_owned()],
        environment: Digest::ZERO,
        shell_text: None,
        files: vec![],
    };
    let prompt = |content: &[u8]| Effect::Prompt {
        model: "default".to_owned(),
        content: Digest::of(content),
        size: content.len() as u64,
        max_output_tokens: 1000,
    };
    let (small, large) = (text(500), text(64 * 1024));
    vec![
        ("writing 500 bytes of code", write(&small), small),
        ("writing 64 KiB of code", write(&large), large.clone()),
        ("`cargo test --workspace`", run(&["cargo", "test", "--workspace"]), Vec::new()),
        (
            "`sh -c 'cd src && grep -rn x . \\| sort > /dev/null'`",
            run(&["sh", "-c", "cd src && grep -rn x . | sort > /dev/null"]),
            Vec::new(),
        ),
        ("a prompt of 64 KiB", prompt(&large), large),
    ]
}

fn table() -> String {
    let mut table = format!("| Input | {} |\n|---|{}\n", GUARDS.join(" | "), "---:|".repeat(GUARDS.len()));
    for (name, effect, content) in inputs() {
        let mut row = format!("| {name} |");
        for guard in GUARDS {
            let limits = fusebox::sandbox::Limits { call_fuel: 100_000_000, ..fusebox::sandbox::Limits::guard() };
            let harness = Harness::bundled(guard).unwrap().limits(limits).content(content.clone());
            let harness = harness.input(Json::empty_object());
            let called = harness.check(std::slice::from_ref(&effect));
            called.result.unwrap();
            write!(row, " {} |", called.report.usage.call_fuel).unwrap();
        }
        writeln!(table, "{row}").unwrap();
    }
    table
}

#[test]
fn fuel_is_as_the_documentation_states() {
    let path = root().join("docs/guards.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = document.split_once(BEGIN).unwrap();
    let (stated, after) = rest.split_once(END).unwrap();
    let table = table();
    if std::env::var_os("UPDATE_FUEL").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
        return;
    }
    // Fuel is comparable for the very same component only; another toolchain makes another one.
    let is_locked = GUARDS.iter().all(|name| {
        let bytes = std::fs::read(root().join(format!("plugins/dist/{name}.wasm"))).unwrap();
        std::fs::read_to_string(root().join("plugins/dist/lock.json"))
            .unwrap()
            .contains(&Digest::of(&bytes).to_string())
    });
    assert!(!is_locked || table == stated, "docs/guards.md is out of date: make it again with UPDATE_FUEL=1\n{table}");
}

#[test]
fn schemas_of_bundled_executors_are_schemas() {
    for name in ["analyze", "edit_file", "read_file", "run_command", "summarize"] {
        let harness = Harness::bundled(name).unwrap();
        for step_type in &harness.plugin().description().step_types {
            for schema in [&step_type.input_schema, &step_type.output_schema] {
                assert!(fusebox_effects::CheckedSchema::new(schema).is_ok(), "{name}: {}", step_type.name);
                assert!(fusebox_effects::CheckedSchema::bundled(schema).is_ok(), "{name}: {}", step_type.name);
                means_the_same_in_draft_7(schema, name);
            }
        }
    }
}

/// Only keywords whose meaning is the same in draft 7 as in 2020-12; there, nothing beside a reference counts.
fn means_the_same_in_draft_7(schema: &serde_json::Value, name: &str) {
    const SAME: [&str; 24] = [
        "$defs",
        "$ref",
        "$schema",
        "additionalProperties",
        "allOf",
        "anyOf",
        "const",
        "default",
        "description",
        "enum",
        "examples",
        "format",
        "maxItems",
        "maxLength",
        "maximum",
        "minItems",
        "minLength",
        "minimum",
        "oneOf",
        "pattern",
        "properties",
        "required",
        "title",
        "type",
    ];
    let Some(object) = schema.as_object() else { return };
    for (key, value) in object {
        assert!(SAME.contains(&key.as_str()) || key == "items", "{name}: {key}");
        assert!(key != "items" || value.is_object(), "{name}: a list of items");
        match key.as_str() {
            "properties" | "$defs" => {
                value.as_object().unwrap().values().for_each(|part| means_the_same_in_draft_7(part, name))
            }
            "anyOf" | "allOf" | "oneOf" => {
                value.as_array().unwrap().iter().for_each(|part| means_the_same_in_draft_7(part, name));
            }
            "items" | "additionalProperties" => means_the_same_in_draft_7(value, name),
            "$ref" => {
                let beside =
                    object.keys().filter(|key| !matches!(key.as_str(), "$ref" | "description" | "default" | "title"));
                assert_eq!(beside.count(), 0, "{name}: beside a reference");
            }
            _ => {}
        }
    }
}
