//! Ways around the globs of protected paths: links, folders of data, settings that name further files, rights, moves.

use serde_json::json;

use super::{failure, outside, program};
use crate::place::{Place, events, step};

const REPOSITORY: &str = "mk() { mkdir -p $1/objects $1/refs && echo 'ref: refs/heads/m' > $1/HEAD && \
                          printf '[core]\\n\\trepositoryformatversion = 0\\n\\tfsmonitor = %s/e.sh\\n' \"$PWD\" > $1/config; }; ";

fn place() -> Place {
    let place = Place::new().without_risk();
    program(&place, "e.sh", "#!/bin/sh\ntouch \"$(dirname \"$0\")/PWNED\"\n");
    place
}

/// Runs a shell line as a step, and gives its exit code and what the failed step says.
fn run(place: &Place, line: &str) -> (i32, String) {
    let steps = json!([step("run_command", json!({ "shell": format!("{REPOSITORY}{line}") }))]);
    let (code, lines) = place.run_steps(&steps, &[]);
    (code, if code == 0 { serde_json::to_string(&lines).unwrap() } else { failure(&lines) })
}

/// An attack: what is there, what a command does, what its failure names, what its user does afterwards.
type Attack = (&'static str, &'static str, &'static str, &'static str);

const PLANTED: &[Attack] = &[
    (
        "git init -q .",
        "mk .git/objects/p/.git; ln -s .git/objects/p tools",
        ".git/objects/p/.git",
        "cd tools && git status",
    ),
    ("git init -q .", "mkdir -p .git/lfs/p && mk .git/lfs/p/.git", ".git/lfs/p/.git", "cd .git/lfs/p && git status"),
    ("true", "mk x; mk x/objects/p/.git; ln -s x/objects/p tools", "x/objects/p/.git", "cd tools && git status"),
    ("true", "mkdir cl; echo x > cl/config.toml; ln -s cl .cargo", ".cargo", "true"),
    ("true", "mkdir -p gh/workflows; echo x > gh/workflows/x.yml; ln -s \"$PWD/gh\" .github", ".github", "true"),
    ("true", "ln -s /nowhere .cargo", ".cargo", "true"),
    ("true", "mkdir -p node_modules/p; echo x > node_modules/p/.envrc; ln -s node_modules/p docs", "docs", "true"),
    ("mkdir gh; ln -s gh .github", "mkdir gh/workflows; echo x > gh/workflows/x.yml", "gh/workflows", "true"),
    (
        "mkdir hk; git init -q .; rm -r .git/hooks; ln -s ../hk .git/hooks",
        "cp e.sh hk/pre-commit; ls hk/pre-commit && exit 7; mkdir .vscode",
        ".vscode",
        "git -c user.name=a -c user.email=b commit -q --allow-empty -m x",
    ),
    ("mkdir tooling; ln -s tooling .vscode", "rm .vscode; mkdir other; ln -s other .vscode", ".vscode", "true"),
    (
        "git init -q .; git config core.hooksPath made",
        "mkdir made; cp e.sh made/pre-commit",
        "made",
        "git -c user.name=a -c user.email=b commit -q --allow-empty -m x",
    ),
    (
        "true",
        "mkdir -p a/b; mk a/b/.git; chmod 0666 a/b; chmod 0311 a; chmod 0111 .",
        "a/b/.git",
        "chmod 755 . a a/b; cd a/b && git status",
    ),
    ("true", "mkdir -p pem.pem/h; mk pem.pem/h/.git", "pem.pem", "cd pem.pem.*/h && git status"),
    (
        "true",
        "n=$(printf 'a%.0s' $(seq 236)); touch $n.code-workspace",
        "aaa",
        "test -e *.code-workspace && touch PWNED",
    ),
    (
        "true",
        "d=$PWD; for i in $(seq 140); do mkdir d; cd d; done; mk() { mkdir -p $1/objects $1/refs; echo 'ref: refs/heads/m' > $1/HEAD; \
         printf '[core]\\n\\trepositoryformatversion = 0\\n\\tfsmonitor = %s/e.sh\\n' $d > $1/config; }; mk .git",
        "too deep",
        "cd taken-away-* && while test -d d; do cd d; done; git status",
    ),
];

#[test]
fn what_links_lead_to_and_data_hides_is_taken_away() {
    for (before, line, named, after) in PLANTED {
        let place = place();
        outside(&place, before);
        let (code, said) = run(&place, line);
        assert_eq!(code, 1, "{line}: {said}");
        assert!(said.contains(&format!("{named} (")) || said.contains(named), "{line}: {said}");
        assert!(!said.contains("still there"), "{line}: {said}");
        let shown = outside(&place, after);
        assert!(!place.path("workspace/PWNED").exists(), "{line}: {said} {shown}");
    }
}

#[test]
fn links_that_are_protected_protect_what_they_lead_to() {
    let place = place();
    outside(
        &place,
        "mkdir -p config tooling/vscode .git/x; echo TOPSECRET > config/prod; ln -s config/prod .env; ln -s tooling/vscode .vscode; \
         echo kept > tooling/vscode/tasks.json; echo kept > shared.cfg; \
         git init -q .; git config core.hooksPath hooks; git config include.path ../shared.cfg; mkdir hooks",
    );
    let line =
        "cat .env config/prod; for f in tooling/vscode/tasks.json shared.cfg hooks/x; do echo EVIL > $f; done; true";
    let (code, said) = run(&place, line);
    assert_eq!(code, 0, "{said}");
    assert!(!said.contains("TOPSECRET"), "{said}");
    for file in ["tooling/vscode/tasks.json", "shared.cfg"] {
        assert_eq!(std::fs::read_to_string(place.path("workspace").join(file)).unwrap(), "kept\n", "{file}");
    }
    assert!(!place.path("workspace/hooks/x").exists());
}

