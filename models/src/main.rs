//! Trains the risk predictor that Fusebox embeds, and reports its quality.
//!
//! `fusebox-train all --bpi FILE --out DIR` does the whole. Why it is built so: data, network and calibration are
//! functions of a seed, so that the same data give the same model, and an auditor can check that the embedded model is
//! the trained one.

mod background;
mod bpi;
mod card;
mod data;
mod metrics;
mod network;
mod onnx;
mod plots;
mod report;
mod synthetic;
mod trained;
mod whole;
mod xes;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};

/// Variable from which candle takes its number of threads.
const THREADS: &str = "RAYON_NUM_THREADS";

#[derive(Parser)]
#[command(name = "fusebox-train", version, about = "Trains the risk predictor, and reports how good it is")]
struct Cli {
    #[command(subcommand)]
    command: What,
}

#[derive(Subcommand)]
enum What {
    /// Reads an XES 1.0 event log and writes the features of its traces, as comma-separated values
    Bpi(BpiArgs),
    /// Draws plans from risk profiles and writes their features, as comma-separated values
    Synthetic {
        /// Number of plans, a third of each level
        count: usize,
        /// Seed of the random numbers
        #[arg(long, default_value_t = 9)]
        seed: u64,
    },
    /// Trains on everything, and writes model, metadata, model card and reports
    All(AllArgs),
}

#[derive(Args)]
struct BpiArgs {
    /// The log, compressed with gzip or not
    file: PathBuf,
    /// A word in the names of activities that are of high risk, instead of the built-in ones; can be given several times
    #[arg(long, value_name = "WORD")]
    high_risk: Vec<String>,
}

#[derive(Args)]
struct AllArgs {
    /// An XES 1.0 event log
    #[arg(long, value_name = "FILE")]
    bpi: PathBuf,
    /// Runs with their outcomes, as `fusebox risk export` writes them
    #[arg(long, value_name = "FILE")]
    outcomes: Option<PathBuf>,
    /// Folder for all results
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Seed of the random numbers
    #[arg(long, default_value_t = 9)]
    seed: u64,
    /// Number of plans drawn from risk profiles, and as many around the thresholds
    #[arg(long, default_value_t = 180_000, value_parser = clap::value_parser!(u64).range(600..=10_000_000))]
    synthetic: u64,
    /// A word in the names of activities that are of high risk, instead of the built-in ones; can be given several times
    #[arg(long, value_name = "WORD")]
    high_risk: Vec<String>,
    /// Writes the report on stdout as JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let What::All(_) = &cli.command
        && std::env::var_os(THREADS).is_none_or(|threads| threads != "1")
    {
        return again_with_one_thread();
    }
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Several threads would add up in another order each time.
fn again_with_one_thread() -> ExitCode {
    let again = std::env::current_exe()
        .and_then(|program| Command::new(program).args(std::env::args_os().skip(1)).env(THREADS, "1").status());
    match again {
        Ok(status) => ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)),
        Err(error) => {
            eprintln!("error: cannot start again with one thread: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(what: What) -> Result<()> {
    match what {
        What::Bpi(BpiArgs { file, high_risk }) => {
            let log = bpi::read(&file, &bpi::words(&high_risk), |_| {})?;
            print(&data::csv(&log.samples))?;
            eprintln!("{} traces, {} events, {} left out", log.traces, log.events, log.left_out);
            Ok(())
        }
        What::Synthetic { count, seed } => print(&data::csv(&synthetic::draw(count, seed))),
        What::All(AllArgs { bpi, outcomes, out, seed, synthetic, high_risk, json }) => {
            let outcomes = outcomes
                .map(|file| std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display())))
                .transpose()?;
            let count = usize::try_from(synthetic)?;
            let options = whole::Options { bpi, outcomes, out: out.clone(), seed, count, high_risk };
            let report = whole::all(&options)?;
            if json {
                return print(&format!("{}\n", serde_json::to_string(&report)?));
            }
            print(&card::summary(&report))?;
            eprintln!("wrote risk.onnx, risk.json, README.md and reports to {}", out.display());
            Ok(())
        }
    }
}

fn print(text: &str) -> Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        // The reader has closed the pipe.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}
