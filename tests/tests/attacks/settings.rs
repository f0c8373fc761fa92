//! Files that settings of Git and Mercurial make programs run or obey, and that a command makes or changes.

use serde_json::json;

use super::{approve, attempt, go_on, key, outside};
use crate::place::{Place, events, step, text};

/// What is there, what a command does, and what a person does afterwards in the workspace: `PWNED` must not be there then.
type Attack = (&'static str, &'static str, &'static str);

/// What a planted file does.
const EVIL: &str = "evil() { mkdir -p $(dirname $1); printf '#!/bin/sh\\ntouch '$TOP'/PWNED\\n' > $1; chmod +x $1; }; \
                    settings() { printf '[core]\\n\\tfsmonitor = \"touch '$TOP'/PWNED;false\"\\n' >> $1; }; ";

const COMMIT: &str = "git commit -q --allow-empty -m x";

const PLANTED: &[Attack] = &[
    // Links of protected folders that lead to nothing yet.
    ("git init -q; mkdir s; ln -s ../../s/pc .git/hooks/pre-commit", "evil s/pc", COMMIT),
    ("git init -q; mkdir hk s; git config core.hooksPath hk; ln -s ../s/pc hk/pre-commit", "evil s/pc", COMMIT),
    (
        "git init -q; mkdir .husky; git config core.hooksPath .husky; ln -s ../s/pc .husky/pre-commit",
        "evil s/pc",
        COMMIT,
    ),
    // Words that only a shell knows in part.
    (
        "git init -q; git config filter.z.clean '$(git rev-parse --show-toplevel)/s/c %f'; mkdir s; \
         printf '#!/bin/sh\\ncat\\n' > s/c; chmod +x s/c; echo '*.c filter=z' > .gitattributes; echo x > a.c; git add -A; \
         git commit -qm x",
        "evil s/c; echo y > a.c",
        "git status; git diff",
    ),
    ("git init -q; git config alias.dep '!sh $(git rev-parse --show-toplevel)/s/d'", "evil s/d", "git dep"),
    ("git init -q; git config alias.dep '!root=`pwd`; sh $root/s/d'", "evil s/d", "git dep"),
    ("git init -q; git config core.fsmonitor '$HOME/workspace/s/fs'", "evil s/fs", "git status"),
    ("git init -q; git config core.fsmonitor '${GIT_PREFIX:-.}/s/fs'", "evil s/fs", "git status"),
    ("git init -q; git config alias.dep '!cd $(git rev-parse --show-toplevel)/s && ./d'", "evil s/d", "git dep"),
    // Words of a shell around programs, programs that run others, and arguments of Git.
    (
        "git init -q; git config alias.sync '!f() { if [ \"$1\" = -f ]; then ./s/y.sh --force; else ./s/y.sh; fi; }; f'",
        "evil s/y.sh",
        "git sync",
    ),
    ("git init -q; git config alias.dep '!/usr/bin/env bash s/d'", "evil s/d", "git dep"),
    ("git init -q; git config alias.dep '!f() { for b in a b; do ./s/d $b; done; }; f'", "evil s/d", "git dep"),
    ("git init -q; git config alias.dep '!if ! ./s/d; then true; fi'", "evil s/d", "git dep"),
    (
        "git init -q; git config alias.ci '-c core.hooksPath=ci/hooks commit'",
        "evil ci/hooks/pre-commit",
        "git ci --allow-empty -qm x",
    ),
    (
        "git init -q; for i in 1 2; do git commit -q --allow-empty -m $i; done; git config alias.rb 'rebase --exec ./ci/t HEAD~1'",
        "evil ci/t",
        "git rb",
    ),
    (
        "git init -q; git config filter.k.clean 'sed -f clean.sed'; echo '*.k filter=k' > .gitattributes; echo s/a/a/ > clean.sed; \
         echo v > x.k; git add .; git commit -qm x",
        "echo \"1e touch $TOP/PWNED\" > clean.sed; echo w >> x.k",
        "git diff",
    ),
    (
        "git init -q; git config core.sshCommand 'ssh -F cfg'; git remote add origin git@example.invalid:a/b",
        "printf 'Host *\\n ProxyCommand touch '$TOP'/PWNED\\n' > cfg",
        "git fetch",
    ),
    // Further keys.
    (
        "git config --global init.templateDir $TOP/t; git init -q ../other; git -C ../other commit -q --allow-empty -m x; git init -q",
        "evil t/hooks/post-checkout",
        "git clone -q ../other ../copy",
    ),
    ("git init -q; git config core.hooksPath .", "evil pre-commit", COMMIT),
    ("git init -q; git config man.q.path s/m; git config man.viewer q", "evil s/m", "test -e s/m && s/m"),
    // Settings that are links into the workspace.
    (
        "echo '[user]' > gitconfig; ln -s workspace/gitconfig ../.gitconfig; git init -q",
        "settings gitconfig",
        "git status",
    ),
    ("ln -s workspace/gitconfig ../.gitconfig; git init -q", "settings gitconfig", "git status"),
    (
        "mkdir gitd; touch gitd/config; mkdir ../.config; ln -s ../workspace/gitd ../.config/git; git init -q",
        "settings gitd/config",
        "git status",
    ),
    (
        "git init -q; mkdir ../hooks s; echo > s/pc; ln -s ../workspace/s/pc ../hooks/pre-commit; \
         git config --global core.hooksPath '~/hooks'",
        "evil s/pc",
        COMMIT,
    ),
    // Ways that change.
    (
        "git init -q; git config core.hooksPath tools/../hk",
        "mkdir -p z/y; evil z/hk/pre-commit; ln -s z/y tools",
        COMMIT,
    ),
    (
        "git init -q; git config core.fsmonitor tools/f; ln -s ../back tools; ln -s workspace/t ../back",
        "evil t/f",
        "git status",
    ),
    // Repositories of other shapes.
    (
        "git init -q --bare s.git; git -C s.git config core.hooksPath hk; mkdir s.git/hk; git init -q ../other; \
         git -C ../other commit -q --allow-empty -m x",
        "evil s.git/hk/pre-receive",
        "git -C ../other push -q $TOP/s.git HEAD:main",
    ),
    (
        "mkdir tree; git init -q rp; git -C rp config core.worktree ../../tree; git -C rp config core.fsmonitor tools/f",
        "evil tree/tools/f",
        "git -C rp status",
    ),
];

fn place() -> Place {
    Place::new().without_risk()
}

/// A shell line of a person in the workspace, whose home is the place's folder.
fn person(place: &Place, line: &str) -> String {
    let top = place.path("workspace").display().to_string();
    let who = "GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=b GIT_CONFIG_NOSYSTEM=1";
    outside(place, &format!("export HOME=$PWD/.. TOP={top} {who}; {line}"))
}

/// Runs a shell line as a step; gives all that the run said.
fn run(place: &Place, line: &str, more: &[&str]) -> String {
    let top = place.path("workspace").display().to_string();
    let steps = [step("run_command", json!({ "shell": format!("TOP={top}; {EVIL}{line}") }))];
    place.write("plan.json", json!({ "goal": "g", "agent": { "id": "a" }, "steps": steps }).to_string());
    let args = ["run", "plan.json", "--workspace", "workspace", "--approve", "all", "--json"];
    let output = place.command(&[&args, more].concat()).env("HOME", place.folder.path()).output().unwrap();
    text(&output.stdout)
}

#[test]
fn what_settings_obey_is_planted_by_no_command() {
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
fn what_links_of_a_repository_elsewhere_lead_to_is_planted_by_no_command() {
    for (before, folder, hook) in [
        (
            "mkdir -p ../mono/pkg/hooks; cd ../mono; git init -q; rm -r .git/hooks; ln -s ../pkg/hooks .git/hooks",
            "mono/pkg",
            "hooks",
        ),
        (
            "git init -q ../main; cd ../main; git commit -q --allow-empty -m x; git worktree add -q ../wt; mkdir ../wt/hooks; \
             rm -r .git/hooks; ln -s ../../wt/hooks .git/hooks",
            "wt",
            "hooks",
        ),
        (
            "mkdir -p ../mono/pkg ../mono/real; cd ../mono; git init -q; mv .git/hooks real/hk; ln -s ../pkg/l/hk .git/hooks; \
             ln -s ../real pkg/l",
            "mono/pkg",
            "l/hk",
        ),
    ] {
        let place = place();
        person(&place, before);
        let evil = format!(
            "rm -f l; mkdir -p {hook}; printf '#!/bin/sh\\ntouch {}\\n' > {hook}/pre-commit; chmod +x {hook}/pre-commit",
            place.path("PWNED").display()
        );
        let steps = [step("run_command", json!({ "shell": evil }))];
        place.write("plan.json", json!({ "goal": "g", "agent": { "id": "a" }, "steps": steps }).to_string());
        let args = ["run", "plan.json", "--workspace", folder, "--approve", "all", "--json"];
        let said = text(&place.command(&args).env("HOME", place.folder.path()).output().unwrap().stdout);
        assert!(said.contains("step_started"), "{said}");
        let later = person(&place, &format!("cd ../{folder} && {COMMIT}"));
        assert!(!place.path("PWNED").exists(), "{before}: {said} {later}");
    }
}

#[test]
fn a_policy_excepts_what_settings_name() {
    let place = place();
    person(
        &place,
        "git init -q; mkdir s; echo a > s/l.sh; git config alias.l '!./s/l.sh'; git config alias.n '!./s/n.sh'",
    );
    let except = "[guards.protected-paths.settings]\nexcept = ['s/l.sh', 's/n.sh']\n";
    place.write("home/fusebox.toml", format!("[risk]\nmode = 'off'\n{except}"));
    assert!(run(&place, "echo b >> s/l.sh && echo b > s/n.sh", &[]).contains("step_completed"));
}

#[test]
fn a_checkout_that_leaves_protected_files_as_they_were_fails() {
    let place = place();
    person(
        &place,
        "git init -q -b main; mkdir .husky; echo a > .husky/pre-commit; git config core.hooksPath .husky; git add .; \
         git commit -qnm a; git checkout -qb dev; echo fix >> .husky/pre-commit; git commit -qanm fix; git checkout -q main",
    );
    let said = run(&place, "git checkout dev", &[]);
    assert!(said.contains("step_failed") && said.contains("Git could not change .husky/pre-commit"), "{said}");
}

#[test]
fn settings_of_mercurial_are_read_as_it_reads_them() {
    for (settings, file) in [
        ("[hooks]\ncommit = sh s/a; sh s/b\n", "s/b"),
        ("[hooks]\ncommit = sh s/a # sh s/b\n", "s/b"),
        ("[hooks]\ncommit =\n  sh s/b\n", "s/b"),
        ("[ui]\nmerge = s/b\n", "s/b"),
        ("[extensions]\ne = s\n", "s/b"),
    ] {
        let place = place();
        person(&place, "mkdir -p .hg/store s; touch s/b");
        std::fs::write(place.path("workspace/.hg/hgrc"), settings.replace("e = s", "e = ./s")).unwrap();
        let said = run(&place, &format!("echo evil > {file}"), &[]);
        assert!(said.contains("Read-only file system"), "{settings}: {said}");
    }
}

#[test]
fn settings_too_large_to_be_looked_through_refuse_commands() {
    let place = place();
    person(&place, "git init -q; yes '# comment' | head -n 2000000 >> .git/config");
    assert!(run(&place, "echo hi", &[]).contains("too many for settings"));
}

#[test]
fn steps_that_write_what_settings_obey_are_for_a_person_each() {
    let place = place();
    let key = key(&place);
    place.write("home/fusebox.toml", "[step_types.edit_file]\nneeds_approval = false\n[risk]\nmode = 'off'\n");
    person(&place, "git init -q; mkdir docs; git config include.path ../docs/local.txt; git config core.hooksPath hk");
    person(&place, "git config core.fsmonitor 'sh tools/f.sh'; mkdir tools; echo true > tools/f.sh");
    let edit = |path: &str| step("edit_file", json!({ "path": path, "new_content": "x" }));
    for path in ["docs/local.txt", "hk/pre-commit", "tools/f.sh"] {
        let (code, _, asked) = attempt(&place, &json!([edit("docs/notes.txt"), edit(path)]), &[], &[]);
        assert_eq!((code, events(&asked, "step_completed").len()), (6, 1), "{path}: {asked:?}");
        let refused = approve(&place, &asked, &key, &["--kind"]);
        assert!(text(&refused.stderr).contains("FBX-1026"), "{path}: {refused:?}");
    }
    place.write("home/fusebox.toml", "[risk]\nmode = 'off'\n");
    person(&place, "mkdir -p conf ai/claude; ln -s conf/envrc .envrc; ln -s ai/claude .claude");
    for [one, other] in [["docs/a.txt", "docs/local.txt"], ["conf/a", "conf/envrc"], ["ai/b", "ai/claude/hooks.json"]] {
        let (_, run, asked) = attempt(&place, &json!([edit(one), edit(other)]), &[], &[]);
        assert!(approve(&place, &asked, &key, &["--kind"]).status.success());
        let (code, lines) = go_on(&place, &run, &[]);
        assert_eq!((code, events(&lines, "step_completed").len()), (6, 1), "{other}: {lines:?}");
    }
}

#[test]
fn what_a_person_does_with_git_every_day_keeps_no_command_from_working() {
    let place = place();
    person(&place, "git init -q; mkdir docs src hooks; touch README.md docs/README.md src/main.c main.c main.py");
    for (name, line) in [
        ("gone", "!git branch --merged | grep -v main | xargs git branch -d"),
        ("a", "!git add . && git commit"),
        ("t", "!make test"),
        ("z", "!vim docs/README.md"),
        ("l", "log -- src/main.c"),
        ("d", "!git diff origin/main... -- src/main.c"),
        ("n", "!vim docs/TODO.md"),
        ("p", "!cat src/main.c | less"),
    ] {
        person(&place, &format!("git config --global alias.{name} '{line}'"));
    }
    person(&place, "git config --global commit.template docs/template.txt; touch docs/template.txt");
    person(
        &place,
        "git config --global core.excludesFile '~/.gitignore'; git config --global core.editor 'vim -u NONE'",
    );
    let line = "for f in README.md docs/README.md src/main.c main.c main.py docs/template.txt; do echo x >> $f || exit 9; done; \
                mv src s2; mkdir git out; touch main test branch add commit xargs grep docs/TODO.md";
    let said = run(&place, line, &[]);
    assert!(said.contains("step_completed"), "{said}");
}
