//! Resolving symbolic links of a workspace by hand: at the end of a command, the launcher sees the sandbox's root, in
//! which names of the system lead elsewhere.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, readlinkat, statat};

use super::access::folder_of;

/// Most links on the way to a target: those that Linux follows.
const MAX_LINKS: usize = 40;

/// Where a path of the workspace leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// Links of the workspace on the way, relative to it.
    pub links: Vec<PathBuf>,
    pub end: End,
    /// How the path goes on from the workspace, where it was there last.
    pub inner: PathBuf,
}

/// The end of a path, without links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Something in the workspace, relative to it.
    Here(PathBuf),
    /// Nothing is there; it could be made in the workspace.
    Absent(PathBuf),
    /// It lies outside of the workspace, is the workspace itself, or the links lead in a circle.
    Elsewhere,
}

/// A path of the workspace that leads to something in it.
#[derive(Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The path without links, relative to the workspace.
    pub path: PathBuf,
    /// Links of the workspace on the way, relative to it.
    pub links: Vec<PathBuf>,
}

/// Follows a path of the workspace to what is there; `None` when it leads out of it or to its root, or does not exist.
pub fn resolve(workspace: &OwnedFd, root: &Path, path: &Path) -> Option<Resolved> {
    let Followed { links, end, .. } = follow(workspace, root, path);
    if let End::Here(path) = end { Some(Resolved { path, links }) } else { None }
}

/// Follows an absolute path, or one of the workspace. It may leave the workspace on the way, by a link or `..`, and come back
/// by another name of it.
pub fn follow(workspace: &OwnedFd, root: &Path, path: &Path) -> Followed {
    let mut exists = true;
    let mut place = if path.is_absolute() { PathBuf::from("/") } else { root.to_owned() };
    let is_step = |part: &Component<'_>| matches!(part, Component::Normal(_) | Component::ParentDir);
    let mut left: VecDeque<OsString> =
        path.components().filter(is_step).map(|part| part.as_os_str().to_owned()).collect();
    let (mut links, mut followed, mut inner, mut is_inside) = (Vec::new(), 0, path.to_owned(), false);
    loop {
        if place == root && !is_inside {
            inner = left.iter().collect();
        }
        is_inside = place.starts_with(root);
        let Some(part) = left.pop_front() else { break };
        if part == ".." {
            place.pop();
            continue;
        }
        let next = place.join(&part);
        let target = match next.strip_prefix(root) {
            Ok(below) if !below.as_os_str().is_empty() => {
                let target = target_of(workspace, below);
                if matches!(target, Ok(Some(_))) {
                    links.push(below.to_owned());
                }
                target
            }
            _ => next.symlink_metadata().and_then(|found| found.is_symlink().then(|| next.read_link()).transpose()),
        };
        exists &= target.is_ok();
        let target = target.unwrap_or_default();
        let Some(target) = target else {
            place = next;
            continue;
        };
        followed += 1;
        if followed > MAX_LINKS {
            links.sort();
            links.dedup();
            return Followed { links, end: End::Elsewhere, inner };
        }
        for part in target.components().rev() {
            match part {
                Component::Normal(part) => left.push_front(part.to_owned()),
                Component::ParentDir => left.push_front("..".into()),
                Component::RootDir => place = PathBuf::from("/"),
                Component::CurDir | Component::Prefix(_) => {}
            }
        }
    }
    let end = match place.strip_prefix(root) {
        Ok(path) if path.as_os_str().is_empty() => End::Elsewhere,
        Ok(path) if exists => End::Here(path.to_owned()),
        Ok(path) => End::Absent(path.to_owned()),
        Err(_) => End::Elsewhere,
    };
    Followed { links, end, inner }
}

/// What a link of the workspace holds; `None` for anything else.
fn target_of(workspace: &OwnedFd, path: &Path) -> std::io::Result<Option<PathBuf>> {
    let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
    let (folder, name) = (folder_of(workspace, path).ok_or_else(missing)?, path.file_name().ok_or_else(missing)?);
    let stat = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let is_link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
    let target = is_link.then(|| readlinkat(&folder, name, Vec::new())).transpose()?;
    Ok(target.map(|target| OsString::from_vec(target.into_bytes()).into()))
}

/// A path without `.` and `..`, whatever is there.
pub fn lexical(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut path, part| {
        match part {
            Component::ParentDir => {
                path.pop();
            }
            Component::CurDir => {}
            part => path.push(part),
        }
        path
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_inside_of_the_workspace() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let alias = elsewhere.path().join("alias");
        symlink(&root, &alias).unwrap();
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
            ("around", format!("../{}/a/b/f", root.file_name().unwrap().display())),
            ("alias", alias.join("a/b/f").display().to_string()),
            ("chain", "alias".into()),
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
            ("around", Some("a/b/f")),
            ("alias", Some("a/b/f")),
            ("chain", Some("a/b/f")),
        ] {
            let resolved = resolve(&workspace, &root, Path::new(link));
            assert_eq!(resolved.map(|resolved| resolved.path).as_deref(), target.map(Path::new), "{link}");
        }
        for path in [alias.join("a/b/f"), root.join("a/../a/b/f"), alias.join("chain")] {
            let Followed { end, inner, .. } = follow(&workspace, &root, &path);
            assert_eq!(end, End::Here("a/b/f".into()), "{inner:?}");
            assert!(inner.is_relative() && inner != Path::new(""), "{inner:?}");
        }
        let missing = follow(&workspace, &root, &alias.join("a/c/d"));
        assert_eq!((missing.end, missing.inner), (End::Absent("a/c/d".into()), "a/c/d".into()));
        let links = resolve(&workspace, &root, Path::new("chain")).unwrap().links;
        assert_eq!(links, ["chain", "alias"].map(PathBuf::from));
    }
}
