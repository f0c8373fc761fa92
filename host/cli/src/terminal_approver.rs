//! Asking on the terminal.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::process::Command;

use anstyle::{AnsiColor, Style};
use fusebox::core::show::{quoted_text, safe_line};
use fusebox::core::{Action, Json};
use fusebox::{Answer, AnswerFuture, ApprovalRequest, Approver, Extent, Subject, read_file};

use crate::watch::Backlog;
use crate::{effects_view, print};

const ASK: Style = AnsiColor::Yellow.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default();
const DIM: Style = Style::new().dimmed();

/// Largest input that can be edited, in bytes.
const MAX_EDIT_BYTES: usize = 4 * 1024 * 1024;

/// Shows what will happen and asks: approve, approve all of this kind, edit, deny with a reason, or quit.
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
            // Reading a terminal cannot be interrupted; when the run is killed meanwhile, the process ends around it.
            tokio::task::spawn_blocking(move || {
                show(&request);
                read_answer(&request.subject)
            })
            .await
            .unwrap_or_else(|error| Answer::Nobody { reason: format!("the terminal could not be read: {error}") })
        })
    }
}

fn show(request: &ApprovalRequest) {
    let ApprovalRequest { subject, effects, contents, decision, confinement, problem, .. } = request;
    if let Some(problem) = problem {
        print::err(&format!("\n{BAD}That cannot be taken:{BAD:#} {}\n", safe_line(problem, 1000)));
    }
    let because = safe_line(&decision.why(), 1000);
    match subject {
        Subject::Plan(plan) => {
            print::err(&format!("\n{ASK}Approval needed{ASK:#} for the whole plan of {} steps\n", plan.steps.len()));
            for step in plan.steps.iter().take(20) {
                print::err(&format!("  {} {}\n", safe_line(step.id.as_str(), 80), safe_line(&step.step_type, 80)));
            }
            if plan.steps.len() > 20 {
                print::err(&format!("  … {} more steps\n", plan.steps.len() - 20));
            }
            print::err(&format!("{DIM}asked because:{DIM:#} {because}\n"));
            says("the agent says", &plan.goal);
        }
        Subject::Step { index, total, step, action, attempt } => {
            let (number, step_type) = (index + 1, safe_line(&step.step_type, 80));
            let again = if *attempt > 1 { format!(", try {attempt}") } else { String::new() };
            print::err(&format!("\n{ASK}Approval needed{ASK:#} for step {number} of {total} ({step_type}{again})\n"));
            print::err(&effects_view::effects(effects, contents, confinement));
            print::err(&format!("{DIM}asked because:{DIM:#} {because}\n"));
            if action.input != step.input {
                print::err(&format!("{DIM}its input is not the plan's any more: it was rewritten or edited{DIM:#}\n"));
            }
            says("the agent says", &step.description);
            says("the agent's reasons", step.reasoning.as_deref().unwrap_or_default());
        }
    }
}

fn says(what: &str, text: &str) {
    if !text.is_empty() {
        let quoted = quoted_text(text, 1000, "  │ ");
        print::err(&format!("{DIM}{what}:{DIM:#}\n{quoted}\n"));
    }
}

fn read_answer(subject: &Subject) -> Answer {
    let (by, channel) = (user(), "terminal".to_owned());
    let approve = |extent| Answer::Approve { by: by.clone(), channel: channel.clone(), extent };
    let action = match subject {
        Subject::Plan(_) => None,
        Subject::Step { action, .. } => Some(action),
    };
    let question = match action {
        None => "[a]pprove, [d]eny, [q]uit? ",
        Some(_) => "[a]pprove, [k] approve all of this kind, [e]dit, [d]eny, [q]uit? ",
    };
    loop {
        match (prompt(question).as_deref(), action) {
            (None, _) => return Answer::Nobody { reason: "the terminal was closed".to_owned() },
            (Some("a" | "approve" | "y" | "yes"), _) => return approve(Extent::Once),
            (Some("k" | "kind"), Some(_)) => return approve(Extent::SameKind),
            (Some("e" | "edit"), Some(action)) => match edited(action) {
                Ok(Some(input)) => return Answer::Edit { by, channel, input },
                Ok(None) => print::err("Nothing was changed.\n"),
                Err(message) => print::err(&format!("{BAD}{}{BAD:#}\n", safe_line(&message, 1000))),
            },
            (Some("d" | "deny" | "n" | "no"), _) => {
                let reason = prompt("Reason, for the agent (may be empty): ").unwrap_or_default();
                return Answer::Reject { by, channel, reason };
            }
            (Some("q" | "quit"), _) => return Answer::Quit { by },
            (Some(_), None) => print::err("Answer with a, d or q.\n"),
            (Some(_), Some(_)) => print::err(
                "Answer with a, k, e, d or q. k approves this, and in this run every further step of the same type that \
                 does the same to the world and is asked for the same reasons; a command counts only when it is the very \
                 same.\n",
            ),
        }
    }
}

/// The action's input as the person edits it; `None` when it stays as it is.
fn edited(action: &Action) -> Result<Option<Json>, String> {
    let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.trim().is_empty());
    let text = match variable("VISUAL").or_else(|| variable("EDITOR")) {
        Some(editor) => in_editor(&editor, action)?,
        None => {
            print::err(&format!("{DIM}The input is:{DIM:#} {}\n", safe_line(action.input.as_str(), 4000)));
            let line = prompt("The new one, as a line of JSON (empty: leave it; set EDITOR to edit it): ");
            line.unwrap_or_default().into_bytes()
        }
    };
    if text.trim_ascii().is_empty() {
        return Ok(None);
    }
    let input = Json::parse("the input", &text, MAX_EDIT_BYTES).map_err(|error| error.to_string())?;
    Ok((input != action.input).then_some(input))
}

/// Lets the person's editor change the input, in a file that only they can read.
fn in_editor(editor: &str, action: &Action) -> Result<Vec<u8>, String> {
    let failed = |what: &str, error: std::io::Error| format!("{what}: {error}");
    let mut file = tempfile::Builder::new().prefix("fusebox-input-").suffix(".json").tempfile();
    let file = file.as_mut().map_err(|error| format!("no file for the input can be made: {error}"))?;
    let text = serde_json::to_string_pretty(action.input.value()).unwrap_or_default();
    writeln!(file, "{text}").map_err(|error| failed("the input cannot be written", error))?;
    // An editor may be a line with options, as everywhere else.
    let status = Command::new("/bin/sh").arg("-c").arg(format!("{editor} \"$1\"")).arg("sh").arg(file.path()).status();
    let status = status.map_err(|error| failed("the editor cannot be started", error))?;
    if !status.success() {
        return Err(format!("the editor ended with {status}; the input stays as it is"));
    }
    read_file("the edited input", file.path(), MAX_EDIT_BYTES).map_err(|error| error.to_string())
}

/// One line; `None` at the end of input. What was typed before the question is no answer to it.
fn prompt(text: &str) -> Option<String> {
    #[cfg(unix)]
    let _ = rustix::termios::tcflush(std::io::stdin(), rustix::termios::QueueSelector::IFlush);
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
