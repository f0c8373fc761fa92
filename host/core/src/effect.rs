//! Effects: changes and reads that an action performs on the world.

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Digest, Json, WorkspacePath};

/// One change or read that an action performs, as the host derived it. Contents are kept by digest in
/// [`Contents`](crate::Contents).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum Effect {
    /// Reads a file, or lists or inspects a folder.
    Read {
        /// File or folder to read.
        path: WorkspacePath,
    },
    /// Creates or replaces a file.
    Write {
        /// File to write.
        path: WorkspacePath,
        /// Digest of the file as it is now; `None` when there is none.
        before: Option<Digest>,
        /// Digest of the whole file afterwards.
        after: Digest,
        /// Size of the file afterwards, in bytes.
        size: u64,
        /// Whether other programs run or obey the file, by settings of a repository or by the name of a link to it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        obeyed: bool,
    },
    /// Removes a file.
    Remove {
        /// File to remove.
        path: WorkspacePath,
        /// Digest of the file as it is now.
        before: Option<Digest>,
        /// Whether other programs run or obey the file, by settings of a repository or by the name of a link to it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        obeyed: bool,
    },
    /// Starts a process.
    Run {
        /// Program and arguments.
        argv: Vec<String>,
        /// Executable that `argv[0]` resolves to: an absolute path, or one below the workspace.
        program: String,
        /// Working folder of the process.
        cwd: WorkspacePath,
        /// Names of the environment variables that the process sees, sorted.
        env_names: Vec<String>,
        /// Digest of the names and values of these variables.
        environment: Digest,
        /// The shell line, when `argv` hands one to a shell.
        shell_text: Option<String>,
        /// Files of the workspace that the command names, its program among them: what it runs lies there.
        files: Vec<NamedFile>,
    },
    /// Sends a prompt to a language model.
    Prompt {
        /// Model name or alias.
        model: String,
        /// Digest of the prompt.
        content: Digest,
        /// Size of the prompt, in bytes.
        size: u64,
        /// Most tokens of the answer.
        max_output_tokens: u64,
    },
    /// Makes a network request.
    Net {
        /// Method or verb.
        method: String,
        /// Host name or address.
        host: String,
        /// Port of the host.
        port: u16,
        /// Path of the request.
        path: String,
    },
    /// Calls a tool of a tool server.
    Tool {
        /// Name of the tool server.
        server: String,
        /// Name of the tool.
        name: String,
        /// Input of the tool.
        input: Json,
    },
    /// Anything else.
    Other {
        /// Name of the kind of effect.
        kind: String,
        /// Further data of the effect.
        data: Json,
    },
}

/// A file of the workspace that a command names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NamedFile {
    /// The word of the command.
    pub word: String,
    /// The file that it leads to, without links.
    pub path: WorkspacePath,
    /// Digest of the file as it is now.
    pub content: Digest,
    /// Whether the word is a bare name that leads to this program because the search path does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub on_search_path: bool,
}

/// Kind of an [`Effect::Other`] outside of the workspace.
const OUTSIDE: &str = "outside";

/// What an action does with a path outside of the workspace: an [`Effect::Other`] of the kind `outside`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outside {
    /// What is done there.
    pub access: OutsideAccess,
    /// Absolute path, as the host understands it.
    pub path: String,
}

/// What is done with a path outside of the workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutsideAccess {
    /// It is read.
    Read,
    /// It is created or replaced.
    Write,
    /// It is removed.
    Remove,
    /// A command runs there.
    Run,
    /// A command names it.
    Name,
}

impl OutsideAccess {
    /// The access as a verb.
    #[must_use]
    pub fn verb(self) -> &'static str {
        match self {
            Self::Read => "reads",
            Self::Write => "writes",
            Self::Remove => "removes",
            Self::Run => "runs a command in",
            Self::Name => "names",
        }
    }
}

impl From<Outside> for Effect {
    fn from(outside: Outside) -> Self {
        let data = serde_json::to_value(outside).unwrap_or_default();
        Self::Other { kind: OUTSIDE.to_owned(), data: Json::from_checked(data) }
    }
}

impl Effect {
    /// What the effect does with a path outside of the workspace, if it is such an effect.
    #[must_use]
    pub fn outside(&self) -> Option<Outside> {
        match self {
            Self::Other { kind, data } if kind == OUTSIDE => serde_json::from_value(data.value().clone()).ok(),
            _ => None,
        }
    }

