//! `fusebox hook` from outside: whole sessions of every harness, and faults of which none lets anything through.

use std::io::Write as _;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use fusebox_adapters::hooks::Harness;
use serde_json::{Value, json};

use crate::harness::{answer, gate, hook, hook_with, outcome, start, taken};
use crate::place::{Place, text};
use crate::sessions::NO_QUESTIONS;

/// A policy under which plain commands need no question.
fn policy(more: &str) -> String {
    format!("{NO_QUESTIONS}[impact]\nname = \"workspace-impact\"\nsettings = {{ shell = 0.1 }}\n{more}")
}

fn place() -> Place {
    let place = Place::new();
    place.write("home/fusebox.toml", policy(""));
    std::fs::write(place.path("workspace/a.txt"), "one\n").unwrap();
    place
}

#[test]
fn every_harness_has_its_calls_judged_recorded_and_redacted() {
    let secret = format!("ghp_{}", "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8");
    for harness in Harness::ALL {
        let place = place();
        let cwd = place.path("workspace");
        let run = |command: &str, id: &str| hook(&place, harness, &gate(harness, &cwd, command, id));
        assert_eq!(taken(harness, &run("ls -la", "c1")), "allow", "{harness}");
        let output = hook(&place, harness, &outcome(harness, &cwd, "ls -la", "c1", "a.txt"));
        assert_eq!(output.status.code(), Some(0), "{harness}: {output:?}");
        let denied = run("git push --force origin main", "c2");
        assert_eq!(taken(harness, &denied), "deny", "{harness}");
        assert!(text(&denied.stdout).contains("fusebox: command-policy"), "{harness}: {denied:?}");
        // A question: asked where the harness can, else denied with the approval to give.
        let review = run("curl https://example.org", "c3");
        match (harness, taken(harness, &review)) {
            (Harness::OpenCode, "deny") => assert!(text(&review.stdout).contains("fusebox approve"), "{review:?}"),
            // It asks itself, by its second event.
            (Harness::Codex, "allow") => {}
            (_, word) => assert_eq!(word, "ask", "{harness}"),
        }
        run("cat a.txt", "c4");
        let redacted = hook(&place, harness, &outcome(harness, &cwd, "cat a.txt", "c4", &format!("token {secret}")));
        let said = text(&redacted.stdout);
        assert!(!said.contains(&secret) && !said.trim().is_empty(), "{harness}: {said}");
        let row = &place.listed()[0];
        assert_eq!(
            (row["agent"].as_str(), row["steps"].as_u64(), row["completed"].as_u64()),
            (Some(harness.name()), Some(4), Some(2)),
            "{harness}"
        );
        assert!(place.fusebox(&["audit", "verify"]).status.success());
    }
}

#[test]
fn a_codex_or_claude_prompt_is_answered_as_the_call_was() {
    for harness in [Harness::ClaudeCode, Harness::Codex, Harness::QwenCode] {
        let place = place();
        let cwd = place.path("workspace");
        let permission = |command: &str| {
            let mut event = gate(harness, &cwd, command, "x");
            event["hook_event_name"] = "PermissionRequest".into();
            event.as_object_mut().unwrap().remove("tool_use_id");
            let output = hook(&place, harness, &event);
            answer(&output)["hookSpecificOutput"]["decision"]["behavior"].as_str().map(ToOwned::to_owned)
        };
        hook(&place, harness, &gate(harness, &cwd, "ls", "c1"));
        assert_eq!(permission("ls").as_deref(), Some("allow"), "{harness}: it was allowed, so no question");
        hook(&place, harness, &gate(harness, &cwd, "curl https://example.org", "c2"));
        assert_eq!(permission("curl https://example.org"), None, "{harness}: it is asked");
        assert_eq!(permission("git push --force"), Some("deny".into()), "{harness}: no other event came for it");
        assert_eq!(permission("wc -l a.txt").as_deref(), Some("allow"), "{harness}");
    }
}

