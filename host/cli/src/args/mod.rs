//! The command line.

mod of_audit;
mod of_hooks;
mod of_policy;
mod of_risk;
mod of_runs;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

pub use of_audit::*;
pub use of_hooks::*;
pub use of_policy::*;
pub use of_risk::*;
pub use of_runs::*;

/// Governs actions of AI agents.
#[derive(Debug, Parser)]
#[command(
    name = "fusebox",
    version,
    about = "Governs what AI agents do: every action passes sandboxed guards before it happens",
    after_help = "Exit codes: 0 completed or allowed, 1 failed (a guard that failed to judge included), 2 bad input, 3 denied or rejected, 4 killed, \
                  5 over budget, 6 waiting for approval.\n\
                  State lives in $FUSEBOX_HOME, by default in your data folder; plugins are compiled into its cache \
                  on first use."
)]
pub struct Args {
    #[command(subcommand)]
    pub task: Task,
}

impl Args {
    /// Reads the command line. `check` and `hook`, which other programs start for each action, are read without all other
    /// commands: they take a millisecond to describe.
    pub fn read() -> Result<Self, clap::Error> {
        let words: Vec<OsString> = std::env::args_os().collect();
        let own = words.get(1..).unwrap_or_default();
        let task = match own.first().and_then(|command| command.to_str()) {
            Some("check") => alone::<CheckArgs>("check", own).map(Task::Check),
            Some("hook") => alone::<HookArgs>("hook", own).map(Task::Hook),
            _ => None,
        };
        match task {
            Some(task) => Ok(Self { task }),
            // Help and errors as well.
            None => Self::try_parse_from(words),
        }
    }
}

/// Arguments of one command, where they are good.
fn alone<A: ClapArgs>(name: &'static str, words: &[OsString]) -> Option<A> {
    let found = A::augment_args(clap::Command::new(name)).try_get_matches_from(words).ok()?;
    A::from_arg_matches(&found).ok()
}

