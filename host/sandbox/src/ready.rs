//! A plugin that is ready to be instantiated, and fresh instances of it.

use std::sync::OnceLock;
use std::time::Duration;

use fusebox_core::Kind;
use wasmtime::component::{Component, ComponentExportIndex, TypedFunc};
use wasmtime::{AsContextMut as _, Engine};

use crate::bindings::executor_world::ExecutorPluginPre;
use crate::bindings::executor_world::exports::fusebox::plugin::executor::Guest as ExecutorGuest;
use crate::bindings::guard_world::GuardPluginPre;
use crate::bindings::guard_world::exports::fusebox::plugin::guard::Guest as GuardGuest;
use crate::bindings::impact_world::ImpactPluginPre;
use crate::bindings::impact_world::exports::fusebox::plugin::impact::Guest as ImpactGuest;
use crate::bindings::wit;
use crate::cache::Compiled;
use crate::call::{Metered, Slice};
use crate::engines::Shard;
use crate::sandbox::Sandbox;
use crate::state::{Invoked, State};
use crate::{End, Error, Invocation};

/// The store of one invocation.
pub type StoreMut<'a> = wasmtime::StoreContextMut<'a, State>;

/// A compiled plugin with the engines that it may run in.
pub struct ReadyPlugin {
    pub sandbox: Sandbox,
    pub kind: Kind,
    ready: Ready,
}

/// The plugin, its imports linked, per engine.
enum Ready {
    Guard(Linked<ReadyGuard>),
    Impact(Linked<ImpactPluginPre<State>>),
    Executor(Linked<ExecutorPluginPre<State>>),
}

/// A guard, with the function that is called for every action found beforehand.
struct ReadyGuard {
    pre: GuardPluginPre<State>,
    check: ComponentExportIndex,
}

/// Arguments and result of a guard's `check`.
type Check<'a> = TypedFunc<(&'a wit::Action, &'a [wit::Effect]), (wit::Verdict,)>;

/// The plugin, loaded and linked once in each place, when it is first called there.
struct Linked<T> {
    compiled: Compiled,
    places: Vec<OnceLock<T>>,
}

/// Whether a call may wait for something that is not its own handler, and so needs timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    Never,
    Allowed,
}

/// How much later than the guest's own deadline a waiting call is given up: the guest's end says more.
const GRACE: Duration = Duration::from_millis(20);

impl ReadyPlugin {
    /// Loads nothing yet: what is never called costs next to nothing.
    pub fn new(sandbox: &Sandbox, kind: Kind, compiled: Compiled) -> Self {
        let ready = match kind {
            Kind::Guard => Ready::Guard(Linked::new(compiled, sandbox.shards())),
            Kind::Impact => Ready::Impact(Linked::new(compiled, sandbox.shards())),
            Kind::Executor => Ready::Executor(Linked::new(compiled, 1)),
        };
        Self { sandbox: sandbox.clone(), kind, ready }
    }

    /// Links it where this thread would call it, so that what does not fit is told as such.
    pub fn check_fit(&self) -> Result<(), Error> {
        match &self.ready {
            Ready::Guard(ready) => self.linked(ready, ready_guard).map(|_| ()),
            Ready::Impact(ready) => self.linked(ready, impact_pre).map(|_| ()),
            Ready::Executor(ready) => self.linked_executor(ready).map(|_| ()),
        }
    }

