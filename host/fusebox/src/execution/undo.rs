//! Undoing of a step's changes in the workspace.

use bytes::Bytes;
use fusebox_core::{Contents, Digest, Effect, Failure, WorkspacePath};
use fusebox_effects::{MAX_FILE_BYTES, Workspace};

use crate::error::Error;

/// Data to take a change back.
pub struct Undo {
    /// The effect that takes it back.
    pub inverse: Effect,
    /// Content of the file before the change, unless it is stored already.
    pub keep: Option<Bytes>,
}

/// Data to take an upcoming change back; `None` when the effect changes no file.
pub fn undo(effect: &Effect, workspace: &Workspace, known: &Contents) -> Result<Option<Undo>, Failure> {
    let (path, before, now) = match effect {
        Effect::Write { path, before, after, .. } => (path, before, Some(*after)),
        Effect::Remove { path, before, .. } => (path, before, None),
        _ => return Ok(None),
    };
    let Some(before) = before else {
        // Removing a missing file changes nothing.
        return Ok(now.map(|now| Undo {
            inverse: Effect::Remove { path: path.clone(), before: Some(now), obeyed: false },
            keep: None,
        }));
    };
    let (size, keep) = match known.get(before) {
        Some(bytes) => (bytes.len(), None),
        None => {
            let bytes = Bytes::from(workspace.read_all(path, MAX_FILE_BYTES)?);
            (bytes.len(), Some(bytes))
        }
    };
    Ok(Some(Undo { inverse: inverse_of(path, now, *before, size), keep }))
}

/// The effect that restores the earlier content of a file.
pub fn inverse_of(path: &WorkspacePath, now: Option<Digest>, before: Digest, size: usize) -> Effect {
    Effect::Write { path: path.clone(), before: now, after: before, size: size as u64, obeyed: false }
}

/// Takes changes back, in this order. A file that has changed since is left as it is, and counts as a conflict.
pub fn restore(
    restores: &[Effect],
    workspace: &Workspace,
    kept: impl Fn(&Digest) -> Result<Option<Bytes>, Error>,
) -> Result<Option<Failure>, Error> {
    for effect in restores {
        let restored = match effect {
            // A restore that its process did not live to record may have happened.
            Effect::Write { path, after, .. } if is_content(workspace, path, Some(after)) => Ok(()),
            Effect::Remove { path, .. } if is_content(workspace, path, None) => Ok(()),
            Effect::Write { path, before, after, .. } => match kept(after)? {
                Some(bytes) => workspace.write(path, before.as_ref(), &bytes),
                None => return Ok(Some(Failure::NotFound(format!("what {path} held before is not known")))),
            },
            Effect::Remove { path, before, .. } => workspace.remove(path, before.as_ref()),
            _ => Ok(()),
        };
        if let Err(error) = restored {
            return Ok(Some(error.into()));
        }
    }
    Ok(None)
}

/// Whether a file holds this, or is not there.
pub fn is_content(workspace: &Workspace, path: &WorkspacePath, digest: Option<&Digest>) -> bool {
    workspace.state(path).is_ok_and(|state| state.map(|state| state.digest).as_ref() == digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_is_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), "one").unwrap();
        std::fs::write(folder.path().join("b"), "two").unwrap();
        let workspace = Workspace::open(folder.path()).unwrap();
        let mut kept = Contents::default();
        let (one, two, new) = (Digest::of(b"one"), Digest::of(b"two"), Digest::of(b"new"));
        let path = |name: &str| name.parse::<WorkspacePath>().unwrap();
        let mut restores = Vec::new();
        for effect in [
            Effect::Write { path: path("a"), before: Some(one), after: new, size: 3, obeyed: false },
            Effect::Write { path: path("c"), before: None, after: new, size: 3, obeyed: false },
            Effect::Remove { path: path("b"), before: Some(two), obeyed: false },
        ] {
            let undo = undo(&effect, &workspace, &kept).unwrap().unwrap();
            undo.keep.map(|bytes| kept.insert(bytes));
            match &effect {
                Effect::Write { path, before, .. } => workspace.write(path, before.as_ref(), b"new").unwrap(),
                Effect::Remove { path, before, .. } => workspace.remove(path, before.as_ref()).unwrap(),
                _ => {}
            }
            restores.insert(0, undo.inverse);
        }
        let restore = || restore(&restores, &workspace, |digest| Ok(kept.get(digest).cloned())).unwrap();
        assert_eq!(restore(), None);
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).ok();
        assert_eq!((read("a").as_deref(), read("b").as_deref(), read("c")), (Some("one"), Some("two"), None));
        assert_eq!(restore(), None, "twice is as good as once");
        std::fs::write(folder.path().join("a"), "another program's").unwrap();
        assert!(restore().is_some(), "what others changed since is left alone");
    }
}
