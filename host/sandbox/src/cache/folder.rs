//! The folder of a cache: its owner, its key, and its cleaning.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// File with the key of the seals.
const KEY: &str = "key";
/// Length of the key: one block of SHA-256.
pub const KEY_BYTES: usize = 64;
/// Prefixes of unfinished files and of folders for compiling.
const UNFINISHED: [&str; 2] = [".tmp", "compile-"];
/// Age of the mark of the last use at which it is renewed.
const FRESH: Duration = Duration::from_secs(3600);
/// Age at which an unfinished file or a folder for compiling counts as abandoned.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

/// Creates a folder for this user alone, or checks that it is.
pub fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)?;
    // A link could be pointed elsewhere later.
    let metadata = fs::symlink_metadata(folder)?;
    let is_private = metadata.is_dir() && is_mine_alone(&metadata) && is_closed(&metadata);
    if is_private {
        Ok(())
    } else {
        Err(refused("others could look into it or write there; make it a folder of mode 0700"))
    }
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}

/// Whether no other user may write: files that lie here are executed.
#[cfg(unix)]
fn is_mine_alone(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    metadata.uid() == rustix::process::geteuid().as_raw() && metadata.permissions().mode() & 0o022 == 0
}

/// Whether no other user may read it.
#[cfg(unix)]
fn is_closed(metadata: &fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o077 == 0
}

#[cfg(not(unix))]
fn is_closed(_: &fs::Metadata) -> bool {
    true
}

#[cfg(not(unix))]
fn is_mine_alone(_: &fs::Metadata) -> bool {
    true
}

/// The key of this folder; created when there is none. The first process to create it decides. Where no key can be
/// stored, no cached code can be trusted and none can be stored: that costs time, not correctness.
pub fn key(folder: &Path) -> io::Result<[u8; KEY_BYTES]> {
    let path = folder.join(KEY);
    if let Some(key) = read_key(&path) {
        return Ok(key);
    }
    let mut new = [0; KEY_BYTES];
    getrandom::fill(&mut new).map_err(io::Error::other)?;
    let Ok(mut file) = tempfile::NamedTempFile::new_in(folder) else { return Ok(new) };
    if file.write_all(&new).is_err() {
        return Ok(new);
    }
    if let Err(error) = file.persist_noclobber(&path)
        && error.error.kind() == io::ErrorKind::AlreadyExists
    {
        if let Some(key) = read_key(&path) {
            return Ok(key);
        }
        // It is not a key: another one is as good, and code sealed before is compiled again.
        let _ = error.file.persist(&path);
    }
    Ok(new)
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
        // A FIFO would otherwise block until a writer opens it.
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

/// Identity of the content of a file, as far as the system tells: device and number, size, and the time of the last change,
/// which no program sets. `None` where it does not tell.
pub fn identity(file: &File) -> Option<String> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let found = file.metadata().ok()?;
        let (device, number, size) = (found.dev(), found.ino(), found.size());
        Some(format!("{device} {number} {size} {} {}", found.ctime(), found.ctime_nsec()))
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        None
    }
}

/// Marks a seal as used, so that others are removed first. Not each time: that would be a write for every start.
pub fn mark_as_used(file: &File) {
    let age = file.metadata().and_then(|metadata| metadata.modified()).map(|time| time.elapsed().unwrap_or_default());
    if age.is_ok_and(|age| age > FRESH) {
        let _ = file.set_modified(SystemTime::now());
    }
}

/// Removes the files unused for the longest time until at most `max_bytes` are left, and unfinished ones. Code is
/// removed with its seal; files that are not of a cache stay.
pub fn shrink(folder: &Path, max_bytes: u64) -> io::Result<()> {
    let mut kept = BTreeMap::<PathBuf, Kept>::new();
    let mut total = 0_u64;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // Another process may have thrown it out meanwhile.
        let Ok(metadata) = entry.metadata() else { continue };
        let (path, used) = (entry.path(), metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH));
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.extension().is_some_and(|ending| ending == "cwasm" || ending == "seal") {
            total += metadata.len();
            let pair = kept.entry(path.with_extension("")).or_insert(Kept { used, bytes: 0, files: Vec::new() });
            pair.used = pair.used.max(used);
            pair.bytes += metadata.len();
            pair.files.push(path);
        } else if UNFINISHED.iter().any(|start| name.starts_with(start)) {
            // Of a process that was killed while it wrote or compiled.
            if used.elapsed().is_ok_and(|age| age > ABANDONED) {
                let _ = if metadata.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
            } else {
                total += metadata.len();
            }
        }
    }
    let mut kept: Vec<Kept> = kept.into_values().collect();
    kept.sort_by_key(|pair| pair.used);
    for pair in kept {
        if total <= max_bytes {
            break;
        }
        // Code that is in use stays mapped after its name has gone.
        for file in pair.files {
            let _ = fs::remove_file(file);
        }
        total = total.saturating_sub(pair.bytes);
    }
    Ok(())
}

/// Code with its seal.
struct Kept {
    used: SystemTime,
    bytes: u64,
    files: Vec<PathBuf>,
}
