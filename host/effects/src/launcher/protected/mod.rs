//! Protected paths of a workspace: found when a command starts, covered by the sandbox, and taken away at its end if the
//! command made them.
//!
//! The launcher does this itself, before and after all that it starts: it does so even when the host has gone.

mod access;
mod hard_links;
mod links;
mod path;
mod place;
mod quarantine;
mod scan;
mod settings;
mod subfolder;

use std::collections::HashSet;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use fusebox_core::policy::LinkedFiles;
use fusebox_core::protected::{PathMatcher, PathProtection, ProtectedGlobs};
use rustix::fs::{CWD, FileType, Mode, OFlags, openat, readlinkat};

use self::hard_links::Links;
use self::links::{End, Followed};
pub use self::path::ProtectedPath;
use self::place::{Hidden, Identity, KnownLink, Sight, Taken, Visitor};
use self::quarantine::{Known, Quarantine};
use self::scan::{Look, MAX_DEPTH, MAX_ENTRIES, Scan};
use self::settings::{Absent, Named};
pub use self::subfolder::{Reach, exposed_in_copy, is_obeyed, unknown_in};

/// Most protected paths of one workspace: each takes a mount of the sandbox.
const MAX_PATHS: usize = 10_000;

/// Protected paths that were there when a command started.
pub struct Protected {
    workspace: OwnedFd,
    /// Its path, without links.
    root: PathBuf,
    matcher: PathMatcher,
    known: HashSet<Identity>,
    hidden: Hidden,
    unreadable: HashSet<Identity>,
    links: Vec<KnownLink>,
    /// What the settings of repositories name, and is not there.
    absent: Vec<Absent>,
}

impl Protected {
    /// Finds the protected paths of the workspace, which is the current folder, and separates its files from further
    /// names elsewhere.
    ///
    /// # Errors
    /// A message, when the workspace cannot be looked through or holds what the policy refuses.
    pub fn find(globs: &[ProtectedGlobs], links: LinkedFiles) -> Result<(Self, Vec<ProtectedPath>), String> {
        let root = std::env::current_dir().map_err(|error| format!("looking for the workspace: {error}"))?;
        let View { workspace, root, matcher, found, paths, absent } = View::of(root, globs, links, MAX_DEPTH)?;
        let Found { known, hidden, unreadable, kept, links, .. } = found;
        links.copy_those_with_names_outside(&workspace, &paths)?;
        if paths.len() > MAX_PATHS {
            return Err(format!(
                "the workspace holds {} protected paths, and a sandbox covers {MAX_PATHS}; run it in a smaller folder, or \
                 protect fewer in [guards.protected-paths.settings]",
                paths.len()
            ));
        }
        let is_hidden = |path: &&ProtectedPath| path.protection == PathProtection::Hidden;
        let covered = paths.iter().filter(is_hidden).map(|path| PathBuf::from(&path.path)).collect();
        let hidden = Hidden { entries: hidden, paths: covered };
        Ok((Self { workspace, root, matcher, known, hidden, unreadable, links: kept, absent }, paths))
    }

    /// Takes away the protected paths that were made since, by renaming them: they may belong to others, and removing
    /// a large folder has no bound in time. Gives a message about them, if there were any.
    pub fn quarantine(self) -> Option<String> {
        let Self { workspace, root, matcher, known, hidden, unreadable, links, absent } = self;
        let mut quarantine =
            Quarantine::new(&workspace, &root, Known { entries: &known, hidden: &hidden, unreadable: &unreadable });
        let scan = Scan {
            matcher: &matcher,
            visitor: &mut quarantine,
            look: Look::After,
            workspace: &workspace,
            root: &root,
            reach: MAX_DEPTH,
            left: MAX_ENTRIES,
            followed: HashSet::new(),
        };
        if let Err(error) = scan.run() {
            quarantine.not_seen(&error.to_string());
        }
        for link in &links {
            quarantine.put_back(&workspace, link);
        }
        for absent in &absent {
            quarantine.take_made(absent, &links);
        }
        quarantine.describe()
    }
}

/// A workspace, looked through and not changed.
struct View {
    workspace: OwnedFd,
    root: PathBuf,
    matcher: PathMatcher,
    found: Found,
    paths: Vec<ProtectedPath>,
    /// What the settings of repositories name, and is not there.
    absent: Vec<Absent>,
}

