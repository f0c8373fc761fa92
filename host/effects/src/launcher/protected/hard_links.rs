//! Files with further names: a protected file is protected under all of them, and a file with names elsewhere is copied,
//! so that a command does not change what lies outside of the workspace.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use fusebox_core::policy::LinkedFiles;
use fusebox_core::protected::PathProtection;
use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, Uid, fchmod, fchown, fstat, futimens, openat,
    openat2, renameat, unlinkat,
};
use rustix::io::Errno;

use super::path::ProtectedPath;
use super::place::Sight;

/// Most bytes that are copied for one command.
const MAX_BYTES: u64 = 4 * 1024 * 1024 * 1024;

/// Files with further names, as they are found.
pub struct Links {
    rule: LinkedFiles,
    files: BTreeMap<(u64, u64), LinkedFile>,
}

struct LinkedFile {
    /// Names that the file has, here and elsewhere.
    names: u64,
    size: u64,
    here: Vec<(PathBuf, Option<PathProtection>)>,
}

impl Links {
    pub fn new(rule: LinkedFiles) -> Self {
        Self { rule, files: BTreeMap::new() }
    }

    #[allow(clippy::useless_conversion, reason = "the number is narrower on other processors")]
    pub fn add(&mut self, sight: &Sight<'_>, protection: Option<PathProtection>) {
        let stat = sight.stat;
        let file = self.files.entry((stat.st_dev, stat.st_ino)).or_insert_with(|| LinkedFile {
            names: u64::from(stat.st_nlink),
            size: u64::try_from(stat.st_size).unwrap_or(0),
            here: Vec::new(),
        });
        file.here.push((sight.path.to_owned(), protection));
    }

    /// The names of protected files under which these would not be protected.
    pub fn further_names(&self, protected: &[ProtectedPath]) -> Vec<ProtectedPath> {
        let further = |file: &LinkedFile| {
            let protection = file.protection(protected);
            let others = file.here.iter().filter(|(_, own)| *own < protection).map(|(path, _)| path.clone().into());
            protection.map(|protection| others.map(|path| ProtectedPath { path, protection }).collect::<Vec<_>>())
        };
        self.files.values().filter_map(further).flatten().collect()
    }

    /// Copies files with names outside, other than protected ones, which cannot be changed.
    pub fn copy_those_with_names_outside(self, workspace: &OwnedFd, protected: &[ProtectedPath]) -> Result<(), String> {
        let device = fstat(workspace).map_err(|error| error.to_string())?.st_dev;
        let mut bytes: u64 = 0;
        for ((on, _), file) in self.files {
            // Other file systems cannot be changed in the sandbox.
            if file.here.len() as u64 >= file.names || on != device || file.protection(protected).is_some() {
                continue;
            }
            let Some((first, _)) = file.here.first() else { continue };
            if self.rule == LinkedFiles::Refuse {
                return Err(format!(
                    "{} has a further name outside of the workspace, and a command could change it there; set \
                     process.linked_files to \"copy\" or \"allow\"",
                    first.display()
                ));
            }
            for (path, _) in &file.here {
                bytes = bytes.saturating_add(file.size);
                if bytes > MAX_BYTES {
                    return Err(format!(
                        "files with further names outside of the workspace, such as {}, have more than {MAX_BYTES} bytes \
                         in all, too many to copy; set process.linked_files to \"allow\" to let commands change them",
                        path.display()
                    ));
                }
                separate(workspace, path)
                    .map_err(|error| format!("copying {}, which has a further name: {error}", path.display()))?;
            }
        }
        Ok(())
    }
}

impl LinkedFile {
    /// The strictest protection of its names.
    fn protection(&self, protected: &[ProtectedPath]) -> Option<PathProtection> {
        let is_below_read_only = |path: &Path| {
            protected.iter().any(|found| found.protection == PathProtection::ReadOnly && path.starts_with(&found.path))
        };
        let of = |(path, own): &(PathBuf, Option<PathProtection>)| {
            (*own).or_else(|| is_below_read_only(path).then_some(PathProtection::ReadOnly))
        };
        self.here.iter().filter_map(of).max()
    }
}

/// Replaces one name of a file by a copy of the file.
fn separate(workspace: &OwnedFd, path: &Path) -> Result<(), Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let folder =
        openat2(workspace, parent, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty(), resolve)?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(&folder, name, flags, Mode::empty())?;
    let stat = fstat(&file)?;
    let aside = format!(".fusebox-copy-{}", fastrand::u64(..));
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let copy = openat(&folder, &*aside, flags, Mode::RUSR | Mode::WUSR)?;
    let filled = fill(file, &stat, copy).and_then(|()| renameat(&folder, &*aside, &folder, name));
    if filled.is_err() {
        let _ = unlinkat(&folder, &*aside, AtFlags::empty());
    }
    filled
}

/// Copies content, owner, rights and times. Rights of set-user-id go.
fn fill(file: OwnedFd, stat: &Stat, copy: OwnedFd) -> Result<(), Errno> {
    let code = |error: std::io::Error| error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error);
    let (mut from, mut to) = (File::from(file), File::from(copy));
    std::io::copy(&mut from, &mut to).map_err(code)?;
    fchown(&to, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    fchmod(&to, Mode::from_raw_mode(stat.st_mode & 0o777))?;
    let time = |seconds, nanoseconds| Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let (accessed, modified) = (stat.st_atime, stat.st_mtime);
    let nanoseconds = |part| i64::try_from(part).unwrap_or(0);
    futimens(
        &to,
        &Timestamps {
            last_access: time(accessed, nanoseconds(stat.st_atime_nsec)),
            last_modification: time(modified, nanoseconds(stat.st_mtime_nsec)),
        },
    )
}
