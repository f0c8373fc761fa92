//! Isolation of a process, as tested on this machine.

use serde::{Deserialize, Serialize};

/// Namespaces of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NamespaceMode {
    /// Its own namespaces.
    Namespaces,
    /// Those of the host.
    Shared,
}

/// One thing that confines processes, as it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtectionStatus {
    /// Name: a protection of the policy, or `network`, `processes`, `memory`.
    pub name: String,
    /// Description of the protection, or the reason why it is missing.
    pub words: String,
    /// Degree of enforcement.
    pub holds: Enforcement,
}

impl ProtectionStatus {
    pub(crate) fn found(name: &str, holds: Enforcement, words: impl Into<String>) -> Self {
        Self { name: name.to_owned(), words: words.into(), holds }
    }
}

/// Degree of enforcement of a protection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Enforcement {
    /// The protection holds.
    Wholly,
    /// The protection holds with a fault.
    Partly,
    /// The protection does not hold.
    Not,
}

#[cfg(not(target_os = "linux"))]
pub use elsewhere::{Reach, exposed_in_copy, is_obeyed, unknown_in};

/// Systems whose commands are kept from no protected path.
#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use std::path::{Path, PathBuf};

    use fusebox_core::protected::{PathMatcher, ProtectedGlobs};

    /// How far a folder is looked through.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Reach {
        /// All of it.
        Whole,
        /// Three folders deep.
        Near,
    }

    /// No: commands change what they can reach.
    ///
    /// # Errors
    /// Never; it fails where commands are kept from such paths.
    pub fn is_obeyed(_: &Path, _: &Path, _: &PathMatcher) -> Result<bool, String> {
        Ok(false)
    }

    /// None: no folder knows fewer protected paths.
    ///
    /// # Errors
    /// Never; it fails where commands are kept from such paths.
    pub fn unknown_in(_: &Path, _: &Path, _: &[ProtectedGlobs], _: Reach) -> Result<Option<PathBuf>, String> {
        Ok(None)
    }

    /// None: commands see all paths.
    ///
    /// # Errors
    /// Never; it fails where commands are kept from some paths.
    pub fn exposed_in_copy(_: &Path, _: &Path, _: &[ProtectedGlobs]) -> Result<Vec<PathBuf>, String> {
        Ok(Vec::new())
    }
}
