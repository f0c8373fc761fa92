//! A store that is full, read-only, torn or damaged: what was acknowledged stays or is missed loudly, and nothing is done that
//! is not recorded.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::place::{Place, binary, events, lines, step, text};

fn append(number: u32) -> Value {
    step("run_command", json!({ "shell": format!("echo {number} >> effects") }))
}

fn effects(place: &Place) -> usize {
    std::fs::read_to_string(place.path("workspace/effects")).unwrap_or_default().lines().count()
}

const RUN: &str = "run plan.json --workspace workspace --approve all --json";

/// Whether this test may do what only root can.
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs a line of shell where the home is a small file system of its own.
fn on_a_small_disk(place: &Place, line: &str) -> Output {
    let script = format!(
        "set -e; cp -a home kept; mount -t tmpfs -o size=40m,mode=700 tmpfs home; cp -a kept/. home/; chmod 700 home; \
         F={}; {line}",
        binary().display()
    );
    Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
        .current_dir(place.folder.path())
        .env("FUSEBOX_HOME", place.path("home"))
        .env("TMPDIR", place.folder.path())
        .env_remove("FUSEBOX_POLICY")
        .output()
        .unwrap()
}

#[test]
fn a_full_disk_fails_closed_and_the_run_goes_on_once_there_is_room() {
    let place = Place::new().without_risk();
    place.plan(&json!((0..20).map(append).collect::<Vec<_>>()));
    // It fills up while the run goes on: what is left is some pages.
    let fill = "$F plugins > /dev/null; dd if=/dev/zero of=home/filler bs=1k 2> /dev/null || true; \
                truncate -s -300k home/filler";
    let run = format!("$F {RUN} > first.json 2> first.err && exit 99; $F runs --json > listed.json || true");
    let again = "rm home/filler; $F recover > /dev/null; RUN=$($F runs --json | sed 's/.*\"run_id\":\"\\([^\"]*\\).*/\\1/'); \
                 $F show $RUN --json > shown.json; $F continue $RUN --approve all --json > second.json; echo $? > code";
    let output =
        on_a_small_disk(&place, &format!("{fill}; {run}; cp workspace/effects before || touch before; {again}"));
    assert!(output.status.success(), "{output:?}");
    let read = |name: &str| std::fs::read_to_string(place.path(name)).unwrap();
    let parse =
        |name: &str| -> Vec<Value> { read(name).lines().filter_map(|line| serde_json::from_str(line).ok()).collect() };
    let first = parse("first.json");
    assert!(first.last().unwrap()["code"] == "FBX-4004", "{:?}", first.last());
    let shown = parse("shown.json");
    // No effect without its record, and every event that was reported is there.
    let intended = events(&shown, "effect_intended").len();
    assert!(read("before").lines().count() <= intended, "{} {intended}", read("before"));
    let hashes: Vec<_> = shown.iter().map(|event| event["hash"].clone()).collect();
    assert!(first.iter().filter(|event| event["seq"].is_u64()).all(|event| hashes.contains(&event["hash"])));
    let code: i32 = read("code").trim().parse().unwrap();
    // At the most one command was under way when the disk was full: a person is asked about it.
    match code {
        0 => assert_eq!(effects(&place), 20),
        6 => assert_eq!(parse("second.json").last().unwrap()["waiting"]["for"], "doubt"),
        other => panic!("{other}: {}", read("second.json")),
    }
}

#[test]
fn a_store_that_may_only_be_read_does_nothing() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    place.plan(&json!([append(1)]));
    let args: Vec<&str> = RUN.split(' ').collect();
    assert_eq!(place.fusebox(&args).status.code(), Some(0));
    // Another user's home, with a log that only root may write to.
    for path in ["", "workspace", "home", "home/cache", "home/leases", "home/board"] {
        let path = place.path(path);
        if path.exists() {
            std::os::unix::fs::chown(&path, Some(65534), Some(65534)).unwrap();
        }
    }
    for file in std::fs::read_dir(place.path("home/cache")).unwrap() {
        std::os::unix::fs::chown(file.unwrap().path(), Some(65534), Some(65534)).unwrap();
    }
    for file in std::fs::read_dir(place.path("home/audit")).unwrap() {
        std::os::unix::fs::chown(file.unwrap().path(), Some(65534), Some(65534)).unwrap();
    }
    std::os::unix::fs::chown(place.path("home/audit"), Some(65534), Some(65534)).unwrap();
    let log = place.path("home/log.sqlite");
    std::fs::set_permissions(&log, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let nobody = |args: &[&str]| -> Output {
        Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(binary())
            .args(args)
            .current_dir(place.folder.path())
            .env("FUSEBOX_HOME", place.path("home"))
            .env("TMPDIR", place.folder.path())
            .output()
            .unwrap()
    };
    let before = effects(&place);
    let output = nobody(&args);
    if output.status.code() == Some(126) || output.status.code() == Some(127) {
        // The binary lies where another user cannot reach it.
        return;
    }
    let said = lines(&output);
    assert_eq!((output.status.code(), said[0]["code"].as_str()), (Some(1), Some("FBX-4010")), "{output:?}");
    assert_eq!(effects(&place), before, "nothing was done");
}

