//! Policy files, and where they are looked for.

use std::path::{Path, PathBuf};

use fusebox_core::Policy;
use serde::Deserialize as _;
use toml::{Table, Value};

use crate::Error;
use crate::input::read_file;

/// The strict built-in policy, as a file.
const BUILTIN: &str = include_str!("builtin.toml");
/// Largest policy file, in bytes.
const MAX_BYTES: usize = 1024 * 1024;

/// A policy with the place it came from.
#[derive(Debug, Clone)]
pub struct LoadedPolicy {
    /// The policy.
    pub policy: Policy,
    /// The file, or `built-in`.
    pub source: String,
    /// Folder that plugin paths in it start from.
    pub folder: Option<PathBuf>,
}

impl LoadedPolicy {
    /// The strict built-in policy.
    ///
    /// # Errors
    /// Never in a build that passes its tests.
    pub fn builtin() -> Result<Self, Error> {
        Ok(Self { policy: parse(&builtin_table()?, "built-in")?, source: "built-in".to_owned(), folder: None })
    }

    /// A policy file, laid over the built-in policy.
    ///
    /// # Errors
    /// When it cannot be read or is no policy.
    pub fn from_file(path: &Path) -> Result<Self, Error> {
        let name = path.display().to_string();
        let bytes = read_file("the policy", path, MAX_BYTES)?;
        let bad = |message: String| Error::BadPolicy { path: name.clone(), message };
        let text = String::from_utf8(bytes).map_err(|_| bad("it is not UTF-8 text".to_owned()))?;
        let policy = Self::parse_over_builtin(&text, &name)?;
        Ok(Self { policy, source: name, folder: path.parent().map(Path::to_path_buf) })
    }

    /// Looks for the policy: the given file, else `$FUSEBOX_POLICY`, else `fusebox.toml` in the home, else the built-in.
    ///
    /// # Errors
    /// When the file that applies cannot be read or is no policy.
    pub fn discover(given: Option<&Path>, variable: Option<&Path>, home: &Path) -> Result<Self, Error> {
        let in_home = home.join("fusebox.toml");
        match given.or(variable) {
            Some(path) => Self::from_file(path),
            None if in_home.exists() => Self::from_file(&in_home),
            None => Self::builtin(),
        }
    }

    fn parse_over_builtin(text: &str, name: &str) -> Result<Policy, Error> {
        let table = read_table(text, name)?;
        // On its own first, so that an error names a place in the file and not in the mixture.
        parse(&table, name)?;
        let mut merged = builtin_table()?;
        lay_over(&mut merged, table);
        let policy = parse(&merged, name)?;
        policy.limits.check()?;
        Ok(policy)
    }
}

fn builtin_table() -> Result<Table, Error> {
    read_table(BUILTIN, "built-in")
}

fn read_table(text: &str, name: &str) -> Result<Table, Error> {
    text.parse::<Table>()
        .map_err(|error| Error::BadPolicy { path: name.to_owned(), message: error.to_string().trim_end().to_owned() })
}

fn parse(table: &Table, name: &str) -> Result<Policy, Error> {
    Policy::deserialize(table.clone())
        .map_err(|error| Error::BadPolicy { path: name.to_owned(), message: error.to_string().trim_end().to_owned() })
}

/// Lays one table over another: tables meet key by key, anything else replaces.
fn lay_over(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(under)), Value::Table(over)) => lay_over(under, over),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use fusebox_core::policy::{GuardMode, OnDenied};

    use super::*;

    #[test]
    fn the_builtin_policy_is_strict() {
        let policy = LoadedPolicy::builtin().unwrap().policy;
        assert!(policy.guards.contains_key("protected-paths"));
        assert!(!policy.needs_approval("read_file", Some(false)));
        assert!(policy.needs_approval("edit_file", Some(false)));
        assert!(!policy.executors["run_command"].grants.workspace);
    }

    #[test]
    fn a_file_lies_over_the_builtin_policy() {
        let text = "[guards.protected-paths]\nmode = 'monitor'\n[run]\non_denied = 'skip'\n[limits]\nfuel = 5";
        let policy = LoadedPolicy::parse_over_builtin(text, "p").unwrap();
        assert_eq!(policy.guards["protected-paths"].mode, GuardMode::Monitor);
        assert_eq!(policy.run.on_denied, OnDenied::Skip);
        assert_eq!(policy.limits.fuel, Some(5));
        assert!(policy.executors["read_file"].grants.workspace);
    }

    #[test]
    fn mistakes_are_named() {
        for (text, named) in [
            ("[guard.x]", "guard"),
            ("[guards.x]\non_eror = 'deny'", "on_eror"),
            ("[guards.x]\non_error = 'allow'", "allow"),
            ("[limits]\nfuel = 0", "fuel"),
            ("[limits\n", "line 1"),
            ("[decision]\nwhen_all_abstain = 'abstain'", "abstain"),
        ] {
            let error = LoadedPolicy::parse_over_builtin(text, "p").unwrap_err();
            assert!(error.to_string().contains(named), "{text}: {error}");
        }
    }
}
