//! Runs that outlast their process, from any process on the same home.

mod answers;
mod limits;
mod stopping;

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use fusebox::core::event::{HostEvent, KillLifted, KillSet};
use serde_json::{Value, json};

use crate::place::{Place, events, lines, refused, step, text};

/// Exit code and JSON lines of a command.
fn json_of(place: &Place, args: &[&str]) -> (i32, Vec<Value>) {
    let output = place.fusebox(&[args, &["--json"]].concat());
    (output.status.code().unwrap(), lines(&output))
}

/// Creates a run of these steps and gives its id.
fn start(place: &Place, steps: &Value, more: &[&str]) -> String {
    place.plan(steps);
    let args = ["start", "plan.json", "--workspace", "workspace"];
    let (code, lines) = json_of(place, &[&args, more].concat());
    assert_eq!(code, 0, "{lines:?}");
    lines[0]["run_id"].as_str().unwrap().to_owned()
}

fn state(place: &Place, run: &str) -> (String, Value) {
    let listed = place.listed();
    let found = listed.iter().find(|listed| listed["run_id"] == run).unwrap();
    (found["state"].as_str().unwrap().to_owned(), found["why"].clone())
}

fn append(text: &str) -> Value {
    step("run_command", json!({ "shell": format!("echo {text} >> effects") }))
}

fn effects(place: &Place) -> String {
    std::fs::read_to_string(place.path("workspace/effects")).unwrap_or_default()
}

/// The only question that is open.
fn asked(place: &Place) -> String {
    let (_, lines) = json_of(place, &["approvals"]);
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines[0]["id"].as_str().unwrap().to_owned()
}

/// An approver's key, made on a terminal.
fn key(place: &Place) -> String {
    let (code, shown) = place.on_a_terminal(&["approvers", "add", "ann", "--out", "ann.key"], "", &[], &[]);
    assert_eq!(code, 0, "{shown}");
    place.path("ann.key").to_str().unwrap().to_owned()
}

/// Begins to carry a run on in a process of its own, and waits until a step has begun.
fn begin(place: &Place, run: &str) -> Child {
    let args = ["continue", run, "--approve", "all"];
    let child = place.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for(|| place.path("workspace/started").exists(), "the step did not start");
    child
}

fn wait_for(mut what: impl FnMut() -> bool, why: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !what() {
        assert!(Instant::now() < deadline, "{why}");
        std::thread::yield_now();
    }
}

