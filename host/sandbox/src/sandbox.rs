//! The sandbox: engines, linkers and the cache of compiled code.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use fusebox_core::{Digest, Kind};
use parking_lot::Mutex;

use crate::cache::{Cache, Compiled, Known};
use crate::compile::{self, Compile, CompileHere, OnBundled};
use crate::config::{self, Allocation};
use crate::engines::{Shard, Ticker};
use crate::error::Error;
use crate::inspect;
use crate::kill::{Engines, Kill};
use crate::pack::{self, Packed};
use crate::plugin::{ComponentId, Plugin};
use crate::runtime::{Runtime, ThreadPlace};

/// Most bytes of a cache: some twenty Python guests.
const MAX_CACHE_BYTES: u64 = 1024 * 1024 * 1024;

/// Environment in which plugins run. Cheap to clone; all clones are one. It has one thread of its own, for deadlines.
#[derive(Clone)]
pub struct Sandbox {
    pub(crate) inner: Arc<Runtime>,
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox").field("compatibility", &self.inner.compatibility).finish_non_exhaustive()
    }
}

impl Sandbox {
    /// A sandbox that compiles in this process and keeps compiled code in the folder `cache`, or in memory only.
    ///
    /// # Errors
    /// As [`SandboxSetup::build`].
    pub fn new(cache: Option<&Path>) -> Result<Self, Error> {
        SandboxSetup { cache: cache.map(Path::to_owned), ..SandboxSetup::default() }.build()
    }

