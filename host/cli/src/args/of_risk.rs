//! Command lines about predicted risk.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use fusebox::core::risk::RiskLevel;

#[derive(Debug, ClapArgs)]
pub struct RiskArgs {
    #[command(subcommand)]
    pub task: RiskTask,
    /// Policy file [default: as for `run`]
    #[arg(long, value_name = "FILE", global = true)]
    pub policy: Option<PathBuf>,
    /// Print JSON, one object a line
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum RiskTask {
    /// Predict the risk of a plan, and the limits of its run
    Predict(PlanOrFeatures),
    /// Explain the risk of a plan: the share of each feature in its score
    Explain(PlanOrFeatures),
    /// Predict many: a file with the features or the plan of one run a line, as JSON
    #[command(
        after_help = "Faulty lines are reported, and the others are predicted all the same; then the exit code is 2."
    )]
    Batch {
        /// The file; `-` reads standard input
        file: PathBuf,
    },
    /// Write predictions and outcomes of runs, one JSON object a line
    Export {
        #[command(flatten)]
        which: Which,
        /// File to write [default: standard output]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Compare the model with the challenger, by outcomes of runs
    Compare(Which),
    /// Show the drift of plans from the model's training data
    Drift(Which),
    /// Propose thresholds for each agent type, from outcomes of runs; nothing is applied
    Thresholds(Which),
    /// Record how risky a run's plan really was: a label for training
    Overrule {
        /// Id of the run
        run: String,
        /// The level that it really had
        #[arg(value_enum, ignore_case = true)]
        level: LevelArg,
        /// Reason of the judgement
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
}

#[derive(Debug, ClapArgs)]
pub struct PlanOrFeatures {
    /// File with a plan, or with the nine features as a JSON object; `-` reads standard input
    pub file: PathBuf,
    /// For features: the agent's type, which thresholds may depend on
    #[arg(long, value_name = "TYPE")]
    pub agent_type: Option<String>,
    /// For features: the agent's tier
    #[arg(long, value_name = "TIER")]
    pub agent_tier: Option<String>,
}

/// Number of runs that are read.
#[derive(Debug, ClapArgs)]
pub struct Which {
    /// Tenant that owns the runs
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub tenant: String,
    /// The newest so many runs
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub last: u32,
    /// Outcomes that `fusebox risk export` wrote, instead of those in the log
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LevelArg {
    /// As most plans are
    Low,
    /// More risk than usual
    Medium,
    /// A person should look at each step
    High,
}

impl LevelArg {
    pub fn level(self) -> RiskLevel {
        match self {
            Self::Low => RiskLevel::Low,
            Self::Medium => RiskLevel::Medium,
            Self::High => RiskLevel::High,
        }
    }
}
