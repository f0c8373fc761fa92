//! Arguments of the commands about policy.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

#[derive(Debug, ClapArgs)]
pub struct CheckArgs {
    /// File with the action; `-` reads it from standard input
    pub action: PathBuf,
    /// Folder that the action is about
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub workspace: PathBuf,
    /// Policy file [default: as for `run`]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Tenant that asks
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub tenant: String,
    /// Show the ruling, fuel and log of every plugin that took part
    #[arg(long)]
    pub explain: bool,
    /// Print the decision as one JSON object, with the same of every plugin
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct PolicyArgs {
    #[command(subcommand)]
    pub task: PolicyTask,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum PolicyTask {
    /// Load a policy with its plugins, settings and gateway, and report its faults
    Check {
        /// Policy file [default: as for `run`]
        file: Option<PathBuf>,
    },
    /// Print the JSON Schema of policy files, for editors
    Schema,
    /// Print every setting in force, and where it comes from
    Explain {
        /// Only keys that begin so, such as `limits` or `guards.secret-scan`
        key: Option<String>,
        /// Policy file [default: as for `run`]
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
        /// Folder of a plan or workspace whose own policy is applied too, if it is trusted
        #[arg(long, value_name = "DIR")]
        project: Option<PathBuf>,
    },
    /// Print the strict built-in policy
    Builtin,
}

#[derive(Debug, ClapArgs)]
pub struct TrustArgs {
    /// Folder with a fusebox.toml
    #[arg(required_unless_present = "list")]
    pub folder: Option<PathBuf>,
    /// Trust it no longer
    #[arg(long, conflicts_with = "list")]
    pub revoke: bool,
    /// List the trusted folders
    #[arg(long, conflicts_with = "folder")]
    pub list: bool,
    /// Print JSON, one object a line
    #[arg(long)]
    pub json: bool,
}
