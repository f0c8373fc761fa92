//! Start, output and end of processes.

mod confinement;
#[cfg(target_os = "linux")]
mod launched;
mod output;
mod spec;
mod unconfined;

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};

pub use self::confinement::{Confinement, ConfinementSetup, StartMode};
#[cfg(target_os = "linux")]
use self::launched::Launched;
use self::output::Kept;
use self::spec::Started;
pub use self::spec::{Output, ProcessExit, ProcessSpec};
use self::unconfined::Group;
use crate::error::Error;

/// Time to read output after the process has ended and its group was killed: a process outside of the group may hold
/// the pipe open for ever.
const DRAIN: Duration = Duration::from_millis(200);

/// Starts a confined process, and waits until it and all its descendants have ended. Dropping the future ends all of
/// them before the drop returns. `on_output` gets all output as it comes.
///
/// # Errors
/// When it cannot be confined as required, or cannot be started.
pub async fn run_process(
    spec: ProcessSpec,
    confinement: &Confinement,
    on_output: impl FnMut(Output, &[u8]),
) -> Result<ProcessExit, Error> {
    #[cfg(feature = "failpoints")]
    fusebox_failpoint::reached("process: starting");
    let (limit, keep) = (spec.time_limit.unwrap_or(Duration::MAX / 4), spec.keep_bytes);
    match confinement.start_mode()? {
        StartMode::Unconfined => attend(Group::start(&spec)?, limit, keep, on_output).await,
        #[cfg(target_os = "linux")]
        StartMode::Launched(level) => {
            let order = confinement.order(&spec, level)?;
            attend(Launched::start(&spec, confinement, order).await?, limit, keep, on_output).await
        }
        #[cfg(not(target_os = "linux"))]
        StartMode::Launched(_) => Err(Error::Unconfined { missing: "there is no launcher for this system".to_owned() }),
    }
}

/// Reads output until everything has ended.
async fn attend(
    mut started: impl Started,
    limit: Duration,
    keep: usize,
    mut on_output: impl FnMut(Output, &[u8]),
) -> Result<ProcessExit, Error> {
    let failed = |source| Error::Io { what: "waiting for a process".to_owned(), source };
    let (mut stdout, mut stderr) = (started.child().stdout.take(), started.child().stderr.take());
    let (mut kept_out, mut kept_err) = (Kept::new(keep), Kept::new(keep));
    let (mut out_buffer, mut err_buffer) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
    let (mut status, mut timed_out) = (None, false);
    let limit = tokio::time::sleep(limit);
    tokio::pin!(limit);
    let drain = tokio::time::sleep(Duration::MAX / 4);
    tokio::pin!(drain);
    while status.is_none() || stdout.is_some() || stderr.is_some() {
        tokio::select! {
            read = next(&mut stdout, &mut out_buffer), if stdout.is_some() => {
                let bytes = out_buffer.get(..read).unwrap_or_default();
                kept_out.push(bytes);
                if read > 0 {
                    on_output(Output::Stdout, bytes);
                }
            }
            read = next(&mut stderr, &mut err_buffer), if stderr.is_some() => {
                let bytes = err_buffer.get(..read).unwrap_or_default();
                kept_err.push(bytes);
                if read > 0 {
                    on_output(Output::Stderr, bytes);
                }
            }
            ended = started.child().wait(), if status.is_none() => {
                status = Some(ended.map_err(failed)?);
                started.end();
                drain.as_mut().reset(tokio::time::Instant::now() + DRAIN);
            }
            () = &mut limit, if status.is_none() && !timed_out => {
                timed_out = true;
                started.end();
            }
            () = &mut drain, if status.is_some() => break,
        }
    }
    let exit = started.exit(status.unwrap_or_default());
    let mut exit = if timed_out {
        let quarantined = exit.ok().and_then(|exit| exit.quarantined);
        ProcessExit { signal: Some(9), timed_out, quarantined, ..ProcessExit::default() }
    } else {
        exit?
    };
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