#[test]
fn what_a_person_approved_in_the_inbox_passes_once() {
    let place = place();
    place.write("home/fusebox.toml", policy("[sessions]\nreview = \"park\"\n"));
    let cwd = place.path("workspace");
    let harness = Harness::ClaudeCode;
    let run = |id: &str| hook(&place, harness, &gate(harness, &cwd, "curl https://example.org", id));
    let parked = run("c1");
    assert_eq!(taken(harness, &parked), "deny");
    let said = text(&parked.stdout);
    let id = said.split("fusebox approve ").nth(1).unwrap().split('`').next().unwrap().to_owned();
    let (code, shown) = place.on_a_terminal(&["approve", &id], "", &["y\n"], &[]);
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("the action passes when the program of the session"), "{shown}");
    assert_eq!(taken(harness, &run("c2")), "allow");
    assert_eq!(taken(harness, &run("c3")), "deny");
}

#[test]
fn a_session_is_not_carried_on_by_the_host() {
    let place = place();
    let harness = Harness::ClaudeCode;
    hook(&place, harness, &gate(harness, &place.path("workspace"), "ls", "c1"));
    let listed = place.command(&["runs", "--json"]).output().unwrap();
    let run: Value = serde_json::from_str(text(&listed.stdout).lines().next().unwrap()).unwrap();
    let id = run["run_id"].as_str().unwrap();
    let shown = place.command(&["show", id]).output().unwrap();
    assert!(!text(&shown.stdout).contains("fusebox continue"), "{shown:?}");
    place.write("step.json", r#"{"step_type": "read_file", "input": {"path": "a.txt"}}"#);
    let step = place.path("step.json").display().to_string();
    for words in [["continue", id].as_slice(), &["next", id], &["add-step", id, &step]] {
        let refused = place.command(words).output().unwrap();
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        assert!(String::from_utf8_lossy(&refused.stderr).contains("FBX-5062"), "{refused:?}");
    }
}

/// What a hook says in the first place of a failure, by the harness.
fn assert_denied(harness: Harness, fault: &str, output: &Output) {
    assert_eq!(taken(harness, output), "deny", "{harness}, {fault}: {output:?}");
    let said = format!("{}{}", text(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("fusebox: "), "{harness}, {fault}: {said}");
}

#[test]
fn bad_events_are_denied() {
    let place = place();
    let cwd = place.path("workspace");
    for harness in Harness::ALL {
        let good = gate(harness, &cwd, "ls", "c1").to_string();
        let deep = good.replace("\"ls\"", &format!("{}1{}", "[".repeat(3000), "]".repeat(3000)));
        let twice = good.replacen('{', r#"{"cwd":"/","cwd":"/","#, 1);
        let mut unknown = gate(harness, &cwd, "ls", "c1");
        for field in ["hook_event_name", "hook"] {
            if unknown.get(field).is_some() {
                unknown[field] = "BrandNewEvent".into();
            }
        }
        let mut events: Vec<(&str, Vec<u8>)> = vec![
            ("empty", Vec::new()),
            ("text", b"not json".to_vec()),
            ("list", b"[]".to_vec()),
            ("object", b"{}".to_vec()),
            ("cut", good.as_bytes()[..good.len() / 2].to_vec()),
            ("deep", deep.into_bytes()),
            ("twice", twice.into_bytes()),
            ("surrogate", good.replace("\"ls\"", "\"\\ud800\"").into_bytes()),
            ("nul in a command", good.replace("\"ls\"", "\"ls\\u0000x\"").into_bytes()),
            ("bytes", [good.as_bytes(), b"\xff"].concat()),
            ("two", format!("{good}{good}").into_bytes()),
            ("session id", good.replace("s-1", "").into_bytes()),
            ("session id with control", good.replace("s-1", "a\\u0007").into_bytes()),
            ("folder", good.replace(&cwd.display().to_string(), "/nonexistent/folder").into_bytes()),
        ];
        if harness != Harness::CopilotCli {
            events.push(("unknown event", unknown.to_string().into_bytes()));
        }
        for (fault, event) in events {
            assert_denied(harness, fault, &hook_with(&place, harness, &event, &[]));
        }
    }
}

#[test]
fn an_event_that_is_too_large_is_read_to_its_end_and_denied() {
    let place = place();
    let harness = Harness::Codex;
    let mut child = start(&place, harness, &["--deadline-ms", "60000"]);
    let mut stdin = child.stdin.take().unwrap();
    let chunk = vec![b' '; 1 << 20];
    for _ in 0..1024 {
        stdin.write_all(&chunk).unwrap();
    }
    drop(stdin);
    assert_denied(harness, "1 GiB", &child.wait_with_output().unwrap());
}

#[test]
fn a_broken_home_log_or_guard_denies() {
    for harness in Harness::ALL {
        let place = place();
        let cwd = place.path("workspace");
        let event = gate(harness, &cwd, "ls", "c1").to_string().into_bytes();
        place.write("home/fusebox.toml", policy("[guards.command-policy.limits]\nfuel = 1\n"));
        assert_denied(harness, "a guard without fuel", &hook_with(&place, harness, &event, &[]));
        place.write("home/fusebox.toml", "this is no policy");
        assert_denied(harness, "a wrong policy", &hook_with(&place, harness, &event, &[]));
        place.write("home/fusebox.toml", policy(""));
        for name in ["log.sqlite-wal", "log.sqlite-shm"] {
            let _ = std::fs::remove_file(place.path("home").join(name));
        }
        place.write("home/log.sqlite", [0x17; 8192]);
        assert_denied(harness, "a damaged log", &hook_with(&place, harness, &event, &[]));
        let mut command = place.command(&["hook", harness.name()]);
        let mut child = command
            .env("FUSEBOX_HOME", "/proc/nowhere")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&event).unwrap();
        assert_denied(harness, "no home", &child.wait_with_output().unwrap());
    }
}

/// The log, held by a transaction.
struct HeldLog(rusqlite::Connection);

impl HeldLog {
    fn of(place: &Place) -> Self {
        let connection = rusqlite::Connection::open(place.path("home/log.sqlite")).unwrap();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        Self(connection)
    }
}

#[test]
fn a_hook_that_waits_too_long_or_is_ended_denies() {
    for harness in Harness::ALL {
        let place = place();
        let cwd = place.path("workspace");
        let event = gate(harness, &cwd, "ls", "c1").to_string().into_bytes();
        assert_eq!(taken(harness, &hook_with(&place, harness, &event, &[])), "allow");
        let event = gate(harness, &cwd, "ls", "c2").to_string().into_bytes();
        let held = HeldLog::of(&place);
        let since = Instant::now();
        assert_denied(harness, "the log is held", &hook_with(&place, harness, &event, &["--deadline-ms", "400"]));
        assert!(since.elapsed() < Duration::from_secs(20));
        for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT, rustix::process::Signal::HUP] {
            // A process that ended at its deadline leaves the file of its lock.
            let _ = std::fs::remove_dir_all(place.path("home/leases"));
            let mut child = start(&place, harness, &[]);
            child.stdin.take().unwrap().write_all(&event).unwrap();
            // It listens before it reads; its lock shows that it is at work.
            let is_at_work = || std::fs::read_dir(place.path("home/leases")).is_ok_and(|mut all| all.next().is_some());
            while !is_at_work() {
                std::thread::yield_now();
            }
            rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).unwrap();
            assert_denied(harness, "a signal", &child.wait_with_output().unwrap());
        }
        drop(held);
    }
}

