//! Looking through a workspace for protected paths.

use std::collections::HashSet;
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use fusebox_core::protected::{PackageFolders, PathMatcher, PathProtection};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, fstat, openat, statat};
use rustix::io::Errno;

use super::access::{self, open_folder};
use super::links::{self, Resolved};
use super::place::{Place, Sight, Taken, Visitor};

/// Deepest folder that is looked into. No step can name anything deeper.
pub const MAX_DEPTH: usize = 128;
/// Most bytes of the path of a folder that is looked into: what it holds can be named by one path of the system.
const MAX_PATH: usize = 3584;
/// Most links that lead from one to another.
const MAX_LINKS: usize = 2;
/// Most entries of folders that are read for what links lead to, in one look.
pub const MAX_ENTRIES: u32 = 200_000;
/// Name by which the globs know a repository, for folders that are one by what they hold.
const REPOSITORY: &str = ".git";
/// Folders of a repository that hold data alone, and much of it.
const DATA: [&[u8]; 2] = [b"objects", b"lfs"];
/// Fewest characters of a name that is a digest.
const DIGEST: usize = 30;

/// When a scan takes place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Before a command; `files` says whether files are looked at for further names.
    Before { files: bool },
    /// After it, when nothing of it runs any more.
    After,
}

/// One look through a workspace.
pub struct Scan<'a, V> {
    pub matcher: &'a PathMatcher,
    pub visitor: &'a mut V,
    pub look: Look,
    pub workspace: &'a OwnedFd,
    /// The workspace's path, without links.
    pub root: &'a Path,
    /// Folders at this depth are not looked into; [`MAX_DEPTH`] for all.
    pub reach: usize,
    /// Entries of folders that may still be read for what links lead to.
    pub left: u32,
    /// Folders to which links from protected folders led so far: device, number, and whether it is hidden.
    pub followed: HashSet<(u64, u64, bool)>,
}

/// What a link leads to.
struct Target {
    /// The folder that holds it.
    parent: OwnedFd,
    handle: OwnedFd,
    path: PathBuf,
    /// Links on the way, the first one included.
    links: Vec<PathBuf>,
}

struct Entry {
    name: CString,
    kind: FileType,
    /// Number of the file, as its folder has it.
    number: u64,
}

