//! The gate: all that an action must pass before it happens.
//!
//! ```
//! use std::sync::Arc;
//! use fusebox_core::gate::{Gate, GateAsk, GateSetup, GuardAnswer, GuardSlot};
//! use fusebox_core::policy::{GuardMode, OnError};
//! use fusebox_core::{Ruling, Verdict};
//!
//! let slot = GuardSlot { name: "paths".into(), on_error: OnError::Deny, mode: GuardMode::Enforce };
//! let setup =
//!     GateSetup { guards: vec![slot], impact: None, when_all_abstain: Ruling::Allow, own: Default::default() };
//! let mut gate = Gate::new(Arc::new(setup), Vec::new());
//! assert!(matches!(gate.ask(), GateAsk::Preview));
//! gate.previewed(Vec::new());
//! assert!(matches!(gate.ask(), GateAsk::Judge { guard: 0 }));
//! gate.judged(GuardAnswer::Failed("out of fuel".into()));
//! assert!(matches!(gate.ask(), GateAsk::Decided(decision) if decision.ruling == Ruling::Deny));
//! ```
//!
//! The gate asks one thing at a time and is told the answer; it never calls anybody. What it was told is all that its
//! decision depends on, so the same answers give the same decision.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::builtin::{self, OwnPlaces};
use crate::policy::{GuardMode, OnError};
use crate::verdict::MAX_FINDINGS;
use crate::{Effect, Finding, Impact, ImpactClass, Ruling, RunLimits, Verdict};

/// Who judges, and what counts when they do not. The same for all actions under one policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateSetup {
    /// All guards, in the order in which they judge.
    pub guards: Vec<GuardSlot>,
    /// Name of the impact model, if there is one.
    pub impact: Option<String>,
    /// The ruling when all guards abstain.
    pub when_all_abstain: Ruling,
    /// What no agent may touch.
    pub own: OwnPlaces,
}

/// One guard's place in the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardSlot {
    /// Its name.
    pub name: String,
    /// What counts when it fails.
    pub on_error: OnError,
    /// Whether its verdicts count.
    pub mode: GuardMode,
}

/// Somebody's part in a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// A guard, the impact model, the policy or the built-in rules.
    pub by: String,
    /// What they ask for.
    pub ruling: Ruling,
    /// Why.
    pub findings: Vec<Finding>,
}

impl Reason {
    /// A reason with one finding.
    pub fn new(by: &str, ruling: Ruling, finding: Finding) -> Self {
        Self { by: by.to_owned(), ruling, findings: vec![finding] }
    }
}

/// The gate's answer: `Allow`, `Review` or `Deny`, never `Abstain`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// What may happen.
    pub ruling: Ruling,
    /// Everybody who did not abstain.
    pub reasons: Vec<Reason>,
    /// Class of the estimated impact, if there is an impact model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impact: Option<ImpactClass>,
    /// Tighter limits that guards ask for.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits: RunLimits,
}

fn is_default(limits: &RunLimits) -> bool {
    *limits == RunLimits::default()
}

impl Decision {
    /// Why it is not simply allowed, in one line.
    #[must_use]
    pub fn why(&self) -> String {
        let decisive = self.reasons.iter().filter(|reason| reason.ruling == self.ruling);
        let lines: Vec<String> = decisive
            .map(|reason| match reason.findings.first() {
                Some(finding) => format!("{}: {}", reason.by, finding.message),
                None => reason.by.clone(),
            })
            .collect();
        lines.join("; ")
    }
}

/// What the gate asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum GateAsk<'a> {
    /// Derive the action's effects and tell [`Gate::previewed`].
    Preview,
    /// Let a guard judge, by its place in [`GateSetup::guards`], and tell [`Gate::judged`].
    Judge {
        /// The guard's place.
        guard: usize,
    },
    /// Let the impact model estimate both alternatives and tell [`Gate::estimated`].
    Estimate,
    /// Nothing more: this is the decision.
    Decided(&'a Decision),
}

/// How a guard answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GuardAnswer {
    /// With a verdict.
    Verdict(Verdict),
    /// Not: it trapped, ran dry, timed out, is missing, or its answer makes no sense.
    Failed(String),
}

