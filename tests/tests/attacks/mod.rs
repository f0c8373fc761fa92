//! Attacks on the real binary, as attackers made them: each must fail. What they broke once stands here with its number
//! in the report; what held stands beside it, and must go on to hold.

mod aliases;
mod approving;
mod killing;
mod links;
mod log;
mod planting;
mod settings;
mod tricks;
mod workspaces;

use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::place::{Place, events, lines, text};

/// A key of an approver of this place, made on a terminal.
fn key(place: &Place) -> String {
    let file = place.path("ann.key").to_str().unwrap().to_owned();
    let (code, shown) = place.on_a_terminal(&["approvers", "add", "ann", "--out", &file], "", &[], &[]);
    assert_eq!(code, 0, "{shown}");
    file
}

/// Runs steps up to the first question, or to the end; gives exit code, run and events.
fn attempt(place: &Place, steps: &Value, more: &[&str], variables: &[(&str, &str)]) -> (i32, String, Vec<Value>) {
    let plan = json!({ "goal": "attack", "agent": { "id": "attacker" }, "steps": steps });
    place.write("plan.json", plan.to_string());
    let args = [&["run", "plan.json", "--workspace", "workspace", "--json"], more].concat();
    let output = place.command(&args).envs(variables.iter().copied()).output().unwrap();
    let lines = lines(&output);
    let run = lines.iter().find_map(|line| line["run_id"].as_str()).unwrap_or_else(|| {
        panic!("{lines:?} {}", text(&output.stderr));
    });
    (output.status.code().unwrap(), run.to_owned(), lines.clone())
}

/// Continues a run; gives exit code and events.
fn go_on(place: &Place, run: &str, variables: &[(&str, &str)]) -> (i32, Vec<Value>) {
    let output = place.command(&["continue", run, "--json"]).envs(variables.iter().copied()).output().unwrap();
    (output.status.code().unwrap(), lines(&output))
}

/// Approves the last question of these events with a key.
fn approve(place: &Place, asked: &[Value], key: &str, more: &[&str]) -> std::process::Output {
    let id = events(asked, "approval_requested").last().unwrap()["id"].as_str().unwrap().to_owned();
    place.fusebox(&[&["approve", &id, "--yes", "--key", key], more].concat())
}

/// An executable file of the workspace.
fn program(place: &Place, name: &str, text: &str) {
    let path = place.write(&format!("workspace/{name}"), text);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// What the failed step of these events says.
fn failure(lines: &[Value]) -> String {
    events(lines, "step_failed")[0]["message"].as_str().unwrap().to_owned()
}

/// Runs a command of this machine, outside of any sandbox, in the workspace.
fn outside(place: &Place, line: &str) -> String {
    let mut command = std::process::Command::new("sh");
    let output = command.args(["-c", line]).current_dir(place.path("workspace")).stdin(Stdio::null()).output().unwrap();
    text(&output.stdout) + &text(&output.stderr)
}
