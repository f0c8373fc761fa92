//! Asking on the terminal.

use std::io::{BufRead as _, Write as _};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use anstyle::{AnsiColor, Style};
use fusebox::core::show::{quoted_text, safe_line};
use fusebox::core::{Action, ApprovalKind, Json};
use fusebox::{
    Answer, AnswerFuture, ApprovalAnswer, ApprovalRequest, ApprovalScope, Approver, Subject, read_file, rfc3339,
};
use tokio::sync::{Mutex, mpsc};

use crate::backlog::Backlog;
use crate::operator::user;
use crate::{effects_view, print};

const ASK: Style = AnsiColor::Yellow.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default();
const DIM: Style = Style::new().dimmed();

/// Largest input that can be edited, in bytes.
const MAX_EDIT_BYTES: usize = 4 * 1024 * 1024;

/// Shows the effects and asks: approve, approve all of this kind, edit, deny with a reason, leave it for later, or
/// quit.
#[derive(Debug)]
pub struct TerminalApprover {
    backlog: Backlog,
}

impl TerminalApprover {
    pub fn new(backlog: Backlog) -> Self {
        Self { backlog }
    }
}

impl Approver for TerminalApprover {
    fn ask(&self, request: ApprovalRequest) -> AnswerFuture<'_> {
        Box::pin(async move {
            self.backlog.is_printed().await;
            show(&request);
            read_answer(&request.subject).await
        })
    }
}

/// Shows all that a person needs to decide.
pub fn show(request: &ApprovalRequest) {
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
            let kind = match ApprovalKind::refusal(effects) {
                Some(refusal) => format!("cannot be approved: {refusal}"),
                None => format!(
                    "approves for the rest of the run {}",
                    ApprovalKind::of(action, effects, decision).describe()
                ),
            };
            print::err(&format!("{DIM}its kind (k, --kind):{DIM:#} {}\n", safe_line(&kind, 1000)));
            if action.input != step.input {
                print::err(&format!("{DIM}its input is not the plan's any more: it was rewritten or edited{DIM:#}\n"));
            }
            says("the agent says", &step.description);
            says("the agent's reasons", step.reasoning.as_deref().unwrap_or_default());
        }
        Subject::Doubt { step, message } => {
            let step_type = safe_line(&step.step_type, 80);
            let id = safe_line(step.id.as_str(), 80);
            print::err(&format!("\n{ASK}In doubt{ASK:#} is step {id} ({step_type}): {}\n", safe_line(message, 1000)));
            print::err(
                "Look whether it happened. To approve carries it out again, after taking back what is known of it.\n",
            );
            says("the agent says", &step.description);
        }
    }
    if let Some(expires) = request.expires_us {
        print::err(&format!("{DIM}the answer is no from then on:{DIM:#} {}\n", rfc3339(expires)));
    }
    if let Some(id) = &request.id {
        print::err(&format!("{DIM}from elsewhere: fusebox approve {id}{DIM:#}\n"));
    }
}

fn says(what: &str, text: &str) {
    if !text.is_empty() {
        let quoted = quoted_text(text, 1000, "  │ ");
        print::err(&format!("{DIM}{what}:{DIM:#}\n{quoted}\n"));
    }
}

