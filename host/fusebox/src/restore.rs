//! Taking back what a failed try changed in the workspace, so that the next one begins where it began.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use fusebox_core::{Contents, Effect, Failure};
use fusebox_effects::{MAX_FILE_BYTES, Workspace};

/// What one try changed so far.
#[derive(Default)]
pub struct Changes(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    done: Vec<Effect>,
    /// Files as they were before.
    before: Contents,
}

impl Changes {
    /// Keeps what a file holds, before it is changed.
    pub fn note(&self, effect: &Effect, workspace: &Workspace, known: &Contents) -> Result<(), Failure> {
        let (Effect::Write { path, before: Some(before), .. } | Effect::Remove { path, before: Some(before) }) = effect
        else {
            return Ok(());
        };
        let bytes = match known.get(before) {
            Some(bytes) => bytes.clone(),
            None => Bytes::from(workspace.read_all(path, MAX_FILE_BYTES)?),
        };
        self.inner().before.insert(bytes);
        Ok(())
    }

    /// A change happened.
    pub fn done(&self, effect: &Effect) {
        self.inner().done.push(effect.clone());
    }

    /// The effects that take all of it back, in this order.
    pub fn restores(&self) -> Vec<Effect> {
        let inner = self.inner();
        inner.done.iter().rev().filter_map(|effect| inverse(effect, &inner.before)).collect()
    }

    /// Performs them. A file that has changed since is left as it is, and is a conflict.
    pub fn restore(&self, restores: &[Effect], workspace: &Workspace) -> Option<Failure> {
        let inner = self.inner();
        for effect in restores {
            let restored = match effect {
                Effect::Write { path, before, after, .. } => match inner.before.get(after) {
                    Some(bytes) => workspace.write(path, before.as_ref(), bytes),
                    None => return Some(Failure::NotFound(format!("what {path} held before is not known"))),
                },
                Effect::Remove { path, before } => workspace.remove(path, before.as_ref()),
                _ => Ok(()),
            };
            if let Err(error) = restored {
                return Some(error.into());
            }
        }
        None
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The effect that takes another one back.
fn inverse(effect: &Effect, contents: &Contents) -> Option<Effect> {
    let back = |path: &fusebox_core::WorkspacePath, now, then: &fusebox_core::Digest| {
        let size = contents.get(then).map_or(0, |bytes| bytes.len() as u64);
        Effect::Write { path: path.clone(), before: now, after: *then, size }
    };
    match effect {
        Effect::Write { path, before: Some(before), after, .. } => Some(back(path, Some(*after), before)),
        Effect::Write { path, before: None, after, .. } => {
            Some(Effect::Remove { path: path.clone(), before: Some(*after) })
        }
        Effect::Remove { path, before: Some(before) } => Some(back(path, None, before)),
        _ => None,
    }
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
        let (mut contents, changes) = (Contents::default(), Changes::default());
        let (one, two) = (contents.insert("one".into()), contents.insert("two".into()));
        let new = contents.insert("new".into());
        let path = |name: &str| name.parse().unwrap();
        for effect in [
            Effect::Write { path: path("a"), before: Some(one), after: new, size: 3 },
            Effect::Write { path: path("c"), before: None, after: new, size: 3 },
            Effect::Remove { path: path("b"), before: Some(two) },
        ] {
            changes.note(&effect, &workspace, &Contents::default()).unwrap();
            match &effect {
                Effect::Write { path, before, .. } => workspace.write(path, before.as_ref(), b"new").unwrap(),
                Effect::Remove { path, before } => workspace.remove(path, before.as_ref()).unwrap(),
                _ => {}
            }
            changes.done(&effect);
        }
        assert_eq!(changes.restore(&changes.restores(), &workspace), None);
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).ok();
        assert_eq!((read("a").as_deref(), read("b").as_deref(), read("c")), (Some("one"), Some("two"), None));
        assert!(changes.restore(&changes.restores(), &workspace).is_some(), "it is not as it was left any more");
    }
}
