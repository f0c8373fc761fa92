//! `fusebox run`: carries out a plan.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};

use fusebox::{
    ApproveAll, ApproveLater, ApproveNothing, Approver, Error, Host, HostBuilder, Plan, Run, RunLimits, RunOptions,
    RunUpdate, read_file, read_from,
};
use tokio::runtime::Runtime;

use crate::args::{Approve, Budgets, CreateArgs, RunArgs};
use crate::backlog::Backlog;
use crate::exit::Exit;
use crate::operator;
use crate::output::{Explained, Output};
use crate::print;
use crate::terminal_approver::TerminalApprover;
use crate::view::View;
use crate::watch::{self, Watched};

/// Most bytes of a plan, an action or a component: each has a tighter bound of its own.
const MAX_INPUT_BYTES: usize = 64 * 1024 * 1024;

/// Reads a file, or standard input for `-`.
pub fn read_input(what: &'static str, path: &Path) -> Result<Vec<u8>, Error> {
    if path == Path::new("-") {
        return read_from(what, std::io::stdin().lock(), path, MAX_INPUT_BYTES);
    }
    read_file(what, path, MAX_INPUT_BYTES)
}

/// A builder of a host under the given policy, if any.
pub fn builder(policy: Option<PathBuf>) -> HostBuilder {
    let mut builder = Host::builder().on_compile(|bytes| {
        let kib = bytes.div_ceil(1024);
        print::err(&format!("compiling a plugin of {kib} KiB; its code is kept for the next time\n"));
    });
    if std::io::stderr().is_terminal() {
        let told = Once::new();
        builder = builder.on_bundled(move || {
            told.call_once(|| {
                print::err("compiling the bundled plugins, once for this home; it takes some seconds…\n")
            });
        });
    }
    // Exactly the running file, even if its name leads elsewhere by now.
    if let Ok(program) = std::env::current_exe() {
        builder = builder.launcher(program);
    }
    match policy {
        Some(policy) => builder.policy_file(policy),
        None => builder,
    }
}

/// A host under the policy that was given, if any.
pub fn host(policy: Option<PathBuf>) -> Result<Host, Error> {
    builder(policy).build()
}

/// Prints notices for the operator.
pub fn tell_notices(host: &Host, json: bool) {
    for notice in host.notices() {
        tell_notice(&notice.to_string(), json);
    }
}

fn tell_notice(text: &str, json: bool) {
    let text = fusebox::core::show::safe_line(text, 2000);
    if json {
        print::json(&Output::Notice { message: &text });
    } else {
        let style = anstyle::AnsiColor::Yellow.on_default().bold();
        print::err(&format!("{style}notice{style:#}: {text}\n"));
    }
}

pub fn run(args: RunArgs) -> Result<Exit, Error> {
    let watched = if args.explain { Explanations::Shown } else { Explanations::Hidden };
    let (host, plan, options) = prepare(args.create, watched, args.json)?;
    let (backlog, runtime) = (Backlog::new(), runtime()?);
    let run = host.run(plan, options.approved_by(approver(args.approve, &backlog)))?;
    if run.left_out() > 0 {
        tell_notice(
            &format!("the copy lacks {} links, devices or files with further names", run.left_out()),
            args.json,
        );
    }
    carry_out(&host, run, runtime, &backlog, args.json)
}

/// Whether explanations are shown while a run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Explanations {
    Shown,
    Hidden,
}

/// A host under the policies that count for a plan, the plan, and where and how it is to run.
pub fn prepare(create: CreateArgs, watched: Explanations, json: bool) -> Result<(Host, Plan, RunOptions), Error> {
    let plan = Plan::parse(&read_input("the plan", &create.plan)?)?;
    let mut builder = builder(create.policy);
    for folder in projects(&plan, &create.plan, create.workspace.as_deref()) {
        builder = builder.project(folder);
    }
    if let Some(cassette) = create.cassette {
        builder = builder.cassette(cassette);
    }
    if watched == Explanations::Shown {
        builder = builder.explained();
    }
    let host = builder.build()?;
    tell_notices(&host, json);
    let options = RunOptions::new().limits(limits_of(&create.budgets)).tenant(create.tenant);
    let mut options = options.current_folder(".");
    if let Some(folder) = plan_folder(&create.plan) {
        options = options.plan_folder(folder);
    }
    options = match create.workspace {
        Some(folder) => options.workspace(folder),
        None if plan.workspace.is_none() => options.workspace("."),
        None => options,
    };
    if create.copy {
        options = options.on_a_copy();
    }
    Ok((host, plan, options))
}

