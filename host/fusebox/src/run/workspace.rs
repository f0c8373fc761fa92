//! Workspaces of runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fusebox_core::plan::WorkspaceMode;
use fusebox_core::protected::{PackageFolders, PathMatcher, ProtectedGlobs};
use fusebox_core::{Plan, RunId, WorkspacePath};
use fusebox_effects::{Reach, Workspace, unknown_in};

use crate::copies::{self, Kept};
use crate::error::Error;
use crate::run::options::RunOptions;
use crate::services::Services;

/// Names of repositories in their working trees.
const REPOSITORIES: [&str; 2] = [".git", ".hg"];

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
    if named_by_plan && let Some(folder) = &options.plan_folder {
        let folder = folder.canonicalize().map_err(|error| none(&format!("{}: {error}", folder.display())))?;
        for (base, reach) in bases(folder, options.current_folder.as_deref(), original.root()) {
            keep_protected(services, original.root(), &base, reach).map_err(|reason| none(&reason))?;
        }
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

/// Folders around a workspace that a plan names, from which more may be known to be protected: that of the plan, that of
/// the operator, who would work there without the plan's word, and the repositories that hold plan and workspace.
fn bases(plan_folder: PathBuf, current: Option<&Path>, workspace: &Path) -> BTreeMap<PathBuf, Reach> {
    let repository = |folder: &Path| {
        let has = |folder: &&Path| REPOSITORIES.iter().any(|name| folder.join(name).exists());
        folder.ancestors().find(has).map(ToOwned::to_owned)
    };
    let home = std::env::home_dir().and_then(|home| home.canonicalize().ok());
    let current = current.and_then(|current| current.canonicalize().ok());
    let around = [repository(&plan_folder), repository(workspace), current];
    let bases = around.into_iter().flatten().chain([plan_folder]);
    let bases = bases.filter(|base| base != workspace && workspace.starts_with(base));
    // A home, and what it lies in, can be too much to be looked through.
    let reach = |base: &Path| match &home {
        Some(home) if home.starts_with(base) => Reach::Near,
        _ => Reach::Whole,
    };
    bases.map(|base| (base.clone(), reach(&base))).collect()
}

/// Refuses a workspace in which less is known to be protected than in the folder of the plan that names it.
fn keep_protected(services: &Services, workspace: &Path, base: &Path, reach: Reach) -> Result<(), String> {
    let globs = services.registry.protected_globs();
    let unknown = match protected_part(&globs, workspace, base) {
        Some(part) => Some(part.into()),
        None => unknown_in(base, workspace, &globs, reach)
            .map_err(|why| format!("the plan names its workspace by itself: {why}"))?,
    };
    match unknown {
        None => Ok(()),
        Some(path) => Err(format!(
            "{} is protected in {}, and would not be in the folder that the plan names; name that with --workspace if it \
             is meant",
            path.display(),
            base.display()
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
