//! Errors of hooks.

/// An event that cannot be answered otherwise than with a denial. The message says what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HookError {
    /// The event is not strict JSON.
    #[error("the event cannot be read: {source}")]
    NotRead {
        /// Fault in the text.
        #[from]
        source: fusebox::core::Error,
    },
    /// The event lacks a field.
    #[error("the event cannot be understood: {field} is missing or is not {expected}")]
    Field {
        /// Name of the field.
        field: &'static str,
        /// What was expected.
        expected: &'static str,
    },
    /// An event that is not known: whether it holds something back is not known either.
    #[error("the event {name:?} is not known; it is denied, since it may hold something back")]
    Unknown {
        /// Name of the event, cut.
        name: String,
    },
    /// The session cannot be worked on.
    #[error("{source}")]
    Host {
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
}

fusebox::core::error_codes!(HookError {
    NotRead => "FBX-7001",
    Field => "FBX-7002",
    Host => "FBX-7003",
    Path => "FBX-7004",
    Unknown => "FBX-7005",
});
