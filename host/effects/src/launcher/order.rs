//! What the launcher is told, and what it tells.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use fusebox_core::policy::{PathAccess, Protection};
use rustix::process::WaitStatus;
use serde::{Deserialize, Serialize};

use crate::isolation::{NamespaceMode, ProtectionStatus};

/// One order to the launcher.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Order {
    pub task: Task,
    pub level: NamespaceMode,
    /// The workspace, where it is. The launcher is started in it and takes that folder, not this name.
    pub workspace: PathBuf,
    /// The home folder that the environment names.
    pub home: Option<PathBuf>,
    /// What may be used beyond the workspace and the system's folders.
    pub paths: Vec<(PathBuf, PathAccess)>,
    /// Paths of the workspace that may not be changed.
    pub read_only: Vec<String>,
    /// Paths of the workspace that are not seen.
    pub hidden: Vec<String>,
    /// Paths anywhere that are not seen, whatever else is granted.
    pub absent: Vec<PathBuf>,
    pub network: bool,
    pub bounds: Bounds,
    /// What may be missing.
    pub accept_missing: Vec<Protection>,
    /// A cgroup in which others may be made.
    pub cgroup: Option<PathBuf>,
}

/// What to do once everything is set up.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Task {
    /// Nothing: only tell what is enforced.
    Probe,
    /// Start this program.
    Start(Program),
}

/// A program to start.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Program {
    pub path: PathBuf,
    pub argv: Vec<String>,
    /// The folder to start in, below the workspace.
    pub cwd: String,
    pub environment: BTreeMap<String, OsString>,
}

/// Limits in the units of the kernel.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Bounds {
    /// Seconds of each process.
    pub cpu_s: u64,
    /// Bytes of all processes.
    pub memory: u64,
    /// Processes and threads at once.
    pub processes: u64,
    /// Of each process.
    pub open_files: u64,
    /// Bytes of each file.
    pub file: u64,
    /// Bytes that the workspace's file system may lose.
    pub disk: u64,
    /// Bytes of the temporary folders.
    pub temporary: u64,
}

/// What the launcher tells, one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// What is enforced; nothing was started.
    Enforced(Vec<ProtectionStatus>),
    /// The program ended, or was ended.
    Ended { code: Option<i32>, signal: Option<i32>, stopped_by: Option<String> },
    /// Nothing was started: this sandbox could not be built.
    Refused { what: String },
    /// Nothing was started: the kernel has no namespaces for this user.
    Unavailable { what: String },
}

/// How a program ended.
pub fn ended(status: WaitStatus) -> Report {
    Report::Ended { code: status.exit_status(), signal: status.terminating_signal(), stopped_by: None }
}
