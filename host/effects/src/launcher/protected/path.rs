//! Protected paths, as the launcher hands them on.

use std::ffi::OsString;

use fusebox_core::protected::PathProtection;
use serde::{Deserialize, Serialize};

/// A protected path of a workspace.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProtectedPath {
    /// Relative to the workspace.
    pub path: OsString,
    pub protection: PathProtection,
}
