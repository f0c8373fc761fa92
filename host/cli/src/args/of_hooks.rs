//! Arguments of the commands for coding agents.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};
use fusebox_adapters::hooks::Harness;

#[derive(Debug, ClapArgs)]
pub struct HookArgs {
    /// The coding agent: claude-code, codex, copilot-cli, cursor, gemini-cli, opencode or qwen-code
    #[arg(value_name = "HARNESS", value_parser = harness)]
    pub harness: Harness,
    /// Policy file [default: as for `run`]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Tenant that owns the session
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub tenant: String,
    /// Deny when there is no decision after so many milliseconds: less than the agent waits for its hooks
    #[arg(long, value_name = "MS", default_value_t = 8000, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    pub deadline_ms: u64,
}

#[derive(Debug, Subcommand)]
pub enum SessionsTask {
    /// Judge sessions that other tools recorded, exactly as live ones
    #[command(
        after_help = "The recording is JSON, one object a line: {\"begin\": {\"id\", \"user\"}}, {\"user\": TEXT}, {\"call\": {\"n\", \
        \"server\", \"tool\", \"input\"}}, {\"answered\": {\"n\", \"approved\"}}, {\"output\": {\"n\", \"text\"}}, {\"end\": {}}. The server \
        `agent` has the tools of a coding agent: Bash, Read, Write, Edit and the others of Claude Code.\n\
        With --json each call, output and end is answered by a line, before the next one is read; without it a table comes at \
        the end. Nothing is written into the log of this home."
    )]
    Judge(JudgeArgs),
}

#[derive(Debug, ClapArgs)]
pub struct JudgeArgs {
    /// File with recorded sessions; `-` reads them from standard input
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Folder that the sessions worked in [default: an empty one]
    #[arg(long, value_name = "DIR")]
    pub workspace: Option<PathBuf>,
    /// Policy file [default: as for `run`]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Answer line by line, one JSON object each, with the totals at the end
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct HooksArgs {
    #[command(subcommand)]
    pub task: HooksTask,
    /// Print JSON, one object a line
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum HooksTask {
    /// Let a coding agent ask Fusebox before each call of a tool
    #[command(after_help = "Examples:\n  \
        fusebox hooks install claude-code            for all that you do\n  \
        fusebox hooks install codex --project .      for one project\n  \
        fusebox hooks install cursor --dry-run       show what would change\n\n\
        The agent's own file of settings is edited: order, comments and entries of others stay, and what was there before is kept \
        beside it. Without a policy file every command is asked about; for work at a desk begin with \
        examples/policy/developer.toml as $FUSEBOX_HOME/fusebox.toml.")]
    Install(PlaceArgs),
    /// Take the hooks out again
    Uninstall(PlaceArgs),
    /// Show where hooks are installed
    Status {
        /// The coding agent; all without it
        #[arg(value_name = "HARNESS", value_parser = harness)]
        harness: Option<Harness>,
    },
}

#[derive(Debug, ClapArgs)]
pub struct PlaceArgs {
    /// The coding agent: claude-code, codex, copilot-cli, cursor, gemini-cli, opencode or qwen-code
    #[arg(value_name = "HARNESS", value_parser = harness)]
    pub harness: Harness,
    /// In your own settings, for all that you do; this is so without --project
    #[arg(long, conflicts_with = "project")]
    pub user: bool,
    /// In the settings of a project [without a folder: of this one]
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = ".")]
    pub project: Option<PathBuf>,
    /// Show the change without making it
    #[arg(long)]
    pub dry_run: bool,
}

/// Parses the name of a harness.
fn harness(name: &str) -> Result<Harness, String> {
    name.parse().map_err(|_| {
        let known: Vec<&str> = Harness::ALL.iter().map(|harness| harness.name()).collect();
        format!("no hooks of {name:?} are known; known are {}", known.join(", "))
    })
}
