//! Approvals from another process.

use super::*;

#[test]
fn an_approval_outlasts_its_process_and_is_given_once() {
    let place = Place::new();
    let key = key(&place);
    let run = start(&place, &json!([append("1")]), &[]);
    assert_eq!(json_of(&place, &["continue", &run]).0, 6);
    assert_eq!(state(&place, &run), ("PAUSED".into(), "approval".into()));
    let id = asked(&place);
    // It takes a person.
    refused(&place, &["approve", &id, "--yes"], "FBX-5031", "terminal");
    refused(&place, &["reject", &id, "--reason", "no"], "FBX-5031", "terminal");
    refused(&place, &["approvers", "add", "eve", "--out", "eve.key"], "FBX-5031", "terminal");
    refused(&place, &["approve", "0123456789abcdef", "--key", &key], "FBX-5028", "0123456789abcdef");
    refused(&place, &["approve", "", "--key", &key], "FBX-5028", "");
    refused(&place, &["approve", "%", "--key", &key], "FBX-5028", "%");
    refused(&place, &["approve", &id, "--as-done", "--key", &key], "FBX-5033", "in doubt");
    let (code, printed) = json_of(&place, &["approve", &id[..6], "--key", &key, "--note", "go on"]);
    assert_eq!((code, printed[0]["by"].as_str()), (0, Some("ann")), "{printed:?}");
    for second in [&["approve", id.as_str()][..], &["reject", id.as_str(), "--reason", "too late"]] {
        refused(&place, &[second, &["--key", &key]].concat(), "FBX-5030", "already decided by ann at");
    }
    assert_eq!(effects(&place), "", "an approval begins nothing");
    assert_eq!(json_of(&place, &["continue", &run]).0, 0);
    assert_eq!(effects(&place), "1\n");
    let (_, shown) = json_of(&place, &["show", &run]);
    let decided = events(&shown, "approval_decided");
    assert_eq!((decided.len(), &decided[0]["note"], &decided[0]["signed"]["key"]), (1, &json!("go on"), &json!("ann")));
    // A key that was taken away approves nothing.
    let run = start(&place, &json!([append("2")]), &[]);
    assert_eq!(json_of(&place, &["continue", &run]).0, 6);
    assert_eq!(place.fusebox(&["approvers", "remove", "ann"]).status.code(), Some(0));
    refused(&place, &["approve", &asked(&place), "--key", &key], "FBX-5032", "ann");
}

#[test]
fn a_person_approves_rejects_and_edits_on_a_terminal_from_elsewhere() {
    let place = Place::new();
    let run = start(&place, &json!([append("1")]), &[]);
    assert_eq!(json_of(&place, &["continue", &run]).0, 6);
    let id = asked(&place);
    let (code, shown) = place.on_a_terminal(&["approve", &id], "", &["n\n"], &[]);
    assert_eq!(code, 1, "{shown}");
    assert!(shown.contains("echo 1 >> effects") && shown.contains("nothing was decided"), "{shown}");
    place.write("input.json", json!({ "shell": "echo edited >> effects" }).to_string());
    place.write("wrong.json", json!({ "shel": 1 }).to_string());
    let (code, shown) = place.on_a_terminal(&["approve", &id, "--edit", "wrong.json"], "", &[], &[]);
    assert_eq!(code, 2, "{shown}");
    let (code, shown) = place.on_a_terminal(&["approve", &id, "--edit", "input.json"], "", &["y\n"], &[]);
    assert_eq!(code, 0, "{shown}");
    // It is a new action: judged again, and asked for again.
    assert_eq!(json_of(&place, &["continue", &run]).0, 6);
    let again = asked(&place);
    assert_ne!(again, id);
    let (code, shown) = place.on_a_terminal(&["approve", &again], "", &["y\n"], &[]);
    assert!(code == 0 && shown.contains("echo edited"), "{shown}");
    assert_eq!(json_of(&place, &["continue", &run]).0, 0);
    assert_eq!(effects(&place), "edited\n");

    let run = start(&place, &json!([append("2")]), &[]);
    assert_eq!(json_of(&place, &["continue", &run]).0, 6);
    let (code, shown) = place.on_a_terminal(&["reject", &asked(&place), "--reason", "not today"], "", &[], &[]);
    assert!(code == 0 && shown.contains("FAILED"), "{shown}");
    assert_eq!(state(&place, &run), ("FAILED".into(), "denied".into()));
}

#[test]
fn a_waiting_terminal_shows_what_was_decided_elsewhere() {
    let place = Place::new();
    let key = key(&place);
    let run = start(&place, &json!([append("1")]), &[]);
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| place.on_a_terminal(&["continue", &run], "", &[], &[]));
        wait_for(|| json_of(&place, &["approvals"]).1.len() == 1, "it did not ask");
        let id = asked(&place);
        assert_eq!(json_of(&place, &["approve", &id, "--key", &key]).0, 0);
        let (code, shown) = waits.join().unwrap();
        assert_eq!(code, 0, "{shown}");
        assert!(shown.contains("COMPLETED"), "{shown}");
    });
    assert_eq!(effects(&place), "1\n");
}

