//! Taking away protected paths that a command made.

use std::collections::HashSet;
use std::ffi::CStr;
use std::os::fd::OwnedFd;
use std::path::Path;

use fusebox_core::protected::PathProtection;
use fusebox_core::show::safe_line;
use rustix::fs::{RenameFlags, renameat, renameat_with};
use rustix::io::Errno;

use super::scan::{Identity, Sight, Taken, Visitor};

/// Most paths that a message names.
const MAX_NAMED: usize = 20;
/// Most characters of one path in a message.
const MAX_CHARS: usize = 200;

/// Renames all protected paths that were not known before.
pub struct Quarantine<'a> {
    known: &'a HashSet<Identity>,
    named: Vec<String>,
    more: usize,
}

impl<'a> Quarantine<'a> {
    pub fn new(known: &'a HashSet<Identity>) -> Self {
        Self { known, named: Vec::new(), more: 0 }
    }

    /// The workspace as a whole was not looked through.
    pub fn not_seen(&mut self, why: &str) {
        self.name(Path::new("the workspace"), &format!("which cannot be looked through: {why}"));
    }

    /// A message that ends a sentence, if anything was taken away.
    pub fn describe(self) -> Option<String> {
        let more = if self.more == 0 { String::new() } else { format!(", and {} more", self.more) };
        let named = self.named.join(", ");
        (!named.is_empty()).then(|| format!("it made {named}{more}, which is protected"))
    }

    fn name(&mut self, path: &Path, now: &str) {
        if self.named.len() < MAX_NAMED {
            self.named.push(format!("{} ({now})", safe_line(&path.to_string_lossy(), MAX_CHARS)));
        } else {
            self.more += 1;
        }
    }

    fn take(&mut self, folder: &OwnedFd, name: &CStr, path: &Path) {
        match Self::rename(folder, name) {
            Ok(aside) => self.name(path, &format!("now {}", safe_line(&aside, MAX_CHARS))),
            Err(error) => self.name(path, &format!("still there: {error}")),
        }
    }

    /// Gives it another name, in the same folder.
    fn rename(folder: &OwnedFd, name: &CStr) -> Result<String, Errno> {
        let aside = format!("{}.taken-away-{:08x}", name.to_string_lossy(), fastrand::u32(..));
        // Never onto what is there; file systems that cannot promise this get a name that is as good as new.
        renameat_with(folder, name, folder, &*aside, RenameFlags::NOREPLACE)
            .or_else(|_| renameat(folder, name, folder, &*aside))?;
        Ok(aside)
    }

    fn is_new(&self, sight: &Sight<'_>) -> bool {
        !self.known.contains(&sight.identity())
    }
}

impl Visitor for Quarantine<'_> {
    fn protected(&mut self, sight: Sight<'_>, _: PathProtection) -> Taken {
        if !self.is_new(&sight) {
            return Taken::No;
        }
        self.take(sight.folder, sight.name, sight.path);
        Taken::Yes
    }

    fn repository_layout(&mut self, folder: &OwnedFd, sight: Sight<'_>, within: Taken) {
        // Without its `HEAD`, it is a folder like any other.
        match within {
            // The folder above is named in the message.
            Taken::Yes => drop(Self::rename(folder, c"HEAD")),
            Taken::No if self.is_new(&sight) => self.take(folder, c"HEAD", &sight.path.join("HEAD")),
            Taken::No => {}
        }
    }

    fn too_deep(&mut self, sight: Sight<'_>) {
        self.protected(sight, PathProtection::Hidden);
    }

    fn linked(&mut self, _: Sight<'_>, _: Option<PathProtection>) {}

    fn unreadable(&mut self, sight: Sight<'_>) {
        if self.is_new(&sight) {
            self.name(sight.path, "it cannot be looked into");
        }
    }
}
