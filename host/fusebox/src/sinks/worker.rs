//! Telling one sink, from the log, by a thread of its own.

use std::fs::{File, OpenOptions, TryLockError};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use fusebox_core::policy::SinkFrom;
use fusebox_store::{Scanned, Store};
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::sink::{LoggedEvent, NewSink, Sink};
use crate::error::Error;
use crate::home::Home;

/// Most events of one batch.
const BATCH: u32 = 200;
/// Time between two looks for events of other processes.
const LOOK: Duration = Duration::from_millis(100);
/// Shortest and longest pause after a failure of a sink.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Time between two saves of a sink's position.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// Longest wait for the sinks at the end of a process. The next process sends them the remaining events.
const LAST_PATIENCE: Duration = Duration::from_millis(500);

/// The next events of a tenant or of all, and up to where in the log that is all there is.
pub fn next_of(
    log: &dyn Store,
    tenant: Option<&str>,
    after: i64,
    most: u32,
) -> Result<(Vec<Scanned>, i64), fusebox_store::Error> {
    let end = log.end()?;
    let found = log.scan(tenant, after, most)?;
    let last = found.last().map_or(after, |last| last.log_index);
    // Entries between the last event and the end belong to others.
    let is_all = found.len() < most as usize;
    Ok((found, if is_all { last.max(end) } else { last }))
}

/// State of a sink.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SinkStatus {
    /// Name of the sink.
    pub name: String,
    /// Number of events that this process sent to it.
    pub delivered: u64,
    /// Number of events in the log that it has not received yet, of all tenants.
    pub backlog: u64,
    /// Reason of its last failure, if it did not take the last events.
    pub failure: Option<String>,
    /// Whether another process tells it just now.
    pub elsewhere: bool,
}

/// A thread that tells one sink.
pub struct Worker {
    shared: Arc<Shared>,
    log: Arc<dyn Store>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    status: SinkStatus,
    /// Position in the log up to which the sink received events.
    at: i64,
    /// Time at which the process stops waiting for the sink.
    stop_at: Option<Instant>,
    ended: bool,
}

