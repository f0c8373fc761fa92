//! The folder where Fusebox keeps its log, cache and policy.

use std::path::{Path, PathBuf};

use crate::error::Error;

/// The home folder, `$FUSEBOX_HOME`.
#[derive(Debug, Clone)]
pub struct Home {
    path: PathBuf,
}

impl Home {
    /// Uses a folder, creating it for this user alone. An empty folder is closed to others.
    ///
    /// # Errors
    /// When it cannot be created, or has content that others could read.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let failed = |message: String| Error::Home { path: path.to_owned(), message };
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path).map_err(|error| failed(error.to_string()))?;
        let path = path.canonicalize().map_err(|error| failed(error.to_string()))?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mut permissions = path.metadata().map_err(|error| failed(error.to_string()))?.permissions();
            let mode = permissions.mode();
            let is_empty = path.read_dir().is_ok_and(|mut entries| entries.next().is_none());
            if mode & 0o077 != 0 && is_empty {
                // The folder is empty, so it holds no content that others saw or left.
                permissions.set_mode(0o700);
                std::fs::set_permissions(&path, permissions).map_err(|error| failed(error.to_string()))?;
            } else if mode & 0o077 != 0 {
                return Err(failed(format!(
                    "others can look into it (mode {:o}); use `chmod 700` on it",
                    mode & 0o777
                )));
            }
        }
        Ok(Self { path })
    }

    /// The default folder: `$FUSEBOX_HOME`, else the platform's folder for data of programs.
    ///
    /// # Errors
    /// When neither is known.
    pub fn default_path() -> Result<PathBuf, Error> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let platform = || {
            if cfg!(target_os = "macos") {
                variable("HOME").map(|home| home.join("Library/Application Support/fusebox"))
            } else if cfg!(windows) {
                variable("LOCALAPPDATA").map(|data| data.join("fusebox"))
            } else {
                let data = variable("XDG_DATA_HOME").or_else(|| Some(variable("HOME")?.join(".local/share")));
                data.map(|data| data.join("fusebox"))
            }
        };
        variable("FUSEBOX_HOME").or_else(platform).ok_or_else(|| Error::Home {
            path: PathBuf::new(),
            message: "neither FUSEBOX_HOME nor HOME is set; set FUSEBOX_HOME".to_owned(),
        })
    }

    /// Path of the home.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Path of the event log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.path.join("log.sqlite")
    }

    /// Folder of the leases on runs.
    #[must_use]
    pub fn leases(&self) -> PathBuf {
        self.path.join("leases")
    }

    /// Copies of workspaces. They lie beside the home, for commands work in them and never see the home.
    #[must_use]
    pub fn copies(&self) -> PathBuf {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".workspaces");
        self.path.with_file_name(name)
    }

    /// Folder of compiled plugins.
    #[must_use]
    pub fn cache(&self) -> PathBuf {
        self.path.join("cache")
    }

    /// Refuses a workspace that holds the home, or lies in it.
    ///
    /// # Errors
    /// [`Error::HomeInWorkspace`].
    pub fn keep_apart(&self, workspace: &Path) -> Result<(), Error> {
        if workspace.starts_with(&self.path) || self.path.starts_with(workspace) {
            return Err(Error::HomeInWorkspace { workspace: workspace.to_owned(), home: self.path.clone() });
        }
        Ok(())
    }

    /// Refuses a workspace that holds the copies of other runs, or is one of them.
    ///
    /// # Errors
    /// [`Error::HomeInWorkspace`].
    pub fn keep_copies_apart(&self, workspace: &Path) -> Result<(), Error> {
        let copies = self.copies();
        if workspace.starts_with(&copies) || copies.starts_with(workspace) {
            return Err(Error::HomeInWorkspace { workspace: workspace.to_owned(), home: copies });
        }
        Ok(())
    }
}
