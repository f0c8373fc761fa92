//! Pauses, kills and processes that end.

use super::*;

#[test]
fn a_pause_lets_the_step_end_and_the_run_goes_on_where_it_was() {
    let place = Place::new();
    let run = start(&place, &json!([slow(), append("2")]), &[]);
    let mut child = begin(&place, &run);
    let (code, printed) = json_of(&place, &["pause", &run, "--reason", "lunch"]);
    assert_eq!((code, printed[0]["outcome"].as_str()), (0, Some("asked")));
    place.write("workspace/go", "");
    assert_eq!(child.wait().unwrap().code(), Some(6));
    assert_eq!((effects(&place).as_str(), state(&place, &run)), ("slow\n", ("PAUSED".into(), "operator".into())));
    assert_eq!(json_of(&place, &["pause", &run]).1[0]["outcome"], "was_paused");
    refused(&place, &["continue", &run], "FBX-5025", "resume");
    assert_eq!(json_of(&place, &["resume", &run]).1[0]["was_paused"], true);
    assert_eq!(json_of(&place, &["resume", &run]).1[0]["was_paused"], false);
    assert_eq!(json_of(&place, &["continue", &run, "--approve", "all"]).0, 0);
    assert_eq!(effects(&place), "slow\n2\n");
}

#[test]
fn a_command_that_was_cut_off_is_for_a_person_to_judge() {
    let place = Place::new();
    let key = key(&place);
    // Answered three ways: it is done again, it counts as done, the run ends.
    for (answer, code, then) in [
        (&["approve"][..], 0, "slow\n2\n"),
        (&["approve", "--as-done"], 0, "2\n"),
        (&["reject", "--reason", "no"], 2, ""),
    ] {
        for file in ["started", "go", "effects"] {
            let _ = std::fs::remove_file(place.path("workspace").join(file));
        }
        let run = start(&place, &json!([slow(), append("2")]), &[]);
        kill_9(&mut begin(&place, &run));
        let (_, recovered) = json_of(&place, &["recover"]);
        assert_eq!(recovered[0]["state"], "PAUSED", "{recovered:?}");
        assert_eq!(state(&place, &run), ("PAUSED".into(), "in-doubt".into()));
        assert!(json_of(&place, &["recover"]).1.is_empty(), "once is enough");
        assert_eq!(json_of(&place, &["continue", &run, "--approve", "all"]).0, 6, "nobody decides that beforehand");
        let id = asked(&place);
        let shown = text(&place.fusebox(&["approvals", &id]).stderr);
        assert!(shown.contains("In doubt") && shown.contains("unknown whether"), "{shown}");
        let args = [&[answer[0], id.as_str()], &answer[1..], &["--key", &key]].concat();
        assert_eq!(json_of(&place, &args).0, 0);
        place.write("workspace/go", "");
        assert_eq!(json_of(&place, &["continue", &run, "--approve", "all"]).0, code, "{answer:?}");
        assert_eq!(effects(&place), then, "{answer:?}");
    }
}