impl GuardAnswer {
    /// Turns verdicts that make no sense into failures.
    #[must_use]
    pub fn checked(self) -> Self {
        match self {
            Self::Verdict(verdict) if verdict.rewrite.is_some() => {
                Self::Failed("it rewrote the action, which it neither declared nor was granted".to_owned())
            }
            Self::Verdict(verdict) if verdict.findings.len() > MAX_FINDINGS => {
                Self::Failed(format!("it gave more than {MAX_FINDINGS} findings"))
            }
            other => other,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Stage {
    Preview,
    Judge(usize),
    Estimate,
    Decided(Decision),
}

/// The gate for one action.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    setup: Arc<GateSetup>,
    stage: Stage,
    /// The strictest of what counts so far.
    ruling: Ruling,
    reasons: Vec<Reason>,
    /// Reasons why an approval is needed even when everybody allows.
    approval: Vec<Reason>,
    limits: RunLimits,
    impact: Option<ImpactClass>,
    effects: Vec<Effect>,
}

impl Gate {
    /// A gate that has been asked nothing yet. `approval` says why the action needs an approval whatever guards allow.
    #[must_use]
    pub fn new(setup: Arc<GateSetup>, approval: Vec<Reason>) -> Self {
        Self {
            setup,
            stage: Stage::Preview,
            ruling: Ruling::Abstain,
            reasons: Vec::new(),
            approval,
            limits: RunLimits::default(),
            impact: None,
            effects: Vec::new(),
        }
    }

    /// What it needs to be told next.
    #[must_use]
    pub fn ask(&self) -> GateAsk<'_> {
        match &self.stage {
            Stage::Preview => GateAsk::Preview,
            Stage::Judge(guard) => GateAsk::Judge { guard: *guard },
            Stage::Estimate => GateAsk::Estimate,
            Stage::Decided(decision) => GateAsk::Decided(decision),
        }
    }

    /// Who judges here.
    #[must_use]
    pub fn setup(&self) -> &GateSetup {
        &self.setup
    }

    /// The effects that are judged; none before the preview.
    #[must_use]
    pub fn effects(&self) -> &[Effect] {
        &self.effects
    }

    /// Tells the action's effects. What the built-in rules forbid is decided here and now.
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
            self.count(Reason::new(builtin::NAME, Ruling::Deny, finding.on(index)));
            self.decide();
        } else {
            self.judge_from(0);
        }
    }

    /// Tells how the guard that was asked for answered.
    pub fn judged(&mut self, answer: GuardAnswer) {
        let Stage::Judge(index) = self.stage else { return };
        let Some(slot) = self.setup.guards.get(index) else { return };
        if slot.mode == GuardMode::Enforce {
            let (name, on_error) = (slot.name.clone(), slot.on_error);
            match answer.checked() {
                GuardAnswer::Verdict(verdict) => {
                    if let Some(limits) = &verdict.limits {
                        self.limits = self.limits.tighten(limits);
                    }
                    if verdict.ruling != Ruling::Abstain || !verdict.findings.is_empty() {
                        self.count(Reason { by: name, ruling: verdict.ruling, findings: verdict.findings });
                    }
                }
                GuardAnswer::Failed(why) => {
                    let message = format!("the guard failed: {why}");
                    self.count(Reason::new(&name, on_error.ruling(), Finding::error("guard-failed", message)));
                }
            }
        }
        self.judge_from(index + 1);
    }

    /// Tells what the impact model estimated, or why it failed. An unknown impact is for a person, never low.
    pub fn estimated(&mut self, impact: Result<Impact, String>) {
        if self.stage != Stage::Estimate {
            return;
        }
        let by = self.setup.impact.clone().unwrap_or_default();
        let fault = |impact: &Impact| impact.act.fault().or_else(|| impact.refrain.fault());
        match impact.and_then(|impact| fault(&impact).map_or(Ok(impact), Err)) {
            Ok(impact) => {
                let class = impact.class();
                self.impact = Some(class);
                if class.ruling() != Ruling::Abstain {
                    let notes: Vec<&str> =
                        impact.act.factors.iter().take(3).map(|factor| factor.note.as_str()).collect();
                    let message = format!("the impact is {class} ({:.2}): {}", impact.net(), notes.join(", "));
                    self.count(Reason::new(&by, class.ruling(), Finding::warning("impact", message)));
                }
            }
            Err(why) => {
                let message = format!("the impact is unknown: {why}");
                self.count(Reason::new(&by, Ruling::Review, Finding::error("impact-unknown", message)));
            }
        }
        self.decide();
    }

    fn judge_from(&mut self, guard: usize) {
        if guard < self.setup.guards.len() {
            self.stage = Stage::Judge(guard);
        } else if self.setup.impact.is_some() {
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
        if self.ruling == Ruling::Abstain {
            let ruling = self.setup.when_all_abstain.max(Ruling::Allow);
            if ruling > Ruling::Allow {
                let finding = Finding::info("all-abstained", "no guard spoke for the action, and policy asks for more");
                self.count(Reason::new("policy", ruling, finding));
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
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Estimate;

    #[derive(Debug, Clone)]
    struct Case {
        mode: GuardMode,
        on_error: OnError,
        answer: GuardAnswer,
    }

    fn any_case() -> impl Strategy<Value = Case> {
        let ruling = prop_oneof![Just(Ruling::Abstain), Just(Ruling::Allow), Just(Ruling::Review), Just(Ruling::Deny)];
        let answer = prop_oneof![
            4 => ruling.prop_map(|ruling| GuardAnswer::Verdict(Verdict { ruling, ..Verdict::abstain() })),
            1 => Just(GuardAnswer::Failed("trap".into())),
            1 => Just(GuardAnswer::Verdict(Verdict { rewrite: Some(crate::Json::empty_object()), ..Verdict::abstain() })),
        ];
        let mode = prop_oneof![3 => Just(GuardMode::Enforce), 1 => Just(GuardMode::Monitor)];
        let on_error = prop_oneof![Just(OnError::Deny), Just(OnError::Review)];
        (mode, on_error, answer).prop_map(|(mode, on_error, answer)| Case { mode, on_error, answer })
    }

    fn decide(cases: &[Case], needs_approval: bool) -> Decision {
        let slot = |(index, case): (usize, &Case)| GuardSlot {
            name: index.to_string(),
            on_error: case.on_error,
            mode: case.mode,
        };
        let guards = cases.iter().enumerate().map(slot).collect();
        let own = OwnPlaces::default();
        let setup = GateSetup { guards, impact: None, when_all_abstain: Ruling::Allow, own };
        let reason = Reason::new("policy", Ruling::Review, Finding::info("needs-approval", "always"));
        let mut gate = Gate::new(Arc::new(setup), needs_approval.then_some(reason).into_iter().collect());
        gate.previewed(Vec::new());
        for case in cases {
            gate.judged(case.answer.clone());
        }
        match gate.ask() {
            GateAsk::Decided(decision) => decision.clone(),
            other => panic!("not decided: {other:?}"),
        }
    }

    proptest! {
        #[test]
        fn a_failed_guard_never_means_allow(cases in prop::collection::vec(any_case(), 0..6), approval in any::<bool>()) {
            let decision = decide(&cases, approval);
            prop_assert_ne!(decision.ruling, Ruling::Abstain);
            for case in cases.iter().filter(|case| case.mode == GuardMode::Enforce) {
                match case.answer.clone().checked() {
                    GuardAnswer::Failed(_) => prop_assert!(decision.ruling >= case.on_error.ruling()),
                    GuardAnswer::Verdict(verdict) => prop_assert!(decision.ruling >= verdict.ruling),
                }
            }
            if approval {
                prop_assert!(decision.ruling >= Ruling::Review);
            }
        }

        #[test]
        fn a_monitor_never_touches_the_decision(cases in prop::collection::vec(any_case(), 0..6)) {
            let enforced: Vec<Case> =
                cases.iter().filter(|case| case.mode == GuardMode::Enforce).cloned().collect();
            prop_assert_eq!(decide(&cases, false).ruling, decide(&enforced, false).ruling);
        }
    }

    fn gate_at_estimate() -> Gate {
        let (impact, own) = (Some("impact".into()), OwnPlaces::default());
        let setup = GateSetup { guards: vec![], impact, when_all_abstain: Ruling::Allow, own };
        let mut gate = Gate::new(Arc::new(setup), vec![]);
        gate.previewed(vec![]);
        gate
    }

    #[test]
    fn impact_decides_by_class_and_unknown_impact_is_for_a_person() {
        let estimate = |impact| Estimate { impact, confidence: 1.0, factors: vec![] };
        for (act, refrain, expected) in [
            (0.1, 0.0, Ruling::Allow),
            (0.5, 0.0, Ruling::Review),
            (0.5, 0.4, Ruling::Allow),
            (0.9, 0.0, Ruling::Deny),
            (f64::NAN, 0.0, Ruling::Review),
            (0.0, f64::INFINITY, Ruling::Review),
        ] {
            let mut gate = gate_at_estimate();
            gate.estimated(Ok(Impact { act: estimate(act), refrain: estimate(refrain) }));
            assert!(matches!(gate.ask(), GateAsk::Decided(decision) if decision.ruling == expected), "{act} {refrain}");
        }
        let mut gate = gate_at_estimate();
        gate.estimated(Err("trap".into()));
        assert!(matches!(gate.ask(), GateAsk::Decided(decision) if decision.ruling == Ruling::Review));
    }

    #[test]
    fn answers_that_were_not_asked_for_change_nothing() {
        let mut gate = gate_at_estimate();
        let before = gate.clone();
        gate.judged(GuardAnswer::Verdict(Verdict { ruling: Ruling::Allow, ..Verdict::abstain() }));
        gate.previewed(vec![]);
        assert_eq!(gate, before);
    }
}
