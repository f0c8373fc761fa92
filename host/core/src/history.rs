//! History of a run.

use std::fmt;
use std::sync::Arc;

use parking_lot::{RwLock, RwLockReadGuard};
use serde::{Deserialize, Serialize};

use crate::StepId;
use crate::step_state::StepState;

/// A step that ended earlier in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// Position of the event that ended the step.
    pub seq: u64,
    /// Id of the step.
    pub step: StepId,
    /// Type of the step.
    pub step_type: String,
    /// State in which the step ended.
    pub state: StepState,
    /// Summary of the result, in one line.
    pub summary: String,
}

/// Steps that ended, oldest first, up to some moment. Cheap to clone and to extend at any length: an earlier clone
/// keeps its view, and all clones share their common entries.
#[derive(Clone, Default)]
pub struct History {
    shared: Arc<RwLock<Vec<HistoryEntry>>>,
    len: usize,
    /// Where the entries are read when they are asked for.
    source: Option<Arc<dyn PastSteps>>,
}

/// Steps that ended earlier, read when they are asked for.
pub trait PastSteps: Send + Sync {
    /// At most `max` steps that ended behind position `seq`, oldest first.
    fn after(&self, seq: u64, max: usize) -> Vec<HistoryEntry>;
}

impl History {
    /// This many steps, which are read when they are asked for.
    #[must_use]
    pub fn of(source: Arc<dyn PastSteps>, len: usize) -> Self {
        Self { source: Some(source), len, ..Self::default() }
    }

    /// Number of steps.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no step has ended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a step.
    pub fn push(&mut self, entry: HistoryEntry) {
        let mut entries = self.shared.write();
        if entries.len() == self.len {
            entries.push(entry);
        } else {
            // Another clone already continued from here.
            let mut own: Vec<HistoryEntry> = entries.iter().take(self.len).cloned().collect();
            drop(entries);
            own.push(entry);
            self.shared = Arc::new(RwLock::new(own));
        }
        self.len += 1;
    }

    /// One step, by its place.
    #[must_use]
    pub fn nth(&self, place: usize) -> Option<HistoryEntry> {
        if place < self.len { self.read().get(place).cloned() } else { None }
    }

    /// At most `max` steps that ended behind position `seq`, each turned into something else.
    pub fn after<T>(&self, seq: u64, max: usize, turn: impl FnMut(&HistoryEntry) -> T) -> Vec<T> {
        if let Some(source) = &self.source {
            return source.after(seq, max).iter().map(turn).collect();
        }
        let entries = self.read();
        let seen = entries.get(..self.len).unwrap_or_default();
        let start = seen.partition_point(|entry| entry.seq <= seq);
        seen.get(start..).unwrap_or_default().iter().take(max).map(turn).collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, Vec<HistoryEntry>> {
        // Entries are only ever added whole, so a panic elsewhere left nothing half done.
        self.shared.read()
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.after(0, self.len, HistoryEntry::clone)).finish()
    }
}

impl PartialEq for History {
    fn eq(&self, other: &Self) -> bool {
        let all = |history: &Self| history.after(0, history.len, HistoryEntry::clone);
        self.len == other.len && (Arc::ptr_eq(&self.shared, &other.shared) || all(self) == all(other))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(seq: u64) -> HistoryEntry {
        HistoryEntry {
            seq,
            step: "s".parse().unwrap(),
            step_type: "t".to_owned(),
            state: StepState::Completed,
            summary: format!("step {seq}"),
        }
    }

    fn seqs(history: &History) -> Vec<u64> {
        history.after(0, usize::MAX, |entry| entry.seq)
    }

    proptest! {
        /// Histories that were cloned from each other and went on, each in its own way, are like plain lists.
        #[test]
        fn it_is_like_a_list(steps in proptest::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 1..60)) {
            let mut real = vec![History::default()];
            let mut model = vec![Vec::<u64>::new()];
            for (seq, (which, is_clone)) in (1..).zip(steps) {
                let at = which.index(real.len());
                if is_clone {
                    real.push(real[at].clone());
                    model.push(model[at].clone());
                } else {
                    real[at].push(entry(seq));
                    model[at].push(seq);
                }
            }
            for (real, model) in real.iter().zip(&model) {
                prop_assert_eq!(&seqs(real), model);
                prop_assert_eq!(real.len(), model.len());
            }
        }
    }

    #[test]
    fn it_goes_on_from_a_position_and_stops_at_a_number() {
        let mut history = History::default();
        [3, 5, 9].into_iter().for_each(|seq| history.push(entry(seq)));
        let after = |seq, max| history.after(seq, max, |entry| entry.seq);
        assert_eq!(after(0, 2), [3, 5]);
        assert_eq!(after(3, 9), [5, 9]);
        assert_eq!(after(4, 9), [5, 9]);
        assert!(after(9, 9).is_empty() && after(0, 0).is_empty());
    }
}
