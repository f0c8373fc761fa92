//! Every fixture: events of seven harnesses, what they are mapped to, and what is answered.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use fusebox::core::{Json, ProposedEffect};
use serde_json::{Value, json};

use super::paths::Places;
use super::*;

fn fixtures(harness: Harness, folder: &str) -> BTreeMap<String, Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(harness.name()).join(folder);
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (name, serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
    };
    std::fs::read_dir(path).unwrap().map(read).collect()
}

fn parsed(harness: Harness, event: &Value) -> HookEvent {
    parse(harness, event.to_string().as_bytes()).unwrap()
}

/// A folder in the place of the fixtures' `/repo/app`, with the files that some of them change.
struct Repository(tempfile::TempDir);

impl Repository {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("app/src")).unwrap();
        std::fs::create_dir_all(folder.path().join("app/packages/a")).unwrap();
        std::fs::write(folder.path().join("app/src/index.ts"), "a\nconst n = 1\nconst n = 1\n").unwrap();
        std::fs::write(folder.path().join("app/src/lib.rs"), "pub const N: u32 = 1;\n").unwrap();
        std::fs::write(folder.path().join("app/src/a.rs"), "a\n").unwrap();
        Self(folder)
    }

    fn root(&self) -> PathBuf {
        self.0.path().canonicalize().unwrap()
    }

    fn here(&self, event: &Value) -> Value {
        let text = event.to_string().replace("/repo/", &format!("{}/", self.root().display()));
        serde_json::from_str(&text).unwrap()
    }
}

fn shown(effect: &ProposedEffect) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match effect {
        ProposedEffect::Read { path } => format!("read {path:?}"),
        ProposedEffect::Write { path, content } => format!("write {path:?}: {:?}", text(content)),
        ProposedEffect::Remove { path } => format!("remove {path:?}"),
        ProposedEffect::Run { argv, cwd, .. } => format!("run in {cwd:?}: {:?}", &argv[2..]),
        ProposedEffect::Prompt { model, content, .. } => format!("prompt {model}: {:?}", text(content)),
        ProposedEffect::Plain(effect) => fusebox::core::json::canonical(effect),
    }
}

fn described(harness: Harness, event: &HookEvent, root: &Path) -> String {
    let call = match &event.kind {
        EventKind::Gate(call) | EventKind::EarlyGate(call) | EventKind::Permission(call) => call,
        EventKind::Outcome(_, outcome) => return format!("{:?}: {:?}", outcome.outcome, outcome.summary),
        other => return format!("{other:?}"),
    };
    let places = Places::new(root, &event.cwd).unwrap();
    let mapped = tool::map(harness, call, &places).unwrap();
    let effects: Vec<String> = mapped.effects.iter().map(shown).collect();
    format!("{} {}\n    {}", mapped.step_type, mapped.input.as_str(), effects.join("\n    "))
}

