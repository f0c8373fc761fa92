//! Executable and environment of a command.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use fusebox_core::{Digest, DigestBuilder};

use crate::error::Error;

/// Variables that a process may see: those by which programs find one another and choose their language. No keys, no
/// tokens, nothing of Fusebox.
const ALLOWED: [&str; 11] =
    ["HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER"];

/// The environment of processes: those of the host's own variables that are allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<String, OsString>);

impl Environment {
    /// The allowed ones of these variables.
    pub fn allowed(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let allowed = |name: &OsString| name.to_str().filter(|name| ALLOWED.contains(name)).map(str::to_owned);
        Self(variables.into_iter().filter_map(|(name, value)| Some((allowed(&name)?, value))).collect())
    }

    /// Names of the variables, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    /// Digest of names and values.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let variables = self.0.iter();
        let all = variables.fold(DigestBuilder::new("fusebox environment 1"), |digest, (name, value)| {
            digest.part(name.as_bytes()).part(value.as_encoded_bytes())
        });
        all.finish()
    }

    /// Names and values of the variables.
    pub fn variables(&self) -> impl Iterator<Item = (&String, &OsString)> {
        self.0.iter()
    }

    /// The home folder that it names.
    #[must_use]
    pub fn home(&self) -> Option<&Path> {
        self.0.get("HOME").map(Path::new).filter(|home| home.is_absolute())
    }

    pub(crate) fn search_path(&self) -> Vec<PathBuf> {
        self.0.get("PATH").map(|path| std::env::split_paths(path).collect()).unwrap_or_default()
    }
}

/// The executable that `name` stands for in the folder `cwd`, all links resolved: itself when it holds a `/`, else the
/// first one on the search path that processes can see. Relative entries of the search path are left out: they would
/// depend on the workspace.
///
/// # Errors
/// [`Error::ProgramNotFound`], and [`Error::ProgramHidden`] when there are only such that processes cannot see.
pub fn resolve_program(
    name: &str,
    cwd: &Path,
    environment: &Environment,
    is_shown: &dyn Fn(&Path) -> bool,
) -> Result<PathBuf, Error> {
    let program = || name.chars().take(200).collect();
    let candidates = if name.contains('/') {
        vec![cwd.join(name)]
    } else {
        let folders = environment.search_path().into_iter().filter(|folder| folder.is_absolute() && !name.is_empty());
        folders.map(|folder| folder.join(name)).collect()
    };
    let mut hidden = None;
    for candidate in candidates.into_iter().filter(|path| is_executable(path)) {
        let Ok(path) = candidate.canonicalize() else { continue };
        if is_shown(&path) {
            return Ok(path);
        }
        hidden.get_or_insert(path);
    }
    Err(match hidden {
        Some(path) => Error::ProgramHidden { program: program(), path },
        None => Error::ProgramNotFound { program: program() },
    })
}

#[cfg(unix)]
pub(crate) fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
pub(crate) fn is_executable(path: &Path) -> bool {
    path.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::allowed(variables.iter().map(|(name, value)| ((*name).into(), (*value).into())))
    }

    #[test]
    fn only_allowed_variables_are_passed_on() {
        let environment = environment(&[("PATH", "/bin"), ("API_KEY", "x"), ("FUSEBOX_HOME", "/x"), ("LANG", "C")]);
        assert_eq!(environment.names(), ["LANG", "PATH"]);
    }

    #[test]
    fn programs_are_found_on_the_search_path_only() {
        let environment = environment(&[("PATH", "rel:/nowhere:/bin:/usr/bin")]);
        let all = |_: &Path| true;
        let found = resolve_program("sh", Path::new("/"), &environment, &all).unwrap();
        assert!(found.is_absolute() && !found.is_symlink(), "{found:?}");
        for missing in ["no-such-program", "", "./sh", "etc/passwd"] {
            assert!(resolve_program(missing, Path::new("/"), &environment, &all).is_err(), "{missing}");
        }
        let hidden = resolve_program("sh", Path::new("/"), &environment, &|_| false);
        assert!(matches!(hidden, Err(Error::ProgramHidden { .. })), "{hidden:?}");
    }
}
