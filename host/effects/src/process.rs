//! Processes.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use cap_std::fs::Dir;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

use crate::{Environment, Error};

/// How long output is still read after the process has ended and its group was killed: whoever left the group may hold
/// the pipe open for ever.
const DRAIN: Duration = Duration::from_millis(200);

/// What to start.
#[derive(Debug)]
pub struct ProcessSpec {
    /// The resolved executable.
    pub program: PathBuf,
    /// Program name and arguments, as the process sees them.
    pub argv: Vec<String>,
    /// The folder to start in.
    pub cwd: Dir,
    /// The same folder by name, for platforms that cannot start in a handle.
    pub cwd_path: PathBuf,
    /// Its whole environment.
    pub environment: Environment,
    /// Wall time after which the whole group is killed.
    pub time_limit: Option<Duration>,
    /// Bytes of each output stream that are kept: half of them from the start, half from the end.
    pub keep_bytes: usize,
}

/// Which stream some output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How a process ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProcessExit {
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The time limit ended it.
    pub timed_out: bool,
    /// Start and end of its standard output.
    pub stdout: Vec<u8>,
    /// Start and end of its standard error.
    pub stderr: Vec<u8>,
    /// Bytes that it wrote to standard output.
    pub stdout_size: u64,
    /// Bytes that it wrote to standard error.
    pub stderr_size: u64,
}

/// Starts a process in a group of its own and waits for its end; then kills what is left of the group. Dropping the
/// future kills the group at once. `on_output` sees all output as it comes.
///
/// # Errors
/// When it cannot be started.
pub async fn run_process(spec: ProcessSpec, mut on_output: impl FnMut(Output, &[u8])) -> Result<ProcessExit, Error> {
    let failed = |source| Error::Io { what: format!("starting {}", spec.program.display()), source };
    let mut child = command(&spec).spawn().map_err(failed)?;
    let group = Group::of(&child);
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let (mut kept_out, mut kept_err) = (Kept::new(spec.keep_bytes), Kept::new(spec.keep_bytes));

    let mut exit = ProcessExit::default();
    let mut ended = false;
    let limit = tokio::time::sleep(spec.time_limit.unwrap_or(Duration::MAX / 4));
    tokio::pin!(limit);
    let drain = tokio::time::sleep(Duration::MAX / 4);
    tokio::pin!(drain);
    let (mut out_buffer, mut err_buffer) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
    loop {
        let open = stdout.is_some() || stderr.is_some();
        if ended && !open {
            break;
        }
        tokio::select! {
            read = next(&mut stdout, &mut out_buffer), if stdout.is_some() => {
                let bytes = out_buffer.get(..read).unwrap_or_default();
                kept_out.push(bytes);
                on_output(Output::Stdout, bytes);
            }
            read = next(&mut stderr, &mut err_buffer), if stderr.is_some() => {
                let bytes = err_buffer.get(..read).unwrap_or_default();
                kept_err.push(bytes);
                on_output(Output::Stderr, bytes);
            }
            status = child.wait(), if !ended => {
                let status = status.map_err(failed)?;
                exit.code = status.code();
                #[cfg(unix)]
                { exit.signal = std::os::unix::process::ExitStatusExt::signal(&status); }
                ended = true;
                group.kill();
                drain.as_mut().reset(tokio::time::Instant::now() + DRAIN);
            }
            () = &mut limit, if !ended && !exit.timed_out => {
                exit.timed_out = true;
                // What has left the group by the time its leader is gone is the process sandbox's matter.
                group.kill();
            }
            () = &mut drain, if ended => break,
        }
    }
    (exit.stdout, exit.stdout_size) = kept_out.finish();
    (exit.stderr, exit.stderr_size) = kept_err.finish();
    Ok(exit)
}

/// Reads some output; a stream that has ended or failed is closed.
async fn next<R: AsyncRead + Unpin>(stream: &mut Option<R>, buffer: &mut [u8]) -> usize {
    let read = match stream {
        Some(stream) => stream.read(buffer).await.unwrap_or(0),
        None => 0,
    };
    if read == 0 {
        *stream = None;
    }
    read
}

fn command(spec: &ProcessSpec) -> Command {
    let mut command = Command::new(&spec.program);
    command
        .args(spec.argv.iter().skip(1))
        .env_clear()
        .envs(spec.environment.variables())
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
    #[cfg(target_os = "linux")]
    {
        // The handle was opened without following links; its name could lead elsewhere by now.
        use std::os::fd::AsRawFd as _;
        command.current_dir(format!("/proc/self/fd/{}", spec.cwd.as_raw_fd()));
        if !std::path::Path::new("/proc/self/fd").exists() {
            command.current_dir(&spec.cwd_path);
        }
    }
    #[cfg(not(target_os = "linux"))]
    command.current_dir(&spec.cwd_path);
    command
}

/// A process group; killed when it goes out of scope.
struct Group {
    #[cfg(unix)]
    leader: std::cell::Cell<Option<rustix::process::Pid>>,
}

impl Group {
    #[cfg(unix)]
    fn of(child: &Child) -> Self {
        let leader = child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
        Self { leader: std::cell::Cell::new(leader) }
    }

    #[cfg(not(unix))]
    fn of(_: &Child) -> Self {
        Self {}
    }

    /// Kills it, once: when its leader has been waited for, its number may be given to another group.
    fn kill(&self) {
        #[cfg(unix)]
        if let Some(leader) = self.leader.take() {
            // It fails when nothing is left of the group, which is what was wanted.
            let _ = rustix::process::kill_process_group(leader, rustix::process::Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Start and end of a stream of bytes.
struct Kept {
    half: usize,
    head: Vec<u8>,
    tail: std::collections::VecDeque<u8>,
    size: u64,
}

impl Kept {
    fn new(keep: usize) -> Self {
        Self { half: keep / 2, head: Vec::new(), tail: std::collections::VecDeque::new(), size: 0 }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        let (head, rest) = bytes.split_at(bytes.len().min(self.half - self.head.len()));
        self.head.extend_from_slice(head);
        self.tail.extend(rest.iter().skip(rest.len().saturating_sub(self.half)));
        self.tail.drain(..self.tail.len().saturating_sub(self.half));
    }

    fn finish(self) -> (Vec<u8>, u64) {
        let left_out = self.size.saturating_sub((self.head.len() + self.tail.len()) as u64);
        let mut kept = self.head;
        if left_out > 0 {
            kept.extend(format!("\n[… {left_out} bytes left out …]\n").bytes());
        }
        kept.extend(self.tail);
        (kept, self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_and_end_are_kept() {
        let mut kept = Kept::new(8);
        for chunk in ["ab", "cdef", "", "ghijklmnop"] {
            kept.push(chunk.as_bytes());
        }
        let (bytes, size) = kept.finish();
        assert_eq!(String::from_utf8(bytes).unwrap(), "abcd\n[… 8 bytes left out …]\nmnop");
        assert_eq!(size, 16);
        let mut short = Kept::new(8);
        short.push(b"abcdefgh");
        assert_eq!(short.finish(), (b"abcdefgh".to_vec(), 8));
    }
}
