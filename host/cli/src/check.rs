//! `fusebox check`: judges one action.

use anstyle::{AnsiColor, Style};
use fusebox::core::show::safe_line;
use fusebox::{Decision, Error, Proposal, Ruling};

use crate::args::CheckArgs;
use crate::exit::Exit;
use crate::output::Output;
use crate::print;
use crate::run::{builder, read_input, tell_notices};

pub fn check(args: CheckArgs) -> Result<Exit, Error> {
    let proposal = Proposal::parse(&read_input("the action", &args.action)?, Some(args.workspace.clone()))?;
    let host = builder(args.policy).project(args.workspace).build()?;
    tell_notices(&host, args.json);
    let decision = host.check_for(&args.tenant, &proposal)?;
    if args.json {
        print::json(&Output::Decision(&decision));
    } else {
        print(&decision);
    }
    Ok(Exit::of_decision(&decision))
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
