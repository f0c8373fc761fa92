//! A harmless call that must be denied, put to the installed command as the harness would.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Scope, entries, read};
use crate::error::Error;
use crate::hooks::{Harness, Taken};

/// Id of the sessions that probes make.
pub const PROBE_SESSION: &str = "fusebox-doctor";

/// Time between two looks at the hook.
const LOOK: Duration = Duration::from_millis(5);

/// What the installed command answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// What the harness would make of it.
    pub taken: Taken,
    /// Time that it took.
    pub took: Duration,
    /// What it printed, or why it could not be started, in one line.
    pub said: String,
}

/// Puts a call that must be denied to the installed command: one that names `fusebox` itself. `None` where none is installed.
///
/// # Errors
/// When the file of the harness cannot be read.
pub fn probe(harness: Harness, scope: &Scope, folder: &Path, deadline: Duration) -> Result<Option<Probe>, Error> {
    let file = entries::file(harness, scope)?;
    let Some(text) = read(&file)? else { return Ok(None) };
    let Some(mut command) = installed(harness, &text, file.extension().is_some_and(|ending| ending == "toml")) else {
        return Ok(None);
    };
    let since = Instant::now();
    let answered = ask(&mut command, &event(harness, folder), deadline);
    let took = since.elapsed();
    Ok(Some(match answered {
        Ok((stdout, stderr, code)) => {
            let taken = harness.takes(&stdout, &stderr, code);
            let text = if stdout.is_empty() { stderr } else { stdout };
            Probe { taken, took, said: String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned() }
        }
        Err(said) => Probe { taken: Taken::Open, took, said },
    }))
}

/// The command that stands in the file for calls of tools.
fn installed(harness: Harness, text: &str, is_toml: bool) -> Option<Command> {
    if harness == Harness::OpenCode {
        let program = text.lines().find_map(|line| line.strip_prefix("const PROGRAM = ")?.strip_suffix(';'))?;
        let program: String = serde_json::from_str(program).ok()?;
        let mut command = Command::new(program);
        command.args(["hook", harness.name()]);
        return Some(command);
    }
    let event = match harness {
        Harness::CopilotCli | Harness::Cursor => "preToolUse",
        Harness::GeminiCli => "BeforeTool",
        _ => "PreToolUse",
    };
    let groups = if is_toml { super::toml::entries(text, event)? } else { super::json::entries(text, event)? };
    let hooks = groups.into_iter().flat_map(|group| match group.get("hooks").and_then(Value::as_array) {
        Some(hooks) => hooks.clone(),
        None => vec![group],
    });
    let hook = hooks.into_iter().find(|hook| entries::is_ours(hook, harness))?;
    let field = |name: &str| hook.get(name).and_then(Value::as_str);
    match hook.get("args").and_then(Value::as_array) {
        Some(args) => {
            let mut command = Command::new(field("exec").or_else(|| field("command"))?);
            command.args(args.iter().filter_map(Value::as_str));
            Some(command)
        }
        None => {
            let mut command = Command::new("/bin/sh");
            command.arg("-c").arg(field("command").or_else(|| field("bash"))?);
            Some(command)
        }
    }
}

/// A call of a shell that names Fusebox itself, which no policy allows.
fn event(harness: Harness, folder: &Path) -> Value {
    let (session, command) = (PROBE_SESSION, "fusebox --version");
    let claude = |tool: &str| {
        json!({ "session_id": session, "cwd": folder, "hook_event_name": "PreToolUse", "permission_mode": "default",
                "tool_name": tool, "tool_input": { "command": command }, "tool_use_id": "doctor" })
    };
    match harness {
        Harness::ClaudeCode | Harness::Codex => claude("Bash"),
        Harness::QwenCode => claude("run_shell_command"),
        Harness::CopilotCli => {
            json!({ "sessionId": session, "timestamp": 0, "cwd": folder, "toolName": "bash", "toolArgs": { "command": command } })
        }
        Harness::Cursor => {
            json!({ "conversation_id": session, "generation_id": "doctor", "workspace_roots": [folder], "hook_event_name": "preToolUse",
                    "tool_name": "Shell", "tool_input": { "command": command }, "tool_use_id": "doctor", "cwd": folder })
        }
        Harness::GeminiCli => {
            json!({ "session_id": session, "cwd": folder, "hook_event_name": "BeforeTool", "tool_name": "run_shell_command",
                    "tool_input": { "command": command } })
        }
        Harness::OpenCode => {
            json!({ "hook": "tool.execute.before", "context": { "directory": folder, "worktree": folder },
                    "input": { "tool": "bash", "sessionID": session, "callID": "doctor" }, "output": { "args": { "command": command } } })
        }
    }
}

type Answered = (Vec<u8>, Vec<u8>, Option<i32>);

fn ask(command: &mut Command, event: &Value, deadline: Duration) -> Result<Answered, String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("it cannot be started: {error}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A hook that does not read is one that does not answer.
        let _ = stdin.write_all(event.to_string().as_bytes());
    }
    let until = Instant::now() + deadline;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < until => std::thread::sleep(LOOK),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("it did not answer within {} s", deadline.as_secs()));
            }
            Err(error) => return Err(error.to_string()),
        }
    };
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    if let Some(mut out) = child.stdout.take() {
        out.read_to_end(&mut stdout).map_err(|error| error.to_string())?;
    }
    if let Some(mut err) = child.stderr.take() {
        err.read_to_end(&mut stderr).map_err(|error| error.to_string())?;
    }
    Ok((stdout, stderr, status.code()))
}
