//! Crash tests: builds a binary that can end itself at a given boundary, and runs the tests that use it.

use std::path::Path;

use anyhow::{Context as _, ensure};

use crate::cargo::cargo;

/// Kills runs for some seconds, or until every boundary and so many random moments were tried.
pub fn crash(root: &Path, seconds: Option<u64>, runs: u64) -> anyhow::Result<()> {
    let run = |args: &[&str]| -> anyhow::Result<()> {
        let mut command = cargo("cargo");
        command.current_dir(root).args(args).env("FUSEBOX_CRASH_RUNS", runs.to_string());
        command.env("FUSEBOX_CRASH_BINARY", root.join("target/crash/fusebox"));
        if let Some(seconds) = seconds {
            command.env("FUSEBOX_CRASH_SECONDS", seconds.to_string());
        }
        let status = command.status().context("cargo cannot be started")?;
        ensure!(status.success(), "cargo {} failed", args.join(" "));
        Ok(())
    };
    run(&["build", "--package", "fusebox-cli", "--features", "failpoints"])?;
    let copy = root.join("target/crash");
    std::fs::create_dir_all(&copy).with_context(|| format!("{} cannot be made", copy.display()))?;
    std::fs::copy(root.join("target/debug/fusebox"), copy.join("fusebox")).context("the binary cannot be copied")?;
    run(&[
        "test",
        "--package",
        "fusebox-tests",
        "--test",
        "host",
        "crash::",
        "--",
        "--ignored",
        "--nocapture",
        "--test-threads",
        "2",
    ])
}
