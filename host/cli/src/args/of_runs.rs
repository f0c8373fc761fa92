//! Command lines about runs that are there already.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

use super::{Approve, CreateArgs, time_us};

#[derive(Debug, ClapArgs)]
pub struct StartArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    // Last, because later fields would stand under its heading of budgets.
    #[command(flatten)]
    pub create: CreateArgs,
}

#[derive(Debug, ClapArgs)]
pub struct ContinueArgs {
    /// Id of the run
    pub run: String,
    /// Policy file [default: as for `run`]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Answer prompts from this recording instead of the policy's gateway; nothing is sent anywhere
    #[arg(long, value_name = "FILE")]
    pub cassette: Option<PathBuf>,
    /// Approver of actions that guards and policy leave to a person
    #[arg(long, value_enum, default_value_t = Approve::Ask)]
    pub approve: Approve,
    /// Print one JSON object a line: every event, then the summary
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct OneRunArgs {
    /// Id of the run
    pub run: String,
    /// Print JSON, one object a line
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct ShowArgs {
    /// Id of the run
    pub run: String,
    /// Show what plugins logged
    #[arg(long)]
    pub logs: bool,
    /// Print JSON, one object a line
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct ExplainArgs {
    /// Id of the run
    pub run: String,
    /// Id of one step [default: all]
    pub step: Option<String>,
    /// Only explanations of this phase; may be given several times
    #[arg(long, value_enum)]
    pub phase: Vec<PhaseArg>,
    /// Print JSON, one object an explanation
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PhaseArg {
    /// Upcoming steps, and why they may happen or not
    Before,
    /// Results of steps that happened
    After,
    /// Failures, and what to do
    OnError,
}

impl PhaseArg {
    pub fn phase(self) -> fusebox::Phase {
        match self {
            Self::Before => fusebox::Phase::Before,
            Self::After => fusebox::Phase::After,
            Self::OnError => fusebox::Phase::OnError,
        }
    }
}

#[derive(Debug, ClapArgs)]
pub struct PauseArgs {
    /// Id of the run
    pub run: String,
    /// Reason, for the record
    #[arg(long, default_value = "")]
    pub reason: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct AddStepArgs {
    /// Id of the run
    pub run: String,
    /// File with the step; `-` reads it from standard input
    pub step: PathBuf,
    /// Policy file [default: as for `run`]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Answer prompts from this recording; only says that there is a model
    #[arg(long, value_name = "FILE")]
    pub cassette: Option<PathBuf>,
    /// Approver of a plan that guards leave to a person
    #[arg(long, value_enum, default_value_t = Approve::Ask)]
    pub approve: Approve,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct RunsArgs {
    /// Only runs in this state; may be given several times
    #[arg(long, value_enum)]
    pub state: Vec<State>,
    /// Only runs of this agent
    #[arg(long, value_name = "ID")]
    pub agent: Option<String>,
    /// Only runs of this tenant
    #[arg(long, value_name = "NAME")]
    pub tenant: Option<String>,
    /// Only runs created since then: a time like 2026-11-21T10:00:00Z, or how long ago, like 90s, 5m, 1h or 2d
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<u64>,
    /// Only runs created before then
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<u64>,
    /// Most runs that are listed, newest first
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub limit: u32,
    /// Print JSON, one object a run
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum State {
    Created,
    Running,
    /// Waiting for a person: paused, for an approval, or in doubt
    Paused,
    Completed,
    Failed,
    Killed,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::Running => "RUNNING",
            Self::Paused => "PAUSED",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::Killed => "KILLED",
        }
    }
}

#[derive(Debug, ClapArgs)]
pub struct KillArgs {
    /// Id of the run
    #[arg(required_unless_present_any = ["all", "tenant"])]
    pub run: Option<String>,
    /// Every run of this tenant
    #[arg(long, value_name = "NAME", conflicts_with_all = ["run", "all"])]
    pub tenant: Option<String>,
    /// Every run of this home
    #[arg(long, conflicts_with = "run")]
    pub all: bool,
    /// Print JSON, one object a line
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct CleanArgs {
    /// Only of runs that ended so long ago, such as 7d
    #[arg(long, value_name = "TIME", value_parser = super::time_us)]
    pub older_than: Option<u64>,
    /// Only report the copies that would be removed
    #[arg(long)]
    pub dry_run: bool,
    /// Print JSON, one object a line
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct UnkillArgs {
    /// The switch of this tenant
    #[arg(long, value_name = "NAME", required_unless_present = "all", conflicts_with = "all")]
    pub tenant: Option<String>,
    /// The switch for everything
    #[arg(long)]
    pub all: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct JsonArgs {
    /// Print JSON, one object a line
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct ApprovalsArgs {
    /// Id of one, or the beginning of it
    pub id: Option<String>,
    /// Print JSON, one object a line
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct ApproveArgs {
    /// Id of the approval, or the beginning of it
    pub id: String,
    /// Remark to record with the answer
    #[arg(long, default_value = "")]
    pub note: String,
    /// Approve everything of the same kind in this run as well: the same step type, doing the same to the world, asked for the
    /// same reasons; a command only when it is the very same
    #[arg(long, conflicts_with_all = ["edit", "as_done"])]
    pub kind: bool,
    /// Time for which --kind counts, such as 30m [default: as long as the run goes on]
    #[arg(long = "for", value_name = "TIME", value_parser = time_us, requires = "kind")]
    pub lasts: Option<u64>,
    /// Replace the input with the one in this file (or `-`); the new action is judged again
    #[arg(long, value_name = "FILE", conflicts_with = "as_done")]
    pub edit: Option<PathBuf>,
    /// A step in doubt did happen: count it as carried out
    #[arg(long)]
    pub as_done: bool,
    #[command(flatten)]
    pub person: PersonArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct RejectArgs {
    /// Id of the approval, or the beginning of it
    pub id: String,
    /// Reason, which the agent's later steps can read
    #[arg(long)]
    pub reason: String,
    #[command(flatten)]
    pub person: PersonArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Proof that a person decides.
#[derive(Debug, ClapArgs)]
pub struct PersonArgs {
    /// Your approver's key: its file, or the .pub file of an SSH key that your ssh-agent holds
    /// [default: $FUSEBOX_APPROVER_KEY]
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Do not show the action and ask once more
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, ClapArgs)]
pub struct GrantsArgs {
    /// Id of a run [default: all that have not ended]
    pub run: Option<String>,
    /// Print JSON, one object a line
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct RevokeArgs {
    /// Id of the run
    pub run: String,
    /// Id of the approval that granted it
    pub grant: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct ApproversArgs {
    #[command(subcommand)]
    pub task: Option<ApproversTask>,
    /// Print JSON, one object a line
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum ApproversTask {
    /// Make a key for a person, or take their SSH key; its public half is kept
    Add {
        /// Name of the approver
        name: String,
        /// File to write the private half of a new key to; nothing is overwritten
        #[arg(long, value_name = "FILE", required_unless_present = "ssh")]
        out: Option<PathBuf>,
        /// Public half of an SSH key (.pub), whose private half an ssh-agent holds
        #[arg(long, value_name = "FILE", conflicts_with = "out")]
        ssh: Option<PathBuf>,
    },
    /// Trust a key no longer
    Remove {
        /// Name of the approver
        name: String,
    },
}

/// A moment: a time, or how long ago it was.
fn moment(text: &str) -> Result<u64, String> {
    let now = fusebox::now_us();
    if let Ok(ago) = time_us(text) {
        return Ok(now.saturating_sub(ago));
    }
    let wrong = |_| format!("{text:?} is neither a time like 2026-11-21T10:00:00Z nor how long ago, like 5m, 1h or 2d");
    let time: jiff::Timestamp = text.parse().map_err(wrong)?;
    u64::try_from(time.as_microsecond()).map_err(|_| format!("{text:?} is before 1970"))
}