    fn linked<'a, T>(
        &'a self,
        ready: &'a Linked<T>,
        make: impl FnOnce(&Shard, &Component) -> wasmtime::Result<T>,
    ) -> Result<(&'a Shard, &'a T), Error> {
        let (place, shard) = self.sandbox.shard()?;
        Ok((shard, ready.get(place, &shard.engine, self.kind, |component| make(shard, component))?))
    }

    fn linked_executor<'a>(
        &'a self,
        ready: &'a Linked<ExecutorPluginPre<State>>,
    ) -> Result<&'a ExecutorPluginPre<State>, Error> {
        let executors = &self.sandbox.inner.executors;
        ready.get(0, &executors.engine, self.kind, |component| {
            executors.linker.instantiate_pre(component).and_then(ExecutorPluginPre::new)
        })
    }

    /// Calls a guard in a fresh instance, on this thread.
    pub fn guard<T>(
        &self,
        invoked: Invoked,
        call: impl FnOnce(&GuardGuest, StoreMut<'_>) -> wasmtime::Result<T>,
    ) -> Invocation<T> {
        let Ready::Guard(ready) = &self.ready else { return not_that_kind() };
        self.pooled(ready, ready_guard, invoked, |guard, metered| {
            let instance = guard.pre.instantiate(&mut metered.store)?;
            metered.instantiated();
            call(instance.fusebox_plugin_guard(), metered.store.as_context_mut())
        })
    }

    /// Lets a guard judge in a fresh instance, on this thread. Of its functions only this one is looked up: it is called
    /// for every action.
    pub fn check(&self, invoked: Invoked, action: &wit::Action, effects: &[wit::Effect]) -> Invocation<wit::Verdict> {
        let Ready::Guard(ready) = &self.ready else { return not_that_kind() };
        self.pooled(ready, ready_guard, invoked, |guard, metered| {
            let instance = guard.pre.instance_pre().instantiate(&mut metered.store)?;
            let check: Check<'_> = instance.get_typed_func(&mut metered.store, guard.check)?;
            metered.instantiated();
            let (verdict,) = check.call(&mut metered.store, (action, effects))?;
            Ok(verdict)
        })
    }

    /// Calls an impact model in a fresh instance, on this thread.
    pub fn impact<T>(
        &self,
        invoked: Invoked,
        call: impl FnOnce(&ImpactGuest, StoreMut<'_>) -> wasmtime::Result<T>,
    ) -> Invocation<T> {
        let Ready::Impact(ready) = &self.ready else { return not_that_kind() };
        self.pooled(ready, impact_pre, invoked, |pre, metered| {
            let instance = pre.instantiate(&mut metered.store)?;
            metered.instantiated();
            call(instance.fusebox_plugin_impact(), metered.store.as_context_mut())
        })
    }

    /// Takes a place in the pool of this thread's shard and calls there.
    fn pooled<P, T>(
        &self,
        ready: &Linked<P>,
        link: fn(&Shard, &Component) -> wasmtime::Result<P>,
        invoked: Invoked,
        call: impl FnOnce(&P, &mut Metered) -> wasmtime::Result<T>,
    ) -> Invocation<T> {
        let (shard, pre) = match self.linked(ready, link) {
            Ok(linked) => linked,
            Err(error) => return failed(&error),
        };
        let _slot = shard.slots.take();
        let _active = self.sandbox.inner.ticker.watch();
        let mut metered = Metered::begin(&shard.engine, invoked, Slice::Continue);
        let result = call(pre, &mut metered);
        metered.end(result)
    }

    /// Calls an executor in a fresh instance.
    pub async fn executor<T>(
        &self,
        invoked: Invoked,
        waiting: Waiting,
        call: impl AsyncFnOnce(&ExecutorGuest, StoreMut<'_>) -> wasmtime::Result<T>,
    ) -> Invocation<T> {
        let Ready::Executor(ready) = &self.ready else { return not_that_kind() };
        let pre = match self.linked_executor(ready) {
            Ok(pre) => pre,
            Err(error) => return failed(&error),
        };
        let _active = self.sandbox.inner.ticker.watch();
        let (kill, wall_time) = (invoked.kill.clone(), invoked.limits.wall_time);
        let mut metered = Metered::begin(&self.sandbox.inner.executors.engine, invoked, Slice::Yield);
        let work = async {
            let instance = pre.instantiate_async(&mut metered.store).await?;
            metered.instantiated();
            call(instance.fusebox_plugin_executor(), metered.store.as_context_mut()).await
        };
        let ended = match waiting {
            Waiting::Never => Ok(work.await),
            // A guest that runs is ended by its epoch; one that waits in the host only by no longer being waited for.
            Waiting::Allowed => tokio::select! {
                biased;
                () = kill.killed() => Err(End::Killed),
                result = work => Ok(result),
                () = tokio::time::sleep(wall_time + GRACE) => Err(End::Deadline),
            },
        };
        match ended {
            Ok(result) => metered.end(result),
            Err(end) => metered.cut_off(end),
        }
    }
}

impl<T> Linked<T> {
    fn new(compiled: Compiled, places: usize) -> Self {
        Self { compiled, places: (0..places).map(|_| OnceLock::new()).collect() }
    }

    fn get(
        &self,
        place: usize,
        engine: &Engine,
        kind: Kind,
        make: impl FnOnce(&Component) -> wasmtime::Result<T>,
    ) -> Result<&T, Error> {
        let missing = || Error::Engine { message: "there is no such shard".to_owned() };
        let ready = self.places.get(place).ok_or_else(missing)?;
        if ready.get().is_none() {
            let component = self.compiled.load(engine)?;
            let made = make(&component).map_err(|error| incompatible(kind, &error))?;
            // When another thread was faster, its is as good as this one.
            let _ = ready.set(made);
        }
        ready.get().ok_or_else(missing)
    }
}

fn incompatible(kind: Kind, error: &wasmtime::Error) -> Error {
    Error::Incompatible {
        kind: kind.name(),
        import: format!("what this host does not have ({error:#})"),
        served: "fusebox:plugin@0.1.0".to_owned(),
        needed: "build it with the SDK of this host's version, or update the host".to_owned(),
    }
}

fn ready_guard(shard: &Shard, component: &Component) -> wasmtime::Result<ReadyGuard> {
    let pre = GuardPluginPre::new(shard.guards.instantiate_pre(component)?)?;
    let guard = component.get_export_index(None, "fusebox:plugin/guard@0.1.0");
    let check = guard.and_then(|guard| component.get_export_index(Some(&guard), "check"));
    let check = check.ok_or_else(|| wasmtime::format_err!("no exported function `check`"))?;
    Ok(ReadyGuard { pre, check })
}

fn impact_pre(shard: &Shard, component: &Component) -> wasmtime::Result<ImpactPluginPre<State>> {
    ImpactPluginPre::new(shard.impacts.instantiate_pre(component)?)
}

fn failed<T>(error: &Error) -> Invocation<T> {
    Invocation { result: Err(End::HostFailed { message: error.to_string() }), report: crate::Report::default() }
}

pub fn not_that_kind<T>() -> Invocation<T> {
    let end = End::Incompatible {
        import: "another kind of call".to_owned(),
        served: "the calls of its own kind".to_owned(),
        needed: "call a guard's functions on guards only, and so on".to_owned(),
    };
    Invocation { result: Err(end), report: crate::Report::default() }
}
