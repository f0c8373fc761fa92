//! How processes are confined on this machine, under this policy.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use fusebox_core::policy::{PathAccess, ProcessPolicy, Protection};
use serde::{Deserialize, Serialize};

use crate::{Environment, Error};

/// What a confinement is made of.
#[derive(Debug, Clone, Default)]
pub struct ConfinementSetup {
    /// The launcher: `fusebox`, or a program that calls [`launcher::serve`](crate::launcher::serve) first.
    pub launcher: Option<PathBuf>,
    /// What processes may see and use.
    pub policy: ProcessPolicy,
    /// Paths that processes never see: the host's own.
    pub absent: Vec<PathBuf>,
    /// The environment of processes.
    pub environment: Environment,
}

/// How processes are confined. What the machine can do is found out once, by trying it, when it is first needed.
#[derive(Debug)]
pub struct Confinement {
    setup: ConfinementSetup,
    paths: Vec<(PathBuf, PathAccess)>,
    found: OnceLock<Found>,
}

/// How a process is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Without confinement.
    Bare,
    /// By the launcher, with namespaces or without.
    Launched(Held),
}

/// Which namespaces a process gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Held {
    /// Its own.
    Namespaces,
    /// Those of the host.
    Shared,
}

/// One thing that confines processes, as it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protected {
    /// What it is: a protection of the policy, or `network`, `processes`, `memory`.
    pub name: String,
    /// How it holds, or why it does not.
    pub words: String,
    /// Whether it holds.
    pub holds: Holds,
}

impl Protected {
    pub(crate) fn found(name: &str, holds: Holds, words: impl Into<String>) -> Self {
        Self { name: name.to_owned(), words: words.into(), holds }
    }
}

/// Whether something holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Holds {
    /// It does.
    Wholly,
    /// With a fault.
    Partly,
    /// It does not.
    Not,
}

#[derive(Debug)]
struct Found {
    way: Result<Way, Problem>,
    protections: Vec<Protected>,
}

