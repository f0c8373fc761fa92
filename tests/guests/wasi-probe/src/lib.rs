//! An executor that looks for everything that a program of the standard library could find around it.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fusebox_sdk::prelude::*;

struct Probe;

/// Extra test: `panic`, `exit`, `flood`, `ask` or `hoard` for ever, or nothing.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    #[serde(default)]
    then: String,
}

/// Results of the probe.
#[derive(Debug, Serialize, JsonSchema)]
struct Found {
    /// Files that could be read, and folders that could be listed.
    files: Vec<String>,
    /// A file could be written.
    wrote: bool,
    variables: usize,
    arguments: usize,
    /// Seconds since 1970.
    now: u64,
    /// Nanoseconds that a sleep of an hour took on the guest's own clock.
    slept: u128,
    /// Hash of nothing under random keys.
    random: String,
    /// In the order of a map with random hashes.
    order: Vec<u32>,
    stdin: usize,
}

fn look_around() -> Found {
    let names = ["/etc/passwd", "/proc/self/environ", "/", ".", "..", "/tmp", "/dev/random"];
    let is_there = |name: &&str| std::fs::read(name).is_ok() || std::fs::read_dir(name).is_ok();
    let started = Instant::now();
    std::thread::sleep(Duration::from_secs(3600));
    let map: HashMap<u32, u32> = (0..20).map(|number| (number, number)).collect();
    println!("looked around");
    eprintln!("and said so");
    Found {
        files: names.iter().filter(|name| is_there(name)).map(|name| (*name).to_owned()).collect(),
        wrote: std::fs::write("/tmp/probe", "here").is_ok() || std::fs::write("probe", "here").is_ok(),
        variables: std::env::vars().count(),
        arguments: std::env::args().count(),
        now: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs()),
        slept: started.elapsed().as_nanos(),
        random: format!("{:016x}", RandomState::new().hash_one(())),
        order: map.keys().copied().collect(),
        stdin: std::io::read_to_string(std::io::stdin()).map_or(usize::MAX, |text| text.len()),
    }
}

impl Executor for Probe {
    type Settings = NoSettings;
    type Input = Input;
    type Output = Found;
    type Delta = NoDelta;

    fn about() -> About {
        About::new("wasi-probe", "1.0.0", "Looks around.")
    }

    fn annotations() -> Annotations {
        Annotations::of("probe").read_only().closed_world()
    }

    fn preview(_: &Input, _: &NoSettings) -> Result<Vec<Effect>, Failure> {
        Ok(Vec::new())
    }

    fn execute(input: &Input, _: &NoSettings) -> Result<Done<Found, NoDelta>, Failure> {
        let found = look_around();
        match input.then.as_str() {
            "panic" => panic!("asked to panic"),
            "exit" => std::process::exit(3),
            "flood" => (0..10_000).for_each(|line| println!("line {line} of a flood")),
            // The memory is never released.
            "hoard" => loop {
                std::mem::forget(wasip2::clocks::monotonic_clock::subscribe_duration(1));
            },
            "ask" => loop {
                let _ = SystemTime::now();
            },
            _ => {}
        }
        Ok(Done { summary: "looked around".to_owned(), output: found, delta: None })
    }
}

fusebox_sdk::export_executor!(Probe);
