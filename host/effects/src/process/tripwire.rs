//! Protected paths that were missing, and so could not be covered: files that a command creates there are renamed.

use std::io::{ErrorKind, Result};

use cap_fs_ext::DirExt as _;
use cap_std::fs::Dir;

/// Protected names in open folders, none of which is there.
#[derive(Debug)]
pub struct Tripwire {
    missing: Vec<(Dir, String, String)>,
}

impl Tripwire {
    /// Those of these paths that are not there, in folders that are. A folder that a command makes is its own, with all in it.
    pub fn before(workspace: &Dir, protected: &[String]) -> Result<Self> {
        let mut missing = Vec::new();
        for path in protected {
            let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
            let Some((last, above)) = parts.split_last() else { continue };
            let mut folder = Some(workspace.try_clone()?);
            for part in above {
                // Links are not followed: their targets are not part of this workspace.
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

    /// Renames files that exist there by now; returns a message if there were any. Nothing is removed: the files may
    /// belong to others, and removing a large tree has no time bound.
    pub fn quarantine(&mut self) -> Option<String> {
        let mut taken = Vec::new();
        for (folder, name, path) in self.missing.drain(..) {
            if folder.symlink_metadata(&name).is_err() {
                continue;
            }
            let aside = format!("{name}.taken-away-{}", fastrand::u64(..));
            let renamed = folder.rename(&name, &folder, &aside);
            taken.push(renamed.map_or_else(|error| format!("{path} ({error})"), |()| format!("{path} (now {aside})")));
        }
        let paths = taken.join(", ");
        (!taken.is_empty()).then(|| format!("it made {paths}, which is protected and was taken away again"))
    }
}
