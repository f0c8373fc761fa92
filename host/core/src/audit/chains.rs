//! Chains of events: each follows from the one before it in its run.

use std::collections::HashMap;

use crate::Digest;

/// Ends of the chains of several runs, followed while their events are read in log order.
#[derive(Debug, Clone, Default)]
pub struct Chains {
    heads: HashMap<String, (u64, Digest)>,
}

impl Chains {
    /// Place and hash of the last event read of a run; zeros when none was read.
    #[must_use]
    pub fn head(&self, run: &str) -> (u64, Digest) {
        self.heads.get(run).copied().unwrap_or((0, Digest::ZERO))
    }

    /// Records the next event of a run, with its place and hash.
    pub fn advance(&mut self, run: &str, seq: u64, hash: Digest) {
        match self.heads.get_mut(run) {
            Some(head) => *head = (seq, hash),
            None => {
                self.heads.insert(run.to_owned(), (seq, hash));
            }
        }
    }

    /// All runs with their last places and hashes, in no order.
    pub fn heads(&self) -> impl Iterator<Item = (&str, u64, Digest)> {
        self.heads.iter().map(|(run, (seq, hash))| (run.as_str(), *seq, *hash))
    }
}
