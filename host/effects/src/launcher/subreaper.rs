//! Without namespaces: the program shares the host's, and its processes are found by descent.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, set_child_subreaper, wait};

use super::kill_watch::KillWatch;
use super::order::{Order, Report, Task};
use super::usage::{self, Watch};
use super::{channel, order, spawn};

/// Most rounds of killing all descendants: a fork bomb is faster than one look.
const ROUNDS: u32 = 1000;

/// Starts the program and stays until everything that came of it has ended. Gives the report of its end, unless the host
/// asked for that.
pub fn run(mut order: Order, host: &UnixStream, kill: Option<&mut KillWatch>) -> Result<Option<Report>, String> {
    let failed = |what: &'static str| move |error: std::io::Error| format!("{what}: {error}");
    // Orphans become our children, however often they fork.
    set_child_subreaper(Some(rustix::process::getpid())).map_err(|error| format!("adopting orphans: {error}"))?;
    let scratch = tempfile::Builder::new().prefix("fusebox-").tempdir().map_err(failed("a temporary folder"))?;
    order.home = Some(scratch.path().to_owned());
    if let Task::Start(program) = &mut order.task {
        for name in ["HOME", "TMPDIR"] {
            program.environment.insert(name.to_owned(), scratch.path().into());
        }
    }
    let (control, child) = spawn::start_init(&order)?;
    let process = spawn::pidfd(&child)?;
    let child = Pid::from_raw(child.id().cast_signed()).ok_or_else(|| "the program has no id".to_owned())?;
    // It ends without a word when the program takes its place.
    let received = channel::receive::<Report>(&control).ok();
    let report = match received {
        Some(report) => Some(report),
        None => watch_over(&order, host, Started { child, process }, kill),
    };
    end_all();
    Ok(report)
}

/// Waits for the program's end, its limits, or the host's word. `None` when the host wants an end.
fn watch_over(order: &Order, host: &UnixStream, started: Started, mut kill: Option<&mut KillWatch>) -> Option<Report> {
    let Started { child, process } = started;
    let watch = Watch::new(order.bounds, order.workspace.clone(), None, order.cgroup.is_some());
    let own = rustix::process::getpid();
    loop {
        while let Ok(Some((id, status))) = wait(WaitOptions::NOHANG) {
            if id == child {
                return Some(order::ended(status));
            }
        }
        if let Some(by) = kill.as_mut().and_then(|kill| kill.killed_by()) {
            return Some(order::stopped(format!("it was killed by {by}")));
        }
        let processes = || descendants(own);
        if let Some(why) = watch.over(&processes) {
            return Some(order::stopped(why));
        }
        if u64::try_from(processes().len()).unwrap_or(u64::MAX) > order.bounds.processes {
            let why = format!("it started more than {} processes", order.bounds.processes);
            return Some(order::stopped(why));
        }
        let mut fds = [
            PollFd::from_borrowed_fd(host.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN),
        ];
        let nanoseconds = i64::try_from(usage::INTERVAL.as_nanos()).unwrap_or(i64::MAX);
        let _ = poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: nanoseconds }));
        let [from_host, _] = fds.map(|fd| fd.revents());
        if !from_host.is_empty() {
            return None;
        }
    }
}

/// The first process that was started, and a handle of it.
struct Started {
    child: Pid,
    process: OwnedFd,
}

/// Kills all descendants until none is left.
fn end_all() {
    let own = rustix::process::getpid();
    for _ in 0..ROUNDS {
        // Stopped first, so that none starts another while the rest is killed.
        let processes = descendants(own);
        for signal in [Signal::STOP, Signal::KILL] {
            for id in processes.iter().filter_map(|id| Pid::from_raw(id.cast_signed())) {
                let _ = kill_process(id, signal);
            }
        }
        while matches!(wait(WaitOptions::NOHANG), Ok(Some(_))) {}
        if descendants(own).is_empty() {
            return;
        }
        std::thread::yield_now();
    }
}

/// All processes that descend from one.
fn descendants(from: Pid) -> Vec<u32> {
    let parents: BTreeMap<u32, u32> =
        usage::all_processes().into_iter().filter_map(|id| Some((id, parent_of(id)?))).collect();
    let root = from.as_raw_nonzero().get().cast_unsigned();
    let descends = |mut id: u32| {
        // A chain of parents is no longer than there are processes.
        for _ in 0..parents.len() {
            match parents.get(&id) {
                Some(parent) if *parent == root => return true,
                Some(parent) => id = *parent,
                None => return false,
            }
        }
        false
    };
    parents.keys().copied().filter(|id| descends(*id)).collect()
}

/// The fourth field of `stat` (proc(5)), counted behind the name, which may hold anything.
fn parent_of(process: u32) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}
