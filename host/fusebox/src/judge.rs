//! Letting guards and the impact model judge.

use fusebox_core::event::Usage;
use fusebox_core::gate::{GateAsk, GuardAnswer};
use fusebox_core::{Decision, Gate, Impact};
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

/// Lets the impact model estimate, with at most this much fuel for each alternative.
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

/// Takes a gate whose effects are known through all who judge.
pub fn through(registry: &Registry, gate: &mut Gate, judged: &Judged, kill: &Kill) -> (Option<Decision>, Usage) {
    let mut used = Usage::default();
    loop {
        let usage = match gate.ask() {
            GateAsk::Preview => return (None, used),
            GateAsk::Decided(decision) => return (Some(decision.clone()), used),
            GateAsk::Judge { guard: place } => {
                let (answer, usage) = guard(registry, place, judged, u64::MAX, kill);
                gate.judged(answer);
                usage
            }
            GateAsk::Estimate => {
                let (estimated, usage) = impact(registry, judged, u64::MAX, kill);
                gate.estimated(estimated);
                usage
            }
        };
        used.instantiate_fuel += usage.instantiate_fuel;
        used.call_fuel += usage.call_fuel;
        used.duration_us += usage.duration_us;
    }
}
