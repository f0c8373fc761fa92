//! Policies through the binary: files, projects, guards that rewrite, plans that are judged, retries, schemas.

use fusebox_tests::{executor, guard, guard_of_plans, root};
use serde_json::{Value, json};

use crate::place::{Place, events, lines, refused, step, text};

fn read() -> Value {
    step("read_file", json!({ "path": "a" }))
}

/// Made up, and put together here so that no scanner of this repository takes it for real.
fn aws_key() -> String {
    ["AKIA", "Q7XW3ZK9PL2M4N8V"].concat()
}

#[test]
fn mistakes_in_a_policy_are_told_with_line_and_suggestion() {
    let place = Place::new();
    place.write("policy.toml", "[guards.secret-scan]\non_eror = 'deny'");
    refused(&place, &["policy", "check", "policy.toml"], "FBX-5006", "line 2: unknown key \"on_eror\"");
    refused(&place, &["policy", "check", "policy.toml"], "FBX-5006", "did you mean \"on_error\"?");
    for (text, code, words) in [
        ("[guards.secret-scan.settings]\nredcat = true", "FBX-5010", "redcat"),
        ("[guards.command-policy.settings]\nallow = ['**']", "FBX-5010", "would allow every program"),
        (
            "[guards.command-policy.settings]\nallow = ['a', 5]",
            "FBX-5010",
            "[guards.command-policy.settings] in policy.toml: allow[1]: 5",
        ),
        ("[guards.command-policy.settings]\ndeny = 'rm'\nunlisted = 3", "FBX-5010", "deny: "),
        ("[guards.command-policy.settings]\ndeny = 'rm'\nunlisted = 3", "FBX-5010", "unlisted: "),
        (
            "[guards.secret-scan]\nredaction = { bogus = 1 }",
            "FBX-5010",
            "[guards.secret-scan.redaction] in policy.toml",
        ),
        ("[guards.secret-scn]", "FBX-5007", "did you mean \"secret-scan\""),
        ("[guards.breaker]\nplugin = \"secret-scan\"", "FBX-5009", "reserved"),
        ("[guards.kill-switch]\nplugin = \"secret-scan\"", "FBX-5009", "reserved"),
        ("[guards.risk]\nplugin = \"secret-scan\"", "FBX-5009", "reserved"),
        ("[guards.protected-paths.grants]\nrewrite = true", "FBX-5009", "does not say that it rewrites"),
        ("[gateway.endpoints.x]\nprotocol = 'openai'", "FBX-3010", "needs a url"),
        ("[gateway.endpoints.x]\nprotocol = 'telepathy'", "FBX-5006", "telepathy"),
        ("[guards.secret-scan.limits]\nfuel = 0", "FBX-5006", "fuel"),
        ("[limits]\nfuel = 1e5", "FBX-5006", "fuel"),
        ("\u{0}", "FBX-5006", "line 1"),
    ] {
        place.write("policy.toml", text);
        refused(&place, &["policy", "check", "policy.toml"], code, words);
    }
    place.write("policy.toml", [0xff, 0xfe]);
    refused(&place, &["policy", "check", "policy.toml"], "FBX-5006", "UTF-8");
    refused(&place, &["policy", "check", "missing.toml"], "FBX-5005", "missing.toml");
    place.write("policy.toml", "x = [".repeat(100_000));
    refused(&place, &["policy", "check", "policy.toml"], "FBX-5006", "policy.toml");
}

