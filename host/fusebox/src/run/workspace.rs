//! Workspaces of runs.

use std::path::Path;

use fusebox_core::plan::WorkspaceMode;
use fusebox_core::protected::{PackageFolders, PathMatcher, ProtectedGlobs};
use fusebox_core::{Plan, RunId, WorkspacePath};
use fusebox_effects::{Workspace, unknown_in};

use crate::copies::{self, Kept};
use crate::error::Error;
use crate::run::options::RunOptions;
use crate::services::Services;

/// Opens the workspace that operator and plan come to. A plan may only name a folder beside or below itself, and a
/// copy is made as soon as one of them asks for it.
pub fn open_workspace(
    services: &Services,
    run: &RunId,
    plan: &Plan,
    options: &RunOptions,
) -> Result<OpenedWorkspace, Error> {
    let none = |reason: &str| Error::NoWorkspace { reason: reason.to_owned() };
    let folder = match (&options.workspace, &plan.workspace) {
        (Some(folder), _) => folder.clone(),
        (None, None) => return Err(none("neither the operator nor the plan names one")),
        (None, Some(named)) => {
            let path = WorkspacePath::parse(&named.path)?;
            let base = options.plan_folder.as_ref();
            base.ok_or_else(|| none("the plan names one, but it is not known where the plan lies"))?.join(path.as_str())
        }
    };
    let named_by_plan = options.workspace.is_none();
    let asks_for_copy = plan.workspace.as_ref().is_some_and(|named| named.mode == WorkspaceMode::Copy);
    let hard_links = services.policy.workspace.hard_links;
    let original = Workspace::open(&folder)?.with_hard_links(hard_links);
    if named_by_plan && !is_below(original.root(), options.plan_folder.as_deref()) {
        return Err(none("the plan names one that lies, by a link, outside of the plan's own folder"));
    }
    if named_by_plan && let Some(base) = &options.plan_folder {
        let base = base.canonicalize().map_err(|error| none(&format!("{}: {error}", base.display())))?;
        keep_protected(services, original.root(), &base).map_err(|reason| none(&reason))?;
    }
    services.home.keep_apart(original.root())?;
    services.home.keep_copies_apart(original.root())?;
    if options.mode == WorkspaceMode::InPlace && !asks_for_copy {
        return Ok(OpenedWorkspace { workspace: original, mode: WorkspaceMode::InPlace, left_out: 0 });
    }
    let kept = Kept { hard_links, protected: &services.registry.protected_globs() };
    let (copy, left_out) = copies::create(&services.home, &*services.store, run, original.root(), kept)?;
    services.home.keep_apart(copy.root())?;
    Ok(OpenedWorkspace { workspace: copy, mode: WorkspaceMode::Copy, left_out })
}

/// The workspace of a run.
pub struct OpenedWorkspace {
    pub workspace: Workspace,
    pub mode: WorkspaceMode,
    /// Number of omissions in the copy.
    pub left_out: u64,
}

/// Refuses a workspace in which less is known to be protected than in the folder of the plan that names it.
fn keep_protected(services: &Services, workspace: &Path, base: &Path) -> Result<(), String> {
    if workspace == base {
        return Ok(());
    }
    let globs = services.registry.protected_globs();
    let unknown = match protected_part(&globs, workspace, base) {
        Some(part) => Some(part.into()),
        None => {
            unknown_in(base, workspace, &globs).map_err(|why| format!("the plan names a folder below itself: {why}"))?
        }
    };
    match unknown {
        None => Ok(()),
        Some(path) => Err(format!(
            "{} is protected in the plan's folder, and would not be in the one that the plan names; name that with \
             --workspace if it is meant",
            path.display()
        )),
    }
}

/// The first folder on the way from a plan to its workspace that globs protect, or lead through.
fn protected_part(globs: &[ProtectedGlobs], workspace: &Path, base: &Path) -> Option<String> {
    let matcher = PathMatcher::new(globs);
    let (mut folder, mut packages) = (String::new(), PackageFolders::default());
    for part in workspace.strip_prefix(base).ok()?.iter().map(|part| part.to_string_lossy()) {
        let path = if folder.is_empty() { part.clone().into_owned() } else { format!("{folder}/{part}") };
        let is_protected = matcher.protection(&folder, &part, true, &packages).is_some();
        if is_protected || matcher.leads_through(&folder, &part, &packages) {
            return Some(path);
        }
        packages = matcher.entered(&folder, &part, &packages);
        folder = path;
    }
    None
}

/// Whether a folder is another one or lies below it, links resolved.
fn is_below(folder: &Path, base: Option<&Path>) -> bool {
    base.and_then(|base| base.canonicalize().ok()).is_some_and(|base| folder.starts_with(base))
}
