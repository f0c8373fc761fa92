//! Workspaces that a plan chooses, from which less is known to be protected than from around them.

use serde_json::{Value, json};

use super::outside;
use crate::place::{Place, events, lines, step, text};

fn place() -> Place {
    let place = Place::new().without_risk();
    std::os::unix::fs::symlink(place.path("workspace"), place.path("alias")).unwrap();
    place
}

/// Runs a plan that lies in a folder of the workspace, and names its own, from the workspace.
fn run(place: &Place, plan_folder: &str, folder: &str, steps: Value) -> (i32, Vec<Value>) {
    let workspace = json!({ "path": folder, "mode": "in-place" });
    let plan = json!({ "goal": "g", "agent": { "id": "a" }, "workspace": workspace, "steps": steps });
    let file = place.write(&format!("workspace/{plan_folder}/plan.json"), plan.to_string());
    let args = ["run", file.to_str().unwrap(), "--approve", "all", "--json"];
    let output = place.command(&args).current_dir(place.path("workspace")).output().unwrap();
    (output.status.code().unwrap(), lines(&output))
}

#[test]
fn a_plan_chooses_no_workspace_that_is_less_protected() {
    for (before, plan, folder) in [
        ("mkdir sub; echo x > sub/k; ln -s $PWD/../alias/sub/k .env", ".", "sub"),
        ("mkdir sub; echo x > sub/k; ln -s ../workspace/sub/k .env", ".", "sub"),
        ("mkdir sub .ssh; echo x > sub/k; ln sub/k .ssh/k", ".", "sub"),
        ("mkdir sub .ssh; echo x > sub/k; ln -s ../sub/k .ssh/k", ".", "sub"),
        ("mkdir sub real .github; ln -s ../sub/wf .github/workflows; ln -s ../real sub/wf", ".", "sub"),
        ("mkdir sub; ln -s mid .env; ln -s sub/x mid", ".", "sub"),
        ("mkdir ci; ln -s ci .github", ".", "ci"),
        ("mkdir -p ci/x; ln -s ci .github", ".", "ci/x"),
        ("mkdir -p sub/ci; ln -s sub/ci .github", ".", "sub"),
        ("mkdir sub; echo x > sub/k; ln -s sub/k .env", "sub", "."),
        ("git init -q; mkdir hooks; git config core.hooksPath hooks", "hooks", "."),
        ("mkdir .github", ".github", "."),
        ("mkdir -p .github/workflows/x", ".github/workflows", "x"),
        ("mkdir ci; ln -s ci .github", "ci", "."),
    ] {
        let place = place();
        outside(&place, before);
        let (_, lines) = run(&place, plan, folder, json!([step("read_file", json!({ "path": "k" }))]));
        assert_eq!(lines[0]["code"], "FBX-5014", "{before}: {lines:?}");
    }
    for (before, plan, folder) in [
        ("mkdir sub", "sub", "."),
        ("git init -q; mkdir -p a/b .github/workflows; echo x > .env; ln -s a c", "a", "b"),
        ("mkdir -p sub/.github; ln -s sub/.github .github", ".", "sub"),
        ("git init -q; mkdir -p a/src hooks; ln -s a l; mkdir a/hk; git config core.hooksPath l/hk", ".", "a/src"),
    ] {
        let place = place();
        outside(&place, before);
        let (code, lines) = run(&place, plan, folder, json!([step("run_command", json!({ "shell": "echo hi" }))]));
        assert_eq!(code, 0, "{before}: {lines:?}");
    }
}

#[test]
fn a_plan_takes_no_policy_away_that_counts_where_the_operator_is() {
    let place = place();
    place.write("workspace/fusebox.toml", "[limits]\nsteps = 1\n");
    outside(&place, "mkdir sub && echo x > sub/a");
    assert!(place.fusebox(&["trust", "workspace"]).status.success());
    let read = || step("read_file", json!({ "path": "a" }));
    for (plan, folder) in [(".", "sub"), ("sub", ".")] {
        let (code, lines) = run(&place, plan, folder, json!([read(), read()]));
        assert_eq!((code, events(&lines, "step_completed").len()), (5, 1), "one step is the most: {lines:?}");
    }
}

#[test]
fn policies_of_all_folders_above_count() {
    let place = place();
    outside(&place, "mkdir -p plans/data && echo x > plans/data/a && git init -q");
    place.write("workspace/fusebox.toml", "[limits]\nsteps = 1\n");
    assert!(place.fusebox(&["trust", "workspace"]).status.success());
    let read = || step("read_file", json!({ "path": "a" }));
    let plan = json!({ "goal": "g", "agent": { "id": "a" }, "workspace": { "path": "data", "mode": "in-place" }, "steps": [read(), read()] });
    let file = place.write("workspace/plans/plan.json", plan.to_string());
    for folder in [".", "workspace", "workspace/plans"] {
        let args = ["run", file.to_str().unwrap(), "--approve", "all", "--json"];
        let output = place.command(&args).current_dir(place.path(folder)).output().unwrap();
        assert_eq!(output.status.code(), Some(5), "{folder}: one step is the most: {:?}", lines(&output));
    }
}

#[test]
fn an_operator_in_a_home_is_no_way_around() {
    let place = place();
    outside(
        &place,
        "mkdir -p dot/src/ssh ../workspace/w/x && echo S3CRET > dot/src/ssh/work && ln -s dot/src/ssh .ssh",
    );
    let steps = json!([step("run_command", json!({ "shell": "cat ssh/work" }))]);
    let plan = json!({ "goal": "g", "agent": { "id": "a" }, "workspace": { "path": "src", "mode": "in-place" }, "steps": steps });
    let file = place.write("workspace/dot/plan.json", plan.to_string());
    let hooks =
        "mkdir -p src/repo/tools/hooks && git -C src/repo init -q && git -C src/repo config core.hooksPath tools/hooks";
    outside(&place, hooks);
    let plan = json!({ "goal": "g", "agent": { "id": "a" }, "workspace": { "path": "src/repo/tools/hooks", "mode": "in-place" }, "steps": steps });
    let other = place.write("workspace/plan.json", plan.to_string());
    let args = ["run", other.to_str().unwrap(), "--approve", "all", "--json"];
    let output =
        place.command(&args).current_dir(place.path("workspace")).env("HOME", place.path("workspace")).output();
    assert_eq!(lines(&output.unwrap())[0]["code"], "FBX-5014");
    for home in ["workspace", "workspace/w/x"] {
        let args = ["run", file.to_str().unwrap(), "--approve", "all", "--json"];
        let mut command = place.command(&args);
        let output = command.current_dir(place.path("workspace")).env("HOME", place.path(home)).output().unwrap();
        assert_eq!(lines(&output)[0]["code"], "FBX-5014", "{home}: {:?}", lines(&output));
    }
}

#[test]
fn a_copy_lacks_what_is_hidden_within_the_hidden() {
    let place = place();
    outside(
        &place,
        "mkdir -p cfg/aws .aws; echo S3CRET > cfg/aws/k; ln -s ../cfg/aws .aws/x; ln -s ../cfg/aws/k .aws/y",
    );
    let steps = [step("run_command", json!({ "shell": "cat cfg/aws/k; ls" }))];
    place.write("plan.json", json!({ "goal": "g", "agent": { "id": "a" }, "steps": steps }).to_string());
    let run = place.fusebox(&["run", "plan.json", "--workspace", "workspace", "--copy", "--approve", "all", "--json"]);
    let said = text(&run.stdout);
    assert!(said.contains("step_started") && !said.contains("S3CRET"), "{said}");
}
