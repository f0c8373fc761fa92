//! Handling an event in the session of its harness.

use std::path::PathBuf;
use std::time::Duration;

use fusebox::core::session::Verdict;
use fusebox::core::{Action, Agent, Json, Origin, Ruling, Scope};
use fusebox::{Host, Observed, ObservedCall, Session, SessionAction, SessionOptions, SessionOutcome};

use super::answer::Answer;
use super::cursor::MCP;
use super::event::{EventKind, HookEvent, ToolCall, ToolOutcome};
use super::harness::Harness;
use super::paths::Places;
use super::tool::{self, MappedCall};
use crate::error::Error;

/// Longest wait for other processes that work on the same session.
const PATIENCE: Duration = Duration::from_secs(6);
/// Longest id of a call that is used as it is, in characters.
const MAX_CALL_CHARS: usize = 256;

/// Options of the session that an event belongs to. `project` is the folder of the project, where the harness tells it by its
/// environment.
#[must_use]
pub fn options(event: &HookEvent, project: Option<PathBuf>) -> SessionOptions {
    let folder = project.or_else(|| event.project.clone()).unwrap_or_else(|| event.cwd.clone());
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let agent = Agent { id: event.harness.name().to_owned(), kind: Some("coding".to_owned()), tier: None };
    let goal = format!("{} in {name}", event.harness.name());
    SessionOptions::new(agent, event.harness.name(), &event.session).workspace(folder).goal(goal).patience(PATIENCE)
}

/// Proposes, observes or notes an event in its session.
///
/// # Errors
/// When the event cannot be understood, or the session cannot be worked on: then the answer is a denial
/// ([`failed`](super::failed)).
pub fn handle(host: &Host, event: &HookEvent, options: SessionOptions) -> Result<Answer, Error> {
    if let EventKind::End { reason } = &event.kind {
        let session = host.session(options)?;
        session.close(&format!("{} ended it: {reason}", event.harness.name()))?;
        return Ok(Answer::Abstain);
    }
    let session = host.session(options)?;
    match &event.kind {
        // An event of its own comes for the same call, which knows the tool's server and can ask.
        EventKind::EarlyGate(call) if call.tool.starts_with(MCP) => Ok(Answer::Abstain),
        EventKind::Gate(call) if event.harness == Harness::Cursor && call.id.is_none() => second(&session, event, call),
        EventKind::Gate(call) | EventKind::EarlyGate(call) => propose(&session, event, call),
        EventKind::Permission(call) => permission(&session, event, call),
        EventKind::Outcome(call, outcome) => observe(&session, event, call, outcome),
        EventKind::Note { kind, data } => {
            session.note(kind, Some(data))?;
            Ok(Answer::Abstain)
        }
        EventKind::Start | EventKind::End { .. } => Ok(Answer::Abstain),
    }
}

fn mapped(session: &Session, event: &HookEvent, call: &ToolCall) -> Result<MappedCall, Error> {
    let places = Places::new(session.workspace(), &event.cwd)?;
    tool::map(event.harness, call, &places)
}

fn propose(session: &Session, event: &HookEvent, call: &ToolCall) -> Result<Answer, Error> {
    let mapped = mapped(session, event, call)?;
    let is_dialogue = mapped.is_dialogue;
    let verdict = session.propose(&action(event, call, mapped))?;
    Ok(match answer(call, &verdict) {
        // The harness asks its user by this very tool.
        Answer::Allow { .. } if is_dialogue => Answer::Abstain,
        answer => answer,
    })
}

/// The harness is about to ask its user. What was allowed needs no question, what was denied gets none, and what is under
/// review is asked. A call that no other event came for is judged now.
fn permission(session: &Session, event: &HookEvent, call: &ToolCall) -> Result<Answer, Error> {
    let mapped = mapped(session, event, call)?;
    let (step_type, input) = (mapped.step_type.to_owned(), mapped.input.clone());
    let before = session.answered(&match event.harness {
        // It gives its calls no ids.
        Harness::CopilotCli => ObservedCall::Like { step_type, input },
        _ => ObservedCall::NamedLike { step_type, input },
    })?;
    match before.map(|verdict| verdict.ruling()) {
        Some(Ruling::Review) => Ok(Answer::Abstain),
        Some(Ruling::Allow) => Ok(Answer::Allow { input: None }),
        Some(Ruling::Deny | Ruling::Abstain) | None => propose(session, event, call),
    }
}

/// The second event of a call, which says no id: it gets the answer of the first, which did, unless that was a denial.
fn second(session: &Session, event: &HookEvent, call: &ToolCall) -> Result<Answer, Error> {
    let mapped = mapped(session, event, call)?;
    let (step_type, input) = (mapped.step_type.to_owned(), mapped.input.clone());
    match session.answered(&ObservedCall::NamedLike { step_type, input })? {
        Some(before) if before.ruling() != Ruling::Deny => Ok(answer(call, &before)),
        _ => propose(session, event, call),
    }
}

fn action(event: &HookEvent, call: &ToolCall, mapped: MappedCall) -> SessionAction {
    let MappedCall { step_type, input, description, effects, .. } = mapped;
    let action =
        Action { step_type: step_type.to_owned(), input, description, scope: Scope::Workspace, origin: Origin::Hook };
    let action = SessionAction::new(action, effects).review(event.review);
    match &call.id {
        Some(id) => action.call(named(id)),
        None => action,
    }
}

/// The id of a call as the session may keep it.
fn named(id: &str) -> String {
    id.chars().filter(|c| !c.is_control()).take(MAX_CALL_CHARS).collect()
}

/// A verdict as an answer. A rewrite replaces the whole input of the tool.
fn answer(call: &ToolCall, verdict: &Verdict) -> Answer {
    let rewritten = verdict.decision.as_ref().and_then(|decision| decision.input.as_ref());
    let input = rewritten.map(|input| whole(call, input));
    let message = || if verdict.message.is_empty() { "denied".to_owned() } else { verdict.message.clone() };
    match verdict.ruling() {
        Ruling::Allow => Answer::Allow { input },
        Ruling::Review => Answer::Review { message: message(), input },
        Ruling::Deny | Ruling::Abstain => Answer::Deny { message: message() },
    }
}

/// The whole input of a tool with the fields that a guard put in the place of the proposed ones.
fn whole(call: &ToolCall, rewritten: &Json) -> Json {
    let Some(fields) = rewritten.value().get("input").and_then(serde_json::Value::as_object) else {
        return rewritten.clone();
    };
    let mut whole = call.input.value().as_object().cloned().unwrap_or_default();
    whole.extend(fields.clone());
    Json::from_checked(serde_json::Value::Object(whole))
}

fn observe(session: &Session, event: &HookEvent, call: &ToolCall, outcome: &ToolOutcome) -> Result<Answer, Error> {
    let about = match &call.id {
        Some(id) => ObservedCall::Named(named(id)),
        None => {
            let mapped = mapped(session, event, call)?;
            ObservedCall::Like { step_type: mapped.step_type.to_owned(), input: mapped.input }
        }
    };
    let ToolOutcome { outcome, summary, output, took_us } = outcome.clone();
    let Observed { redacted, .. } = session.observe(&about, &SessionOutcome { outcome, summary, output, took_us })?;
    Ok(match redacted {
        Some(output) => {
            let message = "the output holds a secret; do not repeat it".to_owned();
            Answer::Replace { output, message }
        }
        None => Answer::Abstain,
    })
}