fn kill_9(child: &mut Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A step that begins, waits for a file, and only then has its effect.
fn slow() -> Value {
    step(
        "run_command",
        json!({ "shell": "touch started; while ! test -e go; do sleep 0.02; done; echo slow >> effects" }),
    )
}

#[test]
fn a_run_goes_step_by_step_through_many_processes() {
    let place = Place::new();
    let run = start(&place, &json!([append("1"), append("2")]), &[]);
    assert_eq!(state(&place, &run), ("CREATED".into(), Value::Null));
    for done in ["1\n", "1\n2\n"] {
        let (code, lines) = json_of(&place, &["next", &run, "--approve", "all"]);
        assert_eq!((code, effects(&place).as_str()), (6, done));
        assert_eq!(lines.last().unwrap()["waiting"]["for"], "next_step");
        assert_eq!(state(&place, &run), ("RUNNING".into(), "between-steps".into()));
    }
    place.write(
        "step.json",
        json!({ "step_type": "run_command", "input": { "shell": "echo 3 >> effects" } }).to_string(),
    );
    let (code, added) = json_of(&place, &["add-step", &run, "step.json"]);
    assert_eq!((code, added[0]["step"].as_str()), (0, Some("step-3")));
    let (code, _) = json_of(&place, &["continue", &run, "--approve", "all"]);
    assert_eq!((code, effects(&place).as_str()), (0, "1\n2\n3\n"));
    assert_eq!(state(&place, &run).0, "COMPLETED");
    refused(&place, &["continue", &run], "FBX-5024", "COMPLETED");
    refused(&place, &["add-step", &run, "step.json"], "FBX-5024", "COMPLETED");
    refused(&place, &["pause", &run], "FBX-5024", "COMPLETED");
    refused(&place, &["continue", "nobody"], "FBX-5022", "nobody");
    // The whole of it is one chain, and reads like one run.
    let (_, shown) = json_of(&place, &["show", &run]);
    let seqs: Vec<_> = shown.iter().filter_map(|line| line["seq"].as_u64()).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    assert!(text(&place.fusebox(&["show", &run]).stdout).contains("3/3 run_command"));
}

#[test]
fn a_step_that_guards_deny_does_not_get_into_a_plan() {
    let place = Place::new();
    let run = start(&place, &json!([append("1")]), &[]);
    place.write("bad.json", r#"{"step_type": "read_file", "input": {"pth": "a"}}"#);
    refused(&place, &["add-step", &run, "bad.json"], "FBX-5013", "pth");
    place.write("unknown.json", r#"{"step_type": "raed_file", "input": {}}"#);
    refused(&place, &["add-step", &run, "unknown.json"], "FBX-5012", "read_file");
    place.write("twice.json", r#"{"id": "step-1", "step_type": "read_file", "input": {"path": "a"}}"#);
    refused(&place, &["add-step", &run, "twice.json"], "FBX-1010", "step-1");
    place.write(
        "guard.wasm",
        fusebox_tests::guard_of_plans("", "(i32.store8 (i32.const 16) (i32.const 3)) (i32.const 16)"),
    );
    place.write("policy.toml", "[guards.hostile]\npath = 'guard.wasm'");
    place.write("step.json", json!({ "step_type": "run_command", "input": { "argv": ["true"] } }).to_string());
    let (code, lines) = json_of(&place, &["add-step", &run, "step.json", "--policy", "policy.toml"]);
    assert_eq!((code, lines[0]["code"].as_str()), (3, Some("FBX-5035")), "{lines:?}");
    let (_, shown) = json_of(&place, &["show", &run]);
    assert!(events(&shown, "step_added").is_empty());
}

#[test]
fn two_processes_never_drive_one_run() {
    let place = Place::new();
    let run = start(&place, &json!([slow()]), &[]);
    let mut child = begin(&place, &run);
    for command in ["continue", "next", "resume"] {
        refused(&place, &[command, &run], "FBX-5023", &child.id().to_string());
    }
    assert_eq!(place.listed()[0]["driven"], true);
    place.write("workspace/go", "");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(effects(&place), "slow\n");
}

#[test]
fn runs_are_found_by_state_agent_tenant_and_time() {
    let place = Place::new();
    let created = start(&place, &json!([append("1")]), &["--tenant", "acme"]);
    place.write("workspace/a", "x");
    place.run_steps(&json!([step("read_file", json!({ "path": "a" }))]), &[]);
    let count = |args: &[&str]| json_of(&place, &[&["runs"], args].concat()).1.len();
    assert_eq!((count(&[]), count(&["--limit", "1"])), (2, 1));
    assert_eq!((count(&["--state", "created"]), count(&["--state", "completed", "--state", "created"])), (1, 2));
    assert_eq!((count(&["--tenant", "acme"]), count(&["--agent", "tester"]), count(&["--agent", "x"])), (1, 2, 0));
    assert_eq!((count(&["--since", "1h"]), count(&["--until", "1h"])), (2, 0));
    assert_eq!(count(&["--since", "2020-01-01T00:00:00Z"]), 2);
    assert_eq!(place.fusebox(&["runs", "--since", "yesterday"]).status.code(), Some(2));
    assert!(text(&place.fusebox(&["runs"]).stdout).contains(&created));
}

#[test]
fn a_tail_shows_a_run_to_its_end() {
    let place = Place::new();
    let run = start(&place, &json!([slow()]), &[]);
    let tail = place.command(&["tail", &run, "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut child = begin(&place, &run);
    place.write("workspace/go", "");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let tailed = lines(&tail.wait_with_output().unwrap());
    let (_, shown) = json_of(&place, &["show", &run]);
    assert_eq!(tailed, shown[1..]);
    assert_eq!(tailed.last().unwrap()["event"], "run_ended");
}

/// A script that may run without an approval, begins, and ends when it is let.
fn script(place: &Place) -> Value {
    place.write(
        "home/fusebox.toml",
        "[guards.command-policy.settings]\nallow = ['./slow.sh']\n[step_types.run_command]\nneeds_approval = false",
    );
    let file = place.write(
        "workspace/slow.sh",
        "#!/bin/sh\necho began >> effects; touch started\nwhile ! test -e go; do sleep 0.02; done\n",
    );
    std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    step("run_command", json!({ "argv": ["./slow.sh"] }))
}

#[test]
fn one_damaged_run_hides_and_holds_up_nothing_of_the_others() {
    let place = Place::new();
    let runs: Vec<String> = (0..3).map(|_| start(&place, &json!([append("1")]), &[])).collect();
    assert_eq!(json_of(&place, &["continue", &runs[2]]).0, 6);
    let log = rusqlite::Connection::open(place.path("home/log.sqlite")).unwrap();
    log.execute_batch("DROP TRIGGER events_are_not_updated").unwrap();
    log.execute(
        "UPDATE events SET payload = replace(payload, 'test', 'tset') WHERE run_id = ?1 AND seq = 1",
        [&runs[1]],
    )
    .unwrap();
    drop(log);
    refused_as(&place, &["continue", &runs[1]], 1, "FBX-4006");
    assert_eq!(json_of(&place, &["grants"]).0, 0);
    let (code, killed) = json_of(&place, &["kill", "--all"]);
    assert_eq!((code, events(&killed, "kill").len()), (0, 3), "{killed:?}");
    for run in &runs {
        assert_eq!(state(&place, run).0, "KILLED");
    }
    refused(&place, &["tail", "nobody"], "FBX-5022", "nobody");
    refused(&place, &["kill", "--tenant", "a\nb"], "FBX-1025", "tenant");
}

fn refused_as(place: &Place, args: &[&str], code: i32, name: &str) {
    let (exit, lines) = json_of(place, args);
    assert_eq!((exit, lines.last().unwrap()["code"].as_str()), (code, Some(name)), "{lines:?}");
}
