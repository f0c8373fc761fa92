//! The engines of a sandbox and the thread that makes guests look at their deadlines.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread::Thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use wasmtime::Engine;
use wasmtime::component::{HasSelf, Linker};

use crate::bindings::{executor_world, guard_world, impact_world};
use crate::config::{self, Allocation, POOL_SLOTS};
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
    pub slots: Slots,
}

/// The engine of executors.
pub struct Executors {
    pub engine: Engine,
    pub linker: Linker<State>,
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
        Ok(Self { engine, guards, impacts, slots: Slots::new(POOL_SLOTS as usize) })
    }
}

impl Executors {
    pub fn new(engines: &Engines, allocation: Allocation) -> Result<Self, Error> {
        let engine = config::waiting_engine(allocation).map_err(failed)?;
        engines.add(&engine);
        let mut linker = Linker::new(&engine);
        executor_world::ExecutorPlugin::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)
            .map_err(failed)?;
        crate::wasi_link::link(&mut linker).map_err(failed)?;
        Ok(Self { engine, linker })
    }
}

/// Places in a pool. A caller that finds none waits: a full pool would refuse.
#[derive(Debug)]
pub struct Slots {
    free: Mutex<usize>,
    freed: Condvar,
}

/// One place, given back when dropped.
#[derive(Debug)]
pub struct Slot<'a>(&'a Slots);

impl Slots {
    fn new(free: usize) -> Self {
        Self { free: Mutex::new(free), freed: Condvar::new() }
    }

    pub fn take(&self) -> Slot<'_> {
        let mut free = self.free.lock();
        self.freed.wait_while(&mut free, |free| *free == 0);
        *free -= 1;
        Slot(self)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.0.free.lock() += 1;
        self.0.freed.notify_one();
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
