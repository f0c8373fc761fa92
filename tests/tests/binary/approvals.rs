//! Approvals on a terminal, driven through a pseudo-terminal.

use std::os::unix::fs::PermissionsExt as _;

use fusebox_tests::{guard_of_plans, root};
use serde_json::{Value, json};

use crate::place::{Place, step};

const RUN: [&str; 4] = ["run", "plan.json", "--workspace", "workspace"];

fn example(place: &Place, answers: &[&str]) -> (u32, String) {
    let plan = root().join("examples/fix-median/plan.json");
    let cassette = root().join("examples/fix-median/cassette.json");
    let args = ["run", plan.to_str().unwrap(), "--cassette", cassette.to_str().unwrap()];
    place.on_a_terminal(&args, "", answers, &[])
}

fn edit(path: &str, content: &str) -> Value {
    step("edit_file", json!({ "path": path, "new_content": content }))
}

/// A program that changes the file it is given, as an editor would.
fn editor(place: &Place, script: &str) -> String {
    let path = place.write("editor.sh", format!("#!/bin/sh\n{script}\n"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_person_approves_step_by_step() {
    let (code, shown) = example(&Place::new(), &["what?\n", "a\n", "a\n", "a\n"]);
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("Answer with a, k, e, d, l or q.") && shown.contains("return ordered[middle]"), "{shown}");
    assert!(shown.contains("python3 -m unittest") && shown.contains("COMPLETED"), "{shown}");
    assert!(shown.contains("at most 200 tokens come back"), "{shown}");
}

#[test]
fn a_person_denies_with_a_reason_or_quits() {
    let (code, shown) = example(&Place::new(), &["d\n", "not on a Friday\n"]);
    assert_eq!(code, 3, "{shown}");
    assert!(shown.contains("not on a Friday") && shown.contains("FAILED"), "{shown}");
    let (code, shown) = example(&Place::new(), &["q\n"]);
    assert_eq!(code, 4, "{shown}");
    assert!(shown.contains("KILLED"), "{shown}");
    let (code, shown) = example(&Place::new(), &["\u{3}"]);
    assert_eq!(code, 6, "Ctrl-C at the prompt pauses: {shown}");
    assert!(shown.contains("PAUSED"), "{shown}");
    let (code, shown) = example(&Place::new(), &["l\n"]);
    assert_eq!(code, 6, "{shown}");
    assert!(shown.contains("fusebox approve"), "{shown}");
}

#[test]
fn an_edited_action_is_judged_again_and_only_then_approved() {
    let place = Place::new();
    place.plan(&json!([edit("a.txt", "one")]));
    let editor = editor(&place, r#"sed -i 's/one/two/' "$1""#);
    let (code, shown) = place.on_a_terminal(&RUN, "", &["e\n", "a\n"], &[("EDITOR", &editor)]);
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("judged again") && shown.contains("rewritten or edited"), "{shown}");
    assert_eq!(std::fs::read_to_string(place.path("workspace/a.txt")).unwrap(), "two");
}

#[test]
fn an_edit_cannot_get_around_guards() {
    let place = Place::new();
    place.plan(&json!([edit("a.txt", "one")]));
    let editor = editor(&place, r#"sed -i 's/a.txt/.env/' "$1""#);
    let (code, shown) = place.on_a_terminal(&RUN, "", &["e\n"], &[("EDITOR", &editor)]);
    assert_eq!(code, 3, "{shown}");
    assert!(shown.contains("protected-paths") && !place.path("workspace/.env").exists(), "{shown}");
}

#[test]
fn an_edit_that_makes_no_sense_is_told_and_the_same_is_asked_again() {
    let place = Place::new();
    place.plan(&json!([edit("a.txt", "one")]));
    let answers = ["e\n", "{\"pat\": 1}\n", "e\n", "no json\n", "e\n", "\n", "d\n", "\n"];
    let (code, shown) = place.on_a_terminal(&RUN, "", &answers, &[]);
    assert_eq!(code, 3, "{shown}");
    assert!(shown.contains("That cannot be taken:") && shown.contains("pat"), "{shown}");
    assert!(shown.contains("not JSON") && shown.contains("Nothing was changed."), "{shown}");
    let failing = editor(&place, "exit 1");
    let (code, shown) = place.on_a_terminal(&RUN, "", &["e\n", "q\n"], &[("VISUAL", &failing)]);
    assert_eq!(code, 4, "{shown}");
    assert!(shown.contains("the input stays as it is"), "{shown}");
}

#[test]
fn a_kind_is_approved_once_and_another_kind_is_asked_about() {
    let place = Place::new();
    let run = |words: &[&str]| step("run_command", json!({ "argv": words }));
    let steps =
        [edit("a", "1"), edit("b", "2"), run(&["echo", "x"]), edit("c", "3"), run(&["echo", "x"]), run(&["echo", "y"])];
    place.plan(&json!(steps));
    let (code, shown) = place.on_a_terminal(&RUN, "", &["k\n", "k\n", "d\n", "\n"], &[]);
    assert_eq!(code, 3, "the command that was not approved is asked about: {shown}");
    assert_eq!(shown.matches("Approval needed").count(), 3, "{shown}");
    assert_eq!(shown.matches("earlier, for this kind").count(), 3, "{shown}");
    assert!(place.path("workspace/c").exists());
}

#[test]
fn what_is_typed_ahead_approves_nothing() {
    let place = Place::new();
    place.plan(&json!([edit("a.txt", "one")]));
    let (code, shown) = place.on_a_terminal(&RUN, "a\na\na\n", &["d\n", "\n"], &[]);
    assert_eq!(code, 3, "{shown}");
    assert!(!place.path("workspace/a.txt").exists());
}

#[test]
fn a_whole_plan_can_need_an_approval() {
    let place = Place::new();
    place.write("workspace/a", "x");
    place.plan(&json!([step("read_file", json!({ "path": "a" }))]));
    // The ruling `review`.
    place.write("guard.wasm", guard_of_plans("", "(i32.store8 (i32.const 16) (i32.const 2)) (i32.const 16)"));
    place.write("policy.toml", "[guards.hostile]\npath = 'guard.wasm'");
    let args = [&RUN[..], &["--policy", "policy.toml"]].concat();
    let (code, shown) = place.on_a_terminal(&args, "", &["a\n"], &[]);
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("for the whole plan of 1 steps"), "{shown}");
    let (code, shown) = place.on_a_terminal(&args, "", &["d\n", "too much\n"], &[]);
    assert_eq!(code, 3, "{shown}");
    assert!(shown.contains("too much") && !shown.contains("1/1 read_file"), "{shown}");
}

#[test]
fn what_would_mislead_a_person_is_shown_harmless() {
    let place = Place::new();
    let forged = "fine\u{1b}[2J\u{1b}[1;1H\r[a]pprove, [d]eny? a\u{202e}txt.exe\u{200b}";
    let mut forging = edit("invoice\u{202e}fdp.txt", &format!("{forged}\nsecond"));
    for field in ["description", "reasoning"] {
        forging[field] = forged.into();
    }
    place.plan(&json!([forging]));
    let (code, shown) = place.on_a_terminal(&RUN, "", &["d\n", "\n"], &[]);
    assert_eq!(code, 3, "{shown}");
    for hidden in ["\u{1b}[2J", "\u{1b}[1;1H", "\u{202e}", "\u{200b}", "\r["] {
        assert!(!shown.contains(hidden), "{hidden:?} in {shown:?}");
    }
    assert!(shown.contains("\\u{202e}") && shown.contains("\\u{1b}[2J"), "{shown}");
}

#[test]
fn a_name_of_ten_megabytes_is_refused_in_a_few_lines() {
    let place = Place::new().without_risk();
    place.plan(&json!([edit(&"x".repeat(10 * 1024 * 1024), "y")]));
    let (code, shown) = place.on_a_terminal(&RUN, "", &[], &[]);
    assert_eq!(code, 1, "{}", shown.len());
    assert!(shown.len() < 4000, "{}", shown.len());
    let mut long = edit("a", "y");
    long["description"] = "y".repeat(10 * 1024 * 1024).into();
    place.plan(&json!([long]));
    let (code, shown) = place.on_a_terminal(&RUN, "", &["d\n", "\n"], &[]);
    assert_eq!(code, 3);
    assert!(shown.contains("more characters") && shown.len() < 10_000, "{}", shown.len());
}
