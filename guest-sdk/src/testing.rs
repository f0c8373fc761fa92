//! In-memory fakes of every host import, for tests of plugin logic without a host.
//!
//! ```
//! use fusebox_sdk::testing::Fakes;
//! use fusebox_sdk::workspace;
//!
//! let (text, _) = Fakes::new().file("notes.txt", "hello").run(|| workspace::read_all("notes.txt", 100));
//! assert_eq!(text.unwrap(), b"hello");
//! ```

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::bindings::executor_world::fusebox::plugin::model::{Completion, Request};
use crate::bindings::executor_world::fusebox::plugin::process::{Command, Exit};
use crate::bindings::executor_world::fusebox::plugin::workspace::{Entry, Kind, Metadata};
use crate::bindings::guard_world::fusebox::plugin::log::Level;
use crate::bindings::guard_world::fusebox::plugin::types::{Agent, BudgetLine, HistoryEntry, Position, Risk};
use crate::{Failure, Origin, Payload, Plan};

/// The situation of a plugin under test, and a record of its calls. All fields can be set before and read afterwards.
#[derive(Debug, Clone, PartialEq)]
pub struct Fakes {
    /// Answer of `context::run`.
    pub run: Option<String>,
    /// Answer of `context::agent`.
    pub agent: Agent,
    /// Answer of `context::tenant`.
    pub tenant: String,
    /// Answer of `context::goal`.
    pub goal: String,
    /// Answer of `context::origin`.
    pub origin: Origin,
    /// Answer of `context::proposed_at`, in microseconds since 1970.
    pub proposed_at: u64,
    /// Answer of `context::plan`.
    pub plan: Option<Plan>,
    /// Answer of `context::position`.
    pub position: Option<Position>,
    /// Answer of `context::settings`, as JSON.
    pub settings: String,
    /// Answer of `context::risk`.
    pub risk: Option<Risk>,
    /// Answer of `context::budgets`.
    pub budgets: Vec<BudgetLine>,
    /// Entries that `context::history` returns.
    pub history: Vec<HistoryEntry>,
    /// Outputs that `context::step_output` returns, by step id, as JSON.
    pub step_outputs: BTreeMap<String, String>,
    /// Files of the workspace by path.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Answers of `process::run`, first come first served; when there is none left, it fails with `denied`.
    pub exits: VecDeque<Result<Exit, Failure>>,
    /// Answers of `model::complete`, first come first served; when there is none left, it fails with `unsupported`.
    pub completions: VecDeque<Result<Completion, Failure>>,
    /// Answer of `progress::cancelled`.
    pub cancelled: bool,
    /// Commands that were started.
    pub commands: Vec<Command>,
    /// Requests to models; the prompt is the payload that `content` names.
    pub requests: Vec<Request>,
    /// Lines that were logged.
    pub logged: Vec<(Level, String)>,
    /// Progress that was reported.
    pub progress: Vec<(String, Option<f64>)>,
    /// Payloads that were staged; handle `n` is the `n`th, counted from 1.
    pub payloads: Vec<Vec<u8>>,
}

thread_local! {
    static CURRENT: RefCell<Fakes> = RefCell::new(Fakes::new());
}

/// Lets a wrapper of a host import use the current fakes.
pub(crate) fn with<T>(use_fakes: impl FnOnce(&mut Fakes) -> T) -> T {
    CURRENT.with_borrow_mut(use_fakes)
}

impl Default for Fakes {
    fn default() -> Self {
        Self::new()
    }
}

impl Fakes {
    /// An empty workspace, settings `{}`, an agent called `test`, outside of a run.
    #[must_use]
    pub fn new() -> Self {
        Self {
            run: None,
            agent: Agent { id: "test".into(), kind: None, tier: None },
            tenant: "default".into(),
            goal: String::new(),
            origin: Origin::Embedder,
            proposed_at: 0,
            plan: None,
            position: None,
            settings: "{}".into(),
            risk: None,
            budgets: Vec::new(),
            history: Vec::new(),
            step_outputs: BTreeMap::new(),
            files: BTreeMap::new(),
            exits: VecDeque::new(),
            completions: VecDeque::new(),
            cancelled: false,
            commands: Vec::new(),
            requests: Vec::new(),
            logged: Vec::new(),
            progress: Vec::new(),
            payloads: Vec::new(),
        }
    }

