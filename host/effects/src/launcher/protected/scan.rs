//! Looking through a workspace for protected paths.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use fusebox_core::protected::{PackageFolders, PathMatcher, PathProtection};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, openat, statat};
use rustix::io::Errno;

/// Deepest folder that is looked into. No step can name anything deeper.
const MAX_DEPTH: usize = 128;
/// Name by which the globs know a repository, for folders that are one by what they hold.
const REPOSITORY: &str = ".git";
/// Folders of a repository that hold data alone, and much of it.
const DATA: [&[u8]; 2] = [b"objects", b"lfs"];

/// An entry that was found.
pub struct Sight<'a> {
    /// Folder that holds it, or the workspace for the workspace itself.
    pub folder: &'a OwnedFd,
    /// Its name in the folder.
    pub name: &'a CStr,
    /// Relative to the workspace.
    pub path: &'a Path,
    pub stat: &'a Stat,
}

impl Sight<'_> {
    pub fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }

    pub fn identity(&self) -> Identity {
        // A mount keeps files and folders in their places. Links and sockets can be moved, so their place counts.
        let is_kept = matches!(self.kind(), FileType::RegularFile | FileType::Directory);
        let place = (!is_kept).then(|| self.path.to_owned());
        Identity { device: self.stat.st_dev, inode: self.stat.st_ino, place }
    }
}

/// Identity of an entry, as long as it cannot be removed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    device: u64,
    inode: u64,
    place: Option<PathBuf>,
}

/// Whether a path was taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    Yes,
    No,
}