#[derive(Debug, Subcommand)]
pub enum Task {
    /// Carry out a plan, each step judged, metered and recorded
    #[command(after_help = "Examples:\n  \
        fusebox run plan.json --workspace .            ask on this terminal before anything changes\n  \
        fusebox run plan.json --copy --approve all     try it on a copy, approving everything that guards leave open\n  \
        fusebox run plan.json --budget-steps 20 --json one event a line, for machines\n\n\
        A plan is JSON: {\"goal\", \"agent\": {\"id\"}, \"steps\": [{\"step_type\", \"input\"}]}. \
        See `fusebox plugins` for the step types.\n\
        Ctrl-C stops the step under way and pauses the run; a second one kills it. Without a terminal to ask on, a run \
        waits for `fusebox approve` (exit code 6).")]
    Run(RunArgs),
    /// Create a run, to be carried out by `continue` or `next`
    Start(StartArgs),
    /// Continue a run: one that was created, waited, was resumed, or whose process ended
    #[command(after_help = "Completed steps are not repeated. A step that may or may not have happened is put to \
        a person first.\n\
        Exit codes: as for `run`; 2 when it has ended, is paused, or another process drives it.")]
    Continue(ContinueArgs),
    /// Carry out the next step of a run, and no more
    Next(ContinueArgs),
    /// Pause a run until it is resumed; a step under way is carried to its end
    Pause(PauseArgs),
    /// Let a paused run go on; `continue` then carries it on
    Resume(OneRunArgs),
    /// Add a step behind the last one of a run; guards judge the whole plan with it
    #[command(after_help = "A step is JSON, as in a plan: {\"step_type\", \"input\", \"description\"?, \"id\"?}.\n  \
        echo '{\"step_type\": \"read_file\", \"input\": {\"path\": \"a\"}}' | fusebox add-step 0193a5c2-… -")]
    AddStep(AddStepArgs),
    /// List runs
    #[command(after_help = "Examples:\n  \
        fusebox runs --state paused              runs that wait for a person\n  \
        fusebox runs --agent fix-bot --since 2d  runs of one agent in two days")]
    Runs(RunsArgs),
    /// Show the events of a run
    #[command(after_help = "Examples:\n  \
        fusebox show 0193a5c2-…          its events\n  \
        fusebox show 0193a5c2-… --logs   with what plugins logged")]
    Show(ShowArgs),
    /// Explain the steps of a run: why each happened or not, what it did, and what to do
    #[command(after_help = "Examples:\n  \
        fusebox explain 0193a5c2-…                       every step\n  \
        fusebox explain 0193a5c2-… fix --phase on-error  why one step failed, and what to do")]
    Explain(ExplainArgs),
    /// Show the events of a run as they happen, in any process
    Tail(OneRunArgs),
    /// List open questions, or show one with all data needed to decide
    Approvals(ApprovalsArgs),
    /// Approve a run's question, exactly as it was asked
    #[command(after_help = "Approving needs a terminal or an approver's key. It is bound to the action, its effects, \
        the plugins and the policy: if any of them has changed when the run goes on, it is asked for again.\n  \
        fusebox approve 3fa9                    this one action\n  \
        fusebox approve 3fa9 --kind --for 30m   and everything of the same kind in this run, for half an hour\n  \
        fusebox approve 3fa9 --edit input.json  another input instead; it is judged anew\n  \
        fusebox approve 3fa9 --as-done          a step in doubt that did happen")]
    Approve(ApproveArgs),
    /// Reject a run's question
    Reject(RejectArgs),
    /// List approvals of everything of a kind that count now
    Grants(GrantsArgs),
    /// Revoke an approval of everything of a kind
    Revoke(RevokeArgs),
    /// List the approvers with keys; add or remove one
    Approvers(ApproversArgs),
    /// Settle runs whose process died
    #[command(
        after_help = "This happens by itself whenever runs are started or continued. It checks files that were being written, \
        asks about commands that may have run, and rejects approvals whose time is up."
    )]
    Recover(JsonArgs),
    /// Judge one action that another program will carry out
    #[command(after_help = "An action is JSON: {\"step_type\", \"input\", \"description\"?, \"scope\"?, \"agent\"?, \
        \"effects\"?}.\nEffects are previewed by the step type's executor; for other step types, state them:\n  \
        {\"step_type\": \"deploy\", \"input\": {}, \"effects\": [{\"effect\": \"run\", \"argv\": [\"make\", \"deploy\"]}]}\n\n\
        Exit codes: 0 allowed, 1 a guard failed to judge it, 3 denied, 6 a person must approve.")]
    Check(CheckArgs),
    /// Answer one event of a coding agent, on standard input: what its hooks call
    #[command(
        after_help = "Coding agents start this for each tool call, once `fusebox hooks install` has told them so. It reads one \
        event, judges it in the session of the agent, and prints the answer in the words of the agent. Whatever goes wrong, the \
        answer is a denial."
    )]
    Hook(HookArgs),
    /// Install hooks into coding agents: Claude Code, Codex, Copilot, Cursor, Gemini CLI, OpenCode, Qwen Code
    Hooks(HooksArgs),
    /// Sessions of coding agents: judge recorded ones
    #[command(subcommand)]
    Sessions(SessionsTask),
    /// List the plugins in use, or show one
    Plugins(PluginsArgs),
    /// Check, explain or describe policies
    Policy(PolicyArgs),
    /// Kill runs, for good
    #[command(
        after_help = "A killed run is over for good: what it was doing stops at once, processes and model calls \
        included. It works for all runs on the same $FUSEBOX_HOME.\n  \
        fusebox kill 0193a5c2-…     one run\n  \
        fusebox kill --tenant T     every run of a tenant, and none of it begins until `fusebox unkill --tenant T`\n  \
        fusebox kill --all          every run, and none begins until `fusebox unkill --all`\n\n\
        Exit codes: 0 all have ended, 1 one did not answer, 2 there is no such run."
    )]
    Kill(KillArgs),
    /// Remove copies of workspaces whose runs have ended
    #[command(
        after_help = "A run with --copy works on a copy of the workspace, which stays afterwards with its results. \
        The copies of the last 50 ended runs are kept; this removes them now. Copies of runs that go on always stay.\n\n\
        Exit codes: 0 removed, 1 one could not be removed."
    )]
    Clean(CleanArgs),
    /// Lift a kill switch; killed runs stay killed
    Unkill(UnkillArgs),
    /// Prove the log: export, verify, proofs, checkpoints and keys of the audit log
    #[command(after_help = "Examples:\n  \
        fusebox audit export RUN --out run.ndjson   all data for an outsider to check one run\n  \
        fusebox audit verify run.ndjson --key KEY   check it, anywhere, without the log\n  \
        fusebox audit verify                        check the whole log\n  \
        fusebox audit checkpoint > witness.note     keep it elsewhere, to notice a log that was cut or rewritten\n\n\
        docs/audit.md says what this proves, and what it does not.\n\
        Exit codes: 0 it holds, 1 something is wrong, 2 bad input.")]
    Audit(AuditArgs),
    /// Predict the risk of plans, explain it, and learn from outcomes of runs
    #[command(after_help = "Examples:\n  \
        fusebox risk predict plan.json          its risk, and the limits of its run\n  \
        fusebox risk explain plan.json          the features that make it risky\n  \
        fusebox risk batch features.ndjson      many at once\n  \
        fusebox risk export --out runs.ndjson   predictions and outcomes: training data\n  \
        fusebox risk overrule RUN high          a person's own judgement of the risk\n\n\
        docs/risk.md says how it works, and where it does not help.")]
    Risk(RiskArgs),
    /// Show the state of the policy's sinks, which receive events besides the log
    #[command(
        after_help = "Any process under the policy sends events from the log to the sinks, so they miss none. With \
        --deliver, this one waits until they have received all events."
    )]
    Sinks(SinksArgs),
    /// Let the policy in a project's folder count
    #[command(
        after_help = "A file fusebox.toml beside a plan or in a workspace counts only after it was trusted, as it is \
        at that moment, and it can only tighten: more guards, tighter limits, more approvals.\n  \
        fusebox trust .             trust the policy of this folder\n  \
        fusebox trust --list        list trusted folders\n  \
        fusebox trust --revoke .    end the trust"
    )]
    Trust(TrustArgs),
    /// Check the setup of this machine, and advise on faults
    Doctor(DoctorArgs),
    /// Write a copy of this program that brings its plugins compiled
    #[command(
        after_help = "A first start of the copy in a new home takes no time to compile them. For those who install or ship it:\n  \
        fusebox pack ~/.local/bin/fusebox"
    )]
    Pack {
        /// Program to write; it may be this one
        to: PathBuf,
    },
    /// Print a JSON Schema
    Schema {
        /// Document that the schema is for
        #[arg(value_enum)]
        of: SchemaOf,
    },
    /// Print completions for a shell
    #[command(after_help = "Examples:\n  \
        fusebox completions bash > ~/.local/share/bash-completion/completions/fusebox\n  \
        fusebox completions zsh > ~/.zfunc/_fusebox\n  \
        fusebox completions fish > ~/.config/fish/completions/fusebox.fish")]
    Completions {
        /// Name of the shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    #[command(after_help = "Examples:\n  \
        fusebox man | man -l -\n  \
        fusebox man run | man -l -\n  \
        fusebox man --dir ~/.local/share/man/man1     write the pages of all commands")]
    Man {
        /// A command; the page of `fusebox` itself when left out
        command: Option<String>,
        /// Folder to write the pages of all commands to
        #[arg(long, value_name = "DIR", conflicts_with = "command")]
        dir: Option<PathBuf>,
    },
}

