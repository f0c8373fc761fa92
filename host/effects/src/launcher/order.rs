//! Messages to and from the launcher.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use fusebox_core::policy::{LinkedFiles, PathAccess, Protection};
use fusebox_core::protected::ProtectedGlobs;
use rustix::process::WaitStatus;
use serde::{Deserialize, Serialize};

use super::protected::ProtectedPath;
use crate::isolation::{NamespaceMode, ProtectionStatus};
use crate::kill_orders::KillOrders;

/// One order to the launcher.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Order {
    pub task: Task,
    pub level: NamespaceMode,
    /// The workspace, where it is. The launcher is started in it and takes that folder, not this name.
    pub workspace: PathBuf,
    /// The home folder that the environment names.
    pub home: Option<PathBuf>,
    /// Paths that may be used beyond the workspace and the system's folders.
    pub paths: Vec<(PathBuf, PathAccess)>,
    /// Globs of paths of the workspace that are not seen or may not be changed.
    pub protect: Vec<ProtectedGlobs>,
    /// Files with names outside of the workspace.
    pub linked_files: LinkedFiles,
    /// The paths that these globs match. The launcher finds them.
    pub protected: Vec<ProtectedPath>,
    /// Paths anywhere that are hidden, even inside of granted ones.
    pub absent: Vec<PathBuf>,
    pub network: bool,
    /// Requests that end the program.
    pub kill: Option<KillOrders>,
    pub bounds: Bounds,
    /// Protections that may be missing.
    pub accept_missing: Vec<Protection>,
    /// A cgroup in which others may be made.
    pub cgroup: Option<PathBuf>,
}

/// Task after the setup.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Task {
    /// None: only report the enforced protections.
    Probe,
    /// Start this program in the sandbox.
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
    /// Most open files of each process.
    pub open_files: u64,
    /// Bytes of each file.
    pub file: u64,
    /// Bytes that the workspace's file system may lose.
    pub disk: u64,
    /// Bytes of the temporary folders.
    pub temporary: u64,
}

/// Report of the launcher; several follow each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// These protections are enforced; no program was started.
    Enforced(Vec<ProtectionStatus>),
    /// The program ended, or was ended. `quarantined` says what it made of protected paths, in words that end a
    /// sentence.
    Ended { code: Option<i32>, signal: Option<i32>, stopped_by: Option<String>, quarantined: Option<String> },
    /// Nothing was started: this sandbox could not be built.
    Refused { what: String },
    /// Nothing was started: the kernel has no namespaces for this user.
    Unavailable { what: String },
}

/// Report of a program's end.
pub fn ended(status: WaitStatus) -> Report {
    let (code, signal) = (status.exit_status(), status.terminating_signal());
    Report::Ended { code, signal, stopped_by: None, quarantined: None }
}

/// Report of a program that a limit ended.
pub fn stopped(why: String) -> Report {
    Report::Ended { code: None, signal: Some(9), stopped_by: Some(why), quarantined: None }
}
