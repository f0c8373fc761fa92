//! What can be wrong with a model.

use std::path::PathBuf;

/// A model that cannot be used, or an input that it cannot take. The message says what was expected and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A model or its metadata are larger than they may be.
    #[error("{what} has {size} bytes; the most is {limit}")]
    TooLarge {
        /// What it is.
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
        /// What the file has.
        is: String,
        /// Who says otherwise.
        by: &'static str,
        /// What they say.
        expected: String,
    },
    /// The metadata are of another shape, or do not fit this host.
    #[error("the model's metadata are wrong: {message}")]
    BadMetadata {
        /// What is wrong.
        message: String,
    },
    /// The file is no ONNX graph of the kind that is served.
    #[error("the model cannot be used: {message}")]
    BadModel {
        /// What is wrong.
        message: String,
    },
    /// The model answered nonsense.
    #[error("the model answered nonsense: {message}")]
    Nonsense {
        /// What it answered.
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
