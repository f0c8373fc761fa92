//! Copies of workspaces: one folder a run, beside the home. A copy stays after its run, because it holds the results,
//! until it is cleaned away.

use std::path::{Path, PathBuf};

use fusebox_core::RunId;
use fusebox_core::policy::HardLinks;
use fusebox_core::protected::ProtectedGlobs;
use fusebox_effects::{Workspace, copy_folder, exposed_in_copy};
use fusebox_store::{ListedState, Store};

use crate::ambient::now_us;
use crate::error::Error;
use crate::home::Home;

/// Most copies of ended runs that stay when another one is made; the oldest go.
const KEPT: usize = 50;
/// Most bytes of them.
const KEPT_BYTES: u64 = 10 * 1024 * 1024 * 1024;

/// Time during which a copy without a run may belong to one that is about to be created.
const GRACE_US: u64 = 3_600_000_000;

/// A copy of a workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspaceCopy {
    /// The run that works in it, or did.
    pub run: RunId,
    /// Folder of the copy.
    pub path: PathBuf,
    /// Bytes of the files in it.
    pub bytes: u64,
    /// End of the run, in microseconds since 1970; `None` while it goes on.
    pub ended_us: Option<u64>,
}

/// What of a folder goes into a copy.
pub struct Kept<'a> {
    pub hard_links: HardLinks,
    /// Globs of what commands do not see: none of it is seen in the copy.
    pub protected: &'a [ProtectedGlobs],
}

/// Copies a folder for a run. Returns the copy and the number of its omissions. Removes the oldest copies of ended runs
/// beyond a bound.
pub fn create(
    home: &Home,
    log: &dyn Store,
    run: &RunId,
    folder: &Path,
    kept: Kept<'_>,
) -> Result<(Workspace, u64), Error> {
    let failed =
        |source| Error::Effects(fusebox_effects::Error::Io { what: "making a folder for the copy".to_owned(), source });
    let parent = home.copies().join(run.as_str());
    make_private(&home.copies()).or_else(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Ok(()),
        _ => Err(failed(error)),
    })?;
    refuse_shared(home)?;
    make_private(&parent).map_err(failed)?;
    let target = parent.join(folder.file_name().unwrap_or("workspace".as_ref()));
    let mut left_out = copy_folder(folder, &target, kept.hard_links)?;
    // Links are left out, and with them goes what hid their targets.
    let target = target.canonicalize().map_err(failed)?;
    let exposed = exposed_in_copy(folder, &target, kept.protected);
    for path in exposed.map_err(|reason| Error::NoWorkspace { reason })? {
        let path = target.join(path);
        let is_folder = path.symlink_metadata().map_err(failed)?.is_dir();
        if is_folder { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) }.map_err(failed)?;
        left_out += 1;
    }
    // Copies that cannot be removed now are removed another time.
    let _ = list(home, log).map(|copies| {
        let mut ended: Vec<_> = copies.into_iter().filter(|copy| copy.ended_us.is_some()).collect();
        ended.sort_by_key(|copy| std::cmp::Reverse(copy.ended_us));
        let mut bytes = 0_u64;
        for (place, copy) in ended.iter().enumerate() {
            bytes = bytes.saturating_add(copy.bytes);
            if place + 1 >= KEPT || bytes > KEPT_BYTES {
                drop(std::fs::remove_dir_all(&copy.path));
            }
        }
    });
    Ok((Workspace::open(&target)?, left_out))
}

fn make_private(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Refuses a folder for copies that another user made, or can look into: the home may lie where others can make folders.
fn refuse_shared(home: &Home) -> Result<(), Error> {
    let path = home.copies();
    let failed = |message: String| Error::Home { path: path.clone(), message };
    let found = std::fs::symlink_metadata(&path).map_err(|error| failed(error.to_string()))?;
    if !found.is_dir() {
        return Err(failed("copies of workspaces are kept there, and it is no folder; remove it".to_owned()));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let own = std::fs::metadata(home.path()).map_err(|error| failed(error.to_string()))?;
        if found.uid() != own.uid() || found.mode() & 0o077 != 0 {
            let message = "copies of workspaces are kept there, and others can look into it; use `chmod 700` on it if it is yours";
            return Err(failed(message.to_owned()));
        }
    }
    Ok(())
}

/// All copies of a home, the oldest run first.
pub fn list(home: &Home, log: &dyn Store) -> Result<Vec<WorkspaceCopy>, Error> {
    let mut copies = Vec::new();
    if std::fs::symlink_metadata(home.copies()).is_err() {
        return Ok(copies);
    }
    refuse_shared(home)?;
    for entry in std::fs::read_dir(home.copies()).into_iter().flatten().flatten() {
        let path = entry.path();
        // Other folders are left alone.
        let Some(run) = entry.file_name().to_str().and_then(|name| name.parse::<RunId>().ok()) else { continue };
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let ended_us = match log.run(&run)? {
            Some(row) if matches!(row.state, ListedState::Ended(_)) => Some(row.updated_us),
            Some(_) => None,
            // Its run is about to be created, or never was, or its log is gone.
            None => touched_us(&path).filter(|touched| now_us().saturating_sub(*touched) > GRACE_US),
        };
        copies.push(WorkspaceCopy { run, bytes: bytes_in(&path), path, ended_us });
    }
    copies.sort_by(|one, other| one.run.cmp(&other.run));
    Ok(copies)
}

/// Last change of a folder, in microseconds since 1970.
fn touched_us(folder: &Path) -> Option<u64> {
    let since = folder.metadata().ok()?.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_micros()).ok()
}

/// Bytes of all files below a folder; links are not followed.
fn bytes_in(folder: &Path) -> u64 {
    let mut bytes = 0_u64;
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => open.push(entry.path()),
                Ok(metadata) => bytes = bytes.saturating_add(metadata.len()),
                Err(_) => {}
            }
        }
    }
    bytes
}
