//! Places where the crash harness ends the process, as `kill -9` would: `FUSEBOX_FAILPOINT` names one and how often it is
//! passed before, as in `store: before commit=3`. Only builds with the feature `failpoints` have such places.
//!
//! `FUSEBOX_CLOCK` names a file with microseconds that are added to the clock, for a clock that jumps.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

static PASSED: Mutex<Option<HashMap<String, u64>>> = Mutex::new(None);

/// The process is at this place.
pub fn reached(place: &str) {
    let Ok(wanted) = std::env::var("FUSEBOX_FAILPOINT") else { return };
    if let Ok(file) = std::env::var("FUSEBOX_FAILPOINT_LIST") {
        list(&file, place);
    }
    let Some((name, before)) = wanted.rsplit_once('=') else { return };
    let mut passed = PASSED.lock().unwrap_or_else(PoisonError::into_inner);
    let count = passed.get_or_insert_default().entry(place.to_owned()).or_default();
    *count += 1;
    if name == place && before.parse().is_ok_and(|before: u64| *count == before + 1) {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        loop {
            std::thread::park();
        }
    }
}

/// Records that a place was reached, so that the harness knows all places.
fn list(file: &str, place: &str) {
    use std::io::Write as _;
    if let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(file) {
        let _ = writeln!(file, "{place}");
    }
}

/// Offset of the clock, in microseconds.
#[must_use]
pub fn clock_offset_us() -> i64 {
    let file = std::env::var("FUSEBOX_CLOCK").ok();
    let text = file.and_then(|file| std::fs::read_to_string(file).ok());
    text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}
