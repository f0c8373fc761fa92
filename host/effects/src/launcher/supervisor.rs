//! The launcher itself: it creates the namespaces, starts the first process in them, and relays between it and the
//! host. When the host goes away or asks for an end, it ends all processes, and itself only after them.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::net::UnixStream;
use std::process::Child;

use nix::sched::CloneFlags;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Signal, pidfd_send_signal};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::kill_watch::{self, KillWatch};
use super::order::{self, Order, Report, Task};
use super::protected::Protected;
use super::root::SandboxSetupError;
use super::{cgroup, channel, spawn, subreaper};
use crate::isolation::NamespaceMode;

/// Carries out the order that the host sends.
pub fn run(host: UnixStream) {
    let closed =
        close_inherited(host.as_fd().as_raw_fd()).map_err(|error| format!("closing what was left open: {error}"));
    let received = closed.and_then(|()| channel::receive(&host).map_err(|error| error.to_string()));
    let done = received.map_err(SandboxSetupError::Failed).and_then(|order| carry_out(order, &host));
    let report = match done {
        Ok(()) => return,
        Err(SandboxSetupError::Failed(what)) => Report::Refused { what },
        Err(SandboxSetupError::Unavailable(what)) => Report::Unavailable { what },
    };
    // The host has gone when this fails.
    let _ = channel::send(&host, &report);
}

/// Closes file descriptors that were inherited by accident: the program must not find them.
fn close_inherited(but: i32) -> io::Result<()> {
    let number = |entry: io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse::<i32>().ok();
    let open: Vec<i32> = fs::read_dir("/proc/self/fd")?.filter_map(number).filter(|fd| *fd > 2 && *fd != but).collect();
    for fd in open {
        // The folder that was read is one of them, and closed already.
        let _ = nix::unistd::close(fd);
    }
    Ok(())
}

fn carry_out(mut order: Order, host: &UnixStream) -> Result<(), SandboxSetupError> {
    if let Some(parent) = &order.cgroup
        && cgroup::enter(parent, &order.bounds).is_err()
    {
        order.cgroup = None;
    }
    let mut kill = order.kill.as_ref().and_then(KillWatch::open);
    let protected = match &order.task {
        Task::Probe => None,
        // Before the namespaces: in there, files of other users cannot be looked at.
        Task::Start(_) => {
            let (protected, paths) =
                Protected::find(&order.protect, order.linked_files).map_err(SandboxSetupError::Failed)?;
            order.protected = paths;
            Some(protected)
        }
    };
    let ended = match order.level {
        NamespaceMode::Namespaces => {
            make_namespaces(&order).map_err(SandboxSetupError::Unavailable)?;
            let (control, child) = spawn::start_init(&order).map_err(SandboxSetupError::Failed)?;
            wait_for(host, &control, child, kill.as_mut())
        }
        NamespaceMode::Shared => subreaper::run(order, host, kill.as_mut()),
    };
    let quarantined = protected.and_then(Protected::quarantine);
    let report = match ended.map_err(SandboxSetupError::Failed)? {
        Some(Report::Ended { code, signal, stopped_by, .. }) => Report::Ended { code, signal, stopped_by, quarantined },
        Some(report) => report,
        None => {
            let why = "its sandbox ended without a report: it was killed, or memory was short".to_owned();
            Report::Ended { code: None, signal: Some(9), stopped_by: Some(why), quarantined }
        }
    };
    // The host has gone when this fails.
    let _ = channel::send(host, &report);
    Ok(())
}

fn make_namespaces(order: &Order) -> Result<(), String> {
    let (user, group) = (rustix::process::getuid(), rustix::process::getgid());
    if user.is_root() {
        // Others may not; their groups stay, but lead to nothing that the sandbox shows.
        let _ = rustix::thread::set_thread_groups(&[]);
    }
    let mut flags = CloneFlags::CLONE_NEWUSER
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWCGROUP;
    if !order.network {
        flags |= CloneFlags::CLONE_NEWNET;
    }
    nix::sched::unshare(flags).map_err(|error| format!("the kernel makes no namespaces for this user: {error}"))?;
    let write = |file: &str, text: String| {
        fs::write(format!("/proc/self/{file}"), text).map_err(|error| format!("writing {file}: {error}"))
    };
    write("setgroups", "deny".to_owned())?;
    write("uid_map", format!("{user} {user} 1"))?;
    write("gid_map", format!("{group} {group} 1"))?;
    keep_capabilities().map_err(|error| format!("keeping what builds the sandbox: {error}"))
}

/// Keeps the namespace's capabilities for the first process: a user other than root loses them otherwise.
fn keep_capabilities() -> rustix::io::Result<()> {
    let has = rustix::thread::capabilities(None)?;
    let sets = CapabilitySets { inheritable: has.permitted, ..has };
    rustix::thread::set_capabilities(None, sets)?;
    for bit in
        (0..u64::BITS).map(|bit| CapabilitySet::from_bits_retain(1 << bit)).filter(|bit| has.permitted.contains(*bit))
    {
        rustix::thread::configure_capability_in_ambient_set(bit, true)?;
    }
    Ok(())
}

/// Waits until the first process has ended or the host asks for an end, and ends all processes. Gives the report of the
/// first process, if it made one.
fn wait_for(
    host: &UnixStream,
    control: &UnixStream,
    mut child: Child,
    mut kill: Option<&mut KillWatch>,
) -> Result<Option<Report>, String> {
    let process = spawn::pidfd(&child)?;
    let report = loop {
        let mut fds = [
            PollFd::from_borrowed_fd(host.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(control.as_fd(), PollFlags::IN),
        ];
        let interval = kill.as_ref().map(|_| kill_watch::INTERVAL);
        match poll(&mut fds, interval.as_ref()) {
            Err(rustix::io::Errno::INTR) => continue,
            Ok(0) => match kill.as_mut().and_then(|kill| kill.killed_by()) {
                None => continue,
                Some(by) => break Some(order::stopped(format!("it was killed by {by}"))),
            },
            polled => polled.map_err(|error| error.to_string())?,
        };
        let [_, _, from_control] = fds.map(|fd| fd.revents());
        // The host says nothing after its order but that this is over; the first process only how it ended.
        break if from_control.is_empty() { None } else { channel::receive::<Report>(control).ok() };
    };
    // The first process cannot be waited for until all others in its namespace have ended.
    let _ = pidfd_send_signal(&process, Signal::KILL);
    child.wait().map_err(|error| error.to_string())?;
    Ok(report)
}
