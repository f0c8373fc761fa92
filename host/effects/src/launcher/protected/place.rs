//! Places and entries of a workspace that a scan comes by, and what it tells about them.

use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use fusebox_core::protected::{PackageFolders, PathMatcher, PathProtection};
use rustix::fs::{AtFlags, FileType, Stat, StatxFlags, statx};

use super::links::Followed;

/// A folder on the way.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// Relative to the workspace, without links.
    pub path: PathBuf,
    /// The path by which globs know it: that of the link that led here, and `.git` for a repository of another name.
    pub known_as: String,
    pub packages: PackageFolders,
    pub depth: usize,
    /// Links on the way.
    pub links: usize,
    pub is_repository: bool,
    /// Whether it lies among the data of a repository.
    pub is_data: bool,
    /// Whether it lies in what was taken away, or is that.
    pub within_taken: bool,
    /// Protection of the folder in which it lies, which all in there has: links and further names lead out of it.
    pub inherited: Option<PathProtection>,
}

impl Place {
    /// Whether it lies in a folder that is not seen.
    pub fn is_hidden(&self) -> bool {
        self.inherited == Some(PathProtection::Hidden)
    }
}

/// An entry that was found.
pub struct Sight<'a> {
    /// Folder that holds it, or the workspace for the workspace itself.
    pub folder: &'a OwnedFd,
    /// Its name in the folder.
    pub name: &'a CStr,
    /// Relative to the workspace.
    pub path: &'a Path,
    pub stat: &'a Stat,
    matcher: &'a PathMatcher,
    place: &'a Place,
}

impl<'a> Sight<'a> {
    pub fn new(
        folder: &'a OwnedFd,
        name: &'a CStr,
        path: &'a Path,
        stat: &'a Stat,
        matcher: &'a PathMatcher,
        place: &'a Place,
    ) -> Self {
        Self { folder, name, path, stat, matcher, place }
    }

    pub fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }

    pub fn identity(&self) -> Identity {
        // A mount keeps files and folders in their places. Links and sockets can be moved and made again, so their place
        // counts, and the time of their last change, which no program sets.
        let is_kept = matches!(self.kind(), FileType::RegularFile | FileType::Directory);
        let place = (!is_kept).then(|| (self.path.to_owned(), self.stat.st_ctime, self.stat.st_ctime_nsec.into()));
        Identity { device: self.stat.st_dev, inode: self.stat.st_ino, made: self.made(), place }
    }

    /// When it was made, in seconds and nanoseconds, where the file system says so. A file that is replaced leaves its
    /// number to the next one that is made.
    fn made(&self) -> Option<(i64, u32)> {
        let found = statx(self.folder, self.name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BTIME).ok()?;
        let is_said = found.stx_mask & StatxFlags::BTIME.bits() != 0;
        is_said.then_some((found.stx_btime.tv_sec, found.stx_btime.tv_nsec))
    }

    /// Whether it would be protected by another name in the same folder.
    pub fn is_protected_as(&self, name: &str) -> bool {
        let is_folder = self.kind() == FileType::Directory;
        self.matcher.protection(&self.place.known_as, name, is_folder, &self.place.packages).is_some()
    }

    /// Whether it lies in what was taken away, which is named already.
    pub fn is_within_taken(&self) -> bool {
        self.place.within_taken
    }
}

/// Identity of an entry, as long as it cannot be removed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    device: u64,
    inode: u64,
    made: Option<(i64, u32)>,
    place: Option<(PathBuf, i64, i128)>,
}

impl Identity {
    /// Number of the file.
    pub fn number(&self) -> u64 {
        self.inode
    }
}

/// What a command does not see.
pub struct Hidden {
    pub entries: HashSet<Identity>,
    /// Places at which it is covered.
    pub paths: HashSet<PathBuf>,
}

/// A protected link that was there when a command started.
#[derive(Debug, Clone)]
pub struct KnownLink {
    /// Relative to the workspace.
    pub path: PathBuf,
    /// What it holds.
    pub target: CString,
    /// Whether its own name protects it, and not only what it leads to.
    pub is_named: bool,
}

/// Whether a path was taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It has this name now.
    Away(String),
    /// It was there before, or is only looked at.
    No,
    /// It could not be renamed.
    Failed,
}

/// Callbacks of a scan.
pub trait Visitor {
    /// A path that a glob protects, or a link by the name of a folder that holds such paths.
    fn protected(&mut self, sight: &Sight<'_>, protection: PathProtection) -> Taken;
    /// The target of a link that protects it: the folders above it may not be moved.
    fn target(&mut self, path: &Path);
    /// A link on the way to such a target, which stays where it is.
    fn passed(&mut self, workspace: &OwnedFd, link: &Path);
    /// A link that protects what it leads to, and leads to nothing in the workspace.
    fn dangling(&mut self, workspace: &OwnedFd, path: &Path, followed: Followed);
    /// A folder whose name protects what it holds.
    fn holder(&mut self, sight: &Sight<'_>);
    /// A folder that is laid out like a repository, whatever its name is (gitrepository-layout(5)): Git obeys it when it
    /// is started there. `folder` is the folder itself; `within_taken` says whether it lies in what was taken away, or is that.
    fn repository_layout(&mut self, folder: &OwnedFd, sight: &Sight<'_>, within_taken: bool);
    /// A folder that is too deep to be looked into.
    fn too_deep(&mut self, sight: &Sight<'_>, workspace: &OwnedFd);
    /// A link that protects nothing.
    fn plain_link(&mut self, sight: &Sight<'_>);
    /// A file with further names.
    fn linked(&mut self, sight: &Sight<'_>, protection: Option<PathProtection>);
    /// A folder that cannot be looked into.
    fn unreadable(&mut self, sight: &Sight<'_>);
    /// Whether a folder could not be looked into when the command started.
    fn was_unreadable(&self, sight: &Sight<'_>) -> bool;
    /// Whether the command made a link.
    fn is_new(&self, sight: &Sight<'_>) -> bool;
    /// Name of a folder that was too deep, and was moved into the workspace itself.
    fn moved_up(&mut self) -> Option<CString>;
    /// Whether an entry of this number may be one that commands do not see.
    fn may_be_hidden(&self, number: u64) -> bool;
    /// An entry at an unprotected place that may be one that commands do not see: its folder was moved to where its name
    /// protects nothing. Returns whether it was one.
    fn strayed(&mut self, sight: &Sight<'_>) -> bool;
}
