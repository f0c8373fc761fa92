//! Paths of the workspace.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Error;

/// Longest path in bytes, as on Linux.
const MAX_BYTES: usize = 4096;
/// Most parts of a path; folders in practice are not deeper.
const MAX_PARTS: usize = 128;
/// Longest part in bytes, as on Linux.
const MAX_PART_BYTES: usize = 255;

/// A normalised path below the workspace: parts separated by `/`, none of them empty, `.` or `..`. The workspace itself
/// is the empty path. The path is inside lexically only: code that opens it must not follow links.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, JsonSchema)]
#[schemars(transparent)]
pub struct WorkspacePath(String);

impl WorkspacePath {
    /// Normalises a path: `.` and empty parts are dropped.
    ///
    /// # Errors
    /// When it is absolute, holds `..` or NUL, or is too long.
    pub fn parse(path: &str) -> Result<Self, Error> {
        let bad = |reason| Error::BadPath { path: path.chars().take(200).collect(), reason };
        if path.len() > MAX_BYTES {
            return Err(bad("it is longer than 4096 bytes"));
        }
        if path.starts_with('/') {
            return Err(bad("it is absolute; give a path relative to the workspace"));
        }
        if path.contains('\0') {
            return Err(bad("it holds a NUL character"));
        }
        let mut parts = Vec::new();
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." => return Err(bad("`..` could leave the workspace; give the path without it")),
                _ if part.len() > MAX_PART_BYTES => return Err(bad("a part of it is longer than 255 bytes")),
                _ => parts.push(part),
            }
        }
        if parts.len() > MAX_PARTS {
            return Err(bad("it is deeper than 128 folders"));
        }
        Ok(Self(parts.join("/")))
    }

    /// Normalised text of the path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The parts from the workspace down; none for the workspace itself.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|part| !part.is_empty())
    }
}

impl fmt::Display for WorkspacePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "." } else { &self.0 })
    }
}

impl FromStr for WorkspacePath {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl Serialize for WorkspacePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for WorkspacePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn normalises_and_refuses() {
        for (given, normal) in [("a/b", "a/b"), ("./a//b/.", "a/b"), ("a/", "a"), ("", ""), (".", "")] {
            assert_eq!(WorkspacePath::parse(given).unwrap().as_str(), normal, "{given}");
        }
        for bad in ["/etc/passwd", "..", "a/../b", "a/..", "a\0b", "//a", &"a".repeat(256), &"a/".repeat(3000)] {
            assert!(WorkspacePath::parse(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_normal_and_inside(text in "[a./ \\\\~]{0,40}|\\PC{0,40}") {
            if let Ok(path) = WorkspacePath::parse(&text) {
                prop_assert!(!path.as_str().starts_with('/'));
                prop_assert!(path.parts().all(|part| part != ".." && part != "."));
                prop_assert_eq!(WorkspacePath::parse(path.as_str()).unwrap(), path);
            }
        }
    }
}
