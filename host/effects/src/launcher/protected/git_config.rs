//! What the settings of a repository make Git or Mercurial read and run: a command that changes those files changes the
//! settings.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};

use super::access;
use super::links::{self, End, Followed};
use crate::named_files::{Line, LineFiles, Search};

/// Files of settings in a repository.
const FILES: [&str; 4] = ["config", "config.worktree", "hgrc", "hgrc-not-shared"];
/// Keys whose values are files to come, in lower case (git-config(1)).
const KEYS: [&str; 3] = ["path", "hookspath", "attributesfile"];
/// Keys whose values only look like files.
const OTHERS: [&str; 9] =
    ["url", "pushurl", "worktree", "fetch", "push", "merge", "insteadof", "pushinsteadof", "excludesfile"];
/// Most files that include each other.
const MAX_INCLUDED: usize = 32;
/// Most bytes of a file of settings.
const MAX_BYTES: u64 = 1024 * 1024;

/// What settings name in the workspace.
#[derive(Debug, Default)]
pub struct Named {
    /// What is there, relative to the workspace and without links.
    pub present: BTreeSet<PathBuf>,
    /// What is not.
    pub absent: Vec<Absent>,
    /// Links on the way to all of it, wherever they lead.
    pub links: BTreeSet<PathBuf>,
}

/// What settings name, and is not there.
#[derive(Debug, PartialEq, Eq)]
pub struct Absent {
    /// As it is named, relative to the workspace.
    pub path: PathBuf,
    /// Where it would be made.
    pub place: PathBuf,
    /// Whether it may be a folder, too.
    pub may_be_folder: bool,
}

/// What the settings of a workspace's repositories name, those above it and a person's own among them. `root` is the
/// workspace's path; `repositories` are folders of repositories, or files that stand for one, relative to it.
///
/// # Errors
/// A message, when settings name too much to be looked for.
pub fn named(workspace: &OwnedFd, root: &Path, repositories: &[PathBuf]) -> Result<Named, String> {
    let Sources { mut files, trees } = Sources::of(workspace, root, repositories);
    let mut included = BTreeSet::new();
    // What is named, and whether it may be a folder.
    let mut paths: BTreeMap<PathBuf, bool> = BTreeMap::new();
    let mut read = files.len() + MAX_INCLUDED;
    let search = Search::new(root);
    while let Some(file) = files.pop() {
        let Some(left) = read.checked_sub(1) else { break };
        read = left;
        let Some(text) = text_of(workspace, root, &file) else { continue };
        for (key, value) in settings(&text).filter(|(key, _)| !OTHERS.contains(&&**key)) {
            if KEYS.contains(&&*key) {
                let value = at_home(&value);
                if key == "path" {
                    let path = file.parent().unwrap_or(root).join(&value);
                    if included.insert(path.clone()) {
                        files.push(path.clone());
                    }
                    paths.extend(links::joined(root, Path::new(""), &path).map(|path| (path, true)));
                } else {
                    let joined = trees.iter().filter_map(|tree| links::joined(root, tree, &value));
                    paths.extend(joined.map(|path| (path, true)));
                }
                continue;
            }
            let line = value.trim_start_matches('!').trim_start();
            // A lone word names a program of the search path, if anything.
            if !line.contains(['/', ' ', '\t', '\n']) {
                continue;
            }
            for tree in &trees {
                let named = Line { text: line, folder: tree }.named(&search);
                let LineFiles { files, written } =
                    named.map_err(|error| format!("{}, {key}: {error}", file.display()))?;
                let below = files.iter().filter_map(|path| links::joined(root, Path::new(""), path));
                let written = written.iter().filter_map(|path| links::joined(root, tree, &at_home(path)));
                for path in below.chain(written) {
                    paths.entry(path).or_insert(false);
                }
            }
        }
    }
    paths.remove(Path::new(""));
    let mut found = Named::default();
    for (path, may_be_folder) in paths {
        let Followed { links, end } = links::follow(workspace, root, &path);
        match end {
            End::Here(path) if may_be_folder || access::is_file(workspace, &path) => _ = found.present.insert(path),
            // A folder that a line goes to holds no program by itself.
            End::Here(_) => continue,
            End::Absent(place) => found.absent.push(Absent { path, place, may_be_folder }),
            End::Elsewhere => {}
        }
        found.links.extend(links);
    }
    Ok(found)
}

/// Files of settings and the working trees for which they may count, as absolute paths. A repository can have several
/// trees, and one of another name: values are looked for in all of them.
struct Sources {
    files: Vec<PathBuf>,
    trees: BTreeSet<PathBuf>,
}

impl Sources {
    fn of(workspace: &OwnedFd, root: &Path, repositories: &[PathBuf]) -> Self {
        let mut all: Vec<PathBuf> = repositories.iter().map(|repository| root.join(repository)).collect();
        // Where the workspace is no repository, it may lie in one.
        for name in [".git", ".hg"] {
            let above = root.ancestors().map(|folder| folder.join(name));
            all.extend(above.into_iter().find(|found| found.symlink_metadata().is_ok()));
        }
        let trees: BTreeSet<PathBuf> = all.iter().filter_map(|entry| entry.parent()).map(ToOwned::to_owned).collect();
        let mut files = Vec::new();
        for entry in all {
            // A linked working tree or a submodule names its folder of Git, and that the one which it shares.
            let text = text_of(workspace, root, &entry);
            let own = text.as_deref().and_then(|text| text.strip_prefix("gitdir:")).map(str::trim);
            let own = own.and_then(|own| entry.parent().map(|tree| tree.join(own))).unwrap_or(entry);
            let shared = text_of(workspace, root, &own.join("commondir"));
            let shared = shared.map(|shared| own.join(shared.trim()));
            files.extend([Some(own), shared].iter().flatten().flat_map(|folder| FILES.map(|file| folder.join(file))));
        }
        if !trees.is_empty() {
            files.extend(own_settings());
        }
        Self { files, trees }
    }
}

