//! Keys that sign, and proofs of single events.

use super::*;

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
    // A key placed beside the known one does not replace it.
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
    for seq in [1, 7, 12] {
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
    // Another log in this place did not grow from the witnessed one.
    let other = Place::new();
    a_run(&other, "default");
    std::fs::remove_dir_all(other.path("home/audit")).unwrap();
    let copy = Command::new("cp").arg("-r").arg(place.path("home/audit")).arg(other.path("home")).status().unwrap();
    assert!(copy.success());
    // Without what was kept of the log beside its keys, which would tell at once.
    std::fs::remove_file(other.path("home/audit/default.signed")).unwrap();
    for name in ["log.sqlite", "log.sqlite-wal", "log.sqlite-shm"] {
        let _ = std::fs::remove_file(other.path("home").join(name));
    }
    a_run(&other, "default");
    a_run(&other, "default");
    let old = place.path("old.note");
    let output = other.fusebox(&["audit", "verify", "--since", old.to_str().unwrap()]);
    assert!(output.status.code() == Some(1) && text(&output.stdout).contains("only grow"), "{output:?}");
    assert_eq!(other.fusebox(&["audit", "consistency", old.to_str().unwrap()]).status.code(), Some(1));
    // So is a log without its checkpoints, for a verifier that has a key.
    let connection = rusqlite::Connection::open(other.path("home/log.sqlite")).unwrap();
    let trigger = "SELECT sql FROM sqlite_master WHERE name = 'checkpoints_are_not_deleted'";
    let trigger: String = connection.query_row(trigger, [], |row| row.get(0)).unwrap();
    let forget = format!("DROP TRIGGER checkpoints_are_not_deleted; DELETE FROM checkpoints; {trigger}");
    connection.execute_batch(&forget).unwrap();
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

/// After a loss of power, the checkpoint beside the keys may be empty: it says nothing, and the next one stands there. Other
/// damage is refused.
#[test]
fn a_kept_checkpoint_that_the_power_took_says_nothing() {
    let place = Place::new();
    a_run(&place, "default");
    let kept = place.path("home/audit/default.signed");
    let length = std::fs::read(&kept).unwrap().len();
    for lost in [Vec::new(), vec![0; length]] {
        std::fs::write(&kept, lost).unwrap();
        a_run(&place, "default");
        let note = std::fs::read_to_string(&kept).unwrap();
        assert!(note.starts_with("fusebox.invalid/") && note.ends_with('\n'), "{note}");
        printed(&place, &["audit", "verify"]);
    }
    for damaged in ["x".repeat(length), "\0".repeat(length - 1) + "x"] {
        std::fs::write(&kept, damaged).unwrap();
        let output = place.fusebox(&["audit", "verify"]);
        assert!(output.status.code() == Some(1) || output.status.code() == Some(2), "{output:?}");
        let check = place.fusebox(&["runs"]);
        assert!(!check.status.success(), "{check:?}");
    }
}
