//! Processes see only what they may, and none outlives its step; both with the launcher and, where policy accepts that,
//! without.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fusebox_core::policy::{ProcessPolicy, Protection};
use fusebox_effects::{
    Confinement, ConfinementSetup, Environment, Error, NamespaceMode, Output, ProcessExit, ProcessSpec, StartMode,
    Workspace, resolve_program, run_process,
};

fn environment() -> Environment {
    Environment::allowed(std::env::vars_os())
}

fn confined(policy: ProcessPolicy) -> Confinement {
    let launcher = Some(env!("CARGO_BIN_EXE_fusebox").into());
    Confinement::new(ConfinementSetup { launcher, policy, environment: environment(), ..ConfinementSetup::default() })
}

fn both() -> [Confinement; 2] {
    let policy = ProcessPolicy { accept_missing: Protection::ALL.to_vec(), ..ProcessPolicy::default() };
    let bare = Confinement::new(ConfinementSetup { policy, environment: environment(), ..ConfinementSetup::default() });
    let confined = confined(ProcessPolicy::default());
    assert_eq!(
        confined.start_mode().unwrap(),
        StartMode::Launched(NamespaceMode::Namespaces),
        "{:?}",
        confined.protections()
    );
    assert_eq!(bare.start_mode().unwrap(), StartMode::Unconfined);
    [confined, bare]
}

fn spec(folder: &Path, line: &str) -> ProcessSpec {
    let environment = environment();
    ProcessSpec {
        program: resolve_program("sh", folder, &environment, &|_| true).unwrap(),
        argv: vec!["sh".into(), "-c".into(), line.into()],
        cwd: "".parse().unwrap(),
        workspace: Workspace::open(folder).unwrap().open_folder(&"".parse().unwrap()).unwrap(),
        workspace_path: folder.canonicalize().unwrap(),
        environment,
        time_limit: Some(Duration::from_secs(60)),
        kill: None,
        keep_bytes: 1024,
    }
}

async fn sh(confinement: &Confinement, line: &str) -> ProcessExit {
    let folder = tempfile::tempdir().unwrap();
    run_process(spec(folder.path(), line), confinement, |_, _| {}).await.unwrap()
}

/// A time to sleep that no other process of this machine sleeps: a mark that finds it again.
fn mark() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("1000.{}{:04}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Processes of this machine that carry the mark.
fn marked(mark: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(mark)).collect()
}

