//! The one answer inside, and its words for each harness.

use fusebox::core::Json;
use serde_json::{Value, json};

use super::event::{EventKind, HookEvent};
use super::harness::Harness;

/// Answer to an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// No opinion: the harness goes on as without a hook.
    Abstain,
    /// The call may happen, with this input instead of the proposed one if there is one.
    Allow {
        /// The whole input of the tool.
        input: Option<Json>,
    },
    /// The user of the harness must say so first.
    Review {
        /// Why, in one line.
        message: String,
        /// The whole input of the tool, if it is another one.
        input: Option<Json>,
    },
    /// The call must not happen, or what happened is objected to.
    Deny {
        /// Why, in one line.
        message: String,
    },
    /// The agent gets another output of the tool than the real one.
    Replace {
        /// The output, in the shape that the event had.
        output: Json,
        /// Why, in one line.
        message: String,
    },
}

/// What a hook prints, and its exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Printed {
    /// The only object on standard output; nothing without it.
    pub stdout: Option<Value>,
    /// Text on standard error.
    pub stderr: Option<String>,
    /// Exit code.
    pub exit: u8,
}

impl Printed {
    fn of(stdout: Option<Value>) -> Self {
        Self { stdout, stderr: None, exit: 0 }
    }
}

/// Puts an answer into the words of the harness that sent the event.
#[must_use]
pub fn render(event: &HookEvent, answer: &Answer) -> Printed {
    Printed::of(match event.harness {
        Harness::ClaudeCode | Harness::Codex | Harness::QwenCode => claude_like(event, answer),
        Harness::CopilotCli => Some(copilot(event, answer)),
        Harness::Cursor => Some(cursor(event, answer)),
        Harness::GeminiCli => Some(gemini(event, answer)),
        Harness::OpenCode => Some(opencode(event, answer)),
    })
}

/// The answer where an event could not be handled: a denial in the words of the harness, as far as the event was understood.
/// On events that hold nothing back it is a remark to the user.
#[must_use]
pub fn failed(harness: Harness, event: Option<&HookEvent>, message: &str) -> Printed {
    let text = said(message);
    match event {
        Some(event) if event.is_gate() || matches!(event.kind, EventKind::Outcome(..)) => {
            render(event, &Answer::Deny { message: message.to_owned() })
        }
        Some(event) => {
            let stdout = match event.harness {
                Harness::ClaudeCode | Harness::Codex | Harness::QwenCode => None,
                _ => render(event, &Answer::Abstain).stdout,
            };
            Printed { stdout, stderr: Some(text), exit: 1 }
        }
        None => match harness {
            // Its plugin reads the answer whatever the code is.
            Harness::OpenCode => Printed::of(Some(json!({ "action": "throw", "message": text }))),
            Harness::CopilotCli => {
                let stdout = json!({ "permissionDecision": "deny", "permissionDecisionReason": text });
                Printed { stdout: Some(stdout), stderr: Some(text), exit: 2 }
            }
            // With JSON on standard output some would not look at the code.
            _ => Printed { stdout: None, stderr: Some(text), exit: 2 },
        },
    }
}

/// A message as the harness shows it.
fn said(message: &str) -> String {
    format!("fusebox: {message}")
}

fn needs(message: &str) -> String {
    said(&format!("needs a person: {message}"))
}

fn claude_like(event: &HookEvent, answer: &Answer) -> Option<Value> {
    let name = event.name.as_str();
    let specific = |fields: Value| {
        let mut fields = fields;
        if let Some(fields) = fields.as_object_mut() {
            fields.insert("hookEventName".to_owned(), name.into());
        }
        Some(json!({ "hookSpecificOutput": fields }))
    };
    match &event.kind {
        EventKind::Gate(_) | EventKind::EarlyGate(_) => claude_gate(event.harness, answer).and_then(specific),
        EventKind::Permission(_) => {
            let decision = match answer {
                Answer::Allow { input: Some(input) } if event.harness != Harness::Codex => {
                    json!({ "behavior": "allow", "updatedInput": input.value() })
                }
                // A rewrite that it does not take: its user decides on what was proposed.
                Answer::Allow { input: Some(_) } => return None,
                Answer::Allow { input: None } => json!({ "behavior": "allow" }),
                Answer::Deny { message } if event.harness == Harness::Codex => {
                    json!({ "behavior": "deny", "message": said(message) })
                }
                Answer::Deny { message } => json!({ "behavior": "deny", "message": said(message), "interrupt": false }),
                Answer::Abstain | Answer::Review { .. } | Answer::Replace { .. } => return None,
            };
            specific(json!({ "decision": decision }))
        }
        EventKind::Outcome(..) => match answer {
            Answer::Replace { output, .. } if event.harness == Harness::ClaudeCode => specific(json!({
                "additionalContext": "Output redacted by fusebox.",
                "updatedToolOutput": output.value(),
            })),
            Answer::Replace { message, .. } | Answer::Deny { message } => {
                Some(json!({ "decision": "block", "reason": said(message) }))
            }
            Answer::Abstain | Answer::Allow { .. } | Answer::Review { .. } => None,
        },
        EventKind::Start | EventKind::End { .. } | EventKind::Note { .. } => None,
    }
}