impl Task {
    /// Whether output is for machines.
    pub fn json(&self) -> bool {
        match self {
            Self::Run(args) => args.json,
            Self::Start(args) => args.json,
            Self::Continue(args) | Self::Next(args) => args.json,
            Self::Pause(args) => args.json,
            Self::Resume(args) | Self::Tail(args) => args.json,
            Self::Show(args) => args.json,
            Self::AddStep(args) => args.json,
            Self::Runs(args) => args.json,
            Self::Approvals(args) => args.json,
            Self::Approve(args) => args.json,
            Self::Reject(args) => args.json,
            Self::Grants(args) => args.json,
            Self::Revoke(args) => args.json,
            Self::Approvers(args) => args.json,
            Self::Recover(args) => args.json,
            Self::Unkill(args) => args.json,
            Self::Check(args) => args.json,
            Self::Plugins(args) => args.json,
            Self::Policy(args) => args.json,
            Self::Trust(args) => args.json,
            Self::Sinks(args) => args.json,
            Self::Explain(args) => args.json,
            Self::Audit(args) => args.json,
            Self::Risk(args) => args.json,
            Self::Kill(args) => args.json,
            Self::Clean(args) => args.json,
            Self::Doctor(args) => args.json,
            Self::Hooks(args) => args.json,
            Self::Sessions(SessionsTask::Judge(args)) => args.json,
            Self::Hook(_) | Self::Pack { .. } | Self::Schema { .. } | Self::Completions { .. } | Self::Man { .. } => {
                false
            }
        }
    }
}

#[derive(Debug, ClapArgs)]
pub struct RunArgs {
    /// Approver of actions that guards and policy leave to a person
    #[arg(long, value_enum, default_value_t = Approve::Ask)]
    pub approve: Approve,
    /// Explain each step as it comes: why it happened or not, what it did, and what to do
    #[arg(long)]
    pub explain: bool,
    /// Print one JSON object a line: every event, then the summary
    #[arg(long)]
    pub json: bool,
    // Last, because later fields would stand under its heading of budgets.
    #[command(flatten)]
    pub create: CreateArgs,
}

