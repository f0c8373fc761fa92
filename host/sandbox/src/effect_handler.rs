//! Host calls of executors, and the trait that answers them.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use fusebox_core::{Digest, Failure, json};
use serde::{Deserialize, Serialize};

/// One call of an executor to the host that reaches the world. Paths are as the guest gave them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "snake_case")]
#[expect(missing_docs, reason = "fields are those of the contract's functions")]
pub enum HostCall {
    /// `workspace.stat`.
    Stat { path: String },
    /// `workspace.read`.
    Read { path: String, offset: u64, len: u32 },
    /// `workspace.list`.
    List { path: String },
    /// `workspace.write`; on a tape, content is its digest only.
    Write {
        path: String,
        sha256: Digest,
        size: u64,
        #[serde(skip)]
        content: Bytes,
    },
    /// `workspace.remove`.
    Remove { path: String },
    /// `process.run`.
    Run { argv: Vec<String>, cwd: String, time_limit_us: Option<u64> },
    /// `model.complete`; on a tape, the prompt is its digest only.
    Complete {
        model: String,
        sha256: Digest,
        size: u64,
        #[serde(skip)]
        content: Bytes,
        max_output_tokens: u64,
        schema: Option<String>,
    },
    /// `progress.cancelled`.
    Cancelled,
}

impl HostCall {
    /// The function's name in messages.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Stat { .. } => "workspace.stat",
            Self::Read { .. } => "workspace.read",
            Self::List { .. } => "workspace.list",
            Self::Write { .. } => "workspace.write",
            Self::Remove { .. } => "workspace.remove",
            Self::Run { .. } => "process.run",
            Self::Complete { .. } => "model.complete",
            Self::Cancelled => "progress.cancelled",
        }
    }

    /// Whether it leaves the world as it is; only these are answered during a preview.
    #[must_use]
    pub fn only_reads(&self) -> bool {
        matches!(self, Self::Stat { .. } | Self::Read { .. } | Self::List { .. } | Self::Cancelled)
    }
}

impl HostCall {
    /// About how much room it takes on a tape, in bytes. Contents are not on it.
    pub(crate) fn bytes(&self) -> usize {
        64 + match self {
            Self::Stat { path } | Self::Read { path, .. } | Self::List { path } | Self::Remove { path } => path.len(),
            Self::Write { path, .. } => path.len(),
            Self::Run { argv, cwd, .. } => cwd.len() + argv.iter().map(|word| word.len() + 8).sum::<usize>(),
            Self::Complete { model, schema, .. } => model.len() + schema.as_ref().map_or(0, String::len),
            Self::Cancelled => 0,
        }
    }
}

impl fmt::Display for HostCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&json::canonical(self))
    }
}

/// Kind of a workspace entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A link, device, FIFO or socket.
    Other,
}

/// Answer of `stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathMetadata {
    /// Kind of the entry.
    pub kind: EntryKind,
    /// Size of the file in bytes.
    pub size: u64,
}

/// One name of `list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderEntry {
    /// Name of the entry.
    pub name: String,
    /// Kind of the entry.
    pub kind: EntryKind,
}

/// Answer of `run`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessEnd {
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The time limit ended it.
    pub timed_out: bool,
    /// Start and end of standard output.
    #[serde(with = "base64")]
    pub stdout: Vec<u8>,
    /// Start and end of standard error.
    #[serde(with = "base64")]
    pub stderr: Vec<u8>,
    /// Bytes written to standard output.
    pub stdout_size: u64,
    /// Bytes written to standard error.
    pub stderr_size: u64,
}

/// Answer of `complete`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelCompletion {
    /// Text of the answer.
    pub text: String,
    /// The answer as JSON, when a schema was given.
    pub structured: Option<String>,
    /// Tokens of the prompt.
    pub input_tokens: u64,
    /// Tokens of the answer.
    pub output_tokens: u64,
    /// Its price in micro-USD; `None` when unknown.
    pub micro_usd: Option<u64>,
}

/// Answer of the host to a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", content = "value", rename_all = "snake_case")]
pub enum HostAnswer {
    /// To `stat`; `None` when nothing is there.
    Metadata(Option<PathMetadata>),
    /// To `read`.
    Bytes(#[serde(with = "base64")] Vec<u8>),
    /// To `list`.
    Entries(Vec<FolderEntry>),
    /// To `write` and `remove`.
    Done,
    /// To `run`.
    Process(ProcessEnd),
    /// To `complete`.
    Completion(ModelCompletion),
    /// To `cancelled`.
    Flag(bool),
}

/// An answer or a refusal: both are values to the guest.
pub type Reply = Result<HostAnswer, Failure>;

/// About how much room an answer takes.
pub(crate) fn answer_bytes(reply: &Reply) -> usize {
    match reply {
        Ok(HostAnswer::Bytes(bytes)) => bytes.len(),
        Ok(HostAnswer::Entries(entries)) => entries.iter().map(|entry| entry.name.len() + 64).sum(),
        Ok(HostAnswer::Process(end)) => end.stdout.len() + end.stderr.len(),
        Ok(HostAnswer::Completion(completion)) => completion.text.len(),
        Ok(HostAnswer::Metadata(_) | HostAnswer::Done | HostAnswer::Flag(_)) | Err(_) => 64,
    }
}

/// Reason why the invocation must end instead of getting an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The tape says something else.
    Diverged {
        /// Call on the tape.
        expected: String,
        /// Call that was made.
        asked: String,
    },
    /// The host cannot go on, for instance because the log cannot be written.
    HostFailed {
        /// Reason of the stop.
        message: String,
    },
    /// The run was killed.
    Killed,
}

/// A call that is being answered.
pub type HandlerFuture<'a> = Pin<Box<dyn Future<Output = Result<Reply, Stop>> + Send + 'a>>;

/// Answers the host calls of one executor invocation. Dropping the future must stop its work.
pub trait EffectHandler: Send {
    /// Answers one host call.
    fn call(&mut self, call: HostCall) -> HandlerFuture<'_>;

    /// The executor's report of its progress, for subscribers; `fraction` is in [0, 1]. Not recorded.
    fn progress(&mut self, _message: &str, _fraction: Option<f64>) {}
}

impl EffectHandler for Box<dyn EffectHandler> {
    fn call(&mut self, call: HostCall) -> HandlerFuture<'_> {
        (**self).call(call)
    }

    fn progress(&mut self, message: &str, fraction: Option<f64>) {
        (**self).progress(message, fraction);
    }
}

/// Bytes as base64, so that tapes are JSON.
mod base64 {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}
