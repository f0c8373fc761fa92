//! The folder of a cache: whose it is, its key, and what is thrown out.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// File with the key of the seals.
const KEY: &str = "key";
/// Length of the key: one block of SHA-256.
pub const KEY_BYTES: usize = 64;
/// How old the mark of the last use may be before it is renewed.
const FRESH: Duration = Duration::from_secs(3600);
/// How old an unfinished file or a folder for compiling is when nobody needs it any more.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

/// Creates a folder for this user alone, or checks that it is.
pub fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)?;
    let metadata = fs::metadata(folder)?;
    if is_mine_alone(&metadata) { Ok(()) } else { Err(refused("others could write into it; make it mode 0700")) }
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}

/// Nobody else may write: what lies here is run.
#[cfg(unix)]
fn is_mine_alone(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    metadata.uid() == rustix::process::geteuid().as_raw() && metadata.permissions().mode() & 0o022 == 0
}

#[cfg(not(unix))]
fn is_mine_alone(_: &fs::Metadata) -> bool {
    true
}

/// The key of this folder; made when there is none. Whoever is first decides.
pub fn key(folder: &Path) -> io::Result<[u8; KEY_BYTES]> {
    let path = folder.join(KEY);
    if let Some(key) = read_key(&path) {
        return Ok(key);
    }
    let mut new = [0; KEY_BYTES];
    getrandom::fill(&mut new).map_err(io::Error::other)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(&new)?;
    match file.persist_noclobber(&path) {
        Ok(_) => Ok(new),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => match read_key(&path) {
            Some(key) => Ok(key),
            // It is no key: another one is as good, and what was sealed before is made again.
            None => error.file.persist(&path).map(|_| new).map_err(|error| error.error),
        },
        Err(error) => Err(error.error),
    }
}

fn read_key(path: &Path) -> Option<[u8; KEY_BYTES]> {
    let mut bytes = Vec::new();
    open(path, KEY_BYTES as u64)?.read_to_end(&mut bytes).ok()?;
    bytes.try_into().ok()
}

/// Opens a regular file of this user, not larger than this.
pub fn open(path: &Path, max_bytes: u64) -> Option<File> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        // A FIFO would otherwise block until somebody writes to it.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags);
    }
    let file = options.open(path).ok()?;
    let metadata = file.metadata().ok()?;
    (metadata.is_file() && metadata.len() <= max_bytes && is_mine_alone(&metadata)).then_some(file)
}

/// A name for the very file that was opened, where the system has one; else its path.
pub fn reopened(file: &File, path: &Path) -> PathBuf {
    #[cfg(target_os = "linux")]
    {
        let _ = path;
        format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file)).into()
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = file;
        path.to_owned()
    }
}

/// Notes that a file was used, so that others go first. Not each time: that would be a write for every start.
pub fn mark_as_used(file: &File) {
    let age = file.metadata().and_then(|metadata| metadata.modified()).map(|time| time.elapsed().unwrap_or_default());
    if age.is_ok_and(|age| age > FRESH) {
        let _ = file.set_modified(SystemTime::now());
    }
}

/// Throws out what was not used for the longest time until no more than this is left, and what was never finished.
pub fn shrink(folder: &Path, max_bytes: u64) -> io::Result<()> {
    let mut kept = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // Another process may have thrown it out meanwhile.
        let Ok(metadata) = entry.metadata() else { continue };
        let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        let path = entry.path();
        if path.extension().is_some_and(|ending| ending == "cwasm" || ending == "seal") {
            kept.push((used, metadata.len(), path));
        } else if entry.file_name() != KEY && used.elapsed().is_ok_and(|age| age > ABANDONED) {
            // Of a process that was killed while it wrote or compiled.
            let _ = if metadata.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        }
    }
    kept.sort();
    let mut total: u64 = kept.iter().map(|(_, bytes, _)| bytes).sum();
    for (_, bytes, path) in kept {
        if total <= max_bytes {
            break;
        }
        // Code that is in use stays mapped after its name has gone.
        if fs::remove_file(path).is_ok() {
            total = total.saturating_sub(bytes);
        }
    }
    Ok(())
}
