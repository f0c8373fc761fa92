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

use super::order::{Order, Report};
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
    match order.level {
        NamespaceMode::Namespaces => {
            make_namespaces(&order).map_err(SandboxSetupError::Unavailable)?;
            let (control, child) = spawn::start_init(&order).map_err(SandboxSetupError::Failed)?;
            relay(host, control, child).map_err(SandboxSetupError::Failed)
        }
        NamespaceMode::Shared => subreaper::run(order, host).map_err(SandboxSetupError::Failed),
    }
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

/// Relays the reports of the first process, until it has ended or the host asks for an end.
fn relay(host: &UnixStream, control: UnixStream, mut child: Child) -> Result<(), String> {
    let failed = |error: io::Error| error.to_string();
    let process = spawn::pidfd(&child)?;
    loop {
        let mut fds = [
            PollFd::from_borrowed_fd(host.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(control.as_fd(), PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => continue,
            polled => polled.map_err(|error| error.to_string())?,
        };
        let [_, _, from_control] = fds.map(|fd| fd.revents());
        // The host says nothing after its order but that this is over; the first process only how it ended.
        if !from_control.is_empty()
            && let Ok(report) = channel::receive::<Report>(&control)
        {
            channel::send(host, &report).map_err(failed)?;
        }
        break;
    }
    // The first process cannot be waited for until all others in its namespace have ended.
    let _ = pidfd_send_signal(&process, Signal::KILL);
    child.wait().map_err(failed)?;
    Ok(())
}
