//! The board: requests about runs between processes of one home, at once. It is a counter that every run watches, with
//! the request of each count. It only signals; lasting facts stand in the log. The core has its layout.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;

use fusebox_core::RunId;
use fusebox_core::signal::{SLOT_BYTES, SLOTS, Signal, read_slot, slot_at, write_slot};
use parking_lot::Mutex;

use crate::error::Error;
use crate::home::Home;

/// Most characters of the requester's name.
const MAX_BY_CHARS: usize = 80;

/// Requests of one home.
#[derive(Debug)]
pub struct Board {
    file: Mutex<File>,
    path: PathBuf,
}

impl Board {
    /// Opens the board of a home, making it when there is none.
    pub fn open(home: &Home) -> Result<Self, Error> {
        let path = home.path().join("board");
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

    /// Path of the file.
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Number of requests so far.
    pub fn generation(&self) -> u64 {
        let mut file = self.file.lock();
        generation(&mut file)
    }

    /// Puts a request up.
    pub fn request(&self, request: &Signal) -> Result<(), Error> {
        let by = request.by.chars().filter(|c| !c.is_control()).take(MAX_BY_CHARS).collect();
        self.post(Some(&Signal { by, ..request.clone() }))
    }

    /// Lets all runs read again what stands in the log, without a request to any of them.
    pub fn wake(&self) -> Result<(), Error> {
        self.post(None)
    }

    /// Fills the next slot; an empty one is `null`.
    fn post(&self, request: Option<&Signal>) -> Result<(), Error> {
        let mut file = self.file.lock();
        let mut post = || -> std::io::Result<()> {
            file.lock()?;
            let next = generation(&mut file).checked_add(1).ok_or_else(|| std::io::Error::other("it is full"))?;
            let slot = write_slot(request).ok_or_else(|| std::io::Error::other("the request is too long"))?;
            file.seek(SeekFrom::Start(slot_at(next)))?;
            file.write_all(&slot)?;
            // The count comes last: a reader that sees it finds the request.
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&next.to_le_bytes())?;
            file.unlock()
        };
        post().map_err(|error| failed(&self.path, &error))
    }

    /// The requests after this generation for this run; `None` when they are overwritten, so that the log has to be
    /// read. Moves the generation on.
    pub fn signals_since(&self, seen: &mut u64, run: &RunId, tenant: &str) -> Option<Vec<Signal>> {
        let mut file = self.file.lock();
        let is_same = self.is_still_there(&file);
        if !is_same && let Ok(fresh) = open(&self.path) {
            *file = fresh;
        }
        let now = generation(&mut file);
        let from = std::mem::replace(seen, now);
        if is_same && now == from {
            return Some(Vec::new());
        }
        // A count that went back, or a replaced file, hides the requests of the meantime.
        if !is_same || now < from || now - from > SLOTS {
            return None;
        }
        let slots: Option<Vec<Option<Signal>>> = (from + 1..=now).map(|number| read(&mut file, number)).collect();
        Some(slots?.into_iter().flatten().filter(|request| request.target.ends(run, tenant)).collect())
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
    Error::Home { path: path.to_owned(), message: format!("the board cannot be used: {error}") }
}

/// A file that cannot be read has no requests: it is this user's own, in a folder that is this user's alone.
fn generation(file: &mut File) -> u64 {
    let mut bytes = [0; 8];
    #[cfg(unix)]
    let read = std::os::unix::fs::FileExt::read_exact_at(file, &mut bytes, 0);
    #[cfg(not(unix))]
    let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.read_exact(&mut bytes));
    read.map_or(0, |()| u64::from_le_bytes(bytes))
}

/// What stands in a slot: a request or none; `None` when it cannot be read.
fn read(file: &mut File, generation: u64) -> Option<Option<Signal>> {
    let mut slot = [0; SLOT_BYTES];
    file.seek(SeekFrom::Start(slot_at(generation))).ok()?;
    file.read_exact(&mut slot).ok()?;
    read_slot(&slot)
}

#[cfg(test)]
mod tests {
    use fusebox_core::KillTarget;
    use fusebox_core::signal::SignalKind;

    use super::*;

    fn board() -> (tempfile::TempDir, Board) {
        let folder = tempfile::tempdir().unwrap();
        let board = Board::open(&Home::open(&folder.path().join("home")).unwrap()).unwrap();
        (folder, board)
    }

    fn request(target: KillTarget) -> Signal {
        Signal { kind: SignalKind::Kill, target, by: "me".into(), requested_us: 1 }
    }

    fn asked(board: &Board, seen: &mut u64, run: &RunId) -> Option<Vec<Signal>> {
        board.signals_since(seen, run, "tenant")
    }

    #[test]
    fn a_run_hears_what_is_meant_for_it() {
        let (_folder, board) = board();
        let (one, other): (RunId, RunId) = ("one".parse().unwrap(), "other".parse().unwrap());
        let mut seen = board.generation();
        assert_eq!(asked(&board, &mut seen, &one), Some(vec![]));
        board.request(&request(KillTarget::Run(other.clone()))).unwrap();
        assert_eq!(asked(&board, &mut seen.clone(), &other).unwrap()[0].by, "me");
        assert_eq!(asked(&board, &mut seen, &one), Some(vec![]));
        board.request(&request(KillTarget::All)).unwrap();
        board.request(&request(KillTarget::Tenant("tenant".into()))).unwrap();
        board.request(&request(KillTarget::Tenant("another".into()))).unwrap();
        let both = [request(KillTarget::All), request(KillTarget::Tenant("tenant".into()))];
        assert_eq!(asked(&board, &mut seen, &one), Some(both.into()));
        assert_eq!(asked(&board, &mut seen, &one), Some(vec![]), "each is heard once");
    }

    #[test]
    fn waking_moves_the_count_and_asks_nothing_of_a_run() {
        let (_folder, board) = board();
        let run: RunId = "run".parse().unwrap();
        let before = board.generation();
        board.wake().unwrap();
        assert_eq!(board.generation(), before + 1);
        assert_eq!(asked(&board, &mut before.clone(), &run), Some(vec![]));
    }

    #[test]
    fn what_cannot_be_read_is_not_made_up() {
        let (folder, board) = board();
        let run: RunId = "run".parse().unwrap();
        let mut seen = board.generation();
        for _ in 0..=SLOTS {
            board.request(&request(KillTarget::Run("other".parse().unwrap()))).unwrap();
        }
        assert!(asked(&board, &mut seen, &run).is_none(), "too far behind");
        std::fs::write(folder.path().join("home/board"), (seen + 1).to_le_bytes()).unwrap();
        assert!(asked(&board, &mut seen, &run).is_none(), "no request at the count");
        std::fs::write(folder.path().join("home/board"), b"x").unwrap();
        assert!(asked(&board, &mut seen, &run).is_none(), "the count went back");
        assert_eq!(asked(&board, &mut seen, &run), Some(vec![]));
        std::fs::remove_file(folder.path().join("home/board")).unwrap();
        assert!(asked(&board, &mut seen, &run).is_none(), "the file went away");
        assert_eq!(asked(&board, &mut seen, &run), Some(vec![]), "there is a new one");
        std::fs::write(folder.path().join("home/board"), u64::MAX.to_le_bytes()).unwrap();
        assert!(board.request(&request(KillTarget::All)).is_err(), "it is full");
    }
}
