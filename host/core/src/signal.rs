//! Requests about runs between processes of one home, and the layout of the file that holds them, the *board*.
//!
//! The file holds a generation (8 bytes, little-endian) and then [`SLOTS`] slots; the request that made generation *n*
//! stands in slot *n* mod `SLOTS`. A slot without a request only wakes the readers. A reader more than `SLOTS` behind must
//! read the log instead.

use serde::{Deserialize, Serialize};

use crate::KillTarget;

/// Requests that are kept.
pub const SLOTS: u64 = 64;
/// Bytes of a request.
pub const SLOT_BYTES: usize = 512;
/// Bytes of the generation.
pub const GENERATION_BYTES: usize = 8;

/// Kind of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignalKind {
    /// End of the run.
    Kill,
    /// That it stops until it is resumed.
    Pause,
}

/// A request about runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal {
    /// Kind of the request.
    pub kind: SignalKind,
    /// Runs that the request is for.
    pub target: KillTarget,
    /// Name of the requester.
    pub by: String,
    /// Time of the request, in microseconds since 1970.
    pub requested_us: u64,
}

/// Place of the slot of a generation in the file, in bytes.
#[must_use]
pub fn slot_at(generation: u64) -> u64 {
    GENERATION_BYTES as u64 + generation % SLOTS * SLOT_BYTES as u64
}

/// Content of a slot: a request or none; `None` when it cannot be read.
#[must_use]
pub fn read_slot(slot: &[u8; SLOT_BYTES]) -> Option<Option<Signal>> {
    serde_json::from_slice(slot).ok()
}

/// A request as the content of a slot; `None` when it is too long.
#[must_use]
pub fn write_slot(request: Option<&Signal>) -> Option<[u8; SLOT_BYTES]> {
    let text = serde_json::to_vec(&request).ok()?;
    let mut slot = [b' '; SLOT_BYTES];
    slot.get_mut(..text.len())?.copy_from_slice(&text);
    Some(slot)
}