#[test]
fn a_kill_is_final_whatever_a_run_is_doing() {
    let place = Place::new();
    let waiting = start(&place, &json!([append("1")]), &[]);
    assert_eq!(json_of(&place, &["continue", &waiting]).0, 6);
    let created = start(&place, &json!([append("2")]), &["--tenant", "acme"]);
    let driven = start(&place, &json!([slow()]), &[]);
    let mut child = begin(&place, &driven);
    let (code, killed) = json_of(&place, &["kill", "--tenant", "acme"]);
    assert_eq!((code, killed.len()), (0, 2), "{killed:?}");
    assert_eq!((&killed[0]["run_id"], &killed[0]["outcome"]), (&json!(created), &json!("killed")));
    assert!(child.try_wait().unwrap().is_none(), "another tenant's run goes on");
    place.plan(&json!([append("3")]));
    let args = ["run", "plan.json", "--workspace", "workspace", "--approve", "all"];
    let refused = place.fusebox(&[&args[..], &["--tenant", "acme"]].concat());
    assert_eq!(refused.status.code(), Some(4), "{}", text(&refused.stderr));
    let (code, killed) = json_of(&place, &["kill", "--all"]);
    assert_eq!((code, events(&killed, "kill").len()), (0, 2), "{killed:?}");
    assert_eq!(child.wait().unwrap().code(), Some(4));
    for run in [&waiting, &created, &driven] {
        assert_eq!(state(&place, run).0, "KILLED");
    }
    assert!(json_of(&place, &["approvals"]).1.is_empty());
    // Nothing begins, nothing is allowed.
    let output = place.fusebox(&args);
    assert!(output.status.code() == Some(4) && text(&output.stderr).contains("unkill"), "{}", text(&output.stderr));
    place.write("action.json", r#"{"step_type": "read_file", "input": {"path": "a"}}"#);
    place.write("workspace/a", "x");
    let check = ["check", "action.json", "--workspace", "workspace"];
    assert_eq!(place.fusebox(&check).status.code(), Some(3));
    assert!(text(&place.fusebox(&["runs"]).stdout).contains("the kill switch for all runs is set"));
    // Lifted, it revives nothing.
    assert_eq!(json_of(&place, &["unkill", "--all"]).1[0]["was_set"], true);
    assert_eq!(json_of(&place, &["unkill", "--all"]).1[0]["was_set"], false);
    assert_eq!(place.fusebox(&check).status.code(), Some(0));
    for run in [&waiting, &created, &driven] {
        crate::place::refused(&place, &["continue", run], "FBX-5024", "KILLED");
    }
    assert_eq!(place.fusebox(&args).status.code(), Some(0));
    assert_eq!(effects(&place), "3\n");
}

#[test]
fn a_kill_of_a_run_whose_process_is_gone_is_final_too() {
    let place = Place::new();
    let run = start(&place, &json!([slow()]), &[]);
    kill_9(&mut begin(&place, &run));
    let (code, killed) = json_of(&place, &["kill", &run]);
    assert_eq!((code, killed[0]["outcome"].as_str()), (0, Some("killed")), "{killed:?}");
    assert_eq!(json_of(&place, &["kill", &run]).1[0]["outcome"], "ended");
    assert_eq!(state(&place, &run).0, "KILLED");
}

#[test]
fn a_switch_that_is_lifted_at_once_has_killed_what_was_there() {
    let place = Place::new();
    let runs: Vec<String> = (0..3).map(|_| start(&place, &json!([append("1")]), &["--tenant", "acme"])).collect();
    // The process that set it died before it ended anything.
    let log = fusebox_store::SqliteStore::open(&place.path("home/log.sqlite")).unwrap();
    let mut chain = fusebox_core::event::Chain::new("host".parse().unwrap());
    let target = fusebox_core::KillTarget::Tenant("acme".into());
    for event in [
        HostEvent::KillSet(KillSet { target: target.clone(), by: "p".into() }),
        HostEvent::KillLifted(KillLifted { target, by: "p".into() }),
    ] {
        let events = vec![chain.seal_host(&event, 1)];
        let batch = fusebox_store::Batch { events, ..fusebox_store::Batch::default() };
        fusebox_store::Events::append(&log, batch).wait().unwrap();
    }
    drop(log);
    for run in &runs {
        let code = place.fusebox(&["continue", run, "--approve", "all"]).status.code();
        assert!(matches!(code, Some(2 | 4)), "{code:?}");
        assert_eq!(state(&place, run).0, "KILLED");
    }
    place.plan(&json!([append("2")]));
    let args = ["run", "plan.json", "--workspace", "workspace", "--approve", "all", "--tenant", "acme"];
    assert_eq!(place.fusebox(&args).status.code(), Some(0), "what begins later is not killed");
    assert_eq!(effects(&place), "2\n");
}

#[test]
fn a_pause_that_was_asked_for_outlasts_the_process_that_was_asked() {
    let place = Place::new();
    let run = start(&place, &json!([slow(), append("2")]), &[]);
    let mut child = begin(&place, &run);
    assert_eq!(json_of(&place, &["pause", &run]).1[0]["outcome"], "asked");
    kill_9(&mut child);
    refused(&place, &["continue", &run], "FBX-5025", "resume");
    assert_eq!(state(&place, &run), ("PAUSED".into(), "operator".into()));
}