#[test]
fn what_settings_of_repositories_name_stays_as_it_is() {
    let place = place();
    outside(
        &place,
        "git init -q .; git init -q s; mkdir -p inc c/hh a/tools real/hooks d 'my hooks' s/hk; echo kept > inc/extra; echo kept > a/tools/f.sh; echo kept > d/x.sh; \
         ln -s real tools; git config include.path ../inc/extra; git config core.hooksPath c/hh; git config filter.a.clean 'sh a/tools/f.sh'; \
         git config diff.external ./d/x.sh; git config --add core.hooksPath tools/hooks; git config --add core.hooksPath 'my hooks'; \
         git -C s config core.hooksPath hk; git config alias.st '!./d/x.sh'",
    );
    let line = "for f in inc c a d; do mv $f $f.2; mkdir -p $f; done; for f in inc/extra a/tools/f.sh d/x.sh; do echo EVIL > $f; done; \
                for d in c/hh real/hooks tools/hooks 'my hooks' s/hk; do echo EVIL > \"$d/pre-commit\"; done; true";
    let (code, said) = run(&place, line);
    assert_eq!(code, 0, "{said}");
    for file in ["inc/extra", "a/tools/f.sh", "d/x.sh"] {
        assert_eq!(std::fs::read_to_string(place.path("workspace").join(file)).unwrap(), "kept\n", "{file}");
    }
    for folder in ["c/hh", "real/hooks", "my hooks", "s/hk"] {
        assert!(!place.path("workspace").join(folder).join("pre-commit").exists(), "{folder}");
    }
}

#[test]
fn a_link_that_settings_name_is_left_where_it_is() {
    let place = place();
    outside(&place, "git init -q .; mkdir -p tools/hooks; ln -s tools/hooks hk; git config core.hooksPath hk");
    let (code, said) = run(&place, "ls; git status; git log; true");
    assert_eq!(code, 0, "{said}");
    assert!(place.path("workspace/hk").is_symlink());
}

#[test]
fn folders_above_protected_files_stay_where_they_are() {
    let place = place();
    outside(
        &place,
        "mkdir -p .github/workflows t/.github/workflows .cargo; echo kept > .github/workflows/ci.yml; echo t > t/.github/workflows/ci.yml; \
         echo kept > .cargo/config.toml",
    );
    let (code, said) = run(&place, "mv .github old; mv -T t/.github .github; mv .cargo oldc; ls -a");
    assert_eq!(code, 0, "{said}");
    for file in [".github/workflows/ci.yml", ".cargo/config.toml"] {
        assert_eq!(std::fs::read_to_string(place.path("workspace").join(file)).unwrap(), "kept\n", "{file}");
    }
}

#[test]
fn one_command_does_not_make_the_workspace_useless_for_the_next() {
    let place = place();
    let long = "d=$(printf 'x%.0s' $(seq 250)); for i in $(seq 20); do mkdir $d; cd $d; done; touch .env.x";
    let (code, said) = run(&place, &format!("i=0; while [ $i -lt 300 ]; do : > .env.$i; i=$((i+1)); done; {long}"));
    assert_eq!(code, 1, "{said}");
    let names: Vec<String> = std::fs::read_dir(place.path("workspace"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(!names.iter().any(|name| name.starts_with(".env.")), "{names:?}");
    let (code, said) = run(&place, "echo fine");
    assert_eq!(code, 0, "{said}");
}

#[cfg(target_os = "linux")]
#[test]
fn folders_that_cannot_be_looked_into_are_hidden() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = place();
    outside(&place, "mkdir -p s/sub; echo TOPSECRET > s/sub/.env");
    // Root looks into every folder, and finds the secret itself.
    std::fs::set_permissions(place.path("workspace/s"), std::fs::Permissions::from_mode(0o000)).unwrap();
    let (_, said) = run(&place, "chmod 700 s; cat s/sub/.env; echo x > s/.envrc; true");
    assert!(!said.contains("TOPSECRET"), "{said}");
    std::fs::set_permissions(place.path("workspace/s"), std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(std::fs::read_to_string(place.path("workspace/s/sub/.env")).unwrap(), "TOPSECRET\n");
    assert!(!place.path("workspace/s/.envrc").exists());
}

#[test]
fn steps_neither_make_nor_change_repositories_by_what_these_hold() {
    let place = place();
    let write = |path: &str| step("edit_file", json!({ "path": path, "new_content": "x\n" }));
    for made in [["x/refs/k", "x/objects/k", "x/HEAD"], ["x/HEAD", "x/objects/k", "x/refs/k"]] {
        let (code, lines) = place.run_steps(&json!([write(made[0]), write(made[1]), write(made[2])]), &[]);
        let skipped = events(&lines, "step_skipped")[0]["message"].to_string();
        assert!(code == 3 && skipped.contains("laid out like a repository"), "{made:?}: {skipped}");
        std::fs::remove_dir_all(place.path("workspace/x")).unwrap();
    }
    outside(&place, "git init -q --bare x");
    for attempted in [write("x/hooks/post-update"), step("read_file", json!({ "path": "x/config" }))] {
        let (code, lines) = place.run_steps(&json!([attempted]), &[]);
        assert_eq!(code, 3, "{lines:?}");
    }
    assert!(!place.path("workspace/x/hooks/post-update").exists());
}