/// The decision on a call that is about to be made; `None` for nothing on standard output.
fn claude_gate(harness: Harness, answer: &Answer) -> Option<Value> {
    let decision = |word: &str, reason: &str| json!({ "permissionDecision": word, "permissionDecisionReason": reason });
    let with = |mut fields: Value, input: &Option<Json>| {
        if let (Some(input), Some(fields)) = (input, fields.as_object_mut()) {
            fields.insert("updatedInput".to_owned(), input.value().clone());
        }
        fields
    };
    let denied = |message: &str| decision("deny", &said(message));
    Some(match (answer, harness) {
        (Answer::Deny { message }, _) => denied(message),
        // Codex refuses a bare allow and an ask, and then lets the call happen: it is asked about in its own second event.
        (Answer::Allow { input: None } | Answer::Review { input: None, .. }, Harness::Codex) => return None,
        (Answer::Allow { input: Some(input) }, Harness::Codex) => {
            json!({ "permissionDecision": "allow", "updatedInput": input.value() })
        }
        (Answer::Review { input: Some(input), .. }, Harness::Codex) => {
            denied(&format!("needs a person, and another input: {}", input.as_str()))
        }
        (Answer::Allow { input: None }, _) => decision("allow", "fusebox: allowed"),
        (Answer::Allow { input }, _) => with(decision("allow", "fusebox: rewritten"), input),
        (Answer::Review { message, input }, _) => with(decision("ask", &needs(message)), input),
        (Answer::Abstain | Answer::Replace { .. }, _) => return None,
    })
}

fn copilot(event: &HookEvent, answer: &Answer) -> Value {
    match &event.kind {
        EventKind::Gate(_) | EventKind::EarlyGate(_) => match answer {
            Answer::Abstain | Answer::Replace { .. } => json!({}),
            Answer::Allow { input: None } => json!({ "permissionDecision": "allow" }),
            Answer::Allow { input: Some(input) } => {
                json!({ "permissionDecision": "allow", "modifiedArgs": input.value() })
            }
            Answer::Review { message, input } => {
                let mut ask = json!({ "permissionDecision": "ask", "permissionDecisionReason": needs(message) });
                if let (Some(input), Some(ask)) = (input, ask.as_object_mut()) {
                    ask.insert("modifiedArgs".to_owned(), input.value().clone());
                }
                ask
            }
            Answer::Deny { message } => {
                json!({ "permissionDecision": "deny", "permissionDecisionReason": said(message) })
            }
        },
        EventKind::Permission(_) => match answer {
            Answer::Allow { input: None } => json!({ "behavior": "allow" }),
            Answer::Deny { message } => json!({ "behavior": "deny", "message": said(message) }),
            Answer::Abstain | Answer::Allow { .. } | Answer::Review { .. } | Answer::Replace { .. } => json!({}),
        },
        EventKind::Outcome(..) => match answer {
            Answer::Replace { output, .. } => {
                let field = |own: &str, pascal: &str| {
                    let output = output.value();
                    output.get(own).or_else(|| output.get(pascal)).cloned().unwrap_or_default()
                };
                let kind = field("resultType", "result_type");
                let text = field("textResultForLlm", "text_result_for_llm");
                json!({ "modifiedResult": { "resultType": kind, "textResultForLlm": text } })
            }
            Answer::Deny { message } => {
                json!({ "modifiedResult": { "resultType": "failure", "textResultForLlm": said(message) } })
            }
            Answer::Abstain | Answer::Allow { .. } | Answer::Review { .. } => json!({}),
        },
        EventKind::Start | EventKind::End { .. } | EventKind::Note { .. } => json!({}),
    }
}

