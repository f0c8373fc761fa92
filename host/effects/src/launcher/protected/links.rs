//! Resolving symbolic links of a workspace by hand: at the end of a command, the launcher sees the sandbox's root, in
//! which names of the system lead elsewhere.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, readlinkat, statat};

use super::access::folder_of;

/// Most links on the way to a target: those that Linux follows.
const MAX_LINKS: usize = 40;

/// A path of the workspace without links, relative to it; `None` when it is not in there, or does not exist.
pub fn resolve(workspace: &OwnedFd, root: &Path, link: &Path) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    let mut left: VecDeque<OsString> = link.iter().map(ToOwned::to_owned).collect();
    let mut links = 0;
    while let Some(part) = left.pop_front() {
        if part == ".." {
            // Above the workspace is nothing of it.
            if !path.pop() {
                return None;
            }
            continue;
        }
        let next = path.join(&part);
        let folder = folder_of(workspace, &next)?;
        let stat = statat(&folder, &*part, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
            path = next;
            continue;
        }
        links += 1;
        if links > MAX_LINKS {
            return None;
        }
        let target = PathBuf::from(OsString::from_vec(readlinkat(&folder, &*part, Vec::new()).ok()?.into_bytes()));
        let target = match target.strip_prefix(root) {
            Ok(below) => {
                path.clear();
                below
            }
            Err(_) if target.is_absolute() => return None,
            Err(_) => &target,
        };
        for part in target.components().rev() {
            match part {
                Component::Normal(part) => left.push_front(part.to_owned()),
                Component::ParentDir => left.push_front("..".into()),
                Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
            }
        }
    }
    (path.as_os_str().as_bytes() != b"").then_some(path)
}

/// A path as seen from a folder of the workspace, relative to that and with no look at what is there; `None` when it
/// leads out of it.
pub fn joined(root: &Path, folder: &Path, path: &Path) -> Option<PathBuf> {
    let whole = root.join(folder).join(path);
    let mut path = PathBuf::new();
    for part in whole.components() {
        match part {
            Component::ParentDir => {
                path.pop();
            }
            Component::CurDir => {}
            part => path.push(part),
        }
    }
    path.strip_prefix(root).ok().map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_inside_of_the_workspace() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::write(root.join("a/b/f"), "").unwrap();
        for (link, target) in [
            ("one", "a/b".into()),
            ("two", "one/f".into()),
            ("a/up", "../one/../b/f".into()),
            ("absolute", root.join("a/b").display().to_string()),
            ("out", "/etc".into()),
            ("above", "../x".into()),
            ("round", "round".into()),
            ("gone", "nothing".into()),
            ("top", ".".into()),
        ] {
            symlink(target, root.join(link)).unwrap();
        }
        let workspace = std::fs::File::open(&root).unwrap().into();
        for (link, target) in [
            ("one", Some("a/b")),
            ("two", Some("a/b/f")),
            ("a/up", Some("a/b/f")),
            ("absolute", Some("a/b")),
            ("out", None),
            ("above", None),
            ("round", None),
            ("gone", None),
            ("top", None),
        ] {
            assert_eq!(resolve(&workspace, &root, Path::new(link)).as_deref(), target.map(Path::new), "{link}");
        }
    }
}
