//! Events of sessions, whose steps others carry out.

use fusebox::RunEvent;
use fusebox::core::event::{
    InferredAnswer, ObservedOutcome, ProposalAnswer, SessionOpened, StepObserved, StepProposed,
};
use fusebox::core::show::safe_line;

use super::{BAD, BOLD, DIM, GOOD, MAX_LINE, View, WARN};

impl View {
    /// Shows an event that only sessions have.
    pub(super) fn session_event(&mut self, event: &RunEvent) {
        match event {
            RunEvent::SessionOpened(SessionOpened { goal, agent, origin, rules, .. }) => {
                let (agent, origin) = (safe_line(&agent.id, 80), safe_line(origin, 80));
                let (goal, workspace) = (safe_line(goal, MAX_LINE), safe_line(&rules.workspace, MAX_LINE));
                let by = if agent == origin { agent } else { format!("{agent} by {origin}") };
                self.line(&format!("{BOLD}{goal}{BOLD:#} {DIM}(session of {by}, in {workspace}){DIM:#}"));
            }
            RunEvent::SessionContinued(_) => {
                self.line(&format!("{WARN}other rules are in force{WARN:#}: approvals so far do not count any more"));
            }
            RunEvent::StepProposed(StepProposed { judged, answer, .. }) => {
                self.total = self.total.max(judged.index as usize + 1);
                self.judged(judged);
                match answer {
                    ProposalAnswer::Asked => self.line(&format!("    {WARN}its user is asked{WARN:#}")),
                    ProposalAnswer::Approved { id } => {
                        self.line(&format!("    {GOOD}allowed{GOOD:#}, as approved: {id}"));
                    }
                    ProposalAnswer::Granted { id } => {
                        self.line(&format!("    {GOOD}allowed{GOOD:#}, as all of its kind: {id}"));
                    }
                    ProposalAnswer::Allowed | ProposalAnswer::Denied => {}
                }
            }
            RunEvent::StepObserved(StepObserved { step, outcome, summary, inferred, .. }) => {
                let (step, summary) = (safe_line(step.as_str(), 80), safe_line(summary, MAX_LINE));
                let said = match inferred {
                    Some(InferredAnswer::Approved) => format!(" {DIM}(its user said yes){DIM:#}"),
                    Some(InferredAnswer::Rejected) => format!(" {DIM}(its user said no){DIM:#}"),
                    None => String::new(),
                };
                let what = match outcome {
                    ObservedOutcome::Completed => format!("{GOOD}✓{GOOD:#}"),
                    ObservedOutcome::Failed => format!("{BAD}✗ failed{BAD:#}"),
                    ObservedOutcome::NotDone => format!("{WARN}did not happen{WARN:#}"),
                    ObservedOutcome::Unknown => format!("{WARN}? no outcome was reported{WARN:#}"),
                };
                self.line(&format!("    {what} {step} {summary}{said}"));
            }
            _ => {}
        }
    }
}
