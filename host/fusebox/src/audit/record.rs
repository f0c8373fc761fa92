//! Other programs' own actions, in the same log.

use bytes::Bytes;
use fusebox_core::event::{EventRef, HostEvent, RecordedAction};
use fusebox_core::{Agent, Json};
use fusebox_store::Blob;

use super::Audit;
use crate::admission::quota::over_quota;
use crate::ambient::new_salt;
use crate::error::Error;
use crate::log::side_chain::{append, check_owner, side_chain};

/// Longest text of a record, in bytes.
const MAX_TEXT_BYTES: usize = 4096;
/// Largest details, in bytes.
const MAX_DETAILS_BYTES: usize = 1024 * 1024;

/// Outcome of an action that another program takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind {
    /// It is about to happen.
    Proposed,
    /// The action happened.
    Executed,
    /// It was not let happen.
    Blocked,
    /// It broke a rule.
    Violation,
}

/// An action of another program, as that program describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    kind: RecordKind,
    agent: Agent,
    action: String,
    message: String,
    because: Option<EventRef>,
    details: Option<Json>,
}

impl Record {
    /// An action, by its kind such as `send_mail`, with one sentence for people.
    #[must_use]
    pub fn new(kind: RecordKind, agent: &str, action: &str, message: &str) -> Self {
        let agent = Agent { id: agent.to_owned(), kind: None, tier: None };
        let (action, message) = (action.to_owned(), message.to_owned());
        Self { kind, agent, action, message, because: None, details: None }
    }

    /// One that is about to happen.
    #[must_use]
    pub fn proposed(agent: &str, action: &str, message: &str) -> Self {
        Self::new(RecordKind::Proposed, agent, action, message)
    }

    /// Record of an action that happened.
    #[must_use]
    pub fn executed(agent: &str, action: &str, message: &str) -> Self {
        Self::new(RecordKind::Executed, agent, action, message)
    }

    /// One that was not let happen.
    #[must_use]
    pub fn blocked(agent: &str, action: &str, message: &str) -> Self {
        Self::new(RecordKind::Blocked, agent, action, message)
    }

    /// One that broke a rule.
    #[must_use]
    pub fn violation(agent: &str, action: &str, message: &str) -> Self {
        Self::new(RecordKind::Violation, agent, action, message)
    }

    /// Sets the event that the record follows from.
    #[must_use]
    pub fn because(mut self, cause: EventRef) -> Self {
        self.because = Some(cause);
        self
    }

    /// Sets further details.
    #[must_use]
    pub fn details(mut self, details: Json) -> Self {
        self.details = Some(details);
        self
    }

    /// Sets the full description of the agent.
    #[must_use]
    pub fn agent(mut self, agent: Agent) -> Self {
        self.agent = agent;
        self
    }

    fn check(&self) -> Result<(), Error> {
        let bad = |message: String| Err(Error::BadRecord { message });
        for (what, text) in [("the agent", &self.agent.id), ("the action", &self.action)] {
            if text.is_empty() || text.len() > 256 {
                return bad(format!("{what} must have 1 to 256 bytes"));
            }
        }
        if self.message.len() > MAX_TEXT_BYTES {
            return bad(format!("the message has {} bytes; the most is {MAX_TEXT_BYTES}", self.message.len()));
        }
        let details = self.details.as_ref().map_or(0, |details| details.as_str().len());
        if details > MAX_DETAILS_BYTES {
            return bad(format!("the details have {details} bytes; the most is {MAX_DETAILS_BYTES}"));
        }
        Ok(())
    }
}

impl Audit {
    /// Adds a record to a tenant's log. It is durable when this returns. Returns its place, to which later records can
    /// refer.
    ///
    /// # Errors
    /// When a text is too long, the event that it follows from is not in the tenant's log, or the log cannot be written.
    pub fn record(&self, tenant: &str, record: Record) -> Result<EventRef, Error> {
        check_owner(tenant)?;
        record.check()?;
        // Without a key nothing of it could be proved.
        self.keys.ring(&*self.log, tenant)?;
        if let Some(over) = over_quota(&*self.log, &self.policy, tenant)? {
            return Err(over.into());
        }
        if let Some(cause) = &record.because {
            let is_there = self.log.tenant_of(&cause.run_id)?.is_some_and(|of| of == tenant)
                && self.log.head(&cause.run_id)?.is_some_and(|(last, _)| (1..=last).contains(&cause.seq));
            if !is_there {
                let message = format!("there is no event {} of {} in the log of {tenant}", cause.seq, cause.run_id);
                return Err(Error::BadRecord { message });
            }
        }
        let Record { kind, agent, action, message, because, details } = record;
        let mut details = details.map(|details| details.as_str().to_owned());
        let mut said = RecordedAction { agent, action, message, because, details: None };
        if let Some(redactor) = &self.redactor {
            said = redactor.redacted_value(&said)?.unwrap_or(said);
            if let Some(text) = &details {
                details = Some(redactor.redacted(text)?.unwrap_or_else(|| text.clone()));
            }
        }
        let blob =
            details.map(|details| Ok::<_, Error>(Blob::salted(new_salt()?, Bytes::from(details)))).transpose()?;
        said.details = blob.as_ref().map(Blob::digest);
        let event = match kind {
            RecordKind::Proposed => HostEvent::ActionProposed(said),
            RecordKind::Executed => HostEvent::ActionExecuted(said),
            RecordKind::Blocked => HostEvent::ActionBlocked(said),
            RecordKind::Violation => HostEvent::PolicyViolation(said),
        };
        let run_id = side_chain("actions", tenant)?;
        let blobs: Vec<Blob> = blob.into_iter().collect();
        let seq = append(&*self.log, &run_id, tenant, &event, &blobs)?;
        Ok(EventRef { run_id, seq })
    }
}
