//! Folders of a workspace that become one themselves: from there, fewer paths are known to be protected.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use fusebox_core::policy::LinkedFiles;
use fusebox_core::protected::{PathProtection, ProtectedGlobs};

use super::{View, links};

/// A path that is protected as seen from a folder, and would not be from a folder below it: one around the second, or in
/// it. It is relative to the first. Both are paths without links.
///
/// # Errors
/// A message, when one of the folders cannot be looked through, or the second does not lie below the first.
pub fn unknown_in(folder: &Path, below: &Path, globs: &[ProtectedGlobs]) -> Result<Option<PathBuf>, String> {
    let part = below.strip_prefix(folder).map_err(|_| format!("{} lies elsewhere", below.display()))?;
    // Further names of files count, whatever commands may do with them.
    let whole = View::of(folder.to_owned(), globs, LinkedFiles::Copy)?;
    let own = View::of(below.to_owned(), globs, LinkedFiles::Copy)?;
    let mut known: HashMap<&Path, PathProtection> = HashMap::new();
    for path in &own.paths {
        let protection = known.entry(Path::new(&path.path)).or_insert(path.protection);
        *protection = path.protection.max(*protection);
    }
    let is_known = |path: &Path, protection| {
        path.ancestors().any(|above| known.get(above).is_some_and(|known| *known >= protection))
    };
    // Folders that are only kept in their places are so for what they hold.
    let strict = whole.paths.iter().filter(|path| path.protection > PathProtection::Repository);
    let found = strict.map(|path| (Path::new(&path.path), path.protection)).find(|(path, protection)| {
        part.starts_with(path) || path.strip_prefix(part).is_ok_and(|inner| !is_known(inner, *protection))
    });
    if let Some((path, _)) = found {
        return Ok(Some(path.to_owned()));
    }
    // What does not exist yet is protected as soon as it is made.
    let targets = whole.found.kept.iter().filter_map(|link| {
        let target = Path::new(OsStr::from_bytes(link.target.to_bytes()));
        links::joined(folder, link.path.parent()?, target).filter(|target| !folder.join(target).exists())
    });
    let unknown = |path: &PathBuf| {
        let is_known =
            |inner: &Path| own.absent.iter().any(|known| known == inner) || is_known(inner, PathProtection::ReadOnly);
        path.strip_prefix(part).is_ok_and(|inner| !is_known(inner))
    };
    Ok(targets.chain(whole.absent.iter().cloned()).find(unknown))
}
