//! Fuzzing under libFuzzer, on the stable toolchain: the instrumentation is a pass of LLVM that rustc can run.
//!
//! Only crates of this workspace are instrumented (`RUSTC_WORKSPACE_WRAPPER`), so that the dependencies are those of
//! every other build.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use parking_lot::Mutex;

use crate::cargo::cargo;

/// Options for rustc, as `cargo fuzz` sets them (rust-fuzz book, "How it works"; LLVM, "SanitizerCoverage").
const INSTRUMENT: [&str; 6] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg=fuzzing",
];
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

/// Fuzzes these targets, or all, for some seconds each; as many at a time as there are processors.
pub fn fuzz(root: &Path, targets: &[String], seconds: u64, corpus: Option<&Path>) -> anyhow::Result<()> {
    let known = targets_of(&root.join("tests/fuzz/seeds"))?;
    if let Some(unknown) = targets.iter().find(|target| !known.contains(*target)) {
        bail!("there is no target {unknown:?}; there are {}", known.join(", "));
    }
    let fuzzer = Fuzzer {
        binary: build(root)?,
        seeds: root.join("tests/fuzz/seeds"),
        corpus: corpus.map_or_else(|| root.join("target/fuzz/corpus"), Path::to_path_buf),
        found: root.join("target/fuzz/found"),
        seconds,
    };
    std::fs::create_dir_all(&fuzzer.found)?;
    let waiting = Mutex::new(if targets.is_empty() { &known } else { targets }.iter());
    let next = || waiting.lock().next();
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        let work = || std::iter::from_fn(next).try_for_each(|target| fuzzer.run(target));
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let done = workers.into_iter().map(|worker| worker.join().unwrap_or_else(|_| bail!("a thread broke off")));
        done.collect::<anyhow::Result<Vec<()>>>().map(|_| ())
    })
}

/// Names of the targets: each has a folder of seeds, which a test of their crate holds it to.
fn targets_of(seeds: &Path) -> anyhow::Result<Vec<String>> {
    let entries = std::fs::read_dir(seeds)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = entries.collect::<anyhow::Result<Vec<String>>>()?;
    names.sort_unstable();
    Ok(names)
}

struct Fuzzer {
    binary: PathBuf,
    seeds: PathBuf,
    corpus: PathBuf,
    found: PathBuf,
    seconds: u64,
}

impl Fuzzer {
    /// Fuzzes one target and tells its last figures.
    fn run(&self, target: &str) -> anyhow::Result<()> {
        let corpus = self.corpus.join(target);
        std::fs::create_dir_all(&corpus)?;
        println!("{target}: fuzzing for {} s", self.seconds);
        let output = Command::new(&self.binary)
            .env("FUSEBOX_FUZZ_TARGET", target)
            .arg(&corpus)
            .arg(self.seeds.join(target))
            .arg(format!("-max_total_time={}", self.seconds))
            .arg(format!("-max_len={MAX_LEN}"))
            .arg(format!("-artifact_prefix={}/{target}-", self.found.display()))
            .args(["-timeout=20", "-rss_limit_mb=2048", "-use_value_profile=1"])
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            println!("{said}");
            bail!("{target} broke a rule; the input lies in {}", self.found.display());
        }
        let last = said.lines().rev().find(|line| line.contains("DONE")).unwrap_or("nothing was tried");
        println!("{target}: {last}");
        Ok(())
    }
}

/// Builds the fuzzer, instrumented, in the folder of all other builds.
fn build(root: &Path) -> anyhow::Result<PathBuf> {
    let target = root.join("target/fuzz");
    let status = cargo(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(root)
        .args(["build", "-p", "fusebox-fuzz", "--features", "libfuzzer", "--bin", "fuzz"])
        .env("RUSTC_WORKSPACE_WRAPPER", std::env::current_exe()?)
        .env(WRAPPER, "1")
        .status()?;
    ensure!(status.success(), "the fuzzer does not build");
    std::fs::create_dir_all(&target)?;
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    // A copy, so that the next build does not replace the running program.
    let binary = target.join("fuzz");
    let fresh = target.join("fuzz.new");
    std::fs::copy(folder.join("debug/fuzz"), &fresh)?;
    std::fs::rename(&fresh, &binary)?;
    Ok(binary)
}