async fn read_answer(subject: &Subject) -> Answer {
    let (by, channel, note) = (user(), "terminal", "");
    let approve = |scope| ApprovalAnswer::approve(&by, channel, note, scope).into();
    let (question, help) = match subject {
        Subject::Plan(_) => ("[a]pprove, [d]eny, [l]ater, [q]uit? ", "Answer with a, d, l or q.\n"),
        Subject::Step { .. } => (
            "[a]pprove, [k] approve all of this kind, [e]dit, [d]eny, [l]ater, [q]uit? ",
            "Answer with a, k, e, d, l or q. k approves this and, in this run, every further step of its kind, as said \
             above.\n",
        ),
        Subject::Doubt { .. } => (
            "[a]gain, [h]appened, [d]eny, [l]ater, [q]uit? ",
            "Answer with a, h, d, l or q. a carries the step out again, h counts it as carried out, d ends the run.\n",
        ),
    };
    loop {
        match (prompt(question).await.as_deref(), subject) {
            (None, _) => return Answer::Later,
            (Some("a" | "approve" | "again" | "y" | "yes"), _) => return approve(ApprovalScope::Once),
            (Some("k" | "kind"), Subject::Step { .. }) => return approve(ApprovalScope::SameKind),
            (Some("h" | "happened"), Subject::Doubt { .. }) => {
                return ApprovalAnswer::happened(&by, channel, note).into();
            }
            (Some("e" | "edit"), Subject::Step { action, .. }) => match edited(action).await {
                Ok(Some(input)) => return ApprovalAnswer::edit(&by, channel, note, input).into(),
                Ok(None) => print::err("Nothing was changed.\n"),
                Err(message) => print::err(&format!("{BAD}{}{BAD:#}\n", safe_line(&message, 1000))),
            },
            (Some("d" | "deny" | "n" | "no"), _) => {
                let reason = prompt("Reason, for the agent (may be empty): ").await.unwrap_or_default();
                return ApprovalAnswer::reject(&by, channel, &reason).into();
            }
            (Some("l" | "later"), _) => return Answer::Later,
            (Some("q" | "quit"), _) => return Answer::Quit { by },
            (Some(_), _) => print::err(help),
        }
    }
}

/// Whether the person answers yes.
pub fn confirms(question: &str) -> bool {
    matches!(pollster::block_on(prompt(question)).as_deref(), Some("y" | "yes" | "a" | "approve"))
}

/// The action's input as the person edits it; `None` when it stays as it is.
async fn edited(action: &Action) -> Result<Option<Json>, String> {
    let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.trim().is_empty());
    let text = match variable("VISUAL").or_else(|| variable("EDITOR")) {
        Some(editor) => {
            let action = action.clone();
            let edited = tokio::task::spawn_blocking(move || in_editor(&editor, &action)).await;
            edited.map_err(|error| error.to_string())??
        }
        None => {
            print::err(&format!("{DIM}The input is:{DIM:#} {}\n", safe_line(action.input.as_str(), 4000)));
            let line = prompt("The new one, as a line of JSON (empty: leave it; set EDITOR to edit it): ").await;
            line.unwrap_or_default().into_bytes()
        }
    };
    if text.trim_ascii().is_empty() {
        return Ok(None);
    }
    let input = Json::parse("the input", &text, MAX_EDIT_BYTES).map_err(|error| error.to_string())?;
    Ok((input != action.input).then_some(input))
}

/// Opens the person's editor on the input, in a file that only they can read.
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

/// Lines from standard input, read by a thread of their own on demand. Reading a terminal cannot be interrupted; when a
/// question is withdrawn, because it was answered elsewhere, the reading goes on for the next one.
struct Lines {
    is_reading: Arc<AtomicBool>,
    sender: mpsc::UnboundedSender<Option<String>>,
    lines: mpsc::UnboundedReceiver<Option<String>>,
}

static LINES: LazyLock<Mutex<Lines>> = LazyLock::new(|| {
    let (sender, lines) = mpsc::unbounded_channel();
    Mutex::new(Lines { is_reading: Arc::default(), sender, lines })
});

/// One line; `None` at the end of input. Text typed before the question does not answer it.
async fn prompt(text: &str) -> Option<String> {
    let mut lines = LINES.lock().await;
    while lines.lines.try_recv().is_ok() {}
    #[cfg(unix)]
    let _ = rustix::termios::tcflush(std::io::stdin(), rustix::termios::QueueSelector::IFlush);
    print::err(&format!("{ASK}{text}{ASK:#}"));
    if !lines.is_reading.swap(true, Ordering::SeqCst) {
        let (is_reading, sender) = (Arc::clone(&lines.is_reading), lines.sender.clone());
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = std::io::stdin().lock().read_line(&mut line);
            is_reading.store(false, Ordering::SeqCst);
            // The receiver may be gone.
            let _ = sender.send(read.ok().filter(|count| *count > 0).map(|_| line.trim().to_owned()));
        });
    }
    lines.lines.recv().await.flatten()
}
