//! What an approval covers, and who gives it (B2, B3, B7, B8, B13).

use serde_json::json;

use super::{approve, attempt, go_on, key, program};
use crate::place::{Place, events, step, text};

#[test]
fn an_approval_is_for_the_content_of_what_runs() {
    let place = Place::new();
    let key = key(&place);
    for (name, argv) in [("prog.sh", json!(["./prog.sh"])), ("s.py", json!(["python3", "s.py"]))] {
        let say =
            |word: &str| if name == "s.py" { format!("print('{word}')") } else { format!("#!/bin/sh\necho {word}\n") };
        program(&place, name, &say("ORIGINAL"));
        let (code, run, asked) = attempt(&place, &json!([step("run_command", json!({ "argv": argv }))]), &[], &[]);
        assert_eq!(code, 6, "{asked:?}");
        assert!(approve(&place, &asked, &key, &[]).status.success());
        program(&place, name, &say("SWAPPED"));
        let (code, lines) = go_on(&place, &run, &[]);
        assert_eq!((code, events(&lines, "step_started").len()), (6, 0), "{name}: {lines:?}");
    }
}

#[test]
fn an_approval_of_a_kind_is_for_the_content_of_what_runs() {
    let place = Place::new();
    let key = key(&place);
    place.write("home/fusebox.toml", "[step_types.edit_file]\nneeds_approval = false\n[risk]\nmode = 'off'\n");
    program(&place, "prog.sh", "#!/bin/sh\necho ORIGINAL\n");
    let steps = json!([
        step("run_command", json!({ "argv": ["./prog.sh"] })),
        step("edit_file", json!({ "path": "prog.sh", "new_content": "#!/bin/sh\necho EVIL\n" })),
        step("run_command", json!({ "argv": ["./prog.sh"] })),
    ]);
    let (_, run, asked) = attempt(&place, &steps, &[], &[]);
    assert!(approve(&place, &asked, &key, &["--kind"]).status.success());
    let (code, lines) = go_on(&place, &run, &[]);
    assert_eq!((code, events(&lines, "step_completed").len()), (6, 2), "{lines:?}");
    assert!(!serde_json::to_string(&lines).unwrap().contains("EVIL\\n\","), "{lines:?}");
}

#[test]
fn files_are_bound_however_a_command_names_them() {
    let place = Place::new();
    let key = key(&place);
    place.write("home/fusebox.toml", "[risk]\nmode = 'off'\n");
    super::outside(&place, "mkdir -p sub hk 'a dir' && for i in $(seq 0 70); do mkdir d$i; done");
    program(&place, "by-interp", "#!./interp\nx\n");
    let many: Vec<String> = (0..70).map(|number| format!("d{number}")).collect();
    let shell = |line: &str| json!({ "argv": ["sh", "-c", line] });
    for (file, input) in [
        ("my run.txt", shell("sh \"my run.txt\"")),
        ("a dir/run.txt", shell("cd 'a dir' && sh run.txt")),
        ("run.txt", json!({ "argv": ["sh", "-c", "cd .. && sh run.txt"], "working_dir": "sub" })),
        ("run.txt", json!({ "argv": ["env", "-C", "..", "sh", "run.txt"], "working_dir": "sub" })),
        ("x.c", shell("cc -o made x.c && ./made")),
        ("change.patch", json!({ "argv": ["git", "apply", "change.patch"] })),
        ("hk/pre-commit", json!({ "argv": ["git", "-c", "core.hooksPath=hk", "commit"] })),
        ("interp", json!({ "argv": ["./by-interp"] })),
        ("f.gz", json!({ "argv": ["gunzip", "f.gz"] })),
        ("dist.whl", json!({ "argv": ["env", "twine", "upload", "dist.whl"] })),
        ("d70/run.txt", shell(&format!("ls {}; cd d70 && sh run.txt", many.join(" ")))),
    ] {
        program(&place, file, "echo ORIGINAL\n");
        let (code, run, asked) = attempt(&place, &json!([step("run_command", input.clone())]), &[], &[]);
        assert_eq!(code, 6, "{asked:?}");
        assert!(approve(&place, &asked, &key, &[]).status.success());
        program(&place, file, "echo SWAPPED\n");
        let (code, lines) = go_on(&place, &run, &[]);
        assert_eq!((code, events(&lines, "step_started").len()), (6, 0), "{input}: {lines:?}");
    }
}

