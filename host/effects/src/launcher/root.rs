//! Files visible in a sandbox: a new root in memory, with the system's folders read-only, the workspace, and granted
//! paths, each at its place on the host.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};

use fusebox_core::policy::PathAccess;
use fusebox_core::protected::PathProtection;
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, StatVfsMountFlags, openat2};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount, mount_change, mount_remount,
    move_mount, open_tree, unmount,
};

use super::order::Order;
use super::protected::ProtectedPath;

/// Folders of the system that everybody may read.
pub const SYSTEM: [&str; 9] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix"];
/// Entries of `/etc` that programs look up. No others are visible: as root, all of `/etc` could be read.
pub const SETTINGS: [&str; 41] = [
    "alternatives",
    "bash.bashrc",
    "ca-certificates",
    "ca-certificates.conf",
    "crypto-policies",
    "debian_version",
    "fonts",
    "gai.conf",
    "gitconfig",
    "group",
    "host.conf",
    "hosts",
    "inputrc",
    "java",
    "java-17-openjdk",
    "java-21-openjdk",
    "java-25-openjdk",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "ld-musl-x86_64.path",
    "locale.alias",
    "locale.conf",
    "localtime",
    "magic",
    "mime.types",
    "nsswitch.conf",
    "os-release",
    "passwd",
    "perl",
    "pki",
    "profile",
    "protocols",
    "python3",
    "resolv.conf",
    "services",
    "shells",
    "ssl/certs",
    "ssl/openssl.cnf",
    "terminfo",
    "timezone",
];
/// Devices that hold no data.
pub const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];
/// Folder of the new root with covering files, while the root is built.
const COVERS: &str = ".covers";
/// Place where the new root is assembled: a folder that every system has. It is only covered in this namespace.
const SITE: &str = "/tmp";
/// Space for the skeleton of the root, in bytes: folders and links only.
const SKELETON: u64 = 4 * 1024 * 1024;
/// Files and folders of one temporary folder for each MiB of it.
const INODES_PER_MIB: u64 = 1024;

fn failed(what: impl std::fmt::Display) -> impl FnOnce(io::Error) -> String {
    move |error| format!("{what}: {error}")
}

/// A part of the host's tree, to be put into the new one.
struct Part {
    tree: OwnedFd,
    is_folder: bool,
    writable: bool,
    /// Path on the host, without links.
    origin: PathBuf,
}

/// Creates the new root and enters it. `configure` gets its `/proc` while that is writable.
pub fn enter(order: &Order, configure: impl FnOnce(&Path)) -> Result<(), SandboxSetupError> {
    // Some systems let all users make namespaces, but not use them.
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(|error| SandboxSetupError::Unavailable(failed("keeping mounts apart")(error.into())))?;
    build(order, configure).map_err(SandboxSetupError::Failed)
}

/// Reason why there is no new root.
pub enum SandboxSetupError {
    /// The kernel does not let this user build one.
    Unavailable(String),
    /// This one could not be built.
    Failed(String),
}

fn build(order: &Order, configure: impl FnOnce(&Path)) -> Result<(), String> {
    let parts = collect(order)?;
    let devices: Vec<_> =
        DEVICES.iter().filter_map(|name| Some((*name, clone_of(Path::new("/dev").join(name)).ok()?))).collect();
    let links = links_of_system();

    memory(Path::new(SITE), SKELETON, "0755")?;
    let inside = |path: &Path| Path::new(SITE).join(path.strip_prefix("/").unwrap_or(path));
    for folder in ["proc", "dev", "tmp", "run", "var/tmp", "etc", COVERS] {
        fs::create_dir_all(Path::new(SITE).join(folder)).map_err(failed(folder))?;
    }
    mount("proc", &*inside(Path::new("/proc")), "proc", private(), None)
        .map_err(|error| failed("mounting /proc")(error.into()))?;
    configure(&inside(Path::new("/proc")));
    for folder in ["/tmp", "/var/tmp"] {
        memory(&inside(Path::new(folder)), order.bounds.temporary, "1777")?;
    }
    memory(&inside(Path::new("/run")), order.bounds.temporary / 16, "0755")?;
    for (link, target) in links {
        symlink(target, inside(&link)).map_err(failed(link.display()))?;
    }
    make_devices(devices, order.bounds.temporary)?;
    if let Some(home) = order.home.as_deref().filter(|home| is_private(home, order)) {
        fs::create_dir_all(inside(home)).map_err(failed("the home folder"))?;
        memory(&inside(home), order.bounds.temporary, "0700")?;
    }
    // From the top down: a part inside of another one is mounted on it.
    for (path, part) in &parts {
        place_part(&parts, path, part).map_err(failed(path.display()))?;
    }
    restrict_mounts(&parts)?;
    protect(order, &parts)?;
    pivot()
}

