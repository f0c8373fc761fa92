//! Cost of a sandbox for a process, and time from a kill to the end.
//!
//! Starting: a sandboxed `true` beside the same without sandbox, and beside the floor, which is the standard library's
//! own way to start it and wait. Killing: from the request to the moment when the guest, all processes or the model call
//! have ended, as the log records it; asked for by the same process and by another one on the same home. Times depend on
//! the machine; durability of the log is full in all of them.
//!
//! `cargo bench -p fusebox-cli --bench process`
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs, reason = "a benchmark")]

#[cfg(target_os = "linux")]
fn main() {
    linux::main();
}

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
mod linux {
    use std::io::BufRead as _;
    use std::path::Path;
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use fusebox::core::event::RunEnded;
    use fusebox::core::policy::{ProcessPolicy, Protection};
    use fusebox::{ApproveAll, Control, Home, Host, KillOutcome, KillTarget, Plan, RunEvent, RunOptions, RunUpdate};
    use fusebox_effects::{Confinement, ConfinementSetup, Environment, ProcessSpec, Workspace, run_process};
    use serde_json::{Value, json};

    /// Starts of each kind.
    const STARTS: usize = if fusebox_tests::IS_SMOKE { 10 } else { 200 };
    /// Kills of each kind.
    const KILLS: usize = if fusebox_tests::IS_SMOKE { 2 } else { 50 };
    const LAUNCHER: &str = env!("CARGO_BIN_EXE_fusebox");

