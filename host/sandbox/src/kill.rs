//! Kill flags, which stop invocations under way.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;
use wasmtime::{Engine, EngineWeak};

/// A kill flag. Cheap to clone; all clones are one. Once killed, for good.
#[derive(Debug, Clone)]
pub struct Kill {
    flag: Arc<watch::Sender<bool>>,
    engines: Engines,
}

impl Kill {
    pub(crate) fn new(engines: Engines) -> Self {
        Self { flag: Arc::new(watch::Sender::new(false)), engines }
    }

    /// Stops every invocation that was given this flag: a guest at its next loop or call, a waiting host call at once.
    pub fn kill(&self) {
        self.flag.send_replace(true);
        self.engines.bump();
    }

    /// Whether it was killed.
    #[must_use]
    pub fn is_killed(&self) -> bool {
        *self.flag.borrow()
    }

    /// Waits until it is killed.
    pub async fn killed(&self) {
        let mut receiver = self.flag.subscribe();
        // The sender lives as long as `self`, so this ends by a kill only.
        let _ = receiver.wait_for(|killed| *killed).await;
    }
}

/// All engines of a sandbox, held weakly, so that bumping them does not keep them alive.
#[derive(Clone, Default)]
pub(crate) struct Engines(Arc<Mutex<Vec<EngineWeak>>>);

impl std::fmt::Debug for Engines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engines")
    }
}

impl Engines {
    pub fn add(&self, engine: &Engine) {
        self.0.lock().push(engine.weak());
    }

    /// Whether any engine is left.
    pub fn any(&self) -> bool {
        let engines = self.0.lock();
        engines.iter().any(|engine| engine.upgrade().is_some())
    }

    /// Lets all guests look at their kill flag and deadline. Says whether any engine is left.
    pub fn bump(&self) -> bool {
        let engines = self.0.lock();
        let mut any = false;
        for engine in engines.iter().filter_map(EngineWeak::upgrade) {
            engine.increment_epoch();
            any = true;
        }
        any
    }
}
