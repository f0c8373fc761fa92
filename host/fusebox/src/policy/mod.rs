//! Policy files, and where they are looked for.

mod explain;
mod keys;
mod project;
mod trust;

use std::path::{Path, PathBuf};

use fusebox_core::{Digest, Policy};
use serde::Deserialize as _;
use toml::{Table, Value};

pub use explain::Setting;
pub use project::{PROJECT_FILE, ProjectPolicy};
pub use trust::{Trust, TrustState};

use crate::error::Error;
use crate::input::{read_file, read_from};

/// The strict built-in policy, as a file.
const BUILTIN: &str = include_str!("builtin.toml");
/// Largest policy file, in bytes.
const MAX_BYTES: usize = 1024 * 1024;

/// A policy with the place it came from.
#[derive(Debug, Clone)]
pub struct LoadedPolicy {
    /// The combined policy.
    pub policy: Policy,
    /// The file, or `built-in`.
    pub source: String,
    /// Folder that paths in it start from.
    pub folder: Option<PathBuf>,
    /// Content of the file itself.
    file: Option<Table>,
    /// Projects whose policies tightened this one: their files and contents.
    projects: Vec<(String, Table)>,
}

impl LoadedPolicy {
    /// The strict built-in policy.
    ///
    /// # Errors
    /// Never in a build that passes its tests.
    pub fn builtin() -> Result<Self, Error> {
        Ok(Self {
            policy: parse(&builtin_table()?, "built-in")?,
            source: "built-in".to_owned(),
            folder: None,
            file: None,
            projects: Vec::new(),
        })
    }

    /// A policy of a program that embeds the host.
    #[must_use]
    pub fn given(policy: Policy) -> Self {
        Self { policy, source: "the embedder".to_owned(), folder: None, file: None, projects: Vec::new() }
    }

    /// The text of the strict built-in policy, as a file could hold it.
    #[must_use]
    pub fn builtin_text() -> &'static str {
        BUILTIN
    }

    /// A policy file, laid over the built-in policy; `-` reads it from standard input.
    ///
    /// # Errors
    /// When it cannot be read or is not a policy.
    pub fn from_file(path: &Path) -> Result<Self, Error> {
        let (text, _) = read(path)?;
        let folder = path.parent().map(Path::to_path_buf);
        Ok(Self { folder, ..Self::from_text(&text, &path.display().to_string())? })
    }

    /// The text of a policy file, laid over the built-in policy. `name` stands for the file in messages.
    ///
    /// # Errors
    /// When it is not a policy.
    pub fn from_text(text: &str, name: &str) -> Result<Self, Error> {
        let (policy, file) = Self::parse_over_builtin(text, name)?;
        Ok(Self { policy, source: name.to_owned(), folder: None, file: Some(file), projects: Vec::new() })
    }

    /// Finds the policy: the given file, else `$FUSEBOX_POLICY`, else `fusebox.toml` in the home, else the built-in
    /// one.
    ///
    /// # Errors
    /// When the file that applies cannot be read or is not a policy.
    pub fn discover(given: Option<&Path>, variable: Option<&Path>, home: &Path) -> Result<Self, Error> {
        let in_home = home.join(PROJECT_FILE);
        match given.or(variable) {
            Some(path) => Self::from_file(path),
            None if in_home.exists() => Self::from_file(&in_home),
            None => Self::builtin(),
        }
    }

    /// Tightens the policy by that of a project.
    ///
    /// # Errors
    /// When the project's file is not a policy that only tightens.
    pub fn tighten_by(&mut self, project: &Path, text: &str) -> Result<(), Error> {
        let name = project.display().to_string();
        let (tighter, table) = ProjectPolicy::parse(text, &name)?;
        tighter.tighten(&mut self.policy, self.projects.len() + 1);
        self.policy.limits.check()?;
        self.projects.push((name, table));
        Ok(())
    }

    /// Every setting in force, with where it came from.
    #[must_use]
    pub fn explain(&self) -> Vec<Setting> {
        let builtin = builtin_table().unwrap_or_default();
        explain::settings(&self.policy, &builtin, self.file.as_ref().map(|file| (file, &self.source)), &self.projects)
    }

    fn parse_over_builtin(text: &str, name: &str) -> Result<(Policy, Table), Error> {
        let table = read_table(text, name)?;
        // On its own first, so that an error names a place in the file and not in the mixture.
        if let Err(error) = toml::from_str::<Policy>(text) {
            keys::check::<Policy>(text, name)?;
            return Err(bad(name, error.to_string()));
        }
        let mut merged = builtin_table()?;
        lay_over(&mut merged, table.clone());
        let policy = parse(&merged, name)?;
        check_ranges(&policy, name)?;
        Ok((policy, table))
    }
}