/// Callbacks of a scan.
pub trait Visitor {
    /// A path that a glob protects. Returns whether it was taken away, by another name.
    fn protected(&mut self, sight: Sight<'_>, protection: PathProtection) -> Taken;
    /// A folder that is laid out like a repository, whatever its name is (gitrepository-layout(5)): Git obeys it when it
    /// is started there. `folder` is the folder itself; `within` says whether it lies in what was taken away, or is that.
    fn repository_layout(&mut self, folder: &OwnedFd, sight: Sight<'_>, within: Taken);
    /// A folder that is too deep to be looked into.
    fn too_deep(&mut self, sight: Sight<'_>);
    /// A file with further names.
    fn linked(&mut self, sight: Sight<'_>, protection: Option<PathProtection>);
    /// A folder that cannot be opened.
    fn unreadable(&mut self, sight: Sight<'_>);
}

/// One look through a workspace.
pub struct Scan<'a, V> {
    pub matcher: &'a PathMatcher,
    pub visitor: &'a mut V,
    /// Whether files are looked at for further names.
    pub stat_files: bool,
}

/// A folder on the way.
struct Place {
    path: PathBuf,
    /// The path by which globs know it: a repository counts as `.git`, whatever its name is.
    known_as: String,
    packages: PackageFolders,
    depth: usize,
    is_repository: bool,
    taken: Taken,
}

struct Entry {
    name: CString,
    kind: FileType,
}

impl<V: Visitor> Scan<'_, V> {
    /// Looks through all folders below an open one.
    ///
    /// # Errors
    /// When that one cannot be read; folders below that cannot be are left to the visitor.
    pub fn run(mut self, workspace: &OwnedFd) -> Result<(), Errno> {
        let place = Place {
            path: PathBuf::new(),
            known_as: String::new(),
            packages: PackageFolders::default(),
            depth: 0,
            is_repository: false,
            taken: Taken::No,
        };
        let folder = open_folder(workspace, c".")?;
        let stat = fstat(&folder)?;
        self.folder(&folder, &Sight { folder: workspace, name: c".", path: Path::new(""), stat: &stat }, place)
    }

    fn folder(&mut self, folder: &OwnedFd, own: &Sight<'_>, mut place: Place) -> Result<(), Errno> {
        let entries = entries(folder)?;
        if place.taken == Taken::Yes {
            if is_laid_out_as_repository(&entries) {
                self.visitor.repository_layout(folder, Sight { ..*own }, Taken::Yes);
            }
        } else if !place.is_repository && is_laid_out_as_repository(&entries) {
            let as_repository = self.matcher.protection(&place.known_as, REPOSITORY, &place.packages);
            if as_repository == Some(PathProtection::Repository) {
                self.visitor.repository_layout(folder, Sight { ..*own }, Taken::No);
                place.known_as = join(&place.known_as, REPOSITORY);
                place.is_repository = true;
            }
        }
        for entry in entries {
            let is_data = place.is_repository && DATA.contains(&entry.name.to_bytes());
            if is_data && !self.stat_files {
                continue;
            }
            self.entry(folder, &entry, &place);
        }
        Ok(())
    }

    fn entry(&mut self, folder: &OwnedFd, entry: &Entry, place: &Place) {
        let name = String::from_utf8_lossy(entry.name.to_bytes());
        let protection = match place.taken {
            Taken::Yes => None,
            Taken::No => self.matcher.protection(&place.known_as, &name, &place.packages),
        };
        let is_folder = entry.kind == FileType::Directory;
        if protection.is_none() && !is_folder && !self.stat_files {
            return;
        }
        // What is gone meanwhile needs no protection.
        let Ok(stat) = statat(folder, &*entry.name, AtFlags::SYMLINK_NOFOLLOW) else { return };
        let path = place.path.join(OsStr::from_bytes(entry.name.to_bytes()));
        let sight = || Sight { folder, name: &entry.name, path: &path, stat: &stat };
        let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        if is_file && self.stat_files && stat.st_nlink > 1 {
            self.visitor.linked(sight(), protection);
        }
        // Opened before it may be renamed.
        let opened = is_folder.then(|| open_folder(folder, &entry.name));
        // A repository that is a file names the folder of one.
        let protection = match protection {
            Some(PathProtection::Repository) if !is_folder => Some(PathProtection::ReadOnly),
            protection => protection,
        };
        let taken = match protection.map(|protection| self.visitor.protected(sight(), protection)) {
            Some(Taken::Yes) => Taken::Yes,
            _ => place.taken,
        };
        if protection == Some(PathProtection::Hidden) && taken == Taken::No {
            return;
        }
        match opened {
            None => {}
            Some(Err(_)) => self.visitor.unreadable(sight()),
            Some(Ok(_)) if place.depth >= MAX_DEPTH => self.visitor.too_deep(sight()),
            Some(Ok(opened)) => {
                let below = Place {
                    path: path.clone(),
                    known_as: join(&place.known_as, &name),
                    packages: self.matcher.entered(&place.known_as, &name, &place.packages),
                    depth: place.depth + 1,
                    is_repository: protection == Some(PathProtection::Repository),
                    taken,
                };
                if self.folder(&opened, &sight(), below).is_err() {
                    self.visitor.unreadable(sight());
                }
            }
        }
    }
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

pub fn open_folder(folder: &OwnedFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    openat(folder, name, flags, Mode::empty())
}

fn entries(folder: &OwnedFd) -> Result<Vec<Entry>, Errno> {
    let mut entries = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        if entry.file_name() == c"." || entry.file_name() == c".." {
            continue;
        }
        let kind = match entry.file_type() {
            // Some file systems do not say.
            FileType::Unknown => match statat(folder, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                Err(_) => continue,
            },
            kind => kind,
        };
        entries.push(Entry { name: entry.file_name().to_owned(), kind });
    }
    Ok(entries)
}

/// Whether Git takes a folder for a repository: it holds `HEAD`, and either objects and references, or a file that
/// names the folder which does (`is_git_directory`, setup.c).
fn is_laid_out_as_repository(entries: &[Entry]) -> bool {
    let has = |name: &CStr| entries.iter().any(|entry| *entry.name == *name);
    has(c"HEAD") && (has(c"commondir") || (has(c"objects") && has(c"refs")))
}
