//! The audit log from outside: exports, proofs, keys, records, erasing, secrets, tenants.

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
    let driver = "import sys, io, contextlib\nsys.path.insert(0, sys.argv[1])\nimport verify\nkey = sys.argv[2:3] if sys.argv[2] else []\n\
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
fn an_export_holds_for_ours_and_for_the_stand_alone_verifier() {
    let place = Place::new();
    let run = a_run(&place, "default");
    a_run(&place, "default");
    let key = printed(&place, &["audit", "keys"]);
    for (args, is_whole) in
        [(vec![], true), (vec!["--blobs"], true), (vec![run.as_str()], false), (vec![run.as_str(), "--blobs"], false)]
    {
        let file = place.path("export.ndjson");
        let said = printed(&place, &[&["audit", "export", "--out", file.to_str().unwrap()], &args[..]].concat());
        assert!(said.contains("events"), "{said}");
        let content = std::fs::read_to_string(&file).unwrap();
        let verified = verify(&content, &[key.trim()]).unwrap();
        assert_eq!((verified.complete, verified.blobs > 0), (is_whole, args.contains(&"--blobs")));
        assert!(verified.runs.iter().any(|verified| verified.run_id == run && verified.ended));
        assert_eq!(alone(std::slice::from_ref(&file), Some(key.trim())), [true]);
        let (code, lines) = json_of(&place, &["audit", "verify", "export.ndjson", "--key", key.trim()]);
        assert_eq!(
            (code, lines[0]["event"].as_str(), lines[0]["trust"].as_str()),
            (0, Some("audit_verified"), Some("given"))
        );
    }
    // Whoever brings no key is told what that means.
    assert!(printed(&place, &["audit", "verify", "export.ndjson"]).contains("no key was given"));
    // A key of another log does not count.
    let other = Place::new();
    a_run(&other, "default");
    let stranger = printed(&other, &["audit", "keys"]);
    let output = place.fusebox(&["audit", "verify", "export.ndjson", "--key", stranger.trim()]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(alone(&[place.path("export.ndjson")], Some(stranger.trim())), [false]);
    refused(&place, &["audit", "verify", "export.ndjson", "--key", "nonsense"], "FBX-1018", "name+1a2b3c4d");
    refused(&place, &["audit", "export", "nobody"], "FBX-5022", "nobody");
    refused(&place, &["audit", "export", &run, "--tenant", "acme"], "FBX-5022", &run);
    refused(&place, &["audit", "export", "--tenant", "acme"], "FBX-5043", "acme");
}

/// Takes each event of an export and does to it what somebody could who has the file.
#[test]
fn whoever_changes_an_export_is_found_out_at_every_event() {
    let place = Place::new();
    let run = a_run(&place, "default");
    a_run(&place, "default");
    let (mut files, mut good) = (Vec::new(), Vec::new());
    for args in [vec![], vec![run.as_str()]] {
        let lines = export(&place, &args);
        let is_event = |line: &String| line.starts_with("{\"event\"");
        let places: Vec<usize> = (0..lines.len()).filter(|at| is_event(&lines[*at])).collect();
        assert!(verify(&joined(&lines), &[]).is_ok() && places.len() > 20);
        for (which, at) in places.iter().copied().enumerate() {
            let event: Value = serde_json::from_str(&lines[at]).unwrap();
            let (leaf, seq) = (event["event"]["leaf"].as_u64().unwrap(), event["event"]["seq"].as_u64().unwrap());
            let next = places.get(which + 1).copied();
            let mut tries: Vec<(&str, Vec<String>)> = Vec::new();
            let changed = |field: &str, value: Value| {
                let mut event = event.clone();
                event["event"][field] = value;
                let mut lines = lines.clone();
                lines[at] = event.to_string();
                lines
            };
            let payload = event["event"]["payload"].as_str().unwrap();
            tries.push(("changed", changed("payload", payload.replacen('{', "{ ", 1).into())));
            tries.push(("changed", changed("time_us", (event["event"]["time_us"].as_u64().unwrap() + 1).into())));
            tries.push(("changed", changed("kind", "run_ended!".into())));
            let mut missing = lines.clone();
            missing.remove(at);
            tries.push(("missing", missing));
            let mut inserted = lines.clone();
            inserted.insert(at + 1, lines[at].clone());
            tries.push(("inserted", inserted));
            if let Some(next) = next {
                let mut reordered = lines.clone();
                reordered.swap(at, next);
                tries.push(("reordered", reordered));
            }
            tries.push(("truncated", lines[..at].to_vec()));
            let mut cut = lines[..at].to_vec();
            cut.push(json!({ "end": { "events": which, "blobs": 0 } }).to_string());
            tries.push(("cut", cut));
            for (what, lines) in tries {
                let fault = verify(&joined(&lines), &[]).expect_err(&format!("{what} {leaf}"));
                let is_named = fault.leaf == Some(leaf) || fault.seq == Some(seq) && fault.run_id.is_some();
                // Of two that changed places, the first that is not where it belongs is named.
                assert!(is_named, "{what} at leaf {leaf}, event {seq}: {fault:?}");
                match what {
                    "changed" => assert_eq!(fault.kind, FaultKind::Changed, "{fault:?}"),
                    "inserted" => assert_eq!(fault.kind, FaultKind::Inserted, "{fault:?}"),
                    "truncated" | "cut" => {
                        assert!(matches!(fault.kind, FaultKind::Truncated | FaultKind::Missing), "{what}: {fault:?}")
                    }
                    _ => {}
                }
                files.push(place.write(&format!("bad-{}", files.len()), joined(&lines)));
            }
        }
        good.push(place.write(&format!("good-{}", good.len()), joined(&lines)));
    }
    assert_eq!(alone(&good, None), [true, true]);
    let held = alone(&files, None);
    assert!(held.iter().all(|held| !held), "the stand-alone verifier takes {:?}", held.iter().position(|held| *held));
}

/// Somebody who writes the blocks anew as well is held to what was signed; so is one who signs with a key of their own.
#[test]
fn a_forged_export_is_not_what_was_signed() {
    let place = Place::new();
    a_run(&place, "default");
    let key = printed(&place, &["audit", "keys"]);
    let lines = export(&place, &[]);
    let header: Value = serde_json::from_str(&lines[0]).unwrap();
    let forge = |change: &dyn Fn(&mut Value)| {
        let mut header = header.clone();
        change(&mut header["header"]);
        let mut lines = lines.clone();
        lines[0] = header.to_string();
        joined(&lines)
    };
    let mut block: Value = serde_json::from_str(&lines[1]).unwrap();
    let first = block["block"]["leaves"][0].clone();
    block["block"]["leaves"][1] = first;
    let mut other_block = lines.clone();
    other_block[1] = block.to_string();
    let other = Place::new();
    a_run(&other, "default");
    let foreign: Value = serde_json::from_str(&export(&other, &[])[0]).unwrap();
    let end = lines.len() - 1;
    let with_line = |at: usize, line: &str, blobs: u64| {
        let mut lines = lines.clone();
        lines.insert(at, line.to_owned());
        let last = lines.len() - 1;
        lines[last] = json!({ "end": { "events": end - 1 - lines.iter().filter(|line| line.starts_with("{\"block")).count(), "blobs": blobs } }).to_string();
        joined(&lines)
    };
    let blob = json!({ "blob": { "digest": fusebox_core::Digest::of(b"x").to_string(), "bytes": "eA==" } }).to_string();
    let leaf = block_leaf(&lines[1]);
    let bad = [
        joined(&other_block),
        with_line(end, &blob, 1),
        joined(&lines).replacen("\"seq\":1,", "\"seq\":true,", 1),
        joined(&lines).replacen("\"seq\":1,", "\"seq\":1.0,", 1),
        joined(&lines).replacen("\"seq\":1,", "\"seq\":1,\"note\":\"approved\",", 1),
        joined(&lines).replacen(&leaf, &not_canonical(&leaf), 1),
        forge(&|header| header["scope"] = json!({ "all": null })),
        forge(&|header| header["scope"] = json!({ "runs": [] })),
        forge(&|header| header["format"] = true.into()),
        format!("\u{feff}{}", joined(&lines)),
        format!("{}{}\n", joined(&lines[..1]), "[".repeat(100_000)),
        forge(&|header| header["tenant"] = "acme".into()),
        forge(&|header| header["origin"] = "fusebox.invalid/0000/default".into()),
        forge(&|header| header["format"] = 2.into()),
        forge(&|header| header["checkpoint"] = foreign["header"]["checkpoint"].clone()),
        forge(&|header| *header = foreign["header"].clone()),
        forge(&|header| header["more"] = "than there is".into()),
        String::new(),
        "{}\n".to_owned(),
        "[[[[\n".to_owned(),
        joined(&lines).replacen("{\"end\"", "{\"END\"", 1),
        joined(&lines).trim_end().to_owned(),
        format!("{}{}", joined(&lines), joined(&lines)),
    ];
    let mut files = Vec::new();
    for (number, file) in bad.iter().enumerate() {
        assert!(verify(file, &[key.trim()]).is_err(), "{number}");
        files.push(place.write(&format!("bad-{number}"), file));
    }
    let held = alone(&files, Some(key.trim()));
    assert!(held.iter().all(|held| !held), "the stand-alone verifier takes {:?}", held.iter().position(|held| *held));
}

/// The first leaf of a block, as it is written.
fn block_leaf(line: &str) -> String {
    let block: Value = serde_json::from_str(line).unwrap();
    block["block"]["leaves"][0].as_str().unwrap().to_owned()
}

/// The same bytes in base64 that is not canonical: bits that do not count are set.
fn not_canonical(text: &str) -> String {
    let digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let at = text.len() - 2;
    let value = digits.find(&text[at..=at]).unwrap();
    format!("{}{}=", &text[..at], &digits[value + 1..value + 2])
}

#[test]
fn a_key_is_followed_by_another_one_that_it_vouches_for() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    a_run(&place, "default");
    let old = printed(&place, &["audit", "keys"]).trim().to_owned();
    let witness = printed(&place, &["audit", "checkpoint"]);
    place.write("witness.note", &witness);
    for _ in 0..2 {
        printed(&place, &["audit", "rotate"]);
    }
    a_run(&place, "default");
    let keys: Vec<String> = printed(&place, &["audit", "keys"]).lines().map(ToOwned::to_owned).collect();
    assert_eq!((keys.len(), &keys[0]), (3, &old));
    let file = place.path("home/audit/default.json");
    let kept = std::fs::read_to_string(&file).unwrap();
    assert_eq!(kept.matches("\"seed\"").count(), 1, "the secrets of old keys are forgotten");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let lines = export(&place, &[]);
    let export_file = place.write("export.ndjson", joined(&lines));
    for key in &keys {
        assert!(verify(&joined(&lines), &[key]).is_ok(), "{key}");
        assert_eq!(alone(std::slice::from_ref(&export_file), Some(key)), [true]);
        printed(&place, &["audit", "verify", "--key", key]);
    }
    printed(&place, &["audit", "verify", "export.ndjson", "--key", &old, "--since", "witness.note"]);
    printed(&place, &["audit", "verify", "--since", "witness.note"]);
    // All keys in one file, as they were printed; proofs under the first key stay checkable, and so do older exports.
    let all = place.write("log.key", keys.join("\n") + "\n");
    printed(&place, &["audit", "verify", "export.ndjson", "--key", all.to_str().unwrap(), "--since", "witness.note"]);
    printed(&place, &["audit", "verify", "--key", &keys[2], "--since", "witness.note"]);
    assert_eq!(alone(std::slice::from_ref(&export_file), Some(&keys.join("\n"))), [true]);
    // A key that somebody put beside the known one is not its heir.
    let mut ring: Value = serde_json::from_str(&kept).unwrap();
    ring["keys"][1]["introduced"] = Value::Null;
    ring["keys"][2]["introduced"] = Value::Null;
    place.write("home/audit/default.json", ring.to_string());
    let output = place.fusebox(&["audit", "verify", "--key", &old]);
    assert!(output.status.code() == Some(1) && text(&output.stdout).contains("no known key"), "{output:?}");
    place.write("home/audit/default.json", &kept);
    // A rotation that the old key did not sign vouches for nothing.
    let mut header: Value = serde_json::from_str(&lines[0]).unwrap();
    header["header"]["rotations"][0]["checkpoint"] = header["header"]["checkpoint"].clone();
    let forged = [vec![header.to_string()], lines[1..].to_vec()].concat();
    assert!(verify(&joined(&forged), &[&old]).is_err());
    header["header"].as_object_mut().unwrap().remove("rotations");
    let without = [vec![header.to_string()], lines[1..].to_vec()].concat();
    assert_eq!(verify(&joined(&without), &[&old]).unwrap_err().kind, FaultKind::Unsigned);
    // Others cannot read the key, or nothing is signed with it.
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let output = place.fusebox(&["run", "plan.json", "--workspace", "workspace"]);
    assert!(text(&output.stderr).contains("FBX-5040") && output.status.code() == Some(1), "{output:?}");
}

