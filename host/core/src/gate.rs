//! The gate: all that an action must pass before it happens.
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
//! The gate asks one thing at a time and is told the answer; it never calls anybody. What it was told is all that its
//! decision depends on, so the same answers give the same decision.
//!
//! Guards that may rewrite are asked first. When one of them replaced the input, the new action is previewed again and
//! judged by all guards; when none did, what they said counts, and they are not asked twice.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::builtin::{self, OwnPlaces};
use crate::decider::Decider;
use crate::policy::{ApprovalPolicy, GuardMode, OnError};
use crate::verdict::MAX_FINDINGS;
use crate::{Effect, Finding, Impact, ImpactClass, Json, Ruling, RunLimits, Verdict};

/// Code of the finding that a guard failed to judge.
pub const GUARD_FAILED: &str = "guard-failed";

/// Who judges, and what counts when they do not. The same for all actions under one policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateSetup {
    /// All guards, in the order in which they judge.
    pub guards: Vec<GuardSlot>,
    /// Name of the impact model, if there is one.
    pub impact: Option<String>,
    /// The ruling when all guards abstain.
    pub when_all_abstain: Ruling,
    /// What no agent may touch.
    pub own: OwnPlaces,
    /// Effects that need an approval whatever guards allow.
    pub approval: ApprovalPolicy,
}

impl Default for GateSetup {
    fn default() -> Self {
        Self {
            guards: Vec::new(),
            impact: None,
            when_all_abstain: Ruling::Allow,
            own: OwnPlaces::default(),
            approval: ApprovalPolicy::default(),
        }
    }
}

/// One guard's place in the gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardSlot {
    /// Its name.
    pub name: String,
    /// What counts when it fails.
    pub on_error: OnError,
    /// Whether its verdicts count.
    pub mode: GuardMode,
    /// It says that it rewrites, and is granted it.
    pub rewrites: bool,
    /// Its allow counts as no opinion: it was added by somebody who may only tighten.
    pub only_tightens: bool,
}

impl GuardSlot {
    /// A guard that only judges.
    #[must_use]
    pub fn new(name: &str, on_error: OnError, mode: GuardMode) -> Self {
        Self { name: name.to_owned(), on_error, mode, rewrites: false, only_tightens: false }
    }
}

/// Somebody's part in a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// A guard, the impact model, the policy or the built-in rules.
    pub by: Decider,
    /// What it asks for.
    pub ruling: Ruling,
    /// Why.
    pub findings: Vec<Finding>,
}

impl Reason {
    /// A reason with one finding.
    pub fn new(by: Decider, ruling: Ruling, finding: Finding) -> Self {
        Self { by, ruling, findings: vec![finding] }
    }
}

/// The gate's answer: `Allow`, `Review` or `Deny`, never `Abstain`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// The input that guards put in the place of the proposed one: the decision is about this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Json>,
}

fn is_default(limits: &RunLimits) -> bool {
    *limits == RunLimits::default()
}

impl Decision {
    /// Whether it denies only because guards failed to judge.
    #[must_use]
    pub fn is_of_failed_guards(&self) -> bool {
        let mut deciding = self.reasons.iter().filter(|reason| reason.ruling == self.ruling).peekable();
        let has_failed = |reason: &Reason| reason.findings.iter().any(|finding| finding.code == GUARD_FAILED);
        self.ruling == Ruling::Deny && deciding.peek().is_some() && deciding.all(has_failed)
    }

    /// Who asks for what was decided, each once.
    #[must_use]
    pub fn deciders(&self) -> Vec<Decider> {
        let mut names: Vec<Decider> = Vec::new();
        for reason in self.reasons.iter().filter(|reason| reason.ruling == self.ruling) {
            if !names.contains(&reason.by) {
                names.push(reason.by.clone());
            }
        }
        names
    }

    /// Why it is not simply allowed, in one line.
    #[must_use]
    pub fn why(&self) -> String {
        let decisive = self.reasons.iter().filter(|reason| reason.ruling == self.ruling);
        let lines: Vec<String> = decisive
            .map(|reason| match reason.findings.first() {
                Some(finding) => format!("{}: {}", reason.by, finding.message),
                None => reason.by.to_string(),
            })
            .collect();
        lines.join("; ")
    }
}

