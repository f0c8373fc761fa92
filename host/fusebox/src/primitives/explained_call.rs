//! Explanations of an embedder's own calls, and of runs from their log.

use std::fmt::Display;
use std::future::Future;
use std::time::Instant;

use fusebox_core::event::EventRef;
use fusebox_core::explain::{After, Before, Explained, Explanation, FailureKind, OnError, Spent};
use fusebox_core::{Decider, Decision, Json, json};

use crate::ambient::now_us;
use crate::audit::{Audit, Record};
use crate::error::Error;

/// Explains a call of your own: its purpose before it, its result after it, and its failure if it fails.
///
/// ```
/// use fusebox::explain;
///
/// let mut shown = Vec::new();
/// let sent = explain("send_mail")
///     .agent("mail-bot")
///     .reasoning("Ann asked for it")
///     .on_explanation(|explanation| shown.push(explanation.paragraph()))
///     .call(|| Err::<(), _>("no route to host"));
/// assert!(sent.is_err());
/// assert!(shown[0].contains("Ann asked for it") && shown[1].contains("no route to host"));
/// ```
pub fn explain<'a>(action: &str) -> ExplainedCall<'a> {
    ExplainedCall {
        action: action.to_owned(),
        agent: "unknown".to_owned(),
        before: Before::default(),
        what_to_do: "look at the error; nothing is known of whether trying again helps".to_owned(),
        observer: None,
        recorded: None,
    }
}

/// Receiver of explanations.
type Observer<'a> = Box<dyn FnMut(&Explanation) + Send + 'a>;

/// A call that is about to be explained.
#[must_use]
pub struct ExplainedCall<'a> {
    action: String,
    agent: String,
    before: Before,
    what_to_do: String,
    observer: Option<Observer<'a>>,
    recorded: Option<(&'a Audit, String)>,
}

impl std::fmt::Debug for ExplainedCall<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExplainedCall")
            .field("action", &self.action)
            .field("agent", &self.agent)
            .finish_non_exhaustive()
    }
}

impl<'a> ExplainedCall<'a> {
    /// Sets the agent that acts.
    pub fn agent(mut self, agent: &str) -> Self {
        agent.clone_into(&mut self.agent);
        self
    }

    /// Sets the goal of the call.
    pub fn goal(mut self, goal: &str) -> Self {
        goal.clone_into(&mut self.before.goal);
        self
    }

    /// Describes the call, in the agent's words.
    pub fn description(mut self, description: &str) -> Self {
        description.clone_into(&mut self.before.description);
        self
    }

    /// Sets the agent's reasons.
    pub fn reasoning(mut self, reasoning: &str) -> Self {
        self.before.reasoning = Some(reasoning.to_owned());
        self
    }

    /// Sets the agent's confidence, in [0, 1].
    pub fn confidence(mut self, confidence: f64) -> Self {
        self.before.confidence = Some(confidence.clamp(0.0, 1.0)).filter(|confidence| !confidence.is_nan());
        self
    }

    /// Sets the alternatives that the agent considered.
    pub fn alternatives(mut self, alternatives: &[&str]) -> Self {
        self.before.alternatives = alternatives.iter().map(|other| (*other).to_owned()).collect();
        self
    }

    /// Sets the gate's decision on it, as from [`Host::check`](crate::Host::check). It is explained, not enforced.
    pub fn decision(mut self, decision: &Decision) -> Self {
        self.before.ruling = Some(decision.ruling);
        self.before.reasons.clone_from(&decision.reasons);
        self
    }

    /// Sets the advice for a failure.
    pub fn what_to_do(mut self, advice: &str) -> Self {
        advice.clone_into(&mut self.what_to_do);
        self
    }