#[test]
fn a_kind_of_writes_is_small_and_says_what_it_is() {
    let place = Place::new();
    let key = key(&place);
    let write = |path: &str| step("edit_file", json!({ "path": path, "new_content": "x\n" }));
    let others = ["notes/b.md", "other/a.txt", ".github/workflows/ci.yml", "Makefile", "setup.py", "notes/run.sh"];
    for other in others {
        let steps = json!([write("notes/a.txt"), write("notes/b.txt"), write(other)]);
        let (_, run, asked) = attempt(&place, &steps, &[], &[]);
        let id = events(&asked, "approval_requested")[0]["id"].as_str().unwrap().to_owned();
        let (_, shown) = place.on_a_terminal(&["approve", &id, "--kind"], "", &["n\n"], &[]);
        assert!(shown.contains("creating .txt files in notes/"), "{shown}");
        assert!(approve(&place, &asked, &key, &["--kind"]).status.success());
        let (code, lines) = go_on(&place, &run, &[]);
        assert_eq!((code, events(&lines, "step_completed").len()), (6, 2), "{other}: {lines:?}");
        std::fs::remove_dir_all(place.path("workspace/notes")).unwrap();
    }
    // Of one folder and ending, but what others run.
    for (first, other) in [
        ("a.py", "setup.py"),
        ("a.py", "conftest.py"),
        ("LICENSE", "Makefile"),
        ("LICENSE", "configure"),
        ("README.md", "CLAUDE.md"),
        ("notes.json", "package.json"),
        ("notes.txt", "CMakeLists.txt"),
        ("a.yml", "buildspec.yml"),
        ("LICENSE", "Guardfile"),
        ("a.py", "hatch_build.py"),
    ] {
        let (_, run, asked) = attempt(&place, &json!([write(first), write(other)]), &[], &[]);
        assert!(approve(&place, &asked, &key, &["--kind"]).status.success());
        let (code, lines) = go_on(&place, &run, &[]);
        assert_eq!((code, events(&lines, "step_completed").len()), (6, 1), "{other}: {lines:?}");
        std::fs::remove_file(place.path("workspace").join(first)).unwrap();
    }
    let (_, _, asked) = attempt(&place, &json!([write("Makefile")]), &[], &[]);
    let refused = approve(&place, &asked, &key, &["--kind"]);
    assert!(text(&refused.stderr).contains("FBX-1026") && text(&refused.stderr).contains("Makefile"), "{refused:?}");
}

#[test]
fn an_approval_is_for_one_workspace() {
    let place = Place::new();
    let key = key(&place);
    std::fs::create_dir_all(place.path("other")).unwrap();
    let steps = json!([step("edit_file", json!({ "path": "d/x.txt", "new_content": "x" }))]);
    for replace in [false, true] {
        let (_, run, asked) = attempt(&place, &steps, &[], &[]);
        assert!(approve(&place, &asked, &key, &[]).status.success());
        std::fs::rename(place.path("workspace"), place.path(&format!("moved-{replace}"))).unwrap();
        if replace {
            std::fs::create_dir(place.path("workspace")).unwrap();
        } else {
            std::os::unix::fs::symlink(place.path("other"), place.path("workspace")).unwrap();
        }
        let (code, lines) = go_on(&place, &run, &[]);
        // A link is refused; a new folder of the same name is asked about again.
        let expected = if replace { 6 } else { 2 };
        assert_eq!((code, events(&lines, "step_started").len()), (expected, 0), "{lines:?}");
        assert!(!place.path("workspace/d/x.txt").exists());
        let _ = std::fs::remove_file(place.path("workspace"));
        let _ = std::fs::create_dir(place.path("workspace"));
    }
}

#[test]
fn an_approval_is_for_one_environment() {
    let place = Place::new();
    let key = key(&place);
    std::fs::create_dir(place.path("workspace/bin")).unwrap();
    program(&place, "bin/git", "#!/bin/sh\necho HIJACKED\n");
    let path = std::env::var("PATH").unwrap();
    let hijacked = format!("{}:{path}", place.path("workspace/bin").display());
    for variables in [[("PATH", hijacked.as_str()), ("LANG", "C")], [("PATH", path.as_str()), ("LANG", "evil")]] {
        let steps = json!([step("run_command", json!({ "shell": "git --version" }))]);
        let (_, run, asked) = attempt(&place, &steps, &[], &[("LANG", "C")]);
        assert!(approve(&place, &asked, &key, &[]).status.success());
        let (code, lines) = go_on(&place, &run, &variables);
        assert_eq!((code, events(&lines, "step_started").len()), (6, 0), "{variables:?}: {lines:?}");
    }
}