#[test]
fn one_event_is_proved_alone_and_growth_is_proved() {
    let place = Place::new();
    let run = a_run(&place, "default");
    let key = printed(&place, &["audit", "keys"]).trim().to_owned();
    place.write("old.note", printed(&place, &["audit", "checkpoint"]));
    a_run(&place, "default");
    place.write("new.note", printed(&place, &["audit", "checkpoint"]));
    for seq in [1, 7, 20] {
        let proof = printed(&place, &["audit", "proof", &format!("{run}/{seq}")]);
        assert!(proof.starts_with("c2sp.org/tlog-proof@v1\nextra "));
        place.write("event.tlog-proof", &proof);
        let (code, said) = json_of(&place, &["audit", "verify", "event.tlog-proof", "--key", &key]);
        assert_eq!((code, said[0]["seq"].as_u64(), said[0]["run_id"].as_str()), (0, Some(seq), Some(run.as_str())));
        let index = proof.lines().find(|line| line.starts_with("index ")).unwrap();
        place.write("bad.tlog-proof", proof.replacen(index, "index 3", 1));
        let (code, said) = json_of(&place, &["audit", "verify", "bad.tlog-proof", "--key", &key]);
        assert_eq!((code, said[0]["event"].as_str()), (1, Some("audit_fault")), "{said:?}");
    }
    refused(&place, &["audit", "proof", &format!("{run}/9999")], "FBX-5042", "9999");
    refused(&place, &["audit", "verify", "event.tlog-proof"], "FBX-1018", "--key");
    let (code, said) = json_of(&place, &["audit", "consistency", "old.note", "new.note"]);
    assert!(code == 0 && !said[0]["hashes"].as_array().unwrap().is_empty());
    place.write("growth.json", said[0].to_string());
    printed(&place, &["audit", "verify", "growth.json", "--key", &key]);
    let mut other = said[0].clone();
    other["hashes"][0] = other["hashes"][1].clone();
    place.write("growth.json", other.to_string());
    assert_eq!(place.fusebox(&["audit", "verify", "growth.json", "--key", &key]).status.code(), Some(1));
    refused(
        &place,
        &["audit", "verify", "event.tlog-proof", "--key", &key, "--since", "old.note"],
        "FBX-1023",
        "--since",
    );
    assert_eq!(place.fusebox(&["audit", "consistency", "old.note"]).status.code(), Some(0));
    assert_eq!(place.fusebox(&["audit", "consistency", "new.note", "old.note"]).status.code(), Some(1));
    refused(&place, &["audit", "consistency", "plan.json"], "FBX-1019", "signed note");
    // A log that somebody put in the place of this one did not grow from what was witnessed.
    let other = Place::new();
    a_run(&other, "default");
    std::fs::remove_dir_all(other.path("home/audit")).unwrap();
    let copy = Command::new("cp").arg("-r").arg(place.path("home/audit")).arg(other.path("home")).status().unwrap();
    assert!(copy.success());
    for name in ["log.sqlite", "log.sqlite-wal", "log.sqlite-shm"] {
        let _ = std::fs::remove_file(other.path("home").join(name));
    }
    a_run(&other, "default");
    a_run(&other, "default");
    let old = place.path("old.note");
    let output = other.fusebox(&["audit", "verify", "--since", old.to_str().unwrap()]);
    assert!(output.status.code() == Some(1) && text(&output.stdout).contains("only grow"), "{output:?}");
    assert_eq!(other.fusebox(&["audit", "consistency", old.to_str().unwrap()]).status.code(), Some(1));
    // So is one whose checkpoints somebody took away, for whoever has a key.
    let connection = rusqlite::Connection::open(other.path("home/log.sqlite")).unwrap();
    connection.execute_batch("DROP TRIGGER checkpoints_are_not_deleted; DELETE FROM checkpoints;").unwrap();
    drop(connection);
    let output = other.fusebox(&["audit", "verify", "--key", &key]);
    assert!(
        output.status.code() == Some(1) && text(&output.stdout).contains("by the key that was given"),
        "{output:?}"
    );
    // So is one that is not there at all.
    let empty = Place::new();
    a_run(&empty, "acme");
    let output = empty.fusebox(&["audit", "verify", "--since", old.to_str().unwrap()]);
    assert!(output.status.code() == Some(1) && text(&output.stdout).contains("no log of default"), "{output:?}");
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
    assert!(!json!(lines).to_string().contains(&secret), "nobody who watches is told either");
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
fn what_was_erased_is_gone_and_all_of_it_still_verifies() {
    let place = Place::new();
    std::fs::write(place.path("workspace/a.txt"), "one\n").unwrap();
    let words = "words that nobody else would use";
    let plan = json!([{ "step_type": "read_file", "input": { "path": "a.txt" }, "reasoning": words }]);
    let (_, lines) = place.run_steps(&plan, &[]);
    let run = lines[0]["run_id"].as_str().unwrap();
    let before = joined(&export(&place, &[]));
    assert!(holds(&stored(&place), words));
    assert!(printed(&place, &["explain", run]).contains(words));
    let said = printed(&place, &["audit", "erase", "--run", run, "--dry-run"]);
    assert!(said.contains("would be erased") && holds(&stored(&place), words));
    assert_eq!(place.fusebox(&["audit", "erase"]).status.code(), Some(2), "everything at once is not meant");
    let (code, said) = json_of(&place, &["audit", "erase", "--run", run, "--reason", "Ann asked for it"]);
    assert!(code == 0 && said[0]["blobs"].as_u64().unwrap() > 3, "{said:?}");
    assert!(!holds(&stored(&place), words));
    printed(&place, &["audit", "verify"]);
    assert!(verify(&before, &[]).is_ok());
    let after = export(&place, &["--blobs"]);
    assert!(verify(&joined(&after), &[]).is_ok());
    assert!(after.iter().any(|line| line.contains("blobs_erased") && line.contains("Ann asked for it")));
    // What is left explains what it can.
    let explained = printed(&place, &["explain", run]);
    assert!(explained.contains("read_file") && !explained.contains(words));
    refused(&place, &["audit", "erase", "--run", "nobody"], "FBX-5022", "nobody");
    // What is no run loses what is old enough, however much goes on there.
    place.write("details.json", json!({ "note": words }).to_string());
    let record = ["audit", "record", "proposed", "--agent", "a", "--action", "x"];
    printed(&place, &[&record[..], &["--details", "details.json"]].concat());
    assert!(holds(&stored(&place), words));
    printed(&place, &["audit", "erase", "--tenant", "default", "--older-than", "0s"]);
    printed(&place, &record);
    assert!(!holds(&stored(&place), words));
    // By age, as policy has it, whenever a host starts.
    place.run_steps(&plan, &[]);
    place.write("policy.toml", "[audit]\nerase_after_s = 0\n");
    printed(&place, &["plugins", "--policy", "policy.toml"]);
    assert!(!holds(&stored(&place), words));
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
    let (code, told) = place.run_steps(&plan, &["--explain", "--budget-steps", "9"]);
    assert_eq!(code, 1);
    let run = told[0]["run_id"].as_str().unwrap();
    let live: Vec<&Value> = events(&told, "explanation");
    let (_, read) = json_of(&place, &["explain", run]);
    assert_eq!(live, read.iter().collect::<Vec<_>>(), "what was told is what the log says");
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

/// All places of a document, each as a path of keys and indices.
fn places(value: &Value, at: &str, into: &mut Vec<String>) {
    into.push(at.to_owned());
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, field)| places(field, &format!("{at}/{name}"), into));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| places(item, &format!("{at}/{index}"), into));
        }
        _ => {}
    }
}

