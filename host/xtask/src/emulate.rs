//! Running the kept tapes on other processors, emulated: the fuel of a call must not depend on the machine.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::cargo::cargo;

/// QEMU's emulator of programs.
const EMULATOR: &str = "qemu-x86_64-static";
/// An old processor and a newer one; both may lack features of the builder's, so that the compiler generates other
/// code.
pub const PROCESSORS: [&str; 2] = ["core2duo", "Skylake-Client"];

/// Runs the kept tapes on these processors.
pub fn emulate(root: &Path, processors: &[&str]) -> anyhow::Result<()> {
    let mut build = cargo(env!("CARGO"));
    build.args(["test", "-p", "fusebox-tests", "--test", "host", "--no-run", "--message-format", "json"]);
    let built = build.current_dir(root).output().context("cannot start cargo")?;
    ensure!(built.status.success(), "building the test failed: {}", String::from_utf8_lossy(&built.stderr));
    let messages = String::from_utf8_lossy(&built.stdout).into_owned();
    let mut messages = messages.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let program = messages.find_map(|message| message.get("executable")?.as_str().map(str::to_owned));
    let program = program.context("cargo built no test")?;
    for processor in processors {
        println!("the kept tapes on an emulated {processor}");
        let mut emulator = Command::new(EMULATOR);
        // Features that the emulator lacks are reported once for each thread otherwise.
        emulator.args(["-cpu", processor, &*program, "kept_tapes", "--nocapture"]).stderr(std::process::Stdio::null());
        let status = emulator.current_dir(root).status().with_context(|| format!("{EMULATOR} cannot be started"))?;
        ensure!(status.success(), "the tapes do not hold on {processor}; run {EMULATOR} -cpu {processor} {program}");
    }
    Ok(())
}
