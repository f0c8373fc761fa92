//! What a command leaves behind for others to run, and what it reads and writes beyond its right (B1, B5, B12).

use serde_json::json;

use super::{failure, outside};
use crate::place::{Place, events, step};

/// Names in the workspace that are left after an attack.
fn left(place: &Place, folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(place.path("workspace").join(folder)).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Shell lines that make a repository which runs `e.sh`, with the path that must be gone afterwards.
const REPOSITORIES: &[(&str, &str)] = &[
    ("git init -q . && git config core.fsmonitor \"$PWD/e.sh\"", ".git"),
    ("git init -q x && git -C x config core.fsmonitor \"$PWD/e.sh\" && mv x/.git .git", ".git"),
    (
        "git init -q --bare . && git config -f config core.fsmonitor \"$PWD/e.sh\" && git config -f config core.bare false",
        "HEAD",
    ),
    ("mkdir -p src && git init -q src && git -C src config core.fsmonitor \"$PWD/e.sh\"", "src/.git"),
    ("mkdir -p a/b && git init -q --bare a/b/c && git -C a/b/c config core.fsmonitor \"$PWD/e.sh\"", "a/b/c/HEAD"),
    ("git init -q ev && git -C ev config core.fsmonitor \"$PWD/e.sh\" && echo \"gitdir: $PWD/ev/.git\" > .git", ".git"),
    ("mkdir .git && echo 'gitdir: x' > HEAD; mkdir -p .hg && echo '[hooks]' > .hg/hgrc", ".hg"),
    (
        "mkdir -p deep/.git/refs deep/.git/objects && echo 'ref: refs/heads/m' > deep/.git/HEAD && chmod 0 deep",
        "deep/.git",
    ),
];

#[test]
fn planted_repositories_are_taken_away() {
    for (line, made) in REPOSITORIES {
        let place = Place::new().without_risk();
        super::program(&place, "e.sh", "#!/bin/sh\ntouch PWNED\n");
        let (code, lines) = place.run_steps(&json!([step("run_command", json!({ "shell": line }))]), &[]);
        assert_eq!(code, 1, "{line}: {lines:?}");
        assert!(failure(&lines).contains(&format!("{made} (now ")), "{line}: {}", failure(&lines));
        outside(&place, "chmod 755 deep; git status; git -C src status; cd a/b/c && git status");
        assert!(!place.path("workspace/PWNED").exists(), "{line}: {:?}", left(&place, "."));
        assert!(!place.path("workspace").join(made).exists(), "{line}");
    }
}

#[test]
fn a_worktree_keeps_the_repository_that_it_belongs_to() {
    let place = Place::new().without_risk();
    outside(
        &place,
        "git init -q ../main && git -C ../main -c user.name=a -c user.email=b commit -q --allow-empty -m x",
    );
    std::fs::remove_dir(place.path("workspace")).unwrap();
    let added = std::process::Command::new("git")
        .args(["-C", place.path("main").to_str().unwrap(), "worktree", "add", "-q"])
        .arg(place.path("workspace"))
        .output()
        .unwrap();
    assert!(added.status.success(), "{added:?}");
    let before = std::fs::read_to_string(place.path("workspace/.git")).unwrap();
    let line = "mkdir ev; echo 'gitdir: ev' > .git || mv .git x || ln -sf ev .git || rm -f .git; cat .git";
    let (_, lines) = place.run_steps(&json!([step("run_command", json!({ "shell": line }))]), &[]);
    assert_eq!(std::fs::read_to_string(place.path("workspace/.git")).unwrap(), before, "{lines:?}");
}

#[test]
fn settings_that_others_run_are_neither_made_nor_changed() {
    let place = Place::new().without_risk();
    for folder in [".github/workflows", ".vscode", "sub/.git/hooks"] {
        std::fs::create_dir_all(place.path("workspace").join(folder)).unwrap();
    }
    let kept = [".github/workflows/ci.yml", ".vscode/tasks.json", "sub/.git/config", ".envrc"];
    for file in kept {
        place.write(&format!("workspace/{file}"), "kept");
    }
    let line = "for f in .github/workflows/ci.yml .github/workflows/new.yml .vscode/tasks.json sub/.git/config sub/.git/hooks/x .envrc; do \
                echo EVIL > $f; mv $f $f.old; done; mv .vscode v; mv sub/.git g; mkdir -p .claude .husky; echo x > .claude/settings.json; \
                mkdir -p home/.ssh; echo k > home/.ssh/authorized_keys; echo m > .netrc; ls";
    let (code, lines) = place.run_steps(&json!([step("run_command", json!({ "shell": line }))]), &[]);
    let said = failure(&lines);
    assert_eq!(code, 1, "{said}");
    for made in [".claude", ".husky", "home/.ssh", ".netrc"] {
        assert!(
            said.contains(&format!("{made} (now ")) && !place.path("workspace").join(made).exists(),
            "{made}: {said}"
        );
    }
    for file in kept {
        assert_eq!(std::fs::read_to_string(place.path("workspace").join(file)).unwrap(), "kept", "{file}");
    }
    assert!(!place.path("workspace/.github/workflows/new.yml").exists());
}

#[test]
fn packages_may_bring_what_they_like_but_no_repositories() {
    let place = Place::new().without_risk();
    let line = "mkdir -p node_modules/x/.github/workflows && echo x > node_modules/x/.env.test && echo y > node_modules/x/ca.pem && echo fine";
    let (code, lines) = place.run_steps(&json!([step("run_command", json!({ "shell": line }))]), &[]);
    assert_eq!(code, 0, "{lines:?}");
    let line = "mkdir -p node_modules/x/.git";
    let (code, lines) = place.run_steps(&json!([step("run_command", json!({ "shell": line }))]), &[]);
    assert_eq!(code, 1, "{lines:?}");
}

#[test]
fn secrets_are_hidden_at_any_depth_and_under_all_their_names() {
    let place = Place::new().without_risk();
    std::fs::create_dir_all(place.path("workspace/a/b")).unwrap();
    let secrets = [".env", "a/.env", "a/b/.env.local", "id_rsa", "a/server.pem", "a/b/.npmrc", ".kube-not"];
    for file in secrets {
        place.write(&format!("workspace/{file}"), "SECRET");
    }
    std::fs::hard_link(place.path("workspace/.env"), place.path("workspace/plain")).unwrap();
    let line = "grep -rl SECRET . ; mv a c; grep -rl SECRET c; cat plain; true";
    let (code, lines) = place.run_steps(&json!([step("run_command", json!({ "shell": line }))]), &[]);
    assert_eq!(code, 0, "{lines:?}");
    let said = events(&lines, "step_completed")[0]["summary"].to_string() + &serde_json::to_string(&lines).unwrap();
    for file in ["./.env", "a/.env", ".env.local", "id_rsa", "server.pem", ".npmrc"] {
        assert!(!said.contains(&format!("{file}\\n")), "{file}: {said}");
    }
    assert!(!said.contains("SECRET\\n"), "{said}");
    assert_eq!(std::fs::read_to_string(place.path("workspace/c/.env")).unwrap(), "SECRET");
}

#[test]
fn hard_links_lead_nowhere_outside() {
    let place = Place::new().without_risk();
    place.write("victim", "victim");
    std::fs::hard_link(place.path("victim"), place.path("workspace/v.txt")).unwrap();
    let write = json!([step("run_command", json!({ "shell": "echo EVIL >> v.txt && cat v.txt" }))]);
    place.write("home/fusebox.toml", "[risk]\nmode = 'off'\n[process]\nlinked_files = 'refuse'\n");
    let (code, lines) = place.run_steps(&write, &[]);
    assert_eq!(code, 1, "{lines:?}");
    assert!(failure(&lines).contains("linked_files"), "{}", failure(&lines));
    place.write("home/fusebox.toml", "[risk]\nmode = 'off'\n");
    let (code, lines) = place.run_steps(&write, &[]);
    assert_eq!(code, 0, "{lines:?}");
    assert_eq!(std::fs::read_to_string(place.path("victim")).unwrap(), "victim");
    assert_eq!(std::fs::read_to_string(place.path("workspace/v.txt")).unwrap(), "victimEVIL\n");
}

#[test]
fn a_host_that_is_killed_leaves_nothing_planted() {
    let place = Place::new().without_risk();
    let plan = json!([step(
        "run_command",
        json!({ "shell": "mkdir -p .git/objects .git/refs && echo x > .git/HEAD && sleep 100" })
    )]);
    place.plan(&plan);
    let mut host = place
        .command(&["run", "plan.json", "--workspace", "workspace", "--approve", "all"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let wait = |until: &dyn Fn() -> bool| {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while !until() {
            assert!(std::time::Instant::now() < deadline, "{:?}", left(&place, "."));
            std::thread::yield_now();
        }
    };
    wait(&|| place.path("workspace/.git/HEAD").exists());
    host.kill().unwrap();
    host.wait().unwrap();
    wait(&|| !place.path("workspace/.git").exists());
    assert!(left(&place, ".")[0].starts_with(".git.taken-away-"));
}

#[test]
fn a_plan_chooses_no_workspace_in_which_protected_files_are_not_known() {
    let place = Place::new().without_risk();
    outside(&place, "git init -q . && mkdir -p .aws src .github/workflows a/.vscode && echo x > .aws/credentials");
    let run = |folder: &str, mode: &str| {
        let steps = [step("read_file", json!({ "path": "credentials" }))];
        let workspace = json!({ "path": folder, "mode": mode });
        let plan = json!({ "goal": "g", "agent": { "id": "a" }, "workspace": workspace, "steps": steps });
        place.write("workspace/plan.json", plan.to_string());
        place.fusebox(&["run", "workspace/plan.json", "--approve", "all", "--json"])
    };
    for folder in [".aws", ".git/hooks", ".git", ".github/workflows", ".github", "a/.vscode"] {
        for mode in ["in-place", "copy"] {
            let refused = run(folder, mode);
            let said = crate::place::text(&refused.stdout) + &crate::place::text(&refused.stderr);
            assert!(refused.status.code() == Some(2) && said.contains("FBX-5014"), "{folder}: {said}");
        }
    }
    assert_eq!(run("src", "in-place").status.code(), Some(1), "it has no such file");
}

#[test]
fn a_plan_chooses_no_workspace_that_more_than_its_name_protects() {
    let place = Place::new();
    let own = "[risk]\nmode = 'off'\n[guards.protected-paths.settings]\nread_only = ['**/.git/hooks', 'a/*/deploy.json', \
               '{prod/db,stage/db}/pw.txt', '**/.vscode']\n";
    place.write("home/fusebox.toml", own);
    outside(
        &place,
        "git init -q . && git config core.hooksPath githooks && mkdir -p githooks backup store/deep dot/vs dot/aws config \
         later/x prod/db src/deep/er plain/deep a/b && git init -q --bare backup/bare && \
         git init -q --separate-git-dir store/deep/git tree && echo x | tee config/prod plain/deep/f > config/hard && \
         ln -s config/prod .env && ln config/hard .npmrc && ln -s dot/vs .vscode && ln -s dot/aws .aws && \
         ln -s ../later/x/y src/.env",
    );
    let run = |folder: &str| {
        let steps = [step("read_file", json!({ "path": "f" }))];
        let workspace = json!({ "path": folder, "mode": "in-place" });
        let plan = json!({ "goal": "g", "agent": { "id": "a" }, "workspace": workspace, "steps": steps });
        place.write("workspace/plan.json", plan.to_string());
        place.fusebox(&["run", "workspace/plan.json", "--approve", "all", "--json"])
    };
    let folders = "githooks backup/bare/hooks store/deep/git/hooks config dot dot/vs dot/aws prod prod/db later/x a/b";
    for folder in folders.split_whitespace() {
        let refused = run(folder);
        let said = crate::place::text(&refused.stdout) + &crate::place::text(&refused.stderr);
        assert!(refused.status.code() == Some(2) && said.contains("FBX-5014"), "{folder}: {said}");
    }
    for folder in ["src", "plain/deep", "src/deep/er", "backup/bare"] {
        let ran = run(folder);
        assert_ne!(ran.status.code(), Some(2), "{folder}: {}", crate::place::text(&ran.stdout));
    }
}

#[test]
fn secrets_are_not_moved_to_where_they_are_free() {
    let place = Place::new().without_risk();
    outside(
        &place,
        "mkdir -p certs/.ssh node_modules/x; echo K3Y | tee certs/server.pem certs/.ssh/id_rsa > certs/a.key",
    );
    let command = |line: &str| json!([step("run_command", json!({ "shell": line }))]);
    let (code, lines) = place.run_steps(&command("mv certs node_modules/certs"), &[]);
    assert_eq!(code, 1, "{lines:?}");
    for name in ["server.pem", ".ssh", "a.key"] {
        assert!(failure(&lines).contains(&format!("node_modules/certs/{name} (a secret")), "{}", failure(&lines));
    }
    let folder = left(&place, ".").into_iter().find(|name| name.starts_with("taken-away-secrets-")).unwrap();
    let names = left(&place, &folder);
    assert_eq!(names.len(), 3, "{names:?}");
    let (_, lines) = place.run_steps(&command(&format!("cat {folder}/* {folder}/*/*; true")), &[]);
    assert!(!serde_json::to_string(&lines).unwrap().contains("K3Y"), "{lines:?}");
    for name in names {
        let path =
            if name.starts_with(".ssh") { format!("{folder}/{name}/id_rsa") } else { format!("{folder}/{name}") };
        let (code, _) = place.run_steps(&json!([step("read_file", json!({ "path": path }))]), &[]);
        assert_eq!(code, 3, "{path}");
    }
}

#[test]
fn secrets_that_are_taken_away_are_hidden_under_a_list_of_ones_own() {
    let place = Place::new();
    let own = "[risk]\nmode = 'off'\n[guards.protected-paths.settings]\nprotect = ['*.pem']\n";
    place.write("home/fusebox.toml", own);
    outside(&place, "mkdir -p certs node_modules; echo K3Y > certs/server.pem");
    let (code, _) =
        place.run_steps(&json!([step("run_command", json!({ "argv": ["mv", "certs", "node_modules/certs"] }))]), &[]);
    assert_eq!(code, 1);
    let folder = left(&place, ".").into_iter().find(|name| name.starts_with("taken-away-secrets-")).unwrap();
    let path = format!("{folder}/{}", left(&place, &folder)[0]);
    assert_eq!(place.run_steps(&json!([step("read_file", json!({ "path": path }))]), &[]).0, 3);
}

#[test]
fn a_run_goes_on_in_the_folder_in_which_it_began() {
    let place = Place::new().without_risk();
    outside(&place, "mkdir -p sub .aws; echo S3CRET > .aws/credentials");
    let steps = [step("read_file", json!({ "path": "credentials" }))];
    let plan = json!({ "goal": "g", "agent": { "id": "a" }, "workspace": { "path": "sub", "mode": "in-place" }, "steps": steps });
    place.write("workspace/plan.json", plan.to_string());
    let started = crate::place::lines(&place.fusebox(&["start", "workspace/plan.json", "--json"]));
    let run = started.iter().find_map(|line| line["run_id"].as_str()).unwrap().to_owned();
    outside(&place, "rmdir sub && ln -s .aws sub");
    let refused = place.fusebox(&["continue", &run, "--json"]);
    let said = crate::place::text(&refused.stdout) + &crate::place::text(&refused.stderr);
    assert!(refused.status.code() == Some(2) && said.contains("FBX-5014") && !said.contains("S3CRET"), "{said}");
}

#[test]
fn what_links_lead_to_is_looked_through_with_a_bound() {
    let place = Place::new().without_risk();
    outside(&place, "mkdir -p node_modules/x; cd node_modules/x; touch $(seq 2000)");
    let line = "mkdir l; cd l; for i in $(seq 150); do ln -s ../node_modules/x $i; done";
    let (code, lines) = place.run_steps(&json!([step("run_command", json!({ "shell": line }))]), &[]);
    assert!(code == 1 && failure(&lines).contains("l/"), "{lines:?}");
    let links = left(&place, "l");
    let taken = links.iter().filter(|name| name.contains("taken-away")).count();
    assert!(taken > 0 && taken < links.len(), "{links:?}");
}

#[test]
fn a_protected_file_that_is_replaced_while_a_command_runs_is_named() {
    let place = Place::new().without_risk();
    outside(&place, "git init -q .");
    let line =
        "touch ready; while ! test -e go; do :; done; printf '[core]\\nfsmonitor = ./evil\\n' >> .git/config; true";
    let person = {
        let folder = place.path("workspace");
        std::thread::spawn(move || {
            while !folder.join("ready").exists() {
                std::thread::yield_now();
            }
            let mut git = std::process::Command::new("git");
            git.args(["remote", "add", "up", "https://example.com/x"]).current_dir(&folder).status().unwrap();
            std::fs::write(folder.join("go"), "").unwrap();
        })
    };
    let (code, lines) = place.run_steps(&json!([step("run_command", json!({ "shell": line }))]), &[]);
    person.join().unwrap();
    assert!(code == 1 && failure(&lines).contains(".git/config ("), "{lines:?}");
    assert!(!outside(&place, "git config core.fsmonitor").contains("evil"));
}
