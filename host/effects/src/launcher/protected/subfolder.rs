//! Other folders with what a workspace holds: a folder in it that becomes one itself, or a copy. From there, fewer paths
//! are known to be protected. And files that other programs obey, for steps that write by themselves.

use std::collections::{BTreeSet, HashMap};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use fusebox_core::policy::LinkedFiles;
use fusebox_core::protected::{PackageFolders, PathMatcher, PathProtection, ProtectedGlobs};
use rustix::fs::{CWD, Mode, OFlags, openat};

use super::View;
use super::links::{self, End, Followed};
use super::scan::MAX_DEPTH;
use super::settings::{self, Named};

impl View {
    /// Looks through a folder for comparisons: further names of files count, whatever commands may do with them.
    fn whole(folder: &Path, globs: &[ProtectedGlobs]) -> Result<Self, String> {
        Self::of(folder.to_owned(), globs, LinkedFiles::Copy, MAX_DEPTH)
    }

    /// Paths that are more than kept in their places, for what they hold.
    fn strict(&self) -> impl Iterator<Item = (&Path, PathProtection)> {
        let strict = self.paths.iter().filter(|path| path.protection > PathProtection::Repository);
        strict.map(|path| (Path::new(&path.path), path.protection))
    }

    /// What is known of paths here.
    fn known(&self) -> KnownPaths<'_> {
        let mut known: HashMap<&Path, PathProtection> = HashMap::new();
        for (path, protection) in self.strict() {
            let before = known.entry(path).or_insert(protection);
            *before = protection.max(*before);
        }
        KnownPaths(known)
    }
}

struct KnownPaths<'a>(HashMap<&'a Path, PathProtection>);

impl KnownPaths<'_> {
    /// Whether a path, or a folder above it, is at least so strictly protected.
    fn covers(&self, path: &Path, protection: PathProtection) -> bool {
        path.ancestors().any(|above| self.0.get(above).is_some_and(|known| *known >= protection))
    }
}

/// How far a folder is looked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// All of it.
    Whole,
    /// Three folders deep, and no settings of the repositories in it: for a folder that may hold all that a person has.
    Near,
}

/// Depth of [`Reach::Near`].
const NEAR: usize = 3;

/// A path that is protected as seen from a folder, and would not be from a folder below it: one around the second, or in
/// it. It is relative to the first. Both are paths without links.
///
/// # Errors
/// A message, when one of the folders cannot be looked through, or the second does not lie below the first.
pub fn unknown_in(
    folder: &Path,
    below: &Path,
    globs: &[ProtectedGlobs],
    reach: Reach,
) -> Result<Option<PathBuf>, String> {
    let part = below.strip_prefix(folder).map_err(|_| format!("{} lies elsewhere", below.display()))?;
    let whole = match reach {
        Reach::Whole => View::whole(folder, globs)?,
        Reach::Near => View::of(folder.to_owned(), globs, LinkedFiles::Copy, NEAR)?,
    };
    let own = View::whole(below, globs)?;
    let known = own.known();
    let found = whole.strict().find(|(path, protection)| {
        part.starts_with(path) || path.strip_prefix(part).is_ok_and(|inner| !known.covers(inner, *protection))
    });
    if let Some((path, _)) = found {
        return Ok(Some(path.to_owned()));
    }
    let is_known = |inner: &Path| {
        known.covers(inner, PathProtection::ReadOnly)
            || own.absent.iter().any(|known| known.place == inner)
            || own.found.kept.iter().any(|kept| kept.path == inner)
    };
    // By the name of a link, more may be protected in what it leads to, now and later.
    let is_known_as = |inner: &Path, link: &Path| {
        is_known(inner) || (inner.file_name() == link.file_name() && own.paths.iter().any(|known| inner == known.path))
    };
    for kept in &whole.found.kept {
        let Followed { links, end, .. } = links::follow(&whole.workspace, folder, &kept.path);
        // Links that lead to what is protected are so themselves, and what is not there yet is as soon as it is made.
        let is_unknown = match &end {
            End::Here(target) if kept.is_named => {
                let inner = target.strip_prefix(part);
                part.starts_with(target) || inner.is_ok_and(|inner| !is_known_as(inner, &kept.path))
            }
            End::Absent(target) => target.strip_prefix(part).is_ok_and(|inner| !is_known(inner)),
            End::Here(_) | End::Elsewhere => false,
        };
        if is_unknown {
            return Ok(Some(kept.path.clone()));
        }
        let mut links = links.into_iter();
        if let Some(link) = links.find(|link| link.strip_prefix(part).is_ok_and(|inner| !is_known(inner))) {
            return Ok(Some(link));
        }
    }
    let mut absent = whole.absent.iter().map(|absent| &absent.place);
    Ok(absent.find(|path| path.strip_prefix(part).is_ok_and(|inner| !is_known(inner))).cloned())
}

