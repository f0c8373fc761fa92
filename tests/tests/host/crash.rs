//! Kills a run wherever it can be killed, starts it again, and checks that nothing that was acknowledged is lost and nothing
//! is done twice. Needs a binary with failpoints: `cargo xtask crash`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fusebox::{Home, KnownKeys};
use serde_json::{Value, json};

/// Longest a run takes when nothing disturbs it, with much to spare.
const LONG: Duration = Duration::from_secs(60);
/// Runs may be killed while they are continued; after so many kills they run to their end.
const MAX_CRASHES: u32 = 4;

fn binary() -> PathBuf {
    std::env::var_os("FUSEBOX_CRASH_BINARY").expect("run this as `cargo xtask crash`").into()
}

/// Compiled plugins, by the names of their files.
type Cache = Vec<(String, Vec<u8>)>;

/// When to stop, if there is a limit.
fn deadline() -> Option<Instant> {
    let seconds = std::env::var("FUSEBOX_CRASH_SECONDS").ok()?.parse().unwrap();
    Some(Instant::now() + Duration::from_secs(seconds))
}

/// Home, workspace and plan of one run.
struct Place {
    folder: tempfile::TempDir,
    /// What was printed, and so acknowledged: hashes of events by their places.
    printed: BTreeMap<u64, String>,
}

impl Place {
    fn new(cache: &Cache) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Self { folder, printed: BTreeMap::new() };
        let home = Home::open(&place.path("home")).unwrap();
        std::fs::create_dir(place.path("home/cache")).unwrap();
        std::fs::set_permissions(place.path("home/cache"), std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .unwrap();
        for (name, bytes) in cache {
            std::fs::write(place.path("home/cache").join(name), bytes).unwrap();
        }
        KnownKeys::open(&home).unwrap().add("ann", &place.path("ann.key")).unwrap();
        std::fs::create_dir(place.path("workspace")).unwrap();
        std::fs::write(place.path("workspace/a.txt"), "one\n").unwrap();
        std::fs::write(place.path("workspace/gone.txt"), "gone\n").unwrap();
        let policy = "[tenants.acme.limits]\nsteps = 1000\nfuel = 9000000000\n[breaker]\nfailures = 100";
        std::fs::write(place.path("home/fusebox.toml"), policy).unwrap();
        let command = |line: &str| json!({ "step_type": "run_command", "input": { "shell": line } });
        let edit = |path: &str, content: &str| json!({ "step_type": "edit_file", "input": { "path": path, "new_content": content } });
        let steps = [
            command("echo 1 >> effects"),
            edit("new/b.txt", "new\n"),
            edit("a.txt", "two\n"),
            command("echo 2 >> effects"),
            json!({ "step_type": "read_file", "input": { "path": "a.txt" } }),
            edit("a.txt", "three\n"),
        ];
        let plan = json!({ "goal": "g", "agent": { "id": "a" }, "steps": steps });
        std::fs::write(place.path("plan.json"), plan.to_string()).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(args).arg("--json").current_dir(self.folder.path()).stdin(Stdio::null());
        command.env("FUSEBOX_HOME", self.path("home")).env_remove("FUSEBOX_POLICY");
        command
    }

    /// Runs a command to its end, or kills it at this moment; keeps in mind what it acknowledged. Gives its exit code.
    fn run(&mut self, args: &[&str], crash: &Crash) -> (Option<i32>, Vec<Value>) {
        let mut command = self.command(args);
        if let Crash::At(place, count) = crash {
            command.env("FUSEBOX_FAILPOINT", format!("{place}={count}"));
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        if let Crash::After(time) = crash {
            std::thread::sleep(*time);
            child.kill().unwrap();
        }
        let output = child.wait_with_output().unwrap();
        // The last line may be cut off.
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        for line in &lines {
            if let (Some(seq), Some(hash)) = (line["seq"].as_u64(), line["hash"].as_str()) {
                let before = self.printed.insert(seq, hash.to_owned());
                assert!(before.is_none_or(|before| before == hash), "event {seq} is another one now");
            }
        }
        assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "{output:?}");
        (output.status.code(), lines)
    }

