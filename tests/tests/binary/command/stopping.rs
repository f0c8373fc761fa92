//! Runs that are stopped, and readers that go away.

use super::*;

#[test]
fn an_interrupt_stops_the_step_with_its_processes_and_pauses_the_run() {
    let place = Place::new();
    // Nobody else sleeps so long.
    let mark = format!("1000.{}", std::process::id());
    let steps = json!([
        step("run_command", json!({ "shell": format!("sleep {mark} & echo > started; wait") })),
        step("read_file", json!({ "path": "started" }))
    ]);
    place.write("plan.json", json!({ "goal": "g", "agent": { "id": "a" }, "steps": steps }).to_string());
    let args = ["run", "plan.json", "--workspace", "workspace", "--approve", "all"];
    let mut child = place.command(&args).stdout(Stdio::piped()).spawn().unwrap();
    wait_until_started(&place);
    let killed = Instant::now();
    let target = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(target, rustix::process::Signal::INT).unwrap();
    let mut shown = String::new();
    child.stdout.take().unwrap().read_to_string(&mut shown).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(6));
    assert!(killed.elapsed() < Duration::from_secs(10), "{:?}", killed.elapsed());
    assert!(shown.contains("pausing the run") && shown.contains("PAUSED"), "{shown}");
    assert_eq!(marked(&mark), 0, "it ended before the process did");
    // A command was under way: a person has to say what came of it.
    assert!(shown.contains("in doubt"), "{shown}");
    let listed = &place.listed()[0];
    assert_eq!((listed["state"].as_str(), listed["why"].as_str()), (Some("PAUSED"), Some("in-doubt")));
    let run = listed["run_id"].as_str().unwrap();
    assert_eq!(place.fusebox(&["continue", run, "--approve", "all"]).status.code(), Some(6));
}

/// Waits until the command of a step has made the file `started`.
#[cfg(target_os = "linux")]
fn wait_until_started(place: &Place) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !place.path("workspace/started").exists() {
        assert!(Instant::now() < deadline, "the process did not start");
        std::thread::yield_now();
    }
}

/// Processes whose command line holds this.
#[cfg(target_os = "linux")]
fn marked(mark: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let commands = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    commands.filter(|line| String::from_utf8_lossy(line).contains(mark)).count()
}

#[cfg(target_os = "linux")]
#[test]
fn a_reader_that_does_not_read_delays_no_limit() {
    let place = Place::new();
    let mark = format!("1000.7{}", std::process::id());
    let script = format!("touch started; sleep {mark} & yes");
    place.plan(&json!([step("run_command", json!({ "shell": script, "timeout_s": 1 }))]));
    let args = ["run", "plan.json", "--workspace", "workspace", "--approve", "all"];
    // Its output goes into a pipe that nobody empties.
    let mut child = place.command(&args).stdout(Stdio::piped()).spawn().unwrap();
    wait_until_started(&place);
    let deadline = Instant::now() + Duration::from_secs(20);
    while marked(&mark) > 0 {
        assert!(Instant::now() < deadline, "the time limit did not hold");
        std::thread::yield_now();
    }
    assert!(child.try_wait().unwrap().is_none(), "it waits for its reader");
    child.kill().unwrap();
    child.wait().unwrap();

    // A kill waits for nobody: neither the processes nor the one that prints.
    std::fs::remove_file(place.path("workspace/started")).unwrap();
    let script = format!("touch started; sleep {mark} & yes");
    place.plan(&json!([step("run_command", json!({ "shell": script, "timeout_s": 600 }))]));
    let mut child = place.command(&args).stdout(Stdio::piped()).spawn().unwrap();
    wait_until_started(&place);
    assert!(text(&place.fusebox(&["kill", "--all"]).stdout).contains("was killed"));
    assert_eq!(marked(&mark), 0);
    assert_eq!(child.wait().unwrap().code(), Some(4));
}

