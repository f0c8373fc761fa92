//! The first process of a sandbox: it builds the sandbox around itself, drops the privileges for that, starts the
//! program, and reaps the processes that the program leaves behind. When it ends, so do all processes in the sandbox.

use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fusebox_core::policy::{PathAccess, Protection};
use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::process::{DumpableBehavior, Pid, WaitOptions};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::landlock::{Allowed, Ports};
use super::order::{Order, Program, Report, Task};
use super::root::SandboxSetupError;
use super::seccomp::Sockets;
use super::usage::{self, Watch};
use super::{channel, landlock, network, order, rlimits, root, seccomp};
use crate::isolation::{Enforcement, NamespaceMode, ProtectionStatus};

/// Builds the sandbox and carries the order out.
pub fn run(control: UnixStream) {
    let received = channel::receive(&control).map_err(|error| SandboxSetupError::Failed(error.to_string()));
    let report = match received.and_then(|order| carry_out(order, &control)) {
        Ok(()) => return,
        Err(SandboxSetupError::Failed(what)) => Report::Refused { what },
        Err(SandboxSetupError::Unavailable(what)) => Report::Unavailable { what },
    };
    // If this fails, there is no receiver left.
    let _ = channel::send(&control, &report);
}

fn carry_out(order: Order, control: &UnixStream) -> Result<(), SandboxSetupError> {
    let enforced = isolate(&order)?;
    confine(order, control, enforced).map_err(SandboxSetupError::Failed)
}

fn isolate(order: &Order) -> Result<Vec<ProtectionStatus>, SandboxSetupError> {
    // No process in the sandbox may look into this one or stop it.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|error| SandboxSetupError::Failed(error.to_string()))?;
    let mut enforced = Vec::new();
    if order.level == NamespaceMode::Namespaces {
        namespaces(order, &mut enforced)?;
    }
    Ok(enforced)
}

fn confine(order: Order, control: &UnixStream, mut enforced: Vec<ProtectionStatus>) -> Result<(), String> {
    rlimits::set(&order.bounds)?;
    match &order.task {
        Task::Probe => {
            restrict(&order, &mut enforced)?;
            channel::send(control, &Report::Enforced(enforced)).map_err(|error| error.to_string())
        }
        Task::Start(program) => {
            let cwd = open_cwd(&order, &program.cwd)?;
            rustix::process::fchdir(cwd).map_err(|error| format!("entering {}: {error}", program.cwd))?;
            restrict(&order, &mut enforced)?;
            start(program, &order, control)
        }
    }
}

fn holds(name: &str, how: impl Into<String>) -> ProtectionStatus {
    ProtectionStatus::found(name, Enforcement::Wholly, how)
}

/// Own files, processes and network.
fn namespaces(order: &Order, enforced: &mut Vec<ProtectionStatus>) -> Result<(), SandboxSetupError> {
    let mut processes = Ok(());
    root::enter(order, |proc| processes = rlimits::bound_namespace(proc, order.bounds.processes))?;
    enforced.push(holds(Protection::Namespaces.name(), "own files, processes, users and temporary folders"));
    if order.network {
        enforced.push(holds("network", "the policy grants it"));
    } else {
        network::loopback_up()
            .map_err(|error| SandboxSetupError::Failed(format!("the loopback interface: {error}")))?;
        enforced.push(holds("network", "none but a loopback interface of its own"));
    }
    let most = order.bounds.processes;
    let (counted, how) = match (&order.cgroup, processes) {
        (Some(_), _) => (Enforcement::Wholly, format!("{most} at once, by cgroup")),
        (None, Ok(())) => (
            Enforcement::Wholly,
            format!("{} at once, by a limit of the namespace", most.max(rlimits::FEWEST_PROCESSES)),
        ),
        (None, Err(_)) if rustix::process::getuid().is_root() => {
            (Enforcement::Not, "root's processes cannot be counted without cgroup v2 or Linux 6.14".to_owned())
        }
        (None, Err(_)) => (Enforcement::Wholly, format!("{most} at once, by rlimit")),
    };
    enforced.push(ProtectionStatus::found("processes", counted, how));
    enforced.push(memory(order));
    Ok(())
}