#[test]
fn a_log_whose_end_was_torn_off_is_sound_up_to_there() {
    for cut in [1, 100, 4096, 5000] {
        let place = Place::new();
        let steps = json!([
            append(1),
            step("run_command", json!({ "shell": "touch started; while test -e hold; do sleep 0.05; done" }))
        ]);
        place.plan(&steps);
        place.write("workspace/hold", "");
        let args: Vec<&str> = RUN.split(' ').collect();
        let mut child = place.command(&args).stdout(std::process::Stdio::null()).spawn().unwrap();
        while !place.path("workspace/started").exists() {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        std::fs::remove_file(place.path("workspace/hold")).unwrap();
        let wal = std::fs::OpenOptions::new().write(true).open(place.path("home/log.sqlite-wal")).unwrap();
        let length = wal.metadata().unwrap().len();
        wal.set_len(length.saturating_sub(cut)).unwrap();
        // Nothing is made up: what is left is a chain from its start, and the run reaches a sound state.
        let output = place.fusebox(&["recover", "--json"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let listed = place.listed();
        assert!(["RUNNING", "PAUSED"].contains(&listed[0]["state"].as_str().unwrap()), "{listed:?}");
        let run = listed[0]["run_id"].as_str().unwrap();
        let shown = lines(&place.fusebox(&["show", run, "--json"]));
        let seqs: Vec<_> = shown.iter().filter_map(|event| event["seq"].as_u64()).collect();
        assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
        let continued = place.fusebox(&["continue", run, "--approve", "none", "--json"]);
        assert!(!text(&continued.stderr).contains("panicked") && continued.status.code().is_some(), "{continued:?}");
    }
}

#[test]
fn a_flipped_bit_is_noticed_or_makes_no_difference() {
    let place = Place::new();
    place.plan(&json!([append(1), append(2)]));
    let args: Vec<&str> = RUN.split(' ').collect();
    assert_eq!(place.fusebox(&args).status.code(), Some(0));
    let run = place.listed()[0]["run_id"].as_str().unwrap().to_owned();
    let show = || place.fusebox(&["show", &run, "--json"]);
    let sound = lines(&show());
    let log = place.path("home/log.sqlite");
    let connection = rusqlite::Connection::open(&log).unwrap();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(connection);
    let whole = std::fs::read(&log).unwrap();
    let (mut noticed, mut harmless) = (0, 0);
    for _ in 0..150 {
        let at = fastrand::u64(..whole.len() as u64);
        let mut file = std::fs::OpenOptions::new().read(true).write(true).open(&log).unwrap();
        let mut byte = [0];
        file.seek(SeekFrom::Start(at)).unwrap();
        file.read_exact(&mut byte).unwrap();
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(&[byte[0] ^ (1 << fastrand::u32(..8))]).unwrap();
        drop(file);
        let output = show();
        let said = lines(&output);
        match output.status.code() {
            Some(0) => {
                // The row of the list is a read model; the events are what must be true.
                assert_eq!(said[1..], sound[1..], "the bit at {at}");
                harmless += 1;
            }
            Some(1 | 2) => {
                let code = said.last().unwrap()["code"].as_str().unwrap();
                assert!(
                    [
                        "FBX-4001", "FBX-4002", "FBX-4003", "FBX-4006", "FBX-4011", "FBX-4015", "FBX-4016", "FBX-5022",
                        "FBX-5040", "FBX-5058"
                    ]
                    .contains(&code),
                    "{said:?}"
                );
                let reported = said.iter().filter(|event| event["seq"].is_u64());
                assert!(reported.into_iter().all(|event| sound.contains(event)), "the bit at {at}");
                noticed += 1;
            }
            other => panic!("{other:?} {output:?}"),
        }
        for leftover in ["home/log.sqlite-wal", "home/log.sqlite-shm"] {
            let _ = std::fs::remove_file(place.path(leftover));
        }
        std::fs::write(&log, &whole).unwrap();
    }
    assert!(noticed > 0 && harmless > 0, "{noticed} {harmless}");
}