#[test]
fn a_stopped_holder_of_the_session_makes_others_deny_in_time() {
    let harness = Harness::ClaudeCode;
    let place = place();
    let cwd = place.path("workspace");
    let event = gate(harness, &cwd, "ls", "c1").to_string().into_bytes();
    assert_eq!(taken(harness, &hook_with(&place, harness, &event, &[])), "allow");
    let event = gate(harness, &cwd, "ls", "c2").to_string().into_bytes();
    // One hook waits for the log with the session's lock in its hands, and is stopped there.
    let held = HeldLog::of(&place);
    let mut stopped = start(&place, harness, &["--deadline-ms", "600000"]);
    stopped.stdin.take().unwrap().write_all(&event).unwrap();
    while std::fs::read_dir(place.path("home/leases")).map_or(0, Iterator::count) == 0 {
        std::thread::yield_now();
    }
    let pid = rustix::process::Pid::from_child(&stopped);
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    held.0.execute_batch("ROLLBACK").unwrap();
    let other = gate(harness, &cwd, "ls", "c3").to_string().into_bytes();
    let denied = hook_with(&place, harness, &other, &["--deadline-ms", "500"]);
    assert_denied(harness, "a stopped holder", &denied);
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    assert_eq!(taken(harness, &stopped.wait_with_output().unwrap()), "allow", "it goes on where it was");
}

#[test]
fn two_harnesses_with_one_id_have_two_sessions() {
    let place = place();
    let cwd = place.path("workspace");
    for harness in [Harness::ClaudeCode, Harness::Codex] {
        hook(&place, harness, &gate(harness, &cwd, "ls", "c1"));
    }
    assert_eq!(place.listed().len(), 2);
}

