//! The gate: all checks that an action must pass before it happens.
//!
//! ```
//! use std::sync::Arc;
//! use fusebox_core::gate::{Gate, GateAsk, GateSetup, GuardAnswer, GuardSlot};
//! use fusebox_core::policy::{GuardMode, OnError};
//! use fusebox_core::{Ruling, Verdict};
//!
//! let slot = GuardSlot::new("paths", OnError::Deny, GuardMode::Enforce);
//! let setup = GateSetup { guards: vec![slot], ..GateSetup::default() };
//! let mut gate = Gate::new(Arc::new(setup), Vec::new());
//! assert!(matches!(gate.ask(), GateAsk::Preview));
//! gate.previewed(Vec::new());
//! assert!(matches!(gate.ask(), GateAsk::Judge { guard: 0 }));
//! gate.judged(GuardAnswer::Failed("out of fuel".into()));
//! assert!(matches!(gate.ask(), GateAsk::Decided(decision) if decision.ruling == Ruling::Deny));
//! ```
//!
//! The gate asks one thing at a time and receives the answer; it makes no calls itself. Its decision depends on these
//! answers alone, so the same answers give the same decision.
//!
//! Guards that may rewrite are asked first. When one of them replaces the input, the new action is previewed again and
//! judged by all guards; when none does, their verdicts count, and they are not asked twice.

mod answer;
mod decision;
mod setup;

use std::sync::Arc;

use crate::builtin;
use crate::decider::Decider;
use crate::policy::GuardMode;
use crate::{Effect, Finding, Impact, ImpactClass, Json, Ruling, RunLimits, Verdict};

pub use answer::{GateAsk, GuardAnswer, MayRewrite};
pub use decision::{Decision, GUARD_FAILED, Reason};
pub use setup::{GateSetup, GuardSlot};

/// Subject of the gate's judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Action,
    Plan,
}

#[derive(Debug, Clone, PartialEq)]
enum Stage {
    Preview,
    /// Guards that may rewrite are asked.
    Rewrite(usize),
    Judge(usize),
    Estimate,
    Decided(Decision),
}

/// The gate for one action.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    setup: Arc<GateSetup>,
    subject: Subject,
    stage: Stage,
    /// Verdicts of rewriting guards that did not rewrite. They count unless another guard rewrites.
    held: Vec<(usize, Verdict)>,
    /// Place of the next guard that may rewrite.
    next_rewrite: usize,
    /// Input that guards substituted for the proposed one.
    input: Option<Json>,
    /// The strictest ruling so far.
    ruling: Ruling,
    reasons: Vec<Reason>,
    /// Reasons why an approval is needed even when all guards allow.
    approval: Vec<Reason>,
    limits: RunLimits,
    impact: Option<ImpactClass>,
    effects: Vec<Effect>,
    /// Programs of the workspace that commands name without saying so, and paths outside of it.
    local: Vec<Reason>,
}

impl Gate {
    /// A new gate. `approval` lists reasons why the action needs an approval even when all guards allow.
    #[must_use]
    pub fn new(setup: Arc<GateSetup>, approval: Vec<Reason>) -> Self {
        Self {
            setup,
            subject: Subject::Action,
            stage: Stage::Preview,
            held: Vec::new(),
            next_rewrite: 0,
            input: None,
            ruling: Ruling::Abstain,
            reasons: Vec::new(),
            approval,
            limits: RunLimits::default(),
            impact: None,
            effects: Vec::new(),
            local: Vec::new(),
        }
    }

    /// A gate for a whole plan: only guards judge it, the impact model does not. When all abstain, the plan's steps may
    /// be proposed, unless `approval` gives reasons why a person must approve the plan.
    #[must_use]
    pub fn for_plan(setup: Arc<GateSetup>, approval: Vec<Reason>) -> Self {
        let mut gate = Self { subject: Subject::Plan, ..Self::new(setup, approval) };
        gate.judge_from(0);
        gate
    }