/// Both verifiers say the same of whatever somebody puts into each place of each kind of line.
#[test]
fn both_verifiers_refuse_the_same_forgeries() {
    let place = Place::new();
    let run = a_run(&place, "default");
    printed(&place, &["audit", "rotate"]);
    let lines = export(&place, &[&run, "--blobs"]);
    let mut seen = std::collections::BTreeSet::new();
    let mut forgeries: Vec<(String, String)> = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let parsed: Value = serde_json::from_str(line).unwrap();
        if !seen.insert(parsed.as_object().unwrap().keys().next().unwrap().clone()) {
            continue;
        }
        let mut all = Vec::new();
        places(&parsed, "", &mut all);
        for at in all.iter().skip(1) {
            let there = parsed.pointer(at).unwrap();
            let mut values = vec![
                json!(null),
                json!(true),
                json!(1.5),
                json!(-1),
                json!(u64::MAX),
                json!(""),
                json!("\u{e9}"),
                json!([]),
                json!([[]]),
                json!("[".repeat(50_000)),
                json!([{ "run_id": "", "events": 0 }]),
            ];
            if let Some(text) = there.as_str() {
                values.extend(
                    [
                        " ",
                        "\n",
                        "\u{a0}",
                        "=",
                        "\u{2014} foo AAAA\n",
                        "\u{2014} foo AAAAAAAA\n",
                        "\u{2014}  AAAAAAAA\n",
                        "\u{2014} f+o AAAAAAAA\n",
                    ]
                    .map(|end| json!(format!("{text}{end}"))),
                );
                values.extend([json!(format!(" {text}")), json!(text.to_uppercase())]);
            }
            if let Some(items) = there.as_array() {
                values.push([&items[..], &items[..1.min(items.len())]].concat().into());
            }
            for value in values.iter().filter(|value| *value != there) {
                let mut forged = parsed.clone();
                *forged.pointer_mut(at).unwrap() = value.clone();
                let mut file = lines.clone();
                file[number] = forged.to_string();
                let value = value.to_string();
                forgeries.push((format!("{at} {}", value.chars().take(60).collect::<String>()), joined(&file)));
            }
        }
        for (from, to) in
            [(":0", ":-0"), ("\"run_id\":\"", "\"run_id\":\"\\ud800"), ("\"digest\":\"", "\"digest\":\"\\ud800")]
        {
            let mut file = lines.clone();
            file[number] = line.replacen(from, to, 1);
            if file[number] != *line {
                forgeries.push((format!("{number} {to}"), joined(&file)));
            }
        }
    }
    assert!(forgeries.len() > 500, "{}", forgeries.len());
    std::fs::create_dir(place.path("forged")).unwrap();
    let files: Vec<_> = forgeries
        .iter()
        .enumerate()
        .map(|(number, (_, file))| place.write(&format!("forged/{number}"), file))
        .collect();
    let mut apart: Vec<String> = Vec::new();
    for ((what, file), said) in forgeries.iter().zip(alone(&files, None)) {
        let ours = verify(file, &[]);
        if ours.is_ok() != said {
            apart.push(format!("{what}: {:?}", ours.err()));
        }
    }
    assert_eq!(apart, Vec::<String>::new());
}