impl Worker {
    pub fn start(new: NewSink, home: &Home, log: Arc<dyn Store>) -> Result<Self, Error> {
        let NewSink { name, tenant, from, sink } = new;
        let wrong = |message: String| Error::SinkWrong { sink: name.clone(), message };
        let folder = home.path().join("sinks");
        std::fs::create_dir_all(&folder).map_err(|error| wrong(error.to_string()))?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        if name.is_empty() || name.len() > 64 || !name.chars().all(is_plain) {
            return Err(wrong("its name must have 1 to 64 letters, digits, `.`, `_` or `-`".to_owned()));
        }
        let at = match (log.sink_offset(&name)?, from) {
            (Some(at), _) => at,
            (None, SinkFrom::Start) => 0,
            (None, SinkFrom::Now) => log.end()?,
        };
        // From here on nothing is forgotten, whichever process tells it.
        log.set_sink_offset(&name, at)?;
        let status = SinkStatus { name: name.clone(), ..SinkStatus::default() };
        let state = State { status, at, stop_at: None, ended: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let telling = Telling {
            name: name.clone(),
            tenant,
            sink,
            lock: folder.join(format!("{name}.lock")),
            log: Arc::downgrade(&log),
            shared: Arc::clone(&shared),
            saved: Instant::now(),
            batch: BATCH,
        };
        let thread = std::thread::Builder::new().name("fusebox-sink".to_owned()).spawn(move || telling.run());
        thread.map_err(|error| wrong(error.to_string()))?;
        Ok(Self { shared, log })
    }

    pub fn status(&self) -> SinkStatus {
        let end = self.log.end().unwrap_or_default();
        let state = self.shared.state();
        let backlog = u64::try_from(end - state.at).unwrap_or_default();
        SinkStatus { backlog, ..state.status.clone() }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let until = Instant::now() + LAST_PATIENCE;
        let mut state = self.shared.state();
        state.stop_at = Some(until);
        self.shared.changed.notify_all();
        while !state.ended {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            self.shared.changed.wait_for(&mut state, left);
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Waits, unless the process ends. Says whether it goes on.
    fn goes_on_after(&self, pause: Duration) -> bool {
        let mut state = self.state();
        if state.stop_at.is_some() {
            return false;
        }
        self.changed.wait_for(&mut state, pause);
        state.stop_at.is_none()
    }
}

/// State of the sink's thread.
struct Telling {
    name: String,
    tenant: Option<String>,
    sink: Box<dyn Sink>,
    lock: std::path::PathBuf,
    /// Weak: a sink that does not come back must not keep the log from being closed.
    log: Weak<dyn Store>,
    shared: Arc<Shared>,
    saved: Instant,
    /// Number of events sent at once: fewer after a failure, in case fewer are taken.
    batch: u32,
}

impl Telling {
    fn run(mut self) {
        if let Some(_held) = self.lease() {
            self.tell();
            let at = self.shared.state().at;
            // The next process sends the events again when the position cannot be saved.
            let _ = self.log().and_then(|log| log.set_sink_offset(&self.name, at).map_err(|error| error.to_string()));
        }
        self.shared.state().ended = true;
        self.shared.changed.notify_all();
    }

    /// Waits until no other process tells the sink; the lock goes with this one, however it ends.
    fn lease(&mut self) -> Option<File> {
        loop {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            let locked = options.open(&self.lock).map(|file| file.try_lock().map(|()| file));
            let held = match locked {
                Ok(Ok(file)) => Some(file),
                Ok(Err(TryLockError::WouldBlock)) => None,
                Ok(Err(TryLockError::Error(error))) | Err(error) => {
                    self.failed(error.to_string());
                    None
                }
            };
            self.shared.state().status.elsewhere = held.is_none();
            if held.is_some() {
                // The other one went on meanwhile.
                if let Some(Ok(Some(at))) = self.log().ok().map(|log| log.sink_offset(&self.name)) {
                    let mut state = self.shared.state();
                    state.at = state.at.max(at);
                }
                return held;
            }
            if !self.shared.goes_on_after(LOOK) {
                return None;
            }
        }
    }

    fn tell(&mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let stopping = self.shared.state().stop_at;
            if stopping.is_some_and(|until| Instant::now() >= until) {
                return;
            }
            match self.tell_some() {
                Ok(0) if stopping.is_some() => return,
                Ok(0) => {
                    self.shared.goes_on_after(LOOK);
                }
                Ok(_) => {
                    pause = FIRST_PAUSE;
                    self.batch = BATCH.min(self.batch * 2);
                    self.shared.state().status.failure = None;
                }
                Err(why) => {
                    self.failed(why);
                    self.batch = (self.batch / 2).max(1);
                    if stopping.is_some() {
                        return;
                    }
                    self.shared.goes_on_after(pause);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Tells the next events. Gives how many there were.
    fn tell_some(&mut self) -> Result<usize, String> {
        let at = self.shared.state().at;
        let (found, last) = {
            let log = self.log()?;
            next_of(&*log, self.tenant.as_deref(), at, self.batch).map_err(|error| error.to_string())?
        };
        if found.is_empty() {
            self.shared.state().at = last;
            return Ok(0);
        }
        let logged = |Scanned { tenant, event, .. }| LoggedEvent { tenant, sealed: event };
        let events: Vec<LoggedEvent> = found.into_iter().map(logged).collect();
        self.sink.take(&events)?;
        {
            let mut state = self.shared.state();
            state.at = last;
            state.status.delivered += events.len() as u64;
        }
        if self.saved.elapsed() >= SAVE_EVERY {
            self.log()?.set_sink_offset(&self.name, last).map_err(|error| error.to_string())?;
            self.saved = Instant::now();
        }
        Ok(events.len())
    }

    fn log(&self) -> Result<Arc<dyn Store>, String> {
        self.log.upgrade().ok_or_else(|| "the log is closed".to_owned())
    }

    fn failed(&self, why: String) {
        self.shared.state().status.failure = Some(why);
    }
}
