//! Answers host calls during a preview: reads of the workspace, and nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;

use fusebox_core::policy::Grants;
use fusebox_core::{Effect, Failure, WorkspacePath};
use fusebox_effects::Workspace;
use fusebox_sandbox::{
    EffectHandler, EntryKind, FolderEntry, HandlerFuture, HostAnswer, HostCall, PathMetadata, Reply,
};
use parking_lot::Mutex as StdMutex;

use crate::gate::effects;

/// Answers reads from a workspace.
#[derive(Clone)]
pub struct ReadOnlyHandler {
    pub workspace: Arc<Workspace>,
    pub grants: Grants,
    /// Files that the preview read, which are judged with its effects.
    pub seen: Arc<StdMutex<BTreeSet<WorkspacePath>>>,
}

impl ReadOnlyHandler {
    pub fn new(workspace: Arc<Workspace>, grants: Grants) -> Self {
        Self { workspace, grants, seen: Arc::default() }
    }

    /// The files that were read so far, as effects.
    pub fn effects(&self) -> Vec<Effect> {
        let seen = self.seen.lock();
        seen.iter().map(|path| Effect::Read { path: path.clone() }).collect()
    }

    pub fn answer(&self, call: &HostCall) -> Reply {
        if !self.grants.workspace {
            return Err(Failure::Denied("this executor has no grant for the workspace".to_owned()));
        }
        match call {
            HostCall::Stat { path } => {
                let metadata = self.workspace.stat(&effects::path_of(path)?)?;
                let turn = |found: fusebox_effects::Metadata| PathMetadata { kind: kind(found.kind), size: found.size };
                Ok(HostAnswer::Metadata(metadata.map(turn)))
            }
            HostCall::Read { path, offset, len } => {
                let path = effects::path_of(path)?;
                let bytes = self.workspace.read(&path, *offset, *len)?;
                self.seen.lock().insert(path);
                Ok(HostAnswer::Bytes(bytes))
            }
            HostCall::List { path } => {
                let entries = self.workspace.list(&effects::path_of(path)?)?;
                let turn = |entry: fusebox_effects::Entry| FolderEntry { name: entry.name, kind: kind(entry.kind) };
                Ok(HostAnswer::Entries(entries.into_iter().map(turn).collect()))
            }
            _ => Err(Failure::Denied("only reads are possible here".to_owned())),
        }
    }
}

fn kind(kind: fusebox_effects::EntryKind) -> EntryKind {
    match kind {
        fusebox_effects::EntryKind::File => EntryKind::File,
        fusebox_effects::EntryKind::Folder => EntryKind::Folder,
        fusebox_effects::EntryKind::Other => EntryKind::Other,
    }
}

/// The handler of a preview.
impl EffectHandler for ReadOnlyHandler {
    fn call(&mut self, call: HostCall) -> HandlerFuture<'_> {
        let reply = match call {
            HostCall::Cancelled => Ok(HostAnswer::Flag(false)),
            call => self.answer(&call),
        };
        Box::pin(std::future::ready(Ok(reply)))
    }
}
