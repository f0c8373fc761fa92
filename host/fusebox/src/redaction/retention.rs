//! Storage of a run's data: secrets that guards found are left out.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use fusebox_core::event::RunEvent;
use fusebox_core::{Plan, Step, StepId};
use fusebox_store::{Blob, SALT_BYTES};

use crate::ambient::new_salt;
use crate::error::Error;
use crate::redaction::Redactor;

/// Decides how texts of one run are kept.
#[derive(Debug)]
pub struct RetentionFilter {
    redactor: Option<Arc<Redactor>>,
    /// Steps in which something was found that must not be kept.
    flagged: BTreeSet<StepId>,
    /// Salt of the run's blobs. Secret, and stored beside each of them, so that it is erased with them.
    salt: [u8; SALT_BYTES],
}

/// A plan as it is kept.
pub struct RedactedPlan {
    pub plan: Plan,
    /// Steps that are not kept as they were given.
    pub redacted: Vec<StepId>,
}

impl RetentionFilter {
    /// With these guards, if there are any, and these steps flagged from the start.
    pub fn new(redactor: Option<Arc<Redactor>>, flagged: Vec<StepId>) -> Result<Self, Error> {
        Ok(Self { redactor, flagged: flagged.into_iter().collect(), salt: new_salt()? })
    }

    /// Hashes blobs with this salt instead of a random one.
    pub fn with_salt(self, salt: [u8; SALT_BYTES]) -> Self {
        Self { salt, ..self }
    }

    /// Records a finding in a step.
    pub fn flag(&mut self, step: &StepId) {
        if self.redactor.is_some() {
            self.flagged.insert(step.clone());
        }
    }

    /// Whether something was found in a step.
    pub fn is_flagged(&self, step: &StepId) -> bool {
        self.flagged.contains(step)
    }

    /// Whether a guard that redacts found something.
    pub fn is_found_by(&self, guard: &str) -> bool {
        self.redactor.as_ref().is_some_and(|redactor| redactor.is_guard(guard))
    }

    /// Whether some JSON or text holds a secret. A guard that fails counts as yes.
    pub fn is_secret(&self, bytes: &[u8]) -> bool {
        self.redactor.as_ref().is_some_and(|redactor| !matches!(redactor.redacted_bytes(bytes), Ok(None)))
    }

    fn redactor_of(&self, step: Option<&StepId>) -> Option<&Redactor> {
        self.redactor.as_deref().filter(|_| step.is_some_and(|step| self.flagged.contains(step)))
    }

    /// An event as it is stored; `None` when it is stored unchanged.
    ///
    /// # Errors
    /// When a guard fails.
    pub fn event(&self, event: &RunEvent) -> Result<Option<RunEvent>, Error> {
        self.redactor_of(event.step()).map_or(Ok(None), |redactor| redactor.redacted_value(event))
    }

    /// Bytes of a step as they are kept, under a digest that tells nothing of them.
    pub fn blob(&self, step: Option<&StepId>, bytes: Bytes) -> Blob {
        let bytes = match self.redactor_of(step).map(|redactor| redactor.redacted_bytes(&bytes)) {
            None | Some(Ok(None)) => bytes,
            Some(Ok(Some(redacted))) => Bytes::from(redacted),
            // Its content is unknown, so none of it is stored.
            Some(Err(_)) => Bytes::from_static(b"\"[REDACTED]\""),
        };
        Blob::salted(self.salt, bytes)
    }

    /// A text that no guard judged before, without the secrets in it: of a plugin's log, or of its failure.
    pub fn cleaned(&self, text: &str) -> String {
        match self.redactor.as_ref().map(|redactor| redactor.redacted_bytes(text.as_bytes())) {
            None | Some(Ok(None)) => text.to_owned(),
            Some(Ok(Some(redacted))) => String::from_utf8_lossy(&redacted).into_owned(),
            // A guard failed, so the content is unknown and nothing of it is kept.
            Some(Err(_)) => "[REDACTED]".to_owned(),
        }
    }

    /// Contents of a step's effects, which are known by their own digest; `None` when they must not be kept.
    pub fn content(&self, step: Option<&StepId>, bytes: Bytes) -> Option<Blob> {
        let is_secret = self.redactor_of(step).is_some() && self.is_secret(&bytes);
        (!is_secret).then(|| Blob::plain(bytes))
    }
}

/// A plan as it is stored: without secrets that guards find.
///
/// # Errors
/// When a guard fails.
pub fn redacted_plan(redactor: Option<&Redactor>, plan: &Plan) -> Result<RedactedPlan, Error> {
    let mut kept = plan.clone();
    let Some(redactor) = redactor else { return Ok(RedactedPlan { plan: kept, redacted: Vec::new() }) };
    if redactor.redacted_value(&kept.agent)?.is_some() {
        return Err(Error::SecretInName { what: "the agent's id, type or tier" });
    }
    if redactor.redacted_value(&kept.limits)?.is_some() {
        return Err(Error::SecretInName { what: "a step type of the limits" });
    }
    if redactor.redacted_value(&kept.workspace)?.is_some() {
        return Err(Error::SecretInName { what: "the workspace" });
    }
    if let Some((goal, outcome)) = redactor.redacted_value(&(kept.goal.clone(), kept.expected_outcome.clone()))? {
        (kept.goal, kept.expected_outcome) = (goal, outcome);
    }
    let steps: Vec<Step> = std::mem::take(&mut kept.steps);
    let (steps, changed) = redactor.redacted_each(steps)?;
    let redacted = changed.into_iter().filter_map(|place| plan.steps.get(place)).map(|step| step.id.clone()).collect();
    kept.steps = steps;
    Ok(RedactedPlan { plan: kept, redacted })
}
