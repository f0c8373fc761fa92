//! The cache of compiled code: what it does not trust it has made again, and it never grows without bound.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use fusebox_sandbox::{Compile, Error, Sandbox, SandboxSetup, compile};
use fusebox_tests::{description, guard, guard_that_says};

/// Counts what it compiles.
#[derive(Debug, Default)]
struct Counting(AtomicUsize);

impl Compile for Counting {
    fn compile(&self, component: &[u8]) -> Result<Vec<u8>, Error> {
        self.0.fetch_add(1, Ordering::Relaxed);
        compile(component)
    }
}

/// How often loading this had to compile.
fn compiled(cache: &Path, bytes: &[u8]) -> usize {
    let compiler = Arc::new(Counting::default());
    let setup = SandboxSetup {
        cache: Some(cache.to_owned()),
        compiler: Arc::<Counting>::clone(&compiler),
        ..Default::default()
    };
    let plugin = setup.build().unwrap().load(bytes).unwrap();
    assert_eq!(plugin.description().name, "hostile");
    // It is called as well, with settings that it was never asked about: loading alone would run nothing.
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let settings = format!("{{\"n\":{}}}", ASKED.fetch_add(1, Ordering::Relaxed));
    let settings = fusebox_core::Json::parse("the settings", settings.as_bytes(), 100).unwrap();
    let called = plugin.check_settings(&settings, &Sandbox::new(None).unwrap().kill_flag());
    assert!(called.result.is_ok());
    compiler.0.load(Ordering::Relaxed)
}

fn files(cache: &Path, ending: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|found| found == ending));
    files.sort();
    files
}

fn numbered(number: u32) -> Vec<u8> {
    guard_that_says(&description("guard").replace("1.0.0", &format!("1.0.{number}")), "", "(i32.const 16)")
}

#[test]
fn what_was_compiled_once_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let bytes = guard("(i32.const 16)");
    assert_eq!([compiled(&cache, &bytes), compiled(&cache, &bytes)], [1, 0]);
}

#[test]
fn what_does_not_fit_its_seal_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, elsewhere) = (folder.path().join("cache"), folder.path().join("elsewhere"));
    let bytes = guard("(i32.const 16)");
    compiled(&cache, &bytes);
    let (code, seal) = (files(&cache, "cwasm").remove(0), files(&cache, "seal").remove(0));
    let (good_code, good_seal) = (fs::read(&code).unwrap(), fs::read(&seal).unwrap());
    let flipped = |bytes: &[u8], at: usize| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 1;
        bytes
    };
    // What another user of another machine compiled, with all its names right, and the code of another plugin.
    compiled(&elsewhere, &bytes);
    let foreign_seal = fs::read(files(&elsewhere, "seal").remove(0)).unwrap();
    compiled(&elsewhere, &numbered(2));
    let others: Vec<Vec<u8>> = files(&elsewhere, "cwasm").iter().map(|path| fs::read(path).unwrap()).collect();
    let other_code = others.into_iter().find(|code| *code != good_code).unwrap();
    let other_version = String::from_utf8(good_seal.clone()).unwrap().replace("48.0", "47.9").into_bytes();
    let tampered: [(&str, Vec<u8>, Vec<u8>); 10] = [
        ("code", flipped(&good_code, good_code.len() / 2), good_seal.clone()),
        ("end of code", flipped(&good_code, good_code.len() - 1), good_seal.clone()),
        ("cut code", good_code[..100].to_vec(), good_seal.clone()),
        ("no code", Vec::new(), good_seal.clone()),
        ("code of another", other_code, good_seal.clone()),
        ("seal", good_code.clone(), flipped(&good_seal, good_seal.len() - 10)),
        ("seal of a foreign cache", good_code.clone(), foreign_seal),
        ("seal of another version", good_code.clone(), other_version),
        ("no seal", good_code.clone(), Vec::new()),
        ("a seal that is no text", good_code.clone(), vec![0xff; 200]),
    ];
    for (what, new_code, new_seal) in tampered {
        fs::write(&code, new_code).unwrap();
        fs::write(&seal, new_seal).unwrap();
        assert_eq!(compiled(&cache, &bytes), 1, "{what}");
        assert_eq!(compiled(&cache, &bytes), 0, "{what}: it was made again");
    }
    // The seal of one plugin under the name of another: its code is never run for it.
    let second = numbered(3);
    compiled(&cache, &second);
    for ending in ["cwasm", "seal"] {
        let renamed = files(&cache, ending).into_iter().find(|path| *path != code && *path != seal).unwrap();
        fs::copy(if ending == "cwasm" { &code } else { &seal }, renamed).unwrap();
    }
    assert_eq!(compiled(&cache, &second), 1);
}