#[cfg(target_os = "linux")]
#[test]
fn another_process_kills_a_run_whatever_it_is_doing() {
    let place = Place::new();
    place.write("spin.wasm", executor("", "(loop (br 0))"));
    place.write(
        "policy.toml",
        "[executors.hostile]\npath = 'spin.wasm'\nlimits = { fuel = 1000000000000, time_ms = 600000 }",
    );
    for (what, steps) in [
        ("a process", json!([step("run_command", json!({ "shell": "sleep 1000 & setsid sleep 1000" }))])),
        ("a guest", json!([step("hostile", json!({}))])),
    ] {
        place.plan(&steps);
        let args =
            ["run", "plan.json", "--workspace", "workspace", "--policy", "policy.toml", "--approve", "all", "--json"];
        let mut child = place.command(&args).stdout(Stdio::piped()).spawn().unwrap();
        let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut run = Value::Null;
        // A guest has no effect to wait for; its step has started.
        let sign = if what == "a guest" { "step_started" } else { "effect_intended" };
        loop {
            let mut line = String::new();
            assert!(std::io::BufRead::read_line(&mut output, &mut line).unwrap() > 0, "{what} ended by itself");
            let event: Value = serde_json::from_str(&line).unwrap();
            run = if run.is_null() { event["run_id"].clone() } else { run };
            if event["event"] == sign {
                break;
            }
        }
        let killed = place.fusebox(&["kill", run.as_str().unwrap(), "--json"]);
        assert_eq!(killed.status.code(), Some(0), "{what}: {}", text(&killed.stderr));
        let killed = &lines(&killed)[0];
        assert_eq!((&killed["outcome"], &killed["run_id"]), (&json!("killed"), &run), "{what}");
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(4), "{what}");
        let ended: Vec<Value> = rest.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let times = &events(&ended, "run_ended")[0]["kill"];
        assert_eq!(times["took_us"], killed["took_us"], "{what}");
        assert_eq!(
            times["stopped_us"].as_u64().unwrap() - times["requested_us"].as_u64().unwrap(),
            times["took_us"].as_u64().unwrap(),
            "{what}"
        );
        // It had ended before, and says so.
        let again = place.fusebox(&["kill", run.as_str().unwrap()]);
        assert!(again.status.success() && text(&again.stdout).contains("had already ended"), "{what}");
    }
    assert!(text(&place.fusebox(&["kill", "--all"]).stdout).contains("no run is under way"));
    refused(&place, &["kill", "no-such-run"], "FBX-5022", "no run");
    let left: Vec<_> =
        std::fs::read_dir(place.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_str().unwrap().starts_with("fusebox-")), "{left:?}");
}

#[test]
fn a_step_does_not_start_when_its_time_is_up_and_is_in_doubt_when_it_is_cut_off() {
    let place = Place::new();
    let steps =
        json!([{ "step_type": "run_command", "input": { "shell": "echo x > mark; sleep 1000" }, "time_limit_s": 1 }]);
    let (code, lines) = place.run_steps(&steps, &[]);
    assert_eq!((code, &lines.last().unwrap()["steps"][0]["state"]), (6, &json!("in_doubt")));
    assert_eq!(events(&lines, "step_in_doubt")[0]["end"], "deadline");
}

#[cfg(target_os = "linux")]
#[test]
fn a_kill_does_not_wait_for_the_reader_of_the_output() {
    let place = Place::new();
    let steps = json!([step("run_command", json!({ "shell": "touch started; seq 1 300000; sleep 1000" }))]);
    place.write("plan.json", json!({ "goal": "g", "agent": { "id": "a" }, "steps": steps }).to_string());
    let args = ["run", "plan.json", "--workspace", "workspace", "--approve", "all"];
    let mut child = place.command(&args).stdout(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !place.path("workspace/started").exists() {
        assert!(Instant::now() < deadline, "the process did not start");
    }
    let killed = Instant::now();
    let target = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(target, rustix::process::Signal::INT).unwrap();
    rustix::process::kill_process(target, rustix::process::Signal::INT).unwrap();
    // The first pauses; the second kills, if it comes in time.
    assert!(matches!(child.wait().unwrap().code(), Some(4 | 6)));
    assert!(killed.elapsed() < Duration::from_secs(10), "{:?}", killed.elapsed());
}

#[test]
fn a_reader_that_goes_away_stops_nothing() {
    let place = Place::new().without_risk();
    place.write("workspace/a", "x");
    let steps: Vec<Value> = (0..50).map(|_| step("read_file", json!({ "path": "a" }))).collect();
    place.write("plan.json", json!({ "goal": "g", "agent": { "id": "a" }, "steps": steps }).to_string());
    let args = ["run", "plan.json", "--workspace", "workspace", "--json"];
    let mut child = place.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}