#[test]
fn an_approval_by_a_removed_approver_is_void() {
    let place = Place::new();
    let key = key(&place);
    let steps = json!([step("edit_file", json!({ "path": "a.txt", "new_content": "x" }))]);
    let (_, run, asked) = attempt(&place, &steps, &[], &[]);
    assert!(approve(&place, &asked, &key, &[]).status.success());
    assert!(place.fusebox(&["approvers", "remove", "ann"]).status.success());
    let (code, lines) = go_on(&place, &run, &[]);
    assert_eq!((code, events(&lines, "step_started").len()), (6, 0), "{lines:?}");
    assert_eq!(events(&lines, "run_continued")[0]["voided"], json!(["ann"]));
}

#[test]
fn a_terminal_that_a_program_makes_is_not_a_person() {
    let place = Place::new();
    let steps = json!([step("edit_file", json!({ "path": "a.txt", "new_content": "x" }))]);
    let (_, _, asked) = attempt(&place, &steps, &[], &[]);
    let id = events(&asked, "approval_requested")[0]["id"].as_str().unwrap().to_owned();
    let fusebox = crate::place::binary().display();
    let mut script = std::process::Command::new("script");
    script.args(["-qc", &format!("{fusebox} approve {id} --yes"), "/dev/null"]).stdin(std::process::Stdio::null());
    script.env("FUSEBOX_HOME", place.path("home")).current_dir(place.folder.path());
    let output = script.output().unwrap();
    assert!(text(&output.stdout).contains("FBX-5031") && text(&output.stdout).contains("script"), "{output:?}");
    // A terminal of a session that a coding agent began.
    let (code, shown) = place.on_a_terminal(&["approve", &id, "--yes"], "", &[], &[("CLAUDECODE", "1")]);
    assert!(code != 0 && shown.contains("CLAUDECODE"), "{shown}");
    let (code, shown) = place.on_a_terminal(&["approve", &id, "--yes"], "", &[], &[]);
    assert_eq!(code, 0, "{shown}");
}

#[test]
fn a_policy_can_ask_for_a_key() {
    let place = Place::new();
    let key = key(&place);
    place.write("home/fusebox.toml", "[approval]\nwho = 'key'\n[risk]\nmode = 'off'\n");
    let steps = json!([step("edit_file", json!({ "path": "a.txt", "new_content": "x" }))]);
    let (code, run, asked) = attempt(&place, &steps, &["--approve", "all"], &[]);
    assert_eq!((code, events(&asked, "step_started").len()), (6, 0), "{asked:?}");
    let id = events(&asked, "approval_requested")[0]["id"].as_str().unwrap().to_owned();
    let (code, shown) = place.on_a_terminal(&["approve", &id, "--yes"], "", &[], &[]);
    assert!(code != 0 && shown.contains("FBX-1027"), "{shown}");
    assert!(approve(&place, &asked, &key, &[]).status.success());
    assert_eq!(go_on(&place, &run, &[]).0, 0);
}

/// Needs the programs of OpenSSH.
#[test]
fn an_ssh_key_of_an_agent_approves() {
    let place = Place::new();
    let run = |line: &str| super::outside(&place, line);
    if run("command -v ssh-agent ssh-add ssh-keygen | wc -l").trim() != "3" {
        return;
    }
    let started = run("ssh-agent -a ../agent");
    let agent = place.path("agent").display().to_string();
    let process = started.split("SSH_AGENT_PID=").nth(1).and_then(|rest| rest.split(';').next()).unwrap().to_owned();
    for (kind, options) in [("ed25519", ""), ("ecdsa", "-b 256"), ("rsa", "-b 2048")] {
        run(&format!(
            "ssh-keygen -q -t {kind} {options} -N '' -f ../{kind}; SSH_AUTH_SOCK={agent} ssh-add -q ../{kind}; rm ../{kind}"
        ));
        let public = place.path(&format!("{kind}.pub")).display().to_string();
        let (code, shown) = place.on_a_terminal(&["approvers", "add", kind, "--ssh", &public], "", &[], &[]);
        assert_eq!(code, 0, "{shown}");
        let steps = json!([step("edit_file", json!({ "path": format!("{kind}.txt"), "new_content": "x" }))]);
        let (_, run, asked) = attempt(&place, &steps, &[], &[]);
        let id = events(&asked, "approval_requested")[0]["id"].as_str().unwrap().to_owned();
        let without = place.fusebox(&["approve", &id, "--yes", "--key", &public]);
        assert!(!without.status.success(), "no agent, no approval");
        let args = ["approve", &id, "--yes", "--key", &public];
        let output = place.command(&args).env("SSH_AUTH_SOCK", &agent).output().unwrap();
        assert!(output.status.success(), "{kind}: {output:?}");
        let (code, lines) = go_on(&place, &run, &[]);
        assert_eq!(code, 0, "{lines:?}");
    }
    run(&format!("kill {process}"));
}
