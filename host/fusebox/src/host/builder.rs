//! Setting a host up.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::ScopedJoinHandle;

use fusebox_core::builtin::OwnPlaces;
use fusebox_core::policy::SinkFrom;
use fusebox_core::protected::PathMatcher;
use fusebox_effects::gateway::Gateway;
use fusebox_effects::{Confinement, ConfinementSetup, Environment};
use fusebox_sandbox::{Compile, CompileHere, OnBundled, Sandbox, SandboxSetup, ThreadPlace};
use fusebox_store::Store;
use parking_lot::Mutex;

use crate::admission::kill_switch::SwitchCache;
use crate::admission::throttle::{BreakerTurn, OnBreaker, Throttle};
use crate::audit::{self, Audit, OpenLog};
use crate::control::Control;
use crate::error::Error;
use crate::gate::effects::ExecutionEnvironment;
use crate::home::Home;
use crate::host::Host;
use crate::plugins::compiler::{ChildCompiler, CompileLimits, CompilePlace, OnCompile};
use crate::plugins::loaded::Loaded;
use crate::plugins::registry::Registry;
use crate::policy::{LoadedPolicy, PROJECT_FILE, Trust, TrustState};
use crate::prediction::Predictor;
use crate::redaction::Redactor;
use crate::services::{Explanations, Notice, RecordChecks, Services};
use crate::sinks::{NewSink, Sink, Sinks};

/// Options for a [`Host`].
#[derive(Debug, Default)]
pub struct HostBuilder {
    home: Option<PathBuf>,
    policy_file: Option<PathBuf>,
    policy: Option<LoadedPolicy>,
    projects: Vec<PathBuf>,
    cassette: Option<PathBuf>,
    checks: RecordChecks,
    launcher: Option<PathBuf>,
    compiling: Compiling,
    on_breaker: Option<OnBreaker>,
    explanations: Explanations,
    sinks: AddedSinks,
    layer: Option<StoreLayer>,
    judges: GetJudgesReady,
}

/// When guards and the impact model are loaded.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum GetJudgesReady {
    #[default]
    AtFirstCall,
    WhileOpening,
}

/// Puts a store around the log's own.
struct StoreLayer(LayerStore);

type LayerStore = Box<dyn FnOnce(Arc<dyn Store>) -> Arc<dyn Store> + Send>;

impl std::fmt::Debug for StoreLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoreLayer")
    }
}

/// Sinks that the embedder adds.
#[derive(Default)]
struct AddedSinks(Vec<NewSink>);

impl std::fmt::Debug for AddedSinks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|sink| &sink.name)).finish()
    }
}

/// Options for compiling components that are not bundled.
#[derive(Debug, Clone, Default)]
struct Compiling {
    place: CompilePlace,
    limits: CompileLimits,
    on_compile: Option<OnCompile>,
    on_bundled: Option<OnBundled>,
    /// Whether bundled plugins are compiled for all processors of this kind.
    portable: bool,
}

impl Host {
    /// Starts setting up a host.
    #[must_use]
    pub fn builder() -> HostBuilder {
        HostBuilder::default()
    }
}

impl HostBuilder {
    /// Keeps log and cache in this folder instead of `$FUSEBOX_HOME` or the platform's.
    #[must_use]
    pub fn home(mut self, folder: impl Into<PathBuf>) -> Self {
        self.home = Some(folder.into());
        self
    }

