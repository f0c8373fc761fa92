//! The sandbox: engines, linkers and the cache of compiled code.

use std::cell::Cell;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::Error;
use crate::cache::{Cache, Compiled};
use crate::config;
use crate::engines::{Executors, Shard, Ticker};
use crate::inspect::inspect;
use crate::kill::{Engines, Kill};
use crate::plugin::Plugin;

/// Where plugins run. Cheap to clone; all clones are one. It has one thread of its own, for deadlines.
#[derive(Clone)]
pub struct Sandbox {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    /// One per core, made when a thread first needs it.
    shards: Vec<OnceLock<Shard>>,
    making: Mutex<()>,
    pub(crate) executors: Executors,
    pub(crate) ticker: Ticker,
    engines: Engines,
    cache: Option<Cache>,
    compatibility: String,
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox").field("compatibility", &self.inner.compatibility).finish_non_exhaustive()
    }
}

impl Sandbox {
    /// A sandbox that keeps compiled code in the folder `cache`, or in memory only.
    ///
    /// # Errors
    /// When the engine cannot be set up, or the folder is not this user's alone.
    pub fn new(cache: Option<&Path>) -> Result<Self, Error> {
        let engines = Engines::default();
        let executors = Executors::new(&engines)?;
        let shards = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let inner = Inner {
            shards: (0..shards).map(|_| OnceLock::new()).collect(),
            making: Mutex::new(()),
            ticker: Ticker::start(engines.clone())?,
            compatibility: config::compatibility(&executors.engine),
            executors,
            engines,
            cache: cache.map(Cache::open).transpose()?,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Loads a plugin: checks the bytes from the cheapest check to the dearest, compiles them, makes a throw-away
    /// instance and asks it what it is.
    ///
    /// # Errors
    /// When the bytes are no plugin that this host can run; the error says what to change.
    pub fn load(&self, bytes: &[u8]) -> Result<Plugin, Error> {
        let inspected = inspect(bytes)?;
        let engine = &self.inner.executors.engine;
        let compiled = match &self.inner.cache {
            Some(cache) => cache.compiled(engine, &self.inner.compatibility, &inspected.component)?,
            None => Compiled::compile(engine, &inspected.component)?,
        };
        Plugin::new(self, bytes, inspected.kind, compiled)
    }

    /// A new kill flag for invocations in this sandbox.
    #[must_use]
    pub fn kill_flag(&self) -> Kill {
        Kill::new(self.inner.engines.clone())
    }

    /// Calls this every millisecond while an invocation is under way, and every 20 milliseconds otherwise, as long as the
    /// caller holds it. It runs on the thread that keeps deadlines, so it must be short.
    pub fn on_tick(&self, watcher: &Arc<dyn Fn() + Send + Sync>) {
        self.inner.ticker.call(watcher);
    }

    /// Engine version and settings: fuel is comparable only between equal ones.
    #[must_use]
    pub fn engine(&self) -> String {
        format!("wasmtime {} {}", config::WASMTIME_VERSION, self.inner.compatibility)
    }

    /// Number of shards.
    pub(crate) fn shards(&self) -> usize {
        self.inner.shards.len()
    }

    /// The shard of this thread, with its place.
    pub(crate) fn shard(&self) -> Result<(usize, &Shard), Error> {
        let place = thread_number() % self.inner.shards.len().max(1);
        let Some(shard) = self.inner.shards.get(place) else {
            return Err(Error::Engine { message: "there is no shard".to_owned() });
        };
        if let Some(shard) = shard.get() {
            return Ok((place, shard));
        }
        let _making = self.inner.making.lock().unwrap_or_else(PoisonError::into_inner);
        if shard.get().is_none() {
            // Only the holder of the lock sets it, so it cannot have been set meanwhile.
            let _ = shard.set(Shard::new(&self.inner.engines)?);
        }
        shard.get().map(|shard| (place, shard)).ok_or_else(|| Error::Engine { message: "no shard was made".to_owned() })
    }
}

/// Threads numbered in the order in which they first ask.
fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: Cell<Option<usize>> = const { Cell::new(None) };
    }
    MINE.with(|mine| {
        mine.get().unwrap_or_else(|| {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            mine.set(Some(number));
            number
        })
    })
}