fn cursor(event: &HookEvent, answer: &Answer) -> Value {
    match &event.kind {
        EventKind::Gate(_) | EventKind::EarlyGate(_) | EventKind::Permission(_) => cursor_gate(event, answer),
        EventKind::Outcome(call, _) => match answer {
            Answer::Replace { output, .. } if call.tool.starts_with(super::cursor::MCP) => {
                json!({ "updated_mcp_tool_output": output.value(), "additional_context": "fusebox: output withheld" })
            }
            Answer::Replace { message, .. } | Answer::Deny { message } => {
                json!({ "additional_context": said(message) })
            }
            Answer::Abstain | Answer::Allow { .. } | Answer::Review { .. } => json!({}),
        },
        // The only event that asks for a word to go on.
        EventKind::Note { kind: "prompt", .. } => match answer {
            Answer::Deny { message } => json!({ "continue": false, "user_message": said(message) }),
            _ => json!({ "continue": true }),
        },
        EventKind::Start | EventKind::End { .. } | EventKind::Note { .. } => json!({}),
    }
}

fn cursor_gate(event: &HookEvent, answer: &Answer) -> Value {
    let is_early = matches!(event.kind, EventKind::EarlyGate(_));
    match answer {
        Answer::Allow { input: Some(input) } if event.name == "preToolUse" => {
            json!({ "permission": "allow", "updated_input": input.value() })
        }
        // The other events take no other input.
        Answer::Allow { input: Some(input) } | Answer::Review { input: Some(input), .. } => {
            let message = said(&format!("run it as: {}", input.as_str()));
            json!({ "permission": "deny", "user_message": message, "agent_message": message })
        }
        // What is not said here is said by the event of its own that comes for the same call.
        Answer::Review { .. } if is_early => json!({ "permission": "allow" }),
        Answer::Review { message, .. } => json!({
            "permission": "ask",
            "user_message": needs(message),
            "agent_message": "fusebox: waiting for a person",
        }),
        Answer::Deny { message }
            if ["beforeReadFile", "beforeTabFileRead", "subagentStart"].contains(&&*event.name) =>
        {
            json!({ "permission": "deny", "user_message": said(message) })
        }
        Answer::Deny { message } => {
            json!({ "permission": "deny", "user_message": said(message), "agent_message": said(message) })
        }
        Answer::Abstain | Answer::Allow { input: None } | Answer::Replace { .. } => json!({ "permission": "allow" }),
    }
}

fn gemini(event: &HookEvent, answer: &Answer) -> Value {
    match (&event.kind, answer) {
        (EventKind::Gate(_) | EventKind::EarlyGate(_) | EventKind::Permission(_), answer) => match answer {
            Answer::Abstain | Answer::Replace { .. } => json!({}),
            Answer::Allow { input: None } => json!({ "decision": "allow" }),
            Answer::Allow { input: Some(input) } => json!({
                "decision": "allow",
                "hookSpecificOutput": { "hookEventName": event.name, "tool_input": input.value() },
            }),
            Answer::Review { message, input: None } => json!({ "decision": "ask", "systemMessage": needs(message) }),
            Answer::Review { message, input: Some(input) } => json!({
                "decision": "ask",
                "systemMessage": needs(message),
                "hookSpecificOutput": { "hookEventName": event.name, "tool_input": input.value() },
            }),
            Answer::Deny { message } => json!({ "decision": "deny", "reason": said(message) }),
        },
        // What the agent sees instead of the result is the reason.
        (EventKind::Outcome(..), Answer::Replace { output, message }) => {
            let text = output.value().get("llmContent").and_then(Value::as_str);
            json!({ "decision": "deny", "reason": text.map_or_else(|| said(message), ToOwned::to_owned) })
        }
        (EventKind::Outcome(..) | EventKind::Note { kind: "prompt", .. }, Answer::Deny { message }) => {
            json!({ "decision": "deny", "reason": said(message) })
        }
        _ => json!({}),
    }
}

fn opencode(event: &HookEvent, answer: &Answer) -> Value {
    let throw = |message: String| json!({ "action": "throw", "message": message });
    match (&event.kind, answer) {
        (EventKind::Outcome(..), Answer::Replace { output, message }) => {
            let text = output.value().get("output").and_then(Value::as_str);
            json!({ "action": "continue", "output": text.map_or_else(|| said(message), ToOwned::to_owned) })
        }
        (EventKind::Outcome(..), Answer::Deny { message }) => json!({ "action": "continue", "output": said(message) }),
        (_, Answer::Deny { message }) => throw(said(message)),
        (_, Answer::Review { message, .. }) => throw(needs(message)),
        // A changed input has no effect in some of its versions.
        (_, Answer::Allow { input: Some(input) }) => {
            let command = input.value().get("command").and_then(Value::as_str);
            throw(said(&format!("run it as: {}", command.unwrap_or(input.as_str()))))
        }
        _ => json!({ "action": "continue" }),
    }
}
