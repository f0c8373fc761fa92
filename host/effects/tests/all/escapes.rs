//! Ways out of a workspace, each tried with everything that a path can be used for.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fusebox_core::policy::HardLinks;
use fusebox_core::{Digest, WorkspacePath};
use fusebox_effects::{EntryKind, Error, MAX_ENTRIES, MAX_FILE_BYTES, Workspace, copy_folder};

const SECRET: &[u8] = b"SECRET outside";

/// A workspace with everything in it that could lead out, and a secret beside it.
fn place() -> (tempfile::TempDir, Workspace) {
    let folder = tempfile::tempdir().unwrap();
    let (root, outside) = (folder.path().join("ws"), folder.path().join("outside"));
    fs::create_dir_all(root.join("sub/deep")).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), SECRET).unwrap();
    fs::write(root.join("plain"), "plain").unwrap();
    let link = |to: &Path, name: &str| symlink(to, root.join(name)).unwrap();
    link(&outside.join("secret"), "to-file");
    link(&outside, "to-folder");
    link(Path::new("../outside/secret"), "to-file-relative");
    link(Path::new("to-folder"), "chain");
    link(Path::new("loop-b"), "loop-a");
    link(Path::new("loop-a"), "loop-b");
    link(Path::new("/proc/self/root"), "to-root");
    link(Path::new("/proc/self/cwd"), "to-cwd");
    link(Path::new("/dev/stdin"), "to-stdin");
    link(Path::new("../outside/new"), "dangling");
    link(Path::new("."), "to-itself");
    link(Path::new(".."), "sub/up");
    fs::hard_link(outside.join("secret"), root.join("hard")).unwrap();
    let fifo = |name: &str| {
        rustix::fs::mknodat(rustix::fs::CWD, root.join(name), rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
            .unwrap();
    };
    fifo("fifo");
    drop(UnixListener::bind(root.join("socket")).unwrap());
    // Only root makes devices; elsewhere this name means nothing, and that is refused as well.
    let null = rustix::fs::makedev(1, 3);
    let _ = rustix::fs::mknodat(
        rustix::fs::CWD,
        root.join("device"),
        rustix::fs::FileType::CharacterDevice,
        rustix::fs::Mode::RWXU,
        null,
    );
    let workspace = Workspace::open(&root).unwrap();
    (folder, workspace)
}

/// Paths that no file of the workspace has. They are refused when they are parsed, or when they are opened.
fn escapes() -> Vec<String> {
    let long_part = "n".repeat(256);
    let mut paths: Vec<String> = [
        "..",
        "../outside/secret",
        "sub/../../outside/secret",
        "sub/deep/../../../outside/secret",
        "./../outside/secret",
        "sub/..",
        "/etc/passwd",
        "//etc/passwd",
        "/",
        "/proc/self/root/etc/passwd",
        "to-file",
        "to-file/",
        "to-file-relative",
        "to-folder",
        "to-folder/secret",
        "to-folder/",
        "to-folder/.",
        "chain/secret",
        "loop-a",
        "loop-a/x",
        "to-root/etc/passwd",
        "to-cwd/Cargo.toml",
        "to-stdin",
        "dangling",
        "to-itself/plain",
        "to-itself/to-file",
        "sub/up/plain",
        "sub/up/../outside/secret",
        "hard",
        "fifo",
        "fifo/x",
        "socket",
        "device",
        "plain/",
        "plain/x",
        "plain\0/../../outside/secret",
        "\0",
        "PLAIN",
        "To-File",
        // Look-alikes of dots and slashes are ordinary characters.
        "\u{2024}\u{2024}/outside/secret",
        "..\u{2215}outside\u{2215}secret",
        "\u{ff0e}\u{ff0e}/outside/secret",
        "%2e%2e/outside/secret",
        "..\\outside\\secret",
        "to\u{2010}file",
        "pla\u{131}n",
        "plai\u{301}n",
        "pla\u{ef}n",
        "\u{202e}nialp",
        "C:\\Windows",
        "plain:stream",
        "~/secret",
        "$HOME",
        "file:///etc/passwd",
    ]
    .map(str::to_owned)
    .to_vec();
    paths.push(long_part);
    paths.push("a/".repeat(3000));
    paths.push(["d"; 129].join("/"));
    paths
}