#[test]
fn a_lost_or_wrong_key_makes_everything_again() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let bytes = guard("(i32.const 16)");
    compiled(&cache, &bytes);
    for key in [None, Some(Vec::new()), Some(vec![7; 64]), Some(vec![7; 1000])] {
        match &key {
            None => fs::remove_file(cache.join("key")).unwrap(),
            Some(key) => fs::write(cache.join("key"), key).unwrap(),
        }
        assert_eq!([compiled(&cache, &bytes), compiled(&cache, &bytes)], [1, 0], "{:?}", key.map(|key| key.len()));
    }
}

#[cfg(unix)]
#[test]
fn what_others_can_write_is_not_trusted() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let bytes = guard("(i32.const 16)");
    compiled(&cache, &bytes);
    assert_eq!(fs::metadata(&cache).unwrap().permissions().mode() & 0o777, 0o700);
    let code = files(&cache, "cwasm").remove(0);
    fs::set_permissions(&code, fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!([compiled(&cache, &bytes), compiled(&cache, &bytes)], [1, 0], "a file that others may write");
    let moved = folder.path().join("moved");
    fs::rename(&code, &moved).unwrap();
    symlink(&moved, &code).unwrap();
    assert_eq!([compiled(&cache, &bytes), compiled(&cache, &bytes)], [1, 0], "a link");
    for mode in [0o777, 0o755, 0o750] {
        fs::set_permissions(&cache, fs::Permissions::from_mode(mode)).unwrap();
        assert!(matches!(Sandbox::new(Some(&cache)), Err(Error::Cache { .. })), "a folder of mode {mode:o}");
    }
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o700)).unwrap();
    let link = folder.path().join("link");
    symlink(&cache, &link).unwrap();
    assert!(matches!(Sandbox::new(Some(&link)), Err(Error::Cache { .. })), "a link to one");
}

#[test]
fn it_is_bounded_and_the_oldest_goes_first() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    compiled(&cache, &numbered(0));
    let one = fs::metadata(files(&cache, "cwasm").remove(0)).unwrap().len();
    let setup = || SandboxSetup { cache: Some(cache.clone()), cache_bytes: one * 7 / 2, ..SandboxSetup::default() };
    for number in 1..8 {
        setup().build().unwrap().load(&numbered(number)).unwrap();
        // Each of them a while ago, without waiting for it.
        for path in files(&cache, "cwasm").iter().chain(&files(&cache, "seal")) {
            let file = fs::File::options().write(true).open(path).unwrap();
            let age = file.metadata().unwrap().modified().unwrap() - Duration::from_secs(60);
            file.set_modified(age).unwrap();
        }
    }
    let total: u64 = files(&cache, "cwasm").iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    assert!(total <= one * 7 / 2, "{total} bytes");
    assert_eq!([compiled(&cache, &numbered(7)), compiled(&cache, &numbered(0))], [0, 1], "the newest stayed");
}

#[test]
fn what_a_killed_process_left_behind_is_thrown_out() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    compiled(&cache, &numbered(1));
    let (old, new) = (cache.join("compile-old"), cache.join("compile-new"));
    let long_ago = SystemTime::now() - Duration::from_secs(1_000_000);
    for left in [&old, &new] {
        fs::create_dir(left).unwrap();
        fs::write(left.join("component.wasm"), "x").unwrap();
    }
    fs::write(cache.join(".tmpold"), "x").unwrap();
    fs::write(cache.join("notes.txt"), "a user's own").unwrap();
    fs::File::options().write(true).open(cache.join("notes.txt")).unwrap().set_modified(long_ago).unwrap();
    fs::File::open(&old).unwrap().set_modified(long_ago).unwrap();
    fs::File::options().write(true).open(cache.join(".tmpold")).unwrap().set_modified(long_ago).unwrap();
    compiled(&cache, &numbered(2));
    assert!(new.exists() && !old.exists() && !cache.join(".tmpold").exists());
    assert!(cache.join("notes.txt").exists(), "what is not of the cache stays");
}