/// Flags of mounts that hold nothing of the system.
fn private() -> MountFlags {
    MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC
}

/// Folders below which everything is the sandbox's own.
fn is_private(home: &Path, order: &Order) -> bool {
    let below_system = SYSTEM.iter().chain(&["/proc", "/dev", "/etc"]).any(|folder| home.starts_with(folder));
    let is_plain = home.is_absolute() && home.components().all(|part| part != Component::ParentDir);
    is_plain && home != Path::new("/") && !below_system && !home.starts_with(&order.workspace)
}

fn clone_of(path: impl AsRef<Path>) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    Ok(open_tree(CWD, path.as_ref(), flags)?)
}

/// Puts a tree onto an open place.
fn attach(tree: &OwnedFd, target: &OwnedFd) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(move_mount(tree, "", target, "", flags)?)
}

/// Opens a place below another, through no link: others may write there while the root is built, and a name that was
/// looked at may mean something else by now.
fn open_below(folder: &OwnedFd, path: &Path) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    Ok(openat2(folder, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)?)
}

fn open_site() -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(SITE, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Mounts a part at its place. A place in another part must exist already: nothing is created on the host.
fn place_part(parts: &BTreeMap<PathBuf, Part>, path: &Path, part: &Part) -> io::Result<()> {
    let below = path.strip_prefix("/").unwrap_or(path);
    let is_inside = parts.keys().any(|other| other != path && path.starts_with(other));
    if !is_inside {
        make_place(&Path::new(SITE).join(below), part.is_folder)?;
    }
    attach(&part.tree, &open_below(&open_site()?, below)?)
}

/// Parts of the host's tree that are visible, by path.
fn collect(order: &Order) -> Result<BTreeMap<PathBuf, Part>, String> {
    let mut parts = BTreeMap::new();
    let mut add = |path: PathBuf, writable: bool| -> io::Result<()> {
        let is_folder = fs::metadata(&path)?.is_dir();
        let origin = path.canonicalize()?;
        parts.insert(path.clone(), Part { tree: clone_of(&path)?, is_folder, writable, origin });
        Ok(())
    };
    let settings = SETTINGS.iter().map(|name| Path::new("/etc").join(name));
    for path in SYSTEM.iter().map(PathBuf::from).chain(settings) {
        // Folders that a system lacks are left out; links of `/` are made anew.
        let is_root_link = path.parent() == Some(Path::new("/")) && path.is_symlink();
        if path.exists() && !is_root_link {
            add(path.clone(), false).map_err(failed(path.display()))?;
        }
    }
    for (path, access) in &order.paths {
        if path.exists() {
            add(path.clone(), *access == PathAccess::Write).map_err(failed(path.display()))?;
        }
    }
    // The folder that the launcher was started in, not what its name leads to by now.
    let tree = clone_of(".").map_err(failed("the workspace"))?;
    let origin = order.workspace.clone();
    parts.insert(order.workspace.clone(), Part { tree, is_folder: true, writable: true, origin });
    Ok(parts)
}

/// Links of `/` to folders of the system, such as `/bin`.
fn links_of_system() -> Vec<(PathBuf, PathBuf)> {
    SYSTEM.iter().filter_map(|path| Some((PathBuf::from(path), fs::read_link(path).ok()?))).collect()
}

fn memory(target: &Path, bytes: u64, mode: &str) -> Result<(), String> {
    let inodes = (bytes / (1024 * 1024)).max(1) * INODES_PER_MIB;
    let options = format!("size={bytes},nr_inodes={inodes},mode={mode}");
    let options = std::ffi::CString::new(options).map_err(|_| "the options of a mount hold NUL".to_owned())?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("tmpfs", target, "tmpfs", flags, options.as_c_str())
        .map_err(|error| failed(format!("a folder in memory at {}", target.display()))(error.into()))
}

fn make_place(target: &Path, is_folder: bool) -> io::Result<()> {
    if target.exists() {
        return Ok(());
    }
    if is_folder {
        return fs::create_dir_all(target);
    }
    fs::create_dir_all(target.parent().unwrap_or(target))?;
    fs::File::create(target).map(|_| ())
}

fn make_devices(devices: Vec<(&str, OwnedFd)>, temporary: u64) -> Result<(), String> {
    let dev = Path::new(SITE).join("dev");
    for (name, tree) in devices {
        fs::File::create(dev.join(name)).map_err(failed(name))?;
        let place = open_site().and_then(|site| open_below(&site, &Path::new("dev").join(name)));
        place.and_then(|place| attach(&tree, &place)).map_err(failed(name))?;
    }
    for (link, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        symlink(target, dev.join(link)).map_err(failed(link))?;
    }
    fs::create_dir(dev.join("shm")).map_err(failed("/dev/shm"))?;
    memory(&dev.join("shm"), temporary, "1777")
}

/// Makes every mount of the parts as tight as its part says, those inside of them included: mounts in the workspace may
/// not be changed unless a grant names them.
fn restrict_mounts(parts: &BTreeMap<PathBuf, Part>) -> Result<(), String> {
    let table = fs::read_to_string("/proc/self/mountinfo").map_err(failed("the table of mounts"))?;
    for target in table.lines().filter_map(mount_point) {
        let Ok(inside) = target.strip_prefix(SITE) else { continue };
        let path = Path::new("/").join(inside);
        let part = parts.iter().rev().find(|(part, _)| path.starts_with(part));
        let Some((start, part)) = part else { continue };
        let is_writable = part.writable && *start == path;
        tighten(&target, is_writable).map_err(failed(path.display()))?;
    }
    Ok(())
}

/// The fifth field of a line of mountinfo (proc(5)), its octal escapes resolved.
fn mount_point(line: &str) -> Option<PathBuf> {
    let field = line.split(' ').nth(4)?;
    let mut path = String::new();
    let mut rest = field;
    while let Some((before, after)) = rest.split_once('\\') {
        path.push_str(before);
        let code = u8::from_str_radix(after.get(..3)?, 8).ok()?;
        path.push(char::from(code));
        rest = after.get(3..)?;
    }
    path.push_str(rest);
    Some(PathBuf::from(path))
}

/// Remounts without set-user-id and, for files, without devices; the flags that the host has set stay, as they must.
fn tighten(target: &Path, is_writable: bool) -> io::Result<()> {
    let now = rustix::fs::statvfs(target)?.f_flag;
    let mut flags = MountFlags::BIND | MountFlags::NOSUID;
    let is_device = fs::metadata(target).is_ok_and(|metadata| metadata.file_type().is_char_device());
    if !is_device {
        flags |= MountFlags::NODEV;
    }
    for (has, keep) in [
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
        (StatVfsMountFlags::NOATIME, MountFlags::NOATIME),
        (StatVfsMountFlags::NODIRATIME, MountFlags::NODIRATIME),
        (StatVfsMountFlags::RELATIME, MountFlags::RELATIME),
        (StatVfsMountFlags::RDONLY, MountFlags::RDONLY),
    ] {
        if now.contains(has) {
            flags |= keep;
        }
    }
    if !is_writable {
        flags |= MountFlags::RDONLY;
    }
    Ok(mount_remount(target, flags, "")?)
}

/// Hides paths, and keeps others from being changed. All paths are reached by handles: changes of the workspace by
/// others meanwhile must not make us protect or show another file.
fn protect(order: &Order, parts: &BTreeMap<PathBuf, Part>) -> Result<(), String> {
    let covers = Path::new(SITE).join(COVERS);
    let (folder, file) = (covers.join("folder"), covers.join("file"));
    fs::create_dir(&folder).map_err(failed("covers"))?;
    fs::OpenOptions::new().write(true).create_new(true).mode(0o000).open(&file).map_err(failed("covers"))?;
    let hide = |place: &OwnedFd| -> io::Result<()> {
        let cover = clone_of(if is_folder(place)? { &folder } else { &file })?;
        attach(&cover, place)?;
        tighten_tree(&cover, false)
    };
    // Names and numbers of the host's keys, which no namespace separates.
    for name in ["proc/keys", "proc/key-users"] {
        let place = open_site().and_then(|site| absent_or(open_below(&site, Path::new(name))));
        if let Some(place) = place.map_err(failed(name))? {
            hide(&place).map_err(failed(name))?;
        }
    }
    let workspace = parts.get(&order.workspace).ok_or("there is no workspace")?;
    // From the top down. Hidden paths come last: they stay hidden below readable ones.
    let mut protected: Vec<&ProtectedPath> = order.protected.iter().collect();
    protected.sort_by(|one, other| (one.protection, &one.path).cmp(&(other.protection, &other.path)));
    for ProtectedPath { path, protection } in protected {
        let path = Path::new(path);
        let cover = |place: &OwnedFd| match protection {
            // A mount of its own, which can be neither renamed nor removed.
            PathProtection::Repository => remount(place, true),
            PathProtection::ReadOnly => remount(place, false),
            PathProtection::Hidden => hide(place),
        };
        // A link cannot be covered; it leads nowhere that the sandbox does not show.
        if let Some(place) = absent_or(open_below(&workspace.tree, path)).map_err(failed(path.display()))? {
            cover(&place).map_err(failed(path.display()))?;
        }
    }
    for absent in &order.absent {
        for (path, part) in parts {
            let below = absent.strip_prefix(&part.origin).or_else(|_| absent.strip_prefix(path));
            let place = below.ok().map(|below| absent_or(open_below(&part.tree, below)));
            if let Some(Some(place)) = place.transpose().map_err(failed(absent.display()))? {
                hide(&place).map_err(failed(absent.display()))?;
            }
        }
    }
    // The mounts hold the covering files.
    fs::remove_dir_all(&covers).map_err(failed("covers"))
}

/// `None` when the path is missing, or only reached through a link, which is not part of its target.
fn absent_or(opened: io::Result<OwnedFd>) -> io::Result<Option<OwnedFd>> {
    match opened.map_err(|error| (error.raw_os_error(), error)) {
        Ok(opened) => Ok(Some(opened)),
        Err((Some(code), _)) if ABSENT.iter().any(|errno| errno.raw_os_error() == code) => Ok(None),
        Err((_, error)) => Err(error),
    }
}

/// Errors of the system for a missing or unreachable name.
const ABSENT: [Errno; 3] = [Errno::NOENT, Errno::NOTDIR, Errno::LOOP];

/// Mounts a place onto itself.
fn remount(place: &OwnedFd, is_writable: bool) -> io::Result<()> {
    let tree = clone_of_place(place)?;
    attach(&tree, place)?;
    tighten_tree(&tree, is_writable)
}

fn clone_of_place(place: &OwnedFd) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE
        | OpenTreeFlags::AT_EMPTY_PATH;
    Ok(open_tree(place, "", flags)?)
}

