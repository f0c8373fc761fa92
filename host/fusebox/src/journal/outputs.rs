//! Outputs of the steps that completed.

use std::collections::HashMap;
use std::sync::Arc;

use fusebox_core::evaluation::StepOutputs;
use fusebox_core::{Digest, Json, RunId, RunState, StepId};
use fusebox_store::Store;
use parking_lot::{Mutex, RwLock};

/// Largest output of a step that can be read back, in bytes.
const MAX_OUTPUT_BYTES: usize = 16 * 1024 * 1024;

/// Outputs, read from the log on demand. The last one may not be there yet, so it is held in memory.
pub struct Outputs {
    store: Arc<dyn Store>,
    run: RunId,
    digests: RwLock<HashMap<String, Digest>>,
    last: Mutex<Option<(Digest, Json)>>,
}

impl Outputs {
    /// The outputs of a run so far.
    pub fn of(store: Arc<dyn Store>, state: &RunState) -> Self {
        let steps = state.setup().plan.steps.iter().zip(state.steps());
        let digests = steps.filter_map(|(step, progress)| Some((step.id.to_string(), progress.output?)));
        let run = state.setup().run.clone();
        Self { store, run, digests: RwLock::new(digests.collect()), last: Mutex::default() }
    }

    /// A step has completed.
    pub fn remember(&self, step: &StepId, digest: Digest, output: &Json) {
        *self.last.lock() = Some((digest, output.clone()));
        self.digests.write().insert(step.to_string(), digest);
    }
}

impl StepOutputs for Outputs {
    fn output(&self, step: &str) -> Option<Json> {
        let digest = *self.digests.read().get(step)?;
        let last = self.last.lock().clone();
        if let Some((_, output)) = last.filter(|(last, _)| *last == digest) {
            return Some(output);
        }
        let blob = self.store.blob(&self.run, &digest).ok()??;
        Json::parse("the output", blob.bytes(), MAX_OUTPUT_BYTES).ok()
    }
}
