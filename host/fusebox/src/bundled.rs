//! The plugins that come with the host.

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
