//! What isolates a process, as the machine was found to enforce it.

use serde::{Deserialize, Serialize};

/// Which namespaces a process gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NamespaceMode {
    /// Its own.
    Namespaces,
    /// Those of the host.
    Shared,
}

/// One thing that confines processes, as it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtectionStatus {
    /// What it is: a protection of the policy, or `network`, `processes`, `memory`.
    pub name: String,
    /// How it holds, or why it does not.
    pub words: String,
    /// Whether it holds.
    pub holds: Enforcement,
}

impl ProtectionStatus {
    pub(crate) fn found(name: &str, holds: Enforcement, words: impl Into<String>) -> Self {
        Self { name: name.to_owned(), words: words.into(), holds }
    }
}

/// Whether something holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Enforcement {
    /// It does.
    Wholly,
    /// With a fault.
    Partly,
    /// It does not.
    Not,
}
