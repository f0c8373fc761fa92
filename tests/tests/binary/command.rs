//! The binary, from outside: what goes in, what comes out, and how it ends.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use fusebox_tests::{executor, guard, root};
use serde_json::{Value, json};

use crate::place::{Place, binary, events, lines, refused, step, text};

#[test]
fn the_example_ends_with_passing_tests_and_leaves_the_original_alone() {
    let place = Place::new();
    let example = root().join("examples/fix-median");
    let before = std::fs::read_to_string(example.join("project/stats.py")).unwrap();
    let plan = example.join("plan.json");
    let cassette = example.join("cassette.json");
    let args = ["run", plan.to_str().unwrap(), "--cassette", cassette.to_str().unwrap(), "--approve", "all"];
    let output = place.fusebox(&args);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{shown}{}", text(&output.stderr));
    assert!(shown.contains("OK") && shown.contains("COMPLETED") && shown.contains("» The median"), "{shown}");
    assert_eq!(std::fs::read_to_string(example.join("project/stats.py")).unwrap(), before);
}

#[test]
fn without_a_terminal_nothing_is_approved() {
    let place = Place::new();
    for (approve, code, says) in [
        (&["--approve", "ask"][..], 6, "waits for an approval"),
        (&["--approve", "later"], 6, "waits for an approval"),
        (&["--approve", "none"], 3, "not approved"),
        (&[], 6, "waits for an approval"),
    ] {
        place.plan(&json!([step("run_command", json!({ "argv": ["touch", "mark"] }))]));
        let output = place.fusebox(&[&["run", "plan.json", "--workspace", "workspace"], approve].concat());
        assert_eq!(output.status.code(), Some(code), "{approve:?}");
        assert!(text(&output.stdout).contains(says), "{approve:?}");
        assert!(!place.path("workspace/mark").exists());
    }
}

