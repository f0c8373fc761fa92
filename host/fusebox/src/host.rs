//! The host: plugins under a policy, a log, and the two main jobs.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex as StdMutex, PoisonError, RwLock};

use bytes::Bytes;
use fusebox_core::event::{Chain, Event, SCHEMA_VERSION, Usage};
use fusebox_core::plan::WorkspaceMode;
use fusebox_core::policy::HardLinks;
use fusebox_core::run::RunSetup;
use fusebox_core::situation::DEFAULT_TENANT;
use fusebox_core::{Contents, Digest, Plan, RunId, RunLimits, RunState, WorkspacePath, json};
use fusebox_effects::gateway::Gateway;
use fusebox_effects::{Confinement, Workspace, copy_folder};
use fusebox_sandbox::{Kill, Sandbox};
use fusebox_store::EventLog;
use tokio::sync::{Mutex, mpsc};

use crate::Error;
use crate::builder::{HostBuilder, Notice, RecordChecks};
use crate::driver::{Driver, Outputs};
use crate::facts::Surroundings;
use crate::home::Home;
use crate::journal::Journal;
use crate::kill_board::KillBoard;
use crate::now::new_run_id;
use crate::policy::LoadedPolicy;
use crate::registry::{Loaded, Registry};
use crate::run::{Killer, Run, RunOptions};

/// Plugins under a policy, with a log. It has two threads of its own: one writes the log, one ends guests in time.
pub struct Host {
    pub(crate) sandbox: Sandbox,
    /// For checks, which nobody kills: they have tight limits.
    pub(crate) never_killed: Kill,
    pub(crate) registry: Arc<Registry>,
    pub(crate) policy: Arc<fusebox_core::Policy>,
    pub(crate) policy_digest: Digest,
    pub(crate) loaded: LoadedPolicy,
    pub(crate) notices: Vec<Notice>,
    pub(crate) gateway: Option<Arc<Gateway>>,
    pub(crate) store: Arc<dyn EventLog>,
    pub(crate) surroundings: Arc<Surroundings>,
    /// For actions that somebody else carries out.
    pub(crate) elsewhere: Surroundings,
    pub(crate) confinement: Arc<Confinement>,
    pub(crate) home: Home,
    pub(crate) checks: RecordChecks,
    /// Checks of this host are one chain of the log.
    pub(crate) check_chain: StdMutex<Chain>,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host")
            .field("home", &self.home.path())
            .field("policy", &self.loaded.source)
            .finish_non_exhaustive()
    }
}

impl Host {
    /// Starts setting up a host.
    #[must_use]
    pub fn builder() -> HostBuilder {
        HostBuilder::default()
    }

    /// All plugins by name.
    #[must_use]
    pub fn plugins(&self) -> Vec<(&str, &Loaded)> {
        self.registry.all()
    }

    /// Where the policy came from: a file, or `built-in`.
    #[must_use]
    pub fn policy_source(&self) -> &str {
        &self.loaded.source
    }

    /// The policy in force, with where each setting came from.
    #[must_use]
    pub fn policy(&self) -> &LoadedPolicy {
        &self.loaded
    }

    /// What whoever set it up should know.
    #[must_use]
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// Who answers prompts, if anybody does.
    #[must_use]
    pub fn gateway(&self) -> Option<&Gateway> {
        self.gateway.as_deref()
    }

