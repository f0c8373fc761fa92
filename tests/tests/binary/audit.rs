//! The audit log from outside: exports, proofs, keys, records, erasing, secrets, tenants.

mod export;
mod keys;

use std::process::{Command, Stdio};

use fusebox::proofs::{Fault, FaultKind, Verified, VerifierKey};
use fusebox::{ApprovalAnswer, Audit, Control, KillTarget, RunFilter, VerifyOptions};
use serde_json::{Value, json};

use crate::place::{Place, events, lines, refused, step, text};

fn json_of(place: &Place, args: &[&str]) -> (i32, Vec<Value>) {
    let output = place.fusebox(&[args, &["--json"]].concat());
    (output.status.code().unwrap(), lines(&output))
}

/// What a command prints, when it succeeds.
fn printed(place: &Place, args: &[&str]) -> String {
    let output = place.fusebox(args);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {output:?}");
    text(&output.stdout)
}

/// A run of two steps of a tenant; gives its id.
fn a_run(place: &Place, tenant: &str) -> String {
    std::fs::write(place.path("workspace/a.txt"), "one\n").unwrap();
    let steps = json!([step("read_file", json!({ "path": "a.txt" })), step("read_file", json!({ "path": "a.txt" }))]);
    let (code, lines) = place.run_steps(&steps, &["--tenant", tenant]);
    assert_eq!(code, 0, "{lines:?}");
    lines[0]["run_id"].as_str().unwrap().to_owned()
}

fn export(place: &Place, args: &[&str]) -> Vec<String> {
    printed(place, &[&["audit", "export"], args].concat()).lines().map(ToOwned::to_owned).collect()
}

