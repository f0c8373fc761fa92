//! The launcher itself: it makes the namespaces, starts the first process in them, and stands between it and the host.
//! When the host goes away or says stop, it ends everything, and ends itself only when everything has ended.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use nix::sched::CloneFlags;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::order::{Order, Report};
use super::root::Unbuilt;
use super::{FIRST, SUBCOMMAND, cgroup, channel, kin};
use crate::process::Held;

/// Carries out the order that the host sends.
pub fn run(host: UnixStream) {
    let closed =
        close_inherited(host.as_fd().as_raw_fd()).map_err(|error| format!("closing what was left open: {error}"));
    let received = closed.and_then(|()| channel::receive(&host).map_err(|error| error.to_string()));
    let done = received.map_err(Unbuilt::Failed).and_then(|order| carry_out(order, &host));
    let report = match done {
        Ok(()) => return,
        Err(Unbuilt::Failed(what)) => Report::Refused { what },
        Err(Unbuilt::Unavailable(what)) => Report::Unavailable { what },
    };
    // The host has gone when this fails.
    let _ = channel::send(&host, &report);
}

/// Closes whatever was left open for us by accident: the program must not find it.
fn close_inherited(but: i32) -> io::Result<()> {
    let number = |entry: io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse::<i32>().ok();
    let open: Vec<i32> = fs::read_dir("/proc/self/fd")?.filter_map(number).filter(|fd| *fd > 2 && *fd != but).collect();
    for fd in open {
        // The folder that was read is one of them, and closed already.
        let _ = nix::unistd::close(fd);
    }
    Ok(())
}

fn carry_out(mut order: Order, host: &UnixStream) -> Result<(), Unbuilt> {
    if let Some(parent) = &order.cgroup
        && cgroup::enter(parent, &order.bounds).is_err()
    {
        order.cgroup = None;
    }
    match order.level {
        Held::Namespaces => {
            make_namespaces(&order).map_err(Unbuilt::Unavailable)?;
            let (control, child) = start_first(&order).map_err(Unbuilt::Failed)?;
            relay(host, control, child).map_err(Unbuilt::Failed)
        }
        Held::Shared => kin::run(order, host).map_err(Unbuilt::Failed),
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

/// Lets the first process have what its namespace gives us: a user who is not root loses it otherwise.
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

/// Starts the next stage, with a channel to it.
pub fn start_first(order: &Order) -> Result<(UnixStream, Child), String> {
    let failed = |error: io::Error| format!("starting the first process of the sandbox: {error}");
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    let child = Command::new("/proc/self/exe")
        .args([SUBCOMMAND, FIRST])
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .spawn()
        .map_err(failed)?;
    channel::send(&ours, order).map_err(failed)?;
    Ok((ours, child))
}

/// Passes on what the first process tells, until it has ended or the host wants an end.
fn relay(host: &UnixStream, control: UnixStream, mut child: Child) -> Result<(), String> {
    let failed = |error: io::Error| error.to_string();
    let process = pidfd(&child)?;
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

/// A handle of a child.
pub fn pidfd(child: &Child) -> Result<OwnedFd, String> {
    let id = Pid::from_raw(child.id().cast_signed()).ok_or_else(|| "a process has no id".to_owned())?;
    pidfd_open(id, PidfdFlags::empty()).map_err(|error| format!("watching a process: {error}"))
}
