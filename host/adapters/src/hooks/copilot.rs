//! Events of GitHub Copilot CLI: in a form of its own, and in that of Claude Code where it reads a file of that.

use fusebox::core::event::ObservedOutcome;
use fusebox::core::session::ReviewBy;

use super::claude_like::{note, said, summary};
use super::event::{EventKind, HookEvent, ToolCall, ToolOutcome};
use super::harness::Harness;
use super::reader::{Reader, first_line, unwrapped};
use crate::error::Error;

pub fn parse(event: &Reader) -> Result<HookEvent, Error> {
    match event.has("sessionId") {
        true => own(event),
        false => pascal(event),
    }
}

fn own(event: &Reader) -> Result<HookEvent, Error> {
    let call = || -> Result<ToolCall, Error> {
        let arguments = event.value("toolArgs").or_else(|| event.value("toolInput"));
        let input = arguments.map(unwrapped).unwrap_or_else(|| event.json("toolArgs"));
        Ok(ToolCall { tool: event.text("toolName")?, input, server: None, id: None })
    };
    // The event does not say its name; what it holds does.
    let (name, kind) = if event.has("toolResult") {
        ("postToolUse", EventKind::Outcome(call()?, outcome(event, "toolResult", "resultType")))
    } else if event.has("toolName") && event.has("error") {
        ("postToolUseFailure", EventKind::Outcome(call()?, failed(event)))
    } else if event.has("toolInput") {
        ("permissionRequest", EventKind::Permission(call()?))
    } else if event.has("toolName") {
        ("preToolUse", EventKind::Gate(call()?))
    } else if event.has("prompt") {
        ("userPromptSubmitted", EventKind::Note { kind: "prompt", data: said(event) })
    } else if event.has("agentName") || event.has("agentId") {
        ("subagentStop", EventKind::Note { kind: "subagent-stop", data: said(event) })
    } else if event.has("stopReason") {
        ("agentStop", EventKind::Note { kind: "stop", data: said(event) })
    } else if event.has("reason") {
        ("sessionEnd", EventKind::End { reason: event.maybe("reason").unwrap_or_default() })
    } else if event.has("source") {
        ("sessionStart", EventKind::Start)
    } else {
        ("notification", EventKind::Note { kind: "notification", data: said(event) })
    };
    Ok(HookEvent {
        harness: Harness::CopilotCli,
        name: name.to_owned(),
        session: event.text("sessionId")?,
        cwd: event.text("cwd")?.into(),
        project: None,
        review: ReviewBy::Policy,
        kind,
    })
}

fn pascal(event: &Reader) -> Result<HookEvent, Error> {
    let name = event.text("hook_event_name")?;
    let call = || -> Result<ToolCall, Error> {
        let input = event.value("tool_input").map(unwrapped).unwrap_or_else(|| event.json("tool_input"));
        Ok(ToolCall { tool: event.text("tool_name")?, input, server: None, id: event.maybe("tool_use_id") })
    };
    let kind = match name.as_str() {
        "PreToolUse" => EventKind::Gate(call()?),
        "PermissionRequest" => EventKind::Permission(call()?),
        "PostToolUse" => EventKind::Outcome(call()?, outcome(event, "tool_result", "result_type")),
        "PostToolUseFailure" => EventKind::Outcome(call()?, failed(event)),
        "SessionStart" => EventKind::Start,
        "SessionEnd" => EventKind::End { reason: event.maybe("reason").unwrap_or_default() },
        other => EventKind::Note { kind: note(other)?, data: said(event) },
    };
    Ok(HookEvent {
        harness: Harness::CopilotCli,
        name,
        session: event.text("session_id")?,
        cwd: event.text("cwd")?.into(),
        project: None,
        review: ReviewBy::Policy,
        kind,
    })
}

fn outcome(event: &Reader, result: &'static str, kind: &str) -> ToolOutcome {
    let value = event.value(result);
    let how = value.and_then(|value| value.get(kind)?.as_str());
    ToolOutcome {
        outcome: match how {
            Some("success") | None => ObservedOutcome::Completed,
            Some("denied" | "rejected") => ObservedOutcome::NotDone,
            Some(_) => ObservedOutcome::Failed,
        },
        summary: summary(value),
        output: value.is_some().then(|| event.json(result)),
        took_us: None,
    }
}

fn failed(event: &Reader) -> ToolOutcome {
    ToolOutcome {
        outcome: ObservedOutcome::Failed,
        summary: first_line(&event.maybe("error").unwrap_or_default()),
        output: Some(event.json("error")),
        took_us: None,
    }
}