    pub fn main() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(starts());
        first_verdict();
        let place = Place::new();
        println!("\n{:<52} {:>9} {:>9} {:>9}", "from the kill to the end of everything", "p50", "p99", "worst");
        for what in ["a guest that spins", "a process that sleeps", "a model that does not answer"] {
            let plan = place.plan(what);
            let mut own = runtime.block_on(place.kills_of_own(&plan, what));
            row(&format!("{what}, asked in the same process"), &mut own);
            let mut other = place.kills_from_elsewhere(&plan, what);
            row(&format!("{what}, asked in another process"), &mut other);
        }
    }

    /// From the start of the program to its answer about one action, with all bundled plugins and a warm cache; beside a
    /// start that does nothing.
    fn first_verdict() {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join("workspace")).unwrap();
        let action = place.path().join("action.json");
        let input = json!({ "path": "src/main.rs" });
        let asked = json!({ "agent": { "id": "bench" }, "step_type": "editor.write", "input": input,
            "effects": [{ "effect": "write", "path": "src/main.rs", "content": "x".repeat(450) }] });
        std::fs::write(&action, asked.to_string()).unwrap();
        std::fs::write(place.path().join("policy.toml"), "[step_types.\"editor.write\"]\nneeds_approval = false\n")
            .unwrap();
        let run = |arguments: &[&str]| {
            let mut fusebox = Command::new(LAUNCHER);
            fusebox.args(arguments).current_dir(place.path()).env("FUSEBOX_HOME", place.path().join("home"));
            let started = Instant::now();
            let output = fusebox.env_remove("FUSEBOX_POLICY").output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            started.elapsed()
        };
        let check = ["check", "action.json", "--policy", "policy.toml", "--workspace", "workspace"];
        let mut times = [Vec::new(), Vec::new()];
        run(&check);
        for _ in 0..STARTS {
            times[0].push(run(&["--version"]));
            times[1].push(run(&check));
        }
        println!("\n{:<52} {:>9} {:>9} {:>9}", "from the start to the end of the program", "p50", "p99", "worst");
        row("fusebox --version", &mut times[0]);
        row("fusebox check, warm cache, decision durable", &mut times[1]);
    }

    async fn starts() {
        let folder = tempfile::tempdir().unwrap();
        let environment = Environment::allowed(std::env::vars_os());
        let setup = |launcher: Option<&str>, policy| ConfinementSetup {
            launcher: launcher.map(Into::into),
            policy,
            environment: environment.clone(),
            ..ConfinementSetup::default()
        };
        let confined = Confinement::new(setup(Some(LAUNCHER), ProcessPolicy::default()));
        let accepting = ProcessPolicy { accept_missing: Protection::ALL.to_vec(), ..ProcessPolicy::default() };
        let bare = Confinement::new(setup(None, accepting));
        println!("confinement: {}", confined.describe());
        let spec = || ProcessSpec {
            program: "/usr/bin/true".into(),
            argv: vec!["true".into()],
            cwd: "".parse().unwrap(),
            workspace: Workspace::open(folder.path()).unwrap().open_folder(&"".parse().unwrap()).unwrap(),
            workspace_path: folder.path().canonicalize().unwrap(),
            environment: environment.clone(),
            time_limit: None,
            kill: None,
            keep_bytes: 1024,
        };
        let mut times = vec![Vec::new(); 3];
        for _ in 0..STARTS {
            let start = Instant::now();
            assert!(Command::new("/usr/bin/true").stdout(Stdio::piped()).output().unwrap().status.success());
            times[0].push(start.elapsed());
            for (confinement, times) in [&bare, &confined].into_iter().zip(&mut times[1..]) {
                let start = Instant::now();
                let exit = run_process(spec(), confinement, |_, _| {}).await.unwrap();
                times.push(start.elapsed());
                assert_eq!(exit.code, Some(0));
            }
        }
        println!("\n{:<52} {:>9} {:>9} {:>9}", "start `true` and wait for it", "p50", "p99", "worst");
        let names = ["the floor: the standard library", "without sandbox", "in its sandbox"];
        for (name, times) in names.iter().zip(&mut times) {
            row(name, times);
        }
        let added = times[2][STARTS / 2].saturating_sub(times[1][STARTS / 2]);
        println!("{:<52} {:>6.2} ms", "the sandbox adds (difference of the medians)", millis(added));
    }

    struct Place {
        folder: tempfile::TempDir,
        _server: std::net::TcpListener,
    }

    impl Place {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            std::fs::create_dir(folder.path().join("workspace")).unwrap();
            std::fs::write(folder.path().join("workspace/notes"), "x").unwrap();
            // It accepts and never answers.
            let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("http://{}", server.local_addr().unwrap());
            let spin = fusebox_tests::executor("", "(loop (br 0))");
            std::fs::write(folder.path().join("spin.wasm"), spin).unwrap();
            let policy = format!(
                "[executors.hostile]\npath = 'spin.wasm'\nlimits = {{ fuel = 1000000000000, time_ms = 600000 }}\n\
                 [gateway]\nfirst_byte_timeout_ms = 600000\n[gateway.endpoints.silent]\nprotocol = 'openai'\nurl = '{url}'\n\
                 [[gateway.models.default.routes]]\nendpoint = 'silent'\nmodel = 'm'\n"
            );
            std::fs::write(folder.path().join("policy.toml"), policy).unwrap();
            Self { folder, _server: server }
        }

        fn path(&self, name: &str) -> std::path::PathBuf {
            self.folder.path().join(name)
        }

        fn plan(&self, what: &str) -> Value {
            let (step_type, input) = match what {
                "a guest that spins" => ("hostile", json!({})),
                "a process that sleeps" => ("run_command", json!({ "shell": "setsid sleep 1000 & sleep 1000" })),
                _ => ("summarize", json!({ "instruction": "x", "files": ["notes"], "max_output_tokens": 10 })),
            };
            let steps = json!([{ "step_type": step_type, "input": input }]);
            let plan = json!({ "goal": "g", "agent": { "id": "a" }, "steps": steps });
            std::fs::write(self.path("plan.json"), plan.to_string()).unwrap();
            plan
        }

        async fn kills_of_own(&self, plan: &Value, what: &str) -> Vec<Duration> {
            let builder = Host::builder().home(self.path("home")).policy_file(self.path("policy.toml"));
            let host = builder.launcher(LAUNCHER).build().unwrap();
            let mut times = Vec::new();
            for _ in 0..KILLS {
                let plan = Plan::parse(plan.to_string().as_bytes()).unwrap();
                let approver = ApproveAll { by: "bench".to_owned() };
                let options = RunOptions::new().workspace(self.path("workspace")).approver(approver);
                let mut run = host.run(plan, options).unwrap();
                let stop = run.stop_handle();
                let mut took = None;
                while let Some(update) = run.next().await {
                    let RunUpdate::Event(event) = update else { continue };
                    if is_under_way(event.event.kind(), what) {
                        let stop = stop.clone();
                        std::thread::spawn(move || {
                            std::thread::sleep(Duration::from_millis(20));
                            stop.kill("bench");
                        });
                    }
                    if let RunEvent::RunEnded(RunEnded { kill: Some(times), .. }) = event.event {
                        took = Some(Duration::from_micros(times.took_us));
                    }
                }
                times.push(took.unwrap());
            }
            times
        }

        fn kills_from_elsewhere(&self, _: &Value, what: &str) -> Vec<Duration> {
            let home = Home::open(&self.path("home")).unwrap();
            (0..KILLS).map(|_| self.kill_from_elsewhere(&home, what)).collect()
        }

        fn kill_from_elsewhere(&self, home: &Home, what: &str) -> Duration {
            let mut child = Command::new(Path::new(LAUNCHER))
                .args(["run", "plan.json", "--workspace", "workspace", "--policy", "policy.toml", "--approve", "all"])
                .arg("--json")
                .current_dir(self.folder.path())
                .env("FUSEBOX_HOME", home.path())
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
            let mut events = lines.by_ref().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
            let event = events.find(|event| is_under_way(event["event"].as_str().unwrap(), what)).unwrap();
            std::thread::sleep(Duration::from_millis(20));
            let run = event["run_id"].as_str().unwrap().parse().unwrap();
            let control = Control::open(home.path()).unwrap();
            let outcomes = control.kill(&KillTarget::Run(run), "bench", Duration::from_secs(10)).unwrap();
            let [KillOutcome::Killed(_, times)] = outcomes.as_slice() else { panic!("{outcomes:?}") };
            lines.for_each(drop);
            child.wait().unwrap();
            Duration::from_micros(times.took_us)
        }
    }

    /// The event behind which there is something to kill.
    fn is_under_way(event: &str, what: &str) -> bool {
        event == if what == "a guest that spins" { "step_started" } else { "effect_intended" }
    }

    fn row(name: &str, times: &mut [Duration]) {
        times.sort_unstable();
        let at = |percent: usize| millis(times[(times.len() - 1) * percent / 100]);
        println!("{name:<52} {:>6.2} ms {:>6.2} ms {:>6.2} ms", at(50), at(99), at(100));
    }

    fn millis(time: Duration) -> f64 {
        time.as_secs_f64() * 1000.0
    }
}
