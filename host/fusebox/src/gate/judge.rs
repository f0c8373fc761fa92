//! Letting guards and the impact model judge.

use std::sync::Arc;

use fusebox_core::event::Usage;
use fusebox_core::gate::MayRewrite;
use fusebox_core::gate::{GateAsk, GuardAnswer};
use fusebox_core::{Action, Decision, Effect, EvaluationContext, Gate, Impact, Json, Plan, Ruling, Verdict};
use fusebox_sandbox::{Invocation, Kill, Limits, PreparedAction, Report};

use crate::gate::report::PluginReport;
use crate::plugins::registry::Registry;

/// Answer of a judge, and what it used and logged.
pub struct Judged<T> {
    pub answer: T,
    pub report: Report,
}

impl<T> Judged<T> {
    fn without_plugin(answer: T) -> Self {
        Self { answer, report: Report::default() }
    }
}

/// Lets the guard at a place of the gate judge, with at most this much fuel.
pub fn guard(
    registry: &Registry,
    place: usize,
    judged: &PreparedAction,
    fuel: u64,
    kill: &Kill,
) -> Judged<GuardAnswer> {
    let Some(guard) = registry.guards.get(place) else {
        return Judged::without_plugin(GuardAnswer::Failed("it is missing".to_owned()));
    };
    answered(guard.plugin.check(judged, &guard.options(Limits::guard(), fuel, kill)))
}

/// Lets the guard at a place of the gate judge a whole plan, with at most this much fuel.
pub fn plan(
    registry: &Registry,
    place: usize,
    plan: &Plan,
    situation: Arc<EvaluationContext>,
    fuel: u64,
    kill: &Kill,
) -> Judged<GuardAnswer> {
    let Some(guard) = registry.guards.get(place) else {
        return Judged::without_plugin(GuardAnswer::Failed("it is missing".to_owned()));
    };
    answered(guard.plugin.check_plan(plan, situation, &guard.options_for_plan(fuel, kill)))
}

fn answered(called: Invocation<Verdict>) -> Judged<GuardAnswer> {
    let answer = match called.result {
        Ok(verdict) => GuardAnswer::Verdict(verdict),
        Err(end) => GuardAnswer::Failed(format!("{} ({})", end, end.kind())),
    };
    Judged { answer, report: called.report }
}

/// Lets the impact model estimate, with at most this much fuel for each of the two alternatives.
pub fn impact(registry: &Registry, judged: &PreparedAction, fuel: u64, kill: &Kill) -> Judged<Result<Impact, String>> {
    let Some(model) = &registry.impact else {
        return Judged::without_plugin(Err("the impact model is missing".to_owned()));
    };
    let called = model.plugin.impact(judged, &model.options(Limits::guard(), fuel, kill));
    Judged { answer: called.result.map_err(|end| format!("{} ({})", end, end.kind())), report: called.report }
}

/// Prepares the action with another input for judgement, or returns the reason why it cannot.
pub type Revise<'a> = &'a mut dyn FnMut(&Json) -> Result<Revised, String>;

/// An action with another input.
pub struct Revised {
    pub effects: Vec<Effect>,
    pub judged: PreparedAction,
}

/// For an action that can no longer be rewritten.
pub fn no_revision(_: &Json) -> Result<Revised, String> {
    Err("what is under way cannot be rewritten".to_owned())
}

/// What the judges of an action may use and do.
pub struct Judging<'a> {
    /// Most fuel for all together.
    pub fuel: u64,
    pub kill: &'a Kill,
    pub revise: Revise<'a>,
    /// Takes a report of each judge, where it is wanted.
    pub reports: Option<&'a mut Vec<PluginReport>>,
}

/// Takes a gate with known effects through all its judges.
pub fn through(
    registry: &Registry,
    gate: &mut Gate,
    judged: PreparedAction,
    judging: Judging<'_>,
) -> (Option<Decision>, Usage) {
    let Judging { fuel, kill, revise, mut reports } = judging;
    let mut used = Usage::default();
    let mut judged = judged;
    loop {
        let left = fuel.saturating_sub(used.fuel());
        let usage = match gate.ask() {
            GateAsk::Preview => return (None, used),
            GateAsk::Decided(decision) => return (Some(decision.clone()), used),
            GateAsk::Judge { guard: place } => {
                let Judged { answer, report } = guard(registry, place, &judged, left, kill);
                let (answer, revised) = revised(answer, gate.may_rewrite(), revise);
                let usage = report.usage;
                if let (Some(reports), Some(slot)) = (&mut reports, registry.gate.guards.get(place)) {
                    reports.push(PluginReport::of_guard(slot, &answer, report));
                }
                if gate.judged(answer).is_some()
                    && let Some(revised) = revised
                {
                    judged = revised.judged;
                    gate.previewed(revised.effects);
                }
                usage
            }
            GateAsk::Estimate => {
                let Judged { answer: estimated, report } = impact(registry, &judged, left / 2, kill);
                let usage = report.usage;
                if let (Some(reports), Some(name)) = (&mut reports, &registry.gate.impact) {
                    reports.push(PluginReport::of_model(name, &estimated, report));
                }
                gate.estimated(estimated);
                usage
            }
        };
        used.add(&usage);
    }
}

/// Validates and previews a rewrite. One that cannot be carried out is a failure of the guard.
fn revised(answer: GuardAnswer, may_rewrite: MayRewrite, revise: Revise<'_>) -> (GuardAnswer, Option<Revised>) {
    let rewrite = match &answer {
        GuardAnswer::Verdict(Verdict { rewrite: Some(rewrite), .. }) if may_rewrite == MayRewrite::Yes => rewrite,
        _ => return (answer, None),
    };
    match revise(rewrite) {
        Ok(revised) => (answer, Some(revised)),
        Err(why) => (unusable(&why), None),
    }
}

/// Answer of a guard with an invalid rewrite.
pub fn unusable(why: &str) -> GuardAnswer {
    GuardAnswer::Failed(format!("its rewrite cannot be used: {why}"))
}

/// Whether guards deny an action for the files that its preview read.
pub fn denies(
    registry: &Registry,
    action: &Action,
    read: Vec<Effect>,
    situation: Arc<EvaluationContext>,
    kill: &Kill,
) -> bool {
    let mut gate = Gate::new(Arc::clone(&registry.gate), Vec::new());
    let judged = PreparedAction::new(action, &read, situation);
    gate.previewed(read);
    let judging = Judging { fuel: u64::MAX, kill, revise: &mut no_revision, reports: None };
    let (decision, _) = through(registry, &mut gate, judged, judging);
    decision.is_none_or(|decision| decision.ruling == Ruling::Deny)
}