#[test]
fn using_code_keeps_it_from_going() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let bytes = numbered(1);
    compiled(&cache, &bytes);
    let (code, seal) = (files(&cache, "cwasm").remove(0), files(&cache, "seal").remove(0));
    let long_ago = SystemTime::now() - Duration::from_secs(1_000_000);
    let age = |path| fs::File::options().write(true).open(path).unwrap().set_modified(long_ago).unwrap();
    age(&code);
    age(&seal);
    assert_eq!(compiled(&cache, &bytes), 0);
    assert!(fs::metadata(&seal).unwrap().modified().unwrap() > long_ago + Duration::from_secs(1000));
    // The code was last written long ago; it goes and stays with its seal.
    age(&code);
    let setup = SandboxSetup { cache: Some(cache.clone()), cache_bytes: 1_500_000, ..SandboxSetup::default() };
    fs::write(cache.join("other-1.cwasm"), vec![0; 1_450_000]).unwrap();
    let older = fs::File::options().write(true).open(cache.join("other-1.cwasm")).unwrap();
    older.set_modified(SystemTime::now() - Duration::from_secs(50_000)).unwrap();
    setup.build().unwrap().load(&numbered(2)).unwrap();
    assert!(seal.exists() && code.exists() && !cache.join("other-1.cwasm").exists());
}

#[test]
fn many_that_share_it_do_not_hurt_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let plugins: Vec<Vec<u8>> = (0..4).map(numbered).collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..3 {
                    // So small that each throws out what others use.
                    let setup =
                        SandboxSetup { cache: Some(cache.clone()), cache_bytes: 100_000, ..SandboxSetup::default() };
                    let sandbox = setup.build().unwrap();
                    for bytes in &plugins {
                        let plugin = sandbox.load(bytes).unwrap();
                        let empty = fusebox_core::Json::empty_object();
                        assert!(plugin.check_settings(&empty, &sandbox.kill_flag()).result.is_ok());
                    }
                }
            });
        }
    });
}

#[test]
fn settings_that_were_found_right_are_not_judged_again() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let settings = |text: &str| fusebox_core::Json::parse("the settings", text.as_bytes(), 100).unwrap();
    let fuel = |text: &str| {
        let sandbox = Sandbox::new(Some(&cache)).unwrap();
        let called =
            sandbox.load(&guard("(i32.const 16)")).unwrap().check_settings(&settings(text), &sandbox.kill_flag());
        assert_eq!(called.result, Ok(Vec::new()));
        called.report.usage.call_fuel
    };
    assert!(fuel("{}") > 0);
    assert_eq!(fuel("{}"), 0);
    assert!(fuel("{\"other\":1}") > 0);
    assert_eq!(fuel("{\"other\":1}"), 0);
}

#[test]
fn code_of_a_plugin_that_came_with_the_host_is_checked_before_it_first_runs() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let bytes: &'static [u8] = guard("(i32.const 16)").leak();
    let settings = |text: &str| fusebox_core::Json::parse("the settings", text.as_bytes(), 100).unwrap();
    let call = |sandbox: &Sandbox, plugin: &fusebox_sandbox::Plugin, text: &str| {
        plugin.check_settings(&settings(text), &sandbox.kill_flag()).result
    };
    let load = || {
        let sandbox = Sandbox::new(Some(&cache)).unwrap();
        let plugin = sandbox.load_bundled(bytes, fusebox_core::Digest::of(bytes)).unwrap();
        (sandbox, plugin)
    };
    let (sandbox, plugin) = load();
    assert!(call(&sandbox, &plugin, "{}").is_ok());
    let code = files(&cache, "cwasm").remove(0);
    let good = fs::read(&code).unwrap();
    for broken in [vec![0; good.len()], good[..good.len() / 2].to_vec(), Vec::new()] {
        fs::write(&code, broken).unwrap();
        let (sandbox, plugin) = load();
        assert!(call(&sandbox, &plugin, "{\"other\":1}").is_ok(), "it was compiled again instead");
    }
}
