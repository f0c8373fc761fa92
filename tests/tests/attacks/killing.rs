//! Kills that something is in the way of (B9).

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::place::{Place, lines, step, text};

/// A run with a command under way that others can find by its mark.
fn under_way(place: &Place, mark: &str) -> (Child, String) {
    place.plan(&json!([step("run_command", json!({ "shell": format!("sleep {mark}; echo over") }))]));
    let args = ["run", "plan.json", "--workspace", "workspace", "--approve", "all", "--json"];
    let mut host = place.command(&args).stdout(Stdio::piped()).spawn().unwrap();
    let mut run = String::new();
    for line in BufReader::new(host.stdout.as_mut().unwrap()).lines() {
        let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
        run = event["run_id"].as_str().map_or(run, ToOwned::to_owned);
        if event["event"] == "effect_intended" {
            break;
        }
    }
    until(|| is_running(mark));
    (host, run)
}

fn is_running(mark: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let mut lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    lines.any(|line| line == format!("sleep\0{mark}\0").as_bytes())
}

fn until(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "it does not come");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whether the only run of a place has ended, and was killed.
fn is_killed(place: &Place) -> bool {
    let listed = text(&place.fusebox(&["runs"]).stdout);
    listed.matches(" KILLED ").count() == 1 && place.listed().iter().filter(|line| line["event"] == "run").count() <= 1
}

#[test]
fn a_kill_does_not_wait_for_the_log() {
    let place = Place::new().without_risk();
    let mark = format!("1000.1{}", std::process::id());
    let (mut host, run) = under_way(&place, &mark);
    let holder = rusqlite::Connection::open(place.path("home/log.sqlite")).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut kill = place.command(&["kill", &run]).stdout(Stdio::piped()).spawn().unwrap();
    // The log is held all the while.
    until(|| !is_running(&mark));
    holder.execute_batch("COMMIT").unwrap();
    assert!(kill.wait().unwrap().success());
    host.wait().unwrap();
    assert!(is_killed(&place), "{:?}", place.fusebox(&["runs"]));
    let verified = place.fusebox(&["audit", "verify", "--json"]);
    assert!(verified.status.success(), "{}", text(&verified.stdout));
}

#[test]
fn a_kill_does_not_wait_for_a_process_that_is_stopped() {
    let place = Place::new().without_risk();
    let mark = format!("1000.2{}", std::process::id());
    let (mut host, run) = under_way(&place, &mark);
    let id = Pid::from_child(&host);
    kill_process(id, Signal::STOP).unwrap();
    let mut kill = place.command(&["kill", &run, "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    // The process that drives the run does nothing all the while.
    until(|| !is_running(&mark));
    kill_process(id, Signal::CONT).unwrap();
    kill.wait().unwrap();
    host.wait().unwrap();
    assert!(is_killed(&place), "{:?}", place.fusebox(&["runs"]));
    assert!(!lines(&place.fusebox(&["runs", "--json"])).is_empty());
}

#[test]
fn a_command_cannot_make_what_ends_it_wait() {
    let place = Place::new().without_risk();
    let tries = "for t in /proc/1/task/*; do t=${t##*/}; chrt -i -p 0 $t; taskset -p 1 $t; renice -n 19 -p $t; ionice -c 3 -p $t; \
                 prlimit --pid $t --nofile=1; done; renice -n 19 -u $(id -u); renice -n 19 -g 0; renice -n 19 -g 1";
    let checks = "{ chrt -p 1; cut -d' ' -f18,19 /proc/1/stat; grep Cpus_allowed_list /proc/1/status; } 2>&1";
    let own = "nice -n 5 true && taskset 1 true && chrt -i 0 true && ulimit -n 100";
    let line = format!("{checks} > before; ({tries}) > /dev/null 2>&1; {checks} > after; {own} && touch works");
    let (code, lines) = place.run_steps(&json!([step("run_command", json!({ "shell": line }))]), &[]);
    assert_eq!(code, 0, "{lines:?}");
    let read = |name: &str| std::fs::read_to_string(place.path("workspace").join(name)).unwrap();
    assert_eq!(read("before"), read("after"));
    assert!(read("before").contains("Cpus_allowed_list") && place.path("workspace/works").exists());
}
