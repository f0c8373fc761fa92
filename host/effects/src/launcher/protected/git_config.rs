//! What the settings of a repository make Git read and run: a command that changes those files changes the settings.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

/// Files of settings in a repository.
const FILES: [&str; 2] = ["config", "config.worktree"];
/// Keys whose values are files or commands, in lower case (git-config(1)).
const KEYS: [&str; 16] = [
    "path",
    "hookspath",
    "fsmonitor",
    "sshcommand",
    "editor",
    "pager",
    "clean",
    "smudge",
    "process",
    "textconv",
    "command",
    "driver",
    "program",
    "helper",
    "attributesfile",
    "askpass",
];
/// Most files that include each other.
const MAX_INCLUDED: usize = 32;
/// Most bytes of a file of settings.
const MAX_BYTES: u64 = 1024 * 1024;

/// Paths of the workspace that the settings of a repository name, whether they are there or not. `repository` is its
/// folder, relative to the workspace.
pub fn named(workspace: &OwnedFd, repository: &Path) -> Vec<PathBuf> {
    let tree = repository.parent().unwrap_or(repository).to_owned();
    let mut files: Vec<PathBuf> = FILES.iter().map(|file| repository.join(file)).collect();
    let mut found: Vec<PathBuf> = Vec::new();
    let mut read = 0;
    while let Some(file) = files.pop() {
        read += 1;
        if read > MAX_INCLUDED {
            break;
        }
        let Some(text) = text_of(workspace, &file) else { continue };
        for (key, value) in text.lines().filter_map(setting) {
            let folder = if key == "path" { file.parent().unwrap_or(&tree) } else { &tree };
            let word = value.trim_start_matches('!').split_whitespace().next().unwrap_or_default();
            let Some(path) = joined(folder, word).filter(|path| !path.as_os_str().is_empty()) else { continue };
            // A word without `/` is a program of the system, unless it is the name of a file or folder.
            let is_path = word.contains('/') || matches!(&*key, "path" | "hookspath" | "attributesfile");
            if !is_path || found.contains(&path) {
                continue;
            }
            if key == "path" {
                files.push(path.clone());
            }
            found.push(path);
        }
    }
    found
}

/// Key in lower case and value of a line, which may stand behind the name of its section.
fn setting(line: &str) -> Option<(String, &str)> {
    let line = line.trim();
    let line = if line.starts_with('[') { line.split_once(']')?.1.trim() } else { line };
    let (key, value) = line.split_once('=')?;
    let key = key.trim().to_lowercase();
    KEYS.contains(&&*key).then_some((key, value.trim().trim_matches('"')))
}

/// A path below the workspace; `None` when it leads out of it.
fn joined(folder: &Path, word: &str) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for part in folder.join(word).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir if path.pop() => {}
            _ => return None,
        }
    }
    Some(path)
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
        write("a/shared.cfg", "[include]\npath = more.cfg\n[core]\nsshCommand=./ssh.sh\n");
        let workspace = File::open(folder.path()).unwrap().into();
        let mut found: Vec<String> =
            named(&workspace, Path::new("a/.git")).iter().map(|path| path.display().to_string()).collect();
        found.sort();
        assert_eq!(found, ["a/hooks", "a/more.cfg", "a/shared.cfg", "a/ssh.sh", "a/tools/clean.sh"]);
    }
}
