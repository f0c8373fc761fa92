//! The plugins that come with the host.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use fusebox_core::Digest;
use serde::Deserialize;

use crate::error::{Error, suggestion};

macro_rules! bundled {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_bytes!(concat!("../../../plugins/dist/", $name, ".wasm")))),+]
    };
}

/// Names and bytes of the bundled plugins, by name.
const PLUGINS: &[(&str, &[u8])] = bundled![
    "analyze",
    "command-policy",
    "edit_file",
    "protected-paths",
    "read_file",
    "run_command",
    "secret-scan",
    "summarize",
    "workspace-impact",
];

/// What `cargo xtask guests` built, with digests; `cargo xtask lock` compares it with the files.
const LOCK: &str = include_str!("../../../plugins/dist/lock.json");

/// SHA-256 of the component of a bundled plugin, as it was built: hashing all of them takes longer than a verdict.
#[must_use]
pub fn digest(name: &str, component: &[u8]) -> Digest {
    static DIGESTS: OnceLock<BTreeMap<String, Digest>> = OnceLock::new();
    let digests = DIGESTS.get_or_init(|| {
        let lock: Lock = serde_json::from_str(LOCK).unwrap_or_default();
        lock.plugins.into_iter().map(|plugin| (plugin.name, plugin.sha256)).collect()
    });
    digests.get(name).copied().unwrap_or_else(|| Digest::of(component))
}

#[derive(Default, Deserialize)]
struct Lock {
    plugins: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    sha256: Digest,
}

/// The component of a bundled plugin.
#[must_use]
pub fn component(name: &str) -> Option<&'static [u8]> {
    PLUGINS.iter().find(|(known, _)| *known == name).map(|(_, bytes)| *bytes)
}

/// Names of all bundled plugins, sorted. They are reserved: no other plugin may go by one of them.
pub fn names() -> impl Iterator<Item = &'static str> {
    PLUGINS.iter().map(|(name, _)| *name)
}

/// The error about a name that no bundled plugin has.
pub fn unknown(name: &str) -> Error {
    Error::UnknownPlugin {
        name: name.to_owned(),
        bundled: names().collect::<Vec<_>>().join(", "),
        suggestion: suggestion(name, names()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_the_components() {
        for (name, bytes) in PLUGINS {
            assert_eq!(digest(name, b""), Digest::of(bytes), "{name}");
        }
    }
}