    /// How processes are confined here. The first question tries it out, which takes some milliseconds.
    #[must_use]
    pub fn confinement(&self) -> &Confinement {
        &self.confinement
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> &dyn EventLog {
        &*self.store
    }

    /// Checks a plan against policy and plugins, without running it.
    ///
    /// # Errors
    /// When a step has an unknown type, an input that does not fit it, or needs a model and there is none.
    pub fn check_plan(&self, plan: &Plan) -> Result<(), Error> {
        plan.steps.iter().try_for_each(|step| {
            self.registry.check_input(step.id.as_str(), &step.step_type, &step.input)?;
            match self.registry.executor(&step.step_type) {
                Some((_, served)) if served.grants.model && self.gateway.is_none() => {
                    Err(Error::NoModel { step: step.id.to_string(), step_type: step.step_type.clone() })
                }
                _ => Ok(()),
            }
        })
    }

    /// Starts carrying out a plan. Nothing happens until the run is awaited.
    ///
    /// # Errors
    /// When the plan does not fit policy and plugins, a budget is zero, or the workspace cannot be used.
    pub fn run(&self, plan: Plan, options: RunOptions) -> Result<Run, Error> {
        self.check_plan(&plan)?;
        options.limits.check()?;
        let limits = options.limits.tighten(&self.policy.limits).tighten(&plan.limits).capped();
        let Opened { workspace, mode, left_out } = self.open_workspace(&plan, &options)?;
        let (plan, workspace) = (Arc::new(plan), Arc::new(workspace));
        let id = new_run_id()?;
        let setup = Arc::new(RunSetup {
            run: id.clone(),
            plan: Arc::clone(&plan),
            policy: Arc::clone(&self.policy),
            policy_digest: self.policy_digest,
            plugins: self.registry.digests.clone(),
            gate: Arc::clone(&self.registry.gate),
            claimed_approval: self.registry.claimed_approval(),
            limits: limits.clone(),
        });
        let plan_bytes = Bytes::from(plan.canonical());
        let policy_bytes = Bytes::from(json::canonical(&*self.policy));
        let created = self.created(&plan, limits, mode, &plan_bytes);
        let (sender, updates) = mpsc::unbounded_channel();
        let killer = Killer { kill: self.sandbox.kill_flag(), asked: Arc::default() };
        let watcher = self.watcher(&id, &killer)?;
        let driver = Driver {
            registry: Arc::clone(&self.registry),
            surroundings: Arc::clone(&self.surroundings),
            confinement: Arc::clone(&self.confinement),
            gateway: self.gateway.clone(),
            changes: Arc::default(),
            problem: None,
            workspace: Arc::clone(&workspace),
            approver: Arc::clone(&options.approver),
            kill: killer.kill.clone(),
            killer: killer.clone(),
            stopped_us: None,
            journal: Arc::new(Mutex::new(Journal::new(RunState::new(setup), Arc::clone(&self.store), sender.clone()))),
            updates: sender,
            outputs: Arc::new(Outputs { store: Arc::clone(&self.store), digests: RwLock::new(HashMap::new()) }),
            judged: None,
            contents: Contents::default(),
            cut_off: (None, Usage::default()),
        };
        Ok(Run {
            id,
            workspace: workspace.root().to_path_buf(),
            left_out,
            driving: Some(Box::pin(driver.run(created, vec![plan_bytes, policy_bytes]))),
            updates,
            summary: None,
            killer,
            _watcher: watcher,
        })
    }

    /// Kills the run when another process on this home asks for it.
    fn watcher(&self, run: &RunId, killer: &Killer) -> Result<Arc<dyn Fn() + Send + Sync>, Error> {
        let board = KillBoard::open(&self.home)?;
        let (run, killer, seen) = (run.clone(), killer.clone(), StdMutex::new(board.generation()));
        let watcher: Arc<dyn Fn() + Send + Sync> = Arc::new(move || {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(request) = board.asked_since(&mut seen, &run) {
                killer.kill_since(&request.by, request.requested_us);
            }
        });
        self.sandbox.on_tick(&watcher);
        Ok(watcher)
    }

    fn created(&self, plan: &Plan, limits: RunLimits, workspace: WorkspaceMode, plan_bytes: &Bytes) -> Event {
        Event::RunCreated {
            schema: SCHEMA_VERSION,
            goal: plan.goal.clone(),
            agent: plan.agent.clone(),
            tenant: DEFAULT_TENANT.to_owned(),
            plan: Digest::of(plan_bytes),
            policy: self.policy_digest,
            plugins: self.registry.digests.clone(),
            limits,
            steps: u32::try_from(plan.steps.len()).unwrap_or(u32::MAX),
            workspace,
            host: format!("fusebox {}", env!("CARGO_PKG_VERSION")),
            engine: self.sandbox.engine(),
        }
    }

    /// Opens the workspace that operator and plan come to. A plan may only name a folder beside or below itself, and a
    /// copy is made as soon as one of them asks for it.
    fn open_workspace(&self, plan: &Plan, options: &RunOptions) -> Result<Opened, Error> {
        let none = |reason: &str| Error::NoWorkspace { reason: reason.to_owned() };
        let folder = match (&options.workspace, &plan.workspace) {
            (Some(folder), _) => folder.clone(),
            (None, None) => return Err(none("neither the operator nor the plan names one")),
            (None, Some(named)) => {
                let path = WorkspacePath::parse(&named.path)?;
                let base = options.plan_folder.as_ref();
                base.ok_or_else(|| none("the plan names one, but it is not known where the plan lies"))?
                    .join(path.as_str())
            }
        };
        let named_by_plan = options.workspace.is_none();
        let asks_for_copy = plan.workspace.as_ref().is_some_and(|named| named.mode == WorkspaceMode::Copy);
        let hard_links = self.policy.workspace.hard_links;
        let original = Workspace::open(&folder)?.with_hard_links(hard_links);
        if named_by_plan && !is_below(original.root(), options.plan_folder.as_deref()) {
            return Err(none("the plan names one that lies, by a link, outside of the plan's own folder"));
        }
        self.home.keep_apart(original.root())?;
        if options.mode == WorkspaceMode::InPlace && !asks_for_copy {
            return Ok(Opened { workspace: original, mode: WorkspaceMode::InPlace, left_out: 0 });
        }
        let (copy, left_out) = copy_of(original.root(), hard_links)?;
        self.home.keep_apart(copy.root())?;
        Ok(Opened { workspace: copy, mode: WorkspaceMode::Copy, left_out })
    }
}

/// The workspace of a run.
struct Opened {
    workspace: Workspace,
    mode: WorkspaceMode,
    /// What a copy does not have.
    left_out: u64,
}

/// Whether a folder is another one or lies below it, links resolved.
fn is_below(folder: &Path, base: Option<&Path>) -> bool {
    base.and_then(|base| base.canonicalize().ok()).is_some_and(|base| folder.starts_with(base))
}

/// A copy of a folder, in the system's folder for temporary files. It stays after the run: it holds what came of it.
fn copy_of(folder: &Path, hard_links: HardLinks) -> Result<(Workspace, u64), Error> {
    let failed =
        |source| Error::Effects(fusebox_effects::Error::Io { what: "making a folder for the copy".to_owned(), source });
    let mut builder = tempfile::Builder::new();
    builder.prefix("fusebox-");
    // The folder for temporary files is everybody's; the copy is not.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    let parent = builder.tempdir().map_err(failed)?;
    let target = parent.path().join(folder.file_name().unwrap_or("workspace".as_ref()));
    let left_out = copy_folder(folder, &target, hard_links)?;
    let copy = Workspace::open(&target)?;
    let _ = parent.keep();
    Ok((copy, left_out))
}