/// A person's own settings, and the machine's.
fn own_settings() -> impl Iterator<Item = PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let under = |name: &str| home.as_ref().map(|home| home.join(name));
    let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).or_else(|| under(".config"));
    let files = [under(".gitconfig"), config.map(|config| config.join("git/config")), under(".hgrc")];
    files.into_iter().flatten().chain([PathBuf::from("/etc/gitconfig")])
}

/// A path whose `~/` stands for the home.
fn at_home(path: impl AsRef<Path>) -> PathBuf {
    let path = path.as_ref();
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    match (path.strip_prefix("~"), home) {
        (Ok(below), Some(home)) => Path::new(&home).join(below),
        _ => path.to_owned(),
    }
}

/// Keys in lower case and values of settings (git-config(1), "Syntax"). A key may stand behind the name of its section.
fn settings(text: &str) -> impl Iterator<Item = (String, String)> + '_ {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            if rest.is_empty() {
                return None;
            }
            let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
            let start = line.trim_start();
            let start = if start.starts_with('[') { start.split_once(']').map_or("", |(_, rest)| rest) } else { start };
            // Mercurial includes a file by a line of its own (hgrc(5)).
            if let Some(included) = line.strip_prefix("%include ") {
                rest = after;
                return Some(("path".to_owned(), included.trim().to_owned()));
            }
            let is_comment = start.trim_start().starts_with(['#', ';']);
            let Some((key, begin)) = start.split_once('=').filter(|_| !is_comment) else {
                rest = after;
                continue;
            };
            let from = rest.get(line.len() - begin.len()..).unwrap_or_default();
            let (value, after) = value(from);
            rest = after;
            return Some((key.trim().to_lowercase(), value));
        }
    })
}

/// A value without its quotes, and what stands behind it.
fn value(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut is_quoted = false;
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '\n' => return (value.trim().to_owned(), text.get(at + 1..).unwrap_or_default()),
            '#' | ';' if !is_quoted => {
                let rest = text.get(at..).and_then(|rest| rest.split_once('\n'));
                return (value.trim().to_owned(), rest.map_or("", |(_, after)| after));
            }
            '"' => is_quoted = !is_quoted,
            '\\' => match characters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 't')) => value.push('\t'),
                // A line that goes on in the next one.
                Some((_, '\n')) | None => {}
                Some((_, other)) => value.push(other),
            },
            c => value.push(c),
        }
    }
    (value.trim().to_owned(), "")
}

/// The text of a file, in the workspace or elsewhere.
fn text_of(workspace: &OwnedFd, root: &Path, file: &Path) -> Option<String> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = match links::joined(root, Path::new(""), file) {
        Some(below) => {
            let below = links::resolve(workspace, root, &below)?.path;
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
            openat2(workspace, &below, flags, Mode::empty(), resolve)
        }
        None => openat(CWD, file, flags, Mode::empty()),
    };
    let file = File::from(opened.ok()?);
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
            "[core]\n\thooksPath = hooks ; its own\n\tfsmonitor = true\n\tpager = less -R\n[include] path = ../shared.cfg\n\
             [remote \"o\"]\n\turl = ../other\n[filter \"x\"] clean = \"./tools/clean.sh -x\"\n[core]\n editor = /usr/bin/vi\n\
             [include]\n path = ../../../out\n[alias]\n a = \"!\\\"tools/a b.sh\\\" %f\"\n b = !cd tools && ./c.sh\n\
             d = cat|tools/d.sh&&python3 -m tools.e\n f = too\\\nls/f.sh\n g = $PWD/tools/g.sh\n h = !cat README.md\n\
             [core]\n fsmonitor = tools/none -x\n",
        );
        write("b/.hg/hgrc", "[hooks]\nupdate = tools/h\nx = python:tools/i.py:f\n");
        for tool in ["clean.sh", "a b.sh", "c.sh", "d.sh", "e.py", "f.sh", "g.sh"] {
            write(&format!("a/tools/{tool}"), "");
        }
        write("a/README.md", "");
        write("b/tools/h", "");
        write("b/tools/i.py", "");
        write("a/shared.cfg", "[include]\npath = more.cfg\n[core]\nsshCommand=./ssh.sh\n");
        let workspace = File::open(folder.path()).unwrap().into();
        let root = folder.path().canonicalize().unwrap();
        let Named { present, absent, .. } = named(&workspace, &root, &["a/.git".into(), "b/.hg".into()]).unwrap();
        let files: Vec<String> = present.iter().map(|path| path.display().to_string()).collect();
        let tools =
            ["a b.sh", "c.sh", "clean.sh", "d.sh", "e.py", "f.sh", "g.sh"].map(|tool| format!("a/tools/{tool}"));
        for file in tools.iter().map(String::as_str).chain(["a/shared.cfg", "b/tools/i.py", "b/tools/h"]) {
            assert!(files.iter().any(|found| found == file), "{file}: {files:?}");
        }
        assert!(!files.iter().any(|found| found.ends_with("README.md")), "{files:?}");
        for path in ["a/hooks", "a/more.cfg", "a/tools/none", "a/ssh.sh"] {
            assert!(absent.iter().any(|absent| absent.place == Path::new(path)), "{path}: {absent:?}");
        }
    }
}
