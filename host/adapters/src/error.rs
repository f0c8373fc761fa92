//! Errors of this crate.

use std::path::PathBuf;

/// Why an event cannot be answered otherwise than with a denial, a recording cannot be judged, or hooks cannot be installed. The
/// message says what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An event is not strict JSON.
    #[error("the event cannot be read: {source}")]
    Event {
        /// Fault in the text.
        #[from]
        source: fusebox::core::Error,
    },
    /// An event lacks a field.
    #[error("the event cannot be understood: {field} is missing or is not {expected}")]
    Field {
        /// Name of the field.
        field: &'static str,
        /// What was expected.
        expected: &'static str,
    },
    /// The session of an event cannot be worked on.
    #[error("{source}")]
    Session {
        /// Error of the host.
        #[from]
        source: fusebox::Error,
    },
    /// A path that cannot be looked at.
    #[error("the path {path:?} cannot be used: {message}")]
    Path {
        /// The path as given, cut.
        path: String,
        /// Fault in the path.
        message: String,
    },
    /// An event that is not known: whether it holds something back is not known either.
    #[error("the event {name:?} is not known; it is denied, since it may hold something back")]
    UnknownEvent {
        /// Name of the event, cut.
        name: String,
    },
    /// A line of a recorded session cannot be read.
    #[error("line {line} cannot be read: {source}")]
    Line {
        /// Number of the line, counted from 1.
        line: u64,
        /// Fault in the line.
        source: fusebox::core::Error,
    },
    /// A line of a recorded session stands where it means nothing.
    #[error("line {line} {message}")]
    LineOrder {
        /// Number of the line, counted from 1.
        line: u64,
        /// Fault in the order.
        message: &'static str,
    },
    /// A recorded session cannot be worked on.
    #[error("line {line}: {source}")]
    LineSession {
        /// Number of the line, counted from 1.
        line: u64,
        /// Error of the host.
        source: fusebox::Error,
    },
    /// The folder of the user is not known.
    #[error("the home of this user is not known; set $HOME")]
    NoHome,
    /// The program cannot be named in a file of settings.
    #[error("the program {path} cannot be named in settings: its path is not text; move it elsewhere")]
    Program {
        /// Path of the program.
        path: PathBuf,
    },
    /// A file of settings cannot be read.
    #[error("{path} cannot be read: {message}")]
    SettingsRead {
        /// Path of the file.
        path: PathBuf,
        /// Fault in it.
        message: String,
    },
    /// A file of settings is not what the harness takes.
    #[error("{path} is not as {harness} takes it: {message}; mend it first, nothing was changed")]
    SettingsShape {
        /// Path of the file.
        path: PathBuf,
        /// Name of the harness.
        harness: &'static str,
        /// Fault in the file.
        message: String,
    },
    /// A file of settings cannot be written.
    #[error("{path} cannot be written: {source}; nothing was changed")]
    SettingsWrite {
        /// Path of the file.
        path: PathBuf,
        /// Error of the system.
        source: std::io::Error,
    },
}

fusebox::core::error_codes!(Error {
    Event => "FBX-7001",
    Field => "FBX-7002",
    Session => "FBX-7003",
    Path => "FBX-7004",
    UnknownEvent => "FBX-7005",
    Line => "FBX-7006",
    LineOrder => "FBX-7007",
    LineSession => "FBX-7008",
    NoHome => "FBX-7009",
    Program => "FBX-7010",
    SettingsRead => "FBX-7011",
    SettingsShape => "FBX-7012",
    SettingsWrite => "FBX-7013",
});