#[test]
fn every_event_is_mapped_as_written_down() {
    let repository = Repository::new();
    let root = repository.root();
    let mut text = String::new();
    for harness in Harness::ALL {
        for (name, event) in fixtures(harness, "stdin") {
            let event = parsed(harness, &repository.here(&event));
            let described = described(harness, &event, &root.join("app"));
            let kind = match event.kind {
                EventKind::Gate(_) => "gate",
                EventKind::EarlyGate(_) => "early gate",
                EventKind::Permission(_) => "permission",
                EventKind::Outcome(..) => "outcome",
                _ => "other",
            };
            let _ = writeln!(text, "{harness} {name}: {kind}, {:?}\n  {described}", event.review);
        }
    }
    let text = text.replace(&root.display().to_string(), "/repo");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/mapped.txt");
    if std::env::var_os("UPDATE_HOOKS").is_some() {
        std::fs::write(&golden, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap();
    for (line, expected) in text.lines().zip(expected.lines()) {
        assert_eq!(line, expected);
    }
    assert_eq!(text, expected, "UPDATE_HOOKS=1 writes it anew");
}

/// The event of a harness that an answer is for.
fn event_for(harness: Harness, name: &str, verdict: &str) -> Option<HookEvent> {
    let all = fixtures(harness, "stdin");
    let wanted = |key: &&String| {
        let is_it = key.split('.').next() == Some(name) || key.starts_with(&format!("{name}."));
        is_it && (verdict != "replace-mcp" || key.contains("mcp"))
    };
    let keys: Vec<&String> = all.keys().filter(wanted).collect();
    let key = keys.iter().find(|key| key.ends_with(".bash") || key.ends_with("shell")).or(keys.first())?;
    Some(parsed(harness, &all[*key]))
}

fn answer_for(expected: &Value) -> Option<Answer> {
    let text = expected["stdout"].to_string() + &expected["stderr"].to_string();
    let message = |from: &str| {
        let begin = text.find(from)? + from.len();
        let end = text[begin..].find('"')?;
        Some(text[begin..begin + end].to_owned())
    };
    let find = |names: &[&str]| {
        fn within<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
            match value {
                Value::Object(fields) => {
                    fields.get(name).or_else(|| fields.values().find_map(|value| within(value, name)))
                }
                _ => None,
            }
        }
        names.iter().find_map(|name| within(&expected["stdout"], name)).map(|value| Json::from_checked(value.clone()))
    };
    Some(match expected["verdict"].as_str().unwrap() {
        "abstain" => Answer::Abstain,
        "allow" => Answer::Allow { input: None },
        "deny" => Answer::Deny { message: message("fusebox: ")? },
        "review" => match message("fusebox: needs a person: ") {
            Some(message) => Answer::Review { message, input: None },
            // There is nobody to ask, so the session has parked it.
            None => message("fusebox: ")
                .map_or(Answer::Review { message: String::new(), input: None }, |message| Answer::Deny { message }),
        },
        "allow+rewrite" => {
            Answer::Allow { input: find(&["updatedInput", "modifiedArgs", "updated_input", "tool_input", "args"]) }
        }
        "review+rewrite" => return None,
        "replace-result" => {
            let output = find(&["updatedToolOutput", "modifiedResult", "updated_mcp_tool_output"]);
            let output = output.unwrap_or_else(|| {
                let text = find(&["reason", "output"]).unwrap();
                Json::from_checked(json!({ "llmContent": text.value(), "output": text.value() }))
            });
            Answer::Replace { output, message: String::new() }
        }
        _ => return None,
    })
}

/// Answers that no hook of ours gives: it adds no context, and lets an agent stop when it wants to.
const NOT_GIVEN: [&str; 12] = [
    "abstain+context",
    "halt",
    "Stop",
    "AfterAgent",
    "agentStop",
    "stop",
    "subagentStop",
    "UserPromptSubmit",
    "BeforeAgent",
    "review-defer",
    "rewrite-fallback",
    "rewrite-review",
];

#[test]
fn every_answer_is_given_in_the_words_of_the_harness() {
    let mut compared = 0;
    for harness in Harness::ALL {
        for (name, expected) in fixtures(harness, "expected") {
            let (event, verdict) = name.rsplit_once('.').unwrap_or((&name, ""));
            let verdict_word = expected["verdict"].as_str().unwrap();
            if NOT_GIVEN.contains(&event) || NOT_GIVEN.contains(&verdict_word) || NOT_GIVEN.contains(&verdict) {
                continue;
            }
            // Given where the event was not understood; a proper answer otherwise. And what one harness ignores in some versions.
            if verdict == "deny-exit2"
                || name == "binary-failure"
                || (harness == Harness::OpenCode && verdict == "rewrite")
            {
                continue;
            }
            let event = event_for(harness, event, verdict).unwrap_or_else(|| panic!("{harness} {name}"));
            let Some(answer) = answer_for(&expected) else { panic!("{harness} {name}") };
            let printed = render(&event, &answer);
            assert_eq!(printed.exit, 0, "{harness} {name}");
            let mut wanted = expected["stdout"].clone();
            if harness == Harness::Cursor && verdict == "review" && event.name == "preToolUse" {
                // The same text for both, since both need to know what to approve.
                wanted["user_message"] = wanted["agent_message"].clone();
            }
            assert_eq!(printed.stdout.unwrap_or(Value::Null), without_context(wanted), "{harness} {name}");
            compared += 1;
        }
    }
    assert!(compared > 60, "{compared}");
}

/// An MCP result of Claude Code needs no remark beside it; ours is there always.
fn without_context(mut wanted: Value) -> Value {
    if let Some(specific) = wanted.get_mut("hookSpecificOutput").and_then(Value::as_object_mut)
        && specific.contains_key("updatedToolOutput")
    {
        specific.insert("additionalContext".to_owned(), "Output redacted by fusebox.".into());
    }
    wanted
}

#[test]
fn an_opencode_plugin_is_told_to_throw_where_a_rewrite_may_have_no_effect() {
    let event = event_for(Harness::OpenCode, "tool.execute.before", "").unwrap();
    let input = Json::from_checked(json!({ "command": "npm test -- --run --no-color" }));
    let printed = render(&event, &Answer::Allow { input: Some(input) });
    let expected = &fixtures(Harness::OpenCode, "expected")["tool.execute.before.rewrite-fallback"]["stdout"];
    assert_eq!(printed.stdout.as_ref(), Some(expected));
}

#[test]
fn what_was_not_understood_is_denied_and_never_answered_as_it_must_not_be() {
    let message = "rule net.pipe-to-shell: downloads code and runs it";
    for harness in Harness::ALL {
        let printed = failed(harness, None, message);
        for (name, expected) in fixtures(harness, "expected").iter().filter(|(name, _)| name.ends_with("deny-exit2")) {
            assert_eq!(printed.stdout.clone().unwrap_or(Value::Null), expected["stdout"], "{harness} {name}");
            assert_eq!(u64::from(printed.exit), expected["exit_code"].as_u64().unwrap(), "{harness} {name}");
            assert_eq!(printed.stderr.as_deref(), expected["stderr"].as_str(), "{harness} {name}");
        }
        let invalid = fixtures(harness, "invalid");
        assert!(!invalid.is_empty(), "{harness}");
        let all: Vec<Answer> = vec![
            Answer::Abstain,
            Answer::Allow { input: None },
            Answer::Allow { input: Some(Json::from_checked(json!({ "command": "x" }))) },
            Answer::Review { message: "why".into(), input: None },
            Answer::Review { message: "why".into(), input: Some(Json::from_checked(json!({ "command": "x" }))) },
            Answer::Deny { message: "why".into() },
            Answer::Replace { output: Json::from_checked(json!({ "output": "x" })), message: "why".into() },
        ];
        for (name, event) in fixtures(harness, "stdin") {
            let event = parsed(harness, &event);
            for answer in &all {
                let printed = render(&event, answer);
                // A gate that gives nothing, or gives a bare denial without a reason, lets the call happen somewhere.
                if event.is_gate() && matches!(answer, Answer::Deny { .. }) {
                    let text = printed.stdout.as_ref().map(ToString::to_string).unwrap_or_default();
                    assert!(text.contains("deny") || text.contains("throw"), "{harness} {name}: {text}");
                    assert!(text.contains("fusebox: why"), "{harness} {name}: {text}");
                }
                if let Some(stdout) = &printed.stdout {
                    let is_invalid =
                        |(_, invalid): (&String, &Value)| !invalid["stdout"].is_null() && invalid["stdout"] == *stdout;
                    let allowed_elsewhere = event.kind != EventKind::Start;
                    assert!(
                        !(allowed_elsewhere && invalid.iter().any(is_invalid)),
                        "{harness} {name} {answer:?}: {stdout}"
                    );
                }
            }
        }
    }
}

#[test]
fn codex_takes_every_answer_of_ours_by_its_own_schema() {
    let schemas = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/codex/schema");
    let schema = |name: &str| -> jsonschema::Validator {
        let text = std::fs::read(schemas.join(name)).unwrap();
        jsonschema::validator_for(&serde_json::from_slice::<Value>(&text).unwrap()).unwrap()
    };
    let pre = schema("strict/pre-tool-use.command.output.schema.json");
    let permission = schema("permission-request.command.output.schema.json");
    let post = schema("post-tool-use.command.output.schema.json");
    let input = || Some(Json::from_checked(json!({ "command": "x" })));
    let answers = [
        Answer::Abstain,
        Answer::Allow { input: None },
        Answer::Allow { input: input() },
        Answer::Review { message: "why".into(), input: None },
        Answer::Review { message: "why".into(), input: input() },
        Answer::Deny { message: "why".into() },
        Answer::Replace { output: Json::from_checked(json!("x")), message: "why".into() },
    ];
    let mut checked = 0;
    for (name, event) in fixtures(Harness::Codex, "stdin") {
        let event = parsed(Harness::Codex, &event);
        let validator = match event.name.as_str() {
            "PreToolUse" => &pre,
            "PermissionRequest" => &permission,
            "PostToolUse" => &post,
            _ => continue,
        };
        for answer in &answers {
            let Some(stdout) = render(&event, answer).stdout else { continue };
            assert!(validator.is_valid(&stdout), "{name} {answer:?}: {stdout}");
            checked += 1;
        }
    }
    assert!(checked > 20, "{checked}");
}

#[test]
fn bad_events_are_refused() {
    let deep = format!(
        r#"{{"session_id":"s","cwd":"/","hook_event_name":"PreToolUse","tool_name":"x","tool_input":{}1{}}}"#,
        "[".repeat(5000),
        "]".repeat(5000)
    );
    let bad: [&[u8]; 9] = [
        b"",
        b"not json",
        b"[]",
        b"{}",
        br#"{"hook_event_name":"PreToolUse"}"#,
        br#"{"session_id":"s","session_id":"t"}"#,
        b"{\"session_id\":\"\\ud800\",\"cwd\":\"/\",\"hook_event_name\":\"PreToolUse\",\"tool_name\":\"Bash\"}",
        b"\xff\xfe",
        deep.as_bytes(),
    ];
    for harness in Harness::ALL {
        for event in bad {
            assert!(
                parse(harness, event).is_err(),
                "{harness} {:?}",
                String::from_utf8_lossy(event).chars().take(60).collect::<String>()
            );
        }
    }
}

#[test]
fn a_missing_or_strange_input_is_never_allowed_by_being_strange() {
    let repository = Repository::new();
    let places = Places::new(&repository.root().join("app"), &repository.root().join("app")).unwrap();
    for harness in Harness::ALL {
        for tool in [
            "Bash",
            "bash",
            "Shell",
            "run_shell_command",
            "Write",
            "write",
            "Edit",
            "apply_patch",
            "brand-new-tool",
            "",
        ] {
            for input in
                [json!(null), json!({}), json!([]), json!("text"), json!({ "command": 7 }), json!({ "path": "" })]
            {
                let call = ToolCall { tool: tool.into(), input: Json::from_checked(input), server: None, id: None };
                if let Ok(mapped) = tool::map(harness, &call, &places) {
                    assert!(!mapped.effects.is_empty(), "{harness} {tool} {:?}", call.input);
                }
            }
        }
    }
}
