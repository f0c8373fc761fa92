//! Installing the hooks of a coding agent into its own file, and taking them out again.
//!
//! A [`Change`] is what would become of the file; [`Change::apply`] makes it so: the file is replaced whole, in one step, and
//! what was there before is kept beside it. Order, comments and entries of others stay as they are.

mod entries;
mod holes;
mod json;
mod plugin;
mod probe;
mod toml;

#[cfg(test)]
mod tests;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::hooks::Harness;

pub use holes::holes;
pub use probe::{PROBE_SESSION, Probe, probe};

/// Largest file of settings, in bytes.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;
/// What the name of the kept file ends in.
const KEPT: &str = ".before-fusebox";

/// Whom hooks are for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All that this user does.
    User,
    /// One project, in this folder.
    Project(PathBuf),
}

/// What becomes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The file.
    pub file: PathBuf,
    /// What stands in it; none where it is not there.
    pub before: Option<String>,
    /// What is to stand in it; none where it is to go.
    pub after: Option<String>,
    /// Whether what stands in it is kept beside it: it has nothing of ours.
    pub keeps: bool,
}

/// Hooks as they are installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The file.
    pub file: PathBuf,
    /// Events that call this program.
    pub installed: Vec<&'static str>,
    /// Events that should call it and do not, or call another program or with other words.
    pub missing: Vec<&'static str>,
}

impl Change {
    /// Whether anything changes.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.before == self.after
    }

    /// Makes the change. What stood in the file before the first one is kept beside it.
    ///
    /// # Errors
    /// When the file cannot be written; then it is as it was.
    pub fn apply(&self) -> Result<(), Error> {
        let failed = |source| Error::SettingsWrite { path: self.file.clone(), source };
        if self.is_none() {
            return Ok(());
        }
        // Behind a link lies the file that the user means; the link stays.
        let file = self.file.canonicalize().unwrap_or_else(|_| self.file.clone());
        if let Some(before) = self.before.as_ref().filter(|_| self.keeps) {
            let mut kept = file.clone().into_os_string();
            kept.push(KEPT);
            if !Path::new(&kept).exists() {
                std::fs::write(&kept, before).map_err(failed)?;
            }
        }
        let Some(after) = &self.after else { return std::fs::remove_file(&file).map_err(failed) };
        let folder = file.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(failed)?;
        let mut new = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        new.write_all(after.as_bytes()).and_then(|()| new.as_file().sync_all()).map_err(failed)?;
        if let Ok(found) = std::fs::metadata(&file) {
            new.as_file().set_permissions(found.permissions()).map_err(failed)?;
        }
        new.persist(&file).map_err(|error| failed(error.error))?;
        Ok(())
    }
}

/// The change that installs the hooks of a harness, which call `program`.
///
/// # Errors
/// When the file of the harness cannot be read, or is not as the harness takes it.
pub fn install(harness: Harness, scope: &Scope, program: &Path) -> Result<Change, Error> {
    change(harness, scope, Some(program))
}

/// The change that takes the hooks of a harness out again, whichever program they call.
///
/// # Errors
/// As [`install`].
pub fn uninstall(harness: Harness, scope: &Scope) -> Result<Change, Error> {
    change(harness, scope, None)
}

fn change(harness: Harness, scope: &Scope, program: Option<&Path>) -> Result<Change, Error> {
    let file = entries::file(harness, scope)?;
    let before = read(&file)?;
    let wanted = program.map(|program| entries::wanted(harness, scope, program)).transpose()?;
    let shape = |message: String| Error::SettingsShape { path: file.clone(), harness: harness.name(), message };
    let after = |wanted: Option<&[entries::Entry]>| match harness {
        Harness::OpenCode => wanted.and(program).map(|program| plugin::text(&entries::text(program)?)).transpose(),
        _ if file.extension().is_some_and(|ending| ending == "toml") => {
            toml::edited(before.as_deref().unwrap_or_default(), harness, wanted).map(Some).map_err(shape)
        }
        _ => json::edited(before.as_deref(), harness, wanted).map_err(shape),
    };
    let without = after(None)?;
    let after = if wanted.is_some() { after(wanted.as_deref())? } else { without.clone() };
    let keeps = before.is_some() && without == before;
    Ok(Change { file, before, after, keeps })
}

/// The hooks of a harness as they are installed.
///
/// # Errors
/// As [`install`].
pub fn status(harness: Harness, scope: &Scope, program: &Path) -> Result<Status, Error> {
    let file = entries::file(harness, scope)?;
    let before = read(&file)?;
    let wanted = entries::wanted(harness, scope, program)?;
    let is_there = |event: &'static str, entry: &serde_json::Value| -> Result<bool, Error> {
        let shape = |message: String| Error::SettingsShape { path: file.clone(), harness: harness.name(), message };
        Ok(match (&before, harness) {
            (None, _) => false,
            (Some(text), Harness::OpenCode) => *text == plugin::text(&entries::text(program)?)?,
            (Some(text), _) if file.extension().is_some_and(|ending| ending == "toml") => {
                toml::has(text, event, entry).map_err(shape)?
            }
            (Some(text), _) => json::has(text, event, entry).map_err(shape)?,
        })
    };
    let (mut installed, mut missing) = (Vec::new(), Vec::new());
    for (event, entry) in &wanted {
        if is_there(event, entry)? { installed.push(*event) } else { missing.push(*event) }
    }
    Ok(Status { file, installed, missing })
}

fn read(file: &Path) -> Result<Option<String>, Error> {
    let failed = |message: String| Error::SettingsRead { path: file.to_owned(), message };
    match std::fs::metadata(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error.to_string())),
        Ok(found) if !found.is_file() => return Err(failed("it is no regular file".to_owned())),
        Ok(found) if found.len() > MAX_FILE_BYTES => return Err(failed("it is too large".to_owned())),
        Ok(_) => {}
    }
    std::fs::read_to_string(file).map(Some).map_err(|error| failed(error.to_string()))
}
