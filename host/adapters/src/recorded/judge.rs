//! Judging recorded sessions.

use std::collections::HashMap;
use std::path::PathBuf;

use fusebox::core::event::ObservedOutcome;
use fusebox::core::{Action, Agent, Effect, Finding, Json, Origin, ProposedEffect, Ruling, Scope};
use fusebox::{Host, ObservedCall, Session, SessionAction, SessionOptions, SessionOutcome};
use serde::Serialize;
use serde_json::json;

use super::counts::{Counts, Totals};
use super::line::{Line, RecordedCall};
use crate::error::Error;
use crate::hooks::{Harness, MappedCall, Places, ToolCall, map};

/// The server whose tools are those of a coding agent.
const AGENT: &str = "agent";

/// An answer to a line.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Judged {
    /// Of a call.
    Call {
        /// Number of the call.
        n: u64,
        /// The ruling.
        ruling: Ruling,
        /// Deciders of a review or denial.
        by: Vec<String>,
        /// Findings of all deciders.
        findings: Vec<Finding>,
    },
    /// Of an output.
    Output {
        /// Number of the call.
        n: u64,
        /// What the agent gets: `allow` or `redact`.
        result: &'static str,
    },
    /// At the end of a session.
    End {
        /// Id of the session in the recording.
        id: String,
        /// Its calls.
        #[serde(flatten)]
        counts: Counts,
    },
}

/// Judges recorded sessions, one after the other.
#[derive(Debug)]
pub struct Judge<'a> {
    host: &'a Host,
    workspace: PathBuf,
    line: u64,
    open: Option<Open>,
    totals: Totals,
}

/// The session that is being judged.
#[derive(Debug)]
struct Open {
    id: String,
    session: Session,
    counts: Counts,
    /// Rulings of the calls so far.
    rulings: HashMap<u64, Ruling>,
}

impl<'a> Judge<'a> {
    /// A judge whose sessions work in a folder.
    #[must_use]
    pub fn new(host: &'a Host, workspace: PathBuf) -> Self {
        Self { host, workspace, line: 0, open: None, totals: Totals::default() }
    }

    /// Takes the next line. Gives the answer to it, if it gets one.
    ///
    /// # Errors
    /// When the line cannot be read, stands in the wrong place, or the log cannot be written.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Option<Judged>, Error> {
        self.line += 1;
        let line = self.line;
        let parsed = Line::parse(bytes).map_err(|source| Error::Line { line, source })?;
        match parsed {
            Line::Begin { id, user } => self.begin(id, &user).map(|()| None),
            other => {
                let order = |message| Error::LineOrder { line, message };
                let open = self.open.as_mut().ok_or_else(|| order("stands before the beginning of a session"))?;
                match other {
                    Line::User(text) => {
                        let data = Json::from_checked(json!({ "prompt": text }));
                        open.session
                            .note("prompt", Some(&data))
                            .map_err(|source| Error::LineSession { line, source })?;
                        Ok(None)
                    }
                    Line::Call(call) => {
                        let judged = open.call(&call).map_err(|source| Error::LineSession { line, source })?;
                        self.count(&call, &judged);
                        Ok(Some(judged))
                    }
                    Line::Answered { n, approved: false } => {
                        open.observe(n, ObservedOutcome::NotDone, None)
                            .map_err(|source| Error::LineSession { line, source })?;
                        Ok(None)
                    }
                    Line::Answered { approved: true, .. } => Ok(None),
                    Line::Output { n, text } => {
                        let output = Json::from_checked(json!({ "text": text }));
                        let is_redacted = open
                            .observe(n, ObservedOutcome::Completed, Some(output))
                            .map_err(|source| Error::LineSession { line, source })?;
                        self.totals.redacted += u64::from(is_redacted);
                        Ok(Some(Judged::Output { n, result: if is_redacted { "redact" } else { "allow" } }))
                    }
                    Line::End {} => self.end().map(Some),
                    Line::Begin { .. } => Err(order("begins a session twice")),
                }
            }
        }
    }

    /// Counts over the sessions so far; one that has not ended is ended.
    ///
    /// # Errors
    /// When the log cannot be written.
    pub fn finish(mut self) -> Result<Totals, Error> {
        if self.open.is_some() {
            self.end()?;
        }
        Ok(self.totals)
    }

    fn begin(&mut self, id: String, user: &str) -> Result<(), Error> {
        if self.open.is_some() {
            self.end()?;
        }
        let line = self.line;
        let failed = |source| Error::LineSession { line, source };
        let agent = Agent { id: "recorded".to_owned(), kind: Some("coding".to_owned()), tier: None };
        // Ids of recordings may occur twice.
        let options =
            SessionOptions::new(agent, "recorded", format!("line-{line}")).workspace(&self.workspace).goal(user);
        let session = self.host.session(options).map_err(failed)?;
        if !user.is_empty() {
            session.note("prompt", Some(&Json::from_checked(json!({ "prompt": user })))).map_err(failed)?;
        }
        self.open = Some(Open { id, session, counts: Counts::default(), rulings: HashMap::new() });
        Ok(())
    }

    fn end(&mut self) -> Result<Judged, Error> {
        let line = self.line;
        let Some(open) = self.open.take() else {
            return Err(Error::LineOrder { line, message: "ends no session" });
        };
        open.session.close("the recording ended").map_err(|source| Error::LineSession { line, source })?;
        self.totals.sessions += 1;
        self.totals.sessions_without_a_question += u64::from(open.counts.review == 0);
        self.totals.most_questions = self.totals.most_questions.max(open.counts.review);
        Ok(Judged::End { id: open.id, counts: open.counts })
    }

    fn count(&mut self, call: &RecordedCall, judged: &Judged) {
        let Judged::Call { ruling, by, .. } = judged else { return };
        self.totals.all.add(*ruling);
        self.totals.by_tool.entry(format!("{}/{}", call.server, call.tool)).or_default().add(*ruling);
        if *ruling != Ruling::Allow {
            for decider in by {
                self.totals.by_decider.entry(decider.clone()).or_default().add(*ruling);
            }
        }
    }
}

