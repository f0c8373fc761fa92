//! Taking away protected paths that a command made.

use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use fusebox_core::protected::PathProtection;
use fusebox_core::show::safe_line;
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RenameFlags, mkdirat, openat, readlinkat, renameat, renameat_with, statat,
    symlinkat,
};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};

use super::access;
use super::links::{self, End, Followed};
use super::place::{Hidden, Identity, KnownLink, Sight, Taken, Visitor};
use super::settings::Absent;

/// Most paths that a message names.
const MAX_NAMED: usize = 20;
/// Most characters of one path in a message.
const MAX_CHARS: usize = 200;
/// Most bytes of a name.
const MAX_NAME: usize = 255;
/// Most links that are taken away for one path.
const MAX_TAKEN: usize = 40;
const SUFFIX: &str = "taken-away";
/// Beginning of the name of the folder of secrets, which the guard knows for one.
const SECRETS: &str = "taken-away-secrets";

/// What was there when the command started.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    pub entries: &'a HashSet<Identity>,
    pub hidden: &'a Hidden,
    pub unreadable: &'a HashSet<Identity>,
}

/// Renames all protected paths that were not known before. Secrets go to one folder of the workspace, by whose name they
/// stay hidden; everything else stays where it is, under a name that protects nothing.
pub struct Quarantine<'a> {
    workspace: &'a OwnedFd,
    root: &'a Path,
    known: Known<'a>,
    /// File numbers of what is hidden.
    hidden_numbers: HashSet<u64>,
    /// The folder of secrets, once there is one.
    secrets: Option<(OwnedFd, String)>,
    /// What is still there, which a message names first.
    left: Vec<String>,
    taken: Vec<String>,
    more: usize,
    moved_up: Vec<CString>,
}

impl<'a> Quarantine<'a> {
    pub fn new(workspace: &'a OwnedFd, root: &'a Path, known: Known<'a>) -> Self {
        let hidden_numbers = known.hidden.entries.iter().map(Identity::number).collect();
        let (left, taken, moved_up) = (Vec::new(), Vec::new(), Vec::new());
        Self { workspace, root, known, hidden_numbers, secrets: None, left, taken, more: 0, moved_up }
    }

    /// Moves a secret into the folder of secrets. Gives its new path.
    fn hide(&mut self, folder: &OwnedFd, name: &CStr) -> Result<String, Errno> {
        if self.secrets.is_none() {
            let own = format!("{SECRETS}-{:08x}", fastrand::u32(..));
            mkdirat(self.workspace, &*own, Mode::RWXU)?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            self.secrets = Some((openat(self.workspace, &*own, flags, Mode::empty())?, own));
        }
        let Some((secrets, own)) = &self.secrets else { return Err(Errno::NOENT) };
        let mark = format!("{:08x}", fastrand::u32(..));
        let longer = format!("{}.{mark}", name.to_string_lossy());
        let aside = if longer.len() > MAX_NAME { mark } else { longer };
        rename_to(folder, name, secrets, &aside)?;
        Ok(format!("{own}/{aside}"))
    }

    /// The workspace as a whole was not looked through.
    pub fn not_seen(&mut self, why: &str) {
        self.left.push(format!("the workspace (which cannot be looked through: {why})"));
    }

    /// A message that ends a sentence, if anything was taken away.
    pub fn describe(mut self) -> Option<String> {
        let mut named = self.left;
        named.append(&mut self.taken);
        self.more += named.len().saturating_sub(MAX_NAMED);
        named.truncate(MAX_NAMED);
        let more = if self.more == 0 { String::new() } else { format!(", and {} more", self.more) };
        (!named.is_empty()).then(|| format!("it made or removed {}{more}, which is protected", named.join(", ")))
    }

    fn name(&mut self, is_left: bool, path: &Path, now: &str) {
        let list = if is_left { &mut self.left } else { &mut self.taken };
        if list.len() < MAX_NAMED {
            list.push(format!("{} ({now})", safe_line(&path.to_string_lossy(), MAX_CHARS)));
        } else {
            self.more += 1;
        }
    }

    /// Takes away what settings name, if it is there by now: the first link on the way that was not there when the command
    /// started, or else the thing itself.
    pub fn take_made(&mut self, absent: &Absent, kept: &[KnownLink]) {
        // Behind a link that is gone there may be another.
        for _ in 0..MAX_TAKEN {
            let Followed { links, end, .. } = links::follow(self.workspace, self.root, &absent.path);
            let made = links.into_iter().find(|link| kept.iter().all(|kept| kept.path != *link));
            let is_there = match &end {
                End::Here(path) => absent.may_be_folder || access::is_file(self.workspace, path),
                End::Absent(_) => false,
                // What lies elsewhere may be a command's as well.
                End::Elsewhere => made.is_some(),
            };
            let path = match (made, end) {
                _ if !is_there => return,
                (Some(link), _) => link,
                (None, End::Here(path)) => path,
                (None, End::Absent(_) | End::Elsewhere) => return,
            };
            let (Some(folder), Some(name)) = (access::folder_of(self.workspace, &path), path.file_name()) else {
                return;
            };
            let Ok(name) = CString::new(name.as_bytes()) else { return };
            if self.take(&folder, &name, &path, |_| false) == Taken::Failed {
                return;
            }
        }
    }

