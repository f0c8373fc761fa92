//! Events of Gemini CLI.

use fusebox::core::event::ObservedOutcome;
use fusebox::core::session::ReviewBy;
use serde_json::Value;

use super::claude_like::{note, said, summary};
use super::event::{EventKind, HookEvent, ToolCall, ToolOutcome};
use super::harness::Harness;
use super::reader::Reader;
use crate::error::Error;

pub fn parse(event: &Reader) -> Result<HookEvent, Error> {
    let name = event.text("hook_event_name")?;
    let kind = match name.as_str() {
        "BeforeTool" => EventKind::Gate(call(event)?),
        "AfterTool" => EventKind::Outcome(call(event)?, outcome(event)),
        "SessionStart" => EventKind::Start,
        "SessionEnd" => EventKind::End { reason: event.maybe("reason").unwrap_or_default() },
        other => EventKind::Note { kind: note(other)?, data: said(event) },
    };
    Ok(HookEvent {
        harness: Harness::GeminiCli,
        name,
        session: event.text("session_id")?,
        cwd: event.text("cwd")?.into(),
        project: None,
        review: ReviewBy::Policy,
        kind,
    })
}

/// The name of an MCP tool is ambiguous; its context says which server it is of.
fn call(event: &Reader) -> Result<ToolCall, Error> {
    let context = event.part("mcp_context").ok();
    let server = context.as_ref().and_then(|context| context.maybe("server_name"));
    let tool = context.and_then(|context| context.maybe("tool_name"));
    let named = event.text("tool_name")?;
    Ok(ToolCall { tool: tool.unwrap_or(named), input: event.json("tool_input"), server, id: None })
}

fn outcome(event: &Reader) -> ToolOutcome {
    let response = event.value("tool_response");
    let error = response.and_then(|response| response.get("error")).filter(|error| !error.is_null());
    let is_refused = error.and_then(|error| error.get("type")?.as_str()) == Some("permission_denied");
    ToolOutcome {
        outcome: match error {
            None => ObservedOutcome::Completed,
            Some(_) if is_refused => ObservedOutcome::NotDone,
            Some(_) => ObservedOutcome::Failed,
        },
        summary: match error.and_then(|error| error.get("message").and_then(Value::as_str)) {
            Some(message) => super::reader::first_line(message),
            None => summary(response),
        },
        output: response.is_some().then(|| event.json("tool_response")),
        took_us: None,
    }
}