    /// Name of the effect's kind in messages.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Read { .. } => "read",
            Self::Write { .. } => "write",
            Self::Remove { .. } => "remove",
            Self::Run { .. } => "run",
            Self::Prompt { .. } => "prompt",
            Self::Net { .. } => "net",
            Self::Tool { .. } => "tool",
            Self::Other { .. } => "other",
        }
    }

    /// Whether the effect only reads.
    #[must_use]
    pub fn only_reads(&self) -> bool {
        matches!(self, Self::Read { .. })
    }

    /// Whether the effect changes the world beyond its cost, so that it matters whether it happened.
    #[must_use]
    pub fn changes_the_world(&self) -> bool {
        !matches!(self, Self::Read { .. } | Self::Prompt { .. })
    }

    /// Whether this effect, once approved, covers `needed`. Only equal effects do, except that a write or removal of a
    /// file covers a read of it.
    #[must_use]
    pub fn covers(&self, needed: &Self) -> bool {
        match (self, needed) {
            (Self::Write { path, .. } | Self::Remove { path, .. }, Self::Read { path: read }) => path == read,
            _ => self == needed,
        }
    }
}

/// An effect as its proposer states it, before the host derives the facts: digests, programs, environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProposedEffect {
    /// Reads `path`.
    Read {
        /// As stated, not normalised.
        path: String,
    },
    /// Replaces the file at `path`.
    Write {
        /// As stated, not normalised.
        path: String,
        /// Its whole content afterwards.
        content: Bytes,
    },
    /// Removes the file at `path`.
    Remove {
        /// As stated, not normalised.
        path: String,
    },
    /// Starts a process.
    Run {
        /// Program and arguments.
        argv: Vec<String>,
        /// As stated, not normalised.
        cwd: String,
        /// The shell line, when `argv` hands one to a shell.
        shell_text: Option<String>,
    },
    /// Sends a prompt.
    Prompt {
        /// Model name or alias.
        model: String,
        /// Content of the prompt.
        content: Bytes,
        /// Most tokens of the answer.
        max_output_tokens: u64,
    },
    /// An effect that needs no facts from the host: `Net`, `Tool` or `Other`.
    Plain(Effect),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> WorkspacePath {
        text.parse().unwrap()
    }

    fn write(to: &str, before: Option<&[u8]>, after: &[u8]) -> Effect {
        let size = after.len() as u64;
        Effect::Write { path: path(to), before: before.map(Digest::of), after: Digest::of(after), size, obeyed: false }
    }

    #[test]
    fn a_write_covers_itself_and_looking_at_its_file() {
        let approved = write("a", None, b"x");
        assert!(approved.covers(&approved));
        assert!(approved.covers(&Effect::Read { path: path("a") }));
        for needed in [write("b", None, b"x"), write("a", Some(b""), b"x"), write("a", None, b"y")] {
            assert!(!approved.covers(&needed), "{needed:?}");
        }
        assert!(!approved.covers(&Effect::Read { path: path("b") }));
        assert!(!Effect::Read { path: path("a") }.covers(&approved));
    }

    #[test]
    fn a_run_covers_only_the_same_program_arguments_and_folder() {
        let run = |argv: &[&str], program: &str, cwd: &str| Effect::Run {
            argv: argv.iter().map(|word| (*word).to_owned()).collect(),
            program: program.to_owned(),
            cwd: path(cwd),
            env_names: vec![],
            environment: Digest::ZERO,
            shell_text: None,
            files: vec![],
        };
        let approved = run(&["ls"], "/bin/ls", "");
        let with = |content: &[u8], environment: &[u8]| match run(&["./x"], "x", "") {
            Effect::Run { argv, program, cwd, env_names, shell_text, .. } => {
                let content = Digest::of(content);
                let files = vec![NamedFile { word: "./x".into(), path: path("x"), content, on_search_path: false }];
                let environment = Digest::of(environment);
                Effect::Run { argv, program, cwd, env_names, environment, shell_text, files }
            }
            other => other,
        };
        assert!(with(b"1", b"PATH=/bin").covers(&with(b"1", b"PATH=/bin")));
        assert!(!with(b"1", b"PATH=/bin").covers(&with(b"2", b"PATH=/bin")));
        assert!(!with(b"1", b"PATH=/bin").covers(&with(b"1", b"PATH=/x:/bin")));
        assert!(approved.covers(&approved));
        for needed in [run(&["ls", "-l"], "/bin/ls", ""), run(&["ls"], "/tmp/ls", ""), run(&["ls"], "/bin/ls", "a")] {
            assert!(!approved.covers(&needed));
        }
    }
}
