//! Budgets, breakers and rates of several runs.

use super::*;

#[test]
fn runs_of_a_tenant_share_its_budget() {
    let place = Place::new();
    place.write("workspace/a", "x");
    place.write("home/fusebox.toml", "[tenants.acme.limits]\nsteps = 5");
    let steps: Vec<Value> = (0..3).map(|_| step("read_file", json!({ "path": "a" }))).collect();
    place.plan(&json!(steps));
    let args = ["run", "plan.json", "--workspace", "workspace", "--tenant", "acme", "--json"];
    let runs: Vec<Child> = (0..4).map(|_| place.command(&args).stdout(Stdio::null()).spawn().unwrap()).collect();
    let mut codes: Vec<_> = runs.into_iter().map(|mut run| run.wait().unwrap().code().unwrap()).collect();
    codes.sort_unstable();
    assert!(codes.iter().all(|code| [0, 5].contains(code)) && codes.contains(&5), "{codes:?}");
    let completed: u64 = place.listed().iter().map(|run| run["completed"].as_u64().unwrap()).sum();
    assert_eq!(completed, 5, "not one more, and none is lost");
    let ended = place.fusebox(&args);
    assert_eq!(ended.status.code(), Some(5));
    assert!(text(&ended.stdout).contains("the budget steps of the tenant acme"), "{}", text(&ended.stdout));
    refused(&place, &["run", "plan.json", "--workspace", "workspace", "--tenant", "a b"], "FBX-1025", "a b");
    place.plan(&json!(steps));
    assert_eq!(place.fusebox(&["run", "plan.json", "--workspace", "workspace"]).status.code(), Some(0), "others go on");
}

#[test]
fn a_warning_comes_before_a_budget_ends() {
    let place = Place::new();
    place.write("workspace/a", "x");
    let steps: Vec<Value> = (0..5).map(|_| step("read_file", json!({ "path": "a" }))).collect();
    let (code, lines) = place.run_steps(&json!(steps), &["--budget-steps", "5"]);
    let warnings = events(&lines, "budget_warning");
    assert_eq!((code, warnings.len()), (0, 1));
    assert_eq!(
        (&warnings[0]["budget"], &warnings[0]["used"], &warnings[0]["limit"]),
        (&json!("steps"), &json!(4), &json!(5))
    );
}

#[test]
fn an_agent_that_keeps_failing_is_held_up_by_the_breaker() {
    let place = Place::new();
    place.write("home/fusebox.toml", "[breaker]\nfailures = 2\ncooldown_s = 1");
    place.plan(&json!([step("run_command", json!({ "argv": ["false"] }))]));
    let args = ["run", "plan.json", "--workspace", "workspace", "--approve", "all", "--json"];
    let codes: Vec<_> = (0..3).map(|_| place.fusebox(&args).status.code().unwrap()).collect();
    assert_eq!(codes, [1, 1, 3], "the third is not even judged");
    let output = place.fusebox(&args);
    assert!(text(&output.stdout).contains("the breaker opened after 2 failures one after the other"));
    // After the cooldown one probes; it works, and the breaker is closed.
    place.plan(&json!([
        step("run_command", json!({ "argv": ["true"] })),
        step("run_command", json!({ "argv": ["true"] }))
    ]));
    wait_for(|| place.fusebox(&args).status.code() == Some(0), "the breaker stays open");
    let log = rusqlite::Connection::open(place.path("home/log.sqlite")).unwrap();
    let turns: Vec<String> = log
        .prepare("SELECT json_extract(payload, '$.to') FROM events WHERE kind = 'breaker_changed' ORDER BY log_index")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(turns, ["OPEN", "HALF_OPEN", "CLOSED"]);
}