/// What the gate asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum GateAsk<'a> {
    /// Derive the effects of the action as it is now and tell [`Gate::previewed`].
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
    /// Turns verdicts that make no sense into failures; `may_rewrite` says whether a rewrite makes sense now.
    #[must_use]
    pub fn checked(self, may_rewrite: MayRewrite) -> Self {
        match self {
            Self::Verdict(verdict) if verdict.rewrite.is_some() && may_rewrite != MayRewrite::Yes => {
                Self::Failed(may_rewrite.why_not().to_owned())
            }
            Self::Verdict(verdict) if verdict.findings.len() > MAX_FINDINGS => {
                Self::Failed(format!("it gave more than {MAX_FINDINGS} findings"))
            }
            other => other,
        }
    }
}

/// Whether a guard may answer with a rewrite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MayRewrite {
    /// It may.
    Yes,
    /// It never may.
    NotGranted,
    /// All rewriting is over: what is judged now is what will happen.
    TooLate,
    /// A plan cannot be rewritten.
    NotAPlan,
}

impl MayRewrite {
    fn why_not(self) -> &'static str {
        match self {
            Self::Yes | Self::NotGranted => "it rewrote the action, which it did not declare or was not granted",
            Self::TooLate => "it rewrote an action that was rewritten already; its rewrite does not settle",
            Self::NotAPlan => "it rewrote a plan, which nobody may",
        }
    }
}

/// What is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Action,
    Plan,
}

