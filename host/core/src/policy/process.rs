//! Confinement of processes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Files and resources of step processes. They get nothing that is not named here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProcessPolicy {
    /// Whether processes reach the network. Without it they have a loopback interface of their own.
    pub network: bool,
    /// Protections that may be missing where the kernel lacks them. Without this entry, processes are refused there.
    pub accept_missing: Vec<Protection>,
    /// Folders and files beyond those of the workspace and the system, by a name of your choice: toolchains, caches.
    pub paths: BTreeMap<String, PathGrant>,
    /// What becomes of files of the workspace that have further names outside of it, so that a command that writes to
    /// them would change something there.
    pub linked_files: LinkedFiles,
    /// Most resources of the processes of one command.
    pub limits: ProcessLimits,
}

/// One protection that confines processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protection {
    /// Namespaces of the kernel: own files, processes, users and network.
    Namespaces,
    /// Landlock: which files may be opened.
    Landlock,
    /// Seccomp: which system calls may be made.
    Seccomp,
}

impl Protection {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Namespaces, Self::Landlock, Self::Seccomp];

    /// Its name in policies.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Namespaces => "namespaces",
            Self::Landlock => "landlock",
            Self::Seccomp => "seccomp",
        }
    }
}

/// A path that processes may use, where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PathGrant {
    /// Absolute, or beginning with `~/`.
    pub path: String,
    /// Access of processes to the path.
    pub access: PathAccess,
}

/// What becomes of files with names outside of the workspace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LinkedFiles {
    /// The workspace gets a copy of its own before a command starts.
    #[default]
    Copy,
    /// Commands are refused as long as there are any.
    Refuse,
    /// Nothing: commands can change what lies outside, and files are not looked at one by one.
    Allow,
}

/// Access of processes to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PathAccess {
    /// Read and execute.
    Read,
    /// Read, execute and change.
    Write,
}

/// Limits of the processes of one command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProcessLimits {
    /// Processor time of each process, in seconds.
    #[schemars(range(min = 1, max = 86_400))]
    pub cpu_s: u64,
    /// Memory of all of them, in MiB.
    #[schemars(range(min = 16, max = 1_048_576))]
    pub memory_mib: u64,
    /// Processes and threads at once.
    #[schemars(range(min = 8, max = 32_768))]
    pub processes: u64,
    /// Open files of each process.
    #[schemars(range(min = 16, max = 1_048_576))]
    pub open_files: u64,
    /// Largest file that one writes, in MiB.
    #[schemars(range(min = 1, max = 1_048_576))]
    pub file_mib: u64,
    /// Disk space that their files take, in MiB.
    #[schemars(range(min = 1, max = 1_048_576))]
    pub disk_mib: u64,
    /// Space in `/tmp` and the home folder, which are in memory and go away, in MiB.
    #[schemars(range(min = 1, max = 1_048_576))]
    pub temporary_mib: u64,
}

impl Default for ProcessLimits {
    fn default() -> Self {
        Self {
            cpu_s: 3600,
            memory_mib: 4096,
            processes: 512,
            open_files: 4096,
            file_mib: 4096,
            disk_mib: 16_384,
            temporary_mib: 1024,
        }
    }
}

impl ProcessPolicy {
    /// The first fault in the rules, if there is one, beginning with the key.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let ProcessLimits { cpu_s, memory_mib, processes, open_files, file_mib, disk_mib, temporary_mib } = self.limits;
        let ranges = [
            ("cpu_s", cpu_s, 1, 86_400),
            ("memory_mib", memory_mib, 16, 1 << 20),
            ("processes", processes, 8, 32_768),
            ("open_files", open_files, 16, 1 << 20),
            ("file_mib", file_mib, 1, 1 << 20),
            ("disk_mib", disk_mib, 1, 1 << 20),
            ("temporary_mib", temporary_mib, 1, 1 << 20),
        ];
        let out = ranges.iter().find(|(_, value, min, max)| !(min..=max).contains(&value));
        if let Some((key, value, min, max)) = out {
            return Some(format!("limits.{key} is {value}; it may be {min} to {max}"));
        }
        let plain = |path: &str| path.starts_with('/') || path.starts_with("~/");
        // The kernel shows the whole machine there.
        let first = |path: &str| path.split('/').find(|part| !part.is_empty()).unwrap_or_default().to_owned();
        let is_kernels = |path: &str| path.starts_with('/') && ["proc", "dev", "sys"].contains(&first(path).as_str());
        if let Some((name, grant)) = self.paths.iter().find(|(_, grant)| is_kernels(&grant.path)) {
            let path = &grant.path;
            return Some(format!("paths.{name}.path is {path:?}, a folder of the kernel, which cannot be granted"));
        }
        let is_bad = |path: &str| {
            !plain(path)
                || path.trim_matches('/').is_empty()
                || path.contains('\0')
                || path.split('/').any(|part| part == "..")
        };
        let bad = self.paths.iter().find(|(_, grant)| is_bad(&grant.path));
        bad.map(|(name, grant)| {
            format!("paths.{name}.path is {:?}; give an absolute path, or one that begins with ~/", grant.path)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_name_their_key() {
        assert_eq!(ProcessPolicy::default().fault(), None);
        let mut policy = ProcessPolicy::default();
        policy.limits.processes = 1;
        assert!(policy.fault().unwrap().starts_with("limits.processes"));
        for path in ["relative", "/a/../b", "~root/x", "/", "/proc", "//dev/shm"] {
            let grant = PathGrant { path: path.into(), access: PathAccess::Read };
            let paths = [("p".to_owned(), grant)].into();
            let policy = ProcessPolicy { paths, ..ProcessPolicy::default() };
            assert!(policy.fault().is_some(), "{path}");
        }
    }
}
