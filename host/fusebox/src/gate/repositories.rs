//! Files of folders that Git takes for repositories by what they hold: guards see names only, so the host looks itself.

use fusebox_core::protected::{PackageFolders, PathMatcher, PathProtection};
use fusebox_core::{Failure, WorkspacePath};
use fusebox_effects::Workspace;

/// Name by which globs know a repository.
const REPOSITORY: &str = ".git";

/// The repositories of a workspace, as the effects of one step find and make them.
pub struct Repositories<'a> {
    matcher: &'a PathMatcher,
    workspace: &'a Workspace,
    /// Files that the step writes.
    written: Vec<WorkspacePath>,
}

impl<'a> Repositories<'a> {
    pub fn new(matcher: &'a PathMatcher, workspace: &'a Workspace) -> Self {
        Self { matcher, workspace, written: Vec::new() }
    }

    /// Refuses a path in a folder that is laid out like a repository.
    pub fn check(&self, path: &WorkspacePath) -> Result<(), Failure> {
        let parts: Vec<&str> = path.as_str().split('/').collect();
        let mut packages = PackageFolders::default();
        let mut folder = String::new();
        for part in parts {
            let is_guarded =
                self.matcher.protection(&folder, REPOSITORY, true, &packages) == Some(PathProtection::Repository);
            if is_guarded && self.is_repository(&folder) {
                let folder = if folder.is_empty() { "the workspace itself" } else { &folder };
                return Err(Failure::Denied(format!(
                    "{path} belongs to {folder}, which is laid out like a repository of Git: it may be neither read nor \
                     changed by a step; `git` commands can use it, and `repositories` in \
                     [guards.protected-paths.settings] says what counts"
                )));
            }
            packages = self.matcher.entered(&folder, part, &packages);
            folder = if folder.is_empty() { part.to_owned() } else { format!("{folder}/{part}") };
        }
        Ok(())
    }

    /// The same for a path that is written, which may make its folder a repository.
    pub fn check_written(&mut self, path: &WorkspacePath) -> Result<(), Failure> {
        self.written.push(path.clone());
        self.check(path)
    }

    /// See gitrepository-layout(5), and `is_git_directory` in Git's setup.c.
    fn is_repository(&self, folder: &str) -> bool {
        let has = |name| self.has(folder, name);
        has("HEAD") && (has("commondir") || (has("objects") && has("refs")))
    }

    fn has(&self, folder: &str, name: &str) -> bool {
        let Ok(path) = WorkspacePath::parse(format!("{folder}/{name}").trim_start_matches('/')) else { return false };
        let is_at = |written: &WorkspacePath| {
            let below = written.as_str().strip_prefix(path.as_str());
            below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
        };
        // What lies behind a link cannot be named by an effect.
        self.written.iter().any(is_at) || self.workspace.stat(&path).is_ok_and(|found| found.is_some())
    }
}
