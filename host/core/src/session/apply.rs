//! How events change a session.

use super::state::{Call, CallState, MAX_CALLS, ParkedQuestion, QuestionState, SessionState};
use crate::evaluation::Risk;
use crate::event::{
    ApprovalDecided, ApprovalRequested, BudgetWarning, GrantRevoked, ProposalAnswer, RiskPredicted, RunEnded, RunEvent,
    RunPaused, SessionContinued, StepJudged, StepObserved, StepProposed, StepSkipped,
};
use crate::run::KindApproval;
use crate::{Amounts, ApprovalAnswer, ApprovalId, BudgetKind, Effect, RunLimits};

impl SessionState {
    /// Applies the next event of the session. This is the only thing that changes a session; an event that does not fit the
    /// state changes nothing but the count of events.
    pub fn apply(&mut self, event: &RunEvent, time_us: u64) {
        self.seq += 1;
        self.last_us = self.last_us.max(time_us);
        match event {
            RunEvent::SessionContinued(continued) => self.continued(continued),
            RunEvent::StepProposed(proposed) => self.proposed(proposed, time_us),
            RunEvent::StepSkipped(StepSkipped { .. }) => self.ended_actions += 1,
            RunEvent::ApprovalRequested(requested) => self.asked(requested, time_us),
            RunEvent::ApprovalDecided(decided) => self.answered(decided, time_us),
            RunEvent::StepObserved(observed) => self.observed(observed),
            RunEvent::BudgetWarning(BudgetWarning { budget, .. }) => {
                self.warned.insert(*budget);
            }
            RunEvent::RiskPredicted(RiskPredicted { assessment, limits, .. }) => {
                self.tighten(limits);
                self.profiled = self.profiled.max(Some(assessment.level));
                self.risk = Some(Risk::of(assessment));
                self.risk_review.clone_from(&assessment.review);
                self.predicted_at = self.shape.actions();
            }
            RunEvent::GrantRevoked(GrantRevoked { grant, .. }) => self.grants.retain(|_, held| held.id != *grant),
            RunEvent::RunPaused(RunPaused { by, .. }) => self.paused_by = Some(by.clone()),
            RunEvent::RunResumed(_) => self.paused_by = None,
            RunEvent::RunEnded(RunEnded { end, message, .. }) => {
                (self.ended, self.message) = (Some(*end), message.clone());
                self.paused_by = None;
                self.questions.clear();
                self.calls.clear();
            }
            _ => {}
        }
    }

    fn tighten(&mut self, limits: &RunLimits) {
        self.limits = self.limits.tighten(limits);
        self.ledger.tighten(limits);
    }

    fn spend(&mut self, kind: BudgetKind, amount: u64) {
        self.ledger.settle(&Amounts::new(), &[(kind, amount)].into());
    }

    /// Other rules are in force. Approvals of single actions do not fit them any more, and those of kinds are void.
    fn continued(&mut self, continued: &SessionContinued) {
        *self.opened.rules = continued.rules.clone();
        self.grants.clear();
        self.questions.clear();
        self.tighten(&continued.rules.limits);
    }

    fn proposed(&mut self, proposed: &StepProposed, time_us: u64) {
        let StepProposed { judged, call, action, answer } = proposed;
        self.actions = self.actions.saturating_add(1);
        self.spend(BudgetKind::Fuel, judged.used().fuel());
        self.spend(BudgetKind::TimeUs, time_us.saturating_sub(judged.proposed_us));
        if let Some(decision) = &judged.decision {
            self.tighten(&decision.limits);
        }
        let state = match answer {
            ProposalAnswer::Denied => CallState::Denied,
            _ => CallState::Open,
        };
        if state == CallState::Open {
            self.spend(BudgetKind::Steps, 1);
            let (program, bytes) = (program_of(judged.effects()), bytes_of(judged));
            self.shape.add(&judged.step_type, program.as_deref(), bytes);
        }
        if let ProposalAnswer::Approved { id } = answer {
            self.questions.retain(|question| question.id != *id);
        }
        if self.calls.len() >= MAX_CALLS {
            // Denied ones are only kept in mind, so the oldest of them goes first.
            let oldest = self.calls.iter().position(|call| call.state == CallState::Denied).unwrap_or(0);
            self.calls.remove(oldest);
        }
        self.calls.push(Call {
            step: judged.step.clone(),
            step_type: judged.step_type.clone(),
            call: call.clone(),
            action: *action,
            answer: answer.clone(),
            state,
            seq: self.seq,
            since_us: time_us,
        });
    }

    fn asked(&mut self, requested: &ApprovalRequested, time_us: u64) {
        let ApprovalRequested { step, id, binding, expires_us, kind } = requested;
        self.questions.push(ParkedQuestion {
            id: id.clone(),
            step: step.clone(),
            judged: self.seq.saturating_sub(1),
            binding: *binding,
            kind: kind.clone(),
            asked_us: time_us,
            expires_us: *expires_us,
            state: QuestionState::Open,
        });
    }

    fn answered(&mut self, decided: &ApprovalDecided, time_us: u64) {
        let ApprovalDecided { id, answer, signed, .. } = decided;
        let key = signed.as_ref().map(|signed| signed.key.clone());
        let ApprovalAnswer::Approved { by, same_kind, until_us, .. } = answer else {
            self.questions.retain(|question| question.id != *id);
            return;
        };
        let Some(question) = self.questions.iter_mut().find(|question| question.id == *id) else { return };
        match question.kind.clone().filter(|_| *same_kind) {
            Some(kind) => {
                let id: ApprovalId = id.clone();
                let held = KindApproval { id, by: by.clone(), key, since_us: time_us, until_us: *until_us };
                self.grants.insert(kind, held);
                self.questions.retain(|question| question.id != decided.id);
            }
            None => question.state = QuestionState::Approved { key },
        }
    }

    fn observed(&mut self, observed: &StepObserved) {
        self.ended_actions += 1;
        self.spend(BudgetKind::TimeUs, observed.took_us);
        self.calls.retain(|call| call.step != observed.step);
    }
}

/// Name of the program that an action starts: of a shell line, its first word.
fn program_of(effects: &[Effect]) -> Option<String> {
    let (argv, shell_text) = effects.iter().find_map(|effect| match effect {
        Effect::Run { argv, shell_text, .. } => Some((argv, shell_text)),
        _ => None,
    })?;
    let word = match shell_text {
        Some(text) => text.split_whitespace().next()?,
        None => argv.first()?,
    };
    word.rsplit('/').next().filter(|name| !name.is_empty()).map(ToOwned::to_owned)
}

/// Size of an action's words, in bytes.
fn bytes_of(judged: &StepJudged) -> u64 {
    let of = |effect: &Effect| match effect {
        Effect::Write { size, .. } | Effect::Prompt { size, .. } => *size,
        Effect::Run { argv, .. } => argv.iter().map(|word| word.len() as u64).sum(),
        Effect::Tool { input, .. } => input.as_str().len() as u64,
        _ => 0,
    };
    judged.effects().iter().map(of).sum::<u64>() + judged.description.len() as u64
}
