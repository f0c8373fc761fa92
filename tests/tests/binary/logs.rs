//! What plugins log is kept, bounded, and shown where it is asked for.

use fusebox_tests::{guard_of_plans, guard_with};
use serde_json::{Value, json};

use crate::place::{Place, events, lines, step, text};

const IMPORTS: &str = r#"(import "fusebox:plugin/log@0.1.0" "emit" (func $emit (param i32 i32 i32)))
    (import "fusebox:plugin/log@0.1.0" "panic" (func $panic (param i32 i32)))"#;

/// A place with a guard that logs a line at level `warn`, then a line that is too large, and abstains, and one that only
/// monitors.
fn place() -> Place {
    let place = Place::new();
    // Text of the description lies at 4096; its first 16 bytes make the line.
    let line = "(call $emit (i32.const 3) (i32.const 4096) (i32.const 16))";
    let flood = "(call $emit (i32.const 0) (i32.const 0) (i32.const 131072))";
    place.write("talks.wasm", guard_with(IMPORTS, &format!("{line} {flood} (i32.const 16)")));
    place.write("silent.wasm", guard_with(IMPORTS, "(i32.const 16)"));
    place.write(
        "home/fusebox.toml",
        "[guards.talks]\nplugin = \"hostile\"\npath = \"../talks.wasm\"\n[guards.silent]\nplugin = \"hostile\"\npath = \"../silent.wasm\"\nmode = \"monitor\"\n",
    );
    place.write("workspace/a.txt", "one\n");
    place
}

fn logged(lines: &[Value]) -> Vec<Value> {
    events(lines, "plugin_log").into_iter().cloned().collect()
}

fn expected() -> Value {
    json!({ "lines": [{ "level": "warn", "message": "{\"name\":\"hostile" }], "dropped": 1 })
}

#[test]
fn the_log_of_a_run_holds_what_plugins_logged() {
    let place = place();
    let plan = place.plan(&json!([step("read_file", json!({ "path": "a.txt" }))]));
    let run = ["run", plan.to_str().unwrap(), "--workspace", "workspace", "--approve", "all"];
    let printed = lines(&place.fusebox(&[&run[..], &["--json"]].concat()));
    let stored = events(&printed, "plugin_logged");
    assert_eq!(stored.len(), 1, "{printed:?}");
    assert_eq!(
        (&stored[0]["plugin"], &stored[0]["lines"], &stored[0]["dropped"]),
        (&json!("talks"), &json!(1), &json!(1))
    );
    let live = logged(&printed);
    assert_eq!(live.len(), 1);
    assert_eq!((&live[0]["lines"], &live[0]["dropped"]), (&expected()["lines"], &expected()["dropped"]));

    let id = stored[0]["run_id"].as_str().unwrap();
    let shown = logged(&lines(&place.fusebox(&["show", id, "--logs", "--json"])));
    assert_eq!(shown, live, "`show` prints what the run printed");
    assert!(logged(&lines(&place.fusebox(&["show", id, "--json"]))).is_empty());
    let words = text(&place.fusebox(&["show", id, "--logs"]).stdout);
    assert!(words.contains("talks logged:") && words.contains("warn") && words.contains("1 more line"), "{words}");
    assert!(!text(&place.fusebox(&["show", id]).stdout).contains("logged"));
    let verified = place.fusebox(&["audit", "verify"]);
    assert!(verified.status.success(), "{verified:?}");

    // Erased blobs take the lines with them; the event stays.
    assert!(place.fusebox(&["audit", "erase", "--run", id, "--reason", "asked"]).status.success());
    let erased = lines(&place.fusebox(&["show", id, "--logs", "--json"]));
    assert!(logged(&erased).is_empty() && events(&erased, "plugin_logged").len() == 1);
}