    fn set_up(setup: SandboxSetup) -> Result<Self, Error> {
        let engines = Engines::default();
        // All engines compile alike; this one is most likely to be called first.
        let first = Shard::new(&engines)?;
        let compatibility = config::compatibility(&first.engine);
        let shards = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let shards: Vec<_> = (0..shards).map(|_| OnceLock::new()).collect();
        if let Some(here) = shards.get(setup.thread.among(shards.len())) {
            let _ = here.set(first);
        }
        let cache = match setup.cache {
            Some(folder) => Some(Cache::open(&folder, &compatibility, setup.cache_bytes)?),
            None => None,
        };
        let inner = Runtime {
            shards,
            making: Mutex::new(()),
            ticker: Ticker::start(engines.clone())?,
            executors: setup.executors,
            overflow: OnceLock::new(),
            engines,
            cache,
            compiler: setup.compiler,
            on_bundled: setup.on_bundled,
            portable: if setup.portable { Some(portable()?) } else { None },
            compatibility,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Loads a plugin: checks the bytes, has them compiled by [`SandboxSetup::compiler`], and calls `describe` in a
    /// throw-away instance. A component in the cache has passed all this before.
    ///
    /// # Errors
    /// When the bytes are not a plugin that this host can run; the error says what to change.
    pub fn load(&self, bytes: &[u8]) -> Result<Plugin, Error> {
        self.load_with(bytes, Digest::of(bytes), None, |digest| {
            compile::accept(&self.inner.compiler.compile(bytes)?, digest, &self.inner.compatibility)
        })
    }

    /// As [`load`](Self::load), for a bundled plugin, whose SHA-256 is known: it is always compiled in this process. Its
    /// cached code is not read until its first call.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_bundled(&self, bytes: &'static [u8], digest: Digest) -> Result<Plugin, Error> {
        self.load_with(bytes, digest, Some(bytes), |_| {
            if let Some(OnBundled(observer)) = &self.inner.on_bundled {
                observer();
            }
            match &self.inner.portable {
                Some(portable) => compile::checked(portable, bytes),
                None => compile::checked(&self.inner.overflow()?.engine, bytes),
            }
        })
    }

    /// The bytes that, behind a program, spare it from compiling these bundled plugins. They were loaded before by a sandbox
    /// with [`SandboxSetup::portable`] and a cache.
    ///
    /// # Errors
    /// When one of them is not in the cache.
    pub fn pack(&self, components: impl IntoIterator<Item = Digest>) -> Result<Vec<u8>, Error> {
        let missing = || Error::Engine { message: "a plugin to be packed is not in the cache".to_owned() };
        let packed = |component| {
            let (code, known) = self.inner.cache.as_ref()?.read(component)?;
            Some(Packed { component, code, known })
        };
        let packed: Option<Vec<Packed>> = components.into_iter().map(packed).collect();
        pack::pack(packed.ok_or_else(missing)?).map_err(|error| Error::Engine { message: error.to_string() })
    }

    fn load_with(
        &self,
        bytes: &[u8],
        digest: Digest,
        always_there: Option<&'static [u8]>,
        compile: impl FnOnce(Digest) -> Result<(Kind, Vec<u8>), Error>,
    ) -> Result<Plugin, Error> {
        // Checks that cost next to nothing, whatever the bytes are.
        inspect::look(bytes)?;
        let known = || {
            let (compiled, known) = self.inner.cache.as_ref()?.find(digest, always_there)?;
            Plugin::known(&self.inner, ComponentId { digest, size: bytes.len() }, compiled, known).ok()
        };
        if let Some(plugin) = known() {
            return Ok(plugin);
        }
        if always_there.is_some()
            && let Some(plugin) = self.packed(digest, bytes.len())
        {
            return Ok(known().unwrap_or(plugin));
        }
        let (kind, code) = compile(digest)?;
        let compiled = Compiled::new(code);
        let (plugin, description) =
            Plugin::asked(&self.inner, ComponentId { digest, size: bytes.len() }, compiled.clone(), kind)?;
        if let (Some(cache), Some(code)) = (&self.inner.cache, compiled.code()) {
            // A cache that cannot be written costs time, not correctness.
            let _ = cache.keep(digest, code, Known { kind, description, settings: Vec::new() });
        }
        // A file that is mapped when needed takes less memory than code that is held.
        Ok(known().unwrap_or(plugin))
    }

    /// A bundled plugin that this program brings compiled, put into the cache as if it had been compiled here.
    fn packed(&self, component: Digest, size: usize) -> Option<Plugin> {
        if self.inner.portable.is_some() {
            return None;
        }
        let (code, known) = pack::find(&pack::own_program().ok()?, component)?;
        let compiled = Compiled::new(code);
        // Code for another kind of processor does not load.
        compiled.load(&self.inner.overflow().ok()?.engine).ok()?;
        let id = ComponentId { digest: component, size };
        let plugin = Plugin::known(&self.inner, id, compiled.clone(), known.clone()).ok()?;
        if let (Some(cache), Some(code)) = (&self.inner.cache, compiled.code()) {
            // A cache that cannot be written costs time, not correctness.
            let _ = cache.keep(component, code, known);
        }
        Some(plugin)
    }

    /// A new kill flag for invocations in this sandbox.
    #[must_use]
    pub fn kill_flag(&self) -> Kill {
        self.inner.kill_flag()
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
}

fn portable() -> Result<wasmtime::Engine, Error> {
    config::portable_engine().map_err(|error| Error::Engine { message: format!("{error:#}") })
}

/// Options of a sandbox.
#[derive(Debug)]
pub struct SandboxSetup {
    /// Folder of compiled code. In memory only when there is none.
    pub cache: Option<PathBuf>,
    /// Most bytes of that folder; the code unused for the longest time is removed first.
    pub cache_bytes: u64,
    /// Compiler of components that are not bundled.
    pub compiler: Arc<dyn Compile>,
    /// Source of the memory of executors.
    pub executors: Allocation,
    /// Called before each bundled plugin that is compiled, which takes part of a second.
    pub on_bundled: Option<OnBundled>,
    /// Whether bundled plugins are compiled for all processors of this kind, to be packed.
    pub portable: bool,
    /// The thread that is likely to call first: its engine is made with the sandbox.
    pub thread: ThreadPlace,
}

impl Default for SandboxSetup {
    /// Compiles here, keeps nothing; where a folder is given, at most 1 GiB.
    fn default() -> Self {
        Self {
            cache: None,
            cache_bytes: MAX_CACHE_BYTES,
            compiler: Arc::new(CompileHere),
            executors: Allocation::default(),
            on_bundled: None,
            portable: false,
            thread: ThreadPlace::of_this_thread(),
        }
    }
}

impl SandboxSetup {
    /// Creates the sandbox.
    ///
    /// # Errors
    /// When the engine cannot be set up, or the folder is not this user's alone.
    pub fn build(self) -> Result<Sandbox, Error> {
        Sandbox::set_up(self)
    }
}
