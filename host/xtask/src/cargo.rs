//! Starting cargo from here.

use std::ffi::OsStr;
use std::process::Command;

/// Variables that cargo sets for the program that it runs, this one.
const OWN: [&str; 5] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE"];

/// A command of cargo, without the variables that describe this program: build scripts that look at them, such as that
/// of `ring`, would build their crates and all upon them again each time.
pub fn cargo(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    let names = std::env::vars_os().map(|(name, _)| name);
    for name in names.filter(|name| name.to_str().is_some_and(|name| OWN.iter().any(|own| name.starts_with(own)))) {
        command.env_remove(name);
    }
    command
}
