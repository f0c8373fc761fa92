//! Trust in projects' policies: a policy counts only with the content that the operator trusted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fusebox_core::{Digest, json};
use serde::{Deserialize, Serialize};

use super::{PROJECT_FILE, ProjectPolicy, read};
use crate::error::Error;
use crate::home::Home;
use crate::input::read_file;

/// Largest list of trusted projects, in bytes.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// Version of the list's format.
const FORMAT: u32 = 1;

/// Trusted projects, by folder.
#[derive(Debug, Clone)]
pub struct Trust {
    path: PathBuf,
    projects: BTreeMap<String, Digest>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u32,
    projects: BTreeMap<String, Digest>,
}

/// Whether a project's policy counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrustState {
    /// The folder has no policy.
    None,
    /// It counts; this is its text.
    Trusted(String),
    /// The policy does not count: the operator has not trusted it.
    Untrusted,
    /// The policy has changed since it was trusted, or is gone, so it is unknown which one should count.
    Changed,
}

impl Trust {
    /// Reads the list.
    ///
    /// # Errors
    /// When it cannot be read or is damaged.
    pub fn open(home: &Home) -> Result<Self, Error> {
        let path = home.path().join("trust.json");
        if !path.exists() {
            return Ok(Self { path, projects: BTreeMap::new() });
        }
        let bytes = read_file("the list of trusted projects", &path, MAX_BYTES)?;
        let file: File = json::parse_as("the list of trusted projects", &bytes, MAX_BYTES)?;
        let projects = if file.format == FORMAT { file.projects } else { BTreeMap::new() };
        Ok(Self { path, projects })
    }

    /// Whether the policy in a folder was trusted, as it is or as it was.
    #[must_use]
    pub fn knows(&self, folder: &Path) -> bool {
        !self.projects.is_empty() && key(folder).is_some_and(|key| self.projects.contains_key(&key))
    }

    /// Whether the policy in a folder counts.
    ///
    /// # Errors
    /// When there is one that cannot be read.
    pub fn state(&self, folder: &Path) -> Result<TrustState, Error> {
        let (Some(key), file) = (key(folder), folder.join(PROJECT_FILE)) else { return Ok(TrustState::None) };
        // Neither a link nor a device, so that the file read is the file that lies there.
        if !file.symlink_metadata().is_ok_and(|found| found.is_file()) {
            return Ok(if self.projects.contains_key(&key) { TrustState::Changed } else { TrustState::None });
        }
        let (text, digest) = read(&file)?;
        Ok(match self.projects.get(&key) {
            Some(trusted) if *trusted == digest => TrustState::Trusted(text),
            Some(_) => TrustState::Changed,
            None => TrustState::Untrusted,
        })
    }

    /// Trusts the policy in a folder, as it is now, and returns it.
    ///
    /// # Errors
    /// When there is none, it does not only tighten, or the list cannot be written.
    pub fn add(&mut self, folder: &Path) -> Result<(ProjectPolicy, Digest), Error> {
        let file = folder.join(PROJECT_FILE);
        let name = file.display().to_string();
        if file.symlink_metadata().is_ok_and(|found| !found.is_file()) {
            let message = "it is a link or no file at all; put the policy itself there".to_owned();
            return Err(Error::BadPolicy { path: name, message });
        }
        let (text, digest) = read(&file)?;
        let (policy, _) = ProjectPolicy::parse(&text, &name)?;
        let unnamed = || Error::BadPolicy { path: name.clone(), message: "its folder's name is not UTF-8".to_owned() };
        self.projects.insert(key(folder).ok_or_else(unnamed)?, digest);
        self.write()?;
        Ok((policy, digest))
    }

    /// Ends the trust in the policy of a folder. Returns whether it was trusted.
    ///
    /// # Errors
    /// When the list cannot be written.
    pub fn remove(&mut self, folder: &Path) -> Result<bool, Error> {
        let was = key(folder).and_then(|key| self.projects.remove(&key)).is_some();
        if was {
            self.write()?;
        }
        Ok(was)
    }

    /// All folders whose policies are trusted, with the digests that they had.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Digest)> {
        self.projects.iter().map(|(folder, digest)| (folder.as_str(), digest))
    }

    fn write(&self) -> Result<(), Error> {
        let failed = |error: std::io::Error| Error::Home {
            path: self.path.clone(),
            message: format!("the list of trusted projects cannot be written: {error}"),
        };
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        let text = json::canonical(&File { format: FORMAT, projects: self.projects.clone() });
        std::io::Write::write_all(&mut file, text.as_bytes()).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(&self.path).map_err(|error| failed(error.error))?;
        Ok(())
    }
}

/// Key of a folder in the list: its path, with links resolved.
fn key(folder: &Path) -> Option<String> {
    folder.canonicalize().ok()?.to_str().map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_is_of_one_folder_and_one_text() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(&folder.path().join("home")).unwrap();
        let project = folder.path().join("project");
        std::fs::create_dir(&project).unwrap();
        let file = project.join(PROJECT_FILE);
        assert_eq!(Trust::open(&home).unwrap().state(&project).unwrap(), TrustState::None);
        std::fs::write(&file, "[limits]\nsteps = 1").unwrap();
        let mut trust = Trust::open(&home).unwrap();
        assert_eq!(trust.state(&project).unwrap(), TrustState::Untrusted);
        trust.add(&project).unwrap();
        let mut trust = Trust::open(&home).unwrap();
        assert!(matches!(trust.state(&project).unwrap(), TrustState::Trusted(text) if text.contains("steps")));
        std::fs::write(&file, "[limits]\nsteps = 2").unwrap();
        assert_eq!(trust.state(&project).unwrap(), TrustState::Changed);
        assert!(trust.remove(&project).unwrap());
        assert_eq!(Trust::open(&home).unwrap().state(&project).unwrap(), TrustState::Untrusted);
        std::fs::write(&file, "[run]\non_denied = 'skip'").unwrap();
        assert!(trust.add(&project).is_err(), "only what tightens can be trusted");
    }
}
