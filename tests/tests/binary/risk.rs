//! Predicted risk, from outside: what a plan's run is limited to, what guards and people get to know of it, and what is learned.

use serde_json::{Value, json};

use crate::place::{Place, events, lines, refused, step, text};

fn reads(count: usize) -> Value {
    (0..count).map(|n| step("read_file", json!({ "path": format!("{}.txt", n % 2) }))).collect()
}

fn with_files() -> Place {
    let place = Place::new();
    for n in 0..2 {
        place.write(&format!("workspace/{n}.txt"), "hello\n");
    }
    place
}

fn features(num_steps: u64) -> Value {
    json!({
        "num_steps": num_steps, "num_tools": 2, "tool_diversity": 2, "has_high_risk_tool": false, "est_tokens": 100,
        "max_retries": 0, "sequential_tool_calls": 1, "plan_depth": 1, "time_limit_sec": 300,
    })
}

fn one(place: &Place, args: &[&str]) -> Value {
    let output = place.fusebox(&[args, &["--json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", text(&output.stderr));
    lines(&output).remove(0)
}

#[test]
fn a_small_plan_is_low_and_its_run_has_the_limits_of_that() {
    let place = with_files();
    let (code, lines) = place.run_steps(&reads(3), &[]);
    assert_eq!(code, 0);
    let predicted = events(&lines, "risk_predicted");
    assert_eq!(predicted.len(), 1);
    let assessment = &predicted[0]["assessment"];
    assert_eq!((&assessment["level"], &assessment["rule_level"]), (&json!("low"), &json!("low")));
    assert_eq!(assessment["estimator"], "bytes/4");
    assert!(assessment["prediction"]["score"].as_f64().unwrap() < 0.1);
    assert_eq!(predicted[0]["limits"]["tokens"], 10_000);
    assert_eq!(predicted[0]["limits_by"]["tokens"], json!({ "risk_profile": "low" }));
    assert_eq!(lines[1]["event"], "risk_predicted", "before anything else");
}

#[test]
fn a_high_plan_needs_an_approval_of_every_step_and_may_use_safe_tools_only() {
    let place = with_files();
    let mut steps = reads(13);
    steps.as_array_mut().unwrap().push(step("edit_file", json!({ "path": "0.txt", "new_content": "bye" })));
    let (code, all) = place.run_steps(&steps, &[]);
    assert_eq!(code, 3, "the edit is denied by the profile");
    let predicted = &events(&all, "risk_predicted")[0];
    assert_eq!(predicted["assessment"]["level"], "high");
    assert_eq!(predicted["limits"]["time_us"], 60_000_000);
    assert_eq!(events(&all, "approval_requested").len(), 13, "reading needs none otherwise");
    let skipped = &events(&all, "step_skipped")[0];
    assert!(skipped["message"].as_str().unwrap().contains("do not permit steps of type edit_file"), "{skipped}");
    // Without a person to ask, it waits before its first step.
    let output = place.fusebox(&["run", "plan.json", "--workspace", "workspace"]);
    assert_eq!(output.status.code(), Some(6), "{}", text(&output.stdout));
}

#[test]
fn an_operators_budget_takes_the_place_of_the_profiles() {
    let place = with_files();
    let (code, lines) = place.run_steps(&reads(3), &["--budget-tokens", "70000", "--budget-time", "9m"]);
    assert_eq!(code, 0);
    let predicted = &events(&lines, "risk_predicted")[0];
    assert_eq!(
        (&predicted["limits"]["tokens"], &predicted["limits"]["time_us"]),
        (&json!(70_000), &json!(540_000_000))
    );
    assert_eq!(predicted["limits_by"]["tokens"], "operator");
}

#[test]
fn a_plan_that_is_unlike_all_others_is_for_a_person() {
    let place = with_files();
    place.write(
        "policy.toml",
        "[risk.thresholds]\nhigh = { num_steps = 9000, sequential_tool_calls = 9000 }\n\
                                medium = { num_steps = 9000, sequential_tool_calls = 9000 }\n",
    );
    let plan =
        json!({ "goal": "g", "agent": { "id": "a" }, "limits": { "tokens": 90_000_000_u64 }, "steps": reads(2) });
    place.write("far.json", plan.to_string());
    let output = place.fusebox(&["run", "far.json", "--workspace", "workspace", "--policy", "policy.toml"]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(6), "{shown}");
    assert!(shown.contains("the plan needs approval") && shown.contains("est_tokens"), "{shown}");
}

#[test]
fn a_step_that_is_added_is_predicted_with_the_plan_and_nothing_loosens() {
    let place = with_files();
    place.write("plan.json", json!({ "goal": "g", "agent": { "id": "a" }, "steps": reads(8) }).to_string());
    let started = one(&place, &["start", "plan.json", "--workspace", "workspace"]);
    let run = started["run_id"].as_str().unwrap();
    let next = || lines(&place.fusebox(&["next", run, "--approve", "all", "--json"]));
    let first = next();
    assert_eq!(events(&first, "risk_predicted")[0]["assessment"]["level"], "medium");
    place.write("step.json", step("read_file", json!({ "path": "0.txt" })).to_string());
    assert!(place.fusebox(&["add-step", run, "step.json"]).status.success());
    let second = next();
    let predicted = events(&second, "risk_predicted");
    assert_eq!(predicted[0]["assessment"]["level"], "high");
    assert_eq!(predicted[0]["limits"]["tokens"], 2000);
    assert_eq!(events(&second, "approval_requested").len(), 1, "from here on every step needs one");
    // Taken up again with the same plan and policy, nothing is predicted anew.
    assert!(events(&next(), "risk_predicted").is_empty());
}

#[test]
fn the_policy_decides_whether_what_is_predicted_counts() {
    let place = with_files();
    for (mode, events_of_risk, code) in [("monitor", 1, 0), ("off", 0, 0), ("enforce", 1, 0)] {
        place.write("policy.toml", format!("[risk]\nmode = \"{mode}\"\n"));
        let (ended, all) = place.run_steps(&reads(13), &["--policy", "policy.toml"]);
        assert_eq!((ended, events(&all, "risk_predicted").len()), (code, events_of_risk), "{mode}");
        assert_eq!(events(&all, "approval_requested").is_empty(), mode != "enforce", "{mode}");
    }
    place.write("policy.toml", "[risk]\nmode = \"off\"\n");
    refused(&place, &["risk", "drift", "--policy", "policy.toml"], "FBX-5006", "risk.mode");
}

#[test]
fn guards_read_what_was_predicted() {
    let place = with_files();
    // Denies what is HIGH with a score above 0.9: the level's name has four letters.
    let import = r#"(import "fusebox:plugin/context@0.1.0" "predicted-risk" (func $risk (param i32)))"#;
    let check = "(call $risk (i32.const 3008))
        (if (i32.and (i32.load8_u (i32.const 3008))
                     (i32.and (i32.eq (i32.load (i32.const 3020)) (i32.const 4))
                              (f64.gt (f64.load (i32.const 3024)) (f64.const 0.9))))
            (then (i32.store8 (i32.const 16) (i32.const 3))))
        (i32.const 16)";
    place.write("risk.wasm", fusebox_tests::guard_with(import, check));
    place.write("policy.toml", "[guards.hostile]\npath = 'risk.wasm'\n");
    let (code, _) = place.run_steps(&reads(2), &["--policy", "policy.toml"]);
    assert_eq!(code, 0, "a LOW plan is admitted");
    let (code, all) = place.run_steps(&reads(13), &["--policy", "policy.toml"]);
    assert_eq!(code, 3);
    assert_eq!(events(&all, "step_skipped")[0]["by"], json!(["hostile"]));
}

#[test]
fn features_and_plans_are_predicted_and_explained() {
    let place = with_files();
    place.write("features.json", features(20).to_string());
    let said = one(&place, &["risk", "predict", "features.json"]);
    assert_eq!((&said["event"], &said["level"]), (&json!("risk_prediction"), &json!("high")));
    assert_eq!(said["limits"]["tokens"], 2000);
    let said = one(&place, &["risk", "explain", "features.json"]);
    let explained = &said["explanation"];
    let shares = explained["shares"].as_object().unwrap();
    let sum: f64 = shares.values().map(|share| share.as_f64().unwrap()).sum();
    let of = |name: &str| explained[name].as_f64().unwrap();
    assert!((of("base") + sum - of("score")).abs() < 1e-9, "{said}");
    let most = shares.iter().max_by(|one, other| one.1.as_f64().unwrap().total_cmp(&other.1.as_f64().unwrap()));
    assert_eq!(most.unwrap().0, "num_steps");
    let shown = text(&place.fusebox(&["risk", "explain", "features.json"]).stdout);
    assert!(shown.contains("HIGH") && shown.contains("num_steps is 20, above 12") && shown.contains('█'), "{shown}");
    place.write("plan.json", json!({ "goal": "g", "agent": { "id": "a" }, "steps": reads(3) }).to_string());
    let said = one(&place, &["risk", "predict", "plan.json"]);
    assert_eq!((&said["level"], &said["assessment"]["estimator"]), (&json!("low"), &json!("bytes/4")));
}

#[test]
fn what_is_no_plan_and_no_features_is_refused_by_name() {
    let place = Place::new();
    let mut wrong = features(3);
    wrong["sequential_tool_calls"] = json!(4);
    place.write("wrong.json", wrong.to_string());
    refused(&place, &["risk", "predict", "wrong.json"], "FBX-1024", "sequential_tool_calls is 4; expected 1 to 3");
    wrong["sequential_tool_calls"] = json!(-1);
    place.write("wrong.json", wrong.to_string());
    refused(&place, &["risk", "predict", "wrong.json"], "FBX-1006", "sequential_tool_calls");
    wrong.as_object_mut().unwrap().remove("sequential_tool_calls");
    place.write("wrong.json", wrong.to_string());
    refused(&place, &["risk", "explain", "wrong.json"], "FBX-1006", "sequential_tool_calls");
    place.write("wrong.json", "{");
    refused(&place, &["risk", "predict", "wrong.json"], "FBX-1001", "JSON");
    for number in ["9007199254740992", "1e20", "-123456789012345678901234567890"] {
        let text = features(3).to_string().replace("\"plan_depth\":1", &format!("\"plan_depth\":{number}"));
        place.write("wrong.json", text);
        refused(&place, &["risk", "predict", "wrong.json"], "FBX-1003", "plan_depth");
    }
}

#[test]
fn a_batch_goes_on_behind_a_wrong_line() {
    let place = Place::new();
    place.write("batch.ndjson", format!("{}\n\nnonsense\n{}\n", features(3), features(30)));
    let output = place.fusebox(&["risk", "batch", "batch.ndjson", "--json"]);
    assert_eq!(output.status.code(), Some(2));
    let all = lines(&output);
    let said: Vec<(&Value, &Value)> = all.iter().map(|line| (&line["line"], &line["level"])).collect();
    assert_eq!(said, [(&json!(1), &json!("low")), (&json!(3), &Value::Null), (&json!(4), &json!("high"))]);
    assert_eq!(all[1]["code"], "FBX-1001");

    place.write("batch.ndjson", "{\"\\u001b[31mred\\u202e\": 1e300}\n");
    let output = place.fusebox(&["risk", "batch", "batch.ndjson"]);
    assert_eq!(output.status.code(), Some(2));
    let message = text(&output.stderr);
    assert!(message.contains("red") && !message.contains(['\u{1b}', '\u{202e}']), "{message:?}");
}

#[test]
fn what_became_of_runs_is_exported_compared_and_learned_from() {
    let place = with_files();
    let model = fusebox_tests::root().join("models/risk.onnx");
    std::fs::copy(&model, place.path("other.onnx")).unwrap();
    std::fs::copy(model.with_extension("json"), place.path("other.json")).unwrap();
    place.write("features.json", features(3).to_string());
    let said = one(&place, &["risk", "predict", "features.json"]);
    let digest = said["assessment"]["prediction"]["model"].as_str().unwrap();
    let policy = format!("[risk.challenger]\npath = \"other.onnx\"\nsha256 = \"{digest}\"\n");
    place.write("policy.toml", policy);
    let policy = ["--policy", "policy.toml"];
    let (code, _) = place.run_steps(&reads(3), &policy);
    assert_eq!(code, 0);
    let (code, ended) = place.run_steps(&json!([step("read_file", json!({ "path": "nowhere.txt" }))]), &policy);
    assert_ne!(code, 0);
    let run = ended[0]["run_id"].as_str().unwrap().to_owned();

    let output = place.fusebox(&["risk", "export", "--policy", "policy.toml"]);
    let exported = lines(&output);
    assert_eq!(exported.len(), 2, "{exported:?}");
    assert_eq!((&exported[0]["outcome"], &exported[1]["outcome"]), (&json!("completed"), &json!("failed")));
    assert_eq!(exported[0]["actual"]["num_steps"], 3);
    assert_eq!(exported[0]["assessment"]["features"]["num_steps"], 3);
    assert_eq!(exported[1]["overruled"], Value::Null);

    let said = one(&place, &["risk", "overrule", &run, "low", "--reason", "only a typo"]);
    assert_eq!((&said["from"], &said["to"]), (&json!("low"), &json!("low")));
    assert!(place.fusebox(&["risk", "export", "--out", "runs.ndjson"]).status.success());
    let file = std::fs::read_to_string(place.path("runs.ndjson")).unwrap();
    let second: Value = serde_json::from_str(file.lines().nth(1).unwrap()).unwrap();
    assert_eq!(second["overruled"], "low");

    let compared = one(&place, &["risk", "compare", "--from", "runs.ndjson"]);
    assert_eq!((&compared["runs"], &compared["agreement"]), (&json!(2), &json!(1.0)));
    assert_eq!(compared["champion"]["model"], digest);
    assert_eq!(compared["went_badly"], 0, "a person's word takes the place of what happened");
    let drifts = lines(&place.fusebox(&["risk", "drift", "--json"]));
    assert_eq!(drifts.len(), 9);
    assert!(drifts.iter().all(|drift| drift["psi"].as_f64().unwrap() >= 0.0));
    let proposed = one(&place, &["risk", "thresholds"]);
    assert_eq!((&proposed["runs"], &proposed["thresholds"]), (&json!(2), &json!([])), "two runs are too few");
    for task in ["compare", "drift", "thresholds"] {
        let output = place.fusebox(&["risk", task]);
        assert!(output.status.success() && !output.stdout.is_empty(), "{task}");
    }
    // The log proves it like everything else.
    assert!(place.fusebox(&["audit", "verify"]).status.success());
}

#[test]
fn only_runs_whose_risk_was_predicted_are_overruled() {
    let place = with_files();
    refused(&place, &["risk", "overrule", "0193a5c2-0000-7000-8000-000000000000", "high"], "FBX-5022", "no run");
    place.write("policy.toml", "[risk]\nmode = \"off\"\n");
    let (_, lines) = place.run_steps(&reads(1), &["--policy", "policy.toml"]);
    let run = lines[0]["run_id"].as_str().unwrap();
    refused(&place, &["risk", "overrule", run, "high"], "FBX-5052", "nothing to overrule");
}

#[test]
fn a_policys_model_is_checked_before_anything_runs() {
    let place = with_files();
    place.write("plan.json", json!({ "goal": "g", "agent": { "id": "a" }, "steps": reads(1) }).to_string());
    let run = ["run", "plan.json", "--workspace", "workspace", "--policy", "policy.toml"];
    place.write("policy.toml", "[risk.model]\npath = \"nowhere.onnx\"\n");
    refused(&place, &run, "FBX-6001", "nowhere.onnx");
    place.write("bad.onnx", "not a model");
    std::fs::copy(fusebox_tests::root().join("models/risk.json"), place.path("bad.json")).unwrap();
    place.write("policy.toml", "[risk.model]\npath = \"bad.onnx\"\n");
    refused(&place, &run, "FBX-6003", "its metadata");
    place.write("policy.toml", format!("[risk.model]\npath = \"bad.onnx\"\nsha256 = \"{}\"\n", "0".repeat(64)));
    refused(&place, &run, "FBX-6003", "the policy");
    for (wrong, named) in [
        ("[risk]\nreview_below = 2.0\n", "review_below"),
        ("[risk]\nmod = \"off\"\n", "did you mean \"mode\"?"),
        ("[risk.profiles.low]\ntokens = 0\n", "profiles.low"),
        ("[risk.thresholds.medium]\nnum_steps = 99\n", "may not be above high.num_steps"),
        ("[risk.model]\npath = \"x\"\nsha256 = \"abc\"\n", "64 hexadecimal digits"),
    ] {
        place.write("policy.toml", wrong);
        refused(&place, &run, "FBX-5006", named);
    }
    place.write("workspace/fusebox.toml", "[risk]\nmode = \"off\"\n");
    assert!(place.fusebox(&["trust", "workspace"]).status.code() == Some(2), "a project's policy says nothing of risk");
}
