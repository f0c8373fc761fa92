//! Rights of folders that a scan looks into: a command can take the owner's rights from a folder and what it made there.

use std::ffi::CStr;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{
    Access, AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat, accessat, chmodat, fchmod, fstat, openat, openat2,
    statat,
};
use rustix::io::Errno;

/// Rights of an owner to read, change and search a folder.
const OWN: u32 = 0o700;

/// Gives a folder its former rights back when it goes.
pub struct OpenedUp {
    folder: OwnedFd,
    mode: u32,
}

impl Drop for OpenedUp {
    fn drop(&mut self) {
        // It keeps too many rights for its owner when this fails, and no rights for others.
        let _ = fchmod(&self.folder, Mode::from_raw_mode(self.mode));
    }
}

/// Lets the owner use a folder, if that takes more rights, and opens it.
pub fn open_up(folder: &OwnedFd, name: &CStr, stat: &Stat) -> Option<OpenedUp> {
    let mode = stat.st_mode & 0o7777;
    if mode & OWN == OWN {
        return None;
    }
    // The system has no call that does not follow links; nothing of the command runs any more.
    chmodat(folder, name, Mode::from_raw_mode(mode | OWN), AtFlags::empty()).ok()?;
    Some(OpenedUp { folder: open_folder(folder, name).ok()?, mode })
}

/// [`open_up`] of an open folder.
pub fn open_up_handle(folder: &OwnedFd) -> Option<OpenedUp> {
    let mode = fstat(folder).ok()?.st_mode & 0o7777;
    if mode & OWN == OWN {
        return None;
    }
    fchmod(folder, Mode::from_raw_mode(mode | OWN)).ok()?;
    Some(OpenedUp { folder: folder.try_clone().ok()?, mode })
}

pub fn open_folder(folder: &OwnedFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    openat(folder, name, flags, Mode::empty())
}

/// Whether what an open folder holds can be looked at.
pub fn is_open(folder: &OwnedFd, stat: &Stat) -> bool {
    stat.st_mode & 0o500 == 0o500 || accessat(folder, ".", Access::READ_OK | Access::EXEC_OK, AtFlags::EACCESS).is_ok()
}

/// The folder that holds a path of the workspace, reached through no link.
pub fn folder_of(workspace: &OwnedFd, path: &Path) -> Option<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let parent = path.parent()?;
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    openat2(workspace, parent, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty(), resolve).ok()
}

/// Whether a path of the workspace, without links, is that of something other than a folder.
pub fn is_file(workspace: &OwnedFd, path: &Path) -> bool {
    let stat = statat(workspace, path, AtFlags::SYMLINK_NOFOLLOW);
    stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) != FileType::Directory)
}