#[test]
fn a_good_policy_is_checked_and_explained() {
    let place = Place::new();
    place.write("policy.toml", "[limits]\nsteps = 7\n[guards.secret-scan]\nmode = 'monitor'\n[gateway.endpoints.x]\nprotocol = 'openai'\nurl = 'https://example.org'\nkey_env = 'NOT_SET'");
    let output = place.fusebox(&["policy", "check", "policy.toml"]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(shown.contains("3 guards") && shown.contains("only monitors") && shown.contains("$NOT_SET"), "{shown}");
    let args = ["policy", "explain", "limits", "--policy", "policy.toml", "--json"];
    let settings = lines(&place.fusebox(&args));
    let steps = settings.iter().find(|line| line["key"] == "limits.steps").unwrap();
    assert_eq!((&steps["value"], &steps["source"]), (&json!("7"), &json!("policy.toml")));
    let shown = text(&place.fusebox(&["policy", "explain", "--policy", "policy.toml"]).stdout);
    assert!(shown.contains("guards.secret-scan.mode = \"monitor\"  # policy.toml"), "{shown}");
    assert!(shown.contains("run.on_denied = \"stop\"  # built-in"), "{shown}");
    let example = root().join("examples/policy/fusebox.toml");
    let output = place.fusebox(&["policy", "check", example.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let builtin = place.fusebox(&["policy", "builtin"]);
    place.write("builtin.toml", builtin.stdout);
    assert_eq!(place.fusebox(&["policy", "check", "builtin.toml"]).status.code(), Some(0));
}

#[test]
fn the_policy_is_found_where_it_is_said() {
    let place = Place::new();
    place.write("workspace/a", "x");
    let explain = |variable: Option<&str>| {
        let mut command = place.command(&["policy", "explain", "limits.steps", "--json"]);
        if let Some(file) = variable {
            command.env("FUSEBOX_POLICY", file);
        }
        lines(&command.output().unwrap()).first().map(|line| line["value"].clone())
    };
    assert_eq!(explain(None), None);
    place.write("home/fusebox.toml", "[limits]\nsteps = 1");
    assert_eq!(explain(None), Some(json!("1")));
    place.write("variable.toml", "[limits]\nsteps = 2");
    assert_eq!(explain(Some("variable.toml")), Some(json!("2")));
    refused(&place, &["policy", "explain", "--policy", "not-there.toml"], "FBX-5005", "not-there.toml");
}

#[test]
fn a_projects_policy_counts_only_as_it_was_trusted_and_only_tightens() {
    let place = Place::new();
    place.write("workspace/a", "x");
    place
        .write("workspace/fusebox.toml", "[limits]\nsteps = 1\n[guards.protected-paths.settings]\nprotect = ['*.sql']");
    let steps = json!([read(), read()]);
    let run = || place.run_steps(&steps, &[]);
    let (code, lines) = run();
    assert_eq!(code, 0, "nobody trusted it");
    assert!(events(&lines, "notice")[0]["message"].as_str().unwrap().contains("it is not trusted"));

    let trusted = place.fusebox(&["trust", "workspace"]);
    assert_eq!(trusted.status.code(), Some(0), "{}", text(&trusted.stderr));
    assert!(text(&trusted.stdout).contains("limits"), "{}", text(&trusted.stdout));
    let (code, lines) = run();
    assert_eq!(code, 5, "one step is the most");
    assert!(events(&lines, "notice").is_empty());
    let judges = judges(&lines);
    assert!(judges.contains(&"project:protected-paths".to_owned()), "{judges:?}");
    let args = ["policy", "explain", "limits.steps", "--project", "workspace"];
    let explained = text(&place.fusebox(&args).stdout);
    assert!(explained.contains("workspace/fusebox.toml"), "{explained}");

    for change in [Some("[limits]\nsteps = 100"), None] {
        match change {
            Some(text) => drop(place.write("workspace/fusebox.toml", text)),
            None => std::fs::remove_file(place.path("workspace/fusebox.toml")).unwrap(),
        }
        let (code, lines) = run();
        assert_eq!((code, &lines[0]["code"]), (2, &json!("FBX-5021")), "nobody knows what should count");
    }
    place.write("workspace/fusebox.toml", "[limits]\nsteps = 100");

    assert_eq!(place.fusebox(&["trust", "workspace"]).status.code(), Some(0));
    assert!(text(&place.fusebox(&["trust", "--list"]).stdout).contains("workspace"));
    assert!(text(&place.fusebox(&["trust", "--revoke", "workspace"]).stdout).contains("no longer trusted"));
    assert!(text(&place.fusebox(&["trust", "--list"]).stdout).is_empty());

    for (text, code, words) in [
        ("[executors.run_command.grants]\nworkspace = true", "FBX-5006", "only tightens"),
        ("[guards.read_file]", "FBX-5009", "executor"),
        ("[guards.command-policy.settings]\nallo = ['x']", "FBX-5010", "allo"),
    ] {
        place.write("workspace/fusebox.toml", text);
        refused(&place, &["trust", "workspace"], code, words);
        assert!(text_of_trusted(&place).is_empty(), "{text}");
    }
    std::fs::remove_file(place.path("workspace/fusebox.toml")).unwrap();
    std::os::unix::fs::symlink("../policy.toml", place.path("workspace/fusebox.toml")).unwrap();
    place.write("policy.toml", "");
    refused(&place, &["trust", "workspace"], "FBX-5006", "link");
    refused(&place, &["trust", "nowhere"], "FBX-5005", "nowhere");
}

fn text_of_trusted(place: &Place) -> String {
    text(&place.fusebox(&["trust", "--list"]).stdout)
}

#[test]
fn an_agent_changes_no_policy_of_a_project() {
    let place = Place::new();
    let edit = json!([step("edit_file", json!({ "path": "fusebox.toml", "new_content": "" }))]);
    let (code, lines) = place.run_steps(&edit, &[]);
    assert_eq!((code, &events(&lines, "step_skipped")[0]["by"]), (3, &json!(["built-in"])));
}

#[test]
fn a_secret_in_a_command_is_not_echoed() {
    let place = Place::new();
    place.plan(&json!([step("run_command", json!({ "argv": ["echo", format!("X-Key: {}", aws_key())] }))]));
    let output = place.fusebox(&["run", "plan.json", "--workspace", "workspace", "--approve", "all"]);
    let shown = text(&output.stdout);
    assert!(output.status.code() == Some(3) && shown.contains("not shown") && !shown.contains(&aws_key()), "{shown}");
}

#[test]
fn a_guard_that_is_granted_it_rewrites_and_all_judge_the_result() {
    let place = Place::new();
    let content = format!("key = {}\n", aws_key());
    let steps = json!([step("edit_file", json!({ "path": "a.txt", "new_content": content }))]);
    let (code, lines) = place.run_steps(&steps, &[]);
    assert_eq!(code, 3, "without the grant it is refused");
    assert!(!events(&lines, "step_skipped")[0].to_string().contains(&aws_key()), "a finding echoes no secret");

    let redact = "[guards.secret-scan]\ngrants = { rewrite = true }\nsettings = { redact = true }";
    place.write("policy.toml", redact);
    let (code, lines) = place.run_steps(&steps, &["--policy", "policy.toml"]);
    assert_eq!(code, 0, "{lines:?}");
    assert_eq!(std::fs::read_to_string(place.path("workspace/a.txt")).unwrap(), "key = [REDACTED:aws-access-key]\n");
    let judged = &events(&lines, "step_judged")[0];
    assert_eq!(judged["previews"].as_array().unwrap().len(), 2, "what was rewritten is previewed again");
    assert_eq!(judges(&lines), ["secret-scan", "command-policy", "protected-paths", "secret-scan"]);
    let input = &judged["decision"]["input"];
    assert_eq!(input["path"], "a.txt");
    place.write("action.json", steps[0].to_string());
    let args = ["check", "action.json", "--workspace", "workspace", "--policy", "policy.toml", "--json"];
    let decision = &crate::place::lines(&place.fusebox(&args))[0];
    assert!(decision["input"]["new_content"].as_str().unwrap().contains("REDACTED"), "{decision}");

    // Settings alone grant nothing: a rewrite without the grant is a failure of the guard.
    place.write("policy.toml", "[guards.secret-scan.settings]\nredact = true");
    let (code, lines) = place.run_steps(&steps, &["--policy", "policy.toml"]);
    assert_eq!(code, 1);
    assert!(events(&lines, "step_skipped")[0]["message"].as_str().unwrap().contains("was not granted"));
}

#[test]
fn a_rewrite_that_fits_no_schema_is_a_failure_of_the_guard() {
    let place = Place::new();
    place.write("workspace/a", "x");
    // A verdict that abstains and rewrites the input to `{}`, which read_file does not take.
    let body = "(i32.store8 (i32.const 28) (i32.const 1)) (i32.store (i32.const 32) (i32.const 2048))
                (i32.store (i32.const 36) (i32.const 2)) (i32.const 16)";
    let says = r#"{"name":"hostile","version":"1.0.0","summary":"s","kind":"guard","rewrites":true}"#;
    place.write("guard.wasm", fusebox_tests::guard_that_says(says, "", body));
    place.write("policy.toml", "[guards.hostile]\npath = 'guard.wasm'\ngrants = { rewrite = true }");
    let (code, lines) = place.run_steps(&json!([read()]), &["--policy", "policy.toml"]);
    assert_eq!(code, 1);
    let why = events(&lines, "step_skipped")[0]["message"].as_str().unwrap();
    assert!(why.contains("its rewrite cannot be used"), "{why}");
}

#[test]
fn a_plan_is_judged_before_its_first_step() {
    let place = Place::new();
    place.write("workspace/a", "x");
    for (body, on_error, code) in [
        ("(i32.store8 (i32.const 16) (i32.const 3)) (i32.const 16)", "deny", 3),
        ("unreachable", "deny", 1),
        ("unreachable", "review", 0),
        ("(i32.const 16)", "deny", 0),
    ] {
        place.write("guard.wasm", guard_of_plans("", body));
        place.write("policy.toml", format!("[guards.hostile]\npath = 'guard.wasm'\non_error = '{on_error}'"));
        let (ended, lines) = place.run_steps(&json!([read()]), &["--policy", "policy.toml"]);
        assert_eq!(ended, code, "{body} {on_error}");
        assert_eq!(events(&lines, "step_judged").len(), usize::from(code == 0), "{body} {on_error}");
        assert_eq!(events(&lines, "plan_judged").len(), 4);
        assert_eq!(events(&lines, "plan_approval_requested").len(), usize::from(on_error == "review"));
    }
    place.write("guard.wasm", guard_of_plans("", "unreachable"));
    place.write("policy.toml", "[guards.hostile]\npath = 'guard.wasm'\nmode = 'monitor'");
    assert_eq!(place.run_steps(&json!([read()]), &["--policy", "policy.toml"]).0, 0, "a monitor decides nothing");
}

/// Names of the guards that judged the first step, in order.
fn judges(lines: &[Value]) -> Vec<String> {
    let verdicts = events(lines, "step_judged")[0]["verdicts"].as_array().unwrap().clone();
    verdicts.iter().map(|verdict| verdict["guard"].as_str().unwrap().to_owned()).collect()
}

const RETRY: &str = "[run]\non_step_failure = 'retry'\nretry_backoff_ms = 1\n";

#[test]
fn a_failed_step_is_tried_again_where_policy_says_so() {
    let place = Place::new();
    let flaky = |retries: u32| {
        let command = "n=$(cat n 2>/dev/null || echo 0); echo $((n+1)) > n; test $n -ge 2";
        json!([{ "step_type": "run_command", "input": { "shell": command }, "max_retries": retries }])
    };
    let counted = || std::fs::read_to_string(place.path("workspace/n")).unwrap().trim().to_owned();
    assert_eq!(place.run_steps(&flaky(5), &[]).0, 1, "the plan alone retries nothing");
    assert_eq!(counted(), "1");
    std::fs::remove_file(place.path("workspace/n")).unwrap();
    place.write("policy.toml", RETRY);
    let (code, lines) = place.run_steps(&flaky(5), &["--policy", "policy.toml"]);
    assert_eq!((code, counted().as_str()), (0, "3"));
    assert_eq!(events(&lines, "step_retried").len(), 2);
    let attempts: Vec<_> = events(&lines, "step_judged").iter().map(|event| event["attempt"].clone()).collect();
    assert_eq!(attempts, [1, 2, 3]);
    assert_eq!(events(&lines, "approval_requested").len(), 3, "each try is approved");
    std::fs::remove_file(place.path("workspace/n")).unwrap();
    assert_eq!(place.run_steps(&flaky(1), &["--policy", "policy.toml"]).0, 1);
    assert_eq!(counted(), "2");
    std::fs::remove_file(place.path("workspace/n")).unwrap();
    let (code, lines) = place.run_steps(&flaky(5), &["--policy", "policy.toml", "--budget-steps", "2"]);
    assert_eq!((code, events(&lines, "step_retried").len()), (5, 2), "each try counts as a step");
    // The same input will be wrong again.
    let wrong = json!([{ "step_type": "read_file", "input": { "path": "missing" }, "max_retries": 5 }]);
    let (code, lines) = place.run_steps(&wrong, &["--policy", "policy.toml"]);
    assert_eq!((code, events(&lines, "step_retried").len()), (1, 0));
}

#[test]
fn what_a_failed_try_changed_is_restored_before_the_next() {
    let place = Place::new();
    // It removes the file `{}`, then says that it may work later.
    let import = r#"(import "fusebox:plugin/workspace@0.1.0" "remove" (func $remove (param i32 i32 i32)))"#;
    let body = "(call $remove (i32.const 2048) (i32.const 2) (i32.const 3000))
        (i32.store8 (i32.const 1024) (i32.const 1)) (i32.store8 (i32.const 1028) (i32.const 9))
        (i32.store (i32.const 1032) (i32.const 2048)) (i32.store (i32.const 1036) (i32.const 2))
        (return (i32.const 1024))";
    place.write("flaky.wasm", executor(import, body));
    place.write("workspace/{}", "precious");
    let policy = format!(
        "{RETRY}[executors.hostile]\npath = 'flaky.wasm'\ngrants = {{ workspace = true }}\n\
         [step_types.hostile]\nneeds_approval = false"
    );
    place.write("policy.toml", policy);
    let steps = json!([{ "step_type": "hostile", "input": {}, "max_retries": 1 }]);
    let (code, lines) = place.run_steps(&steps, &["--policy", "policy.toml"]);
    assert_eq!(code, 1, "{lines:?}");
    let retried = events(&lines, "step_retried");
    assert_eq!(retried[0]["restores"][0]["effect"], "write");
    let order: Vec<&str> = lines.iter().filter_map(|line| line["event"].as_str()).collect();
    let place_of = |name: &str| order.iter().position(|event| *event == name).unwrap();
    assert!(place_of("step_retried") < place_of("step_restored"), "what will be restored is in the log first");
    let removals = lines.iter().filter(|line| line["event"] == "effect_performed" && line["failure"].is_null()).count();
    assert_eq!(removals, 2, "the second try found the file again");
}

#[test]
fn an_effect_kind_can_need_an_approval_and_an_approval_can_expire() {
    let place = Place::new();
    place.write("workspace/a", "x");
    place.write("policy.toml", "[approval]\neffects = ['read']");
    let (code, lines) = place.run_steps(&json!([read()]), &["--policy", "policy.toml"]);
    assert_eq!((code, events(&lines, "approval_requested").len()), (0, 1));
    place.write("policy.toml", "[approval]\neffects = ['read']\nexpires_s = 1");
    place.plan(&json!([read()]));
    let args = ["run", "plan.json", "--workspace", "workspace", "--policy", "policy.toml"];
    let (code, shown) = place.on_a_terminal(&args, "", &[], &[]);
    assert_eq!(code, 3, "{shown}");
    assert!(shown.contains("no person answered before the deadline"), "{shown}");
}

#[test]
fn limits_of_a_plugin_come_from_policy() {
    let place = Place::new();
    place.write("workspace/a", "x");
    place.write("policy.toml", "[guards.protected-paths.limits]\nfuel = 10");
    let (code, lines) = place.run_steps(&json!([read()]), &["--policy", "policy.toml"]);
    assert_eq!(code, 1);
    assert!(serde_json::to_string(&lines).unwrap().contains("(out_of_fuel)"), "{lines:?}");
}

#[test]
fn the_hostile_example_is_stopped_step_by_step() {
    let place = Place::new();
    let example = root().join("examples/hostile");
    let path = |name: &str| example.join(name).to_str().unwrap().to_owned();
    let (plan, policy, cassette) = (path("plan.json"), path("policy.toml"), path("cassette.json"));
    let args = ["run", &plan, "--policy", &policy, "--cassette", &cassette, "--approve", "all", "--json"];
    let output = place.fusebox(&args);
    let lines = lines(&output);
    assert_eq!(output.status.code(), Some(6), "{}", text(&output.stderr));
    let summary = lines.last().unwrap();
    let stopped_by = |step: &Value| match &step["stopped_by"] {
        Value::Object(by) if by.contains_key("end") => by["end"].clone(),
        by => by["deciders"][0].clone(),
    };
    let stopped: Vec<_> = summary["steps"].as_array().unwrap().iter().map(stopped_by).collect();
    assert_eq!(stopped, ["workspace", "workspace", "command-policy", "secret-scan", "built-in", "deadline"]);
    assert_eq!(events(&lines, "effect_intended").len(), 1, "only the loop was begun");
    assert!(!example.join("outside.txt").exists());
}

const SCHEMAS: [&str; 6] = ["plan", "policy", "project-policy", "action", "output", "describe"];

#[test]
fn schemas_are_shipped_as_they_are() {
    let place = Place::new();
    for name in SCHEMAS {
        let file = root().join(format!("docs/schemas/{name}.json"));
        let now = text(&place.fusebox(&["schema", name]).stdout);
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            std::fs::write(&file, &now).unwrap();
        }
        let shipped = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(now == shipped, "docs/schemas/{name}.json is out of date; make it again with UPDATE_SCHEMAS=1");
        let schema: Value = serde_json::from_str(&now).unwrap();
        jsonschema::meta::validate(&schema).unwrap();
    }
    assert_eq!(place.fusebox(&["policy", "schema"]).stdout, place.fusebox(&["schema", "policy"]).stdout);
}

#[test]
fn what_json_prints_and_what_the_examples_hold_fits_the_schemas() {
    let place = Place::new();
    let validator = |name: &str| {
        let schema: Value = serde_json::from_slice(&place.fusebox(&["schema", name]).stdout).unwrap();
        jsonschema::validator_for(&schema).unwrap()
    };
    for example in ["fix-median", "hostile"] {
        let plan = std::fs::read(root().join(format!("examples/{example}/plan.json"))).unwrap();
        assert!(validator("plan").is_valid(&serde_json::from_slice(&plan).unwrap()), "{example}");
    }
    let output = validator("output");
    let check = |line: &Value| {
        if let Some(error) = output.iter_errors(line).next() {
            panic!("{line}: {error}");
        }
    };
    let flaky = json!([
        { "step_type": "edit_file", "input": { "path": "a", "new_content": "x" } },
        { "step_type": "run_command", "input": { "shell": "exit 1" }, "max_retries": 1 },
    ]);
    place.write("policy.toml", RETRY);
    place.write("workspace/fusebox.toml", "");
    place.write("guard.wasm", guard("unreachable"));
    place.write("failing.toml", "[guards.hostile]\npath = 'guard.wasm'\non_error = 'review'");
    for policy in ["policy.toml", "failing.toml"] {
        place.run_steps(&flaky, &["--policy", policy]).1.iter().for_each(check);
    }
    place.write("action.json", flaky[0].to_string());
    for args in [
        &["check", "action.json", "--workspace", "workspace", "--json"][..],
        &["plugins", "--json"],
        &["policy", "explain", "--json"],
        &["policy", "check", "--json"],
        &["doctor", "--json"],
        &["trust", "workspace", "--json"],
        &["trust", "--revoke", "workspace", "--json"],
        &["run", "missing.json", "--json"],
    ] {
        let printed = lines(&place.fusebox(args));
        assert!(!printed.is_empty(), "{args:?}");
        printed.iter().for_each(check);
    }
    let nonsense = json!({ "event": "nonsense" });
    assert!(!output.is_valid(&nonsense), "the schema says something");
}

#[test]
fn completions_and_manual_pages_are_there() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = text(&place.fusebox(&["completions", shell]).stdout);
        assert!(script.contains("cassette") && script.contains("doctor"), "{shell}");
    }
    for (args, word) in [(&["man"][..], "SUBCOMMANDS"), (&["man", "run"], "budget"), (&["man", "policy"], "explain")] {
        let page = text(&place.fusebox(args).stdout);
        assert!(page.starts_with(".ie") && page.contains(word), "{args:?}: {page}");
    }
    assert_eq!(place.fusebox(&["man", "nothing"]).status.code(), Some(2));
    assert_eq!(place.fusebox(&["man", "--dir", "pages"]).status.code(), Some(0));
    assert!(place.path("pages/fusebox.1").exists() && place.path("pages/fusebox-run.1").exists());
}

#[test]
fn the_doctor_says_what_works() {
    let place = Place::new();
    let findings = lines(&place.fusebox(&["doctor", "--json"]));
    let status = |check: &str| findings.iter().find(|line| line["check"] == check).map(|line| line["status"].clone());
    for check in ["home", "log", "cache", "policy", "plugins"] {
        assert_eq!(status(check), Some(json!("ok")), "{check}: {findings:?}");
    }
    assert_eq!(status("models"), Some(json!("warning")));
    place.write("home/fusebox.toml", "[guards.not-there]");
    let output = place.fusebox(&["doctor"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("FBX-5007"), "{}", text(&output.stdout));
}
