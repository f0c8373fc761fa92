//! Proofs of the log's content: Merkle trees over event hashes, signed checkpoints, proofs, and line-by-line checks of
//! an export.
//!
//! ```
//! use fusebox_core::audit::{Checkpoint, CompactRange, SigningKey, leaf_hash};
//! use fusebox_core::Digest;
//!
//! let mut tree = CompactRange::default();
//! tree.push(leaf_hash(&Digest::of(b"an event")), |_| {});
//! let key = SigningKey::from_seed("log.example/acme", &[7; 32])?;
//! let checkpoint = Checkpoint { origin: "log.example/acme".into(), size: tree.size(), root: tree.root() };
//! let note = key.sign(&checkpoint.to_text());
//! assert_eq!(Checkpoint::verified(&note, &[key.verifier()])?.0, checkpoint);
//! # Ok::<(), fusebox_core::Error>(())
//! ```
//!
//! Why it is built so: other programs already read these formats (RFC 6962 trees, C2SP signed notes, checkpoints and
//! proofs), and nothing here reads a file or a clock, so an auditor can check a log with this module, or with a short
//! program of their own.

mod chains;
mod checkpoint;
mod export;
mod fault;
mod merkle;
mod note;
mod proof;
mod verify;

pub use chains::Chains;
pub use checkpoint::{Checkpoint, tenant_of_origin};
pub use export::{
    BLOCK_LEAVES, BLOCK_LEVEL, Blob, Block, End, ExportedEvent, FORMAT, Hash, Header, HeaderRun, Line, ProvedEvent,
    Rotation, Scope,
};
pub use fault::{Fault, FaultKind};
pub use merkle::{
    CompactRange, Node, TreeHead, consistency_proof, empty_root, inclusion_proof, leaf_hash, node_hash,
    root_of_inclusion, verifies_consistency,
};
pub use note::{Note, SigningKey, VerifierKey};
pub use proof::Proof;
pub use verify::{ExportVerifier, Follow, Trust, Verified, VerifiedRun, follow_rotations};
