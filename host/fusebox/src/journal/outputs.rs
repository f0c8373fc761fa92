//! Outputs of the steps that completed.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use fusebox_core::evaluation::StepOutputs;
use fusebox_core::{Digest, Json, RunId, RunState, StepId};
use fusebox_store::Store;
use parking_lot::{Mutex, RwLock};

use super::MAX_IN_FLIGHT;

/// Largest output of a step that can be read back, in bytes.
const MAX_OUTPUT_BYTES: usize = 16 * 1024 * 1024;

/// Most bytes of outputs that are held in memory because the log may not have them yet, unless the last one alone is larger.
const MAX_HELD_BYTES: usize = 8 * 1024 * 1024;
/// Most outputs that are held so. More steps than this are never on their way to the log.
const MAX_HELD: usize = 2 * MAX_IN_FLIGHT;

/// Outputs, read from the log on demand. The last ones may not be there yet, so they are held in memory.
pub struct Outputs {
    store: Arc<dyn Store>,
    run: RunId,
    digests: RwLock<HashMap<String, Digest>>,
    held: Mutex<VecDeque<(Digest, Json)>>,
}

/// Whether all outputs that the log may not have yet are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// They are.
    All,
    /// They are too large: all events must be durable before the next step.
    TheLast,
}

impl Outputs {
    /// The outputs of a run so far.
    pub fn of(store: Arc<dyn Store>, state: &RunState) -> Self {
        let steps = state.setup().plan.steps.iter().zip(state.steps());
        let digests = steps.filter_map(|(step, progress)| Some((step.id.to_string(), progress.output?)));
        let run = state.setup().run.clone();
        Self { store, run, digests: RwLock::new(digests.collect()), held: Mutex::default() }
    }

    /// A step has completed.
    pub fn remember(&self, step: &StepId, digest: Digest, output: &Json) -> Held {
        let mut held = self.held.lock();
        held.push_back((digest, output.clone()));
        if held.len() > MAX_HELD {
            held.pop_front();
        }
        self.digests.write().insert(step.to_string(), digest);
        if held.len() > 1 && held.iter().map(|(_, output)| output.as_str().len()).sum::<usize>() > MAX_HELD_BYTES {
            let older = held.len() - 1;
            held.drain(..older);
            return Held::TheLast;
        }
        Held::All
    }
}

impl StepOutputs for Outputs {
    fn output(&self, step: &str) -> Option<Json> {
        let digest = *self.digests.read().get(step)?;
        let held = self.held.lock().iter().rev().find(|(held, _)| *held == digest).map(|(_, output)| output.clone());
        if held.is_some() {
            return held;
        }
        let blob = self.store.blob(&self.run, &digest).ok()??;
        Json::parse("the output", blob.bytes(), MAX_OUTPUT_BYTES).ok()
    }
}
