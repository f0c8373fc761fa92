//! Ends of invocations.

use std::fmt;

use fusebox_core::PluginLog;
use fusebox_core::event::{StepEnd, Usage};

/// An invocation that did not complete. Each end says whether trying again can help.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// It used up its fuel.
    OutOfFuel,
    /// It used up its wall time.
    Deadline,
    /// It wanted more memory or table elements than it may have.
    MemoryLimit,
    /// A result or argument is larger than may be transferred.
    OutputTooLarge,
    /// It called the host more often than it may.
    HostCallLimit,
    /// It failed because an effect was refused.
    Denied {
        /// The effect that was refused.
        effect: String,
    },
    /// The guest trapped.
    Trapped {
        /// Message of the engine.
        message: String,
        /// The guest's panic message; untrusted.
        panic: Option<String>,
        /// The last function of the host that it called.
        last_host_call: Option<&'static str>,
    },
    /// Its answer makes no sense.
    BadAnswer {
        /// Description of the fault.
        message: String,
    },
    /// It does not fit this host.
    Incompatible {
        /// Name of the import or export.
        import: String,
        /// Interfaces that this host serves.
        served: String,
        /// Advice to the author.
        needed: String,
    },
    /// It asked for something else than its tape says.
    Diverged {
        /// Call on the tape.
        expected: String,
        /// Call that the guest made.
        asked: String,
    },
    /// The invocation was killed.
    Killed,
    /// The host could not go on, for instance because the log cannot be written.
    HostFailed {
        /// Reason of the end.
        message: String,
    },
}

impl End {
    /// The end as events hold it.
    #[must_use]
    pub fn kind(&self) -> StepEnd {
        match self {
            Self::OutOfFuel => StepEnd::OutOfFuel,
            Self::Deadline => StepEnd::Deadline,
            Self::MemoryLimit => StepEnd::MemoryLimit,
            Self::OutputTooLarge => StepEnd::OutputTooLarge,
            Self::HostCallLimit => StepEnd::HostCallLimit,
            Self::Denied { .. } => StepEnd::Denied,
            Self::Trapped { .. } => StepEnd::Trapped,
            Self::BadAnswer { .. } => StepEnd::BadAnswer,
            Self::Incompatible { .. } => StepEnd::Incompatible,
            Self::Diverged { .. } => StepEnd::Diverged,
            Self::Killed => StepEnd::Killed,
            Self::HostFailed { .. } => StepEnd::HostFailed,
        }
    }

    /// Whether the same invocation can succeed later. A plugin is deterministic, so most ends come again; ends that
    /// depend on time or on the host may not.
    #[must_use]
    pub fn retry_can_help(&self) -> bool {
        matches!(self, Self::Deadline | Self::HostFailed { .. })
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfFuel => f.write_str("it used up its fuel"),
            Self::Deadline => f.write_str("it used up its time"),
            Self::MemoryLimit => f.write_str("it wanted more memory than it may have"),
            Self::OutputTooLarge => f.write_str("it passed more bytes to the host than it may"),
            Self::HostCallLimit => f.write_str("it called the host more often than it may"),
            Self::Denied { effect } => write!(f, "it was refused an effect: {effect}"),
            Self::Trapped { message, panic, last_host_call } => {
                write!(f, "it trapped: {message}")?;
                if let Some(panic) = panic {
                    write!(f, "; it said: {panic}")?;
                }
                last_host_call.map_or(Ok(()), |call| write!(f, "; its last call to the host was {call}"))
            }
            Self::BadAnswer { message } => write!(f, "its answer makes no sense: {message}"),
            Self::Incompatible { import, served, needed } => {
                write!(f, "it needs {import}; this host serves {served}; {needed}")
            }
            Self::Diverged { expected, asked } => {
                write!(f, "it asked for something else than its tape: {asked} instead of {expected}")
            }
            Self::Killed => f.write_str("it was killed"),
            Self::HostFailed { message } => write!(f, "the host could not go on: {message}"),
        }
    }
}

/// Usage and log of one invocation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Amounts that it used.
    pub usage: Usage,
    /// What it logged.
    pub log: PluginLog,
}

/// An invocation that is over.
#[derive(Debug, Clone, PartialEq)]
pub struct Invocation<T> {
    /// Answer of the guest, or the end that it met instead.
    pub result: Result<T, End>,
    /// Usage and log of the invocation.
    pub report: Report,
}

impl<T> Invocation<T> {
    /// Turns the answer into another one, or into an end.
    pub fn and_then<U>(self, turn: impl FnOnce(T) -> Result<U, End>) -> Invocation<U> {
        Invocation { result: self.result.and_then(turn), report: self.report }
    }
}
