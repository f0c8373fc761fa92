//! Builds the guests and runs the checks of CI. Run as `cargo xtask`.

mod cargo;
mod contract;
mod crash;
mod emulate;
mod floors;
mod fuzz;
mod guests;
mod languages;
mod lock;
mod picture;
mod stage;
mod toolchain;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(bin_name = "cargo xtask", about = "Builds the guests and checks what CI checks")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Builds the bundled plugins to components under plugins/dist/ and writes their lock.
    Guests {
        /// Changes nothing that is right; fails when sources, lock and components disagree.
        #[arg(long)]
        check: bool,
    },
    /// Checks that plugins/dist/ belongs to the sources, without building.
    Lock,
    /// Checks that the WIT package parses and, once it is frozen, that no released file changed.
    Contract,
    /// Draws the README's picture by running its first command.
    Picture,
    /// Checks that no import runs up: between crates, between the stages of a step, and in a circle between files.
    Floors,
    /// Builds the example plugins in Rust, JavaScript and Python, and runs the tests that need them. Needs node and python.
    Languages,
    /// Runs the kept tapes of executors on other processors, emulated by qemu-user.
    Emulate {
        /// On one processor only.
        #[arg(long)]
        short: bool,
    },
    /// Kills runs at every boundary of a write and at random moments, and checks that nothing was lost or done twice.
    Crash {
        /// Time in seconds; when left out, every boundary and as many random moments as --runs says.
        #[arg(long)]
        seconds: Option<u64>,
        /// Runs that are killed at random moments, at least.
        #[arg(long, default_value_t = 500)]
        runs: u64,
    },
    /// Fuzzes the parsers of untrusted data: plans, policies, actions, paths, shell lines, models' responses, diffs.
    Fuzz {
        /// Names of the targets; all of them when left out.
        targets: Vec<String>,
        /// Time for each target, in seconds.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Folder for the corpus; `target/fuzz/corpus` when left out.
        #[arg(long)]
        corpus: Option<PathBuf>,
    },
}

fn main() -> anyhow::Result<()> {
    if let Some(code) = fuzz::as_wrapper()? {
        std::process::exit(code);
    }
    let root = root()?;
    match Args::parse().task {
        Task::Guests { check: false } => guests::build(&root),
        Task::Guests { check: true } => guests::check(&root),
        Task::Lock => lock::check(&root),
        Task::Picture => picture::draw(&root),
        Task::Floors => floors::check(&root),
        Task::Contract => contract::check(&root),
        Task::Languages => languages::languages(&root),
        Task::Emulate { short: true } => emulate::emulate(&root, &emulate::PROCESSORS[..1]),
        Task::Emulate { short: false } => emulate::emulate(&root, &emulate::PROCESSORS),
        Task::Crash { seconds, runs } => crash::crash(&root, seconds, runs),
        Task::Fuzz { targets, seconds, corpus } => fuzz::fuzz(&root, &targets, seconds, corpus.as_deref()),
    }
}

/// The folder of the workspace.
fn root() -> anyhow::Result<PathBuf> {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).map(PathBuf::from).context("xtask lies two folders below the root of the workspace")
}
