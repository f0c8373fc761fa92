//! Copying a folder, so that a run can work on the copy.

use std::fs;
use std::path::Path;

use fusebox_core::policy::HardLinks;

use crate::Error;

/// Most files and folders of a copy.
const MAX_ENTRIES: u64 = 100_000;
/// Most bytes of a copy.
const MAX_BYTES: u64 = 4 * 1024 * 1024 * 1024;

/// Deepest folder of a copy, below the one that is copied.
const MAX_DEPTH: usize = 128;

/// Copies the regular files and folders of `from` into the new folder `to`. Links, devices, FIFOs and sockets are left
/// out, and files with further names unless these are allowed; their number is given back.
///
/// # Errors
/// When `from` is not a folder, something cannot be read or written, or it is larger than a copy may be.
pub fn copy_folder(from: &Path, to: &Path, hard_links: HardLinks) -> Result<u64, Error> {
    if !from.exists() {
        return Err(Error::WorkspaceMissing { path: from.to_owned() });
    }
    if !from.is_dir() {
        return Err(Error::WorkspaceNotAFolder { path: from.to_owned() });
    }
    let inside = |source| Error::Io { what: format!("copying {}", from.display()), source };
    let (source, parent) = (from.canonicalize().map_err(inside)?, to.parent().unwrap_or(to));
    if parent.canonicalize().map_err(inside)?.starts_with(&source) {
        return Err(Error::CopyInItself { path: from.to_owned() });
    }
    let mut copy = Copy { entries: 0, bytes: 0, left_out: 0, hard_links };
    copy.folder(from, to, 0)?;
    Ok(copy.left_out)
}

struct Copy {
    entries: u64,
    bytes: u64,
    left_out: u64,
    hard_links: HardLinks,
}

impl Copy {
    fn folder(&mut self, from: &Path, to: &Path, depth: usize) -> Result<(), Error> {
        let failed = |source| Error::Io { what: format!("copying {}", from.display()), source };
        fs::create_dir(to).map_err(failed)?;
        for entry in fs::read_dir(from).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type().map_err(failed)?;
            let target = to.join(entry.file_name());
            self.entries += 1;
            // Counted before it is copied: a sparse file has more bytes than the disk.
            self.bytes += if kind.is_file() { entry.metadata().map_err(failed)?.len() } else { 0 };
            let too_large = |what: &str, limit| Error::TooLarge {
                what: format!("the number of {what} to copy for this run (work in place, or on a smaller folder)"),
                limit,
            };
            if self.entries > MAX_ENTRIES {
                return Err(too_large("files", MAX_ENTRIES));
            }
            if self.bytes > MAX_BYTES {
                return Err(too_large("bytes", MAX_BYTES));
            }
            if kind.is_dir() && depth == MAX_DEPTH {
                return Err(too_large("folders inside of one another", MAX_DEPTH as u64));
            }
            if kind.is_dir() {
                self.folder(&entry.path(), &target, depth + 1)?;
            } else if kind.is_file() && (self.hard_links == HardLinks::Allow || !has_further_names(&entry)) {
                fs::copy(entry.path(), &target).map_err(failed)?;
            } else {
                self.left_out += 1;
            }
        }
        Ok(())
    }
}

/// In a copy, nobody could tell any more that a file is one from elsewhere.
fn has_further_names(entry: &fs::DirEntry) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        entry.metadata().map_or(true, |metadata| metadata.nlink() > 1)
    }
    #[cfg(not(unix))]
    {
        let _ = entry;
        false
    }
}
