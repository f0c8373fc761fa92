//! What stands in the files of the harnesses, and where these lie.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Scope;
use crate::error::Error;
use crate::hooks::Harness;

/// An event with the entry that its list gets.
pub type Entry = (&'static str, Value);

/// File that the hooks of a harness stand in.
pub fn file(harness: Harness, scope: &Scope) -> Result<PathBuf, Error> {
    let home = || std::env::home_dir().ok_or(Error::NoHome);
    let own = |variable: &str, folder: &str| -> Result<PathBuf, Error> {
        match std::env::var_os(variable).filter(|value| !value.is_empty()) {
            Some(folder) => Ok(PathBuf::from(folder)),
            None => Ok(home()?.join(folder)),
        }
    };
    Ok(match (harness, scope) {
        (Harness::ClaudeCode, Scope::User) => own("CLAUDE_CONFIG_DIR", ".claude")?.join("settings.json"),
        (Harness::ClaudeCode, Scope::Project(folder)) => folder.join(".claude/settings.json"),
        (Harness::Codex, Scope::User) => codex(&own("CODEX_HOME", ".codex")?),
        (Harness::Codex, Scope::Project(folder)) => codex(&folder.join(".codex")),
        (Harness::CopilotCli, Scope::User) => own("COPILOT_HOME", ".copilot")?.join("hooks/fusebox.json"),
        (Harness::CopilotCli, Scope::Project(folder)) => folder.join(".github/hooks/fusebox.json"),
        (Harness::Cursor, Scope::User) => home()?.join(".cursor/hooks.json"),
        (Harness::Cursor, Scope::Project(folder)) => folder.join(".cursor/hooks.json"),
        (Harness::GeminiCli, Scope::User) => home()?.join(".gemini/settings.json"),
        (Harness::GeminiCli, Scope::Project(folder)) => folder.join(".gemini/settings.json"),
        (Harness::OpenCode, Scope::User) => own("XDG_CONFIG_HOME", ".config")?.join("opencode/plugins/fusebox.js"),
        (Harness::OpenCode, Scope::Project(folder)) => folder.join(".opencode/plugins/fusebox.js"),
        (Harness::QwenCode, Scope::User) => home()?.join(".qwen/settings.json"),
        (Harness::QwenCode, Scope::Project(folder)) => folder.join(".qwen/settings.json"),
    })
}

/// Codex takes hooks from both of its files, and warns where both have some: whoever has them in its settings keeps them there.
fn codex(folder: &Path) -> PathBuf {
    let settings = folder.join("config.toml");
    let has_hooks = std::fs::read_to_string(&settings)
        .is_ok_and(|text| text.parse::<toml_edit::DocumentMut>().is_ok_and(|settings| settings.contains_key("hooks")));
    if has_hooks { settings } else { folder.join("hooks.json") }
}

/// A path as text.
pub fn text(program: &Path) -> Result<String, Error> {
    program.to_str().map(ToOwned::to_owned).ok_or_else(|| Error::Program { path: program.to_owned() })
}

/// The entries of a harness, by event. They name the program by its whole path and never change for one program, since some
/// harnesses trust them by their text.
pub fn wanted(harness: Harness, scope: &Scope, program: &Path) -> Result<Vec<Entry>, Error> {
    let program = text(program)?;
    let line = format!("{} hook {harness}", quoted(&program));
    Ok(match harness {
        Harness::ClaudeCode => claude(&program),
        Harness::Codex => codex_entries(&line),
        Harness::CopilotCli => copilot(&program, &line, scope),
        Harness::Cursor => cursor(&line),
        Harness::GeminiCli => gemini(&line),
        Harness::OpenCode => {
            vec![("tool.execute.before", Value::Null), ("tool.execute.after", Value::Null), ("event", Value::Null)]
        }
        Harness::QwenCode => qwen(&line),
    })
}

/// A word for a shell of POSIX.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@:".contains(c);
    if word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// A line that denies where the program is missing or breaks off: these harnesses would let the call happen.
fn closed(line: &str) -> String {
    format!("{line} || {{ echo 'fusebox failed' >&2; exit 2; }}")
}

fn claude(program: &str) -> Vec<Entry> {
    let entry = |matcher: bool, closes: bool| {
        let mut hook = json!({ "type": "command", "command": program, "args": ["hook", "claude-code"], "timeout": 10 });
        if let (true, Some(hook)) = (closes, hook.as_object_mut()) {
            hook.insert("onFailure".to_owned(), "block".into());
        }
        if matcher { json!({ "matcher": "*", "hooks": [hook] }) } else { json!({ "hooks": [hook] }) }
    };
    vec![
        ("PreToolUse", entry(true, true)),
        ("PermissionRequest", entry(true, true)),
        ("UserPromptSubmit", entry(false, false)),
        ("PostToolUse", entry(true, true)),
        ("PostToolUseFailure", entry(true, false)),
        ("PermissionDenied", entry(true, false)),
        ("SessionStart", entry(false, false)),
        ("SessionEnd", entry(false, false)),
        ("Stop", entry(false, false)),
        ("SubagentStop", entry(false, false)),
    ]
}

fn codex_entries(line: &str) -> Vec<Entry> {
    let entry = |line: &str| json!({ "type": "command", "command": line, "timeout": 10, "statusMessage": "fusebox" });
    let of_tools = |line: &str| json!({ "matcher": "*", "hooks": [entry(line)] });
    let other = || json!({ "hooks": [entry(line)] });
    vec![
        ("PreToolUse", of_tools(&closed(line))),
        ("PermissionRequest", of_tools(&closed(line))),
        ("PostToolUse", of_tools(line)),
        ("UserPromptSubmit", other()),
        ("SessionStart", other()),
        ("Stop", other()),
        ("SubagentStop", other()),
    ]
}

fn copilot(program: &str, line: &str, scope: &Scope) -> Vec<Entry> {
    let entry = || match scope {
        Scope::User => {
            json!({ "type": "command", "exec": program, "args": ["hook", "copilot-cli"], "timeoutSec": 30 })
        }
        // The cloud agent knows this form only.
        Scope::Project(_) => json!({ "type": "command", "bash": line, "powershell": line, "timeoutSec": 30 }),
    };
    let mut events = vec!["preToolUse"];
    if *scope == Scope::User {
        events.push("permissionRequest");
    }
    events.extend([
        "postToolUse",
        "postToolUseFailure",
        "sessionStart",
        "sessionEnd",
        "userPromptSubmitted",
        "agentStop",
        "subagentStop",
    ]);
    events.into_iter().map(|event| (event, entry())).collect()
}

fn cursor(line: &str) -> Vec<Entry> {
    let gate = |event| (event, json!({ "command": line, "timeout": 10, "failClosed": true }));
    let other = |event| (event, json!({ "command": line, "timeout": 10 }));
    let gates = [
        "preToolUse",
        "beforeShellExecution",
        "beforeMCPExecution",
        "beforeReadFile",
        "beforeTabFileRead",
        "subagentStart",
    ];
    let others = [
        "beforeSubmitPrompt",
        "postToolUse",
        "postToolUseFailure",
        "sessionStart",
        "sessionEnd",
        "stop",
        "subagentStop",
    ];
    gates.into_iter().map(gate).chain(others.into_iter().map(other)).collect()
}

fn gemini(line: &str) -> Vec<Entry> {
    let entry = |name: &str, line: &str| json!({ "matcher": "*", "hooks": [{ "name": name, "type": "command", "command": line, "timeout": 10_000 }] });
    vec![
        ("BeforeTool", entry("fusebox-before", &closed(line))),
        ("AfterTool", entry("fusebox-after", line)),
        ("BeforeAgent", entry("fusebox-prompt", line)),
        ("AfterAgent", entry("fusebox-stop", line)),
        ("SessionStart", entry("fusebox-start", line)),
        ("SessionEnd", entry("fusebox-end", line)),
    ]
}

fn qwen(line: &str) -> Vec<Entry> {
    let hook = |name: &str, line: &str| json!({ "type": "command", "command": line, "name": name, "timeout": 10_000 });
    let of_tools = |name: &str, line: &str| json!({ "matcher": "*", "hooks": [hook(name, line)] });
    let other = |name: &str| json!({ "hooks": [hook(name, line)] });
    vec![
        ("PreToolUse", of_tools("fusebox-pre", &closed(line))),
        ("PermissionRequest", of_tools("fusebox-ask", &closed(line))),
        ("PostToolUse", of_tools("fusebox-post", line)),
        ("PostToolUseFailure", of_tools("fusebox-failed", line)),
        ("UserPromptSubmit", other("fusebox-prompt")),
        ("SessionStart", other("fusebox-start")),
        ("SessionEnd", other("fusebox-end")),
        ("Stop", other("fusebox-stop")),
    ]
}

/// Whether a single hook is one of ours, whichever program it calls: it calls a `fusebox` for this harness.
pub fn is_ours(hook: &Value, harness: Harness) -> bool {
    let field = |name: &str| hook.get(name).and_then(Value::as_str);
    let named = |program: &str| program.rsplit(['/', '\\']).next().is_some_and(|name| name.contains("fusebox"));
    let args = hook.get("args").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let is_hook = matches!(args, [hook, name] if hook == "hook" && name == harness.name());
    if is_hook && [field("command"), field("exec")].into_iter().flatten().any(named) {
        return true;
    }
    let calls = format!(" hook {harness}");
    let of_line =
        |line: &str| line.split_once(&calls).is_some_and(|(program, _)| named(program.trim_end_matches('\'')));
    [field("command"), field("bash")].into_iter().flatten().any(of_line)
}
