//! Events of OpenCode, as the plugin of `fusebox hooks install` pipes them: `{hook, context, input, output}`.

use fusebox::core::Json;
use fusebox::core::event::ObservedOutcome;
use fusebox::core::session::ReviewBy;
use serde_json::Value;

use super::claude_like::{note, summary};
use super::event::{EventKind, HookEvent, ToolCall, ToolOutcome};
use super::harness::Harness;
use super::reader::Reader;
use crate::error::Error;

pub fn parse(event: &Reader) -> Result<HookEvent, Error> {
    let name = event.text("hook")?;
    let (context, input) = (event.part("context")?, event.part("input")?);
    let cwd = context.text("directory")?;
    let happened = input.part("event").ok();
    let of_event = happened.as_ref().and_then(|event| event.part("properties").ok());
    let session = input
        .maybe("sessionID")
        .or_else(|| of_event.as_ref()?.maybe("sessionID"))
        .or_else(|| of_event.as_ref()?.part("info").ok()?.maybe("id"));
    let kind = match name.as_str() {
        "tool.execute.before" => EventKind::Gate(call(&input, &event.part("output").ok(), "args")?),
        "tool.execute.after" => EventKind::Outcome(call(&input, &None, "args")?, outcome(event)),
        "event" => match happened.as_ref().and_then(|event| event.maybe("type")).as_deref() {
            Some("session.created") => EventKind::Start,
            Some("session.deleted") => EventKind::End { reason: "deleted".to_owned() },
            Some("session.idle") => EventKind::Note { kind: "stop", data: Json::from_checked(Value::Null) },
            _ => EventKind::Note { kind: "event", data: input.json("event") },
        },
        other => EventKind::Note { kind: note(other)?, data: event.json("output") },
    };
    let project = context.maybe("worktree").filter(|worktree| worktree.len() > 1).map(Into::into);
    Ok(HookEvent {
        harness: Harness::OpenCode,
        name,
        session: session.ok_or(Error::Field { field: "input.sessionID", expected: "a text" })?,
        cwd: cwd.into(),
        project,
        // A plugin cannot ask.
        review: ReviewBy::Inbox,
        kind,
    })
}

/// A call; of some tools OpenCode tells no arguments.
fn call(input: &Reader, output: &Option<Reader>, arguments: &'static str) -> Result<ToolCall, Error> {
    let holder = output.as_ref().unwrap_or(input);
    let tool = input.text("tool")?;
    Ok(ToolCall { tool, input: holder.json(arguments), server: None, id: input.maybe("callID") })
}

fn outcome(event: &Reader) -> ToolOutcome {
    let output = event.value("output");
    let code = output.and_then(|output| output.get("metadata")?.get("exit")?.as_i64());
    ToolOutcome {
        outcome: if code.unwrap_or(0) == 0 { ObservedOutcome::Completed } else { ObservedOutcome::Failed },
        summary: summary(output),
        output: output.is_some().then(|| event.json("output")),
        took_us: None,
    }
}
