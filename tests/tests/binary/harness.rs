//! Events of every harness, given to `fusebox hook`.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Output, Stdio};

use fusebox_adapters::hooks::{Harness, Taken};
use serde_json::{Value, json};

use crate::place::{Place, text};

/// A call of a shell that is about to be made.
pub fn gate(harness: Harness, cwd: &Path, command: &str, id: &str) -> Value {
    let claude = |tool: &str| {
        json!({ "session_id": "s-1", "cwd": cwd, "hook_event_name": "PreToolUse", "permission_mode": "default", "tool_name": tool,
                "tool_input": { "command": command, "description": "words" }, "tool_use_id": id })
    };
    match harness {
        Harness::ClaudeCode | Harness::Codex => claude("Bash"),
        Harness::QwenCode => claude("run_shell_command"),
        Harness::CopilotCli => {
            json!({ "sessionId": "s-1", "timestamp": 1, "cwd": cwd, "toolName": "bash", "toolArgs": { "command": command } })
        }
        Harness::Cursor => json!({ "conversation_id": "s-1", "generation_id": "g", "workspace_roots": [cwd],
                                   "hook_event_name": "beforeShellExecution", "command": command, "cwd": cwd }),
        Harness::GeminiCli => {
            json!({ "session_id": "s-1", "cwd": cwd, "hook_event_name": "BeforeTool", "timestamp": "t",
                                      "tool_name": "run_shell_command", "tool_input": { "command": command } })
        }
        Harness::OpenCode => json!({ "hook": "tool.execute.before", "context": { "directory": cwd, "worktree": cwd },
                                     "input": { "tool": "bash", "sessionID": "s-1", "callID": id }, "output": { "args": { "command": command } } }),
    }
}

/// The same call after it returned.
pub fn outcome(harness: Harness, cwd: &Path, command: &str, id: &str, printed: &str) -> Value {
    let claude = |tool: &str, response: Value| {
        json!({ "session_id": "s-1", "cwd": cwd, "hook_event_name": "PostToolUse", "permission_mode": "default", "tool_name": tool,
                "tool_input": { "command": command, "description": "other words" }, "tool_use_id": id, "tool_response": response })
    };
    match harness {
        Harness::ClaudeCode => {
            claude("Bash", json!({ "stdout": printed, "stderr": "", "interrupted": false, "isImage": false }))
        }
        Harness::Codex => claude("Bash", json!(printed)),
        Harness::QwenCode => claude("run_shell_command", json!({ "llmContent": printed, "returnDisplay": printed })),
        Harness::CopilotCli => {
            json!({ "sessionId": "s-1", "timestamp": 1, "cwd": cwd, "toolName": "bash", "toolArgs": { "command": command },
                                       "toolResult": { "resultType": "success", "textResultForLlm": printed } })
        }
        Harness::Cursor => {
            json!({ "conversation_id": "s-1", "generation_id": "g", "workspace_roots": [cwd], "hook_event_name": "postToolUse",
                                   "tool_name": "Shell", "tool_input": { "command": command }, "cwd": cwd,
                                   "tool_output": json!({ "exitCode": 0, "stdout": printed }).to_string() })
        }
        Harness::GeminiCli => {
            json!({ "session_id": "s-1", "cwd": cwd, "hook_event_name": "AfterTool", "timestamp": "t",
                                      "tool_name": "run_shell_command", "tool_input": { "command": command },
                                      "tool_response": { "llmContent": printed, "returnDisplay": printed } })
        }
        Harness::OpenCode => json!({ "hook": "tool.execute.after", "context": { "directory": cwd, "worktree": cwd },
                                     "input": { "tool": "bash", "sessionID": "s-1", "callID": id, "args": { "command": command } },
                                     "output": { "title": "t", "output": printed, "metadata": { "exit": 0 } } }),
    }
}

pub fn start(place: &Place, harness: Harness, more: &[&str]) -> Child {
    let mut command = place.command(&[&["hook", harness.name()], more].concat());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

pub fn hook_with(place: &Place, harness: Harness, event: &[u8], more: &[&str]) -> Output {
    let mut child = start(place, harness, more);
    // Each hook reads all of it, however it answers.
    child.stdin.take().unwrap().write_all(event).unwrap();
    child.wait_with_output().unwrap()
}

pub fn hook(place: &Place, harness: Harness, event: &Value) -> Output {
    hook_with(place, harness, event.to_string().as_bytes(), &[])
}

pub fn answer(output: &Output) -> Value {
    let text = text(&output.stdout);
    if text.trim().is_empty() {
        Value::Null
    } else {
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("one object: {text}"))
    }
}

/// How a harness takes an answer to a call of a shell.
pub fn taken(harness: Harness, output: &Output) -> &'static str {
    let silent = output.stdout.is_empty() && harness == Harness::Codex && output.status.code() == Some(0);
    if !silent && output.status.code() != Some(2) {
        assert!(!answer(output).is_null(), "{harness}: {output:?}");
    }
    match harness.takes(&output.stdout, &output.stderr, output.status.code()) {
        Taken::Denied => "deny",
        Taken::Asked => "ask",
        Taken::Open => "allow",
    }
}
