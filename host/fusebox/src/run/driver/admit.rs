//! Conditions for a step to come before the gate: no kill switch is set, breaker and rate limits admit it, and the
//! tenant has budget and room left.

use fusebox_core::breaker::CallOutcome;
use fusebox_core::run::DriverCommand;
use fusebox_core::step_state::StepState;
use fusebox_core::{BudgetKind, Decider};
use fusebox_store::Error as StoreError;

use super::Driver;
use crate::admission::throttle::{Admission, ThrottleKey};
use crate::error::Error;

impl Driver {
    /// Whether the next step may begin now. If not, the run has recorded the reason, or another task comes first.
    pub(super) async fn may_begin_a_step(&mut self) -> Result<bool, Error> {
        let mut journal = self.journal.lock().await;
        if journal.is_fuel_exhausted()? {
            journal.submit(DriverCommand::Exhausted {
                budget: Some(BudgetKind::Fuel),
                message: "the tenant's budget fuel is used up".to_owned(),
            })?;
            return Ok(false);
        }
        let now = journal.now_us();
        if !journal.state.is_about_to_propose(now) {
            return Ok(true);
        }
        let setup = std::sync::Arc::clone(journal.state.setup());
        self.signals.look();
        if self.kill.is_killed() || self.stop.pause_asked_by().is_some() {
            return Ok(false);
        }
        match journal.cover_next_step() {
            Err(error @ StoreError::BudgetExceeded { budget, .. }) => {
                journal.submit(DriverCommand::Exhausted { budget: Some(budget), message: error.to_string() })?;
                return Ok(false);
            }
            other => other?,
        }
        if let Some(message) = journal.over_quota()? {
            journal.submit(DriverCommand::Exhausted { budget: None, message })?;
            return Ok(false);
        }
        let Some(step) = journal.state.current() else { return Ok(true) };
        if self.admitted.is_some() {
            return Ok(true);
        }
        let who = ThrottleKey { tenant: &setup.tenant, agent: &setup.plan.agent.id, step_type: &step.step_type };
        match self.services.throttle.admit(&setup.policy, who, now)? {
            Admission::Admitted(admitted) => {
                let steps_before = journal.state.history().len();
                self.admitted = admitted.map(|admitted| admitted.after(steps_before));
                Ok(true)
            }
            Admission::Later { until_us, reason } => {
                journal.submit(DriverCommand::Delay { until_us, reason })?;
                Ok(false)
            }
            Admission::Refused { message } => {
                journal.submit(DriverCommand::Block { message, by: Decider::Breaker })?;
                Ok(false)
            }
        }
    }

    /// Records the outcome of the admitted step in the breaker, once it is known.
    pub(super) async fn note_outcome(&mut self) -> Result<(), Error> {
        let Some(admitted) = &self.admitted else { return Ok(()) };
        let journal = self.journal.lock().await;
        let Some(ended) = journal.state.history().nth(admitted.steps_before) else { return Ok(()) };
        let outcome = match ended.state {
            StepState::Completed => CallOutcome::Succeeded,
            StepState::Failed => CallOutcome::Failed,
            // Denied, rejected, or in doubt.
            _ => CallOutcome::Unknown,
        };
        let now = journal.now_us();
        drop(journal);
        match self.admitted.take() {
            Some(admitted) => self.services.throttle.record(&admitted, outcome, now),
            None => Ok(()),
        }
    }

    /// A step that was admitted and did not end makes room for others.
    pub(super) fn give_up_probe(&mut self) -> Result<(), Error> {
        match self.admitted.take() {
            Some(admitted) => self.services.throttle.record(&admitted, CallOutcome::Unknown, crate::ambient::now_us()),
            None => Ok(()),
        }
    }
}
