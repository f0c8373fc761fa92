//! Protected paths of a workspace: found when a command starts, covered by the sandbox, and taken away at its end if the
//! command made them.
//!
//! The launcher does this itself, before and after all that it starts: it does so even when the host has gone.

mod access;
mod git_config;
mod hard_links;
mod links;
mod path;
mod place;
mod quarantine;
mod scan;

use std::collections::HashSet;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use fusebox_core::policy::LinkedFiles;
use fusebox_core::protected::{PathMatcher, PathProtection, ProtectedGlobs};
use rustix::fs::{CWD, Mode, OFlags, openat};

use self::hard_links::Links;
pub use self::path::ProtectedPath;
use self::place::{Identity, Sight, Taken, Visitor};
use self::quarantine::Quarantine;
use self::scan::{Look, Scan};

/// Most protected paths of one workspace: each takes a mount of the sandbox.
const MAX_PATHS: usize = 10_000;

/// Protected paths that were there when a command started.
pub struct Protected {
    workspace: OwnedFd,
    /// Its path, without links.
    root: PathBuf,
    matcher: PathMatcher,
    known: HashSet<Identity>,
    unreadable: HashSet<Identity>,
    /// What the settings of repositories name, and is not there.
    absent: Vec<PathBuf>,
}

impl Protected {
    /// Finds the protected paths of the workspace, which is the current folder, and separates its files from further
    /// names elsewhere.
    ///
    /// # Errors
    /// A message, when the workspace cannot be looked through or holds what the policy refuses.
    pub fn find(globs: &[ProtectedGlobs], links: LinkedFiles) -> Result<(Self, Vec<ProtectedPath>), String> {
        let failed = |error: rustix::io::Errno| format!("looking through the workspace: {error}");
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let workspace = openat(CWD, ".", flags, Mode::empty()).map_err(failed)?;
        let root = std::env::current_dir().map_err(|error| format!("looking for the workspace: {error}"))?;
        let matcher = PathMatcher::new(globs);
        let mut found = Found {
            paths: Vec::new(),
            known: HashSet::new(),
            unreadable: HashSet::new(),
            repositories: Vec::new(),
            links: Links::new(links),
        };
        let look = Look::Before { files: links != LinkedFiles::Allow };
        Scan { matcher: &matcher, visitor: &mut found, look, workspace: &workspace, root: &root }
            .run()
            .map_err(failed)?;
        let Found { mut paths, known, unreadable, repositories, links } = found;
        paths.extend(links.settle(&workspace, &paths)?);
        let mut absent = Vec::new();
        for named in repositories.iter().flat_map(|repository| git_config::named(&workspace, repository)) {
            let protection = PathProtection::ReadOnly;
            match access::is_there(&workspace, &named) {
                true => paths.push(ProtectedPath { path: named.into(), protection }),
                false => absent.push(named),
            }
        }
        if paths.len() > MAX_PATHS {
            return Err(format!(
                "the workspace holds {} protected paths, and a sandbox covers {MAX_PATHS}; run it in a smaller folder, or \
                 protect fewer in [guards.protected-paths.settings]",
                paths.len()
            ));
        }
        Ok((Self { workspace, root, matcher, known, unreadable, absent }, paths))
    }

    /// Takes away the protected paths that were made since, by renaming them: they may belong to others, and removing
    /// a large folder has no bound in time. Gives a message about them, if there were any.
    pub fn quarantine(self) -> Option<String> {
        let Self { workspace, root, matcher, known, unreadable, absent } = self;
        let mut quarantine = Quarantine::new(&known, &unreadable);
        let scan =
            Scan { matcher: &matcher, visitor: &mut quarantine, look: Look::After, workspace: &workspace, root: &root };
        if let Err(error) = scan.run() {
            quarantine.not_seen(&error.to_string());
        }
        for path in absent {
            quarantine.take_path(&workspace, &path);
        }
        quarantine.describe()
    }
}

/// Collects what is there before a command.
struct Found {
    paths: Vec<ProtectedPath>,
    known: HashSet<Identity>,
    unreadable: HashSet<Identity>,
    repositories: Vec<PathBuf>,
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
        self.cover(sight, protection);
        if protection == PathProtection::Repository {
            self.repositories.push(sight.path.to_owned());
        }
        Taken::No
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
}
