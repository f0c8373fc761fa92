//! The lock of the bundled plugins: digest, description and sources of each component.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// All bundled plugins, by name.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Lock {
    pub plugins: Vec<Locked>,
}

/// One bundled plugin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Locked {
    /// Name in policy files; also the name of its file.
    pub name: String,
    /// `guard`, `impact` or `executor`.
    pub kind: String,
    pub version: String,
    /// World and package version it was built against.
    pub world: String,
    /// Bytes of the component.
    pub size: u64,
    /// SHA-256 of the component.
    pub sha256: String,
    /// SHA-256 over paths and contents of everything it is built from.
    pub sources: String,
    /// Toolchain that built it.
    pub toolchain: String,
}

impl Locked {
    /// Whether another one differs only in bytes and digest, which depend on the toolchain.
    pub fn is_the_same_plugin(&self, other: &Self) -> bool {
        let facts = |plugin: &Self| {
            let Self { name, kind, version, world, sources, .. } = plugin.clone();
            [name, kind, version, world, sources]
        };
        facts(self) == facts(other)
    }
}

/// The folder of the built components.
pub fn dist(root: &Path) -> PathBuf {
    root.join("plugins/dist")
}

pub fn read(root: &Path) -> anyhow::Result<Lock> {
    let path = dist(root).join("lock.json");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not a lock", path.display()))
}

pub fn write(root: &Path, lock: &Lock) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(lock)?;
    text.push('\n');
    fs::write(dist(root).join("lock.json"), text).context("cannot write the lock")
}

/// Fails unless every component is the locked one and was built from the sources as they are.
pub fn check(root: &Path) -> anyhow::Result<()> {
    let lock = read(root)?;
    let mut wrong = Vec::new();
    for locked in &lock.plugins {
        let bytes = fs::read(dist(root).join(format!("{}.wasm", locked.name)))
            .with_context(|| format!("plugins/dist/{}.wasm is locked but cannot be read", locked.name))?;
        if digest(&bytes) != locked.sha256 {
            wrong.push(format!("plugins/dist/{}.wasm is not the locked component", locked.name));
        }
        if sources(root, &crate_folder(root, &locked.name))? != locked.sources {
            wrong.push(format!("{} was built from other sources", locked.name));
        }
    }
    let names: BTreeSet<String> = lock.plugins.into_iter().map(|locked| format!("{}.wasm", locked.name)).collect();
    for entry in fs::read_dir(dist(root))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".wasm") && !names.contains(&name) {
            wrong.push(format!("plugins/dist/{name} is not in the lock"));
        }
    }
    if wrong.is_empty() { Ok(()) } else { bail!("{}\nBuild them again with `cargo xtask guests`.", wrong.join("\n")) }
}

/// The crate of a bundled plugin.
pub fn crate_folder(root: &Path, name: &str) -> PathBuf {
    root.join("plugins").join(name.replace('_', "-"))
}

/// Lower-case hexadecimal SHA-256.
pub fn digest(bytes: &[u8]) -> String {
    hex(Sha256::digest(bytes).as_slice())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Digest over everything a plugin is built from: its crate, the SDK, the contract and the pinned dependencies.
pub fn sources(root: &Path, crate_folder: &Path) -> anyhow::Result<String> {
    let mut files = BTreeSet::new();
    for folder in [root.join("wit"), root.join("guest-sdk"), crate_folder.to_path_buf()] {
        collect(&folder, &mut files)?;
    }
    files.extend(["plugins/Cargo.toml", "plugins/Cargo.lock"].map(|name| root.join(name)));
    let mut hasher = Sha256::new();
    for file in files {
        let name = file.strip_prefix(root)?.to_string_lossy().into_owned();
        let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        for part in [name.as_bytes(), &bytes] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
    }
    Ok(hex(hasher.finalize().as_slice()))
}

fn collect(folder: &Path, files: &mut BTreeSet<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|ending| ["rs", "toml", "wit"].iter().any(|known| ending == *known)) {
            files.insert(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_components_are_the_locked_ones() {
        check(&crate::root().unwrap()).unwrap();
    }
}