    /// Puts a file into the workspace.
    #[must_use]
    pub fn file(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.to_owned(), content.into());
        self
    }

    /// Sets the plugin's settings, as JSON.
    #[must_use]
    pub fn settings(mut self, json: &str) -> Self {
        json.clone_into(&mut self.settings);
        self
    }

    /// Adds an answer of `process::run`: this exit code and standard output.
    #[must_use]
    pub fn exit(mut self, code: i32, stdout: &str) -> Self {
        self.exits.push_back(Ok(Exit {
            code: Some(code),
            signal: None,
            timed_out: false,
            stdout: stdout.as_bytes().to_vec(),
            stderr: Vec::new(),
            stdout_size: stdout.len() as u64,
            stderr_size: 0,
        }));
        self
    }

    /// Adds an answer of `model::complete`: this text.
    #[must_use]
    pub fn completion(mut self, text: &str) -> Self {
        self.completions.push_back(Ok(Completion {
            text: text.to_owned(),
            structured: None,
            input_tokens: 1,
            output_tokens: 1,
            micro_usd: None,
        }));
        self
    }

    /// Runs plugin code in this situation, on this thread, and returns its answer and the fakes afterwards.
    pub fn run<T>(self, plugin: impl FnOnce() -> T) -> (T, Self) {
        let before = CURRENT.replace(self);
        let answer = plugin();
        (answer, CURRENT.replace(before))
    }

    /// Bytes of a staged payload.
    #[must_use]
    pub fn payload(&self, payload: &Payload) -> Option<&[u8]> {
        self.staged(payload.handle)
    }

    fn staged(&self, handle: u64) -> Option<&[u8]> {
        let index = usize::try_from(handle).ok()?.checked_sub(1)?;
        self.payloads.get(index).map(Vec::as_slice)
    }

    pub(crate) fn seal(&mut self, bytes: &[u8]) -> Payload {
        self.payloads.push(bytes.to_vec());
        Payload {
            handle: self.payloads.len() as u64,
            size: bytes.len() as u64,
            sha256: format!("{:064x}", bytes.len()),
        }
    }

    pub(crate) fn payload_slice(&self, handle: u64, offset: u64, len: u32) -> Result<Vec<u8>, Failure> {
        let bytes = self.staged(handle).ok_or_else(|| Failure::NotFound(format!("payload {handle}")))?;
        Ok(slice(bytes, offset, len))
    }

    pub(crate) fn stat(&self, path: &str) -> Option<Metadata> {
        if let Some(bytes) = self.files.get(path) {
            return Some(Metadata { kind: Kind::File, size: bytes.len() as u64 });
        }
        let is_folder = path.is_empty() || self.files.keys().any(|name| name.starts_with(&format!("{path}/")));
        is_folder.then_some(Metadata { kind: Kind::Folder, size: 0 })
    }

    pub(crate) fn read(&self, path: &str, offset: u64, len: u32) -> Result<Vec<u8>, Failure> {
        let bytes = self.files.get(path).ok_or_else(|| Failure::NotFound(path.to_owned()))?;
        Ok(slice(bytes, offset, len))
    }

    pub(crate) fn list(&self, path: &str) -> Result<Vec<Entry>, Failure> {
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        let names: BTreeSet<(&str, bool)> = self
            .files
            .keys()
            .filter_map(|name| name.strip_prefix(&prefix))
            .map(|rest| rest.split_once('/').map_or((rest, false), |(folder, _)| (folder, true)))
            .collect();
        if names.is_empty() && !path.is_empty() {
            return Err(Failure::NotFound(path.to_owned()));
        }
        let kind = |is_folder| if is_folder { Kind::Folder } else { Kind::File };
        Ok(names.into_iter().map(|(name, folder)| Entry { name: name.to_owned(), kind: kind(folder) }).collect())
    }

    pub(crate) fn write(&mut self, path: &str, handle: u64) -> Result<(), Failure> {
        let bytes = self.staged(handle).ok_or_else(|| Failure::NotFound(format!("payload {handle}")))?.to_vec();
        self.files.insert(path.to_owned(), bytes);
        Ok(())
    }

    pub(crate) fn remove(&mut self, path: &str) -> Result<(), Failure> {
        self.files.remove(path).map(|_| ()).ok_or_else(|| Failure::NotFound(path.to_owned()))
    }

    pub(crate) fn run_command(&mut self, command: &Command) -> Result<Exit, Failure> {
        self.commands.push(command.clone());
        self.exits.pop_front().unwrap_or_else(|| Err(Failure::Denied("no exit was set up in the fakes".into())))
    }

    pub(crate) fn complete(&mut self, request: &Request) -> Result<Completion, Failure> {
        self.requests.push(request.clone());
        self.completions
            .pop_front()
            .unwrap_or_else(|| Err(Failure::Unsupported("no completion was set up in the fakes".into())))
    }
}

fn slice(bytes: &[u8], offset: u64, len: u32) -> Vec<u8> {
    bytes.iter().skip(usize::try_from(offset).unwrap_or(usize::MAX)).take(len as usize).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{context, payloads, progress, workspace};

    #[test]
    fn payloads_are_staged_written_and_read_back() {
        let (result, fakes) = Fakes::new().run(|| {
            let payload = payloads::seal(b"content")?;
            workspace::write("a/b.txt", &payload)?;
            progress::update("written", Some(1.0));
            context::payload(&payload)
        });
        assert_eq!(result.unwrap(), b"content");
        assert_eq!(fakes.files["a/b.txt"], b"content");
        assert_eq!(fakes.progress.len(), 1);
    }

    #[test]
    fn folders_follow_from_file_names() {
        let (names, _) = Fakes::new().file("a/b.txt", "").file("c.txt", "").run(|| workspace::list(""));
        let names: Vec<_> = names.unwrap().into_iter().map(|entry| (entry.name, entry.kind)).collect();
        assert_eq!(names, [("a".to_owned(), Kind::Folder), ("c.txt".to_owned(), Kind::File)]);
        let (folder, _) = Fakes::new().file("a/b.txt", "").run(|| workspace::stat("a"));
        assert_eq!(folder.unwrap().map(|metadata| metadata.kind), Some(Kind::Folder));
    }

    #[test]
    fn situations_do_not_leak_between_runs() {
        let (settings, _) = Fakes::new().settings(r#"{"a":1}"#).run(context::settings);
        assert_eq!(settings, r#"{"a":1}"#);
        assert_eq!(context::settings(), "{}");
    }

    #[test]
    fn what_was_not_set_up_is_refused() {
        let command = Command { argv: vec!["true".into()], cwd: String::new(), time_limit_us: None };
        let (answer, fakes) = Fakes::new().run(|| crate::process::run(&command));
        assert!(matches!(answer, Err(Failure::Denied(_))));
        assert_eq!(fakes.commands.len(), 1);
    }
}
