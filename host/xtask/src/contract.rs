//! The frozen contract: once `wit/frozen.json` says so, no released file of the WIT package may change.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use wit_parser::Resolve;

use crate::lock::digest;

/// Content of `wit/frozen.json`.
#[derive(Deserialize)]
struct Frozen {
    /// On since guests in three languages have compiled against the package.
    frozen: bool,
    /// Digest of each released file.
    files: BTreeMap<String, String>,
}

/// Fails when the package does not parse, or is frozen and was changed.
pub fn check(root: &Path) -> anyhow::Result<()> {
    let folder = root.join("wit");
    Resolve::default().push_dir(&folder).context("the WIT package does not parse")?;
    let frozen: Frozen = serde_json::from_str(&fs::read_to_string(folder.join("frozen.json"))?)?;
    let changed = changed_files(&folder, &frozen)?;
    if !changed.is_empty() {
        bail!("released files of the contract are frozen, but changed: {}", changed.join(", "));
    }
    println!("the contract parses; freezing is {}", if frozen.frozen { "on" } else { "off" });
    Ok(())
}

fn changed_files(folder: &Path, frozen: &Frozen) -> anyhow::Result<Vec<String>> {
    if !frozen.frozen {
        return Ok(Vec::new());
    }
    if frozen.files.is_empty() {
        bail!("frozen.json freezes the contract but lists no file");
    }
    let mut changed = Vec::new();
    for (name, released) in &frozen.files {
        let now = fs::read(folder.join(name)).ok().map(|bytes| digest(&bytes));
        if now.as_ref() != Some(released) {
            changed.push(name.clone());
        }
    }
    // An unlisted file would change the package, too.
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".wit") && !frozen.files.contains_key(&name) {
            changed.push(name);
        }
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frozen(on: bool, text: &[u8]) -> Frozen {
        Frozen { frozen: on, files: [("a.wit".to_owned(), digest(text))].into() }
    }

    #[test]
    fn a_changed_or_missing_file_is_found_once_frozen() {
        let folder = std::env::temp_dir().join(format!("fusebox-contract-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        assert_eq!(changed_files(&folder, &frozen(true, b"x")).unwrap(), ["a.wit"]);
        fs::write(folder.join("a.wit"), "x").unwrap();
        assert!(changed_files(&folder, &frozen(true, b"x")).unwrap().is_empty());
        assert_eq!(changed_files(&folder, &frozen(true, b"y")).unwrap(), ["a.wit"]);
        assert!(changed_files(&folder, &frozen(false, b"y")).unwrap().is_empty());
        fs::write(folder.join("b.wit"), "x").unwrap();
        assert_eq!(changed_files(&folder, &frozen(true, b"x")).unwrap(), ["b.wit"]);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_package_parses() {
        check(&crate::root().unwrap()).unwrap();
    }
}