/// Plan, workspace, policy and limits of a new run.
#[derive(Debug, ClapArgs)]
pub struct CreateArgs {
    /// Plan file; `-` reads it from standard input
    pub plan: PathBuf,
    /// Folder to work in [default: the one that the plan names, else the current folder]
    #[arg(long, value_name = "DIR")]
    pub workspace: Option<PathBuf>,
    /// Work on a copy of the workspace, even if the plan does not ask for one
    #[arg(long)]
    pub copy: bool,
    /// Policy file, or `-` for standard input [default: $FUSEBOX_POLICY, else fusebox.toml in $FUSEBOX_HOME, else the strict built-in policy]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Answer prompts from this recording instead of the policy's gateway; nothing is sent anywhere
    #[arg(long, value_name = "FILE")]
    pub cassette: Option<PathBuf>,
    /// Tenant that owns the run; all its runs share its budgets and kill switch
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub tenant: String,
    #[command(flatten)]
    pub budgets: Budgets,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Approve {
    /// Ask on this terminal; without one, as `later`
    Ask,
    /// Leave the run waiting, for `fusebox approve` and `fusebox continue`
    Later,
    /// Approve everything that no guard denies
    All,
    /// Approve no action
    None,
}

#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Budgets (hard limits of the run)")]
pub struct Budgets {
    /// Model tokens, input and output
    #[arg(long, value_name = "N")]
    pub budget_tokens: Option<u64>,
    /// Money in US dollars, such as 0.50
    #[arg(long, value_name = "USD", value_parser = micro_usd)]
    pub budget_usd: Option<u64>,
    /// Instructions of plugins, in fuel
    #[arg(long, value_name = "N")]
    pub budget_fuel: Option<u64>,
    /// Wall time, such as 90s, 5m or 1h
    #[arg(long, value_name = "TIME", value_parser = time_us)]
    pub budget_time: Option<u64>,
    /// Steps that are carried out
    #[arg(long, value_name = "N")]
    pub budget_steps: Option<u64>,
}

#[derive(Debug, ClapArgs)]
pub struct DoctorArgs {
    /// Policy file [default: as for `run`]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Print JSON, one object a line
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct SinksArgs {
    /// Policy file [default: as for `run`]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Wait until they have received all events, or this long
    #[arg(long, value_name = "TIME", value_parser = time_us, num_args = 0..=1, default_missing_value = "1h")]
    pub deliver: Option<u64>,
    /// Print JSON, one object a sink
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// Plan files
    Plan,
    /// Policy files
    Policy,
    /// Policy files of projects, which only tighten
    ProjectPolicy,
    /// Files with one action, for `check`
    Action,
    /// Lines that `--json` prints
    Output,
    /// Descriptions of plugins
    Describe,
}

#[derive(Debug, ClapArgs)]
pub struct PluginsArgs {
    #[command(subcommand)]
    pub task: Option<PluginsTask>,
    /// Policy file [default: as for `run`]
    #[arg(long, value_name = "FILE", global = true)]
    pub policy: Option<PathBuf>,
    /// Print JSON, one object a plugin
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum PluginsTask {
    /// Show one plugin: a name of the list, or a component file
    Show {
        /// Name of a plugin in use, or path of a component or core module
        plugin: String,
    },
}

/// Dollars to micro-dollars, exactly.
fn micro_usd(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no amount of dollars; write it like 0.50, with at most six decimals");
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.chars().all(|c| c.is_ascii_digit());
    if whole.is_empty() || decimals.len() > 6 || !digits(whole) || !digits(decimals) {
        return Err(wrong());
    }
    format!("{whole}{decimals:0<6}").parse().map_err(|_| wrong())
}

/// Seconds, minutes, hours or days to microseconds.
pub fn time_us(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no time; write it like 90s, 5m, 1h or 2d");
    let (number, unit) = match text.char_indices().last() {
        Some((at, 's')) => (text.get(..at), 1_000_000),
        Some((at, 'm')) => (text.get(..at), 60_000_000),
        Some((at, 'h')) => (text.get(..at), 3_600_000_000),
        Some((at, 'd')) => (text.get(..at), 86_400_000_000),
        _ => (Some(text), 1_000_000),
    };
    let number: u64 = number.and_then(|number| number.parse().ok()).ok_or_else(wrong)?;
    number.checked_mul(unit).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory as _;
        Args::command().debug_assert();
    }

    #[test]
    fn amounts_are_exact() {
        assert_eq!(micro_usd("0.50"), Ok(500_000));
        assert_eq!(micro_usd("12"), Ok(12_000_000));
        assert_eq!(micro_usd("0.000001"), Ok(1));
        for bad in ["", ".5", "1.0000001", "-1", "1e3", "$1", "99999999999999999999"] {
            assert!(micro_usd(bad).is_err(), "{bad}");
        }
        assert_eq!(time_us("90"), Ok(90_000_000));
        assert_eq!(time_us("5m"), Ok(300_000_000));
        for bad in ["", "s", "-1s", "1w", "99999999999999h"] {
            assert!(time_us(bad).is_err(), "{bad}");
        }
    }
}