    /// Uses this policy file; `-` reads it from standard input.
    #[must_use]
    pub fn policy_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.policy_file = Some(file.into());
        self
    }

    /// Uses this policy instead of any policy files.
    #[must_use]
    pub fn policy(mut self, policy: fusebox_core::Policy) -> Self {
        self.policy = Some(LoadedPolicy::given(policy));
        self
    }

    /// Looks for policies in a project's folder, such as that of a plan or a workspace, and in those above it. They count once
    /// they were trusted, and only tighten.
    #[must_use]
    pub fn project(mut self, folder: impl Into<PathBuf>) -> Self {
        self.projects.push(folder.into());
        self
    }

    /// Answers all prompts from this recording instead of the policy's gateway. Nothing is sent anywhere.
    #[must_use]
    pub fn cassette(mut self, file: impl Into<PathBuf>) -> Self {
        self.cassette = Some(file.into());
        self
    }

    /// Starts processes through this program: `fusebox`, or one that calls [`serve_launcher`](crate::serve_launcher) first.
    /// Without it, steps that start processes are refused, unless the policy accepts that nothing confines them, and so
    /// are components that did not come with the host, unless [`compile_in`](Self::compile_in) says otherwise.
    #[must_use]
    pub fn launcher(mut self, program: impl Into<PathBuf>) -> Self {
        self.launcher = Some(program.into());
        self
    }

    /// Puts a store around the log's own, once it is open: to watch what is written, or to see in a test what the host does
    /// when writes fail.
    #[must_use]
    pub fn store_layer(mut self, layer: impl FnOnce(Arc<dyn Store>) -> Arc<dyn Store> + Send + 'static) -> Self {
        self.layer = Some(StoreLayer(Box::new(layer)));
        self
    }

    /// Sets the place where components are compiled that are not bundled.
    #[must_use]
    pub fn compile_in(mut self, place: CompilePlace) -> Self {
        self.compiling.place = place;
        self
    }

    /// Sets the limits for compiling one component in a child.
    #[must_use]
    pub fn compile_limits(mut self, limits: CompileLimits) -> Self {
        self.compiling.limits = limits;
        self
    }

    /// Sets a callback for each component that is about to be compiled in a child, with its size.
    #[must_use]
    pub fn on_compile(mut self, observer: impl Fn(usize) + Send + Sync + 'static) -> Self {
        self.compiling.on_compile = Some(OnCompile(Arc::new(observer)));
        self
    }

    /// Sets a callback for each bundled plugin that is about to be compiled, as in a new home: it takes part of a second.
    #[must_use]
    pub fn on_bundled(mut self, observer: impl Fn() + Send + Sync + 'static) -> Self {
        self.compiling.on_bundled = Some(OnBundled(Arc::new(observer)));
        self
    }

    /// Sets a callback for each change of a circuit breaker by this host.
    #[must_use]
    pub fn on_breaker(mut self, observer: impl Fn(&BreakerTurn) + Send + Sync + 'static) -> Self {
        self.on_breaker = Some(OnBreaker(Arc::new(observer)));
        self
    }

    /// Adds explanations to the updates of runs, each as soon as it is due.
    #[must_use]
    pub fn explained(mut self) -> Self {
        self.explanations = Explanations::Each;
        self
    }

    /// Adds a sink for every event, or for those of one tenant, from its last stored place or from now on. It runs on
    /// its own thread, in the order of the log, and receives events again until it accepts them.
    #[must_use]
    pub fn sink(mut self, name: &str, tenant: Option<&str>, sink: impl Sink + 'static) -> Self {
        let (name, tenant, sink) = (name.to_owned(), tenant.map(ToOwned::to_owned), Box::new(sink));
        self.sinks.0.push(NewSink { name, tenant, from: SinkFrom::Now, sink });
        self
    }

    /// Says whether [`Host::check`] writes its decisions into the log.
    #[must_use]
    pub fn record_checks(mut self, checks: RecordChecks) -> Self {
        self.checks = checks;
        self
    }

    /// Gets guards and the impact model ready while the log is opened, for a process that judges an action at once: the
    /// first judgement of the thread that builds the host takes milliseconds less. A thread helps until the host is built.
    #[must_use]
    pub fn judges_at_once(mut self) -> Self {
        self.judges = GetJudgesReady::WhileOpening;
        self
    }

    /// Compiles bundled plugins so that other machines of this kind can load them.
    pub(crate) fn portable(mut self) -> Self {
        self.compiling.portable = true;
        self
    }

    /// Only the sandbox, for trying plugins without a policy.
    ///
    /// # Errors
    /// When the home or its cache cannot be used.
    pub fn sandbox(self) -> Result<Sandbox, Error> {
        let home = Home::open(&self.home.map_or_else(Home::default_path, Ok)?)?;
        let launcher = self.launcher.map(|path| path.canonicalize().unwrap_or(path));
        sandbox(&home, self.compiling, launcher, ThreadPlace::of_this_thread())
    }

    /// Loads policy and plugins and opens the log. Threads help, and have ended when this returns.
    ///
    /// # Errors
    /// When the home, the policy, a plugin or the log cannot be used.
    pub fn build(self) -> Result<Host, Error> {
        let home = Home::open(&self.home.map_or_else(Home::default_path, Ok)?)?;
        let launcher = self.launcher.map(|path| path.canonicalize().unwrap_or(path));
        let (given, file) = (self.policy, self.policy_file);
        let here = ThreadPlace::of_this_thread();
        let (sandbox, policy) = std::thread::scope(|scope| {
            let sandbox = scope.spawn(|| sandbox(&home, self.compiling, launcher.clone(), here));
            let policy = given.map_or_else(|| discovered(file.as_deref(), &home), Ok);
            (joined(sandbox), policy)
        });
        let (mut policy, sandbox) = (policy?, sandbox?);
        let notices = apply_projects(&mut policy, &self.projects, &home)?;
        let gateway = match &self.cassette {
            Some(file) => Some(Gateway::replaying(file)?),
            None if policy.policy.gateway.endpoints.is_empty() && policy.policy.gateway.models.is_empty() => None,
            None => {
                let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
                Some(Gateway::new(&policy.policy, policy.folder.as_deref(), &variable)?)
            }
        };
        let text = |path: &Path| path.to_str().unwrap_or_default().to_owned();
        let program = std::env::current_exe().and_then(|program| program.canonicalize()).unwrap_or_default();
        let own = OwnPlaces { home: text(home.path()), program: text(&program) };
        let (registry, opened) = self.judges.with_log(&sandbox, &policy, own, &home);
        let registry = registry?;
        let protect = registry.protected_globs();
        let protected = Arc::new(PathMatcher::new(&protect));
        let environment = Environment::allowed(std::env::vars_os());
        let confinement = Arc::new(Confinement::new(ConfinementSetup {
            launcher,
            policy: policy.policy.process.clone(),
            absent: [home.path().to_path_buf(), program].into_iter().filter(|path| path.is_absolute()).collect(),
            protect,
            environment: environment.clone(),
        }));
        let (store, keys) = opened?;
        let store = match self.layer {
            Some(StoreLayer(layer)) => layer(store),
            None => store,
        };
        // Without a key nothing could be proved.
        keys.ring(&*store, fusebox_core::id::DEFAULT_TENANT)?;
        let redactor = Redactor::of(registry.redacting.clone(), sandbox.kill_flag());
        let shared = Arc::new(policy.policy.clone());
        let audit = Audit { log: Arc::clone(&store), keys, redactor: redactor.clone(), policy: Arc::clone(&shared) };
        // Runs of earlier processes are settled first; a failure with one is reported when it is continued.
        Control::of(home.clone(), Arc::clone(&store), audit.clone()).recover()?;
        audit.erase_by_policy(&policy.policy)?;
        let sinks = Sinks::start(&policy.policy, policy.folder.as_deref(), self.sinks.0, &home, &store)?;
        let services = Services {
            predictor: Predictor::of(&policy)?,
            policy_digest: policy.policy.digest(),
            policy: shared,
            gateway,
            execution_environment: ExecutionEnvironment {
                environment: environment.clone(),
                confinement: Some(Arc::clone(&confinement)),
                protected: Arc::clone(&protected),
            },
            external_environment: ExecutionEnvironment { environment, confinement: None, protected },
            confinement,
            registry,
            checks: self.checks,
            check_chains: parking_lot::Mutex::default(),
            redactor,
            audit,
            explanations: self.explanations,
            never_killed: sandbox.kill_flag(),
            sandbox,
            throttle: Throttle { log: Arc::clone(&store), on_breaker: self.on_breaker },
            switches: SwitchCache::open(&home)?,
            store,
            home,
            projects: self.projects,
        };
        Ok(Host { sinks, services: Arc::new(services), loaded: policy, notices })
    }
}