#[derive(Debug, Clone, PartialEq)]
enum Stage {
    Preview,
    /// Guards that rewrite are asked.
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
    /// What guards that rewrite said without rewriting. It counts unless another one rewrites.
    held: Vec<(usize, Verdict)>,
    /// Where to go on asking those that rewrite.
    next_rewrite: usize,
    /// What guards put in the place of the proposed input.
    input: Option<Json>,
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
        }
    }

    /// A gate for a whole plan: all guards judge, and nobody else. When all abstain, its steps may be proposed, unless there are
    /// reasons why a person must approve it.
    #[must_use]
    pub fn for_plan(setup: Arc<GateSetup>, approval: Vec<Reason>) -> Self {
        let mut gate = Self { subject: Subject::Plan, ..Self::new(setup, approval) };
        gate.judge_from(0);
        gate
    }

    /// What it needs to be told next.
    #[must_use]
    pub fn ask(&self) -> GateAsk<'_> {
        match &self.stage {
            Stage::Preview => GateAsk::Preview,
            Stage::Rewrite(guard) | Stage::Judge(guard) => GateAsk::Judge { guard: *guard },
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
            self.count(Reason::new(Decider::BuiltIn, Ruling::Deny, finding.on(index)));
            self.decide();
        } else {
            self.rewrite_from(self.next_rewrite);
        }
    }

    /// Whether the guard that is asked for may answer with a rewrite.
    #[must_use]
    pub fn may_rewrite(&self) -> MayRewrite {
        match (&self.stage, self.subject) {
            (Stage::Rewrite(_), _) => MayRewrite::Yes,
            (_, Subject::Plan) => MayRewrite::NotAPlan,
            (Stage::Judge(guard), Subject::Action) => match self.slot(*guard) {
                // What a monitor says is only recorded.
                Some(GuardSlot { rewrites: true, mode: GuardMode::Monitor, .. }) => MayRewrite::Yes,
                Some(GuardSlot { rewrites: true, .. }) => MayRewrite::TooLate,
                _ => MayRewrite::NotGranted,
            },
            _ => MayRewrite::NotGranted,
        }
    }

    /// Tells how the guard that was asked for answered. Gives the input that takes the place of the proposed one, if the
    /// guard replaced it; the next thing to tell are the effects of that.
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

    /// Tells what the impact model estimated, or why it failed. An unknown impact is for a person, never low.
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
        let slot = |(index, case): (usize, &Case)| GuardSlot::new(&index.to_string(), case.on_error, case.mode);
        let setup = GateSetup { guards: cases.iter().enumerate().map(slot).collect(), ..GateSetup::default() };
        let reason = Reason::new(Decider::Policy, Ruling::Review, Finding::info("needs-approval", "always"));
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
                match case.answer.clone().checked(MayRewrite::NotGranted) {
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
        let setup = GateSetup { impact: Some("impact".into()), ..GateSetup::default() };
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

    fn rewriting(names: &[&str]) -> Gate {
        let slot = |name: &&str| GuardSlot {
            rewrites: name.starts_with('r'),
            ..GuardSlot::new(name, OnError::Deny, GuardMode::Enforce)
        };
        let setup = GateSetup { guards: names.iter().map(slot).collect(), ..GateSetup::default() };
        let mut gate = Gate::new(Arc::new(setup), vec![]);
        gate.previewed(vec![]);
        gate
    }

    fn says(ruling: Ruling) -> GuardAnswer {
        GuardAnswer::Verdict(Verdict { ruling, ..Verdict::abstain() })
    }

    fn rewrites() -> GuardAnswer {
        GuardAnswer::Verdict(Verdict { rewrite: Some(Json::empty_object()), ..Verdict::abstain() })
    }

    #[test]
    fn those_that_rewrite_are_asked_first_and_once_when_nothing_is_rewritten() {
        let mut gate = rewriting(&["j", "r"]);
        assert_eq!(gate.ask(), GateAsk::Judge { guard: 1 });
        assert_eq!(gate.judged(says(Ruling::Review)), None);
        assert_eq!(gate.ask(), GateAsk::Judge { guard: 0 });
        assert_eq!(gate.judged(says(Ruling::Abstain)), None);
        assert!(matches!(gate.ask(), GateAsk::Decided(decision) if decision.ruling == Ruling::Review));
    }

    #[test]
    fn what_was_rewritten_is_previewed_and_judged_by_all() {
        let mut gate = rewriting(&["r1", "j", "r2"]);
        assert_eq!(gate.judged(says(Ruling::Deny)), None, "said of what is then rewritten: does not count");
        assert_eq!(gate.ask(), GateAsk::Judge { guard: 2 });
        assert_eq!(gate.judged(rewrites()), Some(Json::empty_object()));
        assert_eq!(gate.ask(), GateAsk::Preview);
        gate.previewed(vec![]);
        for guard in 0..3 {
            assert_eq!(gate.ask(), GateAsk::Judge { guard });
            assert_eq!(gate.judged(says(Ruling::Abstain)), None);
        }
        assert!(matches!(gate.ask(), GateAsk::Decided(decision) if decision.ruling == Ruling::Allow));
    }

    #[test]
    fn a_rewrite_at_the_wrong_time_is_a_failure_of_the_guard() {
        let mut gate = rewriting(&["r"]);
        assert!(gate.judged(rewrites()).is_some());
        gate.previewed(vec![]);
        assert_eq!(gate.judged(rewrites()), None);
        assert!(matches!(gate.ask(), GateAsk::Decided(decision) if decision.ruling == Ruling::Deny));

        let mut gate = rewriting(&["j"]);
        assert_eq!(gate.judged(rewrites()), None, "neither declared nor granted");
        assert!(matches!(gate.ask(), GateAsk::Decided(decision) if decision.ruling == Ruling::Deny));

        let setup = rewriting(&["r"]).setup().clone();
        let mut gate = Gate::for_plan(Arc::new(setup), Vec::new());
        assert_eq!(gate.judged(rewrites()), None, "a plan cannot be rewritten");
        assert!(matches!(gate.ask(), GateAsk::Decided(decision) if decision.ruling == Ruling::Deny));
    }

    #[test]
    fn a_failure_while_rewriting_counts_whatever_others_rewrite() {
        let mut gate = rewriting(&["r1", "r2"]);
        gate.judged(GuardAnswer::Failed("trap".into()));
        gate.judged(rewrites());
        gate.previewed(vec![]);
        gate.judged(says(Ruling::Allow));
        gate.judged(says(Ruling::Allow));
        assert!(matches!(gate.ask(), GateAsk::Decided(decision) if decision.ruling == Ruling::Deny));
    }

    #[test]
    fn who_only_tightens_cannot_allow() {
        let slot = GuardSlot { only_tightens: true, ..GuardSlot::new("p", OnError::Deny, GuardMode::Enforce) };
        let setup = GateSetup { guards: vec![slot], when_all_abstain: Ruling::Review, ..GateSetup::default() };
        let mut gate = Gate::new(Arc::new(setup), vec![]);
        gate.previewed(vec![]);
        gate.judged(says(Ruling::Allow));
        assert!(matches!(gate.ask(), GateAsk::Decided(decision) if decision.ruling == Ruling::Review));
    }
}
