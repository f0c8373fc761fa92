//! Events of Cursor.

use fusebox::core::Json;
use fusebox::core::event::ObservedOutcome;
use fusebox::core::session::ReviewBy;
use serde_json::{Value, json};

use super::claude_like::{note, said, summary};
use super::event::{EventKind, HookEvent, ToolCall, ToolOutcome};
use super::harness::Harness;
use super::reader::{Reader, first_line, unwrapped};
use crate::error::Error;

/// What the names of MCP tools begin with in generic events.
pub const MCP: &str = "MCP:";

pub fn parse(event: &Reader) -> Result<HookEvent, Error> {
    let name = event.text("hook_event_name")?;
    let session = event.maybe("conversation_id").or_else(|| event.maybe("session_id"));
    let roots = event.value("workspace_roots").and_then(Value::as_array);
    let project = roots.and_then(|roots| roots.first()?.as_str()).map(Into::into);
    let cwd = event.maybe("cwd").filter(|cwd| !cwd.is_empty()).map(Into::into).or_else(|| project.clone());
    let kind = match name.as_str() {
        "preToolUse" => gate(event)?,
        "beforeShellExecution" => EventKind::Gate(shell(event)?),
        "beforeMCPExecution" => EventKind::Gate(mcp(event)?),
        "beforeReadFile" | "beforeTabFileRead" => EventKind::Gate(read(event)?),
        "subagentStart" => EventKind::Gate(ToolCall {
            tool: "Task".to_owned(),
            input: Json::from_checked(
                json!({ "prompt": event.text("task")?, "subagent_type": event.maybe("subagent_type") }),
            ),
            server: None,
            id: None,
        }),
        "postToolUse" => EventKind::Outcome(call(event)?, completed(event)),
        "postToolUseFailure" => EventKind::Outcome(call(event)?, failed(event)),
        "sessionStart" => EventKind::Start,
        "sessionEnd" => EventKind::End { reason: event.maybe("reason").unwrap_or_default() },
        other => EventKind::Note { kind: note(other)?, data: said(event) },
    };
    Ok(HookEvent {
        harness: Harness::Cursor,
        name,
        session: session.ok_or(Error::Field { field: "conversation_id", expected: "a text" })?,
        cwd: cwd.ok_or(Error::Field { field: "workspace_roots", expected: "a list with a folder" })?,
        project,
        review: review(event),
        kind,
    })
}

/// Shell and MCP calls have an event of their own after the generic one, which can ask.
fn gate(event: &Reader) -> Result<EventKind, Error> {
    let call = call(event)?;
    let has_own = call.tool == "Shell" || call.tool.starts_with(MCP);
    Ok(if has_own { EventKind::EarlyGate(call) } else { EventKind::Gate(call) })
}

/// The generic event for tools cannot ask; those for shell and MCP can.
fn review(event: &Reader) -> ReviewBy {
    let asks = ["beforeShellExecution", "beforeMCPExecution", "preToolUse"];
    let name = event.maybe("hook_event_name").unwrap_or_default();
    let tool = event.maybe("tool_name").unwrap_or_default();
    let is_background = event.value("is_background_agent").and_then(Value::as_bool) == Some(true);
    let has_own = name != "preToolUse" || tool == "Shell" || tool.starts_with(MCP);
    if asks.contains(&name.as_str()) && has_own && !is_background { ReviewBy::Policy } else { ReviewBy::Inbox }
}

fn call(event: &Reader) -> Result<ToolCall, Error> {
    let input = event.value("tool_input").map(unwrapped).unwrap_or_else(|| event.json("tool_input"));
    Ok(ToolCall { tool: event.text("tool_name")?, input, server: None, id: event.maybe("tool_use_id") })
}

fn shell(event: &Reader) -> Result<ToolCall, Error> {
    let command = event.text("command")?;
    let input = match event.maybe("cwd") {
        Some(cwd) => json!({ "command": command, "working_directory": cwd }),
        None => json!({ "command": command }),
    };
    Ok(ToolCall { tool: "Shell".to_owned(), input: Json::from_checked(input), server: None, id: None })
}

fn mcp(event: &Reader) -> Result<ToolCall, Error> {
    let input = event.value("tool_input").map(unwrapped).unwrap_or_else(|| event.json("tool_input"));
    let place = || event.maybe("mcp_server_url").or_else(|| event.maybe("url")).or_else(|| event.maybe("command"));
    let server = event.maybe("mcp_server_name").or_else(place).unwrap_or_else(|| "unknown".to_owned());
    Ok(ToolCall { tool: format!("{MCP}{}", event.text("tool_name")?), input, server: Some(server), id: None })
}

/// A read file, with the files that are attached to it.
fn read(event: &Reader) -> Result<ToolCall, Error> {
    let attached = event.value("attachments").and_then(Value::as_array).into_iter().flatten();
    let path = |attachment: &Value| {
        let path = attachment.get("file_path").or_else(|| attachment.get("filePath"))?;
        path.as_str().map(ToOwned::to_owned)
    };
    let files: Vec<String> = [event.text("file_path")?].into_iter().chain(attached.filter_map(path)).collect();
    Ok(ToolCall {
        tool: "Read".to_owned(),
        input: Json::from_checked(json!({ "files": files })),
        server: None,
        id: None,
    })
}

fn completed(event: &Reader) -> ToolOutcome {
    let output = event.value("tool_output").map(unwrapped);
    let code = output.as_ref().and_then(|output| output.value().get("exitCode")?.as_i64());
    ToolOutcome {
        outcome: if code.unwrap_or(0) == 0 { ObservedOutcome::Completed } else { ObservedOutcome::Failed },
        summary: summary(output.as_ref().map(Json::value)),
        output,
        took_us: event.millis("duration"),
    }
}

fn failed(event: &Reader) -> ToolOutcome {
    let is_refused = event.maybe("failure_type").as_deref() == Some("permission_denied");
    ToolOutcome {
        outcome: if is_refused { ObservedOutcome::NotDone } else { ObservedOutcome::Failed },
        summary: first_line(&event.maybe("error_message").unwrap_or_default()),
        output: event.has("error_message").then(|| event.json("error_message")),
        took_us: event.millis("duration"),
    }
}
