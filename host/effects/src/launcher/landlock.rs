//! Landlock: limits the files that may be opened, beneath any mounts. Uses the newest version that both the kernel and
//! the library know.

use std::path::PathBuf;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, LandlockStatus, PathBeneath, PathFd, Ruleset,
    RulesetAttr as _, RulesetCreatedAttr as _, RulesetStatus, Scope,
};

/// The newest version that the rules below were written for.
const NEWEST: ABI = ABI::V9;

/// Access below a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// See names only.
    List,
    /// Read and execute.
    Read,
    /// Read and write existing files, create none: devices.
    Use,
    /// All access.
    Change,
}

/// Whether ports of the network may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ports {
    /// TCP is not restricted here: a namespace does so, or the policy grants it.
    Open,
    /// TCP is refused by Landlock.
    Closed,
}

/// Restricts this process, and all that it starts, for good. Gives the version that holds.
pub fn restrict(paths: &[(PathBuf, Allowed)], ports: Ports) -> Result<i32, String> {
    let failed = |error: landlock::RulesetError| error.to_string();
    let mut ruleset = Ruleset::default().set_compatibility(CompatLevel::BestEffort);
    ruleset = ruleset.handle_access(AccessFs::from_all(NEWEST)).map_err(failed)?;
    ruleset = ruleset.scope(Scope::from_all(NEWEST)).map_err(failed)?;
    if ports == Ports::Closed {
        ruleset = ruleset.handle_access(AccessNet::from_all(NEWEST)).map_err(failed)?;
    }
    let mut created = ruleset.create().map_err(failed)?;
    for (path, allowed) in paths {
        // A missing path need not be opened.
        let Ok(opened) = PathFd::new(path) else { continue };
        let access = match allowed {
            Allowed::List => AccessFs::ReadDir.into(),
            Allowed::Read => AccessFs::from_read(NEWEST),
            Allowed::Use => AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev,
            // Devices are not made, and sockets of others not used.
            Allowed::Change => {
                let without = AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev | AccessFs::ResolveUnix;
                AccessFs::from_all(NEWEST) & !without
            }
        };
        let access = if path.is_dir() { access } else { access & AccessFs::from_file(NEWEST) };
        created = created.add_rule(PathBeneath::new(opened, access)).map_err(failed)?;
    }
    let status = created.restrict_self().map_err(failed)?;
    match status.landlock {
        _ if status.ruleset == RulesetStatus::NotEnforced => {
            Err("the kernel does not have it, or has it switched off".to_owned())
        }
        LandlockStatus::Available { effective_abi, kernel_abi } => Ok(kernel_abi.unwrap_or(effective_abi as i32)),
        _ => Err("the kernel does not have it, or has it switched off".to_owned()),
    }
}
