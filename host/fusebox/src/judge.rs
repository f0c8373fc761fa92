//! Letting guards and the impact model judge.

use std::sync::Arc;

use fusebox_core::event::Usage;
use fusebox_core::gate::{GateAsk, GuardAnswer};
use fusebox_core::{Action, Decision, Effect, Gate, Impact, Ruling, Situation};
use fusebox_sandbox::{CallOptions, Judged, Kill, Limits};

use crate::registry::Registry;

/// Lets the guard at a place of the gate judge, with at most this much fuel.
pub fn guard(registry: &Registry, place: usize, judged: &Judged, fuel: u64, kill: &Kill) -> (GuardAnswer, Usage) {
    let Some(guard) = registry.guards.get(place) else {
        return (GuardAnswer::Failed("it is missing".to_owned()), Usage::default());
    };
    let options = CallOptions { settings: guard.settings.clone(), limits: limits(fuel), kill: kill.clone() };
    let called = guard.plugin.check(judged, &options);
    let answer = match called.result {
        Ok(verdict) => GuardAnswer::Verdict(verdict),
        Err(end) => GuardAnswer::Failed(format!("{} ({})", end, end.name())),
    };
    (answer, called.report.usage)
}

/// Lets the impact model estimate, with at most this much fuel for each of the two alternatives.
pub fn impact(registry: &Registry, judged: &Judged, fuel: u64, kill: &Kill) -> (Result<Impact, String>, Usage) {
    let Some(model) = &registry.impact else {
        return (Err("the impact model is missing".to_owned()), Usage::default());
    };
    let options = CallOptions { settings: model.settings.clone(), limits: limits(fuel), kill: kill.clone() };
    let called = model.plugin.impact(judged, &options);
    (called.result.map_err(|end| format!("{} ({})", end, end.name())), called.report.usage)
}

fn limits(fuel: u64) -> Limits {
    let limits = Limits::guard();
    Limits { call_fuel: limits.call_fuel.min(fuel), ..limits }
}

/// Takes a gate whose effects are known through all who judge, with at most this much fuel for all together.
pub fn through(
    registry: &Registry,
    gate: &mut Gate,
    judged: &Judged,
    fuel: u64,
    kill: &Kill,
) -> (Option<Decision>, Usage) {
    let mut used = Usage::default();
    loop {
        let left = fuel.saturating_sub(used.fuel());
        let usage = match gate.ask() {
            GateAsk::Preview => return (None, used),
            GateAsk::Decided(decision) => return (Some(decision.clone()), used),
            GateAsk::Judge { guard: place } => {
                let (answer, usage) = guard(registry, place, judged, left, kill);
                gate.judged(answer);
                usage
            }
            GateAsk::Estimate => {
                let (estimated, usage) = impact(registry, judged, left / 2, kill);
                gate.estimated(estimated);
                usage
            }
        };
        used.instantiate_fuel += usage.instantiate_fuel;
        used.call_fuel += usage.call_fuel;
        used.duration_us += usage.duration_us;
        used.host_calls += usage.host_calls;
        used.peak_memory = used.peak_memory.max(usage.peak_memory);
    }
}

/// Whether guards deny an action for what its preview has read.
pub fn denies(registry: &Registry, action: &Action, read: Vec<Effect>, situation: Arc<Situation>, kill: &Kill) -> bool {
    let mut gate = Gate::new(Arc::clone(&registry.gate), Vec::new());
    let judged = Judged::new(action, &read, situation);
    gate.previewed(read);
    let (decision, _) = through(registry, &mut gate, &judged, u64::MAX, kill);
    decision.is_none_or(|decision| decision.ruling == Ruling::Deny)
}