/// Keys are never made a second time for a log that is signed.
#[test]
fn a_lost_key_is_not_made_up_for() {
    let place = Place::new();
    a_run(&place, "acme");
    let key = printed(&place, &["audit", "keys", "--tenant", "acme"]);
    printed(&place, &["audit", "checkpoint", "--tenant", "acme"]);
    let file = place.path("home/audit/acme.json");
    let kept = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    for args in [
        &["audit", "keys", "--tenant", "acme"][..],
        &["audit", "record", "executed", "--agent", "a", "--action", "b", "--tenant", "acme"],
        &["audit", "export", "--tenant", "acme"],
        &["audit", "rotate", "--tenant", "acme"],
        &["run", "plan.json", "--workspace", "workspace", "--tenant", "acme"],
        &["audit", "verify"],
    ] {
        let output = place.fusebox(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {output:?}");
        assert!(text(&output.stderr).contains("FBX-5040"), "{args:?}: {output:?}");
        assert!(!file.exists(), "{args:?}");
    }
    printed(&place, &["audit", "verify", "--key", key.trim()]);
    std::fs::write(&file, kept).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    printed(&place, &["audit", "verify"]);
    // Nor while a process runs that had it, or would have looked for it next; and keys of another log do not sign this one.
    let audit = Audit::open(&place.path("home")).unwrap();
    let kept = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let record = || audit.record("acme", fusebox::Record::executed("a", "b", ""));
    assert!(record().is_err() && !file.exists());
    let elsewhere = Place::new();
    a_run(&elsewhere, "acme");
    place.write("home/audit/acme.json", std::fs::read_to_string(elsewhere.path("home/audit/acme.json")).unwrap());
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    record().unwrap();
    assert!(audit.checkpoint("acme").unwrap_err().to_string().contains("another log"));
    std::fs::write(&file, kept).unwrap();
    drop(audit);
    printed(&place, &["audit", "verify"]);
    // A name that nobody has is a slip, and nothing is made for it.
    refused(&place, &["audit", "keys", "--tenant", "amce"], "FBX-5043", "amce");
    refused(&place, &["audit", "rotate", "--tenant", "amce"], "FBX-5043", "amce");
    assert!(!place.path("home/audit/amce.json").exists());
}