/// Why no process is started.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Problem {
    /// The machine lacks this.
    Missing(String),
    /// A sandbox as policy has it cannot be built.
    Unbuilt(String),
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
        // What a process can write, it can make a link.
        let paths = paths.iter().filter(|(path, _)| !is_planted(path)).cloned().collect();
        Self { setup, paths, found: OnceLock::new() }
    }

    /// How processes are started.
    ///
    /// # Errors
    /// [`Error::Unconfined`] when this machine lacks what policy does not do without.
    pub fn way(&self) -> Result<Way, Error> {
        self.found().way.clone().map_err(|problem| match problem {
            Problem::Missing(missing) => Error::Unconfined { missing },
            Problem::Unbuilt(message) => Error::Confinement { program: "the command".to_owned(), message },
        })
    }

    /// Why no process is started here, if none is.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        self.way().err().map(|error| error.to_string())
    }

    /// What holds here and what does not.
    #[must_use]
    pub fn protections(&self) -> &[Protected] {
        &self.found().protections
    }

    /// All of it in one line, the faults included.
    #[must_use]
    pub fn describe(&self) -> String {
        let found = self.found();
        if found.way == Ok(Way::Bare) {
            return "not confined: the process can do what its user can, beyond the workspace as well".to_owned();
        }
        let with = |holds: Holds| found.protections.iter().filter(move |protected| protected.holds == holds);
        let is_protection = |name: &str| Protection::ALL.iter().any(|protection| protection.name() == name);
        let names = with(Holds::Wholly).map(|protected| protected.name.as_str()).filter(|name| is_protection(name));
        let network = if self.setup.policy.network { "the host's network" } else { "no network" };
        let mut line = format!("confined by {}; {network}", names.collect::<Vec<_>>().join(", "));
        for protected in with(Holds::Partly) {
            line.push_str(&format!("; {} only partly: {}", protected.name, protected.words));
        }
        for protected in with(Holds::Not) {
            line.push_str(&format!("; without {}: {}", protected.name, protected.words));
        }
        line
    }

    /// Whether processes can see a file of this machine, in a workspace.
    #[must_use]
    pub fn shows(&self, file: &Path, workspace: &Path) -> bool {
        if matches!(self.found().way, Ok(Way::Bare) | Err(_)) {
            return true;
        }
        // Nobody sees it, but that is for the gate to say.
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

    /// What is missing and not accepted makes the way an error.
    fn decide(&self, protections: Vec<Protected>) -> Found {
        let missing = |protection: Protection| {
            protections.iter().find(|found| found.name == protection.name() && found.holds == Holds::Not)
        };
        let refused: Vec<String> = Protection::ALL
            .into_iter()
            .filter(|protection| !self.setup.policy.accept_missing.contains(protection))
            .filter_map(|protection| missing(protection).map(|found| format!("{} ({})", found.name, found.words)))
            .collect();
        let way = if !refused.is_empty() {
            Err(Problem::Missing(refused.join(", ")))
        } else if Protection::ALL.into_iter().all(|protection| missing(protection).is_some()) {
            Ok(Way::Bare)
        } else if missing(Protection::Namespaces).is_some() {
            Ok(Way::Launched(Held::Shared))
        } else {
            Ok(Way::Launched(Held::Namespaces))
        };
        Found { way, protections }
    }

    /// Everything is missing, for one reason.
    fn nothing(&self, why: &str) -> Found {
        let missing = |protection: Protection| Protected::found(protection.name(), Holds::Not, why);
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

#[cfg(target_os = "linux")]
mod linux {
    use super::{Confinement, Found, Held, Holds, Problem, Protected};
    use crate::launcher::{self, Bounds, Order, Probed, Program, Task};
    use crate::{Error, ProcessSpec};
    use fusebox_core::policy::Protection;
    use std::path::Path;

    impl Confinement {
        /// The launcher.
        pub(crate) fn launcher(&self) -> Result<&Path, Error> {
            let missing = || Error::Unconfined { missing: "no launcher was given".to_owned() };
            self.setup.launcher.as_deref().ok_or_else(missing)
        }

        /// What the launcher is told.
        pub(crate) fn order(&self, spec: &ProcessSpec, held: Held) -> Result<Order, Error> {
            if spec.workspace_path.parent().is_none() {
                let message = "the workspace is the root of the file system, so nothing would be outside of it";
                return Err(Error::Confinement {
                    program: spec.program.display().to_string(),
                    message: message.to_owned(),
                });
            }
            let program = Program {
                path: spec.program.clone(),
                argv: spec.argv.clone(),
                cwd: spec.cwd.as_str().to_owned(),
                environment: spec.environment.variables().map(|(name, value)| (name.clone(), value.clone())).collect(),
            };
            Ok(self.order_for(Task::Start(program), held, &spec.workspace_path))
        }

        fn order_for(&self, task: Task, held: Held, workspace: &Path) -> Order {
            const MIB: u64 = 1024 * 1024;
            let policy = &self.setup.policy;
            let limits = &policy.limits;
            let mut absent = self.setup.absent.clone();
            // A launcher in the workspace is a file of the workspace: whoever builds it must be able to.
            absent.extend(self.setup.launcher.iter().filter(|path| !path.starts_with(workspace)).cloned());
            Order {
                task,
                level: held,
                workspace: workspace.to_owned(),
                home: self.setup.environment.home().map(Path::to_path_buf),
                paths: self.paths.clone(),
                read_only: policy.read_only.clone(),
                hidden: policy.hidden.clone(),
                absent,
                network: policy.network,
                bounds: Bounds {
                    cpu_s: limits.cpu_s,
                    memory: limits.memory_mib * MIB,
                    processes: limits.processes,
                    open_files: limits.open_files,
                    file: limits.file_mib * MIB,
                    disk: limits.disk_mib * MIB,
                    temporary: limits.temporary_mib * MIB,
                },
                accept_missing: policy.accept_missing.clone(),
                cgroup: launcher::delegated(),
            }
        }

        pub(super) fn find_out(&self) -> Found {
            let Some(program) = &self.setup.launcher else {
                return self.nothing("no launcher was given, see HostBuilder::launcher");
            };
            let Ok(folder) = tempfile::Builder::new().prefix("fusebox-").tempdir() else {
                return self.nothing("no temporary folder can be made to try it in");
            };
            let Ok(workspace) = folder.path().canonicalize() else {
                return self.nothing("no temporary folder can be made to try it in");
            };
            let try_it = |held| launcher::probe(program, &workspace, &self.order_for(Task::Probe, held, &workspace));
            match try_it(Held::Namespaces) {
                Ok(Probed::Enforced(enforced)) => self.decide(enforced),
                Ok(Probed::Unavailable(why)) => {
                    let missing = Protected::found(Protection::Namespaces.name(), Holds::Not, why);
                    match try_it(Held::Shared) {
                        Ok(Probed::Enforced(enforced)) => {
                            let mut protections = vec![missing];
                            protections.extend(enforced);
                            self.decide(protections)
                        }
                        Ok(Probed::Unavailable(why)) => self.nothing(&why),
                        Err(why) => unbuilt(&why),
                    }
                }
                Err(why) => unbuilt(&why),
            }
        }
    }

    /// Nothing weaker is tried: what the kernel can do must not depend on what lies in a folder.
    fn unbuilt(why: &std::io::Error) -> Found {
        Found { way: Err(Problem::Unbuilt(why.to_string())), protections: Vec::new() }
    }
}
