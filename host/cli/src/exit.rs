//! Exit codes and error messages.

use fusebox::core::show::safe_text;
use fusebox::{Decision, Error, Ruling, RunEnd};

use crate::output::Output;
use crate::print;

/// Result of the command, as its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Completed,
    Failed,
    BadInput,
    Denied,
    Killed,
    Budget,
    WaitingForApproval,
}

impl Exit {
    pub fn code(self) -> i32 {
        match self {
            Self::Completed => 0,
            Self::Failed => 1,
            Self::BadInput => 2,
            Self::Denied => 3,
            Self::Killed => 4,
            Self::Budget => 5,
            Self::WaitingForApproval => 6,
        }
    }

    /// Errors of the log, the home and the engine are internal; all others are faults of the input.
    pub fn of(error: &Error) -> Self {
        match error {
            Error::KillSwitch { .. } => Self::Killed,
            Error::StepRefused { .. } => Self::Denied,
            Error::Store(fusebox::StoreError::QuotaExceeded { .. } | fusebox::StoreError::BudgetExceeded { .. }) => {
                Self::Budget
            }
            Error::Store(_)
            | Error::Home { .. }
            | Error::AuditKey { .. }
            | Error::Unredacted { .. }
            | Error::NoRandomNumbers { .. }
            | Error::NoThreads { .. }
            | Error::RunBrokeOff
            | Error::NotRemoved { .. }
            | Error::Undecided { .. }
            | Error::Unwritable { .. }
            | Error::Sandbox(fusebox::sandbox::Error::Engine { .. }) => Self::Failed,
            _ => Self::BadInput,
        }
    }

    pub fn of_run(end: Option<RunEnd>) -> Self {
        match end {
            None => Self::WaitingForApproval,
            Some(end) => Self::of_end(end),
        }
    }

    fn of_end(end: RunEnd) -> Self {
        match end {
            RunEnd::Completed => Self::Completed,
            RunEnd::StepFailed | RunEnd::GuardFailed => Self::Failed,
            RunEnd::Denied => Self::Denied,
            RunEnd::Killed => Self::Killed,
            RunEnd::Budget => Self::Budget,
        }
    }

    /// The exit of a decision. Guards that failed to judge are a failure, not a denial.
    pub fn of_decision(decision: &Decision) -> Self {
        match decision.ruling {
            Ruling::Allow => Self::Completed,
            Ruling::Review => Self::WaitingForApproval,
            Ruling::Deny | Ruling::Abstain if decision.is_of_failed_guards() => Self::Failed,
            Ruling::Deny | Ruling::Abstain => Self::Denied,
        }
    }
}

/// Longest error text that is shown, in characters.
const MAX_CHARS: usize = 1000;

/// An error with its causes, to be printed. Its quotations are untrusted, so it is escaped.
pub fn message(error: &Error) -> String {
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        let text = source.to_string();
        // Transparent errors repeat their source.
        if !message.ends_with(&text) {
            message = format!("{message}: {text}");
        }
        cause = source.source();
    }
    // Quoted lines stay behind a margin.
    safe_text(&message, MAX_CHARS).replace('\n', "\n  │ ")
}

/// Prints an error.
pub fn report(error: &Error, json: bool) {
    let (code, message) = (error.root_code(), message(error));
    if json {
        print::json(&Output::Error { line: None, code, message: &message });
    } else {
        let style = anstyle::AnsiColor::Red.on_default().bold();
        print::err(&format!("{style}error[{code}]{style:#}: {message}\n"));
    }
}
