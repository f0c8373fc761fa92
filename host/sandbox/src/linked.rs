//! A plugin that is ready to be instantiated, and fresh instances of it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fusebox_core::Kind;
use wasmtime::component::{Component, ComponentExportIndex, Linker, TypedFunc};
use wasmtime::{AsContextMut as _, Engine};

use crate::bindings::executor_world::ExecutorPluginPre;
use crate::bindings::executor_world::exports::fusebox::plugin::executor::{self, Guest as ExecutorGuest};
use crate::bindings::guard_world::GuardPluginPre;
use crate::bindings::guard_world::exports::fusebox::plugin::guard::Guest as GuardGuest;
use crate::bindings::impact_world::ImpactPluginPre;
use crate::bindings::impact_world::exports::fusebox::plugin::impact::{self, Guest as ImpactGuest};
use crate::bindings::wit;
use crate::cache::Compiled;
use crate::call::{Metered, Slice};
use crate::config::{Allocation, MAX_POOLED_MEMORY_BYTES, SLOT_MEMORIES, SLOT_TABLES};
use crate::engines::{Shard, Slot};
use crate::runtime::{Runtime, ThreadPlace};
use crate::state::{InvocationContext, State};
use crate::{End, Error, Invocation, Limits};

/// The store of one invocation.
pub type StoreMut<'a> = wasmtime::StoreContextMut<'a, State>;

/// A compiled plugin with the engines that it may run in.
pub struct LinkedPlugin {
    pub runtime: Arc<Runtime>,
    pub kind: Kind,
    ready: Links,
}

/// The plugin, its imports linked, per engine.
enum Links {
    Guard(PerPlace<LinkedGuard>),
    Impact(PerPlace<LinkedImpact>),
    /// In the pool of each shard, where it fits, and behind these without a pool.
    Executor(PerPlace<Option<LinkedExecutor>>),
}

/// A guard, with the function that is called for every action found beforehand.
struct LinkedGuard {
    pre: GuardPluginPre<State>,
    check: ComponentExportIndex,
}

/// An impact model, likewise.
struct LinkedImpact {
    pre: ImpactPluginPre<State>,
    estimate: ComponentExportIndex,
}

/// An executor, likewise.
struct LinkedExecutor {
    pre: ExecutorPluginPre<State>,
    preview: ComponentExportIndex,
    execute: ComponentExportIndex,
}

/// Arguments and result of a guard's `check`.
type Check<'a> = TypedFunc<(&'a wit::Action, &'a [wit::Effect]), (wit::Verdict,)>;
/// Those of an impact model's `estimate`.
type EstimateOf<'a> = TypedFunc<(&'a impact::Alternative,), (impact::ImpactEstimate,)>;
/// Those of an executor's `preview` and `execute`.
type Preview<'a> = TypedFunc<(&'a wit::Action,), (Result<Vec<executor::Effect>, wit::Failure>,)>;
type Execute<'a> = TypedFunc<(&'a wit::Action,), (Result<executor::Outcome, wit::Failure>,)>;

/// The plugin, loaded and linked once in each place, when it is first called there.
struct PerPlace<T> {
    compiled: Compiled,
    places: Vec<OnceLock<T>>,
}

/// Where an executor is called.
struct ExecutorPlace<'a> {
    engine: &'a Engine,
    linked: &'a LinkedExecutor,
    /// Its place in the pool, held as long as the call takes.
    _slot: Option<Slot<'a>>,
}

/// Whether a call may wait for something that is not its own handler, and so needs timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MayWait {
    Never,
    Allowed,
}

/// Time after the guest's own deadline at which a waiting call is given up: the guest's end says more.
const GRACE: Duration = Duration::from_millis(20);

impl LinkedPlugin {
    /// Loads nothing yet: a plugin without calls costs next to nothing.
    pub fn new(runtime: &Arc<Runtime>, kind: Kind, compiled: Compiled) -> Self {
        let ready = match kind {
            Kind::Guard => Links::Guard(PerPlace::new(compiled, runtime.shards())),
            Kind::Impact => Links::Impact(PerPlace::new(compiled, runtime.shards())),
            Kind::Executor => Links::Executor(PerPlace::new(compiled, runtime.shards() + 1)),
        };
        Self { runtime: Arc::clone(runtime), kind, ready }
    }

