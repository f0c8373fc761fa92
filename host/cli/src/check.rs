//! `fusebox check`: judges one action.

use anstyle::{AnsiColor, Style};
use fusebox::core::policy::GuardMode;
use fusebox::core::show::safe_line;
use fusebox::{Decision, Error, PluginReport, PluginRole, Proposal, Ruling};

use crate::args::CheckArgs;
use crate::exit::Exit;
use crate::output::Output;
use crate::print;
use crate::run::{builder, read_input, tell_notices};

pub fn check(args: CheckArgs) -> Result<Exit, Error> {
    let proposal = Proposal::parse(&read_input("the action", &args.action)?, Some(args.workspace.clone()))?;
    let host = builder(args.policy).project(args.workspace).judges_at_once().build()?;
    tell_notices(&host, args.json);
    let report = host.check_report(&args.tenant, &proposal)?;
    if args.json {
        print::json(&Output::Decision(&report));
    } else {
        print(&report.decision);
        if args.explain {
            report.plugins.iter().for_each(explain);
        }
    }
    host.finish();
    Ok(Exit::of_decision(&report.decision))
}

/// Shows a plugin's part in the check.
fn explain(report: &PluginReport) {
    let dim = Style::new().dimmed();
    let PluginReport { plugin, role, mode, ruling, failure, usage, log } = report;
    let said = match (ruling, failure) {
        (_, Some(why)) => format!("fails: {}", safe_line(why, 1000)),
        (Some(Ruling::Abstain), None) => "abstains".to_owned(),
        (Some(Ruling::Allow), None) => "allows".to_owned(),
        (Some(Ruling::Review), None) => "asks for a review".to_owned(),
        (Some(Ruling::Deny), None) => "denies".to_owned(),
        (None, None) if *role == PluginRole::Executor => "previewed the action".to_owned(),
        (None, None) => "estimated the impact".to_owned(),
    };
    let only = if *mode == Some(GuardMode::Monitor) { ", which only monitors" } else { "" };
    let (name, role, ms) = (safe_line(plugin, 80), role.name(), usage.duration_us as f64 / 1000.0);
    print::out(&format!("  {role} {name}{only}: {said}  {dim}{} fuel, {ms:.1} ms{dim:#}", usage.fuel()));
    print::log_lines(log, "    ");
}

fn print(decision: &Decision) {
    let (word, color) = match decision.ruling {
        Ruling::Allow => ("ALLOW", AnsiColor::Green),
        Ruling::Review => ("REVIEW", AnsiColor::Yellow),
        Ruling::Deny | Ruling::Abstain => ("DENY", AnsiColor::Red),
    };
    let (style, dim) = (color.on_default().bold(), Style::new().dimmed());
    let impact = decision.impact.map(|class| format!("  {dim}impact {class}{dim:#}")).unwrap_or_default();
    print::out(&format!("{style}{word}{style:#}{impact}"));
    if let Some(input) = &decision.input {
        print::out(&format!("  with this input instead: {}", safe_line(input.as_str(), 4000)));
    }
    for reason in &decision.reasons {
        for finding in &reason.findings {
            let (by, code) = (safe_line(reason.by.word(), 80), safe_line(&finding.code, 80));
            let message = safe_line(&finding.message, 1000);
            print::out(&format!("  {by}: {message} {dim}[{code}]{dim:#}"));
        }
    }
}