    /// Sets a callback for each explanation, as soon as it is due.
    pub fn on_explanation(mut self, observer: impl FnMut(&Explanation) + Send + 'a) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Records the proposal and its result in a tenant's audit log, with the explanations as details.
    pub fn recorded(mut self, audit: &'a Audit, tenant: &str) -> Self {
        self.recorded = Some((audit, tenant.to_owned()));
        self
    }

    /// Makes the call, and explains it.
    ///
    /// # Errors
    /// Any error of the call. A failure to record is not an error of the call: use [`try_call`](Self::try_call) where
    /// every call must be recorded.
    pub fn call<T, E: Display>(mut self, call: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let started = Instant::now();
        // Without the proposal, the result is recorded alone.
        let proposed = self.propose().ok().flatten();
        let done = call();
        let _ = self.conclude(done.as_ref().err().map(ToString::to_string), started, proposed);
        done
    }

    /// As [`call`](Self::call), for a call that is awaited.
    ///
    /// # Errors
    /// Any error of the call.
    pub async fn call_async<T, E: Display>(mut self, call: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let started = Instant::now();
        let proposed = self.propose().ok().flatten();
        let done = call.await;
        let _ = self.conclude(done.as_ref().err().map(ToString::to_string), started, proposed);
        done
    }

    /// As [`call`](Self::call), but only after the proposal is recorded.
    ///
    /// # Errors
    /// When the proposal cannot be recorded: then the call is not made. The inner result is the call's own.
    pub fn try_call<T, E: Display>(mut self, call: impl FnOnce() -> Result<T, E>) -> Result<Result<T, E>, Error> {
        let started = Instant::now();
        let proposed = self.propose()?;
        let done = call();
        self.conclude(done.as_ref().err().map(ToString::to_string), started, proposed)?;
        Ok(done)
    }

    /// Records that the call is not made, with the decider that stopped it and the reason.
    ///
    /// # Errors
    /// When it cannot be recorded.
    pub fn block(mut self, by: &str, message: &str) -> Result<(), Error> {
        let proposed = self.propose()?;
        let on_error = OnError {
            trouble: FailureKind::Denied,
            end: None,
            message: message.to_owned(),
            by: vec![Decider::Plugin(by.to_owned())],
            retry_can_help: false,
            what_to_do: "propose something else, or see to what stopped it".to_owned(),
            files: Vec::new(),
            spent: Spent::default(),
        };
        let explanation = self.tell(Explained::OnError(Box::new(on_error)));
        let mut record = Record::blocked(&self.agent, &self.action, &short(&format!("stopped by {by}: {message}")));
        if let Some(proposed) = proposed {
            record = record.because(proposed);
        }
        self.record(record, &explanation).map(|_| ())
    }

    fn propose(&mut self) -> Result<Option<EventRef>, Error> {
        let explained = Explained::Before(Box::new(self.before.clone()));
        let explanation = self.tell(explained);
        self.record(Record::proposed(&self.agent, &self.action, &short(&self.before.description)), &explanation)
    }

    fn conclude(&mut self, failed: Option<String>, started: Instant, proposed: Option<EventRef>) -> Result<(), Error> {
        let duration_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let spent = Spent { duration_us, ..Spent::default() };
        let (explained, message) = match &failed {
            None => {
                let summary = "it returned without an error".to_owned();
                (Explained::After(Box::new(After { summary, spent, ..After::default() })), String::new())
            }
            Some(message) => {
                let on_error = OnError {
                    trouble: FailureKind::Failed,
                    end: None,
                    message: message.clone(),
                    by: Vec::new(),
                    retry_can_help: false,
                    what_to_do: self.what_to_do.clone(),
                    files: Vec::new(),
                    spent,
                };
                (Explained::OnError(Box::new(on_error)), format!("it failed: {message}"))
            }
        };
        let explanation = self.tell(explained);
        let mut record = Record::executed(&self.agent, &self.action, &short(&message));
        if let Some(proposed) = proposed {
            record = record.because(proposed);
        }
        self.record(record, &explanation).map(|_| ())
    }

    fn tell(&mut self, explained: Explained) -> Explanation {
        let explanation = Explanation {
            run_id: None,
            step: None,
            position: None,
            action: self.action.clone(),
            agent: self.agent.clone(),
            attempt: 1,
            time_us: now_us(),
            explained,
        };
        if let Some(observer) = &mut self.observer {
            observer(&explanation);
        }
        explanation
    }

    fn record(&self, record: Record, explanation: &Explanation) -> Result<Option<EventRef>, Error> {
        let Some((audit, tenant)) = &self.recorded else { return Ok(None) };
        let details = Json::parse("the explanation", json::canonical(explanation).as_bytes(), usize::MAX)?;
        audit.record(tenant, record.details(details)).map(Some)
    }
}

/// A message is one sentence; all of it is in the details.
fn short(message: &str) -> String {
    message.chars().take(500).collect()
}
