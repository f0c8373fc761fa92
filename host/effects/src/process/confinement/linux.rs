//! Probing the protections of Linux, and ordering them.

use super::{Confinement, Found, Problem};
use crate::error::Error;
use crate::isolation::{Enforcement, NamespaceMode, ProtectionStatus};
use crate::launcher::{self, Bounds, Order, Probed, Program, Task};
use crate::process::spec::ProcessSpec;
use fusebox_core::policy::Protection;
use std::path::Path;

impl Confinement {
    /// Path of the launcher.
    pub(crate) fn launcher(&self) -> Result<&Path, Error> {
        let missing = || Error::Unconfined { missing: "no launcher was given".to_owned() };
        self.setup.launcher.as_deref().ok_or_else(missing)
    }

    /// Order to the launcher.
    pub(crate) fn order(&self, spec: &ProcessSpec, held: NamespaceMode) -> Result<Order, Error> {
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
        Ok(Order { kill: spec.kill.clone(), ..self.order_for(Task::Start(program), held, &spec.workspace_path) })
    }

    fn order_for(&self, task: Task, held: NamespaceMode, workspace: &Path) -> Order {
        const MIB: u64 = 1024 * 1024;
        let policy = &self.setup.policy;
        let limits = &policy.limits;
        let mut absent = self.setup.absent.clone();
        // A launcher in the workspace is one of its files, and commands must be able to build it.
        absent.extend(self.setup.launcher.iter().filter(|path| !path.starts_with(workspace)).cloned());
        Order {
            task,
            level: held,
            workspace: workspace.to_owned(),
            home: self.setup.environment.home().map(Path::to_path_buf),
            paths: self.paths.clone(),
            protect: self.setup.protect.clone(),
            linked_files: policy.linked_files,
            protected: Vec::new(),
            absent,
            network: policy.network,
            kill: None,
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
        match try_it(NamespaceMode::Namespaces) {
            Ok(Probed::Enforced(enforced)) => self.decide(enforced),
            Ok(Probed::Unavailable(why)) => {
                let missing = ProtectionStatus::found(Protection::Namespaces.name(), Enforcement::Not, why);
                match try_it(NamespaceMode::Shared) {
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

/// No weaker mode is tried: the kernel's abilities must not depend on the content of a folder.
fn unbuilt(why: &std::io::Error) -> Found {
    Found { start_mode: Err(Problem::SandboxSetupError(why.to_string())), protections: Vec::new() }
}
