//! Protected files by other names: links and hard links in protected folders, other names of the workspace, settings that
//! name files in odd ways, links that are swapped, copies.

use serde_json::json;

use super::outside;
use crate::place::{Place, lines, step, text};

/// What is there, and what a command does then.
type Attack = (&'static str, &'static str);

/// A secret `S3CRET` must not show.
const READ: &[Attack] = &[
    ("mkdir .ssh conf; echo S3CRET > conf/k; ln -s ../conf/k .ssh/deploy", "cat conf/k"),
    ("mkdir -p .ssh conf/d; echo S3CRET > conf/d/k; ln -s ../conf/d .ssh/d", "cat conf/d/k"),
    ("mkdir -p .ssh a b c; echo S3CRET > c/k; ln -s ../a .ssh/a; ln -s ../b a/b; ln -s ../c b/c", "cat c/k"),
    ("mkdir -p .aws conf; echo S3CRET > conf/creds; ln -s ../conf/creds .aws/credentials", "cat conf/creds"),
    ("mkdir -p .ssh/a conf; echo S3CRET > conf/k; ln conf/k .ssh/a/deploy", "cat conf/k"),
    ("mkdir conf; echo S3CRET > conf/k; ln -s ../workspace/conf/k .env", "cat conf/k"),
    ("mkdir conf; echo S3CRET > conf/k; ln -s $PWD/../alias/conf/k .env", "cat conf/k"),
    ("mkdir conf; echo S3CRET > conf/k; ln conf/k conf/l; ln -s conf/k .env", "cat conf/l"),
];

/// The file is made or changed so that `touch PWNED` runs when a person works there, or as it says: it must not be so at the
/// end.
const PLANTED: &[(&str, &str, &str)] = &[
    (
        "git init -q; mkdir scripts; ln -s ../../scripts/pc .git/hooks/pre-commit; echo > scripts/pc",
        "cp e.sh scripts/pc",
        "git commit -q --allow-empty -m x",
    ),
    (
        "git init -q; mkdir hk; git config core.hooksPath $PWD/../alias/hk",
        "cp e.sh hk/pre-commit",
        "git commit -q --allow-empty -m x",
    ),
    (
        "git init -q; mkdir hk s; git config core.hooksPath hk; echo > s/pc; ln -s ../s/pc hk/pre-commit",
        "cp e.sh s/pc",
        "git commit -q --allow-empty -m x",
    ),
    (
        "git init -q; mkdir conf real; echo > real/inc; ln -s ../real/inc conf/inc; git config include.path ../conf/inc",
        "rm conf/inc; printf '[core]\\n fsmonitor = %s/e.sh\\n' $PWD > conf/inc",
        "git status",
    ),
    (
        "git init -q; mkdir conf real; echo > real/inc; ln -s ../real conf/d; git config include.path ../conf/d/inc",
        "rm conf/d; mkdir conf/d; printf '[core]\\n fsmonitor = %s/e.sh\\n' $PWD > conf/d/inc",
        "git status",
    ),
    (
        "git init -q; mkdir real; ln -s real hk; git config core.hooksPath hk",
        "rm hk; mkdir hk; cp e.sh hk/pre-commit",
        "git commit -q --allow-empty -m x",
    ),
    (
        "git init -q; mkdir tools real; cp e.sh real/t; sed -i s/PWNED/x/ real/t; ln -s ../real/t tools/t; \
         git config core.fsmonitor tools/t",
        "rm tools/t; cp e.sh tools/t",
        "git status",
    ),
    ("git init -q; mkdir tools; git config core.fsmonitor tools/t", "cp e.sh tools/t", "git status"),
];

/// Commands that settings hold, each of which runs `tools/clean.sh`.
const COMMANDS: &[&str] = &[
    "\"tools/clean.sh\" %f",
    "sh \"tools/clean.sh\" %f",
    "\"$PWD/tools/clean.sh\"",
    "cd tools && ./clean.sh",
    "cat|tools/clean.sh",
    "test -x tools/clean.sh&&tools/clean.sh",
    "$PWD/tools/clean.sh",
    "sh -c \"exec tools/clean.sh\"",
];

