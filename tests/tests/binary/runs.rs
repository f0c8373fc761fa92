//! Runs that outlast their process, from any process on the same home.

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
    place
        .write("guard.wasm", fusebox_tests::guard_of_plans("(i32.store8 (i32.const 16) (i32.const 3)) (i32.const 16)"));
    place.write("policy.toml", "[guards.hostile]\npath = 'guard.wasm'");
    place.write("step.json", json!({ "step_type": "run_command", "input": { "argv": ["true"] } }).to_string());
    let (code, lines) = json_of(&place, &["add-step", &run, "step.json", "--policy", "policy.toml"]);
    assert_eq!((code, lines[0]["code"].as_str()), (3, Some("FBX-5035")), "{lines:?}");
    let (_, shown) = json_of(&place, &["show", &run]);
    assert!(events(&shown, "step_added").is_empty());
}

#[test]
fn an_approval_outlasts_its_process_and_is_given_once() {
    let place = Place::new();
    let key = key(&place);
    let run = start(&place, &json!([append("1")]), &[]);
    assert_eq!(json_of(&place, &["continue", &run]).0, 6);
    assert_eq!(state(&place, &run), ("PAUSED".into(), "approval".into()));
    let id = asked(&place);
    // It takes a person.
    refused(&place, &["approve", &id, "--yes"], "FBX-5031", "terminal");
    refused(&place, &["reject", &id, "--reason", "no"], "FBX-5031", "terminal");
    refused(&place, &["approvers", "add", "eve", "--out", "eve.key"], "FBX-5031", "terminal");
    refused(&place, &["approve", "0123456789abcdef", "--key", &key], "FBX-5028", "0123456789abcdef");
    refused(&place, &["approve", "", "--key", &key], "FBX-5028", "");
    refused(&place, &["approve", "%", "--key", &key], "FBX-5028", "%");
    refused(&place, &["approve", &id, "--as-done", "--key", &key], "FBX-5033", "in doubt");
    let (code, told) = json_of(&place, &["approve", &id[..6], "--key", &key, "--note", "go on"]);
    assert_eq!((code, told[0]["by"].as_str()), (0, Some("ann")), "{told:?}");
    for second in [&["approve", id.as_str()][..], &["reject", id.as_str(), "--reason", "too late"]] {
        refused(&place, &[second, &["--key", &key]].concat(), "FBX-5030", "already decided by ann at");
    }
    assert_eq!(effects(&place), "", "an approval begins nothing");
    assert_eq!(json_of(&place, &["continue", &run]).0, 0);
    assert_eq!(effects(&place), "1\n");
    let (_, shown) = json_of(&place, &["show", &run]);
    let decided = events(&shown, "approval_decided");
    assert_eq!((decided.len(), &decided[0]["note"], &decided[0]["signed"]["key"]), (1, &json!("go on"), &json!("ann")));
    // A key that was taken away approves nothing.
    let run = start(&place, &json!([append("2")]), &[]);
    assert_eq!(json_of(&place, &["continue", &run]).0, 6);
    assert_eq!(place.fusebox(&["approvers", "remove", "ann"]).status.code(), Some(0));
    refused(&place, &["approve", &asked(&place), "--key", &key], "FBX-5032", "ann");
}

