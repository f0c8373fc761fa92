//! Events of Claude Code, and of Codex and Qwen Code, whose events have the same form.

use fusebox::core::Json;
use fusebox::core::event::ObservedOutcome;
use fusebox::core::session::ReviewBy;
use serde_json::Value;

use super::event::{EventKind, HookEvent, ToolCall, ToolOutcome};
use super::harness::Harness;
use super::reader::{Reader, first_line};
use crate::error::Error;

/// The name by which a request for the network goes here.
pub const NETWORK: &str = "network-access";

/// Modes in which nobody is asked.
const UNATTENDED: [&str; 3] = ["bypassPermissions", "dontAsk", "yolo"];

pub fn parse(harness: Harness, event: &Reader) -> Result<HookEvent, Error> {
    let name = event.text("hook_event_name")?;
    let kind = match name.as_str() {
        "PreToolUse" => EventKind::Gate(call(event)?),
        "PermissionRequest" => EventKind::Permission(network(harness, event).map_or_else(|| call(event), Ok)?),
        "PostToolUse" => EventKind::Outcome(call(event)?, completed(event)),
        "PostToolUseFailure" => EventKind::Outcome(call(event)?, failed(event)),
        "PermissionDenied" => EventKind::Outcome(call(event)?, denied(event)),
        "SessionStart" => EventKind::Start,
        "SessionEnd" => EventKind::End { reason: event.maybe("reason").unwrap_or_default() },
        other => EventKind::Note { kind: note(other)?, data: said(event) },
    };
    let mode = event.maybe("permission_mode").unwrap_or_default();
    let review = if UNATTENDED.contains(&mode.as_str()) { ReviewBy::Inbox } else { ReviewBy::Policy };
    Ok(HookEvent {
        harness,
        name,
        session: event.text("session_id")?,
        cwd: event.text("cwd")?.into(),
        project: None,
        review,
        kind,
    })
}

fn call(event: &Reader) -> Result<ToolCall, Error> {
    Ok(ToolCall {
        tool: event.text("tool_name")?,
        input: event.json("tool_input"),
        server: None,
        id: event.maybe("tool_use_id"),
    })
}

/// Codex asks about the network by a call of the shell that wants it, with a description of its own: another action than the
/// call itself.
fn network(harness: Harness, event: &Reader) -> Option<ToolCall> {
    let description = event.part("tool_input").ok()?.maybe("description")?;
    let host = description.strip_prefix("network-access ").filter(|_| harness == Harness::Codex)?;
    let input = Json::from_checked(serde_json::json!({ "url": format!("https://{}", host.trim()) }));
    Some(ToolCall { tool: NETWORK.to_owned(), input, server: None, id: None })
}

fn completed(event: &Reader) -> ToolOutcome {
    let output = event.has("tool_response").then(|| event.json("tool_response"));
    let is_error = |value: &Value| {
        value.get("isError").and_then(Value::as_bool) == Some(true)
            || value.get("error").is_some_and(|error| !error.is_null())
    };
    let outcome = match event.value("tool_response").is_some_and(is_error) {
        true => ObservedOutcome::Failed,
        false => ObservedOutcome::Completed,
    };
    ToolOutcome {
        outcome,
        summary: summary(event.value("tool_response")),
        output,
        took_us: event.millis("duration_ms"),
    }
}

fn failed(event: &Reader) -> ToolOutcome {
    let error = event.maybe("error").unwrap_or_default();
    ToolOutcome {
        outcome: ObservedOutcome::Failed,
        summary: first_line(&error),
        output: event.has("error").then(|| event.json("error")),
        took_us: event.millis("duration_ms"),
    }
}

fn denied(event: &Reader) -> ToolOutcome {
    let summary = first_line(&event.maybe("reason").unwrap_or_default());
    ToolOutcome { outcome: ObservedOutcome::NotDone, summary, output: None, took_us: None }
}

/// One line of a tool's answer.
pub fn summary(answer: Option<&Value>) -> String {
    let text = match answer {
        Some(Value::String(text)) => text.as_str(),
        Some(Value::Object(fields)) => {
            ["stdout", "llmContent", "textResultForLlm", "text_result_for_llm", "output", "stderr"]
                .into_iter()
                .find_map(|field| fields.get(field)?.as_str().filter(|text| !text.trim().is_empty()))
                .unwrap_or_default()
        }
        _ => "",
    };
    first_line(text)
}

/// A word for an event that is no action.
///
/// # Errors
/// When the event is not known.
pub fn note(name: &str) -> Result<&'static str, Error> {
    Ok(match name {
        "UserPromptSubmit"
        | "UserPromptExpansion"
        | "BeforeAgent"
        | "userPromptSubmitted"
        | "beforeSubmitPrompt"
        | "chat.message" => "prompt",
        "Stop" | "AfterAgent" | "agentStop" | "stop" => "stop",
        "SubagentStart" | "subagentStart" => "subagent-start",
        "SubagentStop" | "subagentStop" => "subagent-stop",
        "Notification" | "notification" => "notification",
        "PreCompact" | "PostCompact" | "PreCompress" => "compaction",
        "PostToolBatch"
        | "ConfigChange"
        | "TaskCreated"
        | "TaskCompleted"
        | "TeammateIdle"
        | "InstructionsLoaded"
        | "CwdChanged"
        | "FileChanged"
        | "WorktreeCreate"
        | "WorktreeRemove"
        | "Elicitation"
        | "ElicitationResult"
        | "PreModelSwitch"
        | "Setup"
        | "StopFailure"
        | "Interrupt"
        | "BeforeModel"
        | "AfterModel"
        | "BeforeToolSelection"
        | "afterFileEdit"
        | "afterTabFileEdit"
        | "afterShellExecution"
        | "afterMCPExecution"
        | "afterAgentResponse"
        | "afterAgentThought"
        | "preCompact"
        | "workspaceOpen"
        | "permission.ask"
        | "command.execute.before"
        | "shell.env"
        | "tool.definition" => "event",
        _ => return Err(Error::UnknownEvent { name: name.chars().take(80).collect() }),
    })
}

/// What an event says that is worth keeping: its prompt, or what it is about.
pub fn said(event: &Reader) -> Json {
    let kept =
        ["hook_event_name", "prompt", "submitted_prompt", "last_assistant_message", "message", "agent_type", "reason"];
    let fields = kept.into_iter().filter_map(|field| Some((field.to_owned(), event.value(field)?.clone())));
    Json::from_checked(Value::Object(fields.collect()))
}
