//! What guards may ask about the past of a session, read from the log when they do.

use std::collections::HashMap;
use std::sync::Arc;

use fusebox_core::evaluation::StepOutputs;
use fusebox_core::event::{RunEvent, StepObserved, StepSkipped};
use fusebox_core::history::{HistoryEntry, PastSteps};
use fusebox_core::step_state::StepState;
use fusebox_core::{Json, RunId, StepId};
use fusebox_store::Store;

/// Events that are read at once.
const PAGE: u32 = 200;
/// Largest output that can be read back, in bytes.
const MAX_OUTPUT_BYTES: usize = 16 * 1024 * 1024;

/// The past of a session up to an event.
pub struct Past {
    pub log: Arc<dyn Store>,
    pub run: RunId,
    /// Place of the last event that counts.
    pub until: u64,
}

impl Past {
    /// Calls `take` with each event from a place on, until it has enough. What cannot be read is left out.
    fn each(&self, after: u64, mut take: impl FnMut(u64, RunEvent) -> Enough) {
        let mut after = after;
        loop {
            let Ok(page) = self.log.events(&self.run, after, PAGE) else { return };
            for sealed in &page {
                if sealed.seq > self.until {
                    return;
                }
                if let Ok(event) = sealed.run_event()
                    && take(sealed.seq, event) == Enough::Yes
                {
                    return;
                }
            }
            match page.last() {
                Some(last) if page.len() == PAGE as usize => after = last.seq,
                _ => return,
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Enough {
    Yes,
    No,
}

impl PastSteps for Past {
    fn after(&self, seq: u64, max: usize) -> Vec<HistoryEntry> {
        let (mut found, mut types) = (Vec::new(), HashMap::<StepId, String>::new());
        if max == 0 {
            return found;
        }
        // A denial follows from its proposal, at most two events before.
        self.each(seq.saturating_sub(2), |at, event| {
            let entry = match event {
                RunEvent::StepProposed(proposed) => {
                    types.insert(proposed.judged.step, proposed.judged.step_type);
                    None
                }
                RunEvent::StepSkipped(StepSkipped { step, message, .. }) => {
                    let step_type = types.remove(&step).unwrap_or_default();
                    Some(HistoryEntry { seq: at, step, step_type, state: StepState::Skipped, summary: message })
                }
                RunEvent::StepObserved(StepObserved { step, step_type, outcome, summary, .. }) => {
                    types.remove(&step);
                    Some(HistoryEntry { seq: at, step, step_type, state: outcome.state(), summary })
                }
                _ => None,
            };
            found.extend(entry.filter(|entry| entry.seq > seq));
            if found.len() >= max { Enough::Yes } else { Enough::No }
        });
        found
    }
}

impl StepOutputs for Past {
    fn output(&self, step: &str) -> Option<Json> {
        let mut output = None;
        self.each(0, |_, event| match event {
            RunEvent::StepObserved(observed) if observed.step.as_str() == step => {
                output = observed.output;
                Enough::Yes
            }
            _ => Enough::No,
        });
        let blob = self.log.blob(&self.run, &output?).ok()??;
        Json::parse("the output", blob.bytes(), MAX_OUTPUT_BYTES).ok()
    }
}
