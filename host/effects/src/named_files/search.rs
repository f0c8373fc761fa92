//! Looking for the files that words can mean. It has a bound: a command's words come from an agent, and they are looked for
//! before anything judges them.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::io::{Error, Result};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use super::tables::PACKAGE;

/// Most work of one search: a word in one folder counts 1, an entry of a folder that is read 1, a path that is looked for
/// [`LOOK`]. About a second.
const MAX_WORK: u32 = 1_000_000;
/// Work of looking for one path.
const LOOK: u32 = 5;
/// Names that are compared with a pattern for a work of 1.
const COMPARED: usize = 4;
/// Most folders that are taken from the beginning of a path.
const MAX_STRIPPED: usize = 2;
/// Most parts of the name of a module.
const MAX_PARTS: usize = 8;
/// Most folders in which words are looked for.
const MAX_FOLDERS: usize = 64;
/// Most entries of a folder that are kept in mind.
const MAX_ENTRIES: usize = 10_000;
/// Most letters of options in front of a value.
const MAX_LETTERS: usize = 12;
/// Options and commands that go to the folder that is named behind them.
pub const GOING: [&str; 12] = [
    "cd",
    "pushd",
    "-C",
    "-d",
    "--directory",
    "--chdir",
    "--cwd",
    "--dir",
    "--prefix",
    "--project",
    "--working-dir",
    "--workdir",
];
/// Endings of what interpreters name without them.
const MODULES: [&str; 14] =
    ["py", "pyc", "js", "cjs", "mjs", "json", "ts", "pm", "pl", "rb", "lua", "php", "jl", "tcl"];

/// A search for files of one workspace.
pub struct Search<'a> {
    workspace: &'a Path,
    left: Cell<u32>,
    read: RefCell<HashMap<PathBuf, Rc<Vec<OsString>>>>,
}

/// A folder in which words are looked for.
pub struct Folder {
    pub path: PathBuf,
    /// Its entries; none when there are too many.
    names: Option<HashSet<OsString>>,
}

impl Folder {
    /// Whether a relative path can be one in here, by its first part.
    fn may_hold(&self, name: &str) -> bool {
        match Path::new(name).components().next() {
            Some(Component::Normal(first)) => self.names.as_ref().is_none_or(|names| names.contains(first)),
            Some(_) => true,
            None => false,
        }
    }
}

impl<'a> Search<'a> {
    pub fn new(workspace: &'a Path) -> Self {
        Self { workspace, left: Cell::new(MAX_WORK), read: RefCell::default() }
    }

    /// Counts work.
    fn spend(&self, work: u32) -> Result<()> {
        let left = self.left.get().checked_sub(work);
        self.left.set(left.unwrap_or(0));
        let too_much =
            "its words can mean more files than are looked for; name fewer, or put the command into a script";
        left.map(|_| ()).ok_or_else(|| Error::other(too_much))
    }

    /// A path without links, if there is something.
    fn find(&self, path: &Path) -> Result<Option<PathBuf>> {
        self.spend(LOOK)?;
        Ok(path.canonicalize().ok())
    }

