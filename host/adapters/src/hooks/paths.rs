//! Paths as tools name them: inside of the workspace, or outside.

use crate::error::Error;
use std::path::{Component, Path, PathBuf};

/// Longest path that is looked at, in bytes.
const MAX_PATH_BYTES: usize = 4096;
/// Most parts of a path.
const MAX_PARTS: usize = 256;

/// A path as the system understands it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the workspace: relative to it, without links.
    Inside(String),
    /// Elsewhere: absolute, without links.
    Outside(String),
}

/// Root of the workspace, and the folder that relative paths begin at. Both without links.
#[derive(Debug, Clone)]
pub struct Places {
    root: PathBuf,
    cwd: PathBuf,
}

impl Places {
    /// For a workspace, and a folder that the harness works in now.
    ///
    /// # Errors
    /// When the folder is not there.
    pub fn new(root: &Path, cwd: &Path) -> Result<Self, Error> {
        let cwd = if cwd.is_absolute() { cwd.to_owned() } else { root.join(cwd) };
        let failed = |error: std::io::Error| path_error(&cwd.to_string_lossy(), error.to_string());
        let real = cwd.canonicalize().map_err(failed)?;
        Ok(Self { root: root.to_owned(), cwd: real })
    }

    /// The folder that the harness works in now.
    pub fn cwd(&self) -> Place {
        self.placed(&self.cwd)
    }

    /// The same, with relative paths beginning elsewhere.
    ///
    /// # Errors
    /// When that folder cannot be looked at.
    pub fn from(&self, folder: &str) -> Result<Self, Error> {
        let place = self.real(folder)?;
        Ok(Self { root: self.root.clone(), cwd: place })
    }

    /// Where a path leads.
    ///
    /// # Errors
    /// When it is empty, too long, holds a NUL, or its links cannot be followed.
    pub fn place(&self, path: &str) -> Result<Place, Error> {
        Ok(self.placed(&self.real(path)?))
    }

    /// Path of a place on this machine.
    pub fn absolute(&self, place: &Place) -> PathBuf {
        match place {
            Place::Inside(path) => self.root.join(path),
            Place::Outside(path) => PathBuf::from(path),
        }
    }

    fn placed(&self, real: &Path) -> Place {
        match real.strip_prefix(&self.root) {
            Ok(inside) => match inside.to_str() {
                Some(inside) => Place::Inside(inside.to_owned()),
                // A name that cannot be written as text is not one that a guard could judge.
                None => Place::Outside(real.to_string_lossy().into_owned()),
            },
            Err(_) => Place::Outside(real.to_string_lossy().into_owned()),
        }
    }

    /// Follows a path as the system does: link by link, `..` from where a link led to. What is not there has no links.
    fn real(&self, path: &str) -> Result<PathBuf, Error> {
        let failed = |message: &str| path_error(path, message.to_owned());
        if path.is_empty() {
            return Err(failed("it is empty"));
        }
        // A path of another system names no file of this workspace.
        let is_foreign = path.starts_with("\\\\")
            || matches!(path.as_bytes(), [drive, b':', b'\\' | b'/', ..] if drive.is_ascii_alphabetic());
        if is_foreign && cfg!(unix) {
            return Ok(PathBuf::from(path));
        }
        if path.contains('\0') {
            return Err(failed("it holds a NUL"));
        }
        if path.len() > MAX_PATH_BYTES {
            return Err(failed("it is longer than a path can be"));
        }
        // No shell comes between, but a tool may mean it so.
        let expanded = match path.strip_prefix("~/").or((path == "~").then_some("")) {
            Some(rest) => std::env::home_dir().map(|home| home.join(rest)),
            None => None,
        };
        let path_buf = expanded.unwrap_or_else(|| self.cwd.join(path));
        let mut real = PathBuf::from("/");
        let mut parts = 0;
        for part in path_buf.components() {
            parts += 1;
            if parts > MAX_PARTS {
                return Err(failed("it has too many parts"));
            }
            match part {
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
                Component::ParentDir => {
                    real.pop();
                }
                Component::Normal(name) => {
                    real.push(name);
                    let is_link = std::fs::symlink_metadata(&real).is_ok_and(|found| found.file_type().is_symlink());
                    if is_link {
                        real = followed(&real).map_err(|message| failed(&message))?;
                    }
                }
            }
        }
        Ok(real)
    }
}

/// Where a link leads. One that leads to nothing leads to the path in it.
fn followed(link: &Path) -> Result<PathBuf, String> {
    if let Ok(real) = link.canonicalize() {
        return Ok(real);
    }
    let target = std::fs::read_link(link).map_err(|error| error.to_string())?;
    let parent = link.parent().unwrap_or(Path::new("/"));
    let mut real = parent.to_owned();
    for part in target.components() {
        match part {
            Component::RootDir => real = PathBuf::from("/"),
            Component::ParentDir => {
                real.pop();
            }
            Component::Normal(name) => real.push(name),
            Component::CurDir | Component::Prefix(_) => {}
        }
    }
    // A chain of dangling links is not followed further: it leads nowhere that exists.
    match std::fs::symlink_metadata(&real).is_ok_and(|found| found.file_type().is_symlink()) {
        true => Err("its links lead nowhere, or in a circle".to_owned()),
        false => Ok(real),
    }
}

fn path_error(path: &str, message: String) -> Error {
    Error::Path { path: path.chars().take(120).collect(), message }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_path_leads_where_the_system_says() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        let root = base.join("w");
        std::fs::create_dir_all(root.join("sub/deep")).unwrap();
        std::fs::write(root.join("a.txt"), "a").unwrap();
        std::fs::create_dir(base.join("w-other")).unwrap();
        symlink("/etc", root.join("out")).unwrap();
        symlink("sub/deep", root.join("in")).unwrap();
        symlink("../../nowhere", root.join("sub/dangling")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let places = Places::new(&root, &root.join("sub")).unwrap();
        let inside = |path: &str| Place::Inside(path.to_owned());
        let outside = |path: PathBuf| Place::Outside(path.to_string_lossy().into_owned());
        let cases = [
            ("x", inside("sub/x")),
            ("../a.txt", inside("a.txt")),
            ("./../a.txt", inside("a.txt")),
            ("../in/../x", inside("sub/x")),
            ("../out/passwd", outside("/etc/passwd".into())),
            ("../out/../etc/hosts", outside("/etc/hosts".into())),
            ("dangling", outside(base.join("nowhere"))),
            ("../../w-other/x", outside(base.join("w-other/x"))),
            ("..", inside("")),
            ("../..", outside(base.clone())),
            ("../../../../../../../../etc/passwd", outside("/etc/passwd".into())),
            ("/etc/passwd", outside("/etc/passwd".into())),
            ("..\\x", inside("sub/..\\x")),
            ("a/", inside("sub/a")),
            ("//etc//passwd", outside("/etc/passwd".into())),
            ("C:\\a\\b", outside("C:\\a\\b".into())),
            ("\\\\host\\share", outside("\\\\host\\share".into())),
        ];
        for (path, expected) in cases {
            assert_eq!(places.place(path).unwrap(), expected, "{path}");
        }
        for bad in ["", "a\0b", &"x".repeat(5000), &"a/".repeat(300), "../loop"] {
            assert!(places.place(bad).is_err(), "{bad:?}");
        }
        let home = places.place("~/x").unwrap();
        assert!(matches!(&home, Place::Outside(_)), "{home:?}");
    }
}
