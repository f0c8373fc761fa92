//! Killing runs of other processes on the same home: a counter that every run looks at, and what was asked at each count.
//!
//! The file holds a generation (8 bytes, little-endian) and then [`SLOTS`] slots; the request that made generation *n*
//! stands in slot *n* mod `SLOTS`. Whoever is more than `SLOTS` behind cannot know what was asked, and takes it as meant.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use fusebox_core::RunId;
use fusebox_core::event::{Event, KillTimes};
use fusebox_store::{EventLog as _, SqliteStore};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::home::Home;
use crate::now::now_us;

/// Requests that are kept.
const SLOTS: u64 = 64;
/// Bytes of a request.
const SLOT_BYTES: usize = 512;
/// Most characters of who asks.
const MAX_BY_CHARS: usize = 80;
/// How often the log is asked whether a run has ended.
const LOOK: Duration = Duration::from_millis(2);
/// Most runs that are looked at for those still going.
const MAX_RUNS: u32 = 100_000;

/// What is to be killed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KillTarget {
    /// One run.
    Run(RunId),
    /// Every run that is under way.
    All,
}

/// Somebody asked for an end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KillRequest {
    /// Of what.
    pub target: KillTarget,
    /// Who.
    pub by: String,
    /// When, in microseconds since 1970.
    pub requested_us: u64,
}

/// What became of a request, for one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KillOutcome {
    /// It was killed.
    Killed(RunId, KillTimes),
    /// It had ended before, or ended by itself meanwhile.
    Ended(RunId),
    /// It did not answer: its process may be gone.
    NoAnswer(RunId),
}

/// Requests of one home.
#[derive(Debug)]
pub struct KillBoard {
    file: Mutex<File>,
    path: PathBuf,
}

impl KillBoard {
    /// Opens the board of a home, making it when there is none.
    pub fn open(home: &Home) -> Result<Self, Error> {
        let path = home.path().join("kills");
        let file = open(&path).map_err(|error| failed(&path, &error))?;
        Ok(Self { file: Mutex::new(file), path })
    }

    /// Whether the open file is the one that others find.
    fn is_still_there(&self, file: &File) -> bool {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;
            let id = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
            let (ours, theirs) = (file.metadata().map(id), std::fs::metadata(&self.path).map(id));
            ours.is_ok_and(|ours| theirs.is_ok_and(|theirs| ours == theirs))
        }
        #[cfg(not(unix))]
        {
            let _ = file;
            self.path.exists()
        }
    }

    /// How many requests there were.
    pub fn generation(&self) -> u64 {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        generation(&mut file)
    }

    /// Asks for an end.
    pub fn request(&self, request: &KillRequest) -> Result<(), Error> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut post = || -> std::io::Result<()> {
            file.lock()?;
            let next = generation(&mut file).checked_add(1).ok_or_else(|| std::io::Error::other("it is full"))?;
            let mut slot = serde_json::to_vec(request)?;
            slot.resize(SLOT_BYTES, b' ');
            file.seek(SeekFrom::Start(place(next)))?;
            file.write_all(&slot)?;
            // The count last: whoever sees it finds the request.
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&next.to_le_bytes())?;
            file.unlock()
        };
        post().map_err(|error| failed(&self.path, &error))
    }

    /// The request after this generation that ends this run, if there is one. Moves the generation on.
    pub fn asked_since(&self, seen: &mut u64, run: &RunId) -> Option<KillRequest> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = self.is_still_there(&file);
        if !is_same && let Ok(fresh) = open(&self.path) {
            *file = fresh;
        }
        let now = generation(&mut file);
        let from = std::mem::replace(seen, now);
        if is_same && now == from {
            return None;
        }
        let unknown = || KillRequest {
            target: KillTarget::All,
            by: "a request that can no longer be read".to_owned(),
            requested_us: now_us(),
        };
        // A count that went back, or a file that took the place of ours, hides what was asked meanwhile.
        if !is_same || now < from || now - from > SLOTS {
            return Some(unknown());
        }
        let requests = (from + 1..=now).map(|number| read(&mut file, number).unwrap_or_else(unknown));
        requests
            .into_iter()
            .find(|request| request.target == KillTarget::All || request.target == KillTarget::Run(run.clone()))
    }
}

fn open(path: &std::path::Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn failed(path: &std::path::Path, error: &std::io::Error) -> Error {
    Error::Home { path: path.to_owned(), message: format!("the board of kills cannot be used: {error}") }
}

fn place(generation: u64) -> u64 {
    8 + generation % SLOTS * SLOT_BYTES as u64
}

/// A file that cannot be read has no requests: it is this user's own, in a folder that is this user's alone.
fn generation(file: &mut File) -> u64 {
    let mut bytes = [0; 8];
    let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.read_exact(&mut bytes));
    read.map_or(0, |()| u64::from_le_bytes(bytes))
}

fn read(file: &mut File, generation: u64) -> Option<KillRequest> {
    let mut slot = [0; SLOT_BYTES];
    file.seek(SeekFrom::Start(place(generation))).ok()?;
    file.read_exact(&mut slot).ok()?;
    serde_json::from_slice(&slot).ok()
}