    /// The next answer that the gate needs.
    #[must_use]
    pub fn ask(&self) -> GateAsk<'_> {
        match &self.stage {
            Stage::Preview => GateAsk::Preview,
            Stage::Rewrite(guard) | Stage::Judge(guard) => GateAsk::Judge { guard: *guard },
            Stage::Estimate => GateAsk::Estimate,
            Stage::Decided(decision) => GateAsk::Decided(decision),
        }
    }

    /// Judges and rules of this gate.
    #[must_use]
    pub fn setup(&self) -> &GateSetup {
        &self.setup
    }

    /// The effects that are judged; none before the preview.
    #[must_use]
    pub fn effects(&self) -> &[Effect] {
        &self.effects
    }

    /// Takes the action's effects. An effect that the built-in rules forbid is decided at once.
    pub fn previewed(&mut self, effects: Vec<Effect>) {
        if self.stage != Stage::Preview {
            return;
        }
        self.effects = effects;
        let forbidden = self
            .effects
            .iter()
            .enumerate()
            .find_map(|(index, effect)| Some((index, builtin::judge(effect, &self.setup.own)?)));
        if let Some((index, finding)) = forbidden {
            self.count(Reason::new(Decider::BuiltIn, Ruling::Deny, finding.on(index)));
            self.decide();
        } else {
            let findings = |of: fn(&Effect) -> Option<Finding>, by, ruling| {
                let found = |(index, effect): (usize, &Effect)| Some(of(effect)?.on(index));
                let findings: Vec<Finding> = self.effects.iter().enumerate().filter_map(found).collect();
                (!findings.is_empty() && ruling > Ruling::Allow).then_some(Reason { by, ruling, findings })
            };
            let local = findings(builtin::review, Decider::BuiltIn, Ruling::Review);
            let outside = findings(builtin::outside, Decider::Workspace, self.setup.outside.ruling());
            self.local = local.into_iter().chain(outside).collect();
            self.rewrite_from(self.next_rewrite);
        }
    }

    /// Whether the guard that is due may answer with a rewrite.
    #[must_use]
    pub fn may_rewrite(&self) -> MayRewrite {
        match (&self.stage, self.subject) {
            (Stage::Rewrite(_), _) => MayRewrite::Yes,
            (_, Subject::Plan) => MayRewrite::NotAPlan,
            (Stage::Judge(guard), Subject::Action) => match self.slot(*guard) {
                // A monitor's verdict is only recorded.
                Some(GuardSlot { rewrites: true, mode: GuardMode::Monitor, .. }) => MayRewrite::Yes,
                Some(GuardSlot { rewrites: true, .. }) => MayRewrite::TooLate,
                _ => MayRewrite::NotGranted,
            },
            _ => MayRewrite::NotGranted,
        }
    }

    /// Takes the answer of the guard that is due. Returns the guard's substitute for the proposed input, if there is
    /// one; its effects are due next.
    pub fn judged(&mut self, answer: GuardAnswer) -> Option<Json> {
        let (Stage::Judge(index) | Stage::Rewrite(index)) = self.stage else { return None };
        let is_rewriting = matches!(self.stage, Stage::Rewrite(_));
        let slot = self.slot(index)?.clone();
        let mut rewritten = None;
        if slot.mode == GuardMode::Enforce {
            match answer.checked(self.may_rewrite()) {
                GuardAnswer::Verdict(mut verdict) => {
                    rewritten = verdict.rewrite.take();
                    if is_rewriting && rewritten.is_none() {
                        self.held.push((index, verdict));
                    } else {
                        self.count_verdict(&slot, verdict);
                    }
                }
                GuardAnswer::Failed(why) => {
                    let message = format!("the guard failed: {why}");
                    self.count(Reason::new(
                        Decider::Plugin(slot.name.clone()),
                        slot.on_error.ruling(),
                        Finding::error(GUARD_FAILED, message),
                    ));
                }
            }
        }
        if !is_rewriting {
            self.judge_from(index + 1);
        } else if rewritten.is_some() {
            self.input.clone_from(&rewritten);
            (self.next_rewrite, self.stage) = (index + 1, Stage::Preview);
        } else {
            self.rewrite_from(index + 1);
        }
        rewritten
    }

    fn slot(&self, guard: usize) -> Option<&GuardSlot> {
        self.setup.guards.get(guard)
    }

    fn count_verdict(&mut self, slot: &GuardSlot, verdict: Verdict) {
        if let Some(limits) = &verdict.limits {
            self.limits = self.limits.tighten(limits);
        }
        let ruling = match verdict.ruling {
            Ruling::Allow if slot.only_tightens => Ruling::Abstain,
            ruling => ruling,
        };
        if ruling != Ruling::Abstain || !verdict.findings.is_empty() {
            self.count(Reason { by: Decider::Plugin(slot.name.clone()), ruling, findings: verdict.findings });
        }
    }

    /// Takes the impact model's estimate, or the reason of its failure. An unknown impact asks for a review, and is
    /// never low.
    pub fn estimated(&mut self, impact: Result<Impact, String>) {
        if self.stage != Stage::Estimate {
            return;
        }
        let by = Decider::Plugin(self.setup.impact.clone().unwrap_or_default());
        let fault = |impact: &Impact| impact.act.fault().or_else(|| impact.refrain.fault());
        match impact.and_then(|impact| fault(&impact).map_or(Ok(impact), Err)) {
            Ok(impact) => {
                let class = impact.class();
                self.impact = Some(class);
                if class.ruling() != Ruling::Abstain {
                    let notes: Vec<&str> =
                        impact.act.factors.iter().take(3).map(|factor| factor.note.as_str()).collect();
                    let message = format!("the impact is {class} ({:.2}): {}", impact.net(), notes.join(", "));
                    self.count(Reason::new(by, class.ruling(), Finding::warning("impact", message)));
                }
            }
            Err(why) => {
                let message = format!("the impact is unknown: {why}");
                self.count(Reason::new(by, Ruling::Review, Finding::error("impact-unknown", message)));
            }
        }
        self.decide();
    }

    /// Asks the next guard that may rewrite. After the last one, the others judge or, when something was rewritten, all.
    fn rewrite_from(&mut self, guard: usize) {
        let slots = self.setup.guards.iter().enumerate().skip(guard);
        let next = slots.clone().find(|(_, slot)| slot.rewrites && slot.mode == GuardMode::Enforce);
        if let Some((next, _)) = next {
            self.stage = Stage::Rewrite(next);
            return;
        }
        if self.input.is_some() {
            self.held.clear();
        }
        for (guard, verdict) in std::mem::take(&mut self.held) {
            if let Some(slot) = self.slot(guard).cloned() {
                self.count_verdict(&slot, verdict);
            }
        }
        self.judge_from(0);
    }

    fn judge_from(&mut self, guard: usize) {
        let has_judged = |slot: &GuardSlot| {
            slot.rewrites && slot.mode == GuardMode::Enforce && self.input.is_none() && self.subject == Subject::Action
        };
        let next = self.setup.guards.iter().enumerate().skip(guard).find(|(_, slot)| !has_judged(slot));
        if let Some((next, _)) = next {
            self.stage = Stage::Judge(next);
        } else if self.setup.impact.is_some() && self.subject == Subject::Action {
            self.stage = Stage::Estimate;
        } else {
            self.decide();
        }
    }

    fn count(&mut self, reason: Reason) {
        self.ruling = self.ruling.max(reason.ruling);
        self.reasons.push(reason);
    }

    fn decide(&mut self) {
        for local in std::mem::take(&mut self.local) {
            self.count(local);
        }
        if let Some(effect) = self.setup.approval.asks_for(&self.effects) {
            let message = format!("effects of the kind {} need an approval", effect.name());
            self.approval.push(Reason::new(Decider::Policy, Ruling::Review, Finding::info("needs-approval", message)));
        }
        if self.ruling == Ruling::Abstain {
            let when_all_abstain = match self.subject {
                Subject::Action => self.setup.when_all_abstain,
                Subject::Plan => Ruling::Allow,
            };
            let ruling = when_all_abstain.max(Ruling::Allow);
            if ruling > Ruling::Allow {
                let finding = Finding::info("all-abstained", "no guard spoke for the action, and policy asks for more");
                self.count(Reason::new(Decider::Policy, ruling, finding));
            }
            self.ruling = ruling;
        }
        if self.ruling == Ruling::Allow && !self.approval.is_empty() {
            let approval = std::mem::take(&mut self.approval);
            self.ruling = Ruling::Review;
            self.reasons.extend(approval);
        }
        self.stage = Stage::Decided(Decision {
            ruling: self.ruling,
            reasons: std::mem::take(&mut self.reasons),
            impact: self.impact,
            limits: std::mem::take(&mut self.limits),
            input: self.input.take(),
        });
    }
}

#[cfg(test)]
mod tests;
