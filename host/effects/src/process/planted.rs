//! Protected paths that were not there, and so could not be covered: what a command makes of them is taken away.

use std::io::{ErrorKind, Result};

use cap_fs_ext::DirExt as _;
use cap_std::fs::Dir;

/// Protected names in open folders, none of which is there.
#[derive(Debug)]
pub struct Planted {
    missing: Vec<(Dir, String, String)>,
}

impl Planted {
    /// Those of these paths that are not there, in folders that are. A folder that a command makes is its own, with all in it.
    pub fn before(workspace: &Dir, protected: &[String]) -> Result<Self> {
        let mut missing = Vec::new();
        for path in protected {
            let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
            let Some((last, above)) = parts.split_last() else { continue };
            let mut folder = Some(workspace.try_clone()?);
            for part in above {
                // Not through links: what they lead to is not of this workspace.
                folder = folder.and_then(|folder| folder.open_dir_nofollow(part).ok());
            }
            if let Some(folder) = folder
                && matches!(folder.symlink_metadata(last), Err(error) if error.kind() == ErrorKind::NotFound)
            {
                missing.push((folder, (*last).to_owned(), path.clone()));
            }
        }
        Ok(Self { missing })
    }

    /// Removes what is there by now; says so, if anything was.
    pub fn take_away(&mut self) -> Option<String> {
        let mut taken = Vec::new();
        for (folder, name, path) in self.missing.drain(..) {
            let Ok(metadata) = folder.symlink_metadata(&name) else { continue };
            let removed = if metadata.is_dir() { folder.remove_dir_all(&name) } else { folder.remove_file(&name) };
            taken.push(if removed.is_ok() { path } else { format!("{path} (which could not be removed)") });
        }
        let paths = taken.join(", ");
        (!taken.is_empty()).then(|| format!("it made {paths}, which is protected and was taken away again"))
    }
}
