//! A cgroup (version 2) for one command, where one was delegated to this user.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::order::Bounds;

/// A cgroup in which others with limits of memory and processes can be made: the nearest one above our own that this
/// user may write to and that passes those controllers on.
pub fn delegated() -> Option<PathBuf> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::"))?.to_owned();
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mut found = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let root = found.find_map(|fields| {
        (*fields.get(2)? == "cgroup2").then(|| PathBuf::from(fields.get(1).copied().unwrap_or("/")))
    })?;
    let own = root.join(own.trim_start_matches('/'));
    let above = own.ancestors().skip(usize::from(own != root)).take_while(|path| path.starts_with(&root));
    above.filter(|path| passes_on(path)).find(|path| is_writable(path)).map(Path::to_path_buf)
}

fn passes_on(path: &Path) -> bool {
    let controllers = fs::read_to_string(path.join("cgroup.subtree_control")).unwrap_or_default();
    ["memory", "pids"].iter().all(|needed| controllers.split_whitespace().any(|name| name == *needed))
}

fn is_writable(path: &Path) -> bool {
    let access = |path: &Path| rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok();
    access(path) && access(&path.join("cgroup.procs"))
}

/// Creates a cgroup for this process and moves it there.
pub fn enter(parent: &Path, bounds: &Bounds) -> io::Result<()> {
    let path = of(parent, std::process::id());
    fs::create_dir(&path)?;
    let set = |file: &str, value: String| fs::write(path.join(file), value);
    set("memory.max", bounds.memory.to_string())?;
    // Not every kernel has swap; a kernel without it needs no limit.
    let _ = set("memory.swap.max", "0".to_owned());
    set("memory.oom.group", "1".to_owned())?;
    // The launcher and the first process of the sandbox are two of them.
    set("pids.max", (bounds.processes + 4).to_string())?;
    set("cgroup.procs", std::process::id().to_string())
}

/// Removes the one of a launcher that has ended. There may be none.
pub fn remove(parent: &Path, launcher: u32) {
    let _ = fs::remove_dir(of(parent, launcher));
}

fn of(parent: &Path, launcher: u32) -> PathBuf {
    parent.join(format!("fusebox-{launcher}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_gets_its_limits_before_its_process() {
        let parent = tempfile::tempdir().unwrap();
        let bounds =
            Bounds { cpu_s: 1, memory: 1 << 30, processes: 100, open_files: 1, file: 1, disk: 1, temporary: 1 };
        enter(parent.path(), &bounds).unwrap();
        let group = of(parent.path(), std::process::id());
        let read = |file: &str| fs::read_to_string(group.join(file)).unwrap();
        assert_eq!((read("memory.max").as_str(), read("pids.max").as_str()), ("1073741824", "104"));
        assert_eq!(read("cgroup.procs"), std::process::id().to_string());
        assert!(enter(parent.path(), &bounds).is_err(), "another process owns a group of that name");
    }

    #[test]
    fn only_what_passes_both_controllers_on_counts() {
        let parent = tempfile::tempdir().unwrap();
        for (controllers, passes) in [("cpu memory pids", true), ("memory", false), ("pids cpu", false), ("", false)] {
            fs::write(parent.path().join("cgroup.subtree_control"), controllers).unwrap();
            assert_eq!(passes_on(parent.path()), passes, "{controllers}");
        }
    }
}