impl View {
    /// Looks through a folder, whose path is without links. Below [`MAX_DEPTH`], only folders less deep than `reach` are looked
    /// into, and settings of the repositories in there do not count.
    fn of(root: PathBuf, globs: &[ProtectedGlobs], links: LinkedFiles, reach: usize) -> Result<Self, String> {
        let failed = |error: rustix::io::Errno| format!("looking through {}: {error}", root.display());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let workspace = openat(CWD, &root, flags, Mode::empty()).map_err(failed)?;
        let matcher = PathMatcher::new(globs);
        let mut found = Found {
            paths: Vec::new(),
            known: HashSet::new(),
            hidden: HashSet::new(),
            unreadable: HashSet::new(),
            repositories: Vec::new(),
            kept: Vec::new(),
            absent: Vec::new(),
            links: Links::new(links),
        };
        let look = Look::Before { files: links != LinkedFiles::Allow };
        let scan = Scan {
            matcher: &matcher,
            visitor: &mut found,
            look,
            workspace: &workspace,
            root: &root,
            reach,
            left: MAX_ENTRIES,
            followed: HashSet::new(),
        };
        scan.run().map_err(failed)?;
        let repositories = if reach == MAX_DEPTH { found.repositories.as_slice() } else { &[] };
        let Named { present, absent, links } = settings::named(&workspace, &root, repositories)?.without(&matcher);
        // Also those that lead elsewhere: a command could put a folder of its own in their place.
        for link in links {
            found.passed(&workspace, &link);
        }
        found.absent.extend(absent);
        for path in present {
            // The folder of the settings themselves, or of a working tree, is not what they name.
            if found.repositories.iter().any(|repository| repository.starts_with(&path)) {
                continue;
            }
            found.target(&path);
            // Links in a folder lead out of it.
            let scan = Scan {
                matcher: &matcher,
                visitor: &mut found,
                look,
                workspace: &workspace,
                root: &root,
                reach,
                left: MAX_ENTRIES,
                followed: HashSet::new(),
            };
            scan.run_within(&path);
            found.paths.push(ProtectedPath { path: path.into(), protection: PathProtection::ReadOnly });
        }
        let absent = std::mem::take(&mut found.absent);
        for Absent { place, .. } in &absent {
            found.paths.extend(folders_above(place).filter(|folder| root.join(&folder.path).is_dir()));
        }
        let mut paths = strictest(std::mem::take(&mut found.paths));
        paths.extend(found.links.further_names(&paths));
        Ok(Self { workspace, root, matcher, found, paths, absent })
    }
}

/// Each path once, as strictly protected as anywhere in the list.
fn strictest(mut paths: Vec<ProtectedPath>) -> Vec<ProtectedPath> {
    paths.sort_by(|one, other| (&one.path, other.protection).cmp(&(&other.path, one.protection)));
    paths.dedup_by(|one, other| one.path == other.path);
    paths
}

/// The folders above a path, to be kept from being moved with it.
fn folders_above(path: &Path) -> impl Iterator<Item = ProtectedPath> + '_ {
    let above = path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
    above.map(|folder| ProtectedPath { path: folder.into(), protection: PathProtection::Repository })
}

/// Collects what is there before a command.
struct Found {
    paths: Vec<ProtectedPath>,
    known: HashSet<Identity>,
    hidden: HashSet<Identity>,
    unreadable: HashSet<Identity>,
    repositories: Vec<PathBuf>,
    /// Links that are protected themselves.
    kept: Vec<KnownLink>,
    /// What links of protected folders lead to, and is not there.
    absent: Vec<Absent>,
    links: Links,
}

impl Found {
    fn cover(&mut self, sight: &Sight<'_>, protection: PathProtection) {
        if !sight.path.as_os_str().is_empty() {
            self.paths.push(ProtectedPath { path: sight.path.as_os_str().to_owned(), protection });
        }
    }
}

impl Visitor for Found {
    fn protected(&mut self, sight: &Sight<'_>, protection: PathProtection) -> Taken {
        self.known.insert(sight.identity());
        if protection == PathProtection::Hidden {
            self.hidden.insert(sight.identity());
        }
        self.cover(sight, protection);
        if sight.kind() == FileType::Symlink
            && let Ok(target) = readlinkat(sight.folder, sight.name, Vec::new())
        {
            self.kept.push(KnownLink { path: sight.path.to_owned(), target, is_named: true });
        }
        // A file of that name stands for a repository elsewhere, and makes its folder a working tree.
        if protection == PathProtection::Repository || sight.name == c".git" {
            self.repositories.push(sight.path.to_owned());
        }
        Taken::No
    }

    fn target(&mut self, path: &Path) {
        self.paths.extend(folders_above(path));
    }

    fn passed(&mut self, workspace: &OwnedFd, link: &Path) {
        if let Some(folder) = access::folder_of(workspace, link)
            && let Some(name) = link.file_name()
            && let Ok(target) = readlinkat(&folder, name, Vec::new())
        {
            self.paths.extend(folders_above(link));
            self.kept.push(KnownLink { path: link.to_owned(), target, is_named: false });
        }
    }

    fn dangling(&mut self, workspace: &OwnedFd, path: &Path, followed: Followed) {
        for link in &followed.links {
            self.passed(workspace, link);
        }
        if let End::Absent(place) = followed.end {
            self.absent.push(Absent { path: path.to_owned(), place, may_be_folder: true });
        }
    }

    fn holder(&mut self, sight: &Sight<'_>) {
        // It may be changed, but neither moved nor replaced.
        self.cover(sight, PathProtection::Repository);
    }

    fn repository_layout(&mut self, _: &OwnedFd, sight: &Sight<'_>, _: bool) {
        self.protected(sight, PathProtection::Repository);
    }

    fn too_deep(&mut self, sight: &Sight<'_>, _: &OwnedFd) {
        self.protected(sight, PathProtection::Hidden);
    }

    fn plain_link(&mut self, sight: &Sight<'_>) {
        self.known.insert(sight.identity());
    }

    fn linked(&mut self, sight: &Sight<'_>, protection: Option<PathProtection>) {
        self.links.add(sight, protection);
    }

    fn unreadable(&mut self, sight: &Sight<'_>) {
        // The command may be able to give itself the right to read it.
        self.unreadable.insert(sight.identity());
        self.protected(sight, PathProtection::Hidden);
    }

    fn was_unreadable(&self, _: &Sight<'_>) -> bool {
        false
    }

    fn is_new(&self, _: &Sight<'_>) -> bool {
        false
    }

    fn moved_up(&mut self) -> Option<CString> {
        None
    }

    fn may_be_hidden(&self, _: u64) -> bool {
        false
    }

    fn strayed(&mut self, _: &Sight<'_>) -> bool {
        false
    }
}
