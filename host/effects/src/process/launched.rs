//! Processes that the launcher starts.

use std::io::{ErrorKind, Read as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

use super::confinement::Confinement;
use super::spec::{ProcessExit, ProcessSpec, Started};
use crate::error::Error;
use crate::launcher::{self, Order, Report};

/// Time for the launcher to end all processes, and to take away what they made of protected paths, before it is killed
/// itself: then the kernel ends the rest.
const PATIENCE: Duration = Duration::from_secs(30);
/// Most bytes that the launcher reports: a few words.
const MAX_REPORT: u64 = 64 * 1024;

/// Variables that lead to a person's settings of Git and Mercurial.
const SETTINGS: [&str; 4] = ["GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "HOME", "XDG_CONFIG_HOME"];

/// A launcher with all that it started.
pub struct Launched {
    child: Child,
    /// A handle of exactly this process, even when its number is used again.
    process: Option<OwnedFd>,
    id: u32,
    /// The launcher's documentation explains the effect of closing it.
    control: UnixStream,
    cgroup: Option<PathBuf>,
    program: String,
}

impl Launched {
    pub async fn start(spec: &ProcessSpec, confinement: &Confinement, order: Order) -> Result<Self, Error> {
        let failed = |source| Error::Io { what: format!("starting {}", spec.program.display()), source };
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        let child = Command::new(confinement.launcher()?)
            .arg(launcher::SUBCOMMAND)
            .env_clear()
            .envs(spec.environment.variables().filter(|(name, _)| *name == "TMPDIR"))
            // Settings of Git there name files of workspaces. The program itself gets other variables.
            .envs(std::env::vars_os().filter(|(name, _)| SETTINGS.iter().any(|known| *name == **known)))
            // The handle was opened without following links; its name could lead elsewhere by now.
            .current_dir(format!("/proc/self/fd/{}", spec.workspace.as_raw_fd()))
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let id = child.id().unwrap_or_default();
        let process = Pid::from_raw(id.cast_signed()).and_then(|id| pidfd_open(id, PidfdFlags::empty()).ok());
        let bytes = launcher::encode(&order).map_err(failed)?;
        let program = spec.program.display().to_string();
        // From here on, dropping it ends the started processes.
        let launched = Self { child, process, id, control: ours, cgroup: order.cgroup, program };
        let writer = launched.control.try_clone().map_err(failed)?;
        writer.set_nonblocking(true).map_err(failed)?;
        let mut writer = tokio::net::UnixStream::from_std(writer).map_err(failed)?;
        writer.write_all(&bytes).await.map_err(failed)?;
        Ok(launched)
    }
}

impl Started for Launched {
    fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    fn end(&mut self) {
        // It fails when the launcher has gone, which is the aim.
        let _ = self.control.shutdown(std::net::Shutdown::Write);
    }

    fn exit(&mut self, status: ExitStatus) -> Result<ProcessExit, Error> {
        let failed = |source| Error::Io { what: "asking the launcher how a process ended".to_owned(), source };
        let mut said = Vec::new();
        match (&self.control).take(MAX_REPORT).read_to_end(&mut said) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(failed(error)),
            _ => {}
        }
        match launcher::decode(&said) {
            Ok(Report::Ended { code, signal, stopped_by, quarantined }) => {
                Ok(ProcessExit { code, signal, stopped_by, quarantined, ..ProcessExit::default() })
            }
            Ok(Report::Refused { what } | Report::Unavailable { what }) => {
                Err(Error::Confinement { program: self.program.clone(), message: what })
            }
            Ok(Report::Enforced(_)) | Err(_) => {
                let signal = std::os::unix::process::ExitStatusExt::signal(&status).or(Some(9));
                let why = "its sandbox ended without a report: it was killed, or memory was short. The workspace was not \
                           looked through for protected files that the command made";
                let why = why.to_owned();
                Ok(ProcessExit { signal, stopped_by: Some(why), ..ProcessExit::default() })
            }
        }
    }
}

impl Drop for Launched {
    /// Returns when all processes have ended: a caller that stops a process relies on its end.
    fn drop(&mut self) {
        self.end();
        if let Some(process) = &self.process {
            let deadline = Instant::now() + PATIENCE;
            while !has_ended(process, deadline.saturating_duration_since(Instant::now())) {
                if Instant::now() >= deadline {
                    let _ = pidfd_send_signal(process, Signal::KILL);
                    let _ = has_ended(process, PATIENCE);
                    break;
                }
            }
        }
        // Buries it, so that it is no zombie.
        let _ = self.child.try_wait();
        if let Some(parent) = &self.cgroup {
            launcher::remove(parent, self.id);
        }
    }
}

/// Waits for the end of a process, but not longer than this.
fn has_ended(process: &OwnedFd, wait: Duration) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)];
    let wait =
        Timespec { tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX), tv_nsec: i64::from(wait.subsec_nanos()) };
    poll(&mut fds, Some(&wait)).is_ok_and(|ready| ready > 0)
}
