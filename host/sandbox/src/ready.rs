//! A plugin that is ready to be instantiated, and fresh instances of it.

use std::sync::OnceLock;
use std::time::Duration;

use fusebox_core::Kind;
use wasmtime::AsContextMut as _;
use wasmtime::component::Component;

use crate::bindings::executor_world::ExecutorPluginPre;
use crate::bindings::executor_world::exports::fusebox::plugin::executor::Guest as ExecutorGuest;
use crate::bindings::guard_world::GuardPluginPre;
use crate::bindings::guard_world::exports::fusebox::plugin::guard::Guest as GuardGuest;
use crate::bindings::impact_world::ImpactPluginPre;
use crate::bindings::impact_world::exports::fusebox::plugin::impact::Guest as ImpactGuest;
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
    Guard(PerShard<GuardPluginPre<State>>),
    Impact(PerShard<ImpactPluginPre<State>>),
    Executor(ExecutorPluginPre<State>),
}

struct PerShard<T> {
    compiled: Compiled,
    shards: Vec<OnceLock<T>>,
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
    /// Links the plugin's imports. What does not fit is found here or at the first instantiation.
    pub fn new(sandbox: &Sandbox, kind: Kind, compiled: Compiled) -> Result<Self, Error> {
        let ready = match kind {
            Kind::Guard => Ready::Guard(PerShard::new(sandbox, compiled)),
            Kind::Impact => Ready::Impact(PerShard::new(sandbox, compiled)),
            Kind::Executor => {
                let executors = &sandbox.inner.executors;
                let component = compiled.load(&executors.engine)?;
                let pre = executors.linker.instantiate_pre(&component).and_then(ExecutorPluginPre::new);
                Ready::Executor(pre.map_err(|error| incompatible(kind, &error))?)
            }
        };
        Ok(Self { sandbox: sandbox.clone(), kind, ready })
    }

    /// Links it in the shard of this thread, so that what does not fit is told as such.
    pub fn check_fit(&self) -> Result<(), Error> {
        let shard = self.sandbox.shard()?;
        match &self.ready {
            Ready::Guard(ready) => ready.get(shard, guard_pre, self.kind).map(|_| ()),
            Ready::Impact(ready) => ready.get(shard, impact_pre, self.kind).map(|_| ()),
            Ready::Executor(_) => Ok(()),
        }
    }

    /// Calls a guard in a fresh instance, on this thread.
    pub fn guard<T>(
        &self,
        invoked: Invoked,
        call: impl FnOnce(&GuardGuest, StoreMut<'_>) -> wasmtime::Result<T>,
    ) -> Invocation<T> {
        let Ready::Guard(ready) = &self.ready else { return not_that_kind() };
        self.pooled(ready, guard_pre, invoked, |pre, metered| {
            let instance = pre.instantiate(&mut metered.store)?;
            metered.instantiated();
            call(instance.fusebox_plugin_guard(), metered.store.as_context_mut())
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
        ready: &PerShard<P>,
        link: fn(&Shard, &Component) -> wasmtime::Result<P>,
        invoked: Invoked,
        call: impl FnOnce(&P, &mut Metered) -> wasmtime::Result<T>,
    ) -> Invocation<T> {
        let linked = self.sandbox.shard().and_then(|shard| Ok((shard.1, ready.get(shard, link, self.kind)?)));
        let (shard, pre) = match linked {
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
        let Ready::Executor(pre) = &self.ready else { return not_that_kind() };
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

impl<T> PerShard<T> {
    fn new(sandbox: &Sandbox, compiled: Compiled) -> Self {
        Self { compiled, shards: (0..sandbox.shards()).map(|_| OnceLock::new()).collect() }
    }

    fn get(
        &self,
        (place, shard): (usize, &Shard),
        make: impl FnOnce(&Shard, &Component) -> wasmtime::Result<T>,
        kind: Kind,
    ) -> Result<&T, Error> {
        let missing = || Error::Engine { message: "there is no such shard".to_owned() };
        let ready = self.shards.get(place).ok_or_else(missing)?;
        if ready.get().is_none() {
            let component = self.compiled.load(&shard.engine)?;
            let made = make(shard, &component).map_err(|error| incompatible(kind, &error))?;
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

fn guard_pre(shard: &Shard, component: &Component) -> wasmtime::Result<GuardPluginPre<State>> {
    GuardPluginPre::new(shard.guards.instantiate_pre(component)?)
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
