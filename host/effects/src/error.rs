//! Errors of effects.

use std::path::PathBuf;

use fusebox_core::Failure;

/// An effect did not happen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The workspace is not there.
    #[error("the workspace {path} does not exist")]
    WorkspaceMissing {
        /// The folder as given.
        path: PathBuf,
    },
    /// The workspace is not a folder.
    #[error("the workspace {path} is not a folder")]
    WorkspaceNotAFolder {
        /// The path as given.
        path: PathBuf,
    },
    /// There is no file or folder at the path.
    #[error("{path} does not exist")]
    NotFound {
        /// The path in the workspace.
        path: String,
    },
    /// The path leads through a link, or is one, or is no regular file.
    #[error(
        "{path} is or leads through something that is neither a regular file nor a folder, such as a link, or on another file system"
    )]
    NotRegular {
        /// The path in the workspace.
        path: String,
    },
    /// The file has further names, and policy does not read such files.
    #[error(
        "{path} has further names (hard links), so it may be a file from elsewhere; a policy reads such files by \
         `workspace.hard_links = \"allow\"`"
    )]
    HardLinked {
        /// The path in the workspace.
        path: String,
    },
    /// The file is not as it was when the effect was approved.
    #[error("{path} has changed since the effect was previewed")]
    Conflict {
        /// The path in the workspace.
        path: String,
    },
    /// Something is larger than is allowed.
    #[error("{what} is over the limit of {limit}")]
    TooLarge {
        /// Name of the thing.
        what: String,
        /// The limit, in bytes or entries.
        limit: u64,
    },
    /// The program to run is not there, or not executable.
    #[error("the program {program:?} was not found, or is not executable")]
    ProgramNotFound {
        /// Program as given.
        program: String,
    },
    /// A copy would lie in the folder that is copied.
    #[error("the copy of {path} would lie inside of it; set FUSEBOX_HOME to a folder elsewhere")]
    CopyInItself {
        /// Path of the folder.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("{what} failed: {source}")]
    Io {
        /// Operation that failed.
        what: String,
        /// Error of the system.
        #[source]
        source: std::io::Error,
    },
    /// Processes cannot be confined here as policy wants it.
    #[error(
        "processes cannot be confined on this machine: it lacks {missing}. `fusebox doctor` says more; a policy can do \
         without by `process.accept_missing`"
    )]
    Unconfined {
        /// Missing protection, and the reason.
        missing: String,
    },
    /// The sandbox of one process could not be built.
    #[error("{program} was not started, because its sandbox could not be built: {message}")]
    Confinement {
        /// Name of the program.
        program: String,
        /// Description of the failure.
        message: String,
    },
    /// The program lies where processes cannot see it.
    #[error(
        "the program {program:?} is {path}, which processes cannot see; grant its folder by `[process.paths.NAME]` in \
         the policy"
    )]
    ProgramHidden {
        /// Program as given.
        program: String,
        /// Path that it resolves to.
        path: PathBuf,
    },
    /// A webhook that cannot be used as the policy has it.
    #[error("the webhook {webhook} cannot be used: {message}")]
    WebhookWrong {
        /// Name of the webhook.
        webhook: String,
        /// Description of the fault.
        message: String,
    },
    /// An endpoint or model of the gateway cannot be used as policy has it.
    #[error("the gateway's {endpoint} cannot be used: {message}")]
    GatewayWrong {
        /// The endpoint or model.
        endpoint: String,
        /// Description of the fault. Never a key.
        message: String,
    },
}

fusebox_core::error_codes!(Error {
    WorkspaceMissing => "FBX-3001",
    WorkspaceNotAFolder => "FBX-3002",
    NotFound => "FBX-3003",
    NotRegular => "FBX-3004",
    Conflict => "FBX-3005",
    TooLarge => "FBX-3006",
    ProgramNotFound => "FBX-3007",
    CopyInItself => "FBX-3008",
    Io => "FBX-3009",
    GatewayWrong => "FBX-3010",
    Unconfined => "FBX-3011",
    Confinement => "FBX-3012",
    ProgramHidden => "FBX-3013",
    HardLinked => "FBX-3014",
    WebhookWrong => "FBX-3015",
});

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::NotFound { .. } | Error::ProgramNotFound { .. } => Self::NotFound(text),
            Error::NotRegular { .. }
            | Error::HardLinked { .. }
            | Error::Unconfined { .. }
            | Error::ProgramHidden { .. } => Self::Denied(text),
            Error::Conflict { .. } => Self::Conflict(text),
            Error::TooLarge { .. } => Self::Limit(text),
            Error::WorkspaceMissing { .. }
            | Error::WorkspaceNotAFolder { .. }
            | Error::CopyInItself { .. }
            | Error::GatewayWrong { .. }
            | Error::WebhookWrong { .. }
            | Error::Confinement { .. }
            | Error::Io { .. } => Self::Io(text),
        }
    }
}
