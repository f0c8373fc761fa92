//! Programs of the workspace on the search path.

use std::path::{Path, PathBuf};

use crate::program::{Environment, is_executable};

/// Programs of the workspace that bare names lead to.
pub struct LocalPrograms {
    /// The search path, up to its last folder in the workspace; none when it has no such folder.
    pub folders: Vec<PathBuf>,
}

impl LocalPrograms {
    pub fn new(environment: &Environment, workspace: &Path) -> Self {
        let mut folders = environment.search_path();
        let is_local = |folder: &PathBuf| {
            folder.is_absolute() && folder.canonicalize().is_ok_and(|folder| folder.starts_with(workspace))
        };
        let last = folders.iter().rposition(is_local).map_or(0, |last| last + 1);
        folders.truncate(last);
        Self { folders }
    }

    /// The first program of this name. It may lie outside of the workspace.
    pub fn find(&self, name: &str) -> Option<PathBuf> {
        if name.contains('/') {
            return None;
        }
        let candidates = self.folders.iter().filter(|folder| folder.is_absolute()).map(|folder| folder.join(name));
        candidates.into_iter().find(|path| is_executable(path))?.canonicalize().ok()
    }
}
