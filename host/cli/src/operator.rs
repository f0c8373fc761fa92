//! The person at this terminal.

use std::io::IsTerminal as _;

use fusebox::Error;

/// Programs that give another one a terminal without a person.
#[cfg(target_os = "linux")]
const PTY_TOOLS: [&str; 7] = ["script", "expect", "unbuffer", "empty", "autoexpect", "asciinema", "ttyrec"];
/// Coding agents, by the names of their processes.
#[cfg(target_os = "linux")]
const AGENTS: [&str; 16] = [
    "aider",
    "amp",
    "auggie",
    "claude",
    "cline",
    "codex",
    "copilot",
    "crush",
    "cursor-agent",
    "droid",
    "gemini",
    "goose",
    "kiro",
    "opencode",
    "qwen",
    "fusebox",
];
/// Variables that coding agents set for the commands that they run.
#[cfg(target_os = "linux")]
const MARKS: [&str; 8] = [
    "CLAUDECODE",
    "CODEX_SANDBOX",
    "CURSOR_AGENT",
    "GEMINI_CLI",
    "OPENCODE",
    "QWEN_CODE",
    "AMP_CURRENT_THREAD_ID",
    "GOOSE_TERMINAL",
];
/// Most processes above this one that are looked at.
#[cfg(target_os = "linux")]
const MAX_ANCESTORS: usize = 64;

/// Name of the user at this terminal, according to the system.
pub fn user() -> String {
    std::env::var("USER").ok().filter(|user| !user.is_empty()).unwrap_or_else(|| "the operator".to_owned())
}

/// Whether a person can be asked on this terminal.
pub fn is_possible() -> bool {
    absence().is_none()
}

/// Whether a person is at this terminal.
///
/// # Errors
/// [`Error::NotAPerson`] with the sign that none is.
pub fn present() -> Result<(), Error> {
    absence().map_or(Ok(()), |why| Err(Error::NotAPerson { why }))
}

/// A sign that no person is at this terminal, if there is one. It keeps a program from approving by a terminal that it
/// makes for that; it does not keep one from it that runs under the person's account and hides where it comes from.
fn absence() -> Option<String> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Some("this is no terminal".to_owned());
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{getpgrp, getsid};
        let stdin = std::io::stdin();
        // Only the session that a terminal controls has it by these.
        if rustix::termios::tcgetsid(&stdin).ok() != getsid(None).ok()
            || rustix::termios::tcgetpgrp(&stdin).ok() != Some(getpgrp())
        {
            return Some("this terminal does not control this program".to_owned());
        }
        if let Some(mark) = MARKS.iter().find(|mark| std::env::var_os(mark).is_some_and(|value| !value.is_empty())) {
            return Some(format!("this was started by a coding agent ({mark} is set)"));
        }
        let above = ancestors();
        let of = |names: &[&str]| above.iter().find(|name| names.contains(&name.as_str())).cloned();
        if let Some(name) = of(&PTY_TOOLS) {
            return Some(format!("this terminal is made by the program {name}"));
        }
        if let Some(name) = of(&AGENTS) {
            return Some(format!("this was started by the coding agent {name}"));
        }
    }
    None
}

/// Names of the processes that this one descends from, the nearest first: the name that each gave itself and that of its
/// executable, where it can be seen.
#[cfg(target_os = "linux")]
fn ancestors() -> Vec<String> {
    let mut names = Vec::new();
    let mut id = rustix::process::getppid().map_or(0, |id| id.as_raw_nonzero().get());
    for _ in 0..MAX_ANCESTORS {
        if id <= 1 {
            break;
        }
        // The name stands in parentheses and may hold any of them; the parent comes two fields behind it (proc(5)).
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{id}/stat")) else { break };
        let Some((before, rest)) = stat.rsplit_once(')') else { break };
        names.extend(before.split_once('(').map(|(_, name)| name.to_owned()));
        if let Ok(program) = std::fs::read_link(format!("/proc/{id}/exe")) {
            names.extend(program.file_name().map(|name| name.to_string_lossy().into_owned()));
        }
        id = rest.split_whitespace().nth(1).and_then(|parent| parent.parse().ok()).unwrap_or(0);
    }
    names
}
