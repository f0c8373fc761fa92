//! Limits that the kernel keeps for each process.

use std::path::Path;

use rustix::process::{Resource, Rlimit, setrlimit};

use super::order::Bounds;

/// Sets them for this process and all that it starts. They can be lowered afterwards, not raised.
pub fn set(bounds: &Bounds) -> Result<(), String> {
    let limits = [
        (Resource::Cpu, bounds.cpu_s),
        (Resource::Data, bounds.memory),
        (Resource::Nproc, bounds.processes),
        (Resource::Nofile, bounds.open_files),
        (Resource::Fsize, bounds.file),
        (Resource::Core, 0),
        (Resource::Memlock, 64 * 1024),
    ];
    for (resource, limit) in limits {
        // A tighter limit stays.
        let now = rustix::process::getrlimit(resource).maximum;
        let limit = now.map_or(limit, |now| now.min(limit));
        let limit = Rlimit { current: Some(limit), maximum: Some(limit) };
        setrlimit(resource, limit).map_err(|error| format!("the limit of {resource:?}: {error}"))?;
    }
    Ok(())
}

/// The fewest processes that the kernel takes as a limit of a namespace (`pid_max`, Linux 6.14; kernel/pid.c).
pub const FEWEST_PROCESSES: u64 = 301;

/// Bounds the processes of this namespace, of all users, and keeps them from making namespaces. Returns whether the
/// number of processes is bounded: older kernels cannot.
pub fn bound_namespace(proc: &Path, processes: u64) -> std::io::Result<()> {
    // Seccomp refuses them as well, where the kernel has it.
    let _ = std::fs::write(proc.join("sys/user/max_user_namespaces"), "0");
    std::fs::write(proc.join("sys/kernel/pid_max"), processes.max(FEWEST_PROCESSES).to_string())
}
