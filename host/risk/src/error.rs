//! Faults of models.

use std::path::PathBuf;

/// A model that cannot be used, or an input that it cannot take. The message says what was expected and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Path of the file.
        path: PathBuf,
        /// Error of the system.
        source: std::io::Error,
    },
    /// A model or its metadata are larger than they may be.
    #[error("{what} has {size} bytes; the most is {limit}")]
    TooLarge {
        /// Name of the kind of file.
        what: &'static str,
        /// Its size in bytes.
        size: u64,
        /// The largest size in bytes.
        limit: u64,
    },
    /// The model's file is another than the policy or the metadata say.
    #[error(
        "the model has the digest {is}, and {by} says {expected}; use the file that was meant, or correct the digest"
    )]
    WrongDigest {
        /// Digest of the file.
        is: String,
        /// Source of the expected digest.
        by: &'static str,
        /// Expected digest.
        expected: String,
    },
    /// The metadata are of another shape, or do not fit this host.
    #[error("the model's metadata are wrong: {message}")]
    BadMetadata {
        /// Description of the fault.
        message: String,
    },
    /// The file is no ONNX graph of the kind that is served.
    #[error("the model cannot be used: {message}")]
    BadModel {
        /// Description of the fault.
        message: String,
    },
    /// The model answered nonsense.
    #[error("the model answered nonsense: {message}")]
    Nonsense {
        /// The invalid answer.
        message: String,
    },
    /// The features are no plan's.
    #[error(transparent)]
    Features(#[from] fusebox_core::Error),
}

fusebox_core::error_codes!(Error {
    Read => "FBX-6001",
    TooLarge => "FBX-6002",
    WrongDigest => "FBX-6003",
    BadMetadata => "FBX-6004",
    BadModel => "FBX-6005",
    Nonsense => "FBX-6006",
    Features => "FBX-6007",
});