#[test]
fn no_path_leads_out() {
    let (folder, workspace) = place();
    let (before, digest) = (listing(folder.path()), Digest::of(SECRET));
    let started = Instant::now();
    for text in escapes() {
        let Ok(path) = WorkspacePath::parse(&text) else { continue };
        // A slash behind a name is dropped: it is the file then, and stands in the workspace.
        let is_plain = path.as_str() == "plain";
        assert_eq!(workspace.read(&path, 0, 100).is_ok(), is_plain, "read {text:?}");
        assert_eq!(workspace.read_all(&path, 100).is_ok(), is_plain, "read all {text:?}");
        assert!(!matches!(workspace.state(&path), Ok(Some(state)) if state.digest == digest), "state {text:?}");
        assert!(workspace.list(&path).is_err(), "list {text:?}");
        assert!(workspace.open_folder(&path).is_err(), "open {text:?}");
        assert!(workspace.write(&path, Some(&digest), b"x").is_err(), "write over {text:?}");
        assert!(workspace.remove(&path, Some(&digest)).is_err(), "remove {text:?}");
        assert!(workspace.remove(&path, None).is_err(), "remove nothing {text:?}");
        if let Ok(Some(metadata)) = workspace.stat(&path) {
            assert!(is_plain || metadata.kind != EntryKind::File || text == "hard", "stat {text:?}");
        }
    }
    assert!(started.elapsed() < Duration::from_secs(30), "nothing blocks");
    assert_eq!(listing(folder.path()), before, "nothing was changed or left behind");
    assert_eq!(escapes().len(), 57);
}

#[test]
fn writing_through_what_leads_out_creates_nothing_there() {
    let (folder, workspace) = place();
    let before = listing(&folder.path().join("outside"));
    for text in [
        "to-folder/new",
        "chain/new",
        "sub/up/new",
        "dangling",
        "dangling/new",
        "to-root/tmp/new",
        "fifo/new",
        "plain/new",
        "loop-a/new",
    ] {
        assert!(workspace.write(&WorkspacePath::parse(text).unwrap(), None, b"x").is_err(), "{text}");
    }
    // These names are free: they are made in the workspace, whatever they look like.
    for text in ["..\\outside\\new", "\u{ff0e}\u{ff0e}/outside/new", "..\u{2215}outside", "C:\\x", "~/x"] {
        workspace.write(&WorkspacePath::parse(text).unwrap(), None, b"x").unwrap();
    }
    assert_eq!(listing(&folder.path().join("outside")), before);
}

/// Names below a folder with their kinds and contents.
fn listing(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            names.push(format!("{} {:o} {}", path.display(), metadata.mode(), metadata.ino()));
            if metadata.is_dir() {
                folders.push(path);
            }
        }
    }
    names.sort();
    names
}

#[test]
fn files_with_further_names_are_read_when_policy_says_so() {
    let (folder, workspace) = place();
    let path = WorkspacePath::parse("hard").unwrap();
    assert!(matches!(workspace.read(&path, 0, 10), Err(Error::HardLinked { .. })));
    assert!(matches!(workspace.write(&path, Some(&Digest::of(SECRET)), b"x"), Err(Error::HardLinked { .. })));
    let copy = folder.path().join("copy");
    copy_folder(workspace.root(), &copy, HardLinks::Deny).unwrap();
    assert!(copy.join("plain").exists() && !copy.join("hard").exists());
    let workspace = workspace.with_hard_links(HardLinks::Allow);
    assert_eq!(workspace.read_all(&path, 100).unwrap(), SECRET);
    workspace.write(&path, Some(&Digest::of(SECRET)), b"changed").unwrap();
    assert_eq!(fs::read(folder.path().join("outside/secret")).unwrap(), SECRET, "the other name keeps its content");
}

