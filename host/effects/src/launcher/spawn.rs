//! Starting the next stage of the launcher.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::launcher::channel;
use crate::launcher::order::Order;

/// First argument of the launcher.
pub const SUBCOMMAND: &str = "__launch";
/// Second argument of its second stage.
const INIT: &str = "first";

/// Starts the next stage, with a channel to it.
pub fn start_init(order: &Order) -> Result<(UnixStream, Child), String> {
    let failed = |error: io::Error| format!("starting the first process of the sandbox: {error}");
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    let child = Command::new("/proc/self/exe")
        .args([SUBCOMMAND, INIT])
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .spawn()
        .map_err(failed)?;
    channel::send(&ours, order).map_err(failed)?;
    Ok((ours, child))
}

/// A handle of a child.
pub fn pidfd(child: &Child) -> Result<OwnedFd, String> {
    let id = Pid::from_raw(child.id().cast_signed()).ok_or_else(|| "a process has no id".to_owned())?;
    pidfd_open(id, PidfdFlags::empty()).map_err(|error| format!("watching a process: {error}"))
}
