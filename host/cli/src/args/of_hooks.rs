//! Arguments of the commands for coding agents.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use fusebox_adapters::hooks::Harness;

use crate::hook::harness;

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
