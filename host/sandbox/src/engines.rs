//! The engines of a sandbox and the thread that makes guests look at their deadlines.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::Thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use wasmtime::Engine;
use wasmtime::component::{HasSelf, Linker};

use crate::bindings::{executor_world, guard_world, impact_world};
use crate::config::{self, Allocation, EXECUTOR_SLOTS, POOL_SLOTS};
use crate::error::Error;
use crate::kill::Engines;
use crate::state::State;

/// Interval at which guests look at their kill flag and deadline.
pub const TICK: Duration = Duration::from_millis(1);
/// Interval at which the ticker checks whether it is still needed.
const IDLE: Duration = Duration::from_millis(500);
/// Interval at which watchers are called while no invocation is under way.
const WATCH: Duration = Duration::from_millis(20);

/// An engine with its pool. Each thread keeps to one, so that threads do not wait for each other.
pub struct Shard {
    pub engine: Engine,
    pub guards: Linker<State>,
    pub impacts: Linker<State>,
    executors: OnceLock<Linker<State>>,
    pub slots: Slots,
}

/// The engine of executors that find no place in a pool.
pub struct Overflow {
    pub engine: Engine,
    linker: OnceLock<Linker<State>>,
}

fn failed(error: wasmtime::Error) -> Error {
    Error::Engine { message: format!("{error:#}") }
}

impl Shard {
    pub fn new(engines: &Engines) -> Result<Self, Error> {
        let engine = config::engine(Allocation::Pooled).map_err(failed)?;
        engines.add(&engine);
        let mut guards = Linker::new(&engine);
        guard_world::GuardPlugin::add_to_linker::<_, HasSelf<State>>(&mut guards, |state| state).map_err(failed)?;
        let mut impacts = Linker::new(&engine);
        impact_world::ImpactPlugin::add_to_linker::<_, HasSelf<State>>(&mut impacts, |state| state).map_err(failed)?;
        Ok(Self { engine, guards, impacts, executors: OnceLock::new(), slots: Slots::default() })
    }

    /// The linker of executors in this engine.
    pub fn executors(&self) -> wasmtime::Result<&Linker<State>> {
        linker_of_executors(&self.executors, &self.engine)
    }
}

impl Overflow {
    pub fn new(engines: &Engines) -> Result<Self, Error> {
        let engine = config::engine(Allocation::OnDemand).map_err(failed)?;
        engines.add(&engine);
        Ok(Self { engine, linker: OnceLock::new() })
    }

    /// The linker of executors in this engine.
    pub fn linker(&self) -> wasmtime::Result<&Linker<State>> {
        linker_of_executors(&self.linker, &self.engine)
    }
}

/// The linker of executors, which is made when it is first needed: it has all of the virtual WASI.
fn linker_of_executors<'a>(place: &'a OnceLock<Linker<State>>, engine: &Engine) -> wasmtime::Result<&'a Linker<State>> {
    if let Some(linker) = place.get() {
        return Ok(linker);
    }
    let mut linker = Linker::new(engine);
    executor_world::ExecutorPlugin::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    crate::wasi_link::link(&mut linker)?;
    Ok(place.get_or_init(|| linker))
}

/// Places in a pool. A judge that finds none waits: a full pool would refuse.
#[derive(Debug)]
pub struct Slots {
    free: Mutex<Free>,
    freed: Condvar,
}

/// Free places.
#[derive(Debug)]
struct Free {
    /// For all.
    all: u32,
    /// Of these, for executors.
    executors: u32,
}

/// One place, given back when dropped.
#[derive(Debug)]
pub struct Slot<'a> {
    slots: &'a Slots,
    is_of_executor: bool,
}

impl Default for Slots {
    fn default() -> Self {
        let free = Free { all: POOL_SLOTS, executors: EXECUTOR_SLOTS };
        Self { free: Mutex::new(free), freed: Condvar::new() }
    }
}

impl Slots {
    /// A place for a judge, as soon as there is one.
    pub fn take(&self) -> Slot<'_> {
        let mut free = self.free.lock();
        self.freed.wait_while(&mut free, |free| free.all == 0);
        free.all -= 1;
        Slot { slots: self, is_of_executor: false }
    }

    /// A place for an executor, if there is one now.
    pub fn take_for_executor(&self) -> Option<Slot<'_>> {
        let mut free = self.free.lock();
        if free.all == 0 || free.executors == 0 {
            return None;
        }
        free.all -= 1;
        free.executors -= 1;
        Some(Slot { slots: self, is_of_executor: true })
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut free = self.slots.free.lock();
        free.all += 1;
        free.executors += u32::from(self.is_of_executor);
        drop(free);
        self.slots.freed.notify_one();
    }
}

/// Bumps all engines every millisecond while an invocation is under way, from an ordinary thread: no guest and no
/// runtime can hold it up. It ends with the last engine.
#[derive(Debug, Clone)]
pub struct Ticker {
    active: Arc<AtomicUsize>,
    thread: Thread,
    watchers: Watchers,
}

/// Called with every tick, as long as its owner holds it.
pub type Watcher = Arc<dyn Fn() + Send + Sync>;

/// All that are called.
#[derive(Clone, Default)]
struct Watchers(Arc<Mutex<Vec<WeakWatcher>>>);

type WeakWatcher = Weak<dyn Fn() + Send + Sync>;

impl std::fmt::Debug for Watchers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watchers")
    }
}

impl Watchers {
    /// Calls all of them; says whether there is any.
    fn call(&self) -> bool {
        let mut watchers = self.0.lock();
        watchers.retain(|watcher| watcher.strong_count() > 0);
        // Not while the lock is held: a watcher may add another one.
        let called: Vec<Watcher> = watchers.iter().filter_map(Weak::upgrade).collect();
        drop(watchers);
        called.iter().for_each(|watcher| watcher());
        !called.is_empty()
    }
}

/// An invocation that is under way.
#[derive(Debug)]
pub struct Active<'a>(&'a AtomicUsize);

impl Ticker {
    pub fn start(engines: Engines) -> Result<Self, Error> {
        let active = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&active);
        let watchers = Watchers::default();
        let watched = watchers.clone();
        let tick = move || {
            let mut has_users = true;
            while has_users {
                let is_watched = watched.call();
                if count.load(Ordering::Acquire) == 0 {
                    std::thread::park_timeout(if is_watched { WATCH } else { IDLE });
                    has_users = engines.any();
                } else {
                    std::thread::sleep(TICK);
                    has_users = engines.bump();
                }
            }
        };
        let handle = std::thread::Builder::new().name("fusebox-ticker".to_owned()).spawn(tick);
        let handle = handle.map_err(|error| Error::Engine { message: format!("no thread for deadlines: {error}") })?;
        Ok(Self { active, thread: handle.thread().clone(), watchers })
    }

    /// Calls this with every tick.
    pub fn call(&self, watcher: &Watcher) {
        self.watchers.0.lock().push(Arc::downgrade(watcher));
        self.thread.unpark();
    }

    pub fn watch(&self) -> Active<'_> {
        if self.active.fetch_add(1, Ordering::AcqRel) == 0 {
            self.thread.unpark();
        }
        Active(&self.active)
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
