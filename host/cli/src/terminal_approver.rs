//! Asking on the terminal.

use std::io::{BufRead as _, IsTerminal as _};

use anstyle::{AnsiColor, Style};
use fusebox::core::show::{quoted_text, safe_line};
use fusebox::{Answer, AnswerFuture, ApprovalRequest, Approver};

use crate::watch::Backlog;
use crate::{effects_view, print};

const ASK: Style = AnsiColor::Yellow.on_default().bold();
const DIM: Style = Style::new().dimmed();

/// Shows what will happen and asks: approve, deny with a reason, or quit.
#[derive(Debug)]
pub struct TerminalApprover {
    backlog: Backlog,
}

impl TerminalApprover {
    pub fn new(backlog: Backlog) -> Self {
        Self { backlog }
    }
}

/// Whether somebody can be asked here.
pub fn is_possible() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

impl Approver for TerminalApprover {
    fn ask(&self, request: ApprovalRequest) -> AnswerFuture<'_> {
        Box::pin(async move {
            self.backlog.is_printed().await;
            show(&request);
            // Reading a terminal cannot be interrupted; when the run is killed meanwhile, the process ends around it.
            tokio::task::spawn_blocking(read_answer)
                .await
                .unwrap_or_else(|error| Answer::Nobody { reason: format!("the terminal could not be read: {error}") })
        })
    }
}

fn show(request: &ApprovalRequest) {
    let ApprovalRequest { index, total, step, effects, contents, decision, .. } = request;
    let number = index + 1;
    let step_type = safe_line(&step.step_type, 80);
    print::err(&format!("\n{ASK}Approval needed{ASK:#} for step {number} of {total} ({step_type})\n"));
    print::err(&effects_view::effects(effects, contents));
    print::err(&format!("{DIM}asked because:{DIM:#} {}\n", safe_line(&decision.why(), 1000)));
    let says = |what: &str, text: &str| {
        if !text.is_empty() {
            let quoted = quoted_text(text, 1000, "  │ ");
            print::err(&format!("{DIM}{what}:{DIM:#}\n{quoted}\n"));
        }
    };
    says("the agent says", &step.description);
    says("the agent's reasons", step.reasoning.as_deref().unwrap_or_default());
}

fn read_answer() -> Answer {
    let (by, channel) = (user(), "terminal".to_owned());
    loop {
        match prompt("[a]pprove, [d]eny, [q]uit? ").as_deref() {
            None => return Answer::Nobody { reason: "the terminal was closed".to_owned() },
            Some("a" | "approve" | "y" | "yes") => return Answer::Approve { by, channel },
            Some("d" | "deny" | "n" | "no") => {
                let reason = prompt("Reason, for the agent (may be empty): ").unwrap_or_default();
                return Answer::Reject { by, channel, reason };
            }
            Some("q" | "quit") => return Answer::Quit { by },
            Some(_) => print::err("Answer with a, d or q.\n"),
        }
    }
}

/// One line; `None` at the end of input.
fn prompt(text: &str) -> Option<String> {
    print::err(&format!("{ASK}{text}{ASK:#}"));
    let mut line = String::new();
    match std::io::stdin().lock().read_line(&mut line) {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(line.trim().to_owned()),
    }
}

/// Who sits here, as far as the system says.
pub fn user() -> String {
    std::env::var("USER").ok().filter(|user| !user.is_empty()).unwrap_or_else(|| "the operator".to_owned())
}