/// Enforcement of the memory limit.
pub fn memory(order: &Order) -> ProtectionStatus {
    let mib = order.bounds.memory / (1024 * 1024);
    match order.cgroup {
        Some(_) => holds("memory", format!("{mib} MiB, by cgroup")),
        None => ProtectionStatus::found(
            "memory",
            Enforcement::Partly,
            format!(
                "{mib} MiB each by rlimit, their sum read every {} ms, because no cgroup v2 is delegated",
                usage::INTERVAL.as_millis()
            ),
        ),
    }
}

fn open_cwd(order: &Order, cwd: &str) -> Result<std::os::fd::OwnedFd, String> {
    let failed = |error: rustix::io::Errno| format!("opening the folder {cwd:?} of the workspace: {error}");
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let workspace = match order.level {
        NamespaceMode::Namespaces => rustix::fs::open(&order.workspace, flags, Mode::empty()).map_err(failed)?,
        // It was started there.
        NamespaceMode::Shared => rustix::fs::open(".", flags, Mode::empty()).map_err(failed)?,
    };
    let inside = if cwd.is_empty() { "." } else { cwd };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(workspace, inside, flags, Mode::empty(), resolve).map_err(failed)
}

/// Drops all privileges that building the sandbox needed.
fn restrict(order: &Order, enforced: &mut Vec<ProtectionStatus>) -> Result<(), String> {
    let failed = |what: &'static str| move |error: rustix::io::Errno| format!("{what}: {error}");
    rustix::thread::set_no_new_privs(true).map_err(failed("no_new_privs"))?;
    drop_capabilities().map_err(failed("giving up capabilities"))?;
    let (ports, sockets) = match (order.network, order.level) {
        (true, _) | (false, NamespaceMode::Namespaces) => (Ports::Open, Sockets::Network),
        (false, NamespaceMode::Shared) => (Ports::Closed, Sockets::Local),
    };
    let paths = paths(order);
    if order.level == NamespaceMode::Shared {
        keeps_absent(order, &paths)?;
    }
    let landlock = landlock::restrict(&paths, ports).map(|version| format!("version {version} of its rules"));
    add(enforced, order, Protection::Landlock, landlock)?;
    let seccomp = seccomp::restrict(sockets).map(|()| "system calls that no command needs are refused".to_owned());
    add(enforced, order, Protection::Seccomp, seccomp)
}

fn add(
    enforced: &mut Vec<ProtectionStatus>,
    order: &Order,
    protection: Protection,
    done: Result<String, String>,
) -> Result<(), String> {
    let found = match done {
        Ok(how) => holds(protection.name(), how),
        Err(why) if matches!(order.task, Task::Probe) || order.accept_missing.contains(&protection) => {
            ProtectionStatus::found(protection.name(), Enforcement::Not, why)
        }
        Err(why) => return Err(format!("{}: {why}", protection.name())),
    };
    enforced.push(found);
    Ok(())
}

fn drop_capabilities() -> rustix::io::Result<()> {
    let had = rustix::thread::capabilities(None)?.permitted;
    for bit in (0..u64::BITS).map(|bit| CapabilitySet::from_bits_retain(1 << bit)).filter(|bit| had.contains(*bit)) {
        // Without the right to, there is nothing in the set that could be gained: no_new_privs holds.
        let _ = rustix::thread::remove_capability_from_bounding_set(bit);
    }
    rustix::thread::clear_ambient_capability_set()?;
    let none = CapabilitySet::empty();
    rustix::thread::set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
}

