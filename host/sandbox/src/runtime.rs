//! Engines and pools shared by all plugins of a sandbox.

use parking_lot::Mutex;

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use crate::cache::Cache;
use crate::compile::{Compile, OnBundled};
use crate::config::Allocation;
use crate::engines::{Overflow, Shard, Ticker};
use crate::error::Error;
use crate::kill::{Engines, Kill};

/// Engines, deadlines and the cache of one sandbox, shared by its plugins.
pub struct Runtime {
    /// One per core, made when a thread first needs it.
    pub shards: Vec<OnceLock<Shard>>,
    pub making: Mutex<()>,
    /// Source of the memory of executors.
    pub executors: Allocation,
    /// Made when an executor first finds no place in a pool.
    pub overflow: OnceLock<Overflow>,
    pub ticker: Ticker,
    pub engines: Engines,
    pub cache: Option<Cache>,
    pub compiler: Arc<dyn Compile>,
    pub on_bundled: Option<OnBundled>,
    /// Compiles bundled plugins for all processors of this kind, in a sandbox that packs them.
    pub portable: Option<wasmtime::Engine>,
    pub compatibility: String,
}

impl Runtime {
    /// A new kill flag for invocations.
    pub fn kill_flag(&self) -> Kill {
        Kill::new(self.engines.clone())
    }

    /// Number of shards of the pools.
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// The shard of this thread, with its place.
    pub fn shard(&self) -> Result<(usize, &Shard), Error> {
        self.shard_of(ThreadPlace::of_this_thread())
    }

    /// The shard of a thread, with its place.
    pub fn shard_of(&self, thread: ThreadPlace) -> Result<(usize, &Shard), Error> {
        let place = thread.among(self.shards.len());
        let Some(shard) = self.shards.get(place) else {
            return Err(Error::Engine { message: "there is no shard".to_owned() });
        };
        if let Some(shard) = shard.get() {
            return Ok((place, shard));
        }
        let _making = self.making.lock();
        if shard.get().is_none() {
            // Only the holder of the lock sets it, so it cannot have been set meanwhile.
            let _ = shard.set(Shard::new(&self.engines)?);
        }
        shard.get().map(|shard| (place, shard)).ok_or_else(|| Error::Engine { message: "no shard was made".to_owned() })
    }

    /// The engine without a pool.
    pub fn overflow(&self) -> Result<&Overflow, Error> {
        if let Some(overflow) = self.overflow.get() {
            return Ok(overflow);
        }
        let _making = self.making.lock();
        if self.overflow.get().is_none() {
            let _ = self.overflow.set(Overflow::new(&self.engines)?);
        }
        self.overflow.get().ok_or_else(|| Error::Engine { message: "no engine was made".to_owned() })
    }
}

/// A thread, as far as it matters to a sandbox: each calls plugins in the engine of its place.
#[derive(Debug, Clone, Copy)]
pub struct ThreadPlace(usize);

impl ThreadPlace {
    /// The place among this many shards.
    pub(crate) fn among(self, shards: usize) -> usize {
        self.0 % shards.max(1)
    }

    /// That of the thread that calls.
    #[must_use]
    pub fn of_this_thread() -> Self {
        Self(thread_number())
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