#[test]
fn steps_come_no_faster_than_policy_lets_them() {
    let place = Place::new();
    place.write("workspace/a", "x");
    place.write("home/fusebox.toml", "[[rate_limits]]\nstep_type = 'read_file'\ncount = 2\nper_s = 1");
    let read = || step("read_file", json!({ "path": "a" }));
    let (code, lines) = place.run_steps(&json!([read(), read(), read(), append("1")]), &[]);
    let delayed = events(&lines, "step_delayed");
    assert_eq!((code, delayed.len(), delayed[0]["step"].as_str()), (0, 1, Some("step-3")));
    let until = delayed[0]["until_us"].as_u64().unwrap();
    let judged = events(&lines, "step_judged");
    let at = |index: usize| judged[index]["proposed_us"].as_u64().unwrap();
    assert!(at(2) >= until && at(2) >= at(0) + 400_000, "{} {until}", at(2));
}

#[test]
fn a_tenants_budget_is_counted_once_however_often_a_run_is_taken_up() {
    let place = Place::new();
    place.write("workspace/a", "x");
    place.write("home/fusebox.toml", "[tenants.acme.limits]\nsteps = 4\nfuel = 100000000");
    let steps: Vec<Value> = (0..4).map(|_| step("read_file", json!({ "path": "a" }))).collect();
    let run = start(&place, &json!(steps), &["--tenant", "acme"]);
    for _ in 0..4 {
        assert_eq!(json_of(&place, &["next", &run]).0, 6);
    }
    assert_eq!(json_of(&place, &["continue", &run]).0, 0);
}

#[test]
fn a_small_budget_of_a_tenant_is_enough_for_what_fits_into_it() {
    let place = Place::new();
    place.write("workspace/a", "x");
    place.write("home/fusebox.toml", "[tenants.acme.limits]\nfuel = 400000\ntime_us = 30000000");
    place.plan(&json!([step("read_file", json!({ "path": "a" }))]));
    let args = ["run", "plan.json", "--workspace", "workspace", "--tenant", "acme"];
    let output = place.fusebox(&args);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    let codes: Vec<_> = (0..20).map(|_| place.fusebox(&args).status.code().unwrap()).collect();
    assert_eq!(codes.last(), Some(&5), "it is used up in the end: {codes:?}");
}

#[test]
fn time_in_which_nobody_worked_on_a_run_is_charged_to_nobody() {
    let place = Place::new();
    place.write("home/fusebox.toml", "[tenants.acme.limits]\ntime_us = 3600000000");
    let run = start(&place, &json!([slow()]), &["--tenant", "acme"]);
    kill_9(&mut begin(&place, &run));
    let due = Instant::now() + Duration::from_secs(3);
    wait_for(|| Instant::now() > due, "time stands still");
    assert_eq!(json_of(&place, &["kill", &run]).0, 0);
    let log = rusqlite::Connection::open(place.path("home/log.sqlite")).unwrap();
    let charged: u64 =
        log.query_row("SELECT amount FROM reserved WHERE budget = 'time_us'", [], |row| row.get(0)).unwrap();
    assert!(charged < 2_500_000, "{charged}");
}

#[test]
fn a_breaker_counts_steps_that_waited_for_an_approval() {
    let place = Place::new();
    place.write("home/fusebox.toml", "[breaker]\nfailures = 2\ncooldown_s = 3600");
    let codes: Vec<_> = (0..3)
        .map(|_| {
            let run = start(&place, &json!([step("run_command", json!({ "argv": ["false"] }))]), &[]);
            json_of(&place, &["continue", &run, "--approve", "later"]);
            json_of(&place, &["continue", &run, "--approve", "all"]).0
        })
        .collect();
    assert_eq!(codes[..2], [1, 1]);
    assert_ne!(codes[2], 1, "the third does not begin");
}

#[test]
fn one_rate_limit_is_not_charged_for_what_another_one_refuses() {
    let place = Place::new();
    place.write("workspace/a", "x");
    place.write("home/fusebox.toml", "[[rate_limits]]\ncount = 3\nper_s = 3600\n[[rate_limits]]\ncount = 2\nper_s = 1");
    let read = || step("read_file", json!({ "path": "a" }));
    let (code, lines) = place.run_steps(&json!([read(), read(), read()]), &[]);
    assert_eq!((code, events(&lines, "step_delayed").len()), (0, 1));
}