/// Kills runs of whatever process works on this home, and waits until they have ended, but not longer than `patience`.
///
/// # Errors
/// When the home or its log cannot be used, or there is no such run.
pub fn kill_runs(home: &Home, target: &KillTarget, by: &str, patience: Duration) -> Result<Vec<KillOutcome>, Error> {
    let log = SqliteStore::open(&home.log())?;
    let runs: Vec<RunId> = match target {
        KillTarget::Run(run) if log.events(run, 0, 1)?.is_empty() => {
            return Err(Error::UnknownRun { run: run.to_string() });
        }
        KillTarget::Run(run) => vec![run.clone()],
        KillTarget::All => log
            .runs(MAX_RUNS)?
            .into_iter()
            .filter(|row| !["run_ended", "action_checked"].contains(&row.last_event.as_str()))
            .map(|row| row.run)
            .collect(),
    };
    let by: String = by.chars().filter(char::is_ascii_graphic).take(MAX_BY_CHARS).collect();
    let mut read = vec![0; runs.len()];
    let already =
        runs.iter().zip(&mut read).map(|(run, read)| ended(&log, run, read)).collect::<Result<Vec<_>, _>>()?;
    KillBoard::open(home)?.request(&KillRequest { target: target.clone(), by, requested_us: now_us() })?;
    let deadline = Instant::now() + patience;
    let mut outcomes = Vec::new();
    for ((run, already), mut read) in runs.into_iter().zip(already).zip(read) {
        if already.is_some() {
            outcomes.push(KillOutcome::Ended(run));
            continue;
        }
        outcomes.push(loop {
            match ended(&log, &run, &mut read)? {
                Some(Some(times)) => break KillOutcome::Killed(run, times),
                Some(None) => break KillOutcome::Ended(run),
                None if Instant::now() >= deadline => break KillOutcome::NoAnswer(run),
                None => std::thread::sleep(LOOK),
            }
        });
    }
    Ok(outcomes)
}

/// Whether a run has ended, and how it was killed if it was. Reads behind what was read already.
fn ended(log: &SqliteStore, run: &RunId, after: &mut u64) -> Result<Option<Option<KillTimes>>, Error> {
    const PAGE: u32 = 1000;
    loop {
        let events = log.events(run, *after, PAGE)?;
        let Some(last) = events.last() else { return Ok(None) };
        if let Some(Event::RunEnded { kill, .. }) = (last.kind == "run_ended").then(|| last.event()).transpose()? {
            return Ok(Some(kill));
        }
        *after = last.seq;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board() -> (tempfile::TempDir, KillBoard) {
        let folder = tempfile::tempdir().unwrap();
        let board = KillBoard::open(&Home::open(&folder.path().join("home")).unwrap()).unwrap();
        (folder, board)
    }

    fn request(target: KillTarget) -> KillRequest {
        KillRequest { target, by: "me".into(), requested_us: 1 }
    }

    #[test]
    fn a_run_hears_what_is_meant_for_it() {
        let (_folder, board) = board();
        let (one, other): (RunId, RunId) = ("one".parse().unwrap(), "other".parse().unwrap());
        let mut seen = board.generation();
        assert_eq!(board.asked_since(&mut seen, &one), None);
        board.request(&request(KillTarget::Run(other.clone()))).unwrap();
        assert_eq!(board.asked_since(&mut seen.clone(), &other).unwrap().by, "me");
        assert_eq!(board.asked_since(&mut seen, &one), None);
        board.request(&request(KillTarget::All)).unwrap();
        assert_eq!(board.asked_since(&mut seen, &one), Some(request(KillTarget::All)));
        assert_eq!(board.asked_since(&mut seen, &one), None, "each is heard once");
    }

    #[test]
    fn what_cannot_be_read_is_taken_as_meant() {
        let (folder, board) = board();
        let run: RunId = "run".parse().unwrap();
        let mut seen = board.generation();
        for _ in 0..=SLOTS {
            board.request(&request(KillTarget::Run("other".parse().unwrap()))).unwrap();
        }
        assert!(board.asked_since(&mut seen, &run).is_some(), "too far behind");
        std::fs::write(folder.path().join("home/kills"), (seen + 1).to_le_bytes()).unwrap();
        assert!(board.asked_since(&mut seen, &run).is_some(), "no request at the count");
        std::fs::write(folder.path().join("home/kills"), b"x").unwrap();
        assert!(board.asked_since(&mut seen, &run).is_some(), "the count went back");
        assert_eq!(board.asked_since(&mut seen, &run), None);
        std::fs::remove_file(folder.path().join("home/kills")).unwrap();
        assert!(board.asked_since(&mut seen, &run).is_some(), "the file went away");
        assert_eq!(board.asked_since(&mut seen, &run), None, "there is a new one");
        std::fs::write(folder.path().join("home/kills"), u64::MAX.to_le_bytes()).unwrap();
        assert!(board.request(&request(KillTarget::All)).is_err(), "it is full");
    }
}
