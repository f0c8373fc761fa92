//! What the settings of a repository make Git or Mercurial read and run: a command that changes those files changes the
//! settings.

mod parse;
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use fusebox_core::protected::PathMatcher;

use self::parse::Setting;
use self::sources::{SettingsFile, Sources, at_home};
use super::access;
use super::links::{self, End, Followed};
use crate::named_files::{Line, LineFiles, LineKind, Search};

/// Keys whose values are files or folders by themselves, in lower case (git-config(1)).
const PATHS: [&str; 4] = ["attributesfile", "hookspath", "path", "templatedir"];
/// Keys whose values only look like files that are run or obeyed.
const OTHERS: [&str; 10] =
    ["excludesfile", "fetch", "insteadof", "merge", "push", "pushinsteadof", "pushurl", "template", "url", "worktree"];
/// Hooks of Git (githooks(5)), for a folder of hooks that holds more than these.
const HOOKS: [&str; 28] = [
    "applypatch-msg",
    "commit-msg",
    "fsmonitor-watchman",
    "p4-changelist",
    "p4-post-changelist",
    "p4-pre-submit",
    "p4-prepare-changelist",
    "post-applypatch",
    "post-checkout",
    "post-commit",
    "post-index-change",
    "post-merge",
    "post-receive",
    "post-rewrite",
    "post-update",
    "pre-applypatch",
    "pre-auto-gc",
    "pre-commit",
    "pre-merge-commit",
    "pre-push",
    "pre-rebase",
    "pre-receive",
    "prepare-commit-msg",
    "proc-receive",
    "push-to-checkout",
    "reference-transaction",
    "sendemail-validate",
    "update",
];
/// Files and folders of a repository that it obeys.
const PARTS: [&str; 5] = ["config", "config.worktree", "hgrc", "hgrc-not-shared", "hooks"];
/// Most entries of a folder elsewhere that are looked at for links.
const MAX_LINKS: usize = 1000;

/// What settings name in the workspace.
#[derive(Debug, Default)]
pub struct Named {
    /// What is there, relative to the workspace and without links.
    pub present: BTreeSet<PathBuf>,
    /// What is not.
    pub absent: Vec<Absent>,
    /// Links of the workspace on the way to all of it, wherever they lead.
    pub links: BTreeSet<PathBuf>,
}

/// What is named, and is not there.
#[derive(Debug, PartialEq, Eq)]
pub struct Absent {
    /// As it is named, relative to the workspace.
    pub path: PathBuf,
    /// Where it would be made.
    pub place: PathBuf,
    /// Whether it may be a folder, too.
    pub may_be_folder: bool,
}

impl Named {
    /// Without what a policy excepts.
    pub fn without(mut self, matcher: &PathMatcher) -> Self {
        let is_excepted = |path: &Path| {
            let (folder, name) = (path.parent().unwrap_or(path), path.file_name().unwrap_or_default());
            matcher.excepts(&folder.to_string_lossy(), &name.to_string_lossy())
        };
        self.present.retain(|path| !is_excepted(path));
        self.absent.retain(|absent| !is_excepted(&absent.place) && !is_excepted(&absent.path));
        self
    }

    fn add(&mut self, workspace: &OwnedFd, root: &Path, path: &Path, may_be_folder: bool) {
        let Followed { links, end, inner } = links::follow(workspace, root, path);
        match end {
            End::Here(path) if may_be_folder || access::is_file(workspace, &path) => _ = self.present.insert(path),
            // A folder that a line goes to holds no program by itself.
            End::Here(_) => return,
            End::Absent(place) => self.absent.push(Absent { path: inner, place, may_be_folder }),
            End::Elsewhere => {}
        }
        self.links.extend(links);
    }
}

/// What the settings of a workspace's repositories name, those above it and a person's own among them. `root` is the
/// workspace's path; `repositories` are folders of repositories, or files that stand for one, relative to it.
///
/// # Errors
/// A message, when settings are too large or name too much to be looked for.
pub fn named(workspace: &OwnedFd, root: &Path, repositories: &[PathBuf]) -> Result<Named, String> {
    let sources = Sources::of(workspace, root, repositories)?;
    // Absolute paths, and whether they may be folders.
    let mut paths: BTreeMap<PathBuf, bool> = sources.named.iter().map(|path| (path.clone(), false)).collect();
    for folder in sources.repositories() {
        // Parts of a repository elsewhere that are links can lead into the workspace.
        let parts = PARTS.map(|part| folder.join(part)).into_iter().filter(|part| part.is_symlink());
        paths.extend(parts.chain(links_in(&folder.join("hooks"))).map(|link| (link, true)));
    }
    let search = Search::new(root);
    for file in &sources.files {
        let SettingsFile { path, is_mercurial, settings, .. } = file;
        let trees = sources.trees(file);
        for Setting { section, key, value } in settings {
            if section.starts_with("include") || (!is_mercurial && OTHERS.contains(&&**key)) {
                continue;
            }
            if !is_mercurial && PATHS.contains(&&**key) {
                for tree in &trees {
                    add_folder(&mut paths, tree, &tree.join(at_home(value)), key == "hookspath");
                }
                continue;
            }
            let Some((text, kind)) = line(section, value, *is_mercurial) else { continue };
            for tree in &trees {
                let named = Line { text: &text, folder: tree, kind }.named(&search);
                let LineFiles { files, written } =
                    named.map_err(|error| format!("{}, {key}: {error}", path.display()))?;
                let written = written.iter().map(|path| tree.join(at_home(path)));
                // An extension of Mercurial may be a folder, and so are those of hooks.
                let may_be_folder = (*is_mercurial && section == "extensions") || names_folders(&text);
                for path in files.into_iter().chain(written) {
                    *paths.entry(path).or_default() |= may_be_folder;
                }
            }
        }
    }
    let mut found = Named::default();
    for (path, may_be_folder) in paths {
        found.add(workspace, root, &path, may_be_folder);
    }
    Ok(found)
}

