//! Processes without confinement, where policy accepts that: in a group of their own, with their own environment.

use std::process::{ExitStatus, Stdio};

use tokio::process::{Child, Command};

use super::spec::{ProcessExit, ProcessSpec, Started};
use crate::error::Error;

/// A process group; killed when it goes out of scope.
pub struct Group {
    child: Child,
    #[cfg(unix)]
    leader: Option<rustix::process::Pid>,
}

impl Group {
    pub fn start(spec: &ProcessSpec) -> Result<Self, Error> {
        let failed = |source| Error::Io { what: format!("starting {}", spec.program.display()), source };
        let child = command(spec).spawn().map_err(failed)?;
        #[cfg(unix)]
        let leader = child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
        Ok(Self {
            child,
            #[cfg(unix)]
            leader,
        })
    }
}

impl Started for Group {
    fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Once only: when its leader has been waited for, its number may be given to another group.
    fn end(&mut self) {
        #[cfg(unix)]
        if let Some(leader) = self.leader.take() {
            // It fails when the group has no process left, which is the aim.
            let _ = rustix::process::kill_process_group(leader, rustix::process::Signal::KILL);
        }
        #[cfg(not(unix))]
        let _ = self.child.start_kill();
    }

    fn exit(&mut self, status: ExitStatus) -> Result<ProcessExit, Error> {
        #[cfg(unix)]
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        #[cfg(not(unix))]
        let signal = None;
        Ok(ProcessExit { code: status.code(), signal, ..ProcessExit::default() })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.end();
    }
}

fn command(spec: &ProcessSpec) -> Command {
    let mut command = Command::new(&spec.program);
    command
        .args(spec.argv.iter().skip(1))
        .env_clear()
        .envs(spec.environment.variables())
        .current_dir(spec.workspace_path.join(spec.cwd.as_str()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    #[cfg(unix)]
    {
        command.process_group(0);
        if let Some(name) = spec.argv.first() {
            command.arg0(name);
        }
    }
    command
}
