//! One metered call: fuel before, classification after.

use std::time::Instant;

use wasmtime::{Engine, Store, Trap, UpdateDeadline};

use crate::engines::TICK;
use crate::state::{InvocationContext, MAX_PANIC_BYTES, State, cut};
use crate::{End, Invocation, Report};

/// Multiple of its wall time that a guard may take on a machine that lets it run only now and then.
const PATIENCE: u32 = 10;
/// Most resource handles of one store; the contract has none.
const MAX_HANDLES: usize = 1000;

/// Behaviour of a guest when its time slice ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slice {
    /// Goes on: its caller waits for it.
    Continue,
    /// Lets other tasks of the thread have a turn.
    Yield,
}

/// A store with its meters.
pub struct Metered {
    pub store: Store<State>,
    started: Instant,
    instantiate_fuel: u64,
    call_fuel: u64,
    used_to_instantiate: Option<u64>,
}

impl Metered {
    /// A fresh store, its clock running.
    pub fn begin(engine: &Engine, invoked: InvocationContext, slice: Slice) -> Self {
        let started = Instant::now();
        let limits = invoked.limits;
        let deadline = started + limits.wall_time;
        let mut store = Store::new(engine, State::new(invoked, deadline));
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(limits.transfer_bytes);
        store.set_max_component_handles(MAX_HANDLES);
        store.set_epoch_deadline(1);
        let mut ticks = 0;
        let max_ticks = u64::try_from(limits.wall_time.as_nanos() / TICK.as_nanos()).unwrap_or(u64::MAX);
        store.epoch_deadline_callback(move |context| {
            ticks += 1;
            let (state, now) = (context.data(), Instant::now());
            let is_late = match slice {
                // A busy machine may take the thread away for longer than a guard may run: that is one tick, not many.
                Slice::Continue => ticks >= max_ticks || now >= started + limits.wall_time * PATIENCE,
                Slice::Yield => now >= state.deadline,
            };
            if is_late || state.kill.is_killed() {
                return Ok(UpdateDeadline::Interrupt);
            }
            Ok(match slice {
                Slice::Continue => UpdateDeadline::Continue(1),
                Slice::Yield => UpdateDeadline::Yield(1),
            })
        });
        // It can only fail without fuel in the configuration, and then every call would end out of fuel.
        let _ = store.set_fuel(limits.instantiate_fuel);
        Self {
            store,
            started,
            instantiate_fuel: limits.instantiate_fuel,
            call_fuel: limits.call_fuel,
            used_to_instantiate: None,
        }
    }

    /// The instance is there; from here on the call is metered.
    pub fn instantiated(&mut self) {
        self.used_to_instantiate = Some(self.instantiate_fuel.saturating_sub(self.store.get_fuel().unwrap_or(0)));
        let _ = self.store.set_fuel(self.call_fuel);
    }

    /// Ends with the guest's answer, or with the reason why there is none.
    pub fn end<T>(self, result: wasmtime::Result<T>) -> Invocation<T> {
        // A guest that was too late to be stopped, and is stopped all the same: whether it was is no matter of time.
        if let Some(end) = self.store.data().overrun.clone() {
            return self.finish(Err(end), false);
        }
        match result {
            Ok(value) => self.finish(Ok(value), true),
            Err(error) => {
                let (end, fuel_is_exact) = classify(self.store.data(), &error);
                self.finish(Err(end), fuel_is_exact)
            }
        }
    }

    /// Ends because the host cut it off while it may have been waiting.
    pub fn cut_off<T>(self, end: End) -> Invocation<T> {
        let waited = self.store.data().in_host;
        self.finish(Err(end), waited)
    }

    fn finish<T>(self, result: Result<T, End>, fuel_is_exact: bool) -> Invocation<T> {
        let left = if fuel_is_exact { self.store.get_fuel().unwrap_or(0) } else { 0 };
        let duration = self.started.elapsed();
        let mut report: Report = self.store.into_data().into_report();
        report.usage.duration_us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        match self.used_to_instantiate {
            Some(used) => {
                report.usage.instantiate_fuel = used;
                report.usage.call_fuel = self.call_fuel.saturating_sub(left);
            }
            None => report.usage.instantiate_fuel = self.instantiate_fuel.saturating_sub(left),
        }
        Invocation { result, report }
    }
}

/// Returns the end that an error stands for, and whether the store's fuel is exact then: after other traps the count
/// may still be in a register of the guest, and the whole budget is billed.
fn classify(state: &State, error: &wasmtime::Error) -> (End, bool) {
    if let Some(end) = &state.end {
        return (end.clone(), true);
    }
    let trap = error.downcast_ref::<Trap>();
    if trap == Some(&Trap::OutOfFuel) {
        return (End::OutOfFuel, true);
    }
    if trap == Some(&Trap::Interrupt) {
        return (if state.kill.is_killed() { End::Killed } else { End::Deadline }, false);
    }
    if state.limiter.hit {
        return (End::MemoryLimit, true);
    }
    let root = error.root_cause().to_string();
    // The engine's error for this has no public type.
    if root.contains("fuel allocated for hostcalls") {
        return (End::OutputTooLarge, true);
    }
    let panic = state.panic.clone().or_else(|| Some(cut(&state.wasi.as_ref()?.last_words()?, MAX_PANIC_BYTES)));
    let end = End::Trapped { message: root, panic, last_host_call: state.last_host_call };
    (end, matches!(trap, None | Some(&Trap::UnreachableCodeReached)))
}
