//! Compilation of components that are not bundled: in a child that can be killed, under limits.
//!
//! The child is the launcher's program once more, confined like a command of a step: it sees the system's folders,
//! itself and one folder with the component. Protections that the machine lacks are left out, because the child runs
//! this program, not the component.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fusebox_core::WorkspacePath;
use fusebox_core::policy::{LinkedFiles, PathAccess, PathGrant, ProcessLimits, ProcessPolicy, Protection};
use fusebox_effects::{Confinement, ConfinementSetup, Environment, ProcessExit, ProcessSpec, Workspace, run_process};
use fusebox_sandbox::{Compile, Error, MAX_COMPONENT_BYTES, compile};

use crate::input::read_file;

/// First argument of the child.
const SUBCOMMAND: &str = "__compile";
/// Input file of the child, in its working folder.
const COMPONENT: &str = "component.wasm";
/// Output file of the child.
const COMPILED: &str = "compiled";
/// Largest result, in MiB.
const MAX_COMPILED_MIB: u64 = 512;
/// Most bytes kept of the child's error output.
const KEPT_BYTES: usize = 4096;
const MIB: u64 = 1024 * 1024;

/// Limits for compiling one component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompileLimits {
    /// Wall time of the child.
    pub wall_time: Duration,
    /// Processor time, in seconds.
    pub cpu_s: u64,
    /// Memory, in MiB.
    pub memory_mib: u64,
}

impl Default for CompileLimits {
    /// Twenty times the use of the largest known guest, one in Python: 2 minutes, 4 minutes of processor time, 4 GiB.
    fn default() -> Self {
        Self { wall_time: Duration::from_secs(120), cpu_s: 240, memory_mib: 4096 }
    }
}

/// Called with the size of a component in bytes before it is checked and compiled, which may take seconds.
#[derive(Clone)]
pub struct OnCompile(pub Arc<dyn Fn(usize) + Send + Sync>);

impl std::fmt::Debug for OnCompile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnCompile")
    }
}

/// Place where components are compiled that are not bundled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CompilePlace {
    /// A child that the launcher starts. Without a launcher, such components are refused.
    #[default]
    Child,
    /// This process, without limits: only when all components are trusted.
    Here,
}

/// Compiles in a child.
#[derive(Debug)]
pub struct ChildCompiler {
    /// The program that compiles, which is also the launcher.
    pub launcher: Option<PathBuf>,
    /// Parent of its folders: the cache, which removes those of killed processes.
    pub scratch: PathBuf,
    pub limits: CompileLimits,
    pub on_compile: Option<OnCompile>,
}

impl Compile for ChildCompiler {
    fn compile(&self, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        let launcher = self.launcher.as_deref().ok_or(Error::NoCompiler)?;
        if let Some(OnCompile(observer)) = &self.on_compile {
            observer(bytes.len());
        }
        let mut builder = tempfile::Builder::new();
        builder.prefix("compile-");
        // The files there are executed in the end.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
        // Where the cache is not writable, the system's temporary folder serves.
        let folder = builder.tempdir_in(&self.scratch).or_else(|_| builder.tempdir());
        let folder = folder.map_err(|error| failed(&format!("making a folder for it: {error}")))?;
        std::fs::write(folder.path().join(COMPONENT), bytes).map_err(|error| failed(&error.to_string()))?;
        // A thread of its own, because the caller may be one that a runtime must not block.
        let ended = std::thread::scope(|scope| {
            let child = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.map_err(|error| failed(&error.to_string()))?.block_on(self.run(launcher, folder.path()))
            });
            child.join().map_err(|_| failed("the thread that waited for it failed"))?
        })?;
        self.judge(&ended)?;
        let compiled = folder.path().join(COMPILED);
        if !compiled.symlink_metadata().is_ok_and(|metadata| metadata.is_file()) {
            return Err(failed("it ended without a result"));
        }
        let max = usize::try_from(MAX_COMPILED_MIB * MIB).unwrap_or(usize::MAX);
        read_file("the compiled component", &compiled, max).map_err(|error| failed(&error.to_string()))
    }
}