    fn quietly(&mut self, args: &[&str]) -> (Option<i32>, Vec<Value>) {
        self.run(args, &Crash::Never)
    }

    fn effects(&self) -> String {
        std::fs::read_to_string(self.path("workspace/effects")).unwrap_or_default()
    }
}

/// When a process is to be killed.
#[derive(Debug, Clone)]
enum Crash {
    Never,
    /// At this failpoint, after it was passed so many times.
    At(String, u64),
    /// After this time.
    After(Duration),
}

/// Carries a run out that is killed like this, takes it up again until it ends, and checks everything. Says whether it was
/// killed the first time.
fn survives(cache: &Cache, crashes: &[Crash]) -> bool {
    let mut place = Place::new(cache);
    let create = ["run", "plan.json", "--workspace", "workspace", "--approve", "all", "--tenant", "acme"];
    let mut crashes = crashes.iter();
    let first = crashes.next().cloned().unwrap_or(Crash::Never);
    let is_killed = place.run(&create, &first).0.is_none();
    let (_, runs) = place.quietly(&["runs"]);
    let Some(run) = runs.first().map(|run| run["run_id"].as_str().unwrap().to_owned()) else {
        // It was killed before it was created: nothing was printed or done.
        assert!(place.printed.is_empty() && place.effects().is_empty(), "{first:?}");
        return is_killed;
    };
    let started = Instant::now();
    let last = loop {
        assert!(started.elapsed() < LONG, "{first:?}: the run does not come to an end");
        let crash = crashes.next().cloned().unwrap_or(Crash::Never);
        place.run(&["recover"], &crash);
        let (code, lines) = place.run(&["continue", &run, "--approve", "all"], &crash);
        let refused = lines.last().is_some_and(|line| line["code"] == "FBX-5024");
        match (code, lines.last()) {
            _ if refused => break place.quietly(&["show", &run]).1,
            (Some(6), Some(summary)) if summary["waiting"]["for"] == "doubt" => decide(&mut place, summary),
            (Some(0), _) => break place.quietly(&["show", &run]).1,
            // Killed once more.
            (None, _) => {}
            other => panic!("{first:?}: {other:?}"),
        }
    };
    check(&mut place, &last, &format!("{first:?}"));
    is_killed
}

/// A person looks whether it happened, and says so.
fn decide(place: &mut Place, summary: &Value) {
    let (id, step) = (summary["waiting"]["id"].as_str().unwrap(), summary["waiting"]["step"].as_str().unwrap());
    let word = match step {
        "step-1" => "1\n",
        "step-4" => "2\n",
        other => panic!("{other} leaves traces, and is never in doubt"),
    };
    let key = place.path("ann.key").to_str().unwrap().to_owned();
    let mut args = vec!["approve", id, "--key", &key];
    if place.effects().contains(word) {
        args.push("--as-done");
    }
    assert_eq!(place.quietly(&args).0, Some(0));
}