/// Without the launcher, those who left the group may take a moment to be found dead.
fn assert_gone(mark: &str) {
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while !marked(mark).is_empty() {
        assert!(std::time::Instant::now() < deadline, "still there: {:?}", marked(mark));
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn output_and_exit_code_are_given_back() {
    for confinement in both() {
        let exit = sh(&confinement, "echo out; echo err >&2; printf '\\377\\000'; exit 3").await;
        assert_eq!(exit.code, Some(3));
        assert_eq!((exit.stdout.as_slice(), exit.stderr.as_slice()), (&b"out\n\xff\0"[..], &b"err\n"[..]));
        let exit = sh(&confinement, "kill -ABRT $$").await;
        assert_eq!((exit.code, exit.signal), (None, Some(6)));
    }
}

#[tokio::test]
async fn it_starts_in_its_folder_with_an_environment_of_its_own() {
    for confinement in both() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        let mut spec = spec(folder.path(), "pwd -P; env");
        spec.cwd = "sub".parse().unwrap();
        let exit = run_process(spec, &confinement, |_, _| {}).await.unwrap();
        let text = String::from_utf8(exit.stdout).unwrap();
        let sub = folder.path().canonicalize().unwrap().join("sub");
        assert!(text.starts_with(&format!("{}\n", sub.display())), "{text}");
        assert!(!text.contains("CARGO"), "{text}");
    }
}

#[tokio::test]
async fn a_time_limit_ends_everything() {
    for confinement in both() {
        let (folder, mark) = (tempfile::tempdir().unwrap(), mark());
        let mut spec = spec(folder.path(), &format!("trap '' TERM; sleep {mark} & sleep {mark}; sleep {mark}"));
        spec.time_limit = Some(Duration::from_millis(300));
        let exit = run_process(spec, &confinement, |_, _| {}).await.unwrap();
        assert!(exit.timed_out && exit.signal == Some(9), "{exit:?}");
        assert_gone(&mark);
    }
}

#[tokio::test]
async fn what_was_left_in_the_background_is_ended() {
    for confinement in both() {
        let mark = mark();
        assert_eq!(sh(&confinement, &format!("sleep {mark} & exit 0")).await.code, Some(0));
        assert_gone(&mark);
    }
}

#[tokio::test]
async fn nobody_leaves_a_sandbox_by_leaving_its_group() {
    let confinement = confined(ProcessPolicy::default());
    let lines = [
        "setsid sleep MARK & exit 0",
        "(setsid sh -c 'setsid sleep MARK & ' & ) ; exit 0",
        "nohup sh -c 'trap \"\" TERM HUP INT; sleep MARK; sleep MARK' > /dev/null 2>&1 & exit 0",
        "sleep MARK & kill -STOP $!; exit 0",
        // A child that is traced and stopped.
        "python3 -c \"import ctypes, os, signal\nif os.fork() == 0:\n ctypes.CDLL(None).ptrace(0, 0, 0, 0)\n \
         os.kill(os.getpid(), signal.SIGSTOP)\n os.execlp('sleep', 'sleep', 'MARK')\nos.wait()\nos._exit(0)\"",
        // A daemon that nobody waits for.
        "python3 -c \"import os\nif os.fork() == 0:\n os.setsid()\n if os.fork() == 0:\n  \
         os.execlp('sleep', 'sleep', 'MARK')\n os._exit(0)\nos.wait()\"",
    ];
    for line in lines {
        let mark = mark();
        let exit = sh(&confinement, &line.replace("MARK", &mark)).await;
        assert_eq!(exit.code, Some(0), "{line}: {}", String::from_utf8_lossy(&exit.stderr));
        assert!(marked(&mark).is_empty(), "{line} left {:?}", marked(&mark));
    }
}

#[tokio::test]
async fn dropping_the_future_ends_everything_before_it_returns() {
    let [confined, bare] = both();
    for (confinement, is_confined) in [(confined, true), (bare, false)] {
        let (folder, mark) = (tempfile::tempdir().unwrap(), mark());
        let line = format!("echo started; setsid sleep {mark} & sleep {mark}; sleep {mark}");
        let line = if is_confined { line } else { line.replace("setsid ", "") };
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let running = run_process(spec(folder.path(), &line), &confinement, move |_, bytes: &[u8]| {
            let _ = sender.send(bytes.to_vec());
        });
        tokio::select! {
            ended = running => panic!("it must not end by itself: {ended:?}"),
            started = receiver.recv() => assert_eq!(started.unwrap(), b"started\n"),
        }
        if is_confined {
            assert!(marked(&mark).is_empty(), "{:?}", marked(&mark));
        }
        assert_gone(&mark);
        let children = std::fs::read_to_string(format!("/proc/self/task/{}/children", std::process::id()));
        for child in children.unwrap_or_default().split_whitespace() {
            let status = std::fs::read_to_string(format!("/proc/{child}/status")).unwrap_or_default();
            assert!(!(is_confined && status.contains("Name:\tfusebox") && status.contains("zombie")), "{status}");
        }
    }
}

#[tokio::test]
async fn a_gigabyte_of_output_is_counted_and_not_kept() {
    let confinement = confined(ProcessPolicy::default());
    let (folder, mut seen) = (tempfile::tempdir().unwrap(), 0);
    let exit = run_process(spec(folder.path(), "head -c 1000000000 /dev/zero"), &confinement, |stream, bytes| {
        assert_eq!(stream, Output::Stdout);
        seen += bytes.len();
    });
    let exit = exit.await.unwrap();
    assert_eq!((exit.stdout_size, seen), (1_000_000_000, 1_000_000_000));
    assert!(exit.stdout.len() < 2000);
}

#[tokio::test]
async fn what_cannot_be_started_says_why() {
    let confinement = confined(ProcessPolicy::default());
    let folder = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    std::fs::copy("/bin/true", other.path().join("tool")).unwrap();
    let mut hidden = spec(folder.path(), "");
    hidden.program = other.path().join("tool");
    let error = run_process(hidden, &confinement, |_, _| {}).await.unwrap_err();
    assert!(matches!(&error, Error::Confinement { message, .. } if message.contains("[process.paths")), "{error}");
    std::fs::write(folder.path().join("text"), "no program").unwrap();
    let mut text = spec(folder.path(), "");
    text.program = folder.path().join("text");
    assert!(matches!(run_process(text, &confinement, |_, _| {}).await, Err(Error::Confinement { .. })));
    let mut swapped = spec(folder.path(), "pwd");
    std::os::unix::fs::symlink("/usr", folder.path().join("link")).unwrap();
    swapped.cwd = "link".parse().unwrap();
    assert!(matches!(run_process(swapped, &confinement, |_, _| {}).await, Err(Error::Confinement { .. })));
    let mut root = spec(folder.path(), "true");
    root.workspace_path = "/".into();
    assert!(matches!(run_process(root, &confinement, |_, _| {}).await, Err(Error::Confinement { .. })));
}

#[tokio::test]
async fn without_a_launcher_nothing_starts_unless_policy_accepts_it() {
    let none = Confinement::new(ConfinementSetup { environment: environment(), ..ConfinementSetup::default() });
    let folder = tempfile::tempdir().unwrap();
    let error = run_process(spec(folder.path(), "true"), &none, |_, _| {}).await.unwrap_err();
    assert!(matches!(&error, Error::Unconfined { missing } if missing.contains("launcher")), "{error}");
    let broken = ConfinementSetup { launcher: Some("/bin/false".into()), ..ConfinementSetup::default() };
    assert!(matches!(Confinement::new(broken).start_mode(), Err(Error::Confinement { .. })));
}
