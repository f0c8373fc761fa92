//! Requests for approvals.

use fusebox_core::gate::Reason;
use fusebox_core::{Decider, Decision, Finding, Ruling, RunLimits, RunState};

use crate::approval::approver::Subject;

/// The step that a person is asked about.
pub fn subject(state: &RunState) -> Option<Subject> {
    let position = state.position()?;
    Some(Subject::Step {
        index: position.index as usize,
        total: position.total as usize,
        step: Box::new(state.current()?.clone()),
        action: Box::new(state.action()?),
        attempt: position.attempt,
    })
}

/// The step in doubt that a person is asked about, and why.
pub fn doubt(state: &RunState, message: &str) -> Option<(Subject, Decision)> {
    let step = state.step_before()?;
    let finding = Finding::info("in-doubt", message.to_owned());
    let decision = Decision {
        ruling: Ruling::Review,
        reasons: vec![Reason::new(Decider::Host, Ruling::Review, finding)],
        impact: None,
        limits: RunLimits::default(),
        input: None,
    };
    Some((Subject::Doubt { step: Box::new(step.clone()), message: message.to_owned() }, decision))
}