impl Open {
    fn call(&mut self, call: &RecordedCall) -> Result<Judged, fusebox::Error> {
        let name = format!("n-{}-{}", call.n, self.rulings.len());
        let action = match self.action(call) {
            Ok(action) => action.call(name.clone()),
            Err(error) => return Ok(self.refused(call.n, &error.to_string())),
        };
        let verdict = self.session.propose(&action)?;
        let ruling = verdict.ruling();
        self.counts.add(ruling);
        self.rulings.insert(call.n, ruling);
        let findings = match verdict.decision {
            Some(decision) => decision.reasons.into_iter().flat_map(|reason| reason.findings).collect(),
            None => vec![Finding::error("refused", verdict.message)],
        };
        let by = verdict.by.iter().map(|by| by.word().to_owned()).collect();
        Ok(Judged::Call { n: call.n, ruling, by, findings })
    }

    /// A call that cannot be understood, as a hook denies it.
    fn refused(&mut self, n: u64, message: &str) -> Judged {
        self.counts.add(Ruling::Deny);
        self.rulings.insert(n, Ruling::Deny);
        let findings = vec![Finding::error("not-understood", message)];
        Judged::Call { n, ruling: Ruling::Deny, by: vec!["host".to_owned()], findings }
    }

    fn action(&self, call: &RecordedCall) -> Result<SessionAction, Error> {
        let MappedCall { step_type, input, description, effects, .. } = if call.server == AGENT {
            let places = Places::new(self.session.workspace(), self.session.workspace())?;
            let tool = ToolCall { tool: call.tool.clone(), input: call.input.clone(), server: None, id: None };
            map(Harness::ClaudeCode, &tool, &places)?
        } else {
            let (server, name, input) = (call.server.clone(), call.tool.clone(), call.input.clone());
            let named = json!({ "server": server, "tool": name, "input": input.value() });
            MappedCall {
                step_type: "call_tool",
                input: Json::from_checked(named),
                description: format!("{server}/{name}"),
                effects: vec![ProposedEffect::Plain(Effect::Tool { server, name, input })],
                is_dialogue: false,
            }
        };
        let action = Action {
            step_type: step_type.to_owned(),
            input,
            description,
            scope: Scope::Workspace,
            origin: Origin::Hook,
        };
        Ok(SessionAction::new(action, effects))
    }

    /// Observes the outcome of the newest call with a number. Returns whether something of its output was redacted.
    fn observe(&mut self, n: u64, outcome: ObservedOutcome, output: Option<Json>) -> Result<bool, fusebox::Error> {
        let Some(name) = self.newest(n)? else { return Ok(false) };
        let outcome = SessionOutcome { outcome, summary: String::new(), output, took_us: None };
        Ok(self.session.observe(&ObservedCall::Named(name), &outcome)?.redacted.is_some())
    }

    fn newest(&self, n: u64) -> Result<Option<String>, fusebox::Error> {
        let prefix = format!("n-{n}-");
        let state = self.session.state()?;
        let calls: Vec<String> = state.open_calls().filter_map(|call| call.call.clone()).collect();
        Ok(calls.into_iter().rfind(|call| call.starts_with(&prefix)))
    }
}