#[test]
fn bad_plans_are_refused_each_with_its_own_code() {
    let place = Place::new();
    let plan = |steps: &str| format!(r#"{{"goal":"g","agent":{{"id":"a"}},"steps":{steps}}}"#);
    let read = r#"{"step_type":"read_file","input":{"path":"a"}}"#;
    let many = format!("[{}]", vec![read; 100_000].join(","));
    let deep = format!("[{}{read}{}]", r#"{"group":"g","steps":["#.repeat(20), "]}".repeat(20));
    let deeper = format!(r#"[{{"step_type":"x","input":{}1{}}}]"#, "[".repeat(100), "]".repeat(100));
    let cases: [(String, &str, &str); 12] = [
        ("not json".into(), "FBX-1001", "line 1"),
        (r#"{"goal":"a","goal":"b"}"#.into(), "FBX-1002", "goal"),
        (plan(r#"[{"step_type":"x","input":{"n":12345678901234567890}}]"#), "FBX-1003", "2^53"),
        (plan(&deeper), "FBX-1004", "deeper"),
        (plan(r#"[{"step_typ":"x"}]"#), "FBX-1006", "steps[0]"),
        (plan("[]"), "FBX-1007", "no steps"),
        (plan(&many), "FBX-1008", "10000"),
        (plan(&deep), "FBX-1009", "groups"),
        (plan(&format!("[{0},{0}]", r#"{"id":"a","step_type":"x","input":{}}"#)), "FBX-1010", "\"a\""),
        (plan(r#"[{"step_type":"raed_file","input":{}}]"#), "FBX-5012", "did you mean \"read_file\""),
        (plan(r#"[{"step_type":"read_file","input":{"pth":1}}]"#), "FBX-5013", "pth"),
        (plan(r#"[{"step_type":"edit_file","input":{"path":"a"}}]"#), "FBX-5013", "new_content"),
    ];
    for (text, code, words) in &cases {
        place.write("plan.json", text);
        refused(&place, &["run", "plan.json", "--workspace", "workspace"], code, words);
    }
}

#[test]
fn bad_command_lines_are_refused_each_with_its_own_code() {
    let place = Place::new();
    let plan = r#"{"goal":"g","agent":{"id":"a"},"steps":[{"step_type":"read_file","input":{"path":"a"}}]}"#;
    place.write("plan.json", plan);
    place.write("file", "");
    place.write("unknown.toml", "[guards.protected-path]");
    place.write("typo.toml", "[guards.protected-paths]\non_eror = 'deny'");
    place.write("kind.toml", "[guards.read_file]");
    place.write("settings.toml", "[guards.protected-paths.settings]\nprotect = ['/etc']");
    place.write("absent.toml", "[guards.mine]\npath = 'mine.wasm'");
    place.write("cut.toml", "[guards.hostile]\npath = 'cut.wasm'");
    place.write("world.toml", "[guards.hostile]\npath = 'executor.wasm'");
    place.write("reserved.toml", "[guards.protected-paths]\npath = 'guard.wasm'");
    let good = guard("(i32.const 16)");
    place.write("cut.wasm", &good[..good.len() / 2]);
    place.write("guard.wasm", &good);
    place.write("executor.wasm", executor("", ""));
    place.write("large.wasm", vec![0; 60_000_000]);
    let run = |more: &[&'static str]| [&["run", "plan.json"], more].concat();
    for (args, code, words) in [
        (vec!["run", "nowhere.json"], "FBX-5005", "nowhere.json"),
        (run(&["--workspace", "nowhere"]), "FBX-3001", "nowhere"),
        (run(&["--workspace", "file"]), "FBX-3002", "not a folder"),
        (run(&["--workspace", "home"]), "FBX-5015", "FUSEBOX_HOME"),
        (run(&["--workspace", "."]), "FBX-5015", "FUSEBOX_HOME"),
        (run(&["--workspace", "workspace", "--budget-steps", "0"]), "FBX-1014", "steps"),
        (run(&["--workspace", "workspace", "--policy", "nowhere.toml"]), "FBX-5005", "policy"),
        (run(&["--workspace", "workspace", "--policy", "typo.toml"]), "FBX-5006", "on_eror"),
        (run(&["--workspace", "workspace", "--policy", "unknown.toml"]), "FBX-5007", "did you mean"),
        (run(&["--workspace", "workspace", "--policy", "kind.toml"]), "FBX-5009", "another plugin"),
        (run(&["--workspace", "workspace", "--policy", "settings.toml"]), "FBX-5010", "/etc"),
        (run(&["--workspace", "workspace", "--policy", "absent.toml"]), "FBX-5005", "mine.wasm"),
        (run(&["--workspace", "workspace", "--policy", "cut.toml"]), "FBX-2003", "hostile"),
        (run(&["--workspace", "workspace", "--policy", "world.toml"]), "FBX-5009", "executor"),
        (run(&["--workspace", "workspace", "--policy", "reserved.toml"]), "FBX-5009", "bundled"),
        (vec!["plugins", "show", "nobody"], "FBX-5007", "nobody"),
        (vec!["plugins", "show", "./large.wasm"], "FBX-2002", "60000000"),
        (vec!["plugins", "show", "./cut.wasm"], "FBX-2003", "component"),
        (vec!["check", "nowhere.json"], "FBX-5005", "nowhere.json"),
        (vec!["check", "plan.json"], "FBX-1006", "goal"),
    ] {
        refused(&place, &args, code, words);
    }
    for bad in [&["run"][..], &["run", "plan.json", "--budget-usd", "lots"], &["fly"]] {
        assert_eq!(place.fusebox(bad).status.code(), Some(2), "{bad:?}");
    }
}

#[test]
fn a_run_writes_reads_and_tells_every_event() {
    let place = Place::new();
    let steps = json!([
        step("edit_file", json!({ "path": "sub/new.txt", "new_content": "hello\n" })),
        step("edit_file", json!({ "path": "sub/new.txt", "find": "hello", "replace": "goodbye" })),
        step("read_file", json!({ "path": "sub/new.txt" })),
        step("run_command", json!({ "shell": "wc -c < new.txt", "working_dir": "sub" })),
    ]);
    let (code, lines) = place.run_steps(&steps, &[]);
    assert_eq!(code, 0, "{lines:#?}");
    assert_eq!(std::fs::read_to_string(place.path("workspace/sub/new.txt")).unwrap(), "goodbye\n");
    assert_eq!(lines[0]["event"], "run_created");
    let run = &lines[0]["run_id"];
    let told = lines.len() - 1;
    for (index, line) in lines[..told].iter().enumerate() {
        assert_eq!((&line["run_id"], line["seq"].as_u64()), (run, Some(index as u64 + 1)));
        assert!(line["time"].as_str().unwrap().ends_with('Z'));
    }
    let summary = &lines[told];
    assert_eq!((&summary["event"], &summary["state"]), (&json!("summary"), &json!("COMPLETED")));
    assert!(summary["fuel"].as_u64().unwrap() > 0);
    assert_eq!(events(&lines, "step_completed").len(), 4);
    let processes: Vec<_> =
        events(&lines, "effect_intended").into_iter().filter(|e| e["effect"]["effect"] == "run").collect();
    assert!(processes[0]["note"].as_str().unwrap().contains("confined by namespaces"), "{processes:?}");
}

#[test]
fn guards_and_built_in_rules_deny_whatever_was_approved() {
    for (step_type, input, by) in [
        ("read_file", json!({ "path": ".env" }), "protected-paths"),
        ("edit_file", json!({ "path": ".git/hooks/pre-commit", "new_content": "x" }), "protected-paths"),
        ("run_command", json!({ "shell": "true; fusebox --help" }), "built-in"),
        ("run_command", json!({ "argv": [binary(), "--help"] }), "built-in"),
    ] {
        let place = Place::new();
        place.write("workspace/.env", "SECRET=1");
        let (code, lines) = place.run_steps(&json!([step(step_type, input.clone())]), &[]);
        assert_eq!(code, 3, "{input}");
        let decision = &events(&lines, "decided")[0]["decision"];
        assert_eq!((&decision["ruling"], &decision["reasons"][0]["by"]), (&json!("deny"), &json!(by)), "{input}");
        assert!(events(&lines, "step_started").is_empty() && events(&lines, "effect_intended").is_empty());
        assert!(!lines.iter().any(|line| line.to_string().contains("SECRET")));
    }
}

#[test]
fn paths_do_not_leave_the_workspace() {
    for path in ["../outside", "/etc/passwd", "link", "folder-link/file", "a/../../outside"] {
        let place = Place::new();
        place.write("outside", "outside");
        std::os::unix::fs::symlink("../outside", place.path("workspace/link")).unwrap();
        std::os::unix::fs::symlink("..", place.path("workspace/folder-link")).unwrap();
        for (step_type, input) in
            [("read_file", json!({ "path": path })), ("edit_file", json!({ "path": path, "new_content": "x" }))]
        {
            let (code, lines) = place.run_steps(&json!([step(step_type, input)]), &[]);
            // What a path says by itself is denied; a link is found when it is looked at.
            let is_link = path == "link" && step_type == "read_file";
            assert_eq!(code, if is_link { 1 } else { 3 }, "{step_type} {path}");
            assert!(events(&lines, "effect_intended").is_empty(), "{step_type} {path}");
        }
        assert_eq!(std::fs::read_to_string(place.path("outside")).unwrap(), "outside");
    }
}

#[test]
fn a_failed_step_ends_the_run_and_says_why() {
    let place = Place::new();
    let steps = json!([
        step("run_command", json!({ "shell": "echo oops >&2; exit 7" })),
        step("read_file", json!({ "path": "a" }))
    ]);
    let (code, lines) = place.run_steps(&steps, &[]);
    assert_eq!(code, 1);
    let failed = events(&lines, "step_failed")[0];
    assert!(failed["message"].as_str().unwrap().contains("exit code 7\noops"), "{failed}");
    assert_eq!(lines.last().unwrap()["steps"][1]["state"], "pending");
}

#[test]
fn budgets_are_hard() {
    let place = Place::new();
    place.write("workspace/a", "x");
    let steps = json!([step("read_file", json!({ "path": "a" })), step("read_file", json!({ "path": "a" }))]);
    for budget in [["--budget-steps", "1"], ["--budget-fuel", "1000"], ["--budget-fuel", "30000"]] {
        let (code, lines) = place.run_steps(&steps, &budget);
        assert_eq!(code, 5, "{budget:?} {:?}", lines.last());
        assert_eq!(lines.last().unwrap()["end"], "budget");
    }
    let sleeps = json!([step("run_command", json!({ "shell": "sleep 1000" }))]);
    let started = Instant::now();
    let (code, _) = place.run_steps(&sleeps, &["--budget-time", "1s"]);
    assert_eq!(code, 5);
    assert!(started.elapsed() < Duration::from_secs(60));
}

#[test]
fn on_denied_skip_goes_on() {
    let place = Place::new();
    place.write("workspace/a", "x");
    place.write("skip.toml", "[run]\non_denied = 'skip'");
    let steps = json!([step("read_file", json!({ "path": ".env.x" })), step("read_file", json!({ "path": "a" }))]);
    place.write("workspace/.env.x", "");
    let (code, lines) = place.run_steps(&steps, &["--policy", "skip.toml"]);
    assert_eq!(code, 0);
    let states: Vec<_> =
        lines.last().unwrap()["steps"].as_array().unwrap().iter().map(|s| s["state"].clone()).collect();
    assert_eq!(states, ["skipped", "completed"]);
}

#[test]
fn what_one_step_can_put_into_the_log_is_bounded() {
    let place = Place::new();
    let import = r#"(import "fusebox:plugin/workspace@0.1.0" "remove" (func $remove (param i32 i32 i32)))"#;
    let body = "(local.set 0 (i32.const 1500))
        (loop (call $remove (i32.const 2048) (i32.const 2) (i32.const 3000))
              (local.set 0 (i32.sub (local.get 0) (i32.const 1))) (br_if 0 (local.get 0)))";
    place.write("liar.wasm", executor(import, body));
    place.write("policy.toml", "[executors.hostile]\npath = 'liar.wasm'\ngrants = { workspace = true }");
    let (_, lines) = place.run_steps(&json!([step("hostile", json!({}))]), &["--policy", "policy.toml"]);
    assert_eq!(events(&lines, "effect_refused").len(), 1000);
}

#[test]
fn a_command_without_end_is_refused() {
    let place = Place::new().without_risk();
    let (code, lines) = place.run_steps(&json!([step("run_command", json!({ "shell": "x".repeat(200_000) }))]), &[]);
    assert_eq!(code, 1);
    assert!(events(&lines, "step_failed")[0]["message"].as_str().unwrap().contains("131072"));
}

#[test]
fn an_interrupt_stops_the_step_with_its_processes_and_pauses_the_run() {
    let place = Place::new();
    // Nobody else sleeps so long.
    let mark = format!("1000.{}", std::process::id());
    let steps = json!([
        step("run_command", json!({ "shell": format!("sleep {mark} & echo > started; wait") })),
        step("read_file", json!({ "path": "started" }))
    ]);
    place.write("plan.json", json!({ "goal": "g", "agent": { "id": "a" }, "steps": steps }).to_string());
    let args = ["run", "plan.json", "--workspace", "workspace", "--approve", "all"];
    let mut child = place.command(&args).stdout(Stdio::piped()).spawn().unwrap();
    wait_until_started(&place);
    let killed = Instant::now();
    let target = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(target, rustix::process::Signal::INT).unwrap();
    let mut shown = String::new();
    child.stdout.take().unwrap().read_to_string(&mut shown).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(6));
    assert!(killed.elapsed() < Duration::from_secs(10), "{:?}", killed.elapsed());
    assert!(shown.contains("pausing the run") && shown.contains("PAUSED"), "{shown}");
    assert_eq!(marked(&mark), 0, "it ended before the process did");
    // A command was under way: a person has to say what came of it.
    assert!(shown.contains("in doubt"), "{shown}");
    let listed = &place.listed()[0];
    assert_eq!((listed["state"].as_str(), listed["why"].as_str()), (Some("PAUSED"), Some("in-doubt")));
    let run = listed["run_id"].as_str().unwrap();
    assert_eq!(place.fusebox(&["continue", run, "--approve", "all"]).status.code(), Some(6));
}

/// Waits until the command of a step has made the file `started`.
#[cfg(target_os = "linux")]
fn wait_until_started(place: &Place) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !place.path("workspace/started").exists() {
        assert!(Instant::now() < deadline, "the process did not start");
        std::thread::yield_now();
    }
}

/// Processes whose command line holds this.
#[cfg(target_os = "linux")]
fn marked(mark: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let commands = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    commands.filter(|line| String::from_utf8_lossy(line).contains(mark)).count()
}

#[cfg(target_os = "linux")]
#[test]
fn whoever_does_not_read_holds_up_no_limit() {
    let place = Place::new();
    let mark = format!("1000.7{}", std::process::id());
    let script = format!("touch started; sleep {mark} & yes");
    place.plan(&json!([step("run_command", json!({ "shell": script, "timeout_s": 1 }))]));
    let args = ["run", "plan.json", "--workspace", "workspace", "--approve", "all"];
    // Its output goes into a pipe that nobody empties.
    let mut child = place.command(&args).stdout(Stdio::piped()).spawn().unwrap();
    wait_until_started(&place);
    let deadline = Instant::now() + Duration::from_secs(20);
    while marked(&mark) > 0 {
        assert!(Instant::now() < deadline, "the time limit did not hold");
        std::thread::yield_now();
    }
    assert!(child.try_wait().unwrap().is_none(), "it waits for its reader");
    child.kill().unwrap();
    child.wait().unwrap();

    // A kill waits for nobody: neither the processes nor the one that prints.
    std::fs::remove_file(place.path("workspace/started")).unwrap();
    let script = format!("touch started; sleep {mark} & yes");
    place.plan(&json!([step("run_command", json!({ "shell": script, "timeout_s": 600 }))]));
    let mut child = place.command(&args).stdout(Stdio::piped()).spawn().unwrap();
    wait_until_started(&place);
    assert!(text(&place.fusebox(&["kill", "--all"]).stdout).contains("was killed"));
    assert_eq!(marked(&mark), 0);
    assert_eq!(child.wait().unwrap().code(), Some(4));
}

#[cfg(target_os = "linux")]
#[test]
fn another_process_kills_a_run_whatever_it_is_doing() {
    let place = Place::new();
    place.write("spin.wasm", executor("", "(loop (br 0))"));
    place.write(
        "policy.toml",
        "[executors.hostile]\npath = 'spin.wasm'\nlimits = { fuel = 1000000000000, time_ms = 600000 }",
    );
    for (what, steps) in [
        ("a process", json!([step("run_command", json!({ "shell": "sleep 1000 & setsid sleep 1000" }))])),
        ("a guest", json!([step("hostile", json!({}))])),
    ] {
        place.plan(&steps);
        let args =
            ["run", "plan.json", "--workspace", "workspace", "--policy", "policy.toml", "--approve", "all", "--json"];
        let mut child = place.command(&args).stdout(Stdio::piped()).spawn().unwrap();
        let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut run = Value::Null;
        // A guest has no effect to wait for; its step has started.
        let sign = if what == "a guest" { "step_started" } else { "effect_intended" };
        loop {
            let mut line = String::new();
            assert!(std::io::BufRead::read_line(&mut output, &mut line).unwrap() > 0, "{what} ended by itself");
            let event: Value = serde_json::from_str(&line).unwrap();
            run = if run.is_null() { event["run_id"].clone() } else { run };
            if event["event"] == sign {
                break;
            }
        }
        let killed = place.fusebox(&["kill", run.as_str().unwrap(), "--json"]);
        assert_eq!(killed.status.code(), Some(0), "{what}: {}", text(&killed.stderr));
        let killed = &lines(&killed)[0];
        assert_eq!((&killed["outcome"], &killed["run_id"]), (&json!("killed"), &run), "{what}");
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(4), "{what}");
        let ended: Vec<Value> = rest.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let times = &events(&ended, "run_ended")[0]["kill"];
        assert_eq!(times["took_us"], killed["took_us"], "{what}");
        assert_eq!(
            times["stopped_us"].as_u64().unwrap() - times["requested_us"].as_u64().unwrap(),
            times["took_us"].as_u64().unwrap(),
            "{what}"
        );
        // It had ended before, and says so.
        let again = place.fusebox(&["kill", run.as_str().unwrap()]);
        assert!(again.status.success() && text(&again.stdout).contains("had ended"), "{what}");
    }
    assert!(text(&place.fusebox(&["kill", "--all"]).stdout).contains("no run is under way"));
    refused(&place, &["kill", "no-such-run"], "FBX-5022", "no run");
    let left: Vec<_> =
        std::fs::read_dir(place.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_str().unwrap().starts_with("fusebox-")), "{left:?}");
}

#[test]
fn one_action_is_judged_by_the_same_gate() {
    let place = Place::new();
    place.write("workspace/a.txt", "x");
    let cases = [
        (json!({ "step_type": "read_file", "input": { "path": "a.txt" } }), 0, "allow"),
        (json!({ "step_type": "edit_file", "input": { "path": "a.txt", "new_content": "y" } }), 6, "review"),
        (json!({ "step_type": "read_file", "input": { "path": "a.txt" }, "scope": "global" }), 6, "review"),
        (json!({ "step_type": "x", "input": {}, "effects": [{ "effect": "remove", "path": "a.txt" }] }), 6, "review"),
        (
            json!({ "step_type": "x", "input": {}, "effects": [{ "effect": "write", "path": "k.pem", "content": "" }] }),
            3,
            "deny",
        ),
    ];
    for (action, code, ruling) in cases {
        place.write("action.json", action.to_string());
        let output = place.fusebox(&["check", "action.json", "--workspace", "workspace", "--json"]);
        assert_eq!(output.status.code(), Some(code), "{action} {}", text(&output.stdout));
        assert_eq!(lines(&output)[0]["ruling"], ruling, "{action}");
    }
    let known = json!({ "step_type": "read_file", "input": { "path": "a.txt" }, "effects": [] });
    place.write("action.json", known.to_string());
    refused(&place, &["check", "action.json", "--workspace", "workspace"], "FBX-5017", "leave `effects` out");
}

#[test]
fn plugins_are_listed_and_shown() {
    let place = Place::new();
    let output = place.fusebox(&["plugins", "--json"]);
    let names: Vec<_> = lines(&output).iter().map(|line| line["name"].as_str().unwrap().to_owned()).collect();
    let executors = ["analyze", "edit_file", "read_file", "run_command", "summarize"];
    let others = ["command-policy", "protected-paths", "secret-scan", "workspace-impact"];
    assert_eq!(names, [&executors[..], &others[..]].concat());
    let shown = text(&place.fusebox(&["plugins", "show", "run_command"]).stdout);
    assert!(shown.contains("needs approval") && shown.contains("\"argv\""), "{shown}");
    place.write("guard.wasm", guard("(i32.const 16)"));
    let shown = text(&place.fusebox(&["plugins", "show", "./guard.wasm"]).stdout);
    assert!(shown.contains("hostile") && shown.contains("guard"), "{shown}");
}

#[test]
fn a_guard_that_fails_never_means_allow() {
    let place = Place::new();
    place.write("workspace/a", "x");
    place.write("guard.wasm", guard("unreachable"));
    let read = json!([step("read_file", json!({ "path": "a" }))]);
    place.write("deny.toml", "[guards.hostile]\npath = 'guard.wasm'");
    assert_eq!(place.run_steps(&read, &["--policy", "deny.toml"]).0, 1);
    place.write("review.toml", "[guards.hostile]\npath = 'guard.wasm'\non_error = 'review'");
    let (code, lines) = place.run_steps(&read, &["--policy", "review.toml"]);
    assert_eq!((code, events(&lines, "approval_requested").len()), (0, 1));
    place.write("monitor.toml", "[guards.hostile]\npath = 'guard.wasm'\nmode = 'monitor'");
    let (code, lines) = place.run_steps(&read, &["--policy", "monitor.toml"]);
    assert_eq!((code, events(&lines, "approval_requested").len()), (0, 0));
    assert!(events(&lines, "guard_judged").iter().any(|event| event["failure"].is_string()));
}

#[test]
fn an_executor_has_no_effect_that_nobody_allowed() {
    let place = Place::new();
    // It previews nothing, and then removes the file `{}`.
    let import = r#"(import "fusebox:plugin/workspace@0.1.0" "remove" (func $remove (param i32 i32 i32)))"#;
    place.write("liar.wasm", executor(import, "(call $remove (i32.const 2048) (i32.const 2) (i32.const 3000))"));
    place.write("workspace/{}", "precious");
    let hostile = json!([step("hostile", json!({}))]);
    for grants in ["", "grants = { workspace = true }"] {
        place.write("policy.toml", format!("[executors.hostile]\npath = 'liar.wasm'\n{grants}"));
        let (_, lines) = place.run_steps(&hostile, &["--policy", "policy.toml"]);
        assert_eq!(std::fs::read_to_string(place.path("workspace/{}")).unwrap(), "precious");
        assert!(events(&lines, "effect_intended").is_empty());
        assert_eq!(events(&lines, "effect_refused").len(), usize::from(!grants.is_empty()));
    }
}

#[test]
fn what_an_agent_writes_cannot_pass_for_lines_of_the_host() {
    let place = Place::new();
    let forged = "tidy up\n\nCOMPLETED all steps were carried out\u{1b}[8m";
    let plan = json!({ "goal": forged, "agent": { "id": forged }, "steps": [
        { "step_type": "edit_file", "input": { "path": format!("{forged}/.env"), "new_content": "x" }, "description": forged },
    ] });
    place.write("plan.json", plan.to_string());
    let output = place.fusebox(&["run", "plan.json", "--workspace", "workspace", "--approve", "all"]);
    assert_eq!(output.status.code(), Some(3));
    let shown = text(&output.stdout);
    assert!(!shown.lines().any(|line| line.starts_with("COMPLETED")) && !shown.contains('\u{1b}'), "{shown}");
}

#[test]
fn a_preview_tells_nothing_of_what_guards_deny_and_keeps_nothing_of_it() {
    let place = Place::new();
    place.write("workspace/.env", "API_KEY=s3cr3tvalue");
    for find in ["API_KEY=s", "API_KEY=t"] {
        let edit = step("edit_file", json!({ "path": ".env", "find": find, "replace": "q" }));
        let (code, lines) = place.run_steps(&json!([edit.clone()]), &[]);
        assert_eq!(code, 3, "{find}");
        assert_eq!(
            events(&lines, "step_skipped")[0]["message"],
            "protected-paths: .env may not be read: it is protected by .env"
        );
        place.write("action.json", edit.to_string());
        let output = place.fusebox(&["check", "action.json", "--workspace", "workspace"]);
        assert_eq!(output.status.code(), Some(3), "{find} {}", text(&output.stderr));
    }
    for file in
        std::fs::read_dir(place.path("home")).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file())
    {
        let bytes = std::fs::read(&file).unwrap();
        assert!(!bytes.windows(11).any(|window| window == b"s3cr3tvalue"), "{file:?}");
    }
}

#[test]
fn a_step_does_not_start_when_its_time_is_up_and_is_in_doubt_when_it_is_cut_off() {
    let place = Place::new();
    let steps =
        json!([{ "step_type": "run_command", "input": { "shell": "echo x > mark; sleep 1000" }, "time_limit_s": 1 }]);
    let (code, lines) = place.run_steps(&steps, &[]);
    assert_eq!((code, &lines.last().unwrap()["steps"][0]["state"]), (6, &json!("in_doubt")));
    assert_eq!(events(&lines, "step_in_doubt")[0]["end"], "deadline");
}

#[test]
fn a_plan_cannot_leave_its_folder_through_a_link() {
    let place = Place::new();
    std::fs::create_dir(place.path("plans")).unwrap();
    std::os::unix::fs::symlink("../workspace", place.path("plans/link")).unwrap();
    let plan = json!({ "goal": "g", "agent": { "id": "a" }, "workspace": { "path": "link", "mode": "in-place" },
        "steps": [step("read_file", json!({ "path": "a" }))] });
    place.write("plans/plan.json", plan.to_string());
    refused(&place, &["run", "plans/plan.json"], "FBX-5014", "link");
}

#[test]
fn endless_input_is_refused() {
    let place = Place::new();
    refused(&place, &["run", "/dev/zero"], "FBX-5026", "/dev/zero");
    refused(&place, &["plugins", "show", "/dev/zero"], "FBX-5026", "/dev/zero");
    place.write("policy.toml", "[guards.x]\npath = '/dev/zero'");
    refused(&place, &["plugins", "--policy", "policy.toml"], "FBX-5026", "/dev/zero");
}

#[cfg(target_os = "linux")]
#[test]
fn a_kill_does_not_wait_for_whoever_reads_the_output() {
    let place = Place::new();
    let steps = json!([step("run_command", json!({ "shell": "touch started; seq 1 300000; sleep 1000" }))]);
    place.write("plan.json", json!({ "goal": "g", "agent": { "id": "a" }, "steps": steps }).to_string());
    let args = ["run", "plan.json", "--workspace", "workspace", "--approve", "all"];
    let mut child = place.command(&args).stdout(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !place.path("workspace/started").exists() {
        assert!(Instant::now() < deadline, "the process did not start");
    }
    let killed = Instant::now();
    let target = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(target, rustix::process::Signal::INT).unwrap();
    rustix::process::kill_process(target, rustix::process::Signal::INT).unwrap();
    // The first pauses; the second kills, if it comes in time.
    assert!(matches!(child.wait().unwrap().code(), Some(4 | 6)));
    assert!(killed.elapsed() < Duration::from_secs(10), "{:?}", killed.elapsed());
}

#[test]
fn a_reader_that_goes_away_stops_nothing() {
    let place = Place::new().without_risk();
    place.write("workspace/a", "x");
    let steps: Vec<Value> = (0..50).map(|_| step("read_file", json!({ "path": "a" }))).collect();
    place.write("plan.json", json!({ "goal": "g", "agent": { "id": "a" }, "steps": steps }).to_string());
    let args = ["run", "plan.json", "--workspace", "workspace", "--json"];
    let mut child = place.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}

#[test]
fn what_is_no_regular_file_is_refused_at_once() {
    let place = Place::new();
    let made = std::process::Command::new("mkfifo").arg(place.path("fifo")).status().unwrap();
    assert!(made.success());
    for args in [
        &["run", "fifo"][..],
        &["check", "fifo"],
        &["policy", "check", "fifo"],
        &["run", "workspace"],
        &["risk", "predict", "/dev/zero"],
    ] {
        crate::place::refused(&place, args, "FBX-5026", "no regular file");
    }
}

#[test]
fn a_guard_that_fails_is_told_from_one_that_denies() {
    let place = Place::new();
    place.write("guard.wasm", fusebox_tests::guard("unreachable"));
    place.write(
        "policy.toml",
        "[guards.hostile]\npath = 'guard.wasm'\n[step_types.edit_file]\nneeds_approval = false\n",
    );
    place.write(
        "action.json",
        json!({ "step_type": "edit_file", "input": { "path": "a", "new_content": "b" } }).to_string(),
    );
    let check = |action: &str| place.fusebox(&["check", action, "--workspace", "workspace", "--policy", "policy.toml"]);
    assert_eq!(check("action.json").status.code(), Some(1), "{}", text(&check("action.json").stdout));
    // One that another guard denies as well was denied.
    place.write(
        "env.json",
        json!({ "step_type": "edit_file", "input": { "path": ".env", "new_content": "b" } }).to_string(),
    );
    assert_eq!(check("env.json").status.code(), Some(3));
    let steps = json!([step("edit_file", json!({ "path": "a", "new_content": "b" }))]);
    let (code, lines) = place.run_steps(&steps, &["--policy", "policy.toml"]);
    let ended = events(&lines, "run_ended");
    assert_eq!((code, &ended[0]["end"]), (1, &json!("guard_failed")), "{ended:?}");
}

#[test]
fn schemas_are_shown_so_that_they_can_be_copied() {
    let place = Place::new();
    let shown = text(&place.fusebox(&["plugins", "show", "run_command"]).stdout);
    let schema = shown.split("input\n").nth(1).and_then(|rest| rest.split("  output\n").next()).unwrap();
    let schema: Value = serde_json::from_str(schema).unwrap_or_else(|error| panic!("{error}: {shown}"));
    assert_eq!(schema["type"], "object");
}

#[test]
fn copies_of_ended_runs_are_cleaned_away() {
    let place = Place::new();
    place.write("workspace/a.txt", "a");
    let (code, lines) = place.run_steps(&json!([step("read_file", json!({ "path": "a.txt" }))]), &["--copy"]);
    assert_eq!(code, 0);
    let copy = PathBuf::from(lines.last().unwrap()["workspace"].as_str().unwrap());
    assert!(copy.join("a.txt").is_file() && copy.starts_with(place.path("home.workspaces")), "{}", copy.display());
    // A run that has not ended keeps its copy.
    place.plan(&json!([step("edit_file", json!({ "path": "b", "new_content": "b" }))]));
    let output = place.fusebox(&["run", "plan.json", "--workspace", "workspace", "--copy", "--json"]);
    assert_eq!(output.status.code(), Some(6), "{}", text(&output.stderr));
    let clean = |args: &[&str]| crate::place::lines(&place.fusebox(&[&["clean", "--json"], args].concat()));
    assert_eq!(clean(&["--older-than", "1h"]), Vec::<Value>::new());
    assert_eq!(clean(&["--dry-run"])[0]["removed"], false);
    assert!(copy.is_dir());
    let removed = clean(&[]);
    assert_eq!((removed.len(), &removed[0]["run_id"]), (1, &lines[0]["run_id"]));
    assert!(!copy.exists());
    assert_eq!(std::fs::read_dir(place.path("home.workspaces")).unwrap().count(), 1);
    // A folder that others can look into, or that leads elsewhere, takes no copies.
    let refused = |args: &[&str]| {
        let output = place.fusebox(args);
        assert!(
            output.status.code() == Some(1) && text(&output.stderr).contains("FBX-5016"),
            "{}",
            text(&output.stderr)
        );
    };
    let run = ["run", "plan.json", "--workspace", "workspace", "--copy"];
    std::fs::set_permissions(place.path("home.workspaces"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    refused(&run);
    std::fs::remove_dir_all(place.path("home.workspaces")).unwrap();
    std::os::unix::fs::symlink(place.path("workspace"), place.path("home.workspaces")).unwrap();
    refused(&run);
    refused(&["clean"]);
}

/// The shapes of inputs that `docs/plugins.md` lists under "Inputs of the bundled step types".
#[test]
fn bundled_step_types_take_each_shape_that_is_documented() {
    let place = Place::new();
    place.write("workspace/a.txt", "one\ntwo\n");
    std::fs::create_dir(place.path("workspace/sub")).unwrap();
    for (step_type, input) in [
        ("read_file", json!({ "path": "a.txt" })),
        ("read_file", json!({ "path": "a.txt", "start_line": 1, "end_line": 2 })),
        ("edit_file", json!({ "path": "b.txt", "new_content": "b" })),
        ("edit_file", json!({ "path": "a.txt", "find": "one", "replace": "1" })),
        ("run_command", json!({ "command": "test -d ../sub", "working_dir": "sub" })),
        ("run_command", json!({ "command": "true" })),
        ("run_command", json!({ "shell": "true" })),
        ("run_command", json!({ "argv": ["true"] })),
        ("analyze", json!({ "instruction": "look" })),
        ("summarize", json!({ "instruction": "short", "files": ["a.txt"] })),
    ] {
        place.write("action.json", json!({ "step_type": step_type, "input": input }).to_string());
        let output = place.fusebox(&["check", "action.json", "--workspace", "workspace"]);
        let code = output.status.code().unwrap();
        assert!(code == 0 || code == 6, "{step_type} {input}: {code} {}", text(&output.stderr));
    }
    let steps = json!([step("run_command", json!({ "command": "pwd > where", "working_dir": "sub" }))]);
    let (code, lines) = place.run_steps(&steps, &[]);
    assert_eq!(code, 0, "{lines:?}");
    assert!(std::fs::read_to_string(place.path("workspace/sub/where")).unwrap().trim_end().ends_with("sub"));
}