impl GetJudgesReady {
    /// Loads the plugins while another thread opens the log: both wait for files.
    fn with_log(
        self,
        sandbox: &Sandbox,
        policy: &LoadedPolicy,
        own: OwnPlaces,
        home: &Home,
    ) -> (Result<Registry, Error>, Result<OpenLog, Error>) {
        let here = ThreadPlace::of_this_thread();
        std::thread::scope(|scope| {
            let log = scope.spawn(|| audit::open_log(home, &policy.policy.audit));
            let registry = Registry::load(sandbox, policy, own);
            if let (Ok(registry), Self::WhileOpening) = (&registry, self) {
                link(registry.guards.iter().chain(&registry.impact), here);
            }
            (registry, joined(log))
        })
    }
}

/// Links judges for a thread, on two threads. What fails here fails again at the first call, which says why.
fn link<'a>(judges: impl Iterator<Item = &'a Loaded> + Send, thread: ThreadPlace) {
    let judges = Mutex::new(judges);
    let next = || judges.lock().next();
    let link = || {
        while let Some(judge) = next() {
            let _ = judge.plugin.link_for(thread);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(link);
        link();
    });
}

/// The outcome of a thread, or its panic.
fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panicked| std::panic::resume_unwind(panicked))
}

/// The policy that applies where none is given.
fn discovered(file: Option<&Path>, home: &Home) -> Result<LoadedPolicy, Error> {
    let variable = std::env::var_os("FUSEBOX_POLICY").filter(|value| !value.is_empty()).map(PathBuf::from);
    LoadedPolicy::discover(file, variable.as_deref(), home.path())
}

