//! Files of settings that count in a workspace, and the folders in which their values have a meaning.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};

use super::parse::{self, Setting};
use crate::launcher::protected::links::{self, End};

/// Files of settings of Git in a repository.
const GIT: [&str; 2] = ["config", "config.worktree"];
/// Those of Mercurial.
const MERCURIAL: [&str; 2] = ["hgrc", "hgrc-not-shared"];
/// Most files that include each other.
const MAX_INCLUDED: usize = 32;
/// Most bytes of a file of settings.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// Variables that name files of settings.
const VARIABLES: [&str; 2] = ["GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"];

/// Settings of one file.
pub struct SettingsFile {
    /// An absolute path, which may lead through links.
    pub path: PathBuf,
    /// Folder of the repository that they belong to; `None` for those of a person, which count in all.
    pub repository: Option<PathBuf>,
    pub is_mercurial: bool,
    pub settings: Vec<Setting>,
}

/// Settings that may count in a workspace.
#[derive(Default)]
pub struct Sources {
    pub files: Vec<SettingsFile>,
    /// Folders of repositories, and those in which the values of their settings may be looked for, all as absolute paths: a
    /// repository can have several working trees, and one of another name.
    repositories: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
    /// Files that are named as settings, and may be missing.
    pub named: BTreeSet<PathBuf>,
}

impl Sources {
    /// The settings of a workspace's repositories, those above it and a person's own. `repositories` are folders of
    /// repositories, or files that stand for one, relative to the workspace.
    ///
    /// # Errors
    /// A message, when a file is too large to be looked through.
    pub fn of(workspace: &OwnedFd, root: &Path, repositories: &[PathBuf]) -> Result<Self, String> {
        let mut entries: Vec<PathBuf> = repositories.iter().map(|repository| root.join(repository)).collect();
        for folder in root.ancestors() {
            let above = [".git", ".hg"].map(|name| folder.join(name));
            entries.extend(above.into_iter().filter(|found| found.symlink_metadata().is_ok()));
        }
        let mut sources = Self::default();
        for entry in entries {
            let Some(tree) = entry.parent().map(ToOwned::to_owned) else { continue };
            // A linked working tree or a submodule names its folder of Git, and that the one which it shares.
            let text = text_of(workspace, root, &entry)?;
            let own = text.as_deref().and_then(|text| text.strip_prefix("gitdir:")).map(|own| tree.join(own.trim()));
            let own = own.unwrap_or(entry);
            let shared = text_of(workspace, root, &own.join("commondir"))?;
            let shared = shared.map(|shared| own.join(shared.trim()));
            // What a bare repository names lies in it.
            let is_bare = own.file_name().is_some_and(|name| name != ".git" && name != ".hg");
            let trees: Vec<PathBuf> = is_bare.then(|| own.clone()).into_iter().chain([tree]).collect();
            for folder in [Some(own), shared].into_iter().flatten() {
                sources.repositories.entry(folder).or_default().extend(trees.iter().cloned());
            }
        }
        if sources.repositories.is_empty() {
            return Ok(sources);
        }
        let mut files: Vec<SettingsFile> = Vec::new();
        let file =
            |path, repository, is_mercurial| SettingsFile { path, repository, is_mercurial, settings: Vec::new() };
        for folder in sources.repositories.keys() {
            files.extend(GIT.map(|name| file(folder.join(name), Some(folder.clone()), false)));
            files.extend(MERCURIAL.map(|name| file(folder.join(name), Some(folder.clone()), true)));
        }
        for (path, is_mercurial) in own_settings() {
            sources.named.insert(path.clone());
            files.push(file(path, None, is_mercurial));
        }
        sources.read(workspace, root, files)?;
        Ok(sources)
    }

    /// Folders in which the values of a file may be looked for.
    pub fn trees(&self, file: &SettingsFile) -> BTreeSet<&Path> {
        let all = || self.repositories.values().flatten();
        let own = |repository| self.repositories.get(repository).into_iter().flatten();
        match &file.repository {
            Some(repository) => own(repository).map(PathBuf::as_path).collect(),
            None => all().map(PathBuf::as_path).collect(),
        }
    }

    /// Folders of repositories, as absolute paths.
    pub fn repositories(&self) -> impl Iterator<Item = &Path> {
        self.repositories.keys().map(PathBuf::as_path)
    }

    /// Reads files, and those that they include.
    fn read(&mut self, workspace: &OwnedFd, root: &Path, mut files: Vec<SettingsFile>) -> Result<(), String> {
        let mut left = files.len() + MAX_INCLUDED;
        while let Some(mut file) = files.pop() {
            let Some(less) = left.checked_sub(1) else { break };
            left = less;
            let Some(text) = text_of(workspace, root, &file.path)? else { continue };
            file.settings = if file.is_mercurial { parse::mercurial(&text) } else { parse::git(&text) };
            let folder = file.path.parent().unwrap_or(root);
            for Setting { section, key, value } in &file.settings {
                if section.starts_with("include") && key == "path" {
                    let path = folder.join(at_home(value));
                    if self.named.insert(path.clone()) {
                        let (repository, is_mercurial) = (file.repository.clone(), file.is_mercurial);
                        files.push(SettingsFile { path, repository, is_mercurial, settings: Vec::new() });
                    }
                } else if section == "core"
                    && key == "worktree"
                    && let Some(repository) = &file.repository
                {
                    let tree = repository.join(value);
                    self.repositories.entry(repository.clone()).or_default().insert(tree);
                }
            }
            self.files.push(file);
        }
        Ok(())
    }
}

/// A person's own settings, and the machine's, and whether they are Mercurial's.
fn own_settings() -> impl Iterator<Item = (PathBuf, bool)> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let under = |name: &str| home.as_ref().map(|home| home.join(name));
    let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).or_else(|| under(".config"));
    let below = |name: &str| config.as_ref().map(|config| config.join(name));
    let git = [under(".gitconfig"), below("git/config"), Some("/etc/gitconfig".into())];
    let mercurial = [under(".hgrc"), below("hg/hgrc"), Some("/etc/mercurial/hgrc".into())];
    let named = VARIABLES.iter().filter_map(std::env::var_os).map(|path| Some(PathBuf::from(path)));
    let git = git.into_iter().chain(named).flatten().map(|path| (path, false));
    let files = git.chain(mercurial.into_iter().flatten().map(|path| (path, true)));
    files.filter(|(path, _)| path.is_absolute()).collect::<Vec<_>>().into_iter()
}

/// A path whose `~/` stands for the home.
pub fn at_home(path: impl AsRef<Path>) -> PathBuf {
    let path = path.as_ref();
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    match (path.strip_prefix("~"), home) {
        (Ok(below), Some(home)) => Path::new(&home).join(below),
        _ => path.to_owned(),
    }
}

/// The text of a file, in the workspace or elsewhere; `None` for anything else.
fn text_of(workspace: &OwnedFd, root: &Path, file: &Path) -> Result<Option<String>, String> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = match links::follow(workspace, root, file).end {
        End::Here(below) => {
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
            openat2(workspace, &below, flags, Mode::empty(), resolve)
        }
        End::Absent(_) => return Ok(None),
        End::Elsewhere => openat(CWD, file, flags, Mode::empty()),
    };
    let Ok(opened) = opened.map(File::from) else { return Ok(None) };
    if !opened.metadata().is_ok_and(|found| found.is_file()) {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    let read = opened.take(MAX_BYTES + 1).read_to_end(&mut bytes);
    if read.is_ok_and(|read| read as u64 > MAX_BYTES) {
        return Err(format!("{} has more than {MAX_BYTES} bytes, too many for settings", file.display()));
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}