pub fn runtime() -> Result<Runtime, Error> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|source| Error::NoThreads { source })
}

/// Carries a run on and prints its updates.
pub fn carry_out(host: &Host, run: Run, runtime: Runtime, backlog: &Backlog, json: bool) -> Result<Exit, Error> {
    let watched = if json {
        runtime.block_on(watch::watch(run, backlog, print_json))
    } else {
        let mut view = View::new();
        let policy = host.policy_source().to_owned();
        runtime.block_on(watch::watch(run, backlog, |watched| match watched {
            Watched::Update(update) => view.update(update),
            Watched::Killed => view.line("\nKilling the run…"),
            Watched::Pausing => view.line("\nStopping the step and pausing the run… (once more kills it)"),
            Watched::Ended(summary) => view.summary(summary, &policy),
        }))
    };
    // A prompt may still be waiting for input.
    runtime.shutdown_background();
    Ok(Exit::of_run(watched?.end))
}

fn print_json(watched: Watched<'_>) {
    match watched {
        Watched::Update(RunUpdate::Event(event)) => print::event(event),
        Watched::Update(RunUpdate::Explanation(explanation)) => {
            print::json(&Output::Explanation(Explained::of(explanation)))
        }
        Watched::Update(RunUpdate::Log(log)) => print::json(&Output::plugin_log(log)),
        Watched::Update(RunUpdate::Output { .. } | RunUpdate::Progress { .. }) | Watched::Killed | Watched::Pausing => {
        }
        Watched::Ended(summary) => print::json(&Output::Summary(summary)),
    }
}

/// Folders whose own policies may count: that of the plan, the workspace and, unless the operator names that, the folder
/// that the operator is in. A plan takes none away.
fn projects(plan: &Plan, plan_file: &Path, workspace: Option<&Path>) -> Vec<PathBuf> {
    let beside = plan_folder(plan_file);
    let named = plan.workspace.as_ref().map(|named| &named.path);
    let workspace = match (workspace, named, &beside) {
        (Some(folder), _, _) => vec![folder.to_owned()],
        (None, Some(named), Some(beside)) => vec![beside.join(named), PathBuf::from(".")],
        (None, _, _) => vec![PathBuf::from(".")],
    };
    beside.into_iter().chain(workspace).collect()
}

/// The folder that a plan lies in, unless it came from standard input.
fn plan_folder(plan_file: &Path) -> Option<PathBuf> {
    if plan_file == Path::new("-") {
        return None;
    }
    let folder = plan_file.parent().filter(|folder| !folder.as_os_str().is_empty());
    Some(folder.unwrap_or(Path::new(".")).to_owned())
}

/// The operator's budgets.
fn limits_of(budgets: &Budgets) -> RunLimits {
    RunLimits {
        tokens: budgets.budget_tokens,
        micro_usd: budgets.budget_usd,
        fuel: budgets.budget_fuel,
        time_us: budgets.budget_time,
        steps: budgets.budget_steps,
        ..RunLimits::default()
    }
}

/// Approver for this choice.
pub fn approver(approve: Approve, backlog: &Backlog) -> Arc<dyn Approver> {
    match approve {
        Approve::All => Arc::new(ApproveAll { by: operator::user() }),
        Approve::Ask if operator::is_possible() => Arc::new(TerminalApprover::new(backlog.clone())),
        Approve::Ask | Approve::Later => Arc::new(ApproveLater),
        Approve::None => Arc::new(ApproveNothing { reason: "--approve none was given".to_owned() }),
    }
}