/// The sandbox of a home, for calls by a thread.
fn sandbox(
    home: &Home,
    compiling: Compiling,
    launcher: Option<PathBuf>,
    thread: ThreadPlace,
) -> Result<Sandbox, Error> {
    let Compiling { place, limits, on_compile, on_bundled, portable } = compiling;
    let compiler: Arc<dyn Compile> = match place {
        CompilePlace::Here => Arc::new(CompileHere),
        CompilePlace::Child => Arc::new(ChildCompiler { launcher, scratch: home.cache(), limits, on_compile }),
    };
    let setup =
        SandboxSetup { cache: Some(home.cache()), compiler, on_bundled, portable, thread, ..SandboxSetup::default() };
    Ok(setup.build()?)
}

/// Tightens a policy by the projects' policies that count, and tells of those that do not.
fn apply_projects(policy: &mut LoadedPolicy, folders: &[PathBuf], home: &Home) -> Result<Vec<Notice>, Error> {
    let trust = Trust::open(home)?;
    let mut notices = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    // The policy in force does not tighten itself.
    seen.extend(Path::new(&policy.source).canonicalize());
    for folder in folders {
        let Ok(found) = folder.canonicalize() else { continue };
        for (above, own) in found.ancestors().zip(std::iter::once(true).chain(std::iter::repeat(false))) {
            let file = above.join(PROJECT_FILE);
            if !(own || trust.knows(above)) || !seen.insert(file.clone()) {
                continue;
            }
            let file = if own { folder.join(PROJECT_FILE) } else { file };
            match trust.state(above)? {
                TrustState::None => {}
                TrustState::Trusted(text) => policy.tighten_by(&file, &text)?,
                TrustState::Untrusted => notices.push(Notice::UntrustedPolicy { file }),
                TrustState::Changed => return Err(Error::TrustBroken { file, folder: above.to_owned() }),
            }
        }
    }
    Ok(notices)
}
