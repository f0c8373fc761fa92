//! Commands that try to get by the example policy (B4, B6), and inputs that make the program hang (B14, B15).

use serde_json::{Value, json};

use super::{attempt, program};
use crate::place::{Place, events, lines, step, text};

/// Commands that the example policy must not allow by itself.
const TRICKS: &[&[&str]] = &[
    &["git", "diff", "--output=main.rs"],
    &["git", "diff", "--output", "main.rs"],
    &["git", "diff", "--output=fusebox.toml"],
    &["git", "diff", "--ext-diff"],
    &["git", "diff", "--textconv"],
    &["git", "diff", "--no-index", "/etc/passwd", "/dev/null"],
    &["git", "-c", "core.pager=./x", "diff"],
    &["git", "-c", "alias.status=!sh", "status"],
    &["git", "--exec-path=./x", "status"],
    &["git", "--git-dir=./evil", "status"],
    &["git", "--work-tree=/", "status"],
    &["git", "-C", "../..", "status"],
    &["git", "--paginate", "status"],
    &["git", "status", "--porcelain", "-C", "x"],
    &["git", "log", "--output=x"],
    &["git", "log", "--ext-diff", "-p"],
    &["git", "fetch", "--upload-pack=./x"],
    &["git", "clone", "ext::sh"],
    &["git", "config", "core.fsmonitor", "./x"],
    &["git", "config", "--global", "alias.x", "!sh"],
    &["git", "push"],
    &["git", "checkout", "."],
    &["./git", "status"],
    &["bin/git", "status"],
    &["/tmp/git", "status"],
    &["cargo", "test", "--config", "build.rustc-wrapper=./evil.sh"],
    &["cargo", "test", "--config=./evil.toml"],
    &["cargo", "test", "--target-dir", "../../x"],
    &["cargo", "test", "--target-dir=/tmp/x"],
    &["cargo", "test", "--manifest-path", "/tmp/evil/Cargo.toml"],
    &["cargo", "test", "--manifest-path=../evil/Cargo.toml"],
    &["cargo", "test", "-Zunstable-options"],
    &["cargo", "test", "-C", "/tmp"],
    &["cargo", "--config", "x", "test"],
    &["cargo", "+evil", "test"],
    &["cargo", "check", "--manifest-path", "/tmp/evil/Cargo.toml"],
    &["cargo", "check", "--config", "build.rustc=./x"],
    &["cargo", "run"],
    &["cargo", "install", "x"],
    &["cargo", "publish"],
    &["./cargo", "test"],
    &["env", "RUSTC_WRAPPER=./x", "cargo", "test"],
    &["env", "cargo", "run"],
    &["sh", "-c", "cargo test; ./x"],
    &["sh", "-c", "cargo test $(./x)"],
    &["sh", "-c", "cargo test > main.rs"],
    &["sh", "-c", "git status | sh"],
    &["sh", "-c", "RUSTFLAGS=-Clinker=./x cargo test"],
    &["sh", "-c", "cd /tmp && cargo test"],
    &["sh", "-c", "git() { ./x; }; git status"],
    &["sh", "-c", "alias git=./x; git status"],
    &["sh", "-c", "PATH=.:$PATH; git status"],
    &["sh", "-c", "`./x`"],
    &["bash", "-c", "cargo test <(./x)"],
    &["bash", "--rcfile", "x", "-c", "git status"],
    &["nohup", "./x"],
    &["xargs", "-a", "x", "sh"],
    &["find", ".", "-exec", "sh", "{}", ";"],
    &["tar", "cf", "x", ".", "--checkpoint-action=exec=./x"],
    &["sed", "1e ./x", "README"],
    &["python3", "-c", "x"],
    &["make", "SHELL=./x"],
];

#[test]
fn the_example_policy_teaches_nothing_unsafe() {
    assert!(TRICKS.len() >= 60);
    let place = Place::new();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/policy/fusebox.toml");
    let policy = std::fs::read_to_string(example).unwrap();
    // The guard alone decides: a plain allow would let the command run.
    let allow = policy.split("allow = [").nth(1).and_then(|rest| rest.split(']').next()).unwrap();
    place.write(
        "home/fusebox.toml",
        format!(
            "[step_types.run_command]\nneeds_approval = false\n[risk]\nmode = 'off'\n\
             [guards.command-policy.settings]\nallow = [{allow}]\nunlisted = 'deny'\n"
        ),
    );
    for file in ["git", "x", "cargo", "bin/git", "evil.sh"] {
        std::fs::create_dir_all(place.path("workspace/bin")).unwrap();
        program(&place, file, "#!/bin/sh\necho RAN\n");
    }
    for trick in TRICKS {
        let action = json!({ "step_type": "run_command", "input": { "argv": trick } });
        place.write("action.json", action.to_string());
        let output = place.fusebox(&["check", "action.json", "--workspace", "workspace", "--json"]);
        let said: Vec<Value> = lines(&output);
        let ruling = said.iter().find_map(|line| line["ruling"].as_str().or(line["decision"]["ruling"].as_str()));
        assert!(ruling != Some("allow"), "{trick:?}: {}", text(&output.stdout));
    }
}

