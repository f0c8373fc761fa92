//! Why an event came: the place of the event in the same run that it follows from.

use std::collections::BTreeMap;

use super::{EffectIntended, EffectNotPerformed, EffectPerformed, RunEvent};

/// Places, in a run's chain, of the events that began what is under way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Causes {
    /// Last event that others can follow from.
    last: Option<u64>,
    judged: Option<u64>,
    decided: Option<u64>,
    asked: Option<u64>,
    started: Option<u64>,
    /// Effects that were intended, by call.
    intended: BTreeMap<u32, u64>,
}

impl Causes {
    /// Notes the next event of the chain. Gives the place of the event that it follows from: none for a first event, and none
    /// for one that comes from outside of the run. An event that is not named here follows from the last one.
    pub fn note(&mut self, event: &RunEvent, seq: u64) -> Option<u64> {
        let last = self.last;
        let cause = match event {
            RunEvent::RunCreated(_)
            | RunEvent::SessionOpened(_)
            | RunEvent::SessionContinued(_)
            | RunEvent::SessionNoted(_)
            | RunEvent::StepProposed(_)
            | RunEvent::StepObserved(_)
            | RunEvent::RunContinued(_)
            | RunEvent::RunInterrupted(_)
            | RunEvent::RunPaused(_)
            | RunEvent::RunResumed(_)
            | RunEvent::StepAdded(_)
            | RunEvent::GrantRevoked(_) => None,
            RunEvent::PlanDecided(_) => self.judged.or(last),
            RunEvent::ApprovalRequested(_) | RunEvent::PlanApprovalRequested(_) => self.decided,
            RunEvent::ApprovalDecided(_) | RunEvent::PlanApprovalDecided(_) | RunEvent::DoubtDecided(_) => self.asked,
            RunEvent::EffectIntended(_) | RunEvent::EffectRefused(_) | RunEvent::StepCompleted(_) => self.started,
            RunEvent::EffectPerformed(EffectPerformed { call, .. })
            | RunEvent::EffectNotPerformed(EffectNotPerformed { call, .. }) => {
                self.intended.get(call).copied().or(self.started)
            }
            _ => last,
        };
        self.remember(event, seq);
        cause
    }

    fn remember(&mut self, event: &RunEvent, seq: u64) {
        let at = Some(seq);
        match event {
            RunEvent::StepJudged(_) | RunEvent::StepProposed(_) => {
                let last = at;
                *self = Self { last, decided: at, ..Self::default() };
            }
            RunEvent::PlanJudged(_) => self.judged = at,
            RunEvent::PlanDecided(_) => self.decided = at,
            RunEvent::ApprovalRequested(_) | RunEvent::PlanApprovalRequested(_) | RunEvent::StepInDoubt(_) => {
                self.asked = at;
            }
            RunEvent::StepStarted(_) => self.started = at,
            RunEvent::EffectIntended(EffectIntended { call, .. }) => {
                self.intended.insert(*call, seq);
            }
            // Nothing follows from a warning or a log.
            RunEvent::BudgetWarning(_) | RunEvent::PluginLogged(_) => return,
            _ => {}
        }
        self.last = at;
    }
}