impl<V: Visitor> Scan<'_, V> {
    /// Looks through all folders of the workspace.
    ///
    /// # Errors
    /// When the workspace itself cannot be read; folders below that cannot be are left to the visitor.
    pub fn run(mut self) -> Result<(), Errno> {
        let top = Place::default();
        let stat = fstat(self.workspace)?;
        let own = Sight::new(self.workspace, c".", Path::new(""), &stat, self.matcher, &top);
        let opened_up = self.look == Look::After;
        let _opened_up = opened_up.then(|| access::open_up_handle(self.workspace)).flatten();
        let folder = open_folder(self.workspace, c".")?;
        self.folder(&folder, &own, top.clone())?;
        // Each of them came from the deepest folders, and is less deep by now.
        while let Some(name) = self.visitor.moved_up() {
            self.entry(
                &folder,
                &Entry { name, kind: FileType::Directory, number: 0 },
                &Place { within_taken: true, ..top.clone() },
            );
        }
        Ok(())
    }

    /// Looks through a folder that is read-only for a reason other than its name, for what links in there lead to.
    pub fn run_within(mut self, path: &Path) {
        let known_as = path.to_string_lossy().into_owned();
        let inherited = Some(PathProtection::ReadOnly);
        let place = Place { path: path.to_owned(), known_as, inherited, ..Place::default() };
        let Some(parent) = access::folder_of(self.workspace, path) else { return };
        let Some(name) = path.file_name().and_then(|name| CString::new(name.as_bytes()).ok()) else { return };
        let (Ok(stat), Ok(folder)) = (statat(&parent, &*name, AtFlags::SYMLINK_NOFOLLOW), open_folder(&parent, &name))
        else {
            return;
        };
        // It is read-only, whether all of it was seen or not.
        let _ = self.folder(&folder, &Sight::new(&parent, &name, path, &stat, self.matcher, &place), place.clone());
    }

    fn folder(&mut self, folder: &OwnedFd, own: &Sight<'_>, mut place: Place) -> Result<(), Errno> {
        let entries = entries(folder)?;
        if !place.is_repository && !place.is_hidden() && is_laid_out_as_repository(&entries) {
            let as_repository = self.matcher.protection(&place.known_as, REPOSITORY, true, &place.packages);
            if as_repository == Some(PathProtection::Repository) {
                self.visitor.repository_layout(folder, own, place.within_taken);
                place.known_as = join(&place.known_as, REPOSITORY);
                place.is_repository = true;
            }
        }
        for entry in entries {
            // Digests match no glob, and a repository holds many.
            let is_data = place.is_data && entry.kind == FileType::RegularFile && is_digest(entry.name.to_bytes());
            if !is_data || self.looks_at_files() {
                self.entry(folder, &entry, &place);
            }
        }
        Ok(())
    }

    fn looks_at_files(&self) -> bool {
        self.look == Look::Before { files: true }
    }

    fn entry(&mut self, folder: &OwnedFd, entry: &Entry, place: &Place) {
        let name = String::from_utf8_lossy(entry.name.to_bytes());
        let is_folder = entry.kind == FileType::Directory;
        // What is hidden is covered with its folder.
        let by_name = || self.matcher.protection(&place.known_as, &name, is_folder, &place.packages);
        let protection = if place.is_hidden() { None } else { by_name() };
        let is_plain = !is_folder && entry.kind != FileType::Symlink;
        let may_stray = protection.is_none() && self.visitor.may_be_hidden(entry.number);
        let looks_at_files = self.looks_at_files() || place.inherited.is_some();
        if protection.is_none() && is_plain && !looks_at_files && !may_stray {
            return;
        }
        // What is gone meanwhile needs no protection.
        let Ok(stat) = statat(folder, &*entry.name, AtFlags::SYMLINK_NOFOLLOW) else { return };
        let path = place.path.join(OsStr::from_bytes(entry.name.to_bytes()));
        let sight = Sight::new(folder, &entry.name, &path, &stat, self.matcher, place);
        if may_stray && self.visitor.strayed(&sight) {
            return;
        }
        match sight.kind() {
            FileType::Directory => self.below(&sight, &name, protection, place),
            FileType::Symlink => self.link(&sight, &name, protection, place),
            kind => {
                if kind == FileType::RegularFile && looks_at_files && stat.st_nlink > 1 {
                    self.visitor.linked(&sight, protection.max(place.inherited));
                }
                // A repository that is a file names the folder of one.
                if let Some(protection) = protection {
                    self.visitor.protected(&sight, protection.max(PathProtection::ReadOnly));
                }
            }
        }
    }

    /// A folder, and all below it.
    fn below(&mut self, sight: &Sight<'_>, name: &str, protection: Option<PathProtection>, place: &Place) {
        if self.visitor.was_unreadable(sight) {
            return;
        }
        // Opened before it may be renamed.
        let is_after = self.look == Look::After;
        let opened_up = is_after.then(|| access::open_up(sight.folder, sight.name, sight.stat)).flatten();
        let opened = open_folder(sight.folder, sight.name);
        let is_open = opened.as_ref().is_ok_and(|opened| opened_up.is_some() || access::is_open(opened, sight.stat));
        let taken = match protection {
            Some(protection) => self.visitor.protected(sight, protection),
            None => Taken::No,
        };
        if taken == Taken::No && protection == Some(PathProtection::Hidden) && is_after {
            return;
        }
        let is_hidden = place.is_hidden();
        if protection.is_none() && !is_hidden && self.matcher.is_holder(&place.known_as, name, &place.packages) {
            self.visitor.holder(sight);
        }
        let name = match &taken {
            Taken::Away(name) => name.as_str(),
            Taken::No | Taken::Failed => name,
        };
        match opened {
            _ if place.depth >= self.reach && self.reach < MAX_DEPTH => {}
            _ if is_hidden && (opened.is_err() || !is_open || place.depth >= MAX_DEPTH) => {}
            Ok(_) if place.depth >= MAX_DEPTH || sight.path.as_os_str().len() > MAX_PATH => {
                self.visitor.too_deep(sight, self.workspace);
            }
            Ok(opened) if is_open => {
                let is_repository = protection == Some(PathProtection::Repository) && taken == Taken::No;
                let below = Place {
                    path: sight.path.to_owned(),
                    known_as: join(&place.known_as, name),
                    packages: self.matcher.entered(&place.known_as, name, &place.packages),
                    depth: place.depth + 1,
                    links: place.links,
                    is_repository,
                    is_data: place.is_data || (place.is_repository && DATA.contains(&sight.name.to_bytes())),
                    within_taken: place.within_taken || matches!(taken, Taken::Away(_)),
                    inherited: self.inherited(protection, place),
                };
                if self.folder(&opened, sight, below).is_err() && !is_hidden {
                    self.visitor.unreadable(sight);
                }
            }
            _ => self.visitor.unreadable(sight),
        }
        drop(opened_up);
    }

    /// What all in a folder is protected as, before a command: afterwards, all in there is as it was.
    fn inherited(&self, protection: Option<PathProtection>, place: &Place) -> Option<PathProtection> {
        let strict = protection.filter(|protection| *protection > PathProtection::Repository);
        if self.look == Look::After { None } else { strict.max(place.inherited) }
    }

    /// A link protects what it leads to: programs that follow it find that under the name of the link. So does a link in a
    /// protected folder, whatever its name is.
    fn link(&mut self, sight: &Sight<'_>, name: &str, protection: Option<PathProtection>, place: &Place) {
        let is_holder = !place.is_hidden() && self.matcher.is_holder(&place.known_as, name, &place.packages);
        if protection.is_none() && !is_holder && place.inherited.is_none() {
            if self.look != Look::After {
                self.visitor.plain_link(sight);
            } else if self.leads_out_of_packages(sight, name, place) {
                self.visitor.protected(sight, PathProtection::Hidden);
            }
            return;
        }
        // One in a protected folder stays as it is by that.
        let is_kept = place.inherited.is_some();
        if !is_kept && self.visitor.protected(sight, protection.unwrap_or(PathProtection::ReadOnly)) != Taken::No {
            return;
        }
        let Some(Target { parent, handle, path, links }) = self.target(sight) else {
            let followed = links::follow(self.workspace, self.root, sight.path);
            return self.visitor.dangling(self.workspace, sight.path, followed);
        };
        let Some(own_name) = path.file_name().and_then(|name| CString::new(name.as_bytes()).ok()) else { return };
        let Ok(stat) = fstat(&handle) else { return };
        // The first one is this.
        for link in links.iter().skip(1) {
            self.visitor.passed(self.workspace, link);
        }
        self.visitor.target(&path);
        let sight = Sight::new(&parent, &own_name, &path, &stat, self.matcher, place);
        let is_folder = sight.kind() == FileType::Directory;
        let protection = protection.max(place.inherited);
        if let Some(protection) = protection {
            let protection = if is_folder { protection } else { protection.max(PathProtection::ReadOnly) };
            self.visitor.protected(&sight, protection);
            if sight.kind() == FileType::RegularFile && stat.st_nlink > 1 && self.look != Look::After {
                self.visitor.linked(&sight, Some(protection));
            }
        }
        let inherited = self.inherited(protection, place);
        let is_first = inherited.is_none_or(|_| {
            self.followed.insert((stat.st_dev, stat.st_ino, protection == Some(PathProtection::Hidden)))
        });
        let is_enough = if inherited.is_none() { place.links >= MAX_LINKS } else { !is_first };
        if is_enough || !is_folder || place.depth >= MAX_DEPTH {
            return;
        }
        let is_after = self.look == Look::After;
        if is_after && protection == Some(PathProtection::Hidden) {
            return;
        }
        let _opened_up = is_after.then(|| access::open_up(sight.folder, sight.name, sight.stat)).flatten();
        let Ok(opened) = open_folder(&handle, c".") else { return self.visitor.unreadable(&sight) };
        let below = Place {
            path: path.clone(),
            known_as: join(&place.known_as, name),
            packages: self.matcher.entered(&place.known_as, name, &place.packages),
            depth: place.depth + 1,
            links: place.links + 1,
            is_repository: protection == Some(PathProtection::Repository),
            is_data: false,
            within_taken: false,
            inherited,
        };
        // It is found at its own place as well, and named there.
        let _ = self.folder(&opened, &sight, below);
    }

    /// Target of a link, when it lies in the workspace.
    fn target(&self, sight: &Sight<'_>) -> Option<Target> {
        let Resolved { path, links } = links::resolve(self.workspace, self.root, sight.path)?;
        let parent = access::folder_of(self.workspace, &path)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = openat(&parent, path.file_name()?, flags, Mode::empty()).ok()?;
        Some(Target { parent, handle, path, links })
    }

    /// Whether a link that the command made leads from outside of installed packages to protected names among them,
    /// which do not count where they are.
    fn leads_out_of_packages(&mut self, sight: &Sight<'_>, name: &str, place: &Place) -> bool {
        if !self.visitor.is_new(sight) {
            return false;
        }
        let Some(Target { handle, path, .. }) = self.target(sight) else { return false };
        let mut packages = PackageFolders::default();
        let mut known_as = String::new();
        for part in path.components().map(|part| part.as_os_str().to_string_lossy()) {
            packages = self.matcher.entered(&known_as, &part, &packages);
            known_as = join(&known_as, &part);
        }
        // By its own name, the link may be such a folder.
        let here = self.matcher.entered(&place.known_as, name, &place.packages);
        let is_outside = here == packages || packages == PackageFolders::default();
        let below = Place { path, known_as: join(&place.known_as, name), packages: here, ..place.clone() };
        !is_outside && holds_protected(self.matcher, &handle, &below, MAX_DEPTH, &mut self.left)
    }
}

