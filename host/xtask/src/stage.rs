//! Putting everything that guests are built from into one folder.
//!
//! Cargo gives a path dependency outside of its workspace a symbol hash that depends on where it lies, and the order of
//! functions follows from symbols: the same sources would give other bytes in another folder. So the SDK and the contract
//! are placed inside the plugins' workspace before it is built.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

/// Dependency of the plugins' workspace on the SDK, in the repository and in the stage.
const SDK_BESIDE: &str = "path = \"../guest-sdk\"";
const SDK_INSIDE: &str = "path = \"guest-sdk\"";
/// The start of the list of the workspace's members.
const MEMBERS: &str = "members = [";

/// The folder to build in, up to date. Files that did not change keep their times, so that only what changed is built.
pub fn stage(root: &Path) -> anyhow::Result<PathBuf> {
    let folder = root.join("target/guests/stage");
    let mut placed = BTreeSet::new();
    place(&root.join("plugins"), &folder, &mut placed)?;
    for part in ["guest-sdk", "wit"] {
        place(&root.join(part), &folder.join(part), &mut placed)?;
    }
    let manifest = fs::read_to_string(root.join("plugins/Cargo.toml"))?;
    ensure!(manifest.contains(SDK_BESIDE) && manifest.contains(MEMBERS), "plugins/Cargo.toml is not as expected");
    let manifest = manifest.replace(SDK_BESIDE, SDK_INSIDE).replace(MEMBERS, "members = [\"guest-sdk\", ");
    write(&folder.join("Cargo.toml"), manifest.as_bytes())?;
    remove_others(&folder, &placed)?;
    Ok(folder)
}

/// Copies sources and manifests, whole trees of them.
fn place(from: &Path, to: &Path, placed: &mut BTreeSet<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("cannot list {}", from.display()))? {
        let (path, target) = entry.map(|entry| (entry.path(), to.join(entry.file_name())))?;
        let is_source =
            path.extension().is_some_and(|ending| ["rs", "toml", "wit", "lock"].iter().any(|it| ending == *it));
        if path.is_dir() {
            if path.file_name().is_none_or(|name| name != "target" && name != "dist") {
                place(&path, &target, placed)?;
            }
        } else if is_source {
            // The manifest of the workspace is written changed.
            if path != from.join("Cargo.toml") || !from.ends_with("plugins") {
                write(&target, &fs::read(&path)?)?;
            }
            placed.insert(target);
        }
    }
    Ok(())
}

fn write(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    if fs::read(path).is_ok_and(|present| present == content) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}

fn remove_others(folder: &Path, placed: &BTreeSet<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_others(&path, placed)?;
        } else if !placed.contains(&path) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}
