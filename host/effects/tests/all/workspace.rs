//! No path leaves the workspace, and writing is all or nothing.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use fusebox_core::policy::HardLinks;
use fusebox_core::{Digest, WorkspacePath};
use fusebox_effects::{EntryKind, Error, Workspace, copy_folder};

fn path(text: &str) -> WorkspacePath {
    text.parse().unwrap()
}

fn workspace() -> (tempfile::TempDir, Workspace) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("workspace");
    fs::create_dir(&root).unwrap();
    fs::write(folder.path().join("secret"), "outside").unwrap();
    let workspace = Workspace::open(&root).unwrap();
    (folder, workspace)
}

#[test]
fn links_are_never_followed() {
    let (folder, workspace) = workspace();
    let root = workspace.root();
    fs::create_dir(folder.path().join("outer")).unwrap();
    fs::write(folder.path().join("outer/file"), "outside").unwrap();
    symlink(folder.path().join("secret"), root.join("file-link")).unwrap();
    symlink(folder.path().join("outer"), root.join("folder-link")).unwrap();
    symlink("file-link", root.join("chain")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    symlink("/nowhere", root.join("dangling")).unwrap();
    for name in ["file-link", "folder-link/file", "chain", "loop", "dangling", "folder-link"] {
        let path = path(name);
        assert!(matches!(workspace.read(&path, 0, 10), Err(Error::NotRegular { .. })), "read {name}");
        assert!(workspace.write(&path, None, b"x").is_err(), "write {name}");
        assert!(workspace.remove(&path, None).is_err(), "remove {name}");
        assert!(workspace.list(&path).is_err(), "list {name}");
        assert!(workspace.open_folder(&path).is_err(), "open {name}");
    }
    assert!(workspace.write(&path("folder-link/new"), None, b"x").is_err());
    assert_eq!(workspace.stat(&path("file-link")).unwrap().unwrap().kind, EntryKind::Other);
    assert_eq!(fs::read_to_string(folder.path().join("secret")).unwrap(), "outside");
    assert_eq!(fs::read_dir(folder.path().join("outer")).unwrap().count(), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn a_fifo_does_not_block() {
    let (_folder, workspace) = workspace();
    let fifo = workspace.root().join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    assert!(matches!(workspace.read(&path("fifo"), 0, 1), Err(Error::NotRegular { .. })));
}

#[test]
fn writing_is_atomic_keeps_the_mode_and_leaves_nothing_behind() {
    let (_folder, workspace) = workspace();
    let file = workspace.root().join("run.sh");
    fs::write(&file, "old").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o750)).unwrap();
    workspace.write(&path("run.sh"), Some(&Digest::of(b"old")), b"new").unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "new");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o750);
    workspace.write(&path("a/b/c.txt"), None, b"deep").unwrap();
    let names: Vec<_> = workspace.list(&path("")).unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["a", "run.sh"]);
}

#[test]
fn a_change_since_the_preview_is_a_conflict() {
    let (_folder, workspace) = workspace();
    let file = path("a.txt");
    fs::write(workspace.root().join("a.txt"), "changed").unwrap();
    for before in [None, Some(Digest::of(b"as it was"))] {
        assert!(matches!(workspace.write(&file, before.as_ref(), b"x"), Err(Error::Conflict { .. })));
        assert!(matches!(workspace.remove(&file, before.as_ref()), Err(Error::Conflict { .. })));
    }
    assert!(matches!(workspace.write(&path("gone"), Some(&Digest::of(b"")), b"x"), Err(Error::Conflict { .. })));
    assert_eq!(fs::read_to_string(workspace.root().join("a.txt")).unwrap(), "changed");
    assert_eq!(fs::read_dir(workspace.root()).unwrap().count(), 1, "no temporary file is left");
    workspace.remove(&file, Some(&Digest::of(b"changed"))).unwrap();
}

#[test]
fn slices_and_sizes_are_bounded() {
    let (_folder, workspace) = workspace();
    fs::write(workspace.root().join("a"), "0123456789").unwrap();
    assert_eq!(workspace.read(&path("a"), 3, 4).unwrap(), b"3456");
    assert_eq!(workspace.read(&path("a"), 8, 4).unwrap(), b"89");
    assert_eq!(workspace.read(&path("a"), 99, 4).unwrap(), b"");
    assert!(matches!(workspace.read(&path("a"), 0, u32::MAX), Err(Error::TooLarge { .. })));
    assert!(matches!(workspace.read_all(&path("a"), 9), Err(Error::TooLarge { .. })));
    assert!(matches!(workspace.read(&path(""), 0, 1), Err(Error::NotRegular { .. })));
    assert!(matches!(workspace.read(&path("none"), 0, 1), Err(Error::NotFound { .. })));
    assert_eq!(workspace.stat(&path("none/deeper")).unwrap(), None);
}

#[test]
fn a_workspace_must_be_a_folder() {
    let (folder, _workspace) = workspace();
    assert!(matches!(Workspace::open(&folder.path().join("no")), Err(Error::WorkspaceMissing { .. })));
    assert!(matches!(Workspace::open(&folder.path().join("secret")), Err(Error::WorkspaceNotAFolder { .. })));
}

#[test]
fn a_copy_has_no_links() {
    let (folder, workspace) = workspace();
    fs::create_dir(workspace.root().join("sub")).unwrap();
    fs::write(workspace.root().join("sub/a"), "x").unwrap();
    symlink("/etc", workspace.root().join("etc")).unwrap();
    let copy = folder.path().join("copy");
    assert_eq!(copy_folder(workspace.root(), &copy, HardLinks::Deny).unwrap(), 1);
    assert_eq!(fs::read_to_string(copy.join("sub/a")).unwrap(), "x");
    assert!(!copy.join("etc").exists());
    assert!(copy_folder(&folder.path().join("no"), &folder.path().join("c2"), HardLinks::Deny).is_err());
    let inside = copy_folder(workspace.root(), &workspace.root().join("sub/copy"), HardLinks::Deny);
    assert!(matches!(inside, Err(Error::CopyInItself { .. })));
    let sparse = fs::File::create(workspace.root().join("sparse")).unwrap();
    sparse.set_len(1 << 43).unwrap();
    assert!(matches!(
        copy_folder(workspace.root(), &folder.path().join("c3"), HardLinks::Deny),
        Err(Error::TooLarge { .. })
    ));
}