/// What must hold once the run has ended.
fn check(place: &mut Place, shown: &[Value], what: &str) {
    let events: Vec<&Value> = shown.iter().filter(|line| line["seq"].is_u64()).collect();
    assert_eq!(events.last().unwrap()["end"], "completed", "{what}");
    // Nothing that was acknowledged is lost or changed, and the log has no holes.
    for (place, event) in events.iter().enumerate() {
        assert_eq!(event["seq"], place as u64 + 1, "{what}");
    }
    let hashes: BTreeMap<u64, &str> =
        events.iter().map(|event| (event["seq"].as_u64().unwrap(), event["hash"].as_str().unwrap())).collect();
    for (seq, hash) in &place.printed {
        assert_eq!(hashes.get(seq), Some(&hash.as_str()), "{what}: event {seq} was acknowledged");
    }
    // Nothing was done twice, and everything was done.
    assert_eq!(place.effects(), "1\n2\n", "{what}");
    let read = |name: &str| std::fs::read_to_string(place.path("workspace").join(name)).unwrap();
    assert_eq!((read("a.txt").as_str(), read("new/b.txt").as_str()), ("three\n", "new\n"), "{what}");
    let left: BTreeSet<String> = std::fs::read_dir(place.path("workspace"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let expected = ["a.txt", "effects", "gone.txt", "new"].map(ToOwned::to_owned);
    assert_eq!(left, expected.into(), "{what}: nothing is left behind");
    no_effect_without_its_allow(&events, what);
    // Leases are gone, and the tenant's ledger holds what was used, to the last step.
    assert_eq!(std::fs::read_dir(place.path("home/leases")).map_or(0, Iterator::count), 0, "{what}");
    let begun = events.iter().filter(|event| event["event"] == "step_started").count();
    let log = rusqlite::Connection::open(place.path("home/log.sqlite")).unwrap();
    let reserved: i64 = log
        .query_row("SELECT amount FROM reserved WHERE tenant = 'acme' AND budget = 'steps'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(reserved, begun as i64, "{what}");
    let sound: String = log.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok", "{what}");
}

/// Each effect that was intended was allowed with its step, or approved with exactly it, or judged allowed.
fn no_effect_without_its_allow(events: &[&Value], what: &str) {
    let (mut previewed, mut ruling, mut approved) = (Vec::new(), String::new(), BTreeSet::new());
    let mut open = BTreeSet::new();
    for event in events {
        match event["event"].as_str().unwrap() {
            "step_judged" => {
                let previews = event["previews"].as_array().unwrap();
                previewed = previews.last().unwrap()["effects"].as_array().unwrap().clone();
                ruling = event["decision"]["ruling"].as_str().unwrap().to_owned();
            }
            "approval_decided" if event["answer"] == "approved" => {
                approved.insert(event["binding"].to_string());
            }
            "step_started" => {
                let by_person = ruling == "review" && approved.remove(&event["binding"].to_string());
                assert!(ruling == "allow" || by_person, "{what}: {event}");
                open.clear();
            }
            "effect_intended" => {
                let place = event["allowed_by"]["covered"].as_u64().unwrap() as usize;
                let (needed, covering) = (&event["effect"], &previewed[place]);
                let looks_at_it = needed["effect"] == "read" && needed["path"] == covering["path"];
                assert!(needed == covering || looks_at_it, "{what}: {event}");
                open.insert(event["call"].as_u64().unwrap());
            }
            "effect_performed" | "effect_not_performed" => {
                assert!(open.remove(&event["call"].as_u64().unwrap()), "{what}: {event}");
            }
            _ => {}
        }
    }
}

/// The compiled plugins, and every failpoint that an undisturbed run passes, with how often it does.
fn undisturbed() -> (Cache, Vec<Crash>, Duration) {
    let warm = Place::new(&Cache::new());
    assert!(warm.command(&["plugins"]).output().unwrap().status.success());
    let files = std::fs::read_dir(warm.path("home/cache")).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|file| file.is_file());
    let cache: Cache = files
        .map(|file| (file.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(&file).unwrap()))
        .collect();
    let place = Place::new(&cache);
    let list = place.path("list");
    let mut command =
        place.command(&["run", "plan.json", "--workspace", "workspace", "--approve", "all", "--tenant", "acme"]);
    let started = Instant::now();
    let output = command.env("FUSEBOX_FAILPOINT", "none=0").env("FUSEBOX_FAILPOINT_LIST", &list).output().unwrap();
    let took = started.elapsed();
    assert!(output.status.success(), "{output:?}");
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for name in std::fs::read_to_string(list).unwrap().lines() {
        *counts.entry(name.to_owned()).or_default() += 1;
    }
    for name in
        ["store: before commit", "store: after commit", "effect: intended", "effect: performed", "file: exchanged"]
    {
        assert!(counts.contains_key(name), "{name} is not among {counts:?}");
    }
    let all = counts.into_iter().flat_map(|(name, count)| (0..count).map(move |at| Crash::At(name.clone(), at)));
    (cache, all.collect(), took)
}

#[test]
#[ignore = "needs a binary with failpoints: `cargo xtask crash`"]
fn a_run_survives_a_kill_at_every_boundary() {
    let (cache, mut boundaries, _) = undisturbed();
    let deadline = deadline();
    let all = boundaries.len();
    // With little time, another part of them each time.
    fastrand::shuffle(&mut boundaries);
    let mut tried = 0;
    for crash in boundaries.iter().take_while(|_| deadline.is_none_or(|deadline| Instant::now() < deadline)) {
        assert!(survives(&cache, std::slice::from_ref(crash)), "{crash:?} was not reached");
        tried += 1;
    }
    println!("{tried} of {all} boundaries of writes");
    assert!(tried > 0);
}

#[test]
#[ignore = "needs a binary with failpoints: `cargo xtask crash`"]
fn a_run_survives_kills_at_random_moments() {
    let (cache, boundaries, took) = undisturbed();
    let deadline = deadline();
    let runs: u64 = std::env::var("FUSEBOX_CRASH_RUNS").ok().map_or(500, |runs| runs.parse().unwrap());
    let (mut tried, mut killed) = (0, 0);
    while tried < runs && deadline.is_none_or(|deadline| Instant::now() < deadline) {
        let crashes: Vec<Crash> = (0..fastrand::u32(1..=MAX_CRASHES))
            .map(|_| match fastrand::u8(0..3) {
                0 => fastrand::choice(&boundaries).unwrap().clone(),
                _ => Crash::After(took.mul_f64(fastrand::f64())),
            })
            .collect();
        killed += u64::from(survives(&cache, &crashes));
        tried += 1;
    }
    println!("{tried} runs, {killed} of them killed while they began, up to {MAX_CRASHES} times each in all");
    assert!(killed * 2 > tried, "most are killed, not too late");
}

#[test]
#[ignore = "needs a binary with failpoints: `cargo xtask crash`"]
fn a_clock_that_jumps_back_and_forth_confuses_nothing() {
    let (cache, ..) = undisturbed();
    let place = Place::new(&cache);
    let clock = place.path("clock");
    std::fs::write(&clock, "0").unwrap();
    // A jump of days uses up the time that a risk profile gives, as it should; this is about clocks.
    let policy = std::fs::read_to_string(place.path("home/fusebox.toml")).unwrap() + "\n[risk]\nmode = \"off\"\n";
    std::fs::write(place.path("home/fusebox.toml"), policy).unwrap();
    let mut command =
        place.command(&["run", "plan.json", "--workspace", "workspace", "--approve", "all", "--tenant", "acme"]);
    let child = command.env("FUSEBOX_CLOCK", &clock).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let jumps = std::thread::scope(|scope| {
        let waits = scope.spawn(|| child.wait_with_output().unwrap());
        let mut jumps = 0_u64;
        while !waits.is_finished() {
            let days = fastrand::i64(-30..30);
            // Whole, so that no half of a number is read.
            std::fs::write(place.path("clock.new"), (days * 86_400_000_000).to_string()).unwrap();
            std::fs::rename(place.path("clock.new"), &clock).unwrap();
            jumps += 1;
            std::thread::yield_now();
        }
        let output = waits.join().unwrap();
        assert!(output.status.success(), "{output:?}");
        jumps
    });
    let mut place = place;
    let (_, runs) = place.quietly(&["runs"]);
    let (_, shown) = place.quietly(&["show", runs[0]["run_id"].as_str().unwrap()]);
    let times: Vec<&str> = shown[1..].iter().map(|event| event["time"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "time never goes back in the log: {times:?}");
    check(&mut place, &shown, "a jumping clock");
    println!("{jumps} jumps of the clock");
}