#[test]
fn what_changed_since_it_was_approved_is_asked_again() {
    let place = Place::new();
    let key = key(&place);
    place.write("workspace/a", "one");
    let edit = step("edit_file", json!({ "path": "a", "new_content": "two" }));
    let changes: [(&str, &dyn Fn()); 2] = [
        ("the file", &|| {
            place.write("workspace/a", "another program's");
        }),
        ("the policy", &|| {
            place.write("home/fusebox.toml", "[limits]\nsteps = 50");
        }),
    ];
    for (what, change) in changes {
        place.write("workspace/a", "one");
        let run = start(&place, &json!([edit]), &[]);
        assert_eq!(json_of(&place, &["continue", &run]).0, 6);
        let first = asked(&place);
        assert_eq!(json_of(&place, &["approve", &first, "--key", &key]).0, 0);
        change();
        let before = std::fs::read_to_string(place.path("workspace/a")).unwrap();
        assert_eq!(json_of(&place, &["continue", &run]).0, 6, "{what}");
        let again = asked(&place);
        assert_ne!(first, again, "{what}");
        assert_eq!(std::fs::read_to_string(place.path("workspace/a")).unwrap(), before, "{what}");
        assert_eq!(json_of(&place, &["reject", &again, "--reason", "it changed", "--key", &key]).0, 0);
    }
}

#[test]
fn grants_are_listed_revoked_and_never_wider_than_asked() {
    let place = Place::new();
    let key = key(&place);
    let run = start(&place, &json!([append("1"), append("1"), append("2"), append("1")]), &[]);
    assert_eq!(json_of(&place, &["continue", &run]).0, 6);
    let id = asked(&place);
    assert_eq!(json_of(&place, &["approve", &id, "--kind", "--for", "1h", "--key", &key]).0, 0);
    assert_eq!(json_of(&place, &["continue", &run]).0, 6);
    assert_eq!(effects(&place), "1\n1\n", "the very same command, and no other one");
    let (_, grants) = json_of(&place, &["grants"]);
    assert_eq!(
        (grants.len(), grants[0]["grant"].as_str(), grants[0]["by"].as_str()),
        (1, Some(id.as_str()), Some("ann"))
    );
    assert!(grants[0]["until"].is_string() && grants[0]["kind"].to_string().contains("echo 1"), "{grants:?}");
    assert_eq!(json_of(&place, &["approve", &asked(&place), "--key", &key]).0, 0);
    refused(&place, &["revoke", &run, "0123456789abcdef"], "FBX-5034", "0123456789abcdef");
    assert_eq!(json_of(&place, &["revoke", &run, &id]).0, 0);
    assert_eq!(json_of(&place, &["continue", &run]).0, 6, "the fourth is asked for again");
    assert_eq!(effects(&place), "1\n1\n2\n");
    assert!(json_of(&place, &["grants"]).1.is_empty());
}

#[test]
fn an_approval_whose_time_is_up_is_a_refusal() {
    let place = Place::new();
    let key = key(&place);
    place.write("home/fusebox.toml", "[approval]\nexpires_s = 1");
    let run = start(&place, &json!([append("1")]), &[]);
    assert_eq!(json_of(&place, &["continue", &run]).0, 6);
    let id = asked(&place);
    let due = Instant::now() + Duration::from_secs(1);
    wait_for(|| Instant::now() > due, "time stands still");
    refused(&place, &["approve", &id, "--key", &key], "FBX-5030", "its time is up");
    let (code, recovered) = json_of(&place, &["recover"]);
    assert_eq!((code, recovered[0]["state"].as_str()), (0, Some("FAILED")), "{recovered:?}");
    refused(&place, &["approve", &id, "--key", &key], "FBX-5030", "already decided by nobody");
    assert_eq!(state(&place, &run), ("FAILED".into(), "denied".into()));
}

#[test]
fn a_waiting_process_leaves_a_run_to_the_process_that_continued_it() {
    let place = Place::new();
    let steps = json!([step("edit_file", json!({ "path": "b.txt", "new_content": "b" })), script(&place)]);
    let run = start(&place, &steps, &[]);
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| place.on_a_terminal(&["continue", &run], "", &[], &[]));
        wait_for(|| json_of(&place, &["approvals"]).1.len() == 1, "it did not ask");
        // Another one carries it on, and dies in the middle of the next step.
        kill_9(&mut begin(&place, &run));
        let (code, shown) = waits.join().unwrap();
        assert_eq!(code, 6, "{shown}");
        assert!(shown.contains("another process carries it on"), "{shown}");
    });
    assert_eq!(effects(&place), "began\n");
    assert_eq!(json_of(&place, &["continue", &run, "--approve", "all"]).0, 6);
    assert_eq!((effects(&place).as_str(), state(&place, &run)), ("began\n", ("PAUSED".into(), "in-doubt".into())));
}
