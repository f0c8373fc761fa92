//! Carrying a run out, with or without a reader of its updates.
//!
//! The run has a task of its own. Its updates wait for the printer, but a kill waits for no reader: when standard
//! output is a pipe that is not read, the run still stops, and so does the process.

use std::time::Duration;

use fusebox::{Error, Run, RunEnd, RunUpdate, StopHandle, Summary};
use tokio::sync::mpsc;

use crate::backlog::Backlog;
use crate::exit::Exit;
use crate::operator::user;

/// Updates that wait to be printed; more of them hold the run up.
const MAX_WAITING: usize = 256;
/// Time that a killed run waits for the printer.
const PATIENCE: Duration = Duration::from_millis(300);

/// Updates for the printer.
pub enum Watched<'a> {
    Update(&'a RunUpdate),
    Killed,
    Pausing,
    Ended(&'a Summary),
}

/// Carries a run on. An interrupt stops the step under way and pauses the run, a second one kills it, and a third one ends the
/// process at once.
pub async fn watch(run: Run, backlog: &Backlog, mut tell: impl FnMut(Watched<'_>)) -> Result<Summary, Error> {
    let stop = run.stop_handle();
    let interrupted = stop.clone();
    tokio::spawn(async move {
        let by = interrupt().await;
        interrupted.interrupt(&format!("{} ({by})", user()));
        let by = interrupt().await;
        interrupted.kill(&format!("{} ({by})", user()));
        interrupt().await;
        std::process::exit(Exit::Killed.code());
    });
    let (updates, mut waiting) = mpsc::channel(MAX_WAITING);
    let driven = tokio::spawn(drive(run, backlog.clone(), updates));
    let (mut said_killed, mut said_pausing) = (false, false);
    while let Some(update) = waiting.recv().await {
        if stop.is_killed() && !std::mem::replace(&mut said_killed, true) {
            tell(Watched::Killed);
        } else if stop.is_stopped() && !said_killed && !std::mem::replace(&mut said_pausing, true) {
            tell(Watched::Pausing);
        }
        tell(Watched::Update(&update));
        backlog.remove();
    }
    let summary = driven.await.map_err(|_| Error::RunBrokeOff)??;
    tell(Watched::Ended(&summary));
    Ok(summary)
}

/// Drives the run. Output and progress that the printer does not take are dropped: a slow printer, or none at all, must
/// not delay the limits of the work under way. Once the run is killed or stopped, nothing is waited for.
async fn drive(mut run: Run, backlog: Backlog, updates: mpsc::Sender<RunUpdate>) -> Result<Summary, Error> {
    let stop = run.stop_handle();
    let (mut is_watched, mut left_out) = (true, 0);
    while let Some(mut update) = run.next().await {
        if !is_watched {
            continue;
        }
        match &mut update {
            RunUpdate::Event(_) | RunUpdate::Explanation(_) | RunUpdate::Log(_) => {}
            // The last places are for events, which must not wait.
            RunUpdate::Output { bytes, .. } if updates.capacity() <= MAX_WAITING / 4 => {
                left_out += bytes.len();
                continue;
            }
            RunUpdate::Progress { .. } if updates.capacity() <= MAX_WAITING / 4 => continue,
            RunUpdate::Output { bytes, .. } if left_out > 0 => {
                let note = format!("\n[… {left_out} bytes were not shown …]\n");
                bytes.splice(..0, note.into_bytes());
                left_out = 0;
            }
            RunUpdate::Output { .. } | RunUpdate::Progress { .. } => {}
        }
        backlog.add();
        let sending = updates.send(update);
        is_watched = tokio::select! {
            sent = sending => sent.is_ok(),
            () = killed_for(&stop, PATIENCE) => false,
        };
    }
    let summary = run.finish().await;
    if stop.is_stopped() && !(is_watched && backlog.is_printed().await) {
        // The printer is stuck, and would hold the process.
        let end = summary.as_ref().map_or(Some(RunEnd::Killed), |summary| summary.end);
        std::process::exit(Exit::of_run(end).code());
    }
    summary
}

/// Waits until the run is killed, and then this much longer.
async fn killed_for(stop: &StopHandle, patience: Duration) {
    stop.stopped().await;
    tokio::time::sleep(patience).await;
}

/// Waits for Ctrl-C or a request to terminate.
async fn interrupt() -> &'static str {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let (Ok(mut terminate), Some(mut hangup)) = (signal(SignalKind::terminate()), hangup()) {
            return tokio::select! {
                _ = tokio::signal::ctrl_c() => "Ctrl-C",
                _ = terminate.recv() => "SIGTERM",
                _ = hangup.recv() => "SIGHUP",
            };
        }
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            return tokio::select! {
                _ = tokio::signal::ctrl_c() => "Ctrl-C",
                _ = terminate.recv() => "SIGTERM",
            };
        }
    }
    // Without a handler there is nothing to wait for; the run then ends as the system ends the process.
    let _ = tokio::signal::ctrl_c().await;
    "Ctrl-C"
}

/// The closing of the terminal, unless our parent process set it to be ignored, as `nohup` does.
#[cfg(unix)]
fn hangup() -> Option<tokio::signal::unix::Signal> {
    // Bit 0 of the ignored signals is SIGHUP. Where the system does not tell, nothing is known to be ignored.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    let is_ignored = ignored.is_some_and(|mask| mask & 1 != 0);
    if is_ignored { None } else { tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).ok() }
}