/// Paths that may be opened, for Landlock.
fn paths(order: &Order) -> Vec<(PathBuf, Allowed)> {
    let mut paths: Vec<(PathBuf, Allowed)> = root::SYSTEM.iter().map(|path| (path.into(), Allowed::Read)).collect();
    paths.extend(root::DEVICES.iter().map(|name| (Path::new("/dev").join(name), Allowed::Use)));
    match order.level {
        NamespaceMode::Namespaces => {
            // All that is there was put there for it.
            paths.push(("/".into(), Allowed::List));
            paths.extend(["/etc", "/proc", "/dev"].map(|path| (path.into(), Allowed::Read)));
            paths.extend(["/tmp", "/var/tmp", "/run", "/dev/shm"].map(|path| (path.into(), Allowed::Change)));
        }
        NamespaceMode::Shared => {
            paths.extend(root::SETTINGS.iter().map(|name| (Path::new("/etc").join(name), Allowed::Read)));
        }
    }
    paths.extend(order.home.iter().map(|home| (home.clone(), Allowed::Change)));
    paths.extend(order.paths.iter().map(|(path, access)| {
        (path.clone(), if *access == PathAccess::Write { Allowed::Change } else { Allowed::Read })
    }));
    paths.push((order.workspace.clone(), Allowed::Change));
    paths
}

/// Landlock allows whole folders: a path that must be absent may not lie in one.
fn keeps_absent(order: &Order, paths: &[(PathBuf, Allowed)]) -> Result<(), String> {
    let allowed = || paths.iter().filter_map(|(path, _)| path.canonicalize().ok());
    for absent in order.absent.iter().filter(|path| path.is_dir()) {
        if let Some(above) = allowed().find(|above| absent.starts_with(above)) {
            let (absent, above) = (absent.display(), above.display());
            return Err(format!(
                "{absent} lies in {above}, which processes may use, and only namespaces could hide it"
            ));
        }
    }
    Ok(())
}

fn start(program: &Program, order: &Order, control: &UnixStream) -> Result<(), String> {
    let mut command = Command::new(&program.path);
    command.args(program.argv.iter().skip(1)).env_clear().envs(&program.environment).stdin(Stdio::null());
    if let Some(name) = program.argv.first() {
        command.arg0(name);
    }
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => format!(
            "{} cannot be seen in the sandbox; grant its folder with [process.paths.NAME] in the policy",
            program.path.display()
        ),
        _ => format!("starting {}: {error}", program.path.display()),
    };
    if order.level == NamespaceMode::Shared {
        return Err(failed(command.exec()));
    }
    // Neither a terminal nor signals of a group come from outside.
    let _ = rustix::process::setsid();
    let child = command.spawn().map_err(failed)?;
    let child = Pid::from_raw(child.id().cast_signed()).ok_or_else(|| "the program has no id".to_owned())?;
    let reported = Mutex::new(());
    let end = |report: Option<Report>| -> ! {
        let _only_once = reported.lock();
        if let Some(report) = report {
            let _ = channel::send(control, &report);
        }
        // The kernel ends everything that is left in the sandbox with its first process.
        std::process::exit(0)
    };
    let home = order.home.clone();
    let watch = Watch::new(order.bounds, order.workspace.clone(), home, order.cgroup.is_some());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            loop {
                if is_abandoned(control) {
                    end(None);
                }
                if let Some(why) = watch.over(&usage::all_processes) {
                    end(Some(order::stopped(why)));
                }
            }
        });
        loop {
            match rustix::process::wait(WaitOptions::empty()) {
                Ok(Some((id, status))) if id == child => end(Some(order::ended(status))),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => end(None),
            }
        }
    })
}

/// Waits a while; returns whether the host has gone.
fn is_abandoned(control: &UnixStream) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(control.as_fd(), PollFlags::IN)];
    let nanoseconds = i64::try_from(usage::INTERVAL.as_nanos()).unwrap_or(i64::MAX);
    let interval = Timespec { tv_sec: 0, tv_nsec: nanoseconds };
    poll(&mut fds, Some(&interval)).is_ok_and(|ready| ready > 0)
}
