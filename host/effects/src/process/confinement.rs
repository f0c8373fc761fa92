//! Confinement of processes on this machine, under this policy.

#[cfg(target_os = "linux")]
mod linux;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use fusebox_core::policy::{PathAccess, ProcessPolicy, Protection};
use fusebox_core::protected::ProtectedGlobs;

use crate::error::Error;
use crate::isolation::{Enforcement, NamespaceMode, ProtectionStatus};
use crate::program::Environment;

/// Setup of a confinement.
#[derive(Debug, Clone, Default)]
pub struct ConfinementSetup {
    /// The launcher: `fusebox`, or a program that calls [`launcher::serve`](crate::launcher::serve) first.
    pub launcher: Option<PathBuf>,
    /// Files and resources of processes.
    pub policy: ProcessPolicy,
    /// Paths that processes never see: the host's own.
    pub absent: Vec<PathBuf>,
    /// Globs of paths of the workspace that processes do not see or cannot change, by guard.
    pub protect: Vec<ProtectedGlobs>,
    /// The environment of processes.
    pub environment: Environment,
}

/// Confinement of processes. The abilities of the machine are tested once, at the first use.
#[derive(Debug)]
pub struct Confinement {
    setup: ConfinementSetup,
    paths: Vec<(PathBuf, PathAccess)>,
    found: OnceLock<Found>,
}

/// Way to start a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartMode {
    /// Start without confinement.
    Unconfined,
    /// By the launcher, with namespaces or without.
    Launched(NamespaceMode),
}

#[derive(Debug)]
struct Found {
    start_mode: Result<StartMode, Problem>,
    protections: Vec<ProtectionStatus>,
}

/// Reason why no process can be started.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Problem {
    /// The machine lacks this.
    Missing(String),
    /// A sandbox as policy has it cannot be built.
    SandboxSetupError(String),
}

impl Confinement {
    /// Finds nothing out yet.
    #[must_use]
    pub fn new(setup: ConfinementSetup) -> Self {
        let home = setup.environment.home();
        let resolve = |path: &str| match path.strip_prefix("~/") {
            Some(below) => home.as_ref().map(|home| home.join(below)),
            None => Some(PathBuf::from(path)),
        };
        let grants = setup.policy.paths.values();
        let paths: Vec<_> = grants.filter_map(|grant| Some((resolve(&grant.path)?, grant.access))).collect();
        let is_planted = |path: &Path| {
            let below = paths
                .iter()
                .any(|(above, access)| *access == PathAccess::Write && above != path && path.starts_with(above));
            below && path.canonicalize().is_ok_and(|real| real != path)
        };
        // A path that a process can write can become a link.
        let paths = paths.iter().filter(|(path, _)| !is_planted(path)).cloned().collect();
        Self { setup, paths, found: OnceLock::new() }
    }

    /// Way to start processes.
    ///
    /// # Errors
    /// [`Error::Unconfined`] when this machine lacks a protection that policy requires.
    pub fn start_mode(&self) -> Result<StartMode, Error> {
        self.found().start_mode.clone().map_err(|problem| match problem {
            Problem::Missing(missing) => Error::Unconfined { missing },
            Problem::SandboxSetupError(message) => Error::Confinement { program: "the command".to_owned(), message },
        })
    }

    /// Reason why no process can be started here, if there is one.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        self.start_mode().err().map(|error| error.to_string())
    }

    /// State of each protection on this machine.
    #[must_use]
    pub fn protections(&self) -> &[ProtectionStatus] {
        &self.found().protections
    }

    /// All of it in one line, the faults included.
    #[must_use]
    pub fn describe(&self) -> String {
        let found = self.found();
        if found.start_mode == Ok(StartMode::Unconfined) {
            return "not confined: the process can do what its user can, beyond the workspace as well".to_owned();
        }
        let with = |holds: Enforcement| found.protections.iter().filter(move |protected| protected.holds == holds);
        let is_protection = |name: &str| Protection::ALL.iter().any(|protection| protection.name() == name);
        let names =
            with(Enforcement::Wholly).map(|protected| protected.name.as_str()).filter(|name| is_protection(name));
        let network = if self.setup.policy.network { "the host's network" } else { "no network" };
        let mut line = format!("confined by {}; {network}", names.collect::<Vec<_>>().join(", "));
        for protected in with(Enforcement::Partly) {
            line.push_str(&format!("; {} only partly: {}", protected.name, protected.words));
        }
        for protected in with(Enforcement::Not) {
            line.push_str(&format!("; without {}: {}", protected.name, protected.words));
        }
        line
    }

    /// Whether processes can see a file of this machine, in a workspace.
    #[must_use]
    pub fn shows(&self, file: &Path, workspace: &Path) -> bool {
        if matches!(self.found().start_mode, Ok(StartMode::Unconfined) | Err(_)) {
            return true;
        }
        // It is invisible in the sandbox, but the gate has to refuse it.
        if self.setup.launcher.as_deref() == Some(file) {
            return true;
        }
        let is_absent = self.setup.absent.iter().any(|path| file.starts_with(path));
        let is_shown = system().iter().any(|folder| file.starts_with(folder))
            || self.paths.iter().any(|(path, _)| file.starts_with(path));
        file.starts_with(workspace) || (is_shown && !is_absent)
    }

    fn found(&self) -> &Found {
        self.found.get_or_init(|| self.find_out())
    }

    /// A protection that is missing and not accepted becomes an error.
    fn decide(&self, protections: Vec<ProtectionStatus>) -> Found {
        let missing = |protection: Protection| {
            protections.iter().find(|found| found.name == protection.name() && found.holds == Enforcement::Not)
        };
        let refused: Vec<String> = Protection::ALL
            .into_iter()
            .filter(|protection| !self.setup.policy.accept_missing.contains(protection))
            .filter_map(|protection| missing(protection).map(|found| format!("{} ({})", found.name, found.words)))
            .collect();
        let way = if !refused.is_empty() {
            Err(Problem::Missing(refused.join(", ")))
        } else if Protection::ALL.into_iter().all(|protection| missing(protection).is_some()) {
            Ok(StartMode::Unconfined)
        } else if missing(Protection::Namespaces).is_some() {
            Ok(StartMode::Launched(NamespaceMode::Shared))
        } else {
            Ok(StartMode::Launched(NamespaceMode::Namespaces))
        };
        Found { start_mode: way, protections }
    }

    /// Everything is missing, for one reason.
    fn nothing(&self, why: &str) -> Found {
        let missing = |protection: Protection| ProtectionStatus::found(protection.name(), Enforcement::Not, why);
        self.decide(Protection::ALL.map(missing).to_vec())
    }

    #[cfg(not(target_os = "linux"))]
    fn find_out(&self) -> Found {
        self.nothing("this system has none that is known")
    }
}

/// Folders of the system.
#[cfg(not(target_os = "linux"))]
fn system() -> &'static [&'static str] {
    &[]
}

#[cfg(target_os = "linux")]
fn system() -> &'static [&'static str] {
    &crate::launcher::SYSTEM
}
