//! The launcher: turns a command of a step into a process that can use only its granted resources.
//!
//! The host starts the launcher (`fusebox __launch`) and sends it an order. The launcher makes namespaces for users,
//! mounts, processes, IPC and the network, and starts itself once more as the first process in them. That one builds a
//! root of its own (`root`), limits what follows (`rlimits`), gives up all privileges, restricts itself by Landlock
//! (`landlock`) and seccomp (`seccomp`), and starts the program. When it ends, the kernel ends everything else in there, and
//! the launcher takes away what the program made of protected paths (`protected`).
//!
//! The channel to the host is the lifeline: when it closes, for whatever reason, everything ends. All of it is safe code:
//! stages are processes of their own, never forks of a program with threads.

mod cgroup;
mod channel;
mod init;
mod kill_watch;
mod landlock;
mod network;
mod order;
mod protected;
mod rlimits;
mod root;
mod seccomp;
mod spawn;
mod subreaper;
mod supervisor;
mod usage;

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

pub(crate) use cgroup::{delegated, remove};
pub(crate) use channel::encode;
pub(crate) use order::{Bounds, Order, Program, Report, Task};
pub use protected::{Reach, exposed_in_copy, is_obeyed, unknown_in};
pub(crate) use root::SYSTEM;
pub(crate) use spawn::SUBCOMMAND;

use crate::isolation::ProtectionStatus;

/// Whether a program was started as the launcher, by its arguments. If so, it has carried out its order when this
/// returns, and must end.
///
/// A program that embeds the host calls this before anything else, while it has one thread only.
#[must_use]
pub fn serve(arguments: impl IntoIterator<Item = OsString>) -> bool {
    let mut arguments = arguments.into_iter().skip(1);
    if arguments.next().is_none_or(|first| first != SUBCOMMAND) {
        return false;
    }
    let stage = arguments.next();
    let Ok(control) = std::io::stdin().as_fd().try_clone_to_owned() else { return true };
    let control = UnixStream::from(control);
    match stage {
        None => supervisor::run(control),
        Some(_) => init::run(control),
    }
    true
}

/// Result of trying an order.
pub(crate) enum Probed {
    /// These protections are enforced.
    Enforced(Vec<ProtectionStatus>),
    /// The kernel has no namespaces for this user.
    Unavailable(String),
}

/// Protections of an order that this machine enforces, found by trying it. No program is started.
pub(crate) fn probe(launcher: &Path, workspace: &Path, order: &Order) -> io::Result<Probed> {
    let (ours, theirs) = UnixStream::pair()?;
    let mut child = Command::new(launcher)
        .arg(SUBCOMMAND)
        .env_clear()
        .current_dir(workspace)
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let id = child.id();
    let report = channel::send(&ours, order).and_then(|()| channel::receive::<Report>(&ours));
    drop(ours);
    child.wait()?;
    if let Some(parent) = &order.cgroup {
        remove(parent, id);
    }
    match report? {
        Report::Enforced(enforced) => Ok(Probed::Enforced(enforced)),
        Report::Unavailable { what } => Ok(Probed::Unavailable(what)),
        Report::Refused { what } => Err(io::Error::other(what)),
        Report::Ended { .. } => Err(io::Error::other("the launcher did not follow its order")),
    }
}

/// Decodes one report.
pub(crate) fn decode(bytes: &[u8]) -> io::Result<Report> {
    channel::receive(bytes)
}