#[test]
fn what_is_logged_about_a_plan_belongs_to_no_step() {
    let place = place();
    let data = format!(r#"{IMPORTS} (data (i32.const 3000) "a plan")"#);
    let say = "(call $emit (i32.const 2) (i32.const 3000) (i32.const 6)) (i32.const 16)";
    place.write("talks.wasm", guard_of_plans(&data, say));
    let plan = place.plan(&json!([step("run_command", json!({ "shell": "true" }))]));
    let started = lines(&place.fusebox(&["start", plan.to_str().unwrap(), "--workspace", "workspace", "--json"]));
    let run = started[0]["run_id"].as_str().unwrap();
    // It waits in the middle of its first step.
    assert_eq!(place.fusebox(&["next", run]).status.code(), Some(6));
    place.write("step.json", step("read_file", json!({ "path": "a.txt" })).to_string());
    let added = place.fusebox(&["add-step", run, "step.json"]);
    assert!(added.status.success(), "{added:?}");
    let kept = lines(&place.fusebox(&["show", run, "--json"]));
    let kept = events(&kept, "plugin_logged");
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert!(kept.iter().all(|logged| logged["step"].is_null()), "{kept:?}");
}

#[test]
fn a_check_tells_of_every_plugin() {
    let place = place();
    let action = json!({ "step_type": "read_file", "input": { "path": "a.txt" }, "agent": { "id": "a" } });
    let action = place.write("action.json", action.to_string());
    let check = ["check", action.to_str().unwrap(), "--workspace", "workspace"];
    let printed = lines(&place.fusebox(&[&check[..], &["--json"]].concat()));
    let plugins = events(&printed, "decision")[0]["plugins"].as_array().unwrap();
    let of =
        |name: &str| plugins.iter().find(|plugin| plugin["plugin"] == name).unwrap_or_else(|| panic!("{printed:?}"));
    assert_eq!(of("read_file")["role"], "executor");
    assert_eq!((&of("talks")["role"], &of("talks")["ruling"]), (&json!("guard"), &json!("abstain")));
    assert_eq!(of("talks")["log"], expected());
    assert_eq!((&of("silent")["mode"], &of("silent")["log"]), (&json!("monitor"), &Value::Null));
    assert!(plugins.iter().all(|plugin| plugin["usage"]["call_fuel"].as_u64().unwrap() > 0), "{plugins:?}");
    let words = text(&place.fusebox(&[&check[..], &["--explain"]].concat()).stdout);
    for part in ["guard talks: abstains", "guard silent, which only monitors: abstains", "fuel", "warn"] {
        assert!(words.contains(part), "{part}: {words}");
    }
    assert!(!text(&place.fusebox(&check).stdout).contains("talks"));
}

#[test]
fn a_secret_in_a_log_or_a_panic_is_not_kept() {
    const SECRET: &str = "AKIAQYLPMN5HHHFPZAM2";
    let place = place();
    let data = format!(r#"{IMPORTS} (data (i32.const 3000) "{SECRET}")"#);
    let say = "(call $emit (i32.const 2) (i32.const 3000) (i32.const 20)) (i32.const 16)";
    place.write("talks.wasm", guard_with(&data, say));
    let panic = "(call $panic (i32.const 3000) (i32.const 20)) unreachable";
    place.write("silent.wasm", guard_with(&data, panic));
    let plan = place.plan(&json!([step("read_file", json!({ "path": "a.txt" }))]));
    let run = ["run", plan.to_str().unwrap(), "--workspace", "workspace", "--approve", "all", "--json"];
    let printed = place.fusebox(&run);
    assert_eq!(events(&lines(&printed), "plugin_logged").len(), 1, "{printed:?}");
    assert!(!text(&printed.stdout).contains(SECRET), "{printed:?}");
    let action = json!({ "step_type": "read_file", "input": { "path": "a.txt" }, "agent": { "id": "a" } });
    place.write("action.json", action.to_string());
    let checked = place.fusebox(&["check", "action.json", "--workspace", "workspace", "--json"]);
    assert!(text(&checked.stdout).contains("REDACTED") && !text(&checked.stdout).contains(SECRET), "{checked:?}");
    let exported = place.fusebox(&["audit", "export", "--blobs"]);
    assert!(exported.status.success() && !text(&exported.stdout).contains(SECRET));
    for entry in std::fs::read_dir(place.path("home")).unwrap().flatten() {
        let bytes = std::fs::read(entry.path()).unwrap_or_default();
        assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()), "{:?}", entry.path());
    }
}