/// The line of a shell that a value is, and which of its words count; `None` where it runs nothing of the workspace.
fn line(section: &str, value: &str, is_mercurial: bool) -> Option<(String, LineKind)> {
    let is_alias = section == "alias" && !is_mercurial;
    let text = value.trim_start_matches('!').trim_start();
    // A lone word names a program of the search path, if anything.
    if !text.contains(['/', ' ', '\t', '\n']) {
        return None;
    }
    // Without the mark, an alias is a command of Git itself with its arguments.
    let text = if is_alias && !value.starts_with('!') { format!("git {text}") } else { text.to_owned() };
    let home = std::env::var("HOME").unwrap_or_default();
    let text = if home.is_empty() { text } else { text.replace("${HOME}", &home).replace("$HOME", &home) };
    Some((text, if is_alias { LineKind::Alias } else { LineKind::Program }))
}

/// Whether a line of Git sets where hooks or templates lie.
fn names_folders(text: &str) -> bool {
    let text = text.to_lowercase();
    ["core.hookspath", "init.templatedir"].iter().any(|key| text.contains(key))
}

/// A folder that a setting names, or the hooks in it where it is a whole working tree, and what links in it lead to.
fn add_folder(paths: &mut BTreeMap<PathBuf, bool>, tree: &Path, folder: &Path, is_hooks: bool) {
    if is_hooks && tree.starts_with(links::lexical(folder)) {
        paths.extend(HOOKS.map(|hook| (folder.join(hook), false)));
        return;
    }
    paths.insert(folder.to_owned(), true);
    for folder in [folder.to_owned(), folder.join("hooks")] {
        paths.extend(links_in(&folder).map(|link| (link, true)));
    }
}

/// Links in a folder.
fn links_in(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().take(MAX_LINKS);
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink())).map(|entry| entry.path())
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
             d = !cat|tools/d.sh&&python3 -m tools.e\n f = !too\\\nls/f.sh\n g = !$PWD/tools/g.sh\n h = !cat docs/README.md\n\
             i = log -- src/main.c\n j = -c core.fsmonitor=tools/j.sh status\n k = !sh $(git rev-parse --show-toplevel)/tools/k.sh\n\
             [core]\n fsmonitor = tools/none -x\n[merge \"x\"]\n driver = $(git rev-parse --show-toplevel)/tools/l.sh %O\n\
             [mergetool \"p\"]\n cmd = \"${GIT_PREFIX:-.}/tools/m.sh $LOCAL\"\n[man \"q\"]\n path = tools/n.sh\n\
             [init]\n templateDir = template\n",
        );
        write(
            "b/.hg/hgrc",
            "[hooks]\nupdate = tools/h\nx = python:tools/i.py:f\ny = sh tools/o; sh tools/p\n[ui]\nmerge=tools/q\n\
             [extensions]\ne = ext/e\n",
        );
        let scripts =
            ["clean.sh", "a b.sh", "c.sh", "d.sh", "e.py", "f.sh", "g.sh", "j.sh", "k.sh", "l.sh", "m.sh", "n.sh"];
        for tool in scripts {
            write(&format!("a/tools/{tool}"), "");
        }
        for path in ["a/docs/README.md", "a/README.md", "a/src/main.c", "a/main.c", "b/ext/e/__init__.py"] {
            write(path, "");
        }
        for tool in ["h", "i.py", "o", "p", "q"] {
            write(&format!("b/tools/{tool}"), "");
        }
        write("a/shared.cfg", "[include]\npath = more.cfg\n[core]\nsshCommand=./ssh.sh\n");
        let workspace = std::fs::File::open(folder.path()).unwrap().into();
        let root = folder.path().canonicalize().unwrap();
        let Named { present, absent, .. } = named(&workspace, &root, &["a/.git".into(), "b/.hg".into()]).unwrap();
        let present: Vec<String> = present.iter().map(|path| path.display().to_string()).collect();
        let tools = scripts.map(|tool| format!("a/tools/{tool}"));
        let others = ["a/shared.cfg", "b/tools/h", "b/tools/i.py", "b/tools/o", "b/tools/p", "b/tools/q", "b/ext/e"];
        for file in tools.iter().map(String::as_str).chain(others) {
            assert!(present.iter().any(|found| found == file), "{file}: {present:?}");
        }
        assert!(!present.iter().any(|found| found.ends_with("README.md") || found.ends_with("main.c")), "{present:?}");
        for path in ["a/hooks", "a/more.cfg", "a/tools/none", "a/ssh.sh", "a/template"] {
            assert!(absent.iter().any(|absent| absent.place == Path::new(path)), "{path}: {absent:?}");
        }
    }
}