/// Paths that commands do not see in a folder, and would in a copy of it, which has no links. They are relative to both.
///
/// # Errors
/// A message, when one of the folders cannot be looked through.
pub fn exposed_in_copy(folder: &Path, copy: &Path, globs: &[ProtectedGlobs]) -> Result<Vec<PathBuf>, String> {
    let (whole, own) = (View::whole(folder, globs)?, View::whole(copy, globs)?);
    let known = own.known();
    let hidden = whole.strict().filter(|(path, protection)| {
        *protection == PathProtection::Hidden && !known.covers(path, PathProtection::Hidden)
    });
    let hidden: BTreeSet<&Path> = hidden.map(|(path, _)| path).filter(|path| copy.join(path).exists()).collect();
    // What lies in another goes with it.
    let is_inner = |path: &Path| path.ancestors().skip(1).any(|above| hidden.contains(above));
    Ok(hidden.iter().filter(|path| !is_inner(path)).map(|path| (*path).to_owned()).collect())
}

/// Whether other programs run or obey what is at a path of a workspace, by the settings of the repositories around it, or by
/// the name of a link in the folders around it, which leads there.
///
/// # Errors
/// A message, when the workspace or settings cannot be looked through.
pub fn is_obeyed(root: &Path, path: &Path, matcher: &PathMatcher) -> Result<bool, String> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let workspace = openat(CWD, root, flags, Mode::empty()).map_err(|error| error.to_string())?;
    let folders: Vec<&Path> = path.ancestors().skip(1).collect();
    let repositories = folders.iter().flat_map(|folder| [".git", ".hg"].map(|name| folder.join(name)));
    let repositories: Vec<PathBuf> =
        repositories.filter(|entry| root.join(entry).is_symlink() || root.join(entry).exists()).collect();
    let Named { present, absent, .. } = settings::named(&workspace, root, &repositories)?.without(matcher);
    // The folder of the settings themselves, or of a working tree, is not what they name.
    let named = present.iter().filter(|named| !repositories.iter().any(|repository| repository.starts_with(named)));
    let mut named = named.chain(absent.iter().flat_map(|absent| [&absent.place, &absent.path]));
    Ok(named.any(|named| path.starts_with(named))
        || folders.iter().any(|folder| is_led_to(&workspace, root, folder, path, matcher)))
}

/// Whether a link of a folder leads to a path, or to a folder above it, and protects it by its own name.
fn is_led_to(workspace: &OwnedFd, root: &Path, folder: &Path, path: &Path, matcher: &PathMatcher) -> bool {
    let mut packages = PackageFolders::default();
    let mut known_as = String::new();
    for part in folder.iter().map(|part| part.to_string_lossy()) {
        packages = matcher.entered(&known_as, &part, &packages);
        known_as = if known_as.is_empty() { part.into_owned() } else { format!("{known_as}/{part}") };
    }
    let entries = std::fs::read_dir(root.join(folder)).into_iter().flatten().flatten();
    let mut links = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()));
    links.any(|link| {
        let name = link.file_name().to_string_lossy().into_owned();
        let is_protected = matcher.protection(&known_as, &name, false, &packages).is_some()
            || matcher.protection(&known_as, &name, true, &packages).is_some()
            || matcher.is_holder(&known_as, &name, &packages);
        is_protected
            && match links::follow(workspace, root, &folder.join(&name)).end {
                End::Here(target) | End::Absent(target) => path.starts_with(target),
                End::Elsewhere => false,
            }
    })
}