#[test]
fn a_person_approves_rejects_and_edits_on_a_terminal_from_elsewhere() {
    let place = Place::new();
    let run = start(&place, &json!([append("1")]), &[]);
    assert_eq!(json_of(&place, &["continue", &run]).0, 6);
    let id = asked(&place);
    let (code, shown) = place.on_a_terminal(&["approve", &id], "", &["n\n"], &[]);
    assert_eq!(code, 1, "{shown}");
    assert!(shown.contains("echo 1 >> effects") && shown.contains("nothing was decided"), "{shown}");
    place.write("input.json", json!({ "shell": "echo edited >> effects" }).to_string());
    place.write("wrong.json", json!({ "shel": 1 }).to_string());
    let (code, shown) = place.on_a_terminal(&["approve", &id, "--edit", "wrong.json"], "", &[], &[]);
    assert_eq!(code, 2, "{shown}");
    let (code, shown) = place.on_a_terminal(&["approve", &id, "--edit", "input.json"], "", &["y\n"], &[]);
    assert_eq!(code, 0, "{shown}");
    // It is a new action: judged again, and asked for again.
    assert_eq!(json_of(&place, &["continue", &run]).0, 6);
    let again = asked(&place);
    assert_ne!(again, id);
    let (code, shown) = place.on_a_terminal(&["approve", &again], "", &["y\n"], &[]);
    assert!(code == 0 && shown.contains("echo edited"), "{shown}");
    assert_eq!(json_of(&place, &["continue", &run]).0, 0);
    assert_eq!(effects(&place), "edited\n");

    let run = start(&place, &json!([append("2")]), &[]);
    assert_eq!(json_of(&place, &["continue", &run]).0, 6);
    let (code, shown) = place.on_a_terminal(&["reject", &asked(&place), "--reason", "not today"], "", &[], &[]);
    assert!(code == 0 && shown.contains("FAILED"), "{shown}");
    assert_eq!(state(&place, &run), ("FAILED".into(), "denied".into()));
}

#[test]
fn whoever_waits_at_a_terminal_sees_what_was_decided_elsewhere() {
    let place = Place::new();
    let key = key(&place);
    let run = start(&place, &json!([append("1")]), &[]);
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| place.on_a_terminal(&["continue", &run], "", &[], &[]));
        wait_for(|| json_of(&place, &["approvals"]).1.len() == 1, "it did not ask");
        let id = asked(&place);
        assert_eq!(json_of(&place, &["approve", &id, "--key", &key]).0, 0);
        let (code, shown) = waits.join().unwrap();
        assert_eq!(code, 0, "{shown}");
        assert!(shown.contains("COMPLETED"), "{shown}");
    });
    assert_eq!(effects(&place), "1\n");
}

#[test]
fn what_changed_since_it_was_approved_is_asked_again() {
    let place = Place::new();
    let key = key(&place);
    place.write("workspace/a", "one");
    let edit = step("edit_file", json!({ "path": "a", "new_content": "two" }));
    let changes: [(&str, &dyn Fn()); 2] = [
        ("the file", &|| {
            place.write("workspace/a", "somebody else's");
        }),
        ("the policy", &|| {
            place.write("home/fusebox.toml", "[limits]\nsteps = 50");
        }),
    ];
    for (what, change) in changes {
        place.write("workspace/a", "one");
        let run = start(&place, &json!([edit]), &[]);
        assert_eq!(json_of(&place, &["continue", &run]).0, 6);
        let first = asked(&place);
        assert_eq!(json_of(&place, &["approve", &first, "--key", &key]).0, 0);
        change();
        let before = std::fs::read_to_string(place.path("workspace/a")).unwrap();
        assert_eq!(json_of(&place, &["continue", &run]).0, 6, "{what}");
        let again = asked(&place);
        assert_ne!(first, again, "{what}");
        assert_eq!(std::fs::read_to_string(place.path("workspace/a")).unwrap(), before, "{what}");
        assert_eq!(json_of(&place, &["reject", &again, "--reason", "it changed", "--key", &key]).0, 0);
    }
}