/// A policy file's text and digest; `-` stands for standard input.
pub fn read(path: &Path) -> Result<(String, Digest), Error> {
    let bytes = match path == Path::new("-") {
        true => read_from("the policy", std::io::stdin().lock(), path, MAX_BYTES)?,
        false => read_file("the policy", path, MAX_BYTES)?,
    };
    let digest = Digest::of(&bytes);
    let text =
        String::from_utf8(bytes).map_err(|_| bad(&path.display().to_string(), "it is not UTF-8 text".to_owned()))?;
    Ok((text, digest))
}

fn bad(name: &str, message: String) -> Error {
    Error::BadPolicy { path: name.to_owned(), message: message.trim_end().to_owned() }
}

fn builtin_table() -> Result<Table, Error> {
    read_table(BUILTIN, "built-in")
}

fn read_table(text: &str, name: &str) -> Result<Table, Error> {
    text.parse::<Table>().map_err(|error| bad(name, error.to_string()))
}

fn parse(table: &Table, name: &str) -> Result<Policy, Error> {
    Policy::deserialize(table.clone()).map_err(|error| bad(name, error.to_string()))
}

/// Numbers that the types alone do not bound.
fn check_ranges(policy: &Policy, name: &str) -> Result<(), Error> {
    policy.limits.check()?;
    let guards = policy.guards.iter().map(|(key, guard)| (format!("guards.{key}"), guard.limits));
    let executors = policy.executors.iter().map(|(key, executor)| (format!("executors.{key}"), executor.limits));
    let impact = policy.impact.iter().map(|model| ("impact".to_owned(), model.limits));
    for (key, limits) in guards.chain(executors).chain(impact) {
        if let Some(fault) = limits.fault() {
            return Err(bad(name, format!("{key}.{fault}")));
        }
    }
    if let Some(fault) = policy.process.fault() {
        return Err(bad(name, format!("process.{fault}")));
    }
    if policy.run.max_retries > 100 {
        return Err(bad(name, "run.max_retries may be 100 at the most".to_owned()));
    }
    if policy.run.retry_backoff_ms > 30_000 {
        return Err(bad(name, "run.retry_backoff_ms may be 30000 at the most".to_owned()));
    }
    if !(1..=100).contains(&policy.run.warn_percent) {
        return Err(bad(name, "run.warn_percent must be from 1 to 100".to_owned()));
    }
    if let Some(fault) = policy.breaker.as_ref().and_then(|breaker| breaker.fault()) {
        return Err(bad(name, format!("breaker.{fault}")));
    }
    if let Some(fault) = policy.rate_limits.iter().find_map(|limit| limit.settings().fault()) {
        return Err(bad(name, format!("rate_limits: {fault}")));
    }
    if let Some(fault) = policy.tenants.values().find_map(|tenant| tenant.limits.as_limits().check().err()) {
        return Err(bad(name, format!("tenants: {fault}")));
    }
    for (sink, policy) in &policy.sinks {
        if let Some(fault) = policy.fault() {
            return Err(bad(name, format!("sinks.{sink}: {fault}")));
        }
    }
    if let Some(fault) = policy.risk.as_ref().and_then(|risk| risk.fault()) {
        return Err(bad(name, format!("risk.{fault}")));
    }
    if let Some(fault) = policy.audit.fault() {
        return Err(bad(name, fault.to_owned()));
    }
    if policy.approval.expires_s == Some(0) {
        return Err(bad(name, "approval.expires_s must be at least 1; leave it out to wait without end".to_owned()));
    }
    Ok(())
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
        for guard in ["protected-paths", "command-policy", "secret-scan"] {
            assert!(policy.guards.contains_key(guard));
        }
        assert!(!policy.needs_approval("read_file", Some(false)));
        for step_type in ["edit_file", "run_command", "analyze", "summarize"] {
            assert!(policy.needs_approval(step_type, Some(false)));
        }
        assert!(!policy.executors["run_command"].grants.workspace);
    }

    #[test]
    fn a_file_lies_over_the_builtin_policy() {
        let text = "[guards.protected-paths]\nmode = 'monitor'\n[run]\non_denied = 'skip'\n[limits]\nfuel = 5";
        let (policy, _) = LoadedPolicy::parse_over_builtin(text, "p").unwrap();
        assert_eq!(policy.guards["protected-paths"].mode, GuardMode::Monitor);
        assert_eq!(policy.run.on_denied, OnDenied::Skip);
        assert_eq!(policy.limits.fuel, Some(5));
        assert!(policy.executors["read_file"].grants.workspace);
    }

    #[test]
    fn mistakes_are_named_with_their_line_and_a_suggestion() {
        for (text, named) in [
            ("[guard.x]", "did you mean \"guards\"?"),
            (
                "[guards.x]\non_eror = 'deny'",
                "line 2: unknown key \"on_eror\" in guards.x (did you mean \"on_error\"?)",
            ),
            ("[run]\n\non_step_failur = 'stop'", "line 3"),
            ("[guards.x.grants]\nrewrit = true", "did you mean \"rewrite\"?"),
            ("[gateway.endpoints.a]\nprotocol = 'openai'\nurll = 'x'", "did you mean \"url\"?"),
            ("[[gateway.models.m.routes]]\nendpont = 'x'", "did you mean \"endpoint\"?"),
            ("[guards.x]\non_error = 'allow'", "allow"),
            ("[run]\non_step_failure = 'rollback-all'", "rollback-all"),
            ("[limits]\nfuel = 0", "fuel"),
            ("[limits]\nfuel = 'much'", "fuel"),
            ("[limits\n", "line 1"),
            ("[decision]\nwhen_all_abstain = 'abstain'", "abstain"),
            ("[guards.x.limits]\nmemory_mib = 0", "memory_mib"),
            ("[run]\nmax_retries = 101", "max_retries"),
            ("[run]\nwarn_percent = 0", "warn_percent"),
            ("[breaker]\nfailures = 0", "breaker.failures"),
            ("[breaker]\ncooldown = 3", "did you mean \"cooldown_s\"?"),
            ("[[rate_limits]]\ncount = 0\nper_s = 1", "count"),
            ("[[rate_limits]]\ncount = 1", "per_s"),
            ("[tenants.acme.limits]\ntokens = 0", "tokens"),
            ("[tenants.acme.limits]\nretries = 1", "retries"),
            ("[approval]\nexpires_s = 0", "expires_s"),
            ("[approval]\neffects = ['everything']", "everything"),
            ("[prices.x]\ninput = 1.5\noutput = 2", "input"),
        ] {
            let error = LoadedPolicy::parse_over_builtin(text, "p").unwrap_err();
            assert!(error.to_string().contains(named), "{text}: {error}");
        }
    }

    #[test]
    fn what_a_plugin_takes_as_settings_is_not_ours_to_check() {
        assert!(LoadedPolicy::parse_over_builtin("[guards.x.settings]\nanything = 1", "p").is_ok());
    }

    #[test]
    fn settings_are_explained() {
        let mut loaded = LoadedPolicy::builtin().unwrap();
        let (policy, file) = LoadedPolicy::parse_over_builtin("[limits]\nsteps = 50", "p").unwrap();
        (loaded.policy, loaded.file, loaded.source) = (policy, Some(file), "p".to_owned());
        loaded.tighten_by(Path::new("q"), "[limits]\nsteps = 5").unwrap();
        let all = loaded.explain();
        let find = |key: &str| all.iter().find(|setting| setting.key == key).unwrap_or_else(|| panic!("{key}"));
        assert_eq!((find("limits.steps").value.as_str(), find("limits.steps").source.as_str()), ("5", "q"));
        assert_eq!(find("run.on_denied").source, "built-in");
        assert_eq!(find("run.max_retries").source, "default");
    }
}
