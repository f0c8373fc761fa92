//! Putting a file in the place of another, all or nothing, and only if the other is still as it was.

use std::cell::Cell;
use std::io::{ErrorKind, Result, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};

use cap_std::fs::{Dir, File, OpenOptions, Permissions};

/// Whether the replaced or removed file had the expected content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swap {
    /// It had.
    Done,
    /// It was not; everything is as it was before.
    Conflict,
}

/// A file beside the one to be replaced; removed when it goes out of scope.
pub struct Temporary<'a> {
    parent: &'a Dir,
    name: String,
    /// The handle that created it: its name is never opened again.
    file: File,
    is_gone: Cell<bool>,
}

fn fresh_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!(".fusebox-{}-{}.tmp", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Removes temporary files that ended processes left in a folder during a write: files with our names whose content
/// `is_known`. A file of another program that was set aside stays, whatever its name.
pub fn sweep(parent: &Dir, is_known: impl Fn(&str) -> bool) -> Result<()> {
    for entry in parent.entries()? {
        let name = entry?.file_name();
        let Some(name) = name.to_str() else { continue };
        let process = name
            .strip_prefix(".fusebox-")
            .and_then(|rest| rest.strip_suffix(".tmp"))
            .and_then(|rest| rest.split_once('-'));
        if let Some((process, _)) = process
            && process.parse().is_ok_and(has_ended)
            && is_known(name)
        {
            parent.remove_file(name)?;
        }
    }
    Ok(())
}

#[cfg(unix)]
fn has_ended(process: i32) -> bool {
    let Some(process) = rustix::process::Pid::from_raw(process) else { return false };
    rustix::process::test_kill_process(process) == Err(rustix::io::Errno::SRCH)
}

#[cfg(not(unix))]
fn has_ended(_: i32) -> bool {
    false
}

impl<'a> Temporary<'a> {
    pub fn create(parent: &'a Dir) -> Result<Self> {
        loop {
            let name = fresh_name();
            match parent.open_with(&name, OpenOptions::new().write(true).create_new(true)) {
                Ok(file) => return Ok(Self { parent, name, file, is_gone: Cell::new(false) }),
                // A leftover of a process with the same id that was killed; the next name is free at some point.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes the content durably, with the mode and owner of the file that it replaces.
    pub fn fill(&self, content: &[u8], name: &str) -> Result<()> {
        (&self.file).write_all(content)?;
        if let Some(metadata) = self.parent.symlink_metadata(name).ok().filter(cap_std::fs::Metadata::is_file) {
            keep_owner(&self.file, &metadata);
            self.file.set_permissions(mode_of(&metadata))?;
        }
        self.file.sync_all()?;
        #[cfg(feature = "failpoints")]
        fusebox_failpoint::reached("file: written beside");
        Ok(())
    }

    /// Replaces a file, or creates it. `is_expected` checks the replaced file, and the exchange is undone when it is
    /// another one: a check before the exchange may come too early.
    pub fn replace(self, name: &str, is_new: bool, is_expected: impl Fn(&str) -> bool) -> Result<Swap> {
        if is_new {
            return match rename_to_nothing(self.parent, &self.name, name) {
                Ok(()) => self.done(),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Swap::Conflict),
                Err(error) => Err(error),
            };
        }
        match exchange(self.parent, &self.name, name) {
            Ok(()) if is_expected(&self.name) => {
                #[cfg(feature = "failpoints")]
                fusebox_failpoint::reached("file: exchanged");
                self.parent.remove_file(&self.name)?;
                self.done()
            }
            Ok(()) => {
                exchange(self.parent, &self.name, name)?;
                Ok(Swap::Conflict)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Swap::Conflict),
            Err(error) if cannot_exchange(&error) => {
                if !is_expected(name) {
                    return Ok(Swap::Conflict);
                }
                self.parent.rename(&self.name, self.parent, name)?;
                self.done()
            }
            Err(error) => Err(error),
        }
    }

    fn done(self) -> Result<Swap> {
        self.is_gone.set(true);
        sync_folder(self.parent);
        Ok(Swap::Done)
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if !self.is_gone.get() {
            // Nothing more can be done about a file that cannot be removed; it is named as ours.
            let _ = self.parent.remove_file(&self.name);
        }
    }
}

/// Removes a file, if it has the expected content.
pub fn remove(parent: &Dir, name: &str, is_expected: impl Fn(&str) -> bool) -> Result<Swap> {
    let aside = fresh_name();
    match rename_to_nothing(parent, name, &aside) {
        Ok(()) if is_expected(&aside) => {
            #[cfg(feature = "failpoints")]
            fusebox_failpoint::reached("file: set aside");
            parent.remove_file(&aside)?;
        }
        Ok(()) => {
            rename_to_nothing(parent, &aside, name)?;
            return Ok(Swap::Conflict);
        }
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Swap::Conflict),
        Err(error) => return Err(error),
    }
    sync_folder(parent);
    Ok(Swap::Done)
}

/// Read, write and execute; bits that give rights to the user who runs the file are not carried over to new content.
fn mode_of(metadata: &cap_std::fs::Metadata) -> Permissions {
    #[cfg(unix)]
    {
        use cap_std::fs::PermissionsExt as _;
        Permissions::from_mode(metadata.permissions().mode() & 0o777)
    }
    #[cfg(not(unix))]
    metadata.permissions()
}

/// Root's new file would otherwise be root's.
fn keep_owner(file: &File, metadata: &cap_std::fs::Metadata) {
    #[cfg(unix)]
    {
        use cap_std::fs::MetadataExt as _;
        use rustix::fs::{Gid, Uid, fchown};
        // Without the right to do this, the owner stays the same anyway.
        let _ = fchown(file, Some(Uid::from_raw(metadata.uid())), Some(Gid::from_raw(metadata.gid())));
    }
    #[cfg(not(unix))]
    let _ = (file, metadata);
}

#[cfg(target_os = "linux")]
fn exchange(dir: &Dir, one: &str, other: &str) -> Result<()> {
    Ok(rustix::fs::renameat_with(dir, one, dir, other, rustix::fs::RenameFlags::EXCHANGE)?)
}

#[cfg(target_os = "linux")]
fn rename_to_nothing(dir: &Dir, from: &str, to: &str) -> Result<()> {
    match rustix::fs::renameat_with(dir, from, dir, to, rustix::fs::RenameFlags::NOREPLACE) {
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => rename_if_free(dir, from, to),
        renamed => Ok(renamed?),
    }
}

#[cfg(not(target_os = "linux"))]
fn exchange(_: &Dir, _: &str, _: &str) -> Result<()> {
    Err(std::io::Error::from(ErrorKind::Unsupported))
}

#[cfg(not(target_os = "linux"))]
fn rename_to_nothing(dir: &Dir, from: &str, to: &str) -> Result<()> {
    rename_if_free(dir, from, to)
}

/// For file systems that cannot do it in one step.
fn rename_if_free(dir: &Dir, from: &str, to: &str) -> Result<()> {
    if dir.symlink_metadata(to).is_ok() {
        return Err(std::io::Error::from(ErrorKind::AlreadyExists));
    }
    dir.rename(from, dir, to)
}

fn cannot_exchange(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::InvalidInput)
}

/// Makes a rename in a folder durable, as far as the platform can.
pub fn sync_folder(dir: &Dir) {
    if let Ok(folder) = dir.open(".") {
        let _ = folder.sync_all();
    }
}