/// Does something over and over on another thread while `attempt` is made many times.
fn race(swap: impl Fn() + Sync, mut attempt: impl FnMut()) {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                swap();
            }
        });
        for _ in 0..3000 {
            attempt();
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

/// Swaps the names of two paths at once.
fn exchange(one: &std::path::Path, other: &std::path::Path) {
    let (here, flags) = (rustix::fs::CWD, rustix::fs::RenameFlags::EXCHANGE);
    let _ = rustix::fs::renameat_with(here, one, here, other, flags);
}

#[test]
fn a_link_swapped_in_at_any_moment_leads_nowhere() {
    let (folder, workspace) = place();
    let root = workspace.root().to_owned();
    let path = WorkspacePath::parse("target").unwrap();
    let (aside, target) = (root.join("aside"), root.join("target"));
    fs::write(&target, "inside").unwrap();
    symlink(folder.path().join("outside/secret"), &aside).unwrap();
    let swap = || exchange(&aside, &target);
    let mut seen = [0, 0];
    race(swap, || match workspace.read_all(&path, 100) {
        Ok(bytes) => {
            assert_eq!(bytes, b"inside");
            seen[0] += 1;
        }
        Err(_) => seen[1] += 1,
    });
    assert!(seen.iter().all(|count| *count > 0), "both were met: {seen:?}");
    let (inside, changed) = (Digest::of(b"inside"), Digest::of(b"changed"));
    race(swap, || {
        let _ = workspace.write(&path, Some(&inside), b"changed");
        let _ = workspace.write(&path, Some(&changed), b"inside");
        let _ = workspace.remove(&path, Some(&Digest::of(SECRET)));
    });
    assert_eq!(fs::read(folder.path().join("outside/secret")).unwrap(), SECRET);
    let names: Vec<_> =
        fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(!names.iter().any(|name| name.starts_with(".fusebox")), "no half file is left: {names:?}");
}

#[test]
fn a_folder_swapped_by_rename_leads_nowhere() {
    let (folder, workspace) = place();
    let root = workspace.root().to_owned();
    let (aside, target) = (root.join("aside"), root.join("target"));
    fs::create_dir(&target).unwrap();
    symlink(folder.path().join("outside"), &aside).unwrap();
    let swap = || exchange(&aside, &target);
    let mut number = 0;
    race(swap, || {
        number += 1;
        assert!(workspace.read_all(&WorkspacePath::parse("target/secret").unwrap(), 100).is_err());
        let _ = workspace.write(&WorkspacePath::parse(&format!("target/new{}", number % 10)).unwrap(), None, b"x");
    });
    assert_eq!(fs::read_dir(folder.path().join("outside")).unwrap().count(), 1);
}

#[test]
fn a_renamed_workspace_is_still_the_same_one() {
    let (folder, workspace) = place();
    let root = workspace.root().to_owned();
    fs::rename(&root, folder.path().join("moved")).unwrap();
    symlink(folder.path().join("outside"), &root).unwrap();
    assert!(workspace.read_all(&WorkspacePath::parse("secret").unwrap(), 100).is_err());
    workspace.write(&WorkspacePath::parse("made").unwrap(), None, b"x").unwrap();
    assert!(folder.path().join("moved/made").exists() && !folder.path().join("outside/made").exists());
}

#[test]
fn another_file_system_inside_is_not_entered() {
    // Mounting takes privileges, or a namespace of one's own: this test runs once more in one.
    if std::env::var_os("FUSEBOX_TEST_MOUNTS").is_none() {
        let exe = std::env::current_exe().unwrap();
        let mut command = std::process::Command::new("unshare");
        command.args(["-Urm", exe.to_str().unwrap(), "--exact", "another_file_system_inside_is_not_entered"]);
        let output = command.env("FUSEBOX_TEST_MOUNTS", "1").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    let (folder, workspace) = place();
    let mount = |from: &Path, to: &Path| rustix::mount::mount_bind(from, to).unwrap();
    let root = workspace.root();
    mount(&folder.path().join("outside"), &root.join("sub"));
    mount(&folder.path().join("outside/secret"), &root.join("plain"));
    for path in ["sub", "sub/secret", "plain"] {
        let path = WorkspacePath::parse(path).unwrap();
        assert!(matches!(workspace.read_all(&path, 100), Err(Error::NotRegular { .. })), "{path}");
        assert!(workspace.list(&path).is_err() && workspace.open_folder(&path).is_err(), "{path}");
        assert!(workspace.write(&path, Some(&Digest::of(SECRET)), b"x").is_err(), "{path}");
    }
    assert!(workspace.write(&WorkspacePath::parse("sub/new").unwrap(), None, b"x").is_err());
    assert_eq!(fs::read(folder.path().join("outside/secret")).unwrap(), SECRET);
}

#[test]
fn sizes_numbers_and_depths_are_bounded() {
    let (folder, workspace) = place();
    let root = workspace.root();
    fs::File::create(root.join("sparse")).unwrap().set_len(MAX_FILE_BYTES + 1).unwrap();
    let sparse = WorkspacePath::parse("sparse").unwrap();
    assert!(matches!(workspace.state(&sparse), Err(Error::TooLarge { .. })));
    assert!(matches!(workspace.write(&sparse, None, b"x"), Err(Error::TooLarge { .. })));
    fs::create_dir(root.join("many")).unwrap();
    for number in 0..=MAX_ENTRIES {
        fs::File::create(root.join(format!("many/{number}"))).unwrap();
    }
    assert!(matches!(workspace.list(&WorkspacePath::parse("many").unwrap()), Err(Error::TooLarge { .. })));
    assert!(WorkspacePath::parse(&["d"; 128].join("/")).is_ok());
    assert!(WorkspacePath::parse(&["d"; 129].join("/")).is_err());
    fs::remove_dir_all(root.join("many")).unwrap();
    fs::remove_file(root.join("sparse")).unwrap();
    fs::create_dir_all(root.join(["d"; 130].join("/"))).unwrap();
    let deep = copy_folder(root, &folder.path().join("copy"), HardLinks::Deny);
    assert!(matches!(deep, Err(Error::TooLarge { .. })), "{deep:?}");
}

#[test]
fn a_change_at_the_last_moment_is_a_conflict_and_nothing_is_lost() {
    let (_folder, workspace) = place();
    let file = workspace.root().join("contested");
    let path = WorkspacePath::parse("contested").unwrap();
    fs::write(&file, "0").unwrap();
    let aside = workspace.root().join("aside");
    // Another thread replaces the file all the time, each time with another content.
    let number = std::sync::atomic::AtomicU32::new(0);
    let swap = || {
        fs::write(&aside, number.fetch_add(1, Ordering::Relaxed).to_string()).unwrap();
        let _ = fs::rename(&aside, &file);
    };
    let (mut written, mut conflicts) = (0, 0);
    race(swap, || {
        let before = workspace.state(&path).unwrap().map(|state| state.digest);
        match workspace.write(&path, before.as_ref(), b"ours") {
            Ok(()) => written += 1,
            Err(Error::Conflict { .. } | Error::NotFound { .. }) => conflicts += 1,
            Err(error) => panic!("{error}"),
        }
    });
    assert!(conflicts > 0, "{written} written");
}

#[test]
fn modes_are_kept_but_not_set_user_id() {
    let (_folder, workspace) = place();
    let file = workspace.root().join("tool");
    fs::write(&file, "old").unwrap();
    for (mode, kept) in [(0o750, 0o750), (0o4755, 0o755), (0o2711, 0o711), (0o600, 0o600)] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let now = fs::read(&file).unwrap();
        workspace
            .write(&WorkspacePath::parse("tool").unwrap(), Some(&Digest::of(&now)), format!("{mode}").as_bytes())
            .unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o7777, kept);
    }
    if rustix::process::getuid().is_root() {
        std::os::unix::fs::chown(&file, Some(65534), Some(65534)).unwrap();
        let now = fs::read(&file).unwrap();
        workspace.write(&WorkspacePath::parse("tool").unwrap(), Some(&Digest::of(&now)), b"x").unwrap();
        assert_eq!((file.metadata().unwrap().uid(), file.metadata().unwrap().gid()), (65534, 65534));
    }
}

#[test]
fn a_file_swapped_for_a_link_while_it_is_copied_brings_nothing_in() {
    let (folder, workspace) = place();
    let root = workspace.root();
    let stop = AtomicBool::new(false);
    let leaked = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let _ = rustix::fs::renameat_with(
                    rustix::fs::CWD,
                    root.join("plain"),
                    rustix::fs::CWD,
                    root.join("to-file"),
                    rustix::fs::RenameFlags::EXCHANGE,
                );
            }
        });
        let leaked = (0..300).any(|round| {
            let copy = folder.path().join(format!("copy-{round}"));
            let copied = copy_folder(root, &copy, HardLinks::Deny);
            let leaked = ["plain", "to-file"].iter().any(|name| fs::read(copy.join(name)).is_ok_and(|it| it == SECRET));
            copied.is_err() || leaked
        });
        stop.store(true, Ordering::Relaxed);
        leaked
    });
    assert!(!leaked, "a copy failed, or has a file from elsewhere");
}
