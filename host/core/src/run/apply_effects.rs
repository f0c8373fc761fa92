//! How events of effects change the step under way.

use super::stage::{Answered, Open, Stage};
use super::state::RunState;
use crate::event::{AllowedBy, EffectIntended, EffectNotPerformed, EffectPerformed, EffectRefused, Judgement};

impl RunState {
    pub(super) fn effect_intended(&mut self, intended: &EffectIntended) {
        let EffectIntended { call, effect, allowed_by, judgement, reserved, asked, .. } = intended;
        self.judged(judgement.as_ref());
        self.reserve(reserved);
        let Stage::Executing(execution) = &mut self.stage else { return };
        let place = match allowed_by {
            AllowedBy::Covered(covering) if !effect.only_reads() => Some(*covering as usize),
            _ => None,
        };
        execution.used.extend(place);
        execution.calls = call + 1;
        execution.open.insert(*call, Open { effect: effect.clone(), reserved: reserved.clone(), place });
        execution.answered.extend(asked.map(|asked| Answered { call: *call, asked, answer: None }));
    }

    pub(super) fn effect_performed(&mut self, performed: &EffectPerformed) {
        let EffectPerformed { call, spent, model, answer, inverse, .. } = performed;
        if let Stage::Executing(execution) = &mut self.stage
            && let Some(open) = execution.open.remove(call)
        {
            execution.inverses.extend(inverse.as_deref().cloned());
            if let Some(answered) = execution.answered.iter_mut().rev().find(|answered| answered.call == *call) {
                answered.answer = *answer;
            }
            self.ledger.settle(&open.reserved, spent);
        }
        self.unpriced += u32::from(model.as_ref().is_some_and(|model| !model.priced));
    }

    pub(super) fn effect_not_performed(&mut self, undone: &EffectNotPerformed) {
        let EffectNotPerformed { call, spent, .. } = undone;
        if let Stage::Executing(execution) = &mut self.stage
            && let Some(open) = execution.open.remove(call)
        {
            if let Some(place) = open.place {
                execution.used.remove(&place);
            }
            self.ledger.settle(&open.reserved, spent);
        }
    }

    pub(super) fn effect_refused(&mut self, refused: &EffectRefused) {
        self.judged(refused.judgement.as_ref());
        if let Stage::Executing(execution) = &mut self.stage {
            execution.over_budget = execution.over_budget.or(refused.budget);
        }
    }

    /// What an effect that was judged alone costs, and the limits that guards asked for.
    fn judged(&mut self, judgement: Option<&Judgement>) {
        if let Some(Judgement { decision, usage }) = judgement {
            self.spend(*usage);
            self.tighten(&decision.limits);
        }
    }
}
