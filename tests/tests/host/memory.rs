//! A world in memory for executors.
#![allow(dead_code, reason = "each test uses some of it")]

use std::collections::BTreeMap;

use fusebox::sandbox::{
    EffectHandler, EntryKind, FolderEntry, HandlerFuture, HostAnswer, HostCall, ModelCompletion, PathMetadata,
    ProcessEnd,
};
use fusebox_core::Failure;

/// Files, with processes and a model that always answer the same.
#[derive(Debug, Clone, Default)]
pub struct Files(pub std::sync::Arc<std::sync::Mutex<BTreeMap<String, Vec<u8>>>>);

impl Files {
    pub fn with(name: &str, content: &str) -> Self {
        let files = Self::default();
        files.0.lock().unwrap().insert(name.to_owned(), content.as_bytes().to_vec());
        files
    }

    pub fn get(&self, name: &str) -> String {
        String::from_utf8(self.0.lock().unwrap()[name].clone()).unwrap()
    }
}

impl EffectHandler for Files {
    fn call(&mut self, call: HostCall) -> HandlerFuture<'_> {
        let mut files = self.0.lock().unwrap();
        let reply = match call {
            HostCall::Stat { path } => Ok(HostAnswer::Metadata(
                files.get(&path).map(|file| PathMetadata { kind: EntryKind::File, size: file.len() as u64 }),
            )),
            HostCall::Read { path, offset, len } => files
                .get(&path)
                .map(|file| {
                    let start = usize::try_from(offset).unwrap().min(file.len());
                    HostAnswer::Bytes(file[start..(start + len as usize).min(file.len())].to_vec())
                })
                .ok_or(Failure::NotFound(path)),
            HostCall::Write { path, content, .. } => {
                files.insert(path, content.to_vec());
                Ok(HostAnswer::Done)
            }
            HostCall::Remove { path } => files.remove(&path).map(|_| HostAnswer::Done).ok_or(Failure::NotFound(path)),
            HostCall::List { .. } => Ok(HostAnswer::Entries(
                files.keys().map(|name| FolderEntry { name: name.clone(), kind: EntryKind::File }).collect(),
            )),
            HostCall::Run { argv, .. } => Ok(HostAnswer::Process(ProcessEnd {
                code: Some(0),
                stdout: argv.join(" ").into_bytes(),
                stderr: b"\xff not UTF-8".to_vec(),
                ..ProcessEnd::default()
            })),
            HostCall::Complete { size, .. } => Ok(HostAnswer::Completion(ModelCompletion {
                text: format!("an answer to {size} bytes"),
                structured: None,
                input_tokens: size / 4,
                output_tokens: 7,
                micro_usd: None,
            })),
            HostCall::Cancelled => Ok(HostAnswer::Flag(false)),
        };
        Box::pin(std::future::ready(Ok(reply)))
    }
}
