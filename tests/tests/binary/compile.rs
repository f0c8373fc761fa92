//! Components that did not come with the host are compiled in a child, within limits.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fusebox::sandbox::{Error, Sandbox};
use fusebox::{CompileLimits, CompilePlace, Harness, Host, HostBuilder};
use fusebox_tests::{guard, hard_to_compile, root};

const FUSEBOX: &str = env!("CARGO_BIN_EXE_fusebox");

struct Place {
    home: tempfile::TempDir,
    compiled: Arc<AtomicUsize>,
}

impl Place {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap(), compiled: Arc::default() }
    }

    fn builder(&self) -> HostBuilder {
        let compiled = Arc::clone(&self.compiled);
        let count = move |_| {
            compiled.fetch_add(1, Ordering::Relaxed);
        };
        Host::builder().home(self.home.path().join("home")).on_compile(count)
    }

    fn load(&self, builder: HostBuilder, bytes: &[u8]) -> Result<Harness, fusebox::Error> {
        Harness::load(&builder.sandbox()?, bytes)
    }

    fn error(&self, builder: HostBuilder, bytes: &[u8]) -> Error {
        match self.load(builder, bytes) {
            Err(fusebox::Error::Sandbox(error)) => error,
            other => panic!("it must be refused: {other:?}"),
        }
    }
}

#[test]
fn a_child_compiles_once() {
    let place = Place::new();
    let bytes = guard("(i32.const 16)");
    for _ in 0..2 {
        let harness = place.load(place.builder().launcher(FUSEBOX), &bytes).unwrap();
        assert!(harness.check(&[]).result.is_ok());
    }
    assert_eq!(place.compiled.load(Ordering::Relaxed), 1);
}

#[test]
fn without_a_launcher_there_is_a_choice_to_make() {
    let place = Place::new();
    let bytes = guard("(i32.const 16)");
    assert!(matches!(place.error(place.builder(), &bytes), Error::NoCompiler));
    assert!(place.load(place.builder().compile_in(CompilePlace::Here), &bytes).is_ok());
    assert_eq!(place.compiled.load(Ordering::Relaxed), 0, "no child was reported");
    assert!(place.load(place.builder(), &bytes).is_ok(), "it is in the cache now");
}

#[test]
fn a_host_inside_a_runtime_can_compile() {
    let place = Place::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let loaded = runtime.block_on(async { place.load(place.builder().launcher(FUSEBOX), &guard("(i32.const 16)")) });
    assert!(loaded.is_ok());
}

#[test]
fn limits_end_the_compiler() {
    let place = Place::new();
    let hard = hard_to_compile();
    let usual = CompileLimits::default();
    for (limits, word) in [
        (CompileLimits { wall_time: Duration::from_millis(300), ..usual }, "longer than 0.3 s"),
        (CompileLimits { cpu_s: 1, ..usual }, "processor time"),
        (CompileLimits { memory_mib: 40, ..usual }, "memory"),
    ] {
        let started = Instant::now();
        let error = place.error(place.builder().launcher(FUSEBOX).compile_limits(limits), &hard);
        let Error::CompileLimit { limit } = &error else { panic!("{word}: {error}") };
        assert!(limit.contains(word), "{word}: {limit}");
        assert!(started.elapsed() < Duration::from_secs(60), "{word}: {:?}", started.elapsed());
    }
    // The host is well, and what was refused left nothing in the cache.
    assert!(place.load(place.builder().launcher(FUSEBOX), &guard("(i32.const 16)")).is_ok());
    assert!(place.load(place.builder(), &guard("unreachable")).is_err());
    assert!(matches!(place.error(place.builder(), &hard), Error::NoCompiler));
}

#[test]
fn what_fails_the_checker_itself_is_an_error() {
    let place = Place::new();
    for name in ["recursive-type", "unreachable-type"] {
        let bytes = std::fs::read(root().join(format!("tests/guests/crashers/{name}.wasm"))).unwrap();
        let error = place.error(place.builder().launcher(FUSEBOX), &bytes);
        assert!(matches!(error, Error::Compile { .. }) && error.to_string().contains("itself"), "{name}: {error}");
    }
    assert!(place.load(place.builder().launcher(FUSEBOX), &guard("(i32.const 16)")).is_ok());
}

#[test]
fn what_takes_long_to_check_meets_a_limit() {
    let place = Place::new();
    // Each target of the table is checked against a thousand results.
    let results = "i32 ".repeat(1000);
    let zeros = "(i32.const 0)".repeat(1000);
    let targets = "0 ".repeat(200_000);
    let module = wat::parse_str(format!(
        "(module (func (result {results}) (block (result {results}) {zeros} (br_table {targets} (i32.const 0)))))"
    ));
    let limits = CompileLimits { wall_time: Duration::from_millis(500), ..CompileLimits::default() };
    let error = place.error(place.builder().launcher(FUSEBOX).compile_limits(limits), &module.unwrap());
    assert!(matches!(error, Error::CompileLimit { .. }), "{error}");
}

#[test]
fn what_is_compiled_is_nobody_elses() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    let cache = place.home.path().join("home/cache");
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (found, looked) = (Arc::clone(&seen), cache.clone());
    // Told just before the folder is made, so a thread looks at it while the compiler works.
    let builder = Host::builder().home(place.home.path().join("home")).launcher(FUSEBOX).on_compile(move |_| {
        let (found, looked) = (Arc::clone(&found), looked.clone());
        std::thread::spawn(move || {
            let until = Instant::now() + Duration::from_secs(20);
            while found.lock().unwrap().is_empty() && Instant::now() < until {
                let folders = std::fs::read_dir(&looked).into_iter().flatten().flatten();
                let modes = folders.filter(|entry| entry.path().is_dir());
                found
                    .lock()
                    .unwrap()
                    .extend(modes.filter_map(|entry| Some(entry.metadata().ok()?.permissions().mode())));
            }
        });
    });
    assert!(place.load(builder, &guard("(i32.const 16)")).is_ok());
    let modes = seen.lock().unwrap().clone();
    assert!(modes.iter().all(|mode| mode & 0o777 == 0o700) && !modes.is_empty(), "{modes:?}");
    let left = std::fs::read_dir(&cache).unwrap().flatten().filter(|entry| entry.path().is_dir()).count();
    assert_eq!(left, 0, "and nothing is left of it");
}

#[test]
fn a_launcher_that_is_none_is_told() {
    let place = Place::new();
    for program in ["/bin/true", "/bin/cat", "/does/not/exist"] {
        let error = place.error(place.builder().launcher(program), &guard("(i32.const 16)"));
        assert!(matches!(error, Error::Compile { .. } | Error::CompileLimit { .. }), "{program}: {error:?}");
    }
}

#[test]
fn processes_share_a_cache() {
    let place = Place::new();
    std::fs::write(place.home.path().join("guard.wasm"), guard("(i32.const 16)")).unwrap();
    std::fs::write(place.home.path().join("policy.toml"), "[guards.hostile]\npath = 'guard.wasm'").unwrap();
    let start = || {
        Command::new(FUSEBOX)
            .args(["plugins", "--json"])
            .env("FUSEBOX_HOME", place.home.path().join("home"))
            .env("FUSEBOX_POLICY", place.home.path().join("policy.toml"))
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    };
    let children: Vec<_> = (0..3).map(|_| start()).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("hostile"), "{said}");
    }
}

#[test]
fn a_plain_sandbox_compiles_where_it_is() {
    assert!(Sandbox::new(None).unwrap().load(&guard("(i32.const 16)")).is_ok());
}
