//! What the settings of a repository make Git read and run: a command that changes those files changes the settings.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

use super::links;

/// Files of settings in a repository.
const FILES: [&str; 2] = ["config", "config.worktree"];
/// Keys whose values are files to come, in lower case (git-config(1)); those of others count when the file is there.
const KEYS: [&str; 3] = ["path", "hookspath", "attributesfile"];
/// Keys whose values only look like files.
const OTHERS: [&str; 9] =
    ["url", "pushurl", "worktree", "fetch", "push", "merge", "insteadof", "pushinsteadof", "excludesfile"];
/// Most files that include each other.
const MAX_INCLUDED: usize = 32;
/// Most bytes of a file of settings.
const MAX_BYTES: u64 = 1024 * 1024;

/// Paths of the workspace that the settings of its repositories name, whether they are there or not. `root` is the
/// workspace's path; `repositories` are folders of repositories, or files that stand for one, relative to it.
pub fn named(workspace: &OwnedFd, root: &Path, repositories: &[PathBuf]) -> Vec<PathBuf> {
    // A repository can have several working trees, and one of another name: its values are looked for in all trees.
    let trees: BTreeSet<&Path> = repositories.iter().filter_map(|repository| repository.parent()).collect();
    let mut files: Vec<PathBuf> =
        repositories.iter().flat_map(|repository| FILES.map(|file| repository.join(file))).collect();
    let mut found: BTreeSet<PathBuf> = BTreeSet::new();
    let mut read = repositories.len() * FILES.len() + MAX_INCLUDED;
    while let Some(file) = files.pop() {
        let Some(left) = read.checked_sub(1) else { break };
        read = left;
        let Some(text) = text_of(workspace, &file) else { continue };
        let text = text.replace("\\\n", " ");
        for (key, value) in text.lines().filter_map(setting) {
            let may_come = KEYS.contains(&&*key);
            let folders: Vec<&Path> = match key.as_str() {
                "path" => file.parent().into_iter().collect(),
                _ => trees.iter().copied().collect(),
            };
            let unquoted = value.replace('"', "");
            let words = unquoted.split([' ', '\t', '!', '\'', ';', '=']).filter(|word| word.contains('/') || may_come);
            for word in words.chain([&*unquoted]).filter(|word| !word.is_empty()) {
                for path in folders.iter().filter_map(|folder| links::joined(root, folder, Path::new(word))) {
                    let is_there = links::resolve(workspace, root, &path).is_some();
                    if path.as_os_str().is_empty() || !(is_there || (may_come && word == unquoted)) {
                        continue;
                    }
                    if key == "path" && !found.contains(&path) {
                        files.push(path.clone());
                    }
                    found.insert(path);
                }
            }
        }
    }
    found.into_iter().collect()
}

/// Key in lower case and value of a line, which may stand behind the name of its section.
fn setting(line: &str) -> Option<(String, &str)> {
    let line = line.trim();
    let line = if line.starts_with('[') { line.split_once(']')?.1.trim() } else { line };
    let (key, value) = line.split_once('=')?;
    let key = key.trim().to_lowercase();
    (!OTHERS.contains(&&*key)).then_some((key, value.trim()))
}

fn text_of(workspace: &OwnedFd, file: &Path) -> Option<String> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat2(workspace, file, flags, Mode::empty(), resolve).ok()?);
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_settings_name_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write(
            "a/.git/config",
            "[core]\n\thooksPath = hooks\n\tfsmonitor = true\n\tpager = less -R\n[include] path = ../shared.cfg\n\
             [remote \"o\"]\n\turl = ../other\n[filter \"x\"] clean = \"./tools/clean.sh -x\"\n[core]\n editor = /usr/bin/vi\n\
             [include]\n path = ../../../out\n",
        );
        write("a/tools/clean.sh", "");
        write("a/shared.cfg", "[include]\npath = more.cfg\n[core]\nsshCommand=./ssh.sh\n");
        let workspace = File::open(folder.path()).unwrap().into();
        let root = folder.path().canonicalize().unwrap();
        let found = named(&workspace, &root, &[PathBuf::from("a/.git")]);
        let found: Vec<String> = found.iter().map(|path| path.display().to_string()).collect();
        assert_eq!(found, ["a/hooks", "a/more.cfg", "a/shared.cfg", "a/tools/clean.sh"]);
    }
}
