//! Processes see only what they may, and none outlives its step.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]
#![cfg(unix)]

use std::time::Duration;

use fusebox_effects::{Environment, ProcessExit, ProcessSpec, Workspace, resolve_program, run_process};

fn spec(folder: &std::path::Path, line: &str) -> ProcessSpec {
    let environment = Environment::allowed(std::env::vars_os());
    ProcessSpec {
        program: resolve_program("sh", folder, &environment).unwrap(),
        argv: vec!["sh".into(), "-c".into(), line.into()],
        cwd: Workspace::open(folder).unwrap().open_folder(&"".parse().unwrap()).unwrap(),
        cwd_path: folder.to_owned(),
        environment,
        time_limit: Some(Duration::from_secs(30)),
        keep_bytes: 1024,
    }
}

async fn sh(line: &str) -> ProcessExit {
    let folder = tempfile::tempdir().unwrap();
    run_process(spec(folder.path(), line), |_, _| {}).await.unwrap()
}

#[tokio::test]
async fn output_and_exit_code_are_given_back() {
    let exit = sh("echo out; echo err >&2; exit 3").await;
    assert_eq!((exit.code, exit.stdout.as_slice(), exit.stderr.as_slice()), (Some(3), &b"out\n"[..], &b"err\n"[..]));
}

#[tokio::test]
async fn it_starts_in_its_folder_with_an_environment_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let exit = run_process(spec(folder.path(), "pwd -P; env"), |_, _| {}).await.unwrap();
    let text = String::from_utf8(exit.stdout).unwrap();
    assert!(text.starts_with(&folder.path().canonicalize().unwrap().display().to_string()), "{text}");
    assert!(!text.contains("CARGO"), "{text}");
}

#[tokio::test]
async fn a_time_limit_kills_the_whole_group() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = spec(folder.path(), "trap '' TERM; sleep 1000 & echo $!; wait");
    spec.time_limit = Some(Duration::from_millis(300));
    let exit = run_process(spec, |_, _| {}).await.unwrap();
    assert!(exit.timed_out && exit.signal == Some(9), "{exit:?}");
    assert_gone(&exit.stdout);
}

#[tokio::test]
async fn what_was_left_in_the_background_is_killed() {
    let exit = sh("sleep 1000 & echo $!").await;
    assert_eq!(exit.code, Some(0));
    assert_gone(&exit.stdout);
}

#[tokio::test]
async fn dropping_the_future_kills_it() {
    let folder = tempfile::tempdir().unwrap();
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let running = run_process(spec(folder.path(), "sleep 1000 & echo $!; wait"), move |_, bytes| {
        let _ = sender.send(bytes.to_vec());
    });
    let pid = tokio::select! {
        _ = running => panic!("it must not end by itself"),
        pid = receiver.recv() => pid.unwrap(),
    };
    assert_gone(&pid);
}

#[tokio::test]
async fn endless_output_is_bounded() {
    let exit = sh("head -c 3000000 /dev/zero").await;
    assert_eq!(exit.stdout_size, 3_000_000);
    assert!(exit.stdout.len() < 2000);
}

/// The process whose id was printed has ended, or is a zombie that waits for its new parent.
fn assert_gone(printed: &[u8]) {
    let pid = String::from_utf8_lossy(printed).trim().to_owned();
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while std::time::Instant::now() < deadline {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
        match status {
            Err(_) => return,
            Ok(text) if text.lines().any(|line| line.starts_with("State:") && line.contains('Z')) => return,
            Ok(_) => std::thread::yield_now(),
        }
    }
    panic!("process {pid} is still there");
}
