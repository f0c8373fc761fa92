//! Inputs that are refused, each with its own code.

use super::*;

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
        (vec!["plugins", "show", "nobody"], "FBX-5056", "nobody"),
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
        &["audit", "verify", "fifo"],
        &["audit", "verify", "/dev/zero"],
    ] {
        crate::place::refused(&place, args, "FBX-5026", "no regular file");
    }
    let plan = place.plan(&json!([step("read_file", json!({ "path": "a.txt" }))]));
    let run = ["run", plan.to_str().unwrap(), "--workspace", "workspace"];
    refused(&place, &[&run[..], &["--cassette", "fifo"]].concat(), "FBX-3010", "no regular file");
    let endpoint = "[gateway.endpoints.e]\nprotocol = 'openai'\nurl = 'https://example.com'\nkey_file = 'fifo'\n";
    place.write("keyed.toml", endpoint);
    // An endpoint without its key is a warning.
    let checked = place.fusebox(&["policy", "check", "keyed.toml"]);
    assert!(text(&checked.stdout).contains("no regular file"), "{checked:?}");
}

#[test]
fn copies_of_other_runs_are_no_workspace() {
    let place = Place::new();
    place.write("workspace/a.txt", "one\n");
    let plan = place.plan(&json!([step("read_file", json!({ "path": "a.txt" }))]));
    let plan = plan.to_str().unwrap();
    let copied = place.fusebox(&["run", plan, "--workspace", "workspace", "--copy", "--approve", "all"]);
    assert!(copied.status.success(), "{copied:?}");
    let copies = place.path("home.workspaces");
    refused(&place, &["run", plan, "--workspace", copies.to_str().unwrap()], "FBX-5015", "home.workspaces");
    let one = std::fs::read_dir(&copies).unwrap().next().unwrap().unwrap().path().join("workspace");
    refused(&place, &["run", plan, "--workspace", one.to_str().unwrap()], "FBX-5015", "home.workspaces");
}

#[test]
fn an_action_outside_of_the_workspace_is_denied_by_a_check_as_by_a_run() {
    let place = Place::new();
    let action = json!({ "step_type": "read_file", "input": { "path": "../x" }, "agent": { "id": "a" } });
    place.write("action.json", action.to_string());
    let checked = place.fusebox(&["check", "action.json", "--workspace", "workspace", "--json"]);
    assert_eq!(checked.status.code(), Some(3), "{checked:?}");
    let decision = lines(&checked).remove(0);
    assert_eq!((&decision["ruling"], &decision["reasons"][0]["by"]), (&"deny".into(), &"workspace".into()));
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_a_failure() {
    let place = Place::new();
    for args in [&["plugins"][..], &["policy", "builtin"], &["schema", "plan"], &["plugins", "--json"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = place.command(args).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {output:?}");
        assert!(text(&output.stderr).contains("standard output"), "{args:?}: {output:?}");
    }
}

#[test]
fn an_argument_of_any_length_is_quoted_in_a_few_lines() {
    let place = Place::new();
    let long = "x".repeat(100_000);
    for args in [&[long.as_str()][..], &["runs", "--state", &long], &["runs", "--since", &long], &["schema", &long]] {
        let refused = place.fusebox(args);
        assert_eq!(refused.status.code(), Some(2));
        let message = text(&refused.stderr);
        assert!(message.contains("xxx") && message.len() < 10_000, "{}: {} bytes", args[0], message.len());
    }
}

#[test]
fn a_policy_comes_from_standard_input() {
    let place = Place::new();
    for (policy, code, part) in [("[limits]\nsteps = 5\n", 0, ""), ("[limit]\n", 2, "limits")] {
        place.write("policy.toml", policy);
        let input = std::fs::File::open(place.path("policy.toml")).unwrap();
        let checked = place.command(&["policy", "check", "-"]).stdin(input).output().unwrap();
        assert_eq!(checked.status.code(), Some(code), "{checked:?}");
        assert!(text(&checked.stderr).contains(part), "{checked:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn output_to_a_link_or_a_device_leaves_it_there() {
    let place = Place::new();
    place.write("kept.ndjson", "");
    std::os::unix::fs::symlink("kept.ndjson", place.path("link")).unwrap();
    std::os::unix::fs::symlink("/dev/null", place.path("nowhere")).unwrap();
    for link in ["link", "nowhere"] {
        let written = place.fusebox(&["risk", "export", "--out", link]);
        assert!(written.status.success(), "{written:?}");
        assert!(place.path(link).symlink_metadata().unwrap().is_symlink(), "{link}");
    }
    assert!(place.path("kept.ndjson").symlink_metadata().unwrap().is_file());
    let full = place.fusebox(&["risk", "export", "--out", "/dev/stdout"]);
    assert!(full.status.success(), "{full:?}");
}
