//! Fuzzing under libFuzzer, on the stable toolchain: the instrumentation is a pass of LLVM that rustc can be told to run.
//!
//! Only crates of this workspace are instrumented (`RUSTC_WORKSPACE_WRAPPER`), so that the dependencies are those of
//! every other build.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};

/// What rustc is told, as `cargo fuzz` does (rust-fuzz book, "How it works"; LLVM, "SanitizerCoverage").
const INSTRUMENT: [&str; 6] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg=fuzzing",
];
/// The targets, as the crate has them.
const TARGETS: [&str; 7] = ["plan", "policy", "action", "path", "shell", "response", "diff"];
/// Variable that makes this binary the wrapper of rustc.
const WRAPPER: &str = "FUSEBOX_INSTRUMENT";
/// Longest input, in bytes: longer ones find little and take long.
const MAX_LEN: u32 = 16 * 1024;

/// Runs rustc with the instrumentation, if cargo called this binary as its wrapper. Gives its exit code.
pub fn as_wrapper() -> anyhow::Result<Option<i32>> {
    if std::env::var_os(WRAPPER).is_none() {
        return Ok(None);
    }
    let mut words = std::env::args_os().skip(1);
    let rustc = words.next().context("cargo gives the wrapper rustc's path")?;
    let words: Vec<_> = words.collect();
    let mut command = Command::new(rustc);
    command.args(&words);
    // A build script has no libFuzzer to report to.
    let is_script = words.iter().any(|word| word.to_string_lossy().starts_with("build_script"));
    if !is_script && words.iter().any(|word| word == "--crate-name") {
        command.args(INSTRUMENT);
    }
    Ok(Some(command.status()?.code().unwrap_or(1)))
}

/// Fuzzes these targets, or all, one after the other, for some seconds each.
pub fn fuzz(root: &Path, targets: &[String], seconds: u64, corpus: Option<&Path>) -> anyhow::Result<()> {
    if let Some(unknown) = targets.iter().find(|target| !TARGETS.contains(&target.as_str())) {
        bail!("there is no target {unknown:?}; there are {}", TARGETS.join(", "));
    }
    let binary = build(root)?;
    let corpus = corpus.map_or_else(|| root.join("target/fuzz/corpus"), Path::to_path_buf);
    let artifacts = root.join("target/fuzz/found");
    std::fs::create_dir_all(&artifacts)?;
    let all: Vec<&str> = TARGETS.to_vec();
    let chosen = if targets.is_empty() { all } else { targets.iter().map(String::as_str).collect() };
    for target in chosen {
        let found = corpus.join(target);
        std::fs::create_dir_all(&found)?;
        println!("fuzzing {target} for {seconds} s");
        let status = Command::new(&binary)
            .env("FUSEBOX_FUZZ_TARGET", target)
            .arg(&found)
            .arg(root.join("tests/fuzz/seeds").join(target))
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-max_len={MAX_LEN}"))
            .arg(format!("-artifact_prefix={}/{target}-", artifacts.display()))
            .args(["-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1", "-use_value_profile=1", "-verbosity=1"])
            .status()?;
        ensure!(status.success(), "{target} broke a rule; the input lies in {}", artifacts.display());
    }
    Ok(())
}

/// Builds the fuzzer, instrumented, in the folder of all other builds.
fn build(root: &Path) -> anyhow::Result<PathBuf> {
    let target = root.join("target/fuzz");
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(root)
        .args(["build", "-p", "fusebox-fuzz", "--features", "libfuzzer", "--bin", "fuzz"])
        .env("RUSTC_WORKSPACE_WRAPPER", std::env::current_exe()?)
        .env(WRAPPER, "1")
        .status()?;
    ensure!(status.success(), "the fuzzer does not build");
    std::fs::create_dir_all(&target)?;
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    // A copy, so that the next build does not replace what runs.
    let binary = target.join("fuzz");
    let fresh = target.join("fuzz.new");
    std::fs::copy(folder.join("debug/fuzz"), &fresh)?;
    std::fs::rename(&fresh, &binary)?;
    Ok(binary)
}
