//! Copying a folder, so that a run can work on the copy.

use std::fs;
use std::io;
use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use fusebox_core::policy::HardLinks;

use crate::error::Error;
use crate::workspace::walk::{self, Found};

/// Most files and folders of a copy.
const MAX_ENTRIES: u64 = 100_000;
/// Most bytes of a copy.
const MAX_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// Deepest folder of a copy, below the one that is copied.
const MAX_DEPTH: usize = 128;

/// Copies the regular files and folders of `from` into the new folder `to`. Links, devices, FIFOs and sockets are left
/// out, as are files with several hard links unless these are allowed. Returns the number of omissions.
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
    let source = Dir::open_ambient_dir(&source, ambient_authority()).map_err(inside)?;
    let mut copy = Copy { entries: 0, bytes: 0, left_out: 0, hard_links };
    copy.folder(&source, to, 0)?;
    Ok(copy.left_out)
}

struct Copy {
    entries: u64,
    bytes: u64,
    left_out: u64,
    hard_links: HardLinks,
}

impl Copy {
    /// Opens everything from the handle of its folder: even when names change meanwhile, nothing from elsewhere is
    /// copied.
    fn folder(&mut self, from: &Dir, to: &Path, depth: usize) -> Result<(), Error> {
        let failed = |source| Error::Io { what: format!("copying to {}", to.display()), source };
        fs::create_dir(to).map_err(failed)?;
        for entry in from.entries().map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let (kind, name) = (entry.file_type().map_err(failed)?, entry.file_name());
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                return Err(too_large("files", MAX_ENTRIES));
            }
            if kind.is_dir() {
                if depth == MAX_DEPTH {
                    return Err(too_large("folders inside of one another", MAX_DEPTH as u64));
                }
                match opened(walk::folder(from, &name)).map_err(failed)? {
                    Some(folder) => self.folder(&folder, &to.join(name), depth + 1)?,
                    None => self.left_out += 1,
                }
            } else if kind.is_file() {
                match opened(walk::file(from, &name)).map_err(failed)? {
                    // In a copy, a file with links from elsewhere could not be recognised any more.
                    Some(found) if self.hard_links == HardLinks::Allow || found.links <= 1 => {
                        self.file(found, &to.join(name))?;
                    }
                    Some(_) | None => self.left_out += 1,
                }
            } else {
                self.left_out += 1;
            }
        }
        Ok(())
    }

    fn file(&mut self, found: Found, to: &Path) -> Result<(), Error> {
        let failed = |source| Error::Io { what: format!("copying to {}", to.display()), source };
        let metadata = found.file.metadata().map_err(failed)?;
        // Counted before it is copied: a sparse file has more bytes than the disk.
        self.bytes = self.bytes.saturating_add(metadata.len());
        if self.bytes > MAX_BYTES {
            return Err(too_large("bytes", MAX_BYTES));
        }
        let mut copy = fs::File::create_new(to).map_err(failed)?;
        // It may grow meanwhile: no more than was counted.
        io::copy(&mut io::Read::take(found.file.into_std(), metadata.len()), &mut copy).map_err(failed)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = cap_std::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777;
            copy.set_permissions(fs::Permissions::from_mode(mode)).map_err(failed)?;
        }
        Ok(())
    }
}

/// The opened file or folder; `None` when it changed meanwhile, or lies on another file system.
fn opened<T>(tried: io::Result<T>) -> io::Result<Option<T>> {
    match tried {
        Ok(opened) => Ok(Some(opened)),
        Err(error) if error.kind() == io::ErrorKind::NotFound || walk::is_another_thing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn too_large(what: &str, limit: u64) -> Error {
    let what = format!("the number of {what} to copy for this run (work in place, or on a smaller folder)");
    Error::TooLarge { what, limit }
}