#[test]
fn grants_are_listed_revoked_and_never_wider_than_asked() {
    let place = Place::new();
    let key = key(&place);
    let run = start(&place, &json!([append("1"), append("1"), append("2"), append("1")]), &[]);
    assert_eq!(json_of(&place, &["continue", &run]).0, 6);
    let id = asked(&place);
    assert_eq!(json_of(&place, &["approve", &id, "--kind", "--for", "1h", "--key", &key]).0, 0);
    assert_eq!(json_of(&place, &["continue", &run]).0, 6);
    assert_eq!(effects(&place), "1\n1\n", "the very same command, and no other one");
    let (_, grants) = json_of(&place, &["grants"]);
    assert_eq!(
        (grants.len(), grants[0]["grant"].as_str(), grants[0]["by"].as_str()),
        (1, Some(id.as_str()), Some("ann"))
    );
    assert!(grants[0]["until"].is_string() && grants[0]["kind"].to_string().contains("echo 1"), "{grants:?}");
    assert_eq!(json_of(&place, &["approve", &asked(&place), "--key", &key]).0, 0);
    refused(&place, &["revoke", &run, "0123456789abcdef"], "FBX-5034", "0123456789abcdef");
    assert_eq!(json_of(&place, &["revoke", &run, &id]).0, 0);
    assert_eq!(json_of(&place, &["continue", &run]).0, 6, "the fourth is asked for again");
    assert_eq!(effects(&place), "1\n1\n2\n");
    assert!(json_of(&place, &["grants"]).1.is_empty());
}