#[test]
fn an_allow_by_name_is_for_a_program_outside() {
    let place = Place::new();
    std::fs::create_dir(place.path("workspace/bin")).unwrap();
    program(&place, "bin/git", "#!/bin/sh\necho HIJACKED\n");
    place.write(
        "home/fusebox.toml",
        "[step_types.run_command]\nneeds_approval = false\n[risk]\nmode = 'off'\n\
         [guards.command-policy.settings]\nallow = ['git status']\nunlisted = 'deny'\n",
    );
    let path = format!("{}:{}", place.path("workspace/bin").display(), std::env::var("PATH").unwrap());
    for input in [
        json!({ "argv": ["git", "status"] }),
        json!({ "argv": ["env", "git", "status"] }),
        json!({ "shell": "git status" }),
        json!({ "shell": "cd . && git status" }),
        json!({ "argv": ["nice", "git", "status"] }),
    ] {
        let (code, _, lines) = attempt(&place, &json!([step("run_command", input.clone())]), &[], &[("PATH", &path)]);
        assert!(code != 0 && events(&lines, "step_started").is_empty(), "{input}: {lines:?}");
    }
}

#[test]
fn memory_that_no_process_maps_counts() {
    let place = Place::new();
    place.write("home/fusebox.toml", "[risk]\nmode = 'off'\n[process.limits]\nmemory_mib = 128\n");
    let hoard = "import os,time\nf=os.memfd_create('x')\nfor i in range(600): os.write(f,b'x'*(1<<20))\ntime.sleep(5)\nprint('HELD')";
    let (code, lines) =
        place.run_steps(&json!([step("run_command", json!({ "argv": ["python3", "-c", hoard] }))]), &[]);
    assert_eq!((code, events(&lines, "step_completed").len()), (1, 0));
    assert!(super::failure(&lines).contains("more than 128 MiB of memory"), "{}", super::failure(&lines));
    let hide = "import ctypes,os\nl=ctypes.CDLL(None)\nprint('refused' if l.prctl(4,0,0,0,0) != 0 else 'HIDDEN', len(open('/proc/keys','rb').read()) if os.access('/proc/keys', os.R_OK) else 0, l.personality(0x0040000), l.syscall(154,0,0,0))";
    let (_, lines) = place.run_steps(&json!([step("run_command", json!({ "argv": ["python3", "-c", hide] }))]), &[]);
    assert_eq!(events(&lines, "step_completed")[0]["summary"], "exit code 0: refused 0 -1 -1");
}

#[test]
fn a_pipe_in_the_place_of_a_file_is_refused() {
    let place = Place::new();
    let made = std::process::Command::new("mkfifo").arg(place.path("fifo")).status().unwrap();
    assert!(made.success());
    for args in [
        &["run", "fifo", "--workspace", "workspace"][..],
        &["policy", "check", "fifo"],
        &["run", "plan.json", "--policy", "fifo", "--workspace", "workspace"],
        &["check", "fifo"],
        &["audit", "verify", "fifo"],
        &["approve", "0123456789abcdef", "--key", "fifo"],
    ] {
        place.plan(&json!([step("read_file", json!({ "path": "a" }))]));
        let output = place.fusebox(args);
        assert!(output.status.code().is_some_and(|code| code != 0), "{args:?}: {output:?}");
    }
}

#[test]
fn long_harmless_commands_are_not_denied_for_their_length() {
    let place = Place::new();
    let words: Vec<String> = std::iter::once("echo".to_owned()).chain((0..10_000).map(|n| format!("w{n}"))).collect();
    let inputs = [
        json!({ "argv": words }),
        json!({ "argv": ["echo", "x".repeat(100_000)] }),
        json!({ "shell": format!("echo {}", "word ".repeat(12_000)) }),
        json!({ "shell": "true; ".repeat(250) }),
        json!({ "shell": format!("echo {}", "stash@{0} HEAD~1 {} ".repeat(1000)) }),
    ];
    for input in inputs {
        place.write("action.json", json!({ "step_type": "run_command", "input": input }).to_string());
        let output = place.fusebox(&["check", "action.json", "--workspace", "workspace", "--json"]);
        let said = text(&output.stdout);
        assert!(
            said.contains("\"ruling\":\"review\"") && !said.contains("guard-failed"),
            "{}",
            &said[..said.len().min(600)]
        );
        assert!(!said.contains("not-understood"), "{}", &said[..said.len().min(600)]);
    }
}

#[test]
fn a_secret_in_the_name_of_a_file_is_not_kept() {
    const SECRET: &str = "AKIAQYLPMN5HHHFPZAM2";
    let place = Place::new().without_risk();
    program(&place, &format!("{SECRET}.sh"), "#!/bin/sh\n");
    for line in ["sh ./AK*.sh", "mkdir -p \"$(basename AK*.sh .sh)/.git\""] {
        let (_, run, lines) =
            attempt(&place, &json!([step("run_command", json!({ "shell": line }))]), &["--approve", "all"], &[]);
        assert_eq!(events(&lines, "effect_performed").len(), 1, "{lines:?}");
        assert!(serde_json::to_string(&lines).unwrap().contains("REDACTED"), "{lines:?}");
        let exported = place.fusebox(&["audit", "export", "--blobs", &run]);
        assert!(exported.status.success(), "{exported:?}");
        for said in [serde_json::to_string(&lines).unwrap(), text(&exported.stdout)] {
            assert!(!said.contains(SECRET), "{line}: {said}");
        }
    }
}