    /// Names of a folder, which is read once.
    fn read(&self, folder: &Path) -> Result<Rc<Vec<OsString>>> {
        if let Some(names) = self.read.borrow().get(folder) {
            return Ok(Rc::clone(names));
        }
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            self.spend(1)?;
            names.push(entry.file_name());
        }
        let names = Rc::new(names);
        self.read.borrow_mut().insert(folder.to_owned(), Rc::clone(&names));
        Ok(names)
    }

    fn open(&self, path: PathBuf) -> Result<Folder> {
        let names = self.read(&path)?;
        let names = (names.len() <= MAX_ENTRIES).then(|| names.iter().cloned().collect());
        Ok(Folder { path, names })
    }

    /// Folders in which the words of a command can have their meaning: its own, and all that its words name, by whatever
    /// option they are gone to. Those behind a word that goes somewhere come first.
    pub fn folders(&self, own: &Path, words: &[&str]) -> Result<Vec<Folder>> {
        let mut folders = vec![self.open(own.to_owned())?];
        let goes =
            |at: usize| at.checked_sub(1).and_then(|before| words.get(before)).is_some_and(|word| GOING.contains(word));
        let (first, then): (Vec<usize>, Vec<usize>) = (0..words.len()).partition(|at| goes(*at));
        // Twice: a word can name a folder in one that a later word names.
        let order: Vec<usize> = first.into_iter().chain(then).collect();
        for word in order.iter().chain(&order).filter_map(|at| words.get(*at)) {
            let mut found = Vec::new();
            for folder in &folders {
                let package = self.package(folder, word)?;
                for path in self.named(folder, word)?.into_iter().chain(package) {
                    if path.is_dir() && path.starts_with(self.workspace) {
                        found.push(path);
                    }
                }
            }
            for path in found {
                if folders.len() < MAX_FOLDERS && folders.iter().all(|folder| folder.path != path) {
                    folders.push(self.open(path)?);
                }
            }
        }
        Ok(folders)
    }

    /// What a word names in a folder: as it is, behind the letters of an option, and as a pattern.
    fn named(&self, folder: &Folder, word: &str) -> Result<Vec<PathBuf>> {
        self.spend(1)?;
        let mut paths = Vec::new();
        for name in spellings(word).chain(inner(word)).filter(|name| folder.may_hold(name)) {
            paths.extend(self.find(&folder.path.join(name))?);
        }
        for path in self.matches(&folder.path, word)? {
            paths.extend(self.find(&path)?);
        }
        Ok(paths)
    }

    /// Files that a word names in a folder, without links: as it is, behind the letters of an option, and as a pattern.
    pub fn exact(&self, folder: &Folder, word: &str) -> Result<Vec<PathBuf>> {
        self.spend(1)?;
        let mut paths = Vec::new();
        for name in spellings(word).filter(|name| folder.may_hold(name)) {
            paths.extend(self.find(&folder.path.join(name))?);
        }
        for path in self.matches(&folder.path, word)? {
            paths.extend(self.find(&path)?);
        }
        Ok(paths)
    }

    /// The folder of a package of modules by its name, `a.b`.
    fn package(&self, folder: &Folder, word: &str) -> Result<Option<PathBuf>> {
        if word.contains('/') || !word.contains('.') {
            return Ok(None);
        }
        let path = word.replace('.', "/");
        if folder.may_hold(&path) { self.find(&folder.path.join(path)) } else { Ok(None) }
    }

    /// All entries of a folder.
    pub fn entries(&self, folder: &Folder) -> Result<Vec<PathBuf>> {
        self.read(&folder.path)?.iter().filter_map(|name| self.find(&folder.path.join(name)).transpose()).collect()
    }

    /// Files that a word can mean in a folder, without links: what it names and, for interpreters, the module or package
    /// of that name.
    pub fn meant(&self, folder: &Folder, word: &str, runs_any: bool) -> Result<Vec<PathBuf>> {
        let mut paths = self.named(folder, word)?;
        for name in spellings(word).filter(|name| runs_any && !name.starts_with('-') && !name.is_empty()) {
            // `-m a.b` of Python, `-MA::B` of Perl, and the names of Node.js without their endings.
            let (dotted, colons) = (name.replace('.', "/"), name.replace("::", "/"));
            let mut candidates: Vec<String> = Vec::new();
            for module in [name, &dotted, &colons] {
                candidates.extend(MODULES.map(|ending| format!("{module}.{ending}")));
                candidates.extend(PACKAGE.map(|file| format!("{module}/{file}")));
            }
            // `a.b.C.d` can be something of the module `a.b`, and runs the package `a` first.
            for module in dotted.match_indices('/').take(MAX_PARTS).filter_map(|(at, _)| dotted.get(..at)) {
                candidates.extend([".py", "/__init__.py"].map(|ending| format!("{module}{ending}")));
            }
            candidates.sort_unstable();
            candidates.dedup();
            for candidate in candidates.iter().filter(|candidate| folder.may_hold(candidate)) {
                paths.extend(self.find(&folder.path.join(candidate))?);
            }
        }
        Ok(paths)
    }

    /// A script of a folder by its name.
    pub fn script(&self, folder: &Folder, name: &str) -> Result<Option<PathBuf>> {
        if folder.may_hold(name) { self.find(&folder.path.join(name)) } else { Ok(None) }
    }

    /// Paths that a word matches as a pattern of a shell, part by part.
    fn matches(&self, folder: &Path, word: &str) -> Result<Vec<PathBuf>> {
        let is_pattern = |part: &str| part.contains(['*', '?', '[']);
        if !is_pattern(word) {
            return Ok(Vec::new());
        }
        let mut paths = vec![folder.to_owned()];
        let word = without_classes(word);
        for part in word.split('/') {
            let mut next = Vec::new();
            for path in &paths {
                self.spend(1)?;
                if !is_pattern(part) {
                    // Many ways back are one.
                    let path = path.join(part);
                    next.extend(if part == ".." { self.find(&path)? } else { Some(path) });
                    continue;
                }
                let names = self.read(path)?;
                self.spend(u32::try_from(names.len() / COMPARED).unwrap_or(u32::MAX))?;
                let fits = |name: &&OsString| fast_glob::glob_match(part, &*name.to_string_lossy());
                next.extend(names.iter().filter(fits).map(|name| path.join(name)));
            }
            next.sort();
            next.dedup();
            paths = next;
        }
        Ok(paths)
    }
}

/// A pattern in which classes of characters, such as `[[:alpha:]]`, match any character.
fn without_classes(word: &str) -> Cow<'_, str> {
    let mut left = word;
    let mut plain = String::new();
    while let Some((before, rest)) = left.split_once("[[:")
        && let Some((_, after)) = rest.split_once(":]")
        && let Some((_, after)) = after.split_once(']')
    {
        plain = plain + before + "?";
        left = after;
    }
    if plain.is_empty() { Cow::Borrowed(word) } else { Cow::Owned(plain + left) }
}

/// A path without its first folders, for those that the command itself makes of others (`cp -r a b && sh b/x`).
fn inner(word: &str) -> impl Iterator<Item = &str> {
    let is_relative = !word.starts_with('/');
    let slashes = word.match_indices('/').filter(move |_| is_relative).take(MAX_STRIPPED);
    slashes.filter_map(|(at, _)| word.get(at + 1..)).filter(|rest| !rest.is_empty())
}

/// A word, and what can stand behind the letters of its options.
fn spellings(word: &str) -> impl Iterator<Item = &str> {
    let is_glued = word.starts_with('-') && !word.starts_with("--");
    let letters = if is_glued { MAX_LETTERS } else { 0 };
    std::iter::once(word).chain(word.char_indices().skip(2).take(letters).filter_map(|(at, _)| word.get(at..)))
}