fn place() -> Place {
    let place = Place::new().without_risk();
    std::os::unix::fs::symlink(place.path("workspace"), place.path("alias")).unwrap();
    super::program(&place, "e.sh", "#!/bin/sh\ntouch \"$(git rev-parse --show-toplevel)/PWNED\"\n");
    place
}

/// A shell line of a person in the workspace, whose own settings name nothing.
fn person(place: &Place, line: &str) -> String {
    let who = "export HOME=$PWD/.. GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=b; ";
    outside(place, &format!("{who}{line}"))
}

/// Runs a shell line as a step; gives all that the run said.
fn run(place: &Place, line: &str, more: &[&str]) -> String {
    let (_, lines) = place.run_steps(&json!([step("run_command", json!({ "shell": line }))]), more);
    serde_json::to_string(&lines).unwrap()
}

#[test]
fn secrets_are_hidden_whatever_leads_to_them() {
    for (before, attack) in READ {
        let place = place();
        person(&place, before);
        let said = run(&place, attack, &[]);
        assert!(said.contains("step_started") && !said.contains("S3CRET"), "{before}: {said}");
        // So they are in a copy, which has no links.
        let said = run(&place, attack, &["--copy"]);
        assert!(said.contains("step_started") && !said.contains("S3CRET"), "{before}, copied: {said}");
    }
}

#[test]
fn what_runs_later_stays_as_it_is_whatever_leads_to_it() {
    for (before, attack, later) in PLANTED {
        let place = place();
        person(&place, before);
        let said = run(&place, attack, &[]);
        assert!(said.contains("step_started"), "{before}: {said}");
        let later = person(&place, later);
        assert!(!place.path("workspace/PWNED").exists(), "{before}: {said} {later}");
    }
}

#[test]
fn what_settings_run_is_read_only_however_they_name_it() {
    for command in COMMANDS {
        let place = place();
        person(
            &place,
            "git init -q; mkdir tools; printf '#!/bin/sh\\ncat\\n' > tools/clean.sh; chmod +x tools/clean.sh",
        );
        let set = format!("git config filter.f.clean '{command}'");
        person(&place, &set);
        let said = run(&place, "cp e.sh tools/clean.sh", &[]);
        assert!(said.contains("Read-only file system"), "{command}: {said}");
    }
    let place = place();
    person(&place, "mkdir -p .hg/store sub; printf '[hooks]\\nupdate = sub/t\\n' > .hg/hgrc; echo > sub/t");
    assert!(run(&place, "echo evil > sub/t", &[]).contains("Read-only file system"));
}

#[test]
fn a_plan_chooses_no_workspace_through_which_links_lead() {
    for (before, folder) in [
        ("mkdir sub; echo x > sub/k; ln -s $PWD/../alias/sub/k .env", "sub"),
        ("mkdir sub; echo x > sub/k; ln -s ../workspace/sub/k .env", "sub"),
        ("mkdir sub .ssh; echo x > sub/k; ln sub/k .ssh/k", "sub"),
        ("mkdir sub .ssh; echo x > sub/k; ln -s ../sub/k .ssh/k", "sub"),
        (
            "git init -q; mkdir sub real; mv .git/hooks real/hk; ln -s ../sub/l/hk .git/hooks; ln -s ../real sub/l",
            "sub",
        ),
        ("mkdir sub real .github; ln -s ../sub/wf .github/workflows; ln -s ../real sub/wf", "sub"),
        ("git init -q; mkdir sub; echo > sub/t.sh; git config filter.f.clean '\"sub/t.sh\"'", "sub"),
        ("mkdir sub; ln -s mid .env; ln -s sub/x mid", "sub"),
    ] {
        let place = place();
        person(&place, before);
        let workspace = json!({ "path": folder, "mode": "in-place" });
        let steps = [step("read_file", json!({ "path": "k" }))];
        let plan = json!({ "goal": "g", "agent": { "id": "a" }, "workspace": workspace, "steps": steps });
        place.write("workspace/plan.json", plan.to_string());
        let refused = place.fusebox(&["run", "workspace/plan.json", "--approve", "all", "--json"]);
        assert!(text(&refused.stdout).contains("FBX-5014"), "{before}: {:?}", lines(&refused));
    }
}