    /// Puts a link back that the command removed or replaced.
    pub fn put_back(&mut self, workspace: &OwnedFd, link: &KnownLink) {
        let Some(folder) = access::folder_of(workspace, &link.path) else {
            return self.name(true, &link.path, "a link that is gone with its folder");
        };
        let Some(name) = link.path.file_name().and_then(|name| CString::new(name.as_bytes()).ok()) else { return };
        if readlinkat(&folder, &*name, Vec::new()).is_ok_and(|target| target == link.target) {
            return;
        }
        if statat(&folder, &*name, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            self.take(&folder, &name, &link.path, |_| false);
        }
        match symlinkat(&*link.target, &folder, &*name) {
            Ok(()) => self.name(false, &link.path, "removed, now there again"),
            Err(error) => self.name(true, &link.path, &format!("removed, not to be made again: {error}")),
        }
    }

    fn take(&mut self, folder: &OwnedFd, name: &CStr, path: &Path, is_protected: impl Fn(&str) -> bool) -> Taken {
        match rename(folder, name, is_protected) {
            Ok(aside) => {
                self.name(false, path, &format!("now {}", safe_line(&aside, MAX_CHARS)));
                Taken::Away(aside)
            }
            Err(error) => {
                self.name(true, path, &format!("still there: {error}"));
                Taken::Failed
            }
        }
    }
}

/// Gives it another name, in the same folder: a longer one or, where that is protected as well or too long, a new one.
fn rename(folder: &OwnedFd, name: &CStr, is_protected: impl Fn(&str) -> bool) -> Result<String, Errno> {
    let mark = format!("{SUFFIX}-{:08x}", fastrand::u32(..));
    let longer = format!("{}.{mark}", name.to_string_lossy());
    let aside = if longer.len() > MAX_NAME || is_protected(&longer) { mark } else { longer };
    rename_to(folder, name, folder, &aside)?;
    Ok(aside)
}

fn rename_to(from: &OwnedFd, name: &CStr, to: &OwnedFd, aside: &str) -> Result<(), Errno> {
    let _opened_up = access::open_up_handle(from);
    // Never onto what is there; file systems that cannot promise this get a name that is as good as new.
    renameat_with(from, name, to, aside, RenameFlags::NOREPLACE).or_else(|_| renameat(from, name, to, aside))
}

impl Visitor for Quarantine<'_> {
    fn protected(&mut self, sight: &Sight<'_>, protection: PathProtection) -> Taken {
        if !self.is_new(sight) {
            return Taken::No;
        }
        // Links lead to what is hidden by itself.
        let is_secret = protection == PathProtection::Hidden && sight.kind() != FileType::Symlink;
        if is_secret && let Ok(aside) = self.hide(sight.folder, sight.name) {
            self.name(false, sight.path, &format!("now {}", safe_line(&aside, MAX_CHARS)));
            return Taken::Away(aside);
        }
        let is_protected = |name: &str| sight.is_protected_as(name);
        if sight.is_within_taken()
            && let Ok(aside) = rename(sight.folder, sight.name, is_protected)
        {
            return Taken::Away(aside);
        }
        self.take(sight.folder, sight.name, sight.path, is_protected)
    }

    fn target(&mut self, _: &Path) {}

    fn passed(&mut self, _: &OwnedFd, _: &Path) {}

    fn dangling(&mut self, _: &OwnedFd, _: &Path, _: Followed) {}

    fn holder(&mut self, _: &Sight<'_>) {}

    fn repository_layout(&mut self, folder: &OwnedFd, sight: &Sight<'_>, within_taken: bool) {
        // Without its `HEAD`, it is a folder like any other.
        if within_taken && rename(folder, c"HEAD", |_| false).is_ok() {
            return;
        }
        if self.is_new(sight) {
            self.take(folder, c"HEAD", &sight.path.join("HEAD"), |_| false);
        }
    }

    fn too_deep(&mut self, sight: &Sight<'_>, workspace: &OwnedFd) {
        if !self.is_new(sight) {
            return;
        }
        let aside = format!("{SUFFIX}-{:08x}", fastrand::u32(..));
        match rename_to(sight.folder, sight.name, workspace, &aside) {
            Ok(()) => {
                self.name(false, sight.path, &format!("too deep to be looked into, now {aside}"));
                self.moved_up.extend(CString::new(aside).ok());
            }
            Err(error) => self.name(true, sight.path, &format!("too deep to be looked into, still there: {error}")),
        }
    }

    fn plain_link(&mut self, _: &Sight<'_>) {}

    fn linked(&mut self, _: &Sight<'_>, _: Option<PathProtection>) {}

    fn unreadable(&mut self, sight: &Sight<'_>) {
        if self.is_new(sight) {
            self.name(true, sight.path, "it cannot be looked into");
        }
    }

    fn was_unreadable(&self, sight: &Sight<'_>) -> bool {
        self.known.unreadable.contains(&sight.identity())
    }

    fn is_new(&self, sight: &Sight<'_>) -> bool {
        !self.known.entries.contains(&sight.identity())
    }

    fn moved_up(&mut self) -> Option<CString> {
        self.moved_up.pop()
    }

    fn may_be_hidden(&self, number: u64) -> bool {
        self.hidden_numbers.contains(&number)
    }

    fn strayed(&mut self, sight: &Sight<'_>) -> bool {
        let Hidden { entries, paths } = self.known.hidden;
        if !entries.contains(&sight.identity()) || paths.contains(sight.path) {
            return false;
        }
        // Its cover came with its folder, and nothing that is covered can be renamed.
        let _ = unmount(self.root.join(sight.path), UnmountFlags::DETACH);
        match self.hide(sight.folder, sight.name) {
            Ok(aside) => {
                let now =
                    format!("a secret, moved to where its name protects nothing; now {}", safe_line(&aside, MAX_CHARS));
                self.name(false, sight.path, &now);
            }
            Err(error) => self.name(true, sight.path, &format!("a secret where its name protects nothing: {error}")),
        }
        true
    }
}
