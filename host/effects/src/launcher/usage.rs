//! Limits that the kernel does not keep without cgroups: memory of all processes together, and disk space.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::order::Bounds;

/// Interval of the checks.
pub const INTERVAL: Duration = Duration::from_millis(50);
/// Divisor of the machine's memory: below that part of free memory, confined commands are stopped first.
const RESERVE_SHARE: u64 = 20;
/// Looks in a row after which a process that hides its open files is not just beginning or ending.
const MOST_BLIND: u32 = 20;
/// First bytes of the names of anonymous files (memfd_create(2)).
const ANONYMOUS: &[u8] = b"/memfd:";
/// Folders in memory that belong to the sandbox.
const IN_MEMORY: [&str; 4] = ["/tmp", "/var/tmp", "/run", "/dev/shm"];
/// Below this share of its names for files, a file system is nearly full, however much space it has.
const NAMES_SHARE: u64 = 20;

/// Watches the resources that the processes of a sandbox use.
pub struct Watch {
    bounds: Bounds,
    workspace: PathBuf,
    home: Option<PathBuf>,
    free_at_start: u64,
    names_at_start: u64,
    /// A cgroup bounds memory.
    has_cgroup: bool,
    /// Looks in a row that could not see the open files of some process.
    blind: AtomicU32,
}

impl Watch {
    pub fn new(bounds: Bounds, workspace: PathBuf, home: Option<PathBuf>, has_cgroup: bool) -> Self {
        let free_at_start = free(&workspace).unwrap_or(u64::MAX);
        let names_at_start = names(&workspace).map_or(0, |(free, _)| free);
        Self { bounds, workspace, home, free_at_start, names_at_start, has_cgroup, blind: AtomicU32::new(0) }
    }

    /// Whether the file system has few names left, and fewer than at the start.
    fn are_names_short(&self) -> bool {
        names(&self.workspace).is_some_and(|(free, all)| free < all / NAMES_SHARE && free < self.names_at_start)
    }

    /// The first resource over its limit, if there is one.
    pub fn over(&self, processes: &dyn Fn() -> Vec<u32>) -> Option<String> {
        let mib = |bytes: u64| bytes / (1024 * 1024);
        let free = free(&self.workspace).unwrap_or(self.free_at_start);
        if self.free_at_start.saturating_sub(free) > self.bounds.disk {
            return Some(format!("it took up more than {} MiB of disk space", mib(self.bounds.disk)));
        }
        if self.are_names_short() {
            return Some("it used up nearly all files that the file system can have".to_owned());
        }
        if self.has_cgroup {
            return None;
        }
        if is_memory_short() {
            return Some("the machine's memory was nearly used up".to_owned());
        }
        let in_folders: u64 =
            IN_MEMORY.iter().map(PathBuf::from).chain(self.home.clone()).filter_map(|path| used(&path)).sum();
        let processes = processes();
        let Some(unmapped) = unmapped(&processes) else {
            // A process that begins or ends may hide them for a moment.
            let looks = self.blind.fetch_add(1, Ordering::Relaxed);
            return (looks >= MOST_BLIND).then(|| "one of its processes hides the memory that it uses".to_owned());
        };
        self.blind.store(0, Ordering::Relaxed);
        let in_folders = in_folders + unmapped;
        let cheap: u64 = processes.iter().filter_map(|process| resident(*process)).sum();
        if cheap + in_folders <= self.bounds.memory {
            return None;
        }
        // Memory that several processes share is counted once.
        let fair: u64 =
            processes.iter().filter_map(|process| proportional(*process).or_else(|| resident(*process))).sum();
        (fair + in_folders > self.bounds.memory)
            .then(|| format!("its processes used more than {} MiB of memory", mib(self.bounds.memory)))
    }
}

/// Bytes of memory that is in no folder and need not be mapped by a process: anonymous files, and shared segments that no
/// process uses. `None` when a process hides its open files.
fn unmapped(processes: &[u32]) -> Option<u64> {
    let mut files = BTreeMap::new();
    for process in processes {
        let entries = match fs::read_dir(format!("/proc/{process}/fd")) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return None,
            // It has ended.
            Err(_) => continue,
        };
        for entry in entries.flatten() {
            let is_anonymous = fs::read_link(entry.path())
                .is_ok_and(|link| link.as_os_str().as_encoded_bytes().starts_with(ANONYMOUS));
            if is_anonymous && let Ok(stat) = rustix::fs::stat(entry.path()) {
                files.insert((stat.st_dev, stat.st_ino), u64::try_from(stat.st_blocks).unwrap_or(0) * 512);
            }
        }
    }
    Some(files.values().sum::<u64>() + unused_segments())
}

/// Bytes of shared segments of System V that no process has mapped: `nattch` and `rss` of the table (proc(5)).
fn unused_segments() -> u64 {
    let Ok(table) = fs::read_to_string("/proc/sysvipc/shm") else { return 0 };
    let rss = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        (*fields.get(6)? == "0").then(|| fields.get(14)?.parse::<u64>().ok()).flatten()
    };
    table.lines().skip(1).filter_map(rss).sum()
}

/// Free and all names for files.
fn names(path: &std::path::Path) -> Option<(u64, u64)> {
    let stat = rustix::fs::statvfs(path).ok()?;
    Some((stat.f_favail, stat.f_files))
}

fn free(path: &std::path::Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(path).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Bytes that a folder in memory holds; `None` where it is none of its own.
fn used(path: &std::path::Path) -> Option<u64> {
    let stat = rustix::fs::statfs(path).ok()?;
    let is_memory = u64::try_from(stat.f_type).ok()? == TMPFS_MAGIC;
    is_memory
        .then(|| stat.f_blocks.saturating_sub(stat.f_bfree).saturating_mul(u64::try_from(stat.f_bsize).unwrap_or(0)))
}

/// `TMPFS_MAGIC` (linux/magic.h).
const TMPFS_MAGIC: u64 = 0x0102_1994;

fn resident(process: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/statm")).ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

fn proportional(process: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?;
    kib(&text, "Pss:")
}

fn is_memory_short() -> bool {
    let Ok(text) = fs::read_to_string("/proc/meminfo") else { return false };
    match (kib(&text, "MemAvailable:"), kib(&text, "MemTotal:")) {
        (Some(available), Some(total)) => available < total / RESERVE_SHARE,
        _ => false,
    }
}

/// A line `Name:   123 kB`, in bytes.
fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// All processes that `/proc` shows.
pub fn all_processes() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}