#[test]
fn an_approval_whose_time_is_up_is_a_refusal() {
    let place = Place::new();
    let key = key(&place);
    place.write("home/fusebox.toml", "[approval]\nexpires_s = 1");
    let run = start(&place, &json!([append("1")]), &[]);
    assert_eq!(json_of(&place, &["continue", &run]).0, 6);
    let id = asked(&place);
    let due = Instant::now() + Duration::from_secs(1);
    wait_for(|| Instant::now() > due, "time stands still");
    refused(&place, &["approve", &id, "--key", &key], "FBX-5030", "its time is up");
    let (code, recovered) = json_of(&place, &["recover"]);
    assert_eq!((code, recovered[0]["state"].as_str()), (0, Some("FAILED")), "{recovered:?}");
    refused(&place, &["approve", &id, "--key", &key], "FBX-5030", "already decided by nobody");
    assert_eq!(state(&place, &run), ("FAILED".into(), "denied".into()));
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
fn a_pause_lets_the_step_end_and_the_run_goes_on_where_it_was() {
    let place = Place::new();
    let run = start(&place, &json!([slow(), append("2")]), &[]);
    let mut child = begin(&place, &run);
    let (code, told) = json_of(&place, &["pause", &run, "--reason", "lunch"]);
    assert_eq!((code, told[0]["outcome"].as_str()), (0, Some("asked")));
    place.write("workspace/go", "");
    assert_eq!(child.wait().unwrap().code(), Some(6));
    assert_eq!((effects(&place).as_str(), state(&place, &run)), ("slow\n", ("PAUSED".into(), "operator".into())));
    assert_eq!(json_of(&place, &["pause", &run]).1[0]["outcome"], "was_paused");
    refused(&place, &["continue", &run], "FBX-5025", "resume");
    assert_eq!(json_of(&place, &["resume", &run]).1[0]["was_paused"], true);
    assert_eq!(json_of(&place, &["resume", &run]).1[0]["was_paused"], false);
    assert_eq!(json_of(&place, &["continue", &run, "--approve", "all"]).0, 0);
    assert_eq!(effects(&place), "slow\n2\n");
}

#[test]
fn a_command_that_was_cut_off_is_for_a_person_to_judge() {
    let place = Place::new();
    let key = key(&place);
    // Answered three ways: it is done again, it counts as done, the run ends.
    for (answer, code, then) in [
        (&["approve"][..], 0, "slow\n2\n"),
        (&["approve", "--as-done"], 0, "2\n"),
        (&["reject", "--reason", "no"], 2, ""),
    ] {
        for file in ["started", "go", "effects"] {
            let _ = std::fs::remove_file(place.path("workspace").join(file));
        }
        let run = start(&place, &json!([slow(), append("2")]), &[]);
        kill_9(&mut begin(&place, &run));
        let (_, recovered) = json_of(&place, &["recover"]);
        assert_eq!(recovered[0]["state"], "PAUSED", "{recovered:?}");
        assert_eq!(state(&place, &run), ("PAUSED".into(), "in-doubt".into()));
        assert!(json_of(&place, &["recover"]).1.is_empty(), "once is enough");
        assert_eq!(json_of(&place, &["continue", &run, "--approve", "all"]).0, 6, "nobody decides that beforehand");
        let id = asked(&place);
        let shown = text(&place.fusebox(&["approvals", &id]).stderr);
        assert!(shown.contains("In doubt") && shown.contains("unknown whether"), "{shown}");
        let args = [&[answer[0], id.as_str()], &answer[1..], &["--key", &key]].concat();
        assert_eq!(json_of(&place, &args).0, 0);
        place.write("workspace/go", "");
        assert_eq!(json_of(&place, &["continue", &run, "--approve", "all"]).0, code, "{answer:?}");
        assert_eq!(effects(&place), then, "{answer:?}");
    }
}

#[test]
fn a_kill_is_final_whatever_a_run_is_doing() {
    let place = Place::new();
    let waiting = start(&place, &json!([append("1")]), &[]);
    assert_eq!(json_of(&place, &["continue", &waiting]).0, 6);
    let created = start(&place, &json!([append("2")]), &["--tenant", "acme"]);
    let driven = start(&place, &json!([slow()]), &[]);
    let mut child = begin(&place, &driven);
    let (code, killed) = json_of(&place, &["kill", "--tenant", "acme"]);
    assert_eq!((code, killed.len()), (0, 2), "{killed:?}");
    assert_eq!((&killed[0]["run_id"], &killed[0]["outcome"]), (&json!(created), &json!("killed")));
    assert!(child.try_wait().unwrap().is_none(), "another tenant's run goes on");
    place.plan(&json!([append("3")]));
    let args = ["run", "plan.json", "--workspace", "workspace", "--approve", "all"];
    let refused = place.fusebox(&[&args[..], &["--tenant", "acme"]].concat());
    assert_eq!(refused.status.code(), Some(4), "{}", text(&refused.stderr));
    let (code, killed) = json_of(&place, &["kill", "--all"]);
    assert_eq!((code, events(&killed, "kill").len()), (0, 2), "{killed:?}");
    assert_eq!(child.wait().unwrap().code(), Some(4));
    for run in [&waiting, &created, &driven] {
        assert_eq!(state(&place, run).0, "KILLED");
    }
    assert!(json_of(&place, &["approvals"]).1.is_empty());
    // Nothing begins, nothing is allowed.
    let output = place.fusebox(&args);
    assert!(output.status.code() == Some(4) && text(&output.stderr).contains("unkill"), "{}", text(&output.stderr));
    place.write("action.json", r#"{"step_type": "read_file", "input": {"path": "a"}}"#);
    place.write("workspace/a", "x");
    let check = ["check", "action.json", "--workspace", "workspace"];
    assert_eq!(place.fusebox(&check).status.code(), Some(3));
    assert!(text(&place.fusebox(&["runs"]).stdout).contains("the kill switch for all runs is set"));
    // Lifted, it revives nothing.
    assert_eq!(json_of(&place, &["unkill", "--all"]).1[0]["was_set"], true);
    assert_eq!(json_of(&place, &["unkill", "--all"]).1[0]["was_set"], false);
    assert_eq!(place.fusebox(&check).status.code(), Some(0));
    for run in [&waiting, &created, &driven] {
        crate::place::refused(&place, &["continue", run], "FBX-5024", "KILLED");
    }
    assert_eq!(place.fusebox(&args).status.code(), Some(0));
    assert_eq!(effects(&place), "3\n");
}

#[test]
fn a_kill_of_a_run_whose_process_is_gone_is_final_too() {
    let place = Place::new();
    let run = start(&place, &json!([slow()]), &[]);
    kill_9(&mut begin(&place, &run));
    let (code, killed) = json_of(&place, &["kill", &run]);
    assert_eq!((code, killed[0]["outcome"].as_str()), (0, Some("killed")), "{killed:?}");
    assert_eq!(json_of(&place, &["kill", &run]).1[0]["outcome"], "ended");
    assert_eq!(state(&place, &run).0, "KILLED");
}

#[test]
fn runs_of_a_tenant_share_its_budget() {
    let place = Place::new();
    place.write("workspace/a", "x");
    place.write("home/fusebox.toml", "[tenants.acme.limits]\nsteps = 5");
    let steps: Vec<Value> = (0..3).map(|_| step("read_file", json!({ "path": "a" }))).collect();
    place.plan(&json!(steps));
    let args = ["run", "plan.json", "--workspace", "workspace", "--tenant", "acme", "--json"];
    let runs: Vec<Child> = (0..4).map(|_| place.command(&args).stdout(Stdio::null()).spawn().unwrap()).collect();
    let mut codes: Vec<_> = runs.into_iter().map(|mut run| run.wait().unwrap().code().unwrap()).collect();
    codes.sort_unstable();
    assert!(codes.iter().all(|code| [0, 5].contains(code)) && codes.contains(&5), "{codes:?}");
    let completed: u64 = place.listed().iter().map(|run| run["completed"].as_u64().unwrap()).sum();
    assert_eq!(completed, 5, "not one more, and none is lost");
    let ended = place.fusebox(&args);
    assert_eq!(ended.status.code(), Some(5));
    assert!(text(&ended.stdout).contains("the budget steps of the tenant acme"), "{}", text(&ended.stdout));
    refused(&place, &["run", "plan.json", "--workspace", "workspace", "--tenant", "a b"], "FBX-1025", "a b");
    place.plan(&json!(steps));
    assert_eq!(place.fusebox(&["run", "plan.json", "--workspace", "workspace"]).status.code(), Some(0), "others go on");
}

#[test]
fn a_warning_comes_before_a_budget_ends() {
    let place = Place::new();
    place.write("workspace/a", "x");
    let steps: Vec<Value> = (0..5).map(|_| step("read_file", json!({ "path": "a" }))).collect();
    let (code, lines) = place.run_steps(&json!(steps), &["--budget-steps", "5"]);
    let warnings = events(&lines, "budget_warning");
    assert_eq!((code, warnings.len()), (0, 1));
    assert_eq!(
        (&warnings[0]["budget"], &warnings[0]["used"], &warnings[0]["limit"]),
        (&json!("steps"), &json!(4), &json!(5))
    );
}

#[test]
fn an_agent_that_keeps_failing_is_held_up_by_the_breaker() {
    let place = Place::new();
    place.write("home/fusebox.toml", "[breaker]\nfailures = 2\ncooldown_s = 1");
    place.plan(&json!([step("run_command", json!({ "argv": ["false"] }))]));
    let args = ["run", "plan.json", "--workspace", "workspace", "--approve", "all", "--json"];
    let codes: Vec<_> = (0..3).map(|_| place.fusebox(&args).status.code().unwrap()).collect();
    assert_eq!(codes, [1, 1, 3], "the third is not even judged");
    let output = place.fusebox(&args);
    assert!(text(&output.stdout).contains("the breaker opened after 2 failures one after the other"));
    // After the cooldown one probes; it works, and the breaker is closed.
    place.plan(&json!([
        step("run_command", json!({ "argv": ["true"] })),
        step("run_command", json!({ "argv": ["true"] }))
    ]));
    wait_for(|| place.fusebox(&args).status.code() == Some(0), "the breaker stays open");
    let log = rusqlite::Connection::open(place.path("home/log.sqlite")).unwrap();
    let turns: Vec<String> = log
        .prepare("SELECT json_extract(payload, '$.to') FROM events WHERE kind = 'breaker_changed' ORDER BY log_index")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(turns, ["OPEN", "HALF_OPEN", "CLOSED"]);
}

#[test]
fn steps_come_no_faster_than_policy_lets_them() {
    let place = Place::new();
    place.write("workspace/a", "x");
    place.write("home/fusebox.toml", "[[rate_limits]]\nstep_type = 'read_file'\ncount = 2\nper_s = 1");
    let read = || step("read_file", json!({ "path": "a" }));
    let (code, lines) = place.run_steps(&json!([read(), read(), read(), append("1")]), &[]);
    let delayed = events(&lines, "step_delayed");
    assert_eq!((code, delayed.len(), delayed[0]["step"].as_str()), (0, 1, Some("step-3")));
    let until = delayed[0]["until_us"].as_u64().unwrap();
    let proposed = events(&lines, "step_proposed");
    let at = |index: usize| -> u64 {
        let time: jiff::Timestamp = proposed[index]["time"].as_str().unwrap().parse().unwrap();
        u64::try_from(time.as_microsecond()).unwrap()
    };
    assert!(at(2) >= until && at(2) >= at(0) + 400_000, "{} {until}", at(2));
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
fn whoever_tails_a_run_sees_it_to_its_end() {
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
fn whoever_waits_leaves_a_run_to_the_process_that_carried_it_on() {
    let place = Place::new();
    let steps = json!([step("edit_file", json!({ "path": "b.txt", "new_content": "b" })), script(&place)]);
    let run = start(&place, &steps, &[]);
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| place.on_a_terminal(&["continue", &run], "", &[], &[]));
        wait_for(|| json_of(&place, &["approvals"]).1.len() == 1, "it did not ask");
        // Another one carries it on, and dies in the middle of the next step.
        kill_9(&mut begin(&place, &run));
        let (code, shown) = waits.join().unwrap();
        assert_eq!(code, 6, "{shown}");
        assert!(shown.contains("another process carries it on"), "{shown}");
    });
    assert_eq!(effects(&place), "began\n");
    assert_eq!(json_of(&place, &["continue", &run, "--approve", "all"]).0, 6);
    assert_eq!((effects(&place).as_str(), state(&place, &run)), ("began\n", ("PAUSED".into(), "in-doubt".into())));
}

#[test]
fn a_tenants_budget_is_counted_once_however_often_a_run_is_taken_up() {
    let place = Place::new();
    place.write("workspace/a", "x");
    place.write("home/fusebox.toml", "[tenants.acme.limits]\nsteps = 4\nfuel = 100000000");
    let steps: Vec<Value> = (0..4).map(|_| step("read_file", json!({ "path": "a" }))).collect();
    let run = start(&place, &json!(steps), &["--tenant", "acme"]);
    for _ in 0..4 {
        assert_eq!(json_of(&place, &["next", &run]).0, 6);
    }
    assert_eq!(json_of(&place, &["continue", &run]).0, 0);
}

#[test]
fn a_small_budget_of_a_tenant_is_enough_for_what_fits_into_it() {
    let place = Place::new();
    place.write("workspace/a", "x");
    place.write("home/fusebox.toml", "[tenants.acme.limits]\nfuel = 400000\ntime_us = 30000000");
    place.plan(&json!([step("read_file", json!({ "path": "a" }))]));
    let args = ["run", "plan.json", "--workspace", "workspace", "--tenant", "acme"];
    let output = place.fusebox(&args);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    let codes: Vec<_> = (0..20).map(|_| place.fusebox(&args).status.code().unwrap()).collect();
    assert_eq!(codes.last(), Some(&5), "it is used up in the end: {codes:?}");
}

#[test]
fn a_switch_that_is_lifted_at_once_has_killed_what_was_there() {
    let place = Place::new();
    let runs: Vec<String> = (0..3).map(|_| start(&place, &json!([append("1")]), &["--tenant", "acme"])).collect();
    // Whoever pulled it died before ending anything.
    let log = fusebox_store::SqliteStore::open(&place.path("home/log.sqlite")).unwrap();
    let mut chain = fusebox_core::event::Chain::new("host".parse().unwrap());
    let target = fusebox_core::KillTarget::Tenant("acme".into());
    for event in [
        HostEvent::KillSet(KillSet { target: target.clone(), by: "p".into() }),
        HostEvent::KillLifted(KillLifted { target, by: "p".into() }),
    ] {
        let events = vec![chain.seal_host(&event, 1)];
        let batch = fusebox_store::Batch { events, ..fusebox_store::Batch::default() };
        fusebox_store::Events::append(&log, batch).wait().unwrap();
    }
    drop(log);
    for run in &runs {
        let code = place.fusebox(&["continue", run, "--approve", "all"]).status.code();
        assert!(matches!(code, Some(2 | 4)), "{code:?}");
        assert_eq!(state(&place, run).0, "KILLED");
    }
    place.plan(&json!([append("2")]));
    let args = ["run", "plan.json", "--workspace", "workspace", "--approve", "all", "--tenant", "acme"];
    assert_eq!(place.fusebox(&args).status.code(), Some(0), "what begins later is not killed");
    assert_eq!(effects(&place), "2\n");
}

#[test]
fn a_pause_that_was_asked_for_outlasts_the_process_that_was_asked() {
    let place = Place::new();
    let run = start(&place, &json!([slow(), append("2")]), &[]);
    let mut child = begin(&place, &run);
    assert_eq!(json_of(&place, &["pause", &run]).1[0]["outcome"], "asked");
    kill_9(&mut child);
    refused(&place, &["continue", &run], "FBX-5025", "resume");
    assert_eq!(state(&place, &run), ("PAUSED".into(), "operator".into()));
}

#[test]
fn time_in_which_nobody_worked_on_a_run_is_charged_to_nobody() {
    let place = Place::new();
    place.write("home/fusebox.toml", "[tenants.acme.limits]\ntime_us = 3600000000");
    let run = start(&place, &json!([slow()]), &["--tenant", "acme"]);
    kill_9(&mut begin(&place, &run));
    let due = Instant::now() + Duration::from_secs(3);
    wait_for(|| Instant::now() > due, "time stands still");
    assert_eq!(json_of(&place, &["kill", &run]).0, 0);
    let log = rusqlite::Connection::open(place.path("home/log.sqlite")).unwrap();
    let charged: u64 =
        log.query_row("SELECT amount FROM reserved WHERE budget = 'time_us'", [], |row| row.get(0)).unwrap();
    assert!(charged < 2_500_000, "{charged}");
}

#[test]
fn a_breaker_counts_steps_that_waited_for_an_approval() {
    let place = Place::new();
    place.write("home/fusebox.toml", "[breaker]\nfailures = 2\ncooldown_s = 3600");
    let codes: Vec<_> = (0..3)
        .map(|_| {
            let run = start(&place, &json!([step("run_command", json!({ "argv": ["false"] }))]), &[]);
            json_of(&place, &["continue", &run, "--approve", "later"]);
            json_of(&place, &["continue", &run, "--approve", "all"]).0
        })
        .collect();
    assert_eq!(codes[..2], [1, 1]);
    assert_ne!(codes[2], 1, "the third does not begin");
}

#[test]
fn one_rate_limit_is_not_charged_for_what_another_one_refuses() {
    let place = Place::new();
    place.write("workspace/a", "x");
    place.write("home/fusebox.toml", "[[rate_limits]]\ncount = 3\nper_s = 3600\n[[rate_limits]]\ncount = 2\nper_s = 1");
    let read = || step("read_file", json!({ "path": "a" }));
    let (code, lines) = place.run_steps(&json!([read(), read(), read()]), &[]);
    assert_eq!((code, events(&lines, "step_delayed").len()), (0, 1));
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