fn is_folder(place: &OwnedFd) -> io::Result<bool> {
    Ok(FileType::from_raw_mode(rustix::fs::fstat(place)?.st_mode) == FileType::Directory)
}

/// Tightens a tree that has its place by now, by its handle.
fn tighten_tree(tree: &OwnedFd, is_writable: bool) -> io::Result<()> {
    tighten(&PathBuf::from(format!("/proc/self/fd/{}", tree.as_raw_fd())), is_writable)
}

/// Makes the new root the root, and leaves the host's.
fn pivot() -> Result<(), String> {
    let step = |what: &'static str| move |error: rustix::io::Errno| failed(what)(error.into());
    let flags = private() | MountFlags::BIND | MountFlags::RDONLY;
    mount_remount(Path::new(SITE).join("proc"), flags, "").map_err(step("closing /proc"))?;
    std::env::set_current_dir(SITE).map_err(failed("entering the new root"))?;
    rustix::process::pivot_root(".", ".").map_err(step("changing the root"))?;
    unmount(".", UnmountFlags::DETACH).map_err(step("leaving the host's root"))?;
    std::env::set_current_dir("/").map_err(failed("entering the new root"))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::RDONLY;
    mount_remount("/", flags | MountFlags::BIND, "").map_err(step("closing the root"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_with_their_escapes() {
        let line = r"36 35 98:0 /mnt1 /mnt\0402/x\134y rw,noatime master:1 - ext3 /dev/root rw";
        assert_eq!(mount_point(line), Some(PathBuf::from(r"/mnt 2/x\y")));
        assert_eq!(mount_point("36 35"), None);
        assert_eq!(mount_point(r"1 2 3:4 / /a\9"), None);
    }
}
