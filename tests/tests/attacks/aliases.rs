//! Protected files by other names: links and hard links in protected folders, other names of the workspace, settings that
//! name files in odd ways, links that are swapped, copies.

use serde_json::json;

use super::outside;
use crate::place::{Place, step, text};

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
    (
        "git init -q; git config core.hooksPath tools/hooks",
        "mkdir -p r/hooks; cp e.sh r/hooks/pre-commit; ln -s r tools",
        "git commit -q --allow-empty -m x",
    ),
    (
        "git init -q; mkdir tools; git config core.hooksPath tools/hooks",
        "mv tools t2; ln -s t2 tools; mkdir -p tools/hooks; cp e.sh tools/hooks/pre-commit",
        "git commit -q --allow-empty -m x",
    ),
    (
        "git init -q; mkdir ../outside; ln -s ../outside hk; git config core.hooksPath hk",
        "rm hk; mkdir hk; cp e.sh hk/pre-commit",
        "git commit -q --allow-empty -m x",
    ),
    (
        "git init -q; git config core.hooksPath a/b/hooks",
        "mkdir -p x/y/hooks; cp e.sh x/y/hooks/pre-commit; ln -s ../x/y/hooks x/h; ln -s x a; ln -s y x/b",
        "git commit -q --allow-empty -m x",
    ),
    ("git init -q; git config core.fsmonitor 'sh tools/m'", "mkdir -p r; cp e.sh r/m; ln -s r tools", "git status"),
    (
        "git init -q; git config include.path ../conf/inc",
        "mkdir r; printf '[core]\\n fsmonitor = %s/e.sh\\n' $PWD > r/inc; ln -s r conf",
        "git status",
    ),
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

/// Commands that run it by a name that only a file which is there fits, or that an interpreter looks for.
const LATER: &[&str] = &["python3 tools/clean.sh", "bash -c tools/clean.sh", "env -S sh tools/clean.sh"];

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

/// Runs a shell line as a step in a folder; gives all that the run said. The home is the place's folder.
fn run_in(place: &Place, folder: &str, line: &str, more: &[&str]) -> String {
    let steps = [step("run_command", json!({ "shell": line }))];
    let plan = json!({ "goal": "g", "agent": { "id": "a" }, "steps": steps });
    place.write("plan.json", plan.to_string());
    let args = ["run", "plan.json", "--workspace", folder, "--approve", "all", "--json"];
    let output = place.command(&[&args, more].concat()).env("HOME", place.folder.path()).output().unwrap();
    text(&output.stdout)
}

fn run(place: &Place, line: &str, more: &[&str]) -> String {
    run_in(place, "workspace", line, more)
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
    // As well while the script is still missing, or its folder, or a link stands for that.
    for command in COMMANDS.iter().chain(LATER) {
        for (before, attack) in [
            ("mkdir tools", "cp e.sh tools/clean.sh"),
            ("true", "mkdir tools; cp e.sh tools/clean.sh"),
            ("true", "mkdir r; cp e.sh r/clean.sh; ln -s r tools"),
        ] {
            let place = place();
            person(&place, &format!("git init -q; {before}; git config filter.f.clean '{command}'"));
            let said = run(&place, attack, &[]);
            assert!(said.contains("taken-away"), "{command}: {said}");
            assert!(!place.path("workspace/tools/clean.sh").exists(), "{command}: {said}");
        }
    }
    let place = place();
    person(&place, "mkdir -p .hg/store sub; printf '[hooks]\\nupdate = sub/t\\n' > .hg/hgrc; echo > sub/t");
    assert!(run(&place, "echo evil > sub/t", &[]).contains("Read-only file system"));
}

#[test]
fn settings_of_repositories_elsewhere_count() {
    let commit = "git commit -q --allow-empty -m x";
    for (before, folder, attack) in [
        (
            "git init -q; mkdir -p tools/hooks; cp e.sh tools/hooks/post-commit; sed -i s/PWNED/x/ tools/hooks/post-commit; \
             git add -A; git commit -q -m i; git config core.hooksPath tools/hooks; git worktree add -q ../wt",
            "wt",
            "printf '#!/bin/sh\\ntouch PWNED\\n' > tools/hooks/post-commit",
        ),
        (
            "git init -q ../super/sub; git -C ../super init -q; mv ../super/sub/.git ../super/.git/sub; \
             echo 'gitdir: ../.git/sub' > ../super/sub/.git; git -C ../super/sub config core.worktree ../../sub; \
             git -C ../super/sub config core.hooksPath hk",
            "super/sub",
            "mkdir -p hk; printf '#!/bin/sh\\ntouch PWNED\\n' > hk/pre-commit; chmod +x hk/pre-commit",
        ),
        (
            "git init -q ../mono; mkdir ../mono/app; git -C ../mono config core.hooksPath app/hk",
            "mono/app",
            "mkdir -p hk; printf '#!/bin/sh\\ntouch app/PWNED\\n' > hk/pre-commit; chmod +x hk/pre-commit",
        ),
        (
            "git init -q ../mono; mkdir ../mono/app; git -C ../mono config core.fsmonitor 'sh app/t/m'",
            "mono/app",
            "mkdir t; echo 'touch app/PWNED' > t/m",
        ),
        ("git init -q; git config core.hooksPath '~/workspace/hk'", "workspace", "mkdir -p hk; cp e.sh hk/pre-commit"),
        (
            "git init -q; git config include.path '~/workspace/conf/inc'; mkdir conf; touch conf/inc",
            "workspace",
            "printf '[core]\\n fsmonitor = %s/e.sh\\n' $PWD > conf/inc",
        ),
        (
            "git init -q; git config --global core.hooksPath tools/hooks",
            "workspace",
            "mkdir -p tools/hooks; cp e.sh tools/hooks/pre-commit",
        ),
    ] {
        let place = place();
        person(&place, before);
        let said = run_in(&place, folder, attack, &[]);
        assert!(said.contains("step_started"), "{before}: {said}");
        let later = person(&place, &format!("cd ../{folder} && {commit}; git status"));
        assert!(!place.path(folder).join("PWNED").exists(), "{before}: {said} {later}");
    }
    let place = place();
    person(&place, "mkdir -p .hg/store conf; echo '%include ../conf/team' > .hg/hgrc; touch conf/team");
    assert!(run(&place, "echo x > conf/team", &[]).contains("Read-only file system"));
}

#[test]
fn links_into_packages_count_when_a_command_makes_them() {
    let place = place();
    person(
        &place,
        "mkdir -p node_modules/p/web/.vscode pk; touch node_modules/p/.travis.yml node_modules/p/web/.vscode/tasks.json",
    );
    person(&place, "ln -s node_modules/p lib; ln -s ../node_modules pk/node_modules");
    for _ in 0..2 {
        assert!(run(&place, "echo hi", &[]).contains("step_completed"));
    }
    assert!(place.path("workspace/lib").exists() && place.path("workspace/pk/node_modules").exists());
    let said = run(&place, "ln -s node_modules/p/web app; mkdir pk/b; ln -s ../../node_modules pk/b/node_modules", &[]);
    assert!(said.contains("app (now app.taken-away-") && !said.contains("pk/b/node_modules (now"), "{said}");
    person(&place, "mkdir -p node_modules/q/c/.cargo; touch node_modules/q/c/.cargo/config.toml");
    assert!(run(&place, "ln -s node_modules/q deep", &[]).contains("deep (now deep.taken-away-"));
    assert!(run(&place, "echo hi", &[]).contains("step_completed"));
}
