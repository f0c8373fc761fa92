//! Processes to start, and their ends.

use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use cap_std::fs::Dir;
use tokio::process::Child;

use crate::error::Error;
use crate::kill_orders::KillOrders;
use crate::program::Environment;

/// Description of a process to start.
#[derive(Debug)]
pub struct ProcessSpec {
    /// Path of the resolved executable.
    pub program: PathBuf,
    /// Program name and arguments, as the process sees them.
    pub argv: Vec<String>,
    /// The folder to start in, below the workspace.
    pub cwd: fusebox_core::WorkspacePath,
    /// Handle of the workspace.
    pub workspace: Dir,
    /// The workspace by name.
    pub workspace_path: PathBuf,
    /// All environment variables of the process.
    pub environment: Environment,
    /// Wall time after which everything is killed.
    pub time_limit: Option<Duration>,
    /// Requests that end it; none when only its host ends it.
    pub kill: Option<KillOrders>,
    /// Bytes of each output stream that are kept: half of them from the start, half from the end.
    pub keep_bytes: usize,
}

/// Stream of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Standard output of the process.
    Stdout,
    /// Standard error of the process.
    Stderr,
}

/// End of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProcessExit {
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The time limit ended it.
    pub timed_out: bool,
    /// The limit that ended it, if one did, in words that end a sentence.
    pub stopped_by: Option<String>,
    /// Protected paths that it made and that were taken away, if there were any, in words that end a sentence.
    pub quarantined: Option<String>,
    /// Start and end of its standard output.
    pub stdout: Vec<u8>,
    /// Start and end of its standard error.
    pub stderr: Vec<u8>,
    /// Bytes that it wrote to standard output.
    pub stdout_size: u64,
    /// Bytes that it wrote to standard error.
    pub stderr_size: u64,
}

/// Something that was started, with all that it starts. Dropping it ends all of it.
pub trait Started {
    /// The process whose output and end are waited for.
    fn child(&mut self) -> &mut Child;
    /// Ends all processes of the command.
    fn end(&mut self);
    /// Exit of the program, after that of the child.
    fn exit(&mut self, status: ExitStatus) -> Result<ProcessExit, Error>;
}
