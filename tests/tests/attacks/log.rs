//! A log that a person or program with the account changed (B10, B11).

use rusqlite::Connection;
use serde_json::json;

use crate::place::{Place, step, text};

/// A place with two tenants, two runs and a kill switch that was set and lifted.
fn filled() -> Place {
    let place = Place::new();
    place.write("workspace/a.txt", "x");
    for _ in 0..2 {
        assert_eq!(place.run_steps(&json!([step("read_file", json!({ "path": "a.txt" }))]), &[]).0, 0);
    }
    let record = ["audit", "record", "executed", "--agent", "a", "--action", "b", "--tenant", "beta"];
    assert!(place.fusebox(&record).status.success());
    for args in [&["kill", "--all"][..], &["unkill", "--all"]] {
        assert!(place.fusebox(args).status.success());
    }
    place
}

/// Changes the log as a program with access could, which puts its triggers back.
fn change(place: &Place, sql: &str) {
    let log = Connection::open(place.path("home/log.sqlite")).unwrap();
    let triggers: Vec<(String, String)> = {
        let mut found = log.prepare("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").unwrap();
        found.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    };
    for (trigger, _) in &triggers {
        log.execute_batch(&format!("DROP TRIGGER {trigger}")).unwrap();
    }
    log.execute_batch(sql).unwrap();
    for (_, sql) in &triggers {
        log.execute_batch(sql).unwrap();
    }
}

fn remove_log(place: &Place) {
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(place.path(&format!("home/log.sqlite{ending}")));
    }
}

