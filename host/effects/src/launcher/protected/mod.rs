//! Protected paths of a workspace: found when a command starts, covered by the sandbox, and taken away at its end if the
//! command made them.
//!
//! The launcher does this itself, before and after all that it starts: it does so even when the host has gone.

mod hard_links;
mod path;
mod quarantine;
mod scan;

use std::collections::HashSet;
use std::os::fd::OwnedFd;

use fusebox_core::policy::LinkedFiles;
use fusebox_core::protected::{PathMatcher, PathProtection, ProtectedGlobs};
use rustix::fs::{CWD, Mode, OFlags, openat};

use self::hard_links::Links;
pub use self::path::ProtectedPath;
use self::quarantine::Quarantine;
use self::scan::{Identity, Scan, Sight, Taken, Visitor};

/// Most protected paths of one workspace: each takes a mount of the sandbox.
const MAX_PATHS: usize = 10_000;

/// Protected paths that were there when a command started.
pub struct Protected {
    workspace: OwnedFd,
    matcher: PathMatcher,
    known: HashSet<Identity>,
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
        let matcher = PathMatcher::new(globs);
        let mut found = Found { paths: Vec::new(), known: HashSet::new(), links: Links::new(links) };
        Scan { matcher: &matcher, visitor: &mut found, stat_files: links != LinkedFiles::Allow }
            .run(&workspace)
            .map_err(failed)?;
        let Found { mut paths, known, links } = found;
        paths.extend(links.settle(&workspace, &paths)?);
        if paths.len() > MAX_PATHS {
            return Err(format!(
                "the workspace holds {} protected paths, and a sandbox covers {MAX_PATHS}; run it in a smaller folder, or \
                 protect fewer in [guards.protected-paths.settings]",
                paths.len()
            ));
        }
        Ok((Self { workspace, matcher, known }, paths))
    }

    /// Takes away the protected paths that were made since, by renaming them: they may belong to others, and removing
    /// a large folder has no bound in time. Gives a message about them, if there were any.
    pub fn quarantine(self) -> Option<String> {
        let Self { workspace, matcher, known } = self;
        let mut quarantine = Quarantine::new(&known);
        let scan = Scan { matcher: &matcher, visitor: &mut quarantine, stat_files: false };
        if let Err(error) = scan.run(&workspace) {
            quarantine.not_seen(&error.to_string());
        }
        quarantine.describe()
    }
}

/// Collects what is there before a command.
struct Found {
    paths: Vec<ProtectedPath>,
    known: HashSet<Identity>,
    links: Links,
}

impl Visitor for Found {
    fn protected(&mut self, sight: Sight<'_>, protection: PathProtection) -> Taken {
        self.known.insert(sight.identity());
        if !sight.path.as_os_str().is_empty() {
            self.paths.push(ProtectedPath { path: sight.path.as_os_str().to_owned(), protection });
        }
        Taken::No
    }

    fn repository_layout(&mut self, _: &OwnedFd, sight: Sight<'_>, _: Taken) {
        self.protected(sight, PathProtection::Repository);
    }

    fn too_deep(&mut self, sight: Sight<'_>) {
        self.protected(sight, PathProtection::Hidden);
    }

    fn linked(&mut self, sight: Sight<'_>, protection: Option<PathProtection>) {
        self.links.add(sight, protection);
    }

    fn unreadable(&mut self, sight: Sight<'_>) {
        // The command cannot read it either.
        self.known.insert(sight.identity());
    }
}