impl ChildCompiler {
    async fn run(&self, launcher: &Path, folder: &Path) -> Result<ProcessExit, Error> {
        let workspace = Workspace::open(folder).map_err(|error| failed(&error.to_string()))?;
        let itself = PathGrant { path: launcher.to_string_lossy().into_owned(), access: PathAccess::Read };
        let policy = ProcessPolicy {
            accept_missing: Protection::ALL.to_vec(),
            paths: [("compiler".to_owned(), itself)].into(),
            linked_files: LinkedFiles::Allow,
            limits: ProcessLimits {
                cpu_s: self.limits.cpu_s,
                memory_mib: self.limits.memory_mib,
                file_mib: MAX_COMPILED_MIB,
                disk_mib: 2 * MAX_COMPILED_MIB,
                temporary_mib: 16,
                ..ProcessLimits::default()
            },
            ..ProcessPolicy::default()
        };
        let confinement = Confinement::new(ConfinementSetup {
            launcher: Some(launcher.to_owned()),
            policy,
            absent: Vec::new(),
            protect: Vec::new(),
            environment: Environment::default(),
        });
        let spec = ProcessSpec {
            program: launcher.to_owned(),
            argv: vec!["fusebox".to_owned(), SUBCOMMAND.to_owned()],
            cwd: WorkspacePath::default(),
            workspace: workspace.open_folder(&WorkspacePath::default()).map_err(|error| failed(&error.to_string()))?,
            workspace_path: workspace.root().to_owned(),
            environment: Environment::default(),
            time_limit: Some(self.limits.wall_time),
            kill: None,
            keep_bytes: KEPT_BYTES,
        };
        run_process(spec, &confinement, |_, _| {}).await.map_err(|error| failed(&error.to_string()))
    }

    /// Nothing when it compiled.
    fn judge(&self, ended: &ProcessExit) -> Result<(), Error> {
        let CompileLimits { wall_time, cpu_s, memory_mib } = self.limits;
        let limit = |limit: String| Err(Error::CompileLimit { limit });
        let said = String::from_utf8_lossy(&ended.stderr);
        match (ended.code, ended.signal) {
            _ if ended.timed_out => limit(format!("it takes longer than {} s", wall_time.as_secs_f32())),
            _ if ended.stopped_by.is_some() => limit(ended.stopped_by.clone().unwrap_or_default()),
            (Some(0), _) => Ok(()),
            (_, Some(SIGXCPU)) => limit(format!("it takes more than {cpu_s} s of processor time")),
            (_, Some(SIGKILL)) => {
                limit(format!("it takes more than {cpu_s} s of processor time, or the machine is short of memory"))
            }
            (_, Some(_)) if said.contains("memory allocation of") => {
                limit(format!("it takes more than {memory_mib} MiB of memory"))
            }
            (_, Some(signal)) => {
                Err(failed(&format!("the checker or the compiler itself failed on it (signal {signal})")))
            }
            _ => Err(Error::Compile { message: fusebox_core::show::safe_line(said.trim(), 1000) }),
        }
    }
}

/// Numbers of signals on Linux.
const SIGKILL: i32 = 9;
const SIGXCPU: i32 = 24;

fn failed(why: &str) -> Error {
    Error::Compile { message: format!("the compiler's process did not work: {why}") }
}

/// Runs the launcher or the compiler if the program's arguments ask for it. If this returns true, its work is done, and
/// the program must end.
///
/// A program that embeds the host calls this before anything else, while it has one thread only.
#[must_use]
pub fn serve_launcher(arguments: impl IntoIterator<Item = OsString>) -> bool {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if arguments.get(1).is_some_and(|first| first == SUBCOMMAND) {
        if let Err(message) = compile_here() {
            eprintln!("{message}");
            std::process::exit(1);
        }
        return true;
    }
    #[cfg(target_os = "linux")]
    return fusebox_effects::launcher::serve(arguments);
    #[cfg(not(target_os = "linux"))]
    false
}

fn compile_here() -> Result<(), String> {
    let is_file = Path::new(COMPONENT).symlink_metadata().is_ok_and(|metadata| metadata.is_file());
    if !is_file {
        return Err(format!("this is started by the host only: there is no file {COMPONENT} here"));
    }
    let component = read_file("the component", Path::new(COMPONENT), MAX_COMPONENT_BYTES);
    let compiled = compile(&component.map_err(|error| error.to_string())?).map_err(|error| error.to_string())?;
    let written = std::fs::File::create_new(COMPILED).and_then(|mut file| file.write_all(&compiled));
    written.map_err(|error| format!("writing {COMPILED}: {error}"))
}