    /// Links it in the engine of this thread, so that a mismatch is reported as such.
    pub fn check_fit(&self) -> Result<(), Error> {
        match &self.ready {
            Links::Guard(ready) => self.linked(ready, ready_guard).map(|_| ()),
            Links::Impact(ready) => self.linked(ready, ready_impact).map(|_| ()),
            Links::Executor(ready) => self.overflow(ready).map(|_| ()),
        }
    }

    /// Loads and links a guard or an impact model for the calls of a thread. Executors are linked when they are called: most
    /// processes call one of them at the most.
    pub fn link_for(&self, thread: ThreadPlace) -> Result<(), Error> {
        match &self.ready {
            Links::Guard(ready) => self.linked_for(thread, ready, ready_guard).map(|_| ()),
            Links::Impact(ready) => self.linked_for(thread, ready, ready_impact).map(|_| ()),
            Links::Executor(_) => Ok(()),
        }
    }

    fn linked<'a, T>(
        &'a self,
        ready: &'a PerPlace<T>,
        make: impl FnOnce(&Shard, &Component) -> wasmtime::Result<T>,
    ) -> Result<(&'a Shard, &'a T), Error> {
        self.linked_for(ThreadPlace::of_this_thread(), ready, make)
    }

    fn linked_for<'a, T>(
        &'a self,
        thread: ThreadPlace,
        ready: &'a PerPlace<T>,
        make: impl FnOnce(&Shard, &Component) -> wasmtime::Result<T>,
    ) -> Result<(&'a Shard, &'a T), Error> {
        let (place, shard) = self.runtime.shard_of(thread)?;
        Ok((shard, ready.get(place, &shard.engine, self.kind, |component| make(shard, component))?))
    }

    /// A place for a call of the executor: in the pool of this thread's shard if one is free and large enough, else
    /// without a pool.
    fn place_of_executor<'a>(
        &'a self,
        ready: &'a PerPlace<Option<LinkedExecutor>>,
        limits: &Limits,
    ) -> Result<ExecutorPlace<'a>, Error> {
        if self.runtime.executors == Allocation::Pooled && limits.memory_bytes <= MAX_POOLED_MEMORY_BYTES {
            let (place, shard) = self.runtime.shard()?;
            if let Some(slot) = shard.slots.take_for_executor() {
                // One that is too large for a pool is remembered as such.
                let linked = ready.get(place, &shard.engine, self.kind, |component| {
                    if !fits_a_slot(component) {
                        return Ok(None);
                    }
                    Ok(linked_executor(shard.executors()?, component).ok())
                })?;
                if let Some(linked) = linked {
                    return Ok(ExecutorPlace { engine: &shard.engine, linked, _slot: Some(slot) });
                }
            }
        }
        Ok(ExecutorPlace { engine: &self.runtime.overflow()?.engine, linked: self.overflow(ready)?, _slot: None })
    }

    /// The executor without a pool.
    fn overflow<'a>(&'a self, ready: &'a PerPlace<Option<LinkedExecutor>>) -> Result<&'a LinkedExecutor, Error> {
        let overflow = self.runtime.overflow()?;
        let linked = ready.get(self.runtime.shards(), &overflow.engine, self.kind, |component| {
            linked_executor(overflow.linker()?, component).map(Some)
        })?;
        linked.as_ref().ok_or_else(|| Error::Engine { message: "an executor was not linked".to_owned() })
    }

    /// Calls a guard in a fresh instance, on this thread.
    pub fn guard<T>(
        &self,
        invoked: InvocationContext,
        call: impl FnOnce(&GuardGuest, StoreMut<'_>) -> wasmtime::Result<T>,
    ) -> Invocation<T> {
        let Links::Guard(ready) = &self.ready else { return not_that_kind() };
        self.pooled(ready, ready_guard, invoked, |guard, metered| {
            let instance = guard.pre.instantiate(&mut metered.store)?;
            metered.instantiated();
            call(instance.fusebox_plugin_guard(), metered.store.as_context_mut())
        })
    }

    /// Lets a guard judge in a fresh instance, on this thread. Only this one of its functions is looked up: it is
    /// called for every action.
    pub fn check(
        &self,
        invoked: InvocationContext,
        action: &wit::Action,
        effects: &[wit::Effect],
    ) -> Invocation<wit::Verdict> {
        let Links::Guard(ready) = &self.ready else { return not_that_kind() };
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
        invoked: InvocationContext,
        call: impl FnOnce(&ImpactGuest, StoreMut<'_>) -> wasmtime::Result<T>,
    ) -> Invocation<T> {
        let Links::Impact(ready) = &self.ready else { return not_that_kind() };
        self.pooled(ready, ready_impact, invoked, |model, metered| {
            let instance = model.pre.instantiate(&mut metered.store)?;
            metered.instantiated();
            call(instance.fusebox_plugin_impact(), metered.store.as_context_mut())
        })
    }

    /// Lets an impact model estimate in a fresh instance, on this thread.
    pub fn estimate(
        &self,
        invoked: InvocationContext,
        alternative: &impact::Alternative,
    ) -> Invocation<impact::ImpactEstimate> {
        let Links::Impact(ready) = &self.ready else { return not_that_kind() };
        self.pooled(ready, ready_impact, invoked, |model, metered| {
            let instance = model.pre.instance_pre().instantiate(&mut metered.store)?;
            let estimate: EstimateOf<'_> = instance.get_typed_func(&mut metered.store, model.estimate)?;
            metered.instantiated();
            let (estimated,) = estimate.call(&mut metered.store, (alternative,))?;
            Ok(estimated)
        })
    }

    /// Takes a place in the pool of this thread's shard and calls there.
    fn pooled<P, T>(
        &self,
        ready: &PerPlace<P>,
        link: fn(&Shard, &Component) -> wasmtime::Result<P>,
        invoked: InvocationContext,
        call: impl FnOnce(&P, &mut Metered) -> wasmtime::Result<T>,
    ) -> Invocation<T> {
        let (shard, pre) = match self.linked(ready, link) {
            Ok(linked) => linked,
            Err(error) => return failed(&error),
        };
        let _slot = shard.slots.take();
        let _active = self.runtime.ticker.watch();
        let mut metered = Metered::begin(&shard.engine, invoked, Slice::Continue);
        let result = call(pre, &mut metered);
        metered.end(result)
    }

    /// Calls an executor in a fresh instance.
    pub async fn executor<T>(
        &self,
        invoked: InvocationContext,
        may_wait: MayWait,
        call: impl AsyncFnOnce(&ExecutorGuest, StoreMut<'_>) -> wasmtime::Result<T>,
    ) -> Invocation<T> {
        self.in_executor(invoked, may_wait, async |executor, metered| {
            let instance = executor.pre.instantiate_async(&mut metered.store).await?;
            metered.instantiated();
            call(instance.fusebox_plugin_executor(), metered.store.as_context_mut()).await
        })
        .await
    }

    /// Lets an executor preview an action in a fresh instance. `read` reads its answer.
    pub async fn preview<T>(
        &self,
        invoked: InvocationContext,
        action: &wit::Action,
        read: impl FnOnce(Result<Vec<executor::Effect>, wit::Failure>, &State) -> T,
    ) -> Invocation<T> {
        self.in_executor(invoked, MayWait::Never, async |executor, metered| {
            let instance = executor.pre.instance_pre().instantiate_async(&mut metered.store).await?;
            let preview: Preview<'_> = instance.get_typed_func(&mut metered.store, executor.preview)?;
            metered.instantiated();
            let (previewed,) = preview.call_async(&mut metered.store, (action,)).await?;
            Ok(read(previewed, metered.store.data()))
        })
        .await
    }

    /// Lets an executor carry an action out in a fresh instance. `read` reads its answer.
    pub async fn execute<T>(
        &self,
        invoked: InvocationContext,
        action: &wit::Action,
        read: impl FnOnce(Result<executor::Outcome, wit::Failure>, &State) -> T,
    ) -> Invocation<T> {
        self.in_executor(invoked, MayWait::Allowed, async |executor, metered| {
            let instance = executor.pre.instance_pre().instantiate_async(&mut metered.store).await?;
            let execute: Execute<'_> = instance.get_typed_func(&mut metered.store, executor.execute)?;
            metered.instantiated();
            let (executed,) = execute.call_async(&mut metered.store, (action,)).await?;
            Ok(read(executed, metered.store.data()))
        })
        .await
    }

    /// Takes a place for an executor and works there.
    async fn in_executor<T>(
        &self,
        invoked: InvocationContext,
        may_wait: MayWait,
        work: impl AsyncFnOnce(&LinkedExecutor, &mut Metered) -> wasmtime::Result<T>,
    ) -> Invocation<T> {
        let Links::Executor(ready) = &self.ready else { return not_that_kind() };
        let ExecutorPlace { engine, linked, _slot } = match self.place_of_executor(ready, &invoked.limits) {
            Ok(place) => place,
            Err(error) => return failed(&error),
        };
        let _active = self.runtime.ticker.watch();
        let (kill, wall_time) = (invoked.kill.clone(), invoked.limits.wall_time);
        let mut metered = Metered::begin(engine, invoked, Slice::Yield);
        let work = work(linked, &mut metered);
        let ended = match may_wait {
            MayWait::Never => Ok(work.await),
            // A guest that runs is ended by its epoch; one that waits in the host only by no longer being waited for.
            MayWait::Allowed => tokio::select! {
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

impl<T> PerPlace<T> {
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
            // If another thread was faster, its instance is as good as this one.
            let _ = ready.set(made);
        }
        ready.get().ok_or_else(missing)
    }
}

/// Whether all places of a pool can be taken by components like this one at once.
fn fits_a_slot(component: &Component) -> bool {
    let needed = component.resources_required();
    needed.is_some_and(|needed| needed.num_memories <= SLOT_MEMORIES && needed.num_tables <= SLOT_TABLES)
}

fn incompatible(kind: Kind, error: &wasmtime::Error) -> Error {
    Error::Incompatible {
        kind: kind.name(),
        import: format!("what this host does not have ({error:#})"),
        served: "fusebox:plugin@0.1.0".to_owned(),
        needed: "build it with the SDK of this host's version, or update the host".to_owned(),
    }
}

fn ready_guard(shard: &Shard, component: &Component) -> wasmtime::Result<LinkedGuard> {
    let pre = GuardPluginPre::new(shard.guards.instantiate_pre(component)?)?;
    Ok(LinkedGuard { pre, check: exported(component, "guard", "check")? })
}

fn ready_impact(shard: &Shard, component: &Component) -> wasmtime::Result<LinkedImpact> {
    let pre = ImpactPluginPre::new(shard.impacts.instantiate_pre(component)?)?;
    Ok(LinkedImpact { pre, estimate: exported(component, "impact", "estimate")? })
}

fn linked_executor(linker: &Linker<State>, component: &Component) -> wasmtime::Result<LinkedExecutor> {
    let pre = ExecutorPluginPre::new(linker.instantiate_pre(component)?)?;
    let exported = |function| exported(component, "executor", function);
    Ok(LinkedExecutor { pre, preview: exported("preview")?, execute: exported("execute")? })
}

/// A function of one of the contract's interfaces.
fn exported(component: &Component, interface: &str, function: &str) -> wasmtime::Result<ComponentExportIndex> {
    let name = format!("fusebox:plugin/{interface}@0.1.0");
    let interface = component.get_export_index(None, &name);
    let found = interface.and_then(|interface| component.get_export_index(Some(&interface), function));
    found.ok_or_else(|| wasmtime::format_err!("no exported function `{function}`"))
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