#[test]
fn usage_errors_deny_as_well() {
    let place = place();
    for args in
        [&["hook"][..], &["hook", "claude"], &["hook", "codex", "--deadline-ms", "0"], &["hook", "codex", "extra"]]
    {
        let output = place.fusebox(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn the_committed_sessions_are_judged_with_few_questions_and_nothing_harmful_passes() {
    let place = Place::new();
    let root = fusebox_tests::root();
    let judged = |name: &str| {
        let file = root.join("tests/sessions").join(name);
        let policy = root.join("examples/policy/developer.toml");
        let args = ["sessions", "judge", "--json", "--policy", policy.to_str().unwrap(), file.to_str().unwrap()];
        let output = place.fusebox(&args);
        assert!(output.status.success(), "{output:?}");
        let rulings: Vec<String> = crate::place::lines(&output)
            .iter()
            .filter_map(|line| Some(line.get("ruling")?.as_str()?.to_owned()))
            .collect();
        let count = |word: &str| rulings.iter().filter(|ruling| *ruling == word).count();
        (rulings.len(), count("allow"), count("review"), count("deny"))
    };
    let (all, allowed, asked, denied) = judged("benign.jsonl");
    println!("benign: {all} calls, {allowed} allowed, {asked} asked, {denied} denied");
    assert_eq!((all, denied), (150, 0));
    assert!(asked * 10 <= all, "{asked} of {all} are asked about");
    let (all, allowed, asked, denied) = judged("harmful.jsonl");
    println!("harmful: {all} calls, {allowed} allowed, {asked} asked, {denied} denied");
    assert_eq!((all, allowed), (60, 0), "{asked} asked, {denied} denied");
    assert!(place.listed().is_empty(), "nothing of it is in the log of this home");
}

#[test]
fn a_recording_with_a_fault_is_refused_by_its_line() {
    let place = Place::new();
    for (recording, words) in [
        ("nonsense", "line 1 cannot be read"),
        ("{\"call\":{\"n\":1,\"server\":\"a\",\"tool\":\"b\"}}", "line 1 stands before the beginning"),
        ("{\"begin\":{\"id\":\"a\"}}\n{\"else\":1}", "line 2 cannot be read"),
    ] {
        let file = place.write("recording.jsonl", recording);
        let output = place.fusebox(&["sessions", "judge", file.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(2), "{recording}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(words), "{output:?}");
    }
}

#[test]
fn hooks_are_installed_probed_and_taken_out() {
    let place = place();
    let user = place.path("user");
    std::fs::create_dir(&user).unwrap();
    let run = |args: &[&str]| {
        let mut command = place.command(args);
        for name in ["CLAUDE_CONFIG_DIR", "CODEX_HOME", "COPILOT_HOME", "XDG_CONFIG_HOME"] {
            command.env_remove(name);
        }
        command.env("HOME", &user).output().unwrap()
    };
    for harness in Harness::ALL {
        let dry = run(&["hooks", "install", harness.name(), "--dry-run"]);
        assert!(dry.status.success() && text(&dry.stdout).contains("fusebox"), "{dry:?}");
        let changed = |output: &Output| crate::place::lines(output)[0]["changed"].as_bool().unwrap();
        assert!(changed(&run(&["hooks", "install", harness.name(), "--json"])), "{harness}");
        assert!(!changed(&run(&["hooks", "install", harness.name(), "--json"])), "{harness}: twice is once");
    }
    let status = crate::place::lines(&run(&["hooks", "status", "--json"]));
    let of_user = status.iter().filter(|line| line["scope"] == "user");
    assert!(of_user.clone().count() == 7 && of_user.clone().all(|line| line["missing"] == json!([])), "{status:?}");
    let checked = crate::place::lines(&run(&["doctor", "--json"]));
    let probed: Vec<_> = checked.iter().filter(|line| line["check"] == "hooks" && line["status"] == "ok").collect();
    assert_eq!(probed.len(), 7, "{checked:?}");
    assert!(place.listed().iter().all(|row| row["state"] == "COMPLETED"), "the probes leave no open session");
    // A hook that is not there would let calls happen: it is an error.
    let settings = user.join(".cursor/hooks.json");
    let broken = std::fs::read_to_string(&settings).unwrap().replace("hook cursor", "hook cursor --no-such-option");
    std::fs::write(&settings, broken.replace("fusebox hook", "fusebox-gone hook")).unwrap();
    let checked = run(&["doctor", "--json"]);
    assert!(text(&checked.stdout).contains("would happen"), "{}", text(&checked.stdout));
    for harness in Harness::ALL {
        assert!(run(&["hooks", "uninstall", harness.name()]).status.success());
    }
    let status = crate::place::lines(&run(&["hooks", "status", "--json"]));
    assert!(status.iter().all(|line| line["installed"] == json!([])), "{status:?}");
}

/// Calls of many processes at once: the order is that of the log, nothing is lost, and budgets hold.
#[test]
fn eight_processes_work_on_one_session() {
    const PROCESSES: usize = 8;
    const EACH: usize = 5;
    let place = place();
    place.write("home/fusebox.toml", policy("[limits]\nsteps = 30\n"));
    let cwd = place.path("workspace");
    let allowed: usize = std::thread::scope(|scope| {
        let work = |process: usize| {
            let (place, cwd) = (&place, &cwd);
            move || {
                let one = |call: usize| {
                    let event = gate(Harness::ClaudeCode, cwd, "ls", &format!("c-{process}-{call}")).to_string();
                    taken(
                        Harness::ClaudeCode,
                        &hook_with(place, Harness::ClaudeCode, event.as_bytes(), &["--deadline-ms", "120000"]),
                    ) == "allow"
                };
                (0..EACH).filter(|call| one(*call)).count()
            }
        };
        let threads: Vec<_> = (0..PROCESSES).map(|process| scope.spawn(work(process))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(allowed, 30);
    let rows = place.listed();
    assert_eq!((rows.len(), rows[0]["steps"].as_u64()), (1, Some((PROCESSES * EACH) as u64)));
    let verified = place.fusebox(&["audit", "verify"]);
    assert!(verified.status.success(), "{verified:?}");
}

/// Runs the installed plugin of OpenCode in Node, as OpenCode would.
#[test]
fn the_plugin_of_opencode_lets_nothing_happen_without_an_answer() {
    if std::process::Command::new("node").arg("--version").output().is_err() {
        return;
    }
    let place = place();
    let cwd = place.path("workspace");
    let project = place.path("project");
    std::fs::create_dir(&project).unwrap();
    assert!(place.fusebox(&["hooks", "install", "opencode", "--project", project.to_str().unwrap()]).status.success());
    let plugin = std::fs::read_to_string(project.join(".opencode/plugins/fusebox.js")).unwrap();
    place.write("fusebox.mjs", &plugin);
    place.write("gone.mjs", plugin.replace("fusebox\";", "fusebox-gone\";"));
    place.write(
        "strange.mjs",
        plugin
            .lines()
            .map(|line| if line.starts_with("const PROGRAM") { "const PROGRAM = \"/bin/cat\";" } else { line })
            .collect::<Vec<_>>()
            .join("\n"),
    );
    let script = format!(
        r#"const calls = {{ }};
        for (const [name, file] of [["ours", "./fusebox.mjs"], ["gone", "./gone.mjs"], ["strange", "./strange.mjs"]]) {{
            const {{ Fusebox }} = await import(file);
            const hooks = await Fusebox({{ directory: {cwd:?}, worktree: {cwd:?} }});
            for (const command of ["ls", "git push --force"]) {{
                try {{
                    await hooks["tool.execute.before"]({{ tool: "bash", sessionID: "s-1", callID: name + command }}, {{ args: {{ command }} }});
                    calls[name + " " + command] = "continues";
                }} catch (error) {{
                    calls[name + " " + command] = error.message;
                }}
            }}
        }}
        console.log(JSON.stringify(calls));"#
    );
    place.write("try.mjs", script);
    let mut command = std::process::Command::new("node");
    let output = command
        .arg("try.mjs")
        .current_dir(place.folder.path())
        .env("FUSEBOX_HOME", place.path("home"))
        .output()
        .unwrap();
    let said = answer(&output);
    assert_eq!(said["ours ls"], "continues", "{output:?}");
    assert!(said["ours git push --force"].as_str().unwrap().contains("command-policy"), "{said}");
    for call in ["gone ls", "strange ls", "gone git push --force"] {
        assert!(said[call].as_str().unwrap().starts_with("fusebox:"), "{call}: {said}");
    }
}
