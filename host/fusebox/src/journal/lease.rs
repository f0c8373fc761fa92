//! Leases: one process at a time drives a run.
//!
//! A lease is a lock on a file, which the system releases when the process ends in any way; no clock is involved. Each
//! holder gets a higher token, and the log refuses writes under older tokens: a process that lost its file, for
//! instance because it was deleted, does no harm.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fusebox_core::RunId;
use fusebox_store::{Fence, Store};

use crate::error::Error;
use crate::home::Home;

/// Longest wait for a process that holds a run only for a moment.
pub const BRIEFLY: std::time::Duration = std::time::Duration::from_millis(500);

/// Time between two tries to take a run.
const RETRY: Duration = Duration::from_millis(2);

/// The right to drive a run, until it is dropped.
#[derive(Debug)]
pub struct Lease {
    fence: Fence,
    _lock: FileLock,
}

/// A locked file of the home, until it is dropped.
#[derive(Debug)]
pub struct FileLock {
    path: PathBuf,
    /// The system unlocks it when it is closed.
    file: File,
}

impl FileLock {
    /// Locks by a name, waiting for another holder. `name` is a run's id, or another name that fits into a file name.
    pub fn take_within(home: &Home, name: &str, patience: Duration) -> Result<Self, Error> {
        let until = Instant::now() + patience;
        loop {
            match lock(home, name) {
                Err(Error::RunBusy { .. }) if Instant::now() < until => std::thread::sleep(RETRY),
                taken => return taken,
            }
        }
    }
}

impl Lease {
    /// The lease of a run that is about to be created.
    pub fn of_new(home: &Home, run: &RunId) -> Result<Self, Error> {
        Ok(Self { _lock: lock(home, run.as_str())?, fence: Fence::of_new(run.clone()) })
    }

    /// Takes a run over.
    pub fn take(home: &Home, log: &dyn Store, run: &RunId) -> Result<Self, Error> {
        let lock = lock(home, run.as_str())?;
        let token = log.next_fencing_token(run)?;
        Ok(Self { fence: Fence { run: run.clone(), token }, _lock: lock })
    }

    /// Takes a run over, waiting for a process that holds it only for a moment.
    pub fn take_within(home: &Home, log: &dyn Store, run: &RunId, patience: Duration) -> Result<Self, Error> {
        let until = Instant::now() + patience;
        loop {
            match Self::take(home, log, run) {
                Err(Error::RunBusy { .. }) if Instant::now() < until => std::thread::sleep(RETRY),
                taken => return taken,
            }
        }
    }

    /// Whether some process drives a run.
    pub fn is_held(home: &Home, run: &RunId) -> bool {
        let path = home.leases().join(run.as_str());
        let Ok(file) = File::open(path) else { return false };
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
    }

    /// Fence by which the log knows the holder.
    pub fn fence(&self) -> &Fence {
        &self.fence
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // While it is still locked: a process that waits for this file finds it gone, and makes a new one. A file at
        // the same path belongs to another holder.
        if is_still_there(&self.path, &self.file) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Locks a file by its name. When the file is deleted between opening and locking, it tries again.
fn lock(home: &Home, name: &str) -> Result<FileLock, Error> {
    let folder = home.leases();
    let failed = |error: std::io::Error| Error::Home {
        path: folder.clone(),
        message: format!("the leases of runs cannot be used: {error}"),
    };
    std::fs::create_dir_all(&folder).map_err(failed)?;
    let path = folder.join(name);
    loop {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path).map_err(failed)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                return Err(Error::RunBusy { run: name.to_owned(), holder: holder(&mut file) });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
            Ok(()) if !is_still_there(&path, &file) => {}
            Ok(()) => {
                // Only for messages; a lease without it is as good.
                let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
                return Ok(FileLock { path, file });
            }
        }
    }
}

/// Description of the holder.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.take(20).read_to_string(&mut text));
    match read.ok().and_then(|_| text.trim().parse::<u32>().ok()) {
        Some(process) => format!("the process {process}"),
        None => "another process".to_owned(),
    }
}

fn is_still_there(path: &Path, file: &File) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let id = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
        let (ours, theirs) = (file.metadata().map(id), std::fs::metadata(path).map(id));
        ours.is_ok_and(|ours| theirs.is_ok_and(|theirs| ours == theirs))
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        path.exists()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_the_next_has_a_higher_token() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(&folder.path().join("home")).unwrap();
        let log = fusebox_store::SqliteStore::open(&home.log()).unwrap();
        let run: RunId = "run".parse().unwrap();
        assert!(!Lease::is_held(&home, &run));
        let first = Lease::take(&home, &log, &run).unwrap();
        assert!(Lease::is_held(&home, &run));
        let refused = Lease::take(&home, &log, &run).unwrap_err();
        assert!(refused.to_string().contains(&std::process::id().to_string()), "{refused}");
        // The file is deleted: there are two holders, and the log tells them apart.
        std::fs::remove_file(home.leases().join("run")).unwrap();
        let second = Lease::take(&home, &log, &run).unwrap();
        assert!(second.fence().token > first.fence().token);
        drop((first, second));
        assert!(!Lease::is_held(&home, &run));
    }
}