/// Whether a folder holds protected names, as seen from a place. What is too much to be looked through counts as such.
fn holds_protected(matcher: &PathMatcher, folder: &OwnedFd, place: &Place, depth: usize, left: &mut u32) -> bool {
    if *left == 0 {
        return true;
    }
    let folder = match open_folder(folder, c".") {
        Ok(folder) => folder,
        // What cannot be looked into counts as protected; a file holds nothing.
        Err(error) => return error != Errno::NOTDIR,
    };
    let Ok(entries) = entries(&folder) else { return true };
    *left = left.saturating_sub(u32::try_from(entries.len()).unwrap_or(u32::MAX));
    *left == 0
        || entries.iter().any(|entry| {
            let name = String::from_utf8_lossy(entry.name.to_bytes());
            let is_folder = entry.kind == FileType::Directory;
            if matcher.protection(&place.known_as, &name, is_folder, &place.packages).is_some() {
                return true;
            }
            // Another link leads on, to what is not seen from here.
            let leads_on = entry.kind == FileType::Symlink
                && statat(&folder, &*entry.name, AtFlags::empty())
                    .map_or(true, |stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory);
            if leads_on || matcher.is_holder(&place.known_as, &name, &place.packages) {
                return true;
            }
            let packages = matcher.entered(&place.known_as, &name, &place.packages);
            if !is_folder || packages != place.packages {
                return false;
            }
            let Some(depth) = depth.checked_sub(1) else { return true };
            let Ok(opened) = open_folder(&folder, &entry.name) else { return true };
            holds_protected(
                matcher,
                &opened,
                &Place { known_as: join(&place.known_as, &name), packages, ..place.clone() },
                depth,
                left,
            )
        })
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
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
        entries.push(Entry { name: entry.file_name().to_owned(), kind, number: entry.ino() });
    }
    Ok(entries)
}

fn is_digest(name: &[u8]) -> bool {
    name.len() >= DIGEST && name.iter().all(u8::is_ascii_hexdigit)
}

/// Whether Git takes a folder for a repository: it holds `HEAD`, and either objects and references, or a file that
/// names the folder which does (`is_git_directory`, setup.c).
fn is_laid_out_as_repository(entries: &[Entry]) -> bool {
    let has = |name: &CStr| entries.iter().any(|entry| *entry.name == *name);
    has(c"HEAD") && (has(c"commondir") || (has(c"objects") && has(c"refs")))
}
