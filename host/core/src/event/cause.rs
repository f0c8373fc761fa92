//! Why an event came: the place of the event in the same run that it follows from.

use std::collections::BTreeMap;

use super::Event;

/// Where what a run is in the middle of began, by places in its chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Causes {
    /// What happened last that others follow from.
    last: Option<u64>,
    proposed: Option<u64>,
    previewed: Option<u64>,
    judged: Option<u64>,
    decided: Option<u64>,
    asked: Option<u64>,
    started: Option<u64>,
    /// Effects that were intended, by call.
    intended: BTreeMap<u32, u64>,
}

impl Causes {
    /// Notes the next event of the chain. Gives the place of what it follows from; none for a first one, and for what comes from
    /// outside of the run.
    pub fn note(&mut self, event: &Event, seq: u64) -> Option<u64> {
        let last = self.last;
        let cause = match event {
            Event::RunCreated { .. }
            | Event::RunContinued { .. }
            | Event::RunInterrupted
            | Event::RunPaused { .. }
            | Event::RunResumed { .. }
            | Event::StepAdded { .. }
            | Event::GrantRevoked { .. }
            | Event::ActionChecked { .. }
            | Event::PauseAsked { .. }
            | Event::KillSet { .. }
            | Event::KillLifted { .. }
            | Event::BreakerChanged { .. }
            | Event::ActionProposed(_)
            | Event::ActionExecuted(_)
            | Event::ActionBlocked(_)
            | Event::PolicyViolation(_)
            | Event::RiskOverruled { .. }
            | Event::AuditKeyRotated { .. }
            | Event::BlobsErased { .. } => None,
            Event::EffectsPreviewed { .. } => self.proposed,
            Event::GuardJudged { .. } | Event::ImpactEstimated { .. } => self.previewed,
            Event::Decided { .. } | Event::PlanDecided { .. } => self.judged.or(last),
            Event::ApprovalRequested { .. } | Event::PlanApprovalRequested { .. } => self.decided,
            Event::ApprovalDecided { .. } | Event::PlanApprovalDecided { .. } | Event::DoubtDecided { .. } => {
                self.asked
            }
            Event::EffectIntended { .. } | Event::EffectRefused { .. } => self.started,
            Event::EffectPerformed { call, .. } | Event::EffectNotPerformed { call, .. } => {
                self.intended.get(call).copied().or(self.started)
            }
            Event::StepCompleted { .. } => self.started,
            Event::RunLeft
            | Event::BudgetWarning { .. }
            | Event::RunStarted
            | Event::RiskPredicted { .. }
            | Event::PlanJudged { .. }
            | Event::StepDelayed { .. }
            | Event::StepProposed { .. }
            | Event::StepStarted { .. }
            | Event::StepResumed { .. }
            | Event::StepFailed { .. }
            | Event::StepInDoubt { .. }
            | Event::StepRetried { .. }
            | Event::StepRestored { .. }
            | Event::StepSkipped { .. }
            | Event::RunEnded { .. } => last,
        };
        self.remember(event, seq);
        cause
    }

    fn remember(&mut self, event: &Event, seq: u64) {
        let at = Some(seq);
        match event {
            Event::StepProposed { .. } => {
                let last = at;
                *self = Self { last, proposed: at, ..Self::default() };
            }
            Event::EffectsPreviewed { .. } => (self.previewed, self.judged) = (at, None),
            Event::GuardJudged { .. } | Event::ImpactEstimated { .. } | Event::PlanJudged { .. } => self.judged = at,
            Event::Decided { .. } | Event::PlanDecided { .. } => self.decided = at,
            Event::ApprovalRequested { .. } | Event::PlanApprovalRequested { .. } | Event::StepInDoubt { .. } => {
                self.asked = at;
            }
            Event::StepStarted { .. } => self.started = at,
            Event::EffectIntended { call, .. } => {
                self.intended.insert(*call, seq);
            }
            // A warning is no reason for what comes behind it.
            Event::BudgetWarning { .. } => return,
            _ => {}
        }
        self.last = at;
    }
}