fn joined(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn verify(file: &str, keys: &[&str]) -> Result<Verified, Fault> {
    let keys = keys.iter().map(|key| key.parse::<VerifierKey>().unwrap()).collect();
    Audit::verify_export(file.as_bytes(), &VerifyOptions { keys, ..VerifyOptions::default() }).unwrap()
}

/// What the stand-alone verifier says of files: whether each holds.
fn alone(files: &[std::path::PathBuf], key: Option<&str>) -> Vec<bool> {
    // The files share their signatures, and to check one in pure Python is slow.
    let driver = "import sys, io, contextlib, functools\nsys.path.insert(0, sys.argv[1])\nimport verify\n\
                  verify.is_signed = functools.lru_cache(None)(verify.is_signed)\nkey = sys.argv[2:3] if sys.argv[2] else []\n\
                  for file in sys.stdin.read().split('\\n'):\n    with contextlib.redirect_stdout(io.StringIO()):\n        \
                  code = verify.main([file, *(['--key', *key] if key else [])])\n    print(code)\n";
    let folder = fusebox_tests::root().join("examples/verify-export");
    let mut python = Command::new("python3")
        .args(["-B", "-c", driver, folder.to_str().unwrap(), key.unwrap_or_default()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let names: Vec<&str> = files.iter().map(|file| file.to_str().unwrap()).collect();
    std::io::Write::write_all(&mut python.stdin.take().unwrap(), names.join("\n").as_bytes()).unwrap();
    let said = text(&python.wait_with_output().unwrap().stdout);
    let held: Vec<bool> = said.lines().map(|code| code == "0").collect();
    assert_eq!(held.len(), files.len(), "{said}");
    held
}

#[test]
fn other_programs_record_what_they_do_and_why() {
    let place = Place::new();
    let by = ["--agent", "mail-bot", "--action", "send_mail"];
    let record = |more: &[&str]| printed(&place, &[&["audit", "record"], more].concat()).trim().to_owned();
    let proposed = record(&[&["proposed", "--message", "a reply to Ann"], &by[..]].concat());
    place.write("details.json", r#"{"to": "ann@example.com"}"#);
    let executed = record(&[&["executed", "--because", &proposed, "--details", "details.json"], &by[..]].concat());
    record(&[&["blocked"], &by[..]].concat());
    record(&[&["violation", "--because", &executed], &by[..]].concat());
    let chain = proposed.rsplit_once('/').unwrap().0;
    let lines = export(&place, &[chain, "--blobs"]);
    let kinds: Vec<String> = lines
        .iter()
        .filter_map(|line| Some(serde_json::from_str::<Value>(line).unwrap()["event"]["kind"].as_str()?.to_owned()))
        .collect();
    assert_eq!(kinds, ["action_proposed", "action_executed", "action_blocked", "policy_violation"]);
    let second: Value = lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .find(|line: &Value| line["event"]["seq"] == 2)
        .unwrap();
    let payload: Value = serde_json::from_str(second["event"]["payload"].as_str().unwrap()).unwrap();
    assert_eq!(payload["because"], json!({ "run_id": chain, "seq": 1 }));
    assert_eq!(verify(&joined(&lines), &[]).unwrap().blobs, 1);
    let bad = |more: &[&str], code: &str, words: &str| {
        refused(&place, &[&["audit", "record", "executed"], more].concat(), code, words)
    };
    bad(&["--agent", "a", "--action", "x", "--because", &format!("{chain}/99")], "FBX-5041", "no event 99");
    bad(&["--agent", "", "--action", "x"], "FBX-5041", "agent");
    bad(&["--agent", "a", "--action", "x", "--message", &"m".repeat(5000)], "FBX-5041", "5000");
    place.write("details.json", "{\"a\": 1, \"a\": 2}");
    bad(&["--agent", "a", "--action", "x", "--details", "details.json"], "FBX-1002", "twice");
    // What follows from another tenant's event is not this one's to say.
    bad(&["--agent", "a", "--action", "x", "--because", &proposed, "--tenant", "acme"], "FBX-5041", "acme");
}

/// All bytes of a home's log.
fn stored(place: &Place) -> Vec<u8> {
    let read = |name: &str| std::fs::read(place.path("home").join(name)).unwrap_or_default();
    [read("log.sqlite"), read("log.sqlite-wal")].concat()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

fn base64_of(text: &str) -> String {
    let mut encoding = Command::new("base64").arg("-w0").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut encoding.stdin.take().unwrap(), text.as_bytes()).unwrap();
    crate::place::text(&encoding.wait_with_output().unwrap().stdout)
}

/// A credential, put together here so that no scanner of this repository takes it for real.
fn secret() -> String {
    ["AKIA", "Q7XW3ZK9PL2M4N8V"].concat()
}

#[test]
fn secrets_that_guards_find_never_reach_the_log() {
    let place = Place::new();
    let secret = secret();
    let edit = |name: &str| step("edit_file", json!({ "path": name, "new_content": format!("key = {secret}\n") }));
    // Denied, as it is by default.
    let (code, lines) = place.run_steps(&json!([edit("a.txt")]), &[]);
    assert_eq!(code, 3);
    assert!(!json!(lines).to_string().contains(&secret), "the updates do not hold it either");
    // In the agent's words, in a command, and in a prompt.
    let words = json!({ "step_type": "read_file", "input": { "path": "x" }, "description": format!("with {secret}"), "reasoning": secret });
    let command = step("run_command", json!({ "argv": ["echo", secret] }));
    for steps in
        [json!([words]), json!([command]), json!([step("run_command", json!({ "shell": format!("echo {secret}") }))])]
    {
        place.run_steps(&steps, &[]);
    }
    place.write("action.json", json!({ "step_type": "deploy", "input": { "key": secret }, "effects": [{ "effect": "run", "argv": ["echo", secret] }] }).to_string());
    assert_eq!(place.fusebox(&["check", "action.json", "--workspace", "workspace"]).status.code(), Some(3));
    place.fusebox(&["audit", "record", "proposed", "--agent", "a", "--action", "x", "--message", &secret]);
    // As the name of a field, and in what a step reads in which something was found: recordings hold that in base64.
    place.write("details.json", json!({ "a": [{ secret.clone(): 1 }] }).to_string());
    printed(&place, &["audit", "record", "proposed", "--agent", "a", "--action", "x", "--details", "details.json"]);
    let file = format!("foo\nk={secret}\n");
    std::fs::write(place.path("workspace/s.txt"), &file).unwrap();
    let (code, _) =
        place.run_steps(&json!([step("edit_file", json!({ "path": "s.txt", "find": "foo", "replace": "bar" }))]), &[]);
    assert_eq!(code, 3);
    let described = json!({ "step_type": "read_file", "input": { "path": "s.txt" }, "description": secret });
    assert_eq!(place.run_steps(&json!([described]), &[]).0, 0);
    assert!(!holds(&stored(&place), &secret) && !holds(&stored(&place), &base64_of(&file)));
    // A name that holds one is refused: names stand everywhere.
    let plan =
        json!({ "goal": "g", "agent": { "id": secret }, "steps": [step("read_file", json!({ "path": "s.txt" }))] });
    place.write("plan.json", plan.to_string());
    refused(&place, &["run", "plan.json", "--workspace", "workspace"], "FBX-5051", "agent");
    let limits = json!({ "step_types": ["read_file", secret] });
    place.write("plan.json", json!({ "goal": "g", "agent": { "id": "a" }, "limits": limits, "steps": [step("read_file", json!({ "path": "s.txt" }))] }).to_string());
    refused(&place, &["run", "plan.json", "--workspace", "workspace"], "FBX-5051", "limits");
    assert!(!holds(&stored(&place), &secret));
    // Where policy lets it happen, it happens, and is not kept all the same.
    place.write("policy.toml", "[guards.secret-scan.settings]\nfiles = \"allow\"\ncommands = \"allow\"\n");
    let show = step("run_command", json!({ "argv": ["echo", secret] }));
    let (code, lines) = place.run_steps(&json!([edit("b.txt"), show]), &["--policy", "policy.toml"]);
    assert_eq!(code, 0, "{lines:?}");
    assert_eq!(std::fs::read_to_string(place.path("workspace/b.txt")).unwrap(), format!("key = {secret}\n"));
    assert!(!holds(&stored(&place), &secret));
    // It cannot be carried out by a process that was not given the plan: what was kept is not what was meant.
    place.plan(&json!([edit("c.txt")]));
    let args = ["start", "plan.json", "--workspace", "workspace", "--policy", "policy.toml"];
    let (_, started) = json_of(&place, &args);
    let run = started[0]["run_id"].as_str().unwrap();
    let (code, lines) = json_of(&place, &["continue", run, "--approve", "all", "--policy", "policy.toml"]);
    assert_eq!(code, 3, "{lines:?}");
    assert!(events(&lines, "step_skipped")[0]["message"].as_str().unwrap().contains("was not kept"));
    assert!(!place.path("workspace/c.txt").exists() && !holds(&stored(&place), &secret));
    printed(&place, &["audit", "verify"]);
}

#[test]
fn a_tenant_without_room_begins_nothing() {
    let place = Place::new();
    std::fs::write(place.path("workspace/a.txt"), "one\n").unwrap();
    place.write("policy.toml", "[tenants.acme]\nquota_bytes = 20000\n");
    let steps = json!(vec![step("read_file", json!({ "path": "a.txt" })); 30]);
    let (code, lines) = place.run_steps(&steps, &["--tenant", "acme", "--policy", "policy.toml"]);
    let ended = events(&lines, "run_ended")[0]["message"].as_str().unwrap();
    assert!(code == 5 && ended.contains("quota_bytes") && ended.contains("acme"), "{ended}");
    let args =
        ["run", "plan.json", "--workspace", "workspace", "--tenant", "acme", "--policy", "policy.toml", "--json"];
    let refused = place.fusebox(&args);
    assert_eq!(crate::place::lines(&refused)[0]["code"], "FBX-4013", "{refused:?}");
    assert_eq!(refused.status.code(), Some(5));
    place.write("action.json", r#"{"step_type": "read_file", "input": {"path": "a.txt"}}"#);
    let check = ["check", "action.json", "--workspace", "workspace", "--policy", "policy.toml", "--tenant"];
    assert_eq!(place.fusebox(&[&check[..], &["acme"]].concat()).status.code(), Some(5));
    assert_eq!(place.fusebox(&[&check[..], &["beta"]].concat()).status.code(), Some(0));
    let record =
        ["audit", "record", "proposed", "--agent", "a", "--action", "x", "--policy", "policy.toml", "--tenant"];
    assert_eq!(place.fusebox(&[&record[..], &["acme"]].concat()).status.code(), Some(5));
    // Erasing makes room.
    printed(&place, &["audit", "erase", "--tenant", "acme"]);
    let bytes = Control::open(&place.path("home")).unwrap().audit().unwrap().stored("acme").unwrap();
    assert!(bytes < 20_000, "{bytes}");
}

/// A key of a log that is not there.
fn other_key() -> String {
    fusebox::proofs::SigningKey::from_seed("fusebox.invalid/0/elsewhere", &[1; 32]).unwrap().verifier().to_string()
}

#[test]
fn tenants_are_kept_apart() {
    let place = Place::new();
    let (mine, other) = (a_run(&place, "acme"), a_run(&place, "beta"));
    let control = Control::open(&place.path("home")).unwrap();
    let acme = control.of_tenant("acme").unwrap();
    let other_run = other.parse().unwrap();
    // Read.
    let seen: Vec<String> =
        acme.runs(&RunFilter::default(), 9).unwrap().iter().map(|run| run.row.run.to_string()).collect();
    assert_eq!(seen, std::slice::from_ref(&mine));
    let of_beta = RunFilter { tenant: Some("beta".into()), ..RunFilter::default() };
    assert!(acme.runs(&of_beta, 9).unwrap().is_empty());
    assert!(
        acme.run(&other_run).is_err()
            && acme.events(&other_run, 0, 9).is_err()
            && acme.explanations(&other_run).is_err()
    );
    assert!(acme.audit().is_none() && acme.of_tenant("beta").is_err());
    // What another one is asked is not there to be seen or answered.
    let edit = json!([step("edit_file", json!({ "path": "b.txt", "new_content": "x\n" }))]);
    place.plan(&edit);
    let args = ["run", "plan.json", "--workspace", "workspace", "--approve", "later", "--tenant", "beta"];
    assert_eq!(place.fusebox(&args).status.code(), Some(6));
    let question = control.questions().unwrap().remove(0).question;
    assert!(acme.questions().unwrap().is_empty() && acme.asked(question.id.as_str()).is_err());
    let person = fusebox::Responder::Terminal { by: "acme".into() };
    assert!(acme.answer(question.id.as_str(), &person, ApprovalAnswer::reject("ann", "terminal", "no")).is_err());
    assert!(acme.grants(Some(&question.run)).is_err() && control.asked(question.id.as_str()).is_ok());
    // Stop.
    let patience = std::time::Duration::from_secs(1);
    for target in [KillTarget::All, KillTarget::Tenant("beta".into()), KillTarget::Run(other_run.clone())] {
        assert!(acme.kill(&target, "acme", patience).is_err() && acme.unkill(&target, "acme").is_err(), "{target}");
    }
    assert!(acme.pause(&other_run, "acme", "").is_err() && acme.resume(&other_run, "acme").is_err());
    assert!(control.switches().unwrap().is_empty());
    // Its own switch ends its own, and is in its own log.
    acme.kill(&KillTarget::Tenant("acme".into()), "acme", patience).unwrap();
    std::fs::write(place.path("workspace/a.txt"), "one\n").unwrap();
    assert_eq!(place.run_steps(&json!([step("read_file", json!({ "path": "a.txt" }))]), &["--tenant", "acme"]).0, 4);
    assert_eq!(place.run_steps(&json!([step("read_file", json!({ "path": "a.txt" }))]), &["--tenant", "beta"]).0, 0);
    let of = |tenant: &str| joined(&export(&place, &["--tenant", tenant]));
    let (acmes, betas) = (of("acme"), of("beta"));
    assert!(acmes.contains("kill_set") && !betas.contains("kill_set"));
    assert!(acmes.contains(&mine) && !acmes.contains(&other) && !betas.contains(&mine));
    // A key speaks of a log that must be there and be signed by it.
    let output = place.fusebox(&["audit", "verify", "--key", &other_key()]);
    assert!(output.status.code() == Some(1) && text(&output.stdout).contains("no log of elsewhere"), "{output:?}");
    // Verify: each by its own key alone.
    let key = |tenant: &str| printed(&place, &["audit", "keys", "--tenant", tenant]).trim().to_owned();
    let (acme_key, beta_key) = (key("acme"), key("beta"));
    assert!(verify(&acmes, &[&acme_key]).is_ok() && verify(&betas, &[&beta_key]).is_ok());
    assert!(verify(&acmes, &[&beta_key]).is_err() && verify(&betas, &[&acme_key]).is_err());
    let posing = acmes.replacen("\"tenant\":\"acme\"", "\"tenant\":\"beta\"", 1);
    assert!(verify(&posing, &[&acme_key]).is_err() && verify(&posing, &[&beta_key]).is_err());
    // Spend: one tenant's use leaves the other's budget alone.
    place.write("policy.toml", "[tenants.gamma.limits]\nsteps = 1\n[tenants.delta.limits]\nsteps = 1\n");
    let steps = json!([step("read_file", json!({ "path": "a.txt" }))]);
    for (tenant, code) in [("gamma", 0), ("gamma", 5), ("delta", 0)] {
        assert_eq!(place.run_steps(&steps, &["--tenant", tenant, "--policy", "policy.toml"]).0, code, "{tenant}");
    }
    printed(&place, &["audit", "verify"]);
}

#[test]
fn every_step_is_explained() {
    let place = Place::new();
    std::fs::write(place.path("workspace/a.txt"), "one\n").unwrap();
    let plan = json!([
        { "id": "look", "step_type": "read_file", "input": { "path": "a.txt" }, "reasoning": "it may say", "confidence": 0.5, "alternatives": ["ask"] },
        { "id": "change", "step_type": "edit_file", "input": { "path": "a.txt", "new_content": "two\n" } },
        { "id": "fail", "step_type": "run_command", "input": { "argv": ["false"] } },
    ]);
    let (code, updates) = place.run_steps(&plan, &["--explain", "--budget-steps", "9"]);
    assert_eq!(code, 1);
    let run = updates[0]["run_id"].as_str().unwrap();
    let live: Vec<&Value> = events(&updates, "explanation");
    let (_, read) = json_of(&place, &["explain", run]);
    assert_eq!(live, read.iter().collect::<Vec<_>>(), "the updates are what the log says");
    let phases: Vec<(&str, &str)> =
        read.iter().map(|one| (one["step"].as_str().unwrap(), one["phase"].as_str().unwrap())).collect();
    let expected = [
        ("look", "before"),
        ("look", "after"),
        ("change", "before"),
        ("change", "after"),
        ("fail", "before"),
        ("fail", "on_error"),
    ];
    assert_eq!(phases, expected);
    let paragraph = printed(&place, &["explain", run, "look", "--phase", "before"]);
    for words in [
        "“it may say”, with a confidence of 0.50",
        "It also considered “ask”",
        "secret-scan",
        "read a.txt",
        "steps 9 (set by the operator)",
    ] {
        assert!(paragraph.contains(words), "{words}: {paragraph}");
    }
    let changed = &read[3];
    assert_eq!(changed["files"], json!([{ "path": "a.txt", "change": "changed", "size": 4 }]));
    let failed = printed(&place, &["explain", run, "fail", "--phase", "on-error"]);
    assert!(failed.contains("failed") && failed.contains("What to do"), "{failed}");
    refused(&place, &["explain", run, "nothing"], "FBX-5046", "look");
    refused(&place, &["explain", "nobody"], "FBX-5022", "nobody");
    let (code, denied) =
        place.run_steps(&json!([step("edit_file", json!({ "path": ".env", "new_content": "x" }))]), &[]);
    assert_eq!(code, 3);
    let (_, read) = json_of(&place, &["explain", denied[0]["run_id"].as_str().unwrap()]);
    assert_eq!((read[1]["trouble"].as_str(), read[1]["by"][0].as_str()), (Some("denied"), Some("protected-paths")));
    // Stopped before it came to a decision.
    let (_, refused) = place.run_steps(&json!([step("read_file", json!({ "path": "../x" }))]), &[]);
    let (_, read) = json_of(&place, &["explain", refused[0]["run_id"].as_str().unwrap()]);
    assert_eq!(read.iter().map(|one| one["phase"].as_str().unwrap()).collect::<Vec<_>>(), ["before", "on_error"]);
}