fn verify(place: &Place) -> (bool, String) {
    let output = place.fusebox(&["audit", "verify"]);
    (output.status.success(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn a_log_that_is_gone_cut_or_older_is_noticed() {
    let place = filled();
    assert!(verify(&place).0, "{:?}", verify(&place));
    let older = Place::new();
    Connection::open(place.path("home/log.sqlite")).unwrap().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    std::fs::copy(place.path("home/log.sqlite"), older.path("copy")).unwrap();
    assert_eq!(place.run_steps(&json!([step("read_file", json!({ "path": "a.txt" }))]), &[]).0, 0);
    let put_back = |place: &Place| {
        remove_log(place);
        std::fs::copy(older.path("copy"), place.path("home/log.sqlite")).unwrap();
    };
    type Break<'a> = (&'a str, &'a dyn Fn(&Place));
    let breaks: [Break<'_>; 4] = [
        ("its newest checkpoints removed", &|place| {
            let newest = "DELETE FROM checkpoints WHERE (tenant, size) IN (SELECT tenant, max(size) FROM checkpoints GROUP BY tenant)";
            change(place, newest);
        }),
        ("gone", &remove_log),
        ("an older copy", &put_back),
        ("a tenant removed", &|place| {
            put_back(place);
            change(place, "DELETE FROM events WHERE run_id IN (SELECT run_id FROM chains WHERE tenant = 'beta');
                     DELETE FROM chains WHERE tenant = 'beta'; DELETE FROM checkpoints WHERE tenant = 'beta';
                     DELETE FROM trees WHERE tenant = 'beta'; DELETE FROM tree_nodes WHERE tenant = 'beta';
                     UPDATE events SET log_index = -(SELECT count(*) FROM events e WHERE e.log_index <= events.log_index);
                     UPDATE events SET log_index = -log_index; UPDATE grown SET log_index = (SELECT count(*) FROM events)");
        }),
    ];
    for (what, break_it) in breaks {
        break_it(&place);
        let (holds, said) = verify(&place);
        assert!(!holds, "{what}: {said}");
        let run = place.fusebox(&["run", "plan.json", "--workspace", "workspace"]);
        assert!(text(&run.stderr).contains("FBX-5058"), "{what}: {}", text(&run.stderr));
    }
    // A person can take the older copy as it is; that is in the log.
    put_back(&place);
    let (code, shown) = place.on_a_terminal(&["audit", "restored", "--reason", "disk broke"], "", &[], &[]);
    assert_eq!(code, 0, "{shown}");
    assert!(verify(&place).0, "{:?}", verify(&place));
}

#[test]
fn lists_that_do_not_follow_from_the_events_are_noticed() {
    let place = filled();
    assert!(place.fusebox(&["kill", "--all"]).status.success());
    for (what, change) in [
        ("switches", "DELETE FROM switches"),
        ("switches", "UPDATE switches SET is_lifted = 1"),
        ("runs", "UPDATE runs SET ended = NULL"),
        ("runs", "UPDATE runs SET tenant = 'beta'"),
        ("runs", "DELETE FROM runs"),
        ("leases", "DELETE FROM leases"),
        ("allotments", "INSERT INTO allotments VALUES ('default', 'nobody', 'tokens', 5)"),
        ("reserved budgets", "INSERT INTO reserved VALUES ('default', 'tokens', 5)"),
        ("stored bytes", "UPDATE stored SET bytes = 0"),
    ] {
        self::change(&place, &format!("BEGIN; SAVEPOINT a; {change}; COMMIT"));
        let (holds, said) = verify(&place);
        assert!(!holds && said.contains(what), "{change}: {said}");
        if what == "switches" {
            let run = place.fusebox(&["run", "plan.json", "--workspace", "workspace"]);
            assert!(text(&run.stderr).contains("FBX-4016"), "{change}: {}", text(&run.stderr));
        }
        let (code, shown) = place.on_a_terminal(&["audit", "restored"], "", &[], &[]);
        assert_eq!(code, 0, "{shown}");
        // What no event makes anew.
        self::change(
            &place,
            "DELETE FROM allotments; DELETE FROM reserved; INSERT OR REPLACE INTO leases SELECT run_id, 9 FROM runs;
             UPDATE stored SET bytes = 1000000",
        );
        assert!(verify(&place).0, "{change}: {:?}", verify(&place));
    }
}

#[test]
fn a_budget_that_is_used_up_cannot_be_emptied() {
    let place = Place::new();
    place.write("home/fusebox.toml", "[tenants.default.limits]\nsteps = 3\n");
    place.write("workspace/a.txt", "x");
    let read = json!([step("read_file", json!({ "path": "a.txt" }))]);
    for _ in 0..2 {
        assert_eq!(place.run_steps(&read, &[]).0, 0);
    }
    assert!(verify(&place).0, "{:?}", verify(&place));
    change(&place, "DELETE FROM allotments; DELETE FROM reserved");
    let (holds, said) = verify(&place);
    assert!(!holds && said.contains("allotments"), "{said}");
    let (code, shown) = place.on_a_terminal(&["audit", "restored"], "", &[], &[]);
    assert_eq!(code, 0, "{shown}");
    assert!(verify(&place).0, "{:?}", verify(&place));
    // One step is left, as before.
    let two = json!([step("read_file", json!({ "path": "a.txt" })), step("read_file", json!({ "path": "a.txt" }))]);
    let (code, lines) = place.run_steps(&two, &[]);
    assert!(code != 0 && lines.iter().filter(|line| line["event"] == "step_completed").count() == 1, "{lines:?}");
}

#[test]
fn a_witness_elsewhere_outlives_home_and_keys() {
    let place = Place::new();
    let witness = place.path("witness").display().to_string();
    place.write("home/fusebox.toml", format!("[audit]\nwitness = '{witness}'\n"));
    place.write("workspace/a.txt", "x");
    assert_eq!(place.run_steps(&json!([step("read_file", json!({ "path": "a.txt" }))]), &[]).0, 0);
    assert!(place.fusebox(&["audit", "verify", "--witness", &witness]).status.success());
    // Log, keys and what lies beside them go, and another history begins.
    remove_log(&place);
    std::fs::remove_dir_all(place.path("home/audit")).unwrap();
    assert!(verify(&place).0, "nothing is there to compare with");
    let output = place.fusebox(&["audit", "verify", "--witness", &witness]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
}

#[test]
fn a_log_that_takes_no_switch_says_so() {
    let place = filled();
    let refuse = "CREATE TRIGGER t1 BEFORE INSERT ON switches BEGIN SELECT RAISE(IGNORE); END;";
    Connection::open(place.path("home/log.sqlite")).unwrap().execute_batch(refuse).unwrap();
    let (holds, said) = verify(&place);
    assert!(!holds && said.contains("t1"), "{said}");
    let killed = place.fusebox(&["kill", "--all"]);
    assert!(!killed.status.success() && text(&killed.stderr).contains("kill switches"), "{killed:?}");
}
