//! Building the bundled plugins.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde_json::Value;
use wit_component::{ComponentEncoder, DecodedWasm};

use crate::lock::{self, Lock, Locked};
use crate::stage;
use crate::toolchain::{TARGET, Toolchain};

/// Builds all bundled plugins and writes components and lock.
pub fn build(root: &Path) -> anyhow::Result<()> {
    let toolchain = Toolchain::find()?;
    println!("building with {}", toolchain.name());
    let built = build_all(root, &toolchain)?;
    let folder = lock::dist(root);
    fs::create_dir_all(&folder)?;
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "wasm") {
            fs::remove_file(path)?;
        }
    }
    for (locked, component) in &built {
        fs::write(folder.join(format!("{}.wasm", locked.name)), component)?;
        println!("{:<18} {:<9} {:>8} bytes  {}", locked.name, locked.kind, locked.size, locked.sha256);
    }
    lock::write(root, &Lock { plugins: built.into_iter().map(|(locked, _)| locked).collect() })
}

/// Builds all bundled plugins and fails when lock or committed components say otherwise. With another toolchain than
/// the lock's, bytes may differ: then all but the bytes must be as locked. The committed components stay as they are.
pub fn check(root: &Path) -> anyhow::Result<()> {
    lock::check(root)?;
    let toolchain = Toolchain::find()?;
    println!("building with {}", toolchain.name());
    let committed = lock::read(root)?;
    let mut wrong = Vec::new();
    for (built, _) in build_all(root, &toolchain)? {
        let Some(locked) = committed.plugins.iter().find(|locked| locked.name == built.name) else {
            wrong.push(format!("{} is not in the lock", built.name));
            continue;
        };
        if locked.toolchain != built.toolchain && locked.is_the_same_plugin(&built) {
            println!("{}: rebuilt; its bytes are those of {}, and not compared", built.name, locked.toolchain);
        } else if *locked == built {
            println!("{}: rebuilt byte for byte", built.name);
        } else {
            wrong.push(format!("{} differs from the lock:\n  locked {locked:?}\n  built  {built:?}", built.name));
        }
    }
    if wrong.is_empty() { Ok(()) } else { bail!("{}\nBuild them again with `cargo xtask guests`.", wrong.join("\n")) }
}

fn build_all(root: &Path, toolchain: &Toolchain) -> anyhow::Result<Vec<(Locked, Vec<u8>)>> {
    let target_dir = root.join("target/guests");
    let stage = stage::stage(root)?;
    let fetched = toolchain.cargo_fetch().current_dir(&stage).status().context("cannot start cargo")?;
    if !fetched.success() {
        bail!("the dependencies of the guests cannot be had");
    }
    let status = toolchain
        .cargo_build(&stage)?
        .arg("--target-dir")
        .arg(&target_dir)
        .current_dir(&stage)
        .status()
        .context("cannot start cargo")?;
    if !status.success() {
        bail!("the guests do not build");
    }
    let mut built = Vec::new();
    for folder in crate_folders(root)? {
        built.push(encode(root, toolchain, &target_dir, &folder)?);
    }
    built.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
    Ok(built)
}

/// The crates of the plugins' workspace.
fn crate_folders(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(root.join("plugins"))? {
        let path = entry?.path();
        if path.join("Cargo.toml").exists() && path.join("src").is_dir() {
            folders.push(path);
        }
    }
    Ok(folders)
}

/// Creates the component of one crate, and its line of the lock from the component's description.
fn encode(root: &Path, toolchain: &Toolchain, target_dir: &Path, folder: &Path) -> anyhow::Result<(Locked, Vec<u8>)> {
    let crate_name = folder.file_name().context("a crate has a folder")?.to_string_lossy().replace('-', "_");
    let module = target_dir.join(TARGET).join("release").join(format!("{crate_name}.wasm"));
    let module = fs::read(&module).with_context(|| format!("cannot read {}", module.display()))?;
    let component = ComponentEncoder::default().validate(true).module(&module)?.encode()?;
    let DecodedWasm::Component(resolve, world) = wit_component::decode(&component)? else {
        bail!("{crate_name} is not a component");
    };
    let world = resolve.worlds.get(world).context("the component has no world")?;
    let exported = world
        .exports
        .keys()
        .map(|key| resolve.name_world_key(key))
        .find_map(|name| name.strip_prefix("fusebox:plugin/").map(str::to_owned))
        .with_context(|| format!("{crate_name} exports nothing of fusebox:plugin"))?;
    let (kind, version) = exported.split_once('@').context("the exported interface has a version")?;
    let manifest = fs::read_to_string(root.join("plugins/Cargo.toml"))?;
    let locked = Locked {
        name: plugin_name(folder, &crate_name)?,
        kind: kind.to_owned(),
        version: workspace_version(&manifest)?,
        world: format!("fusebox:plugin/{kind}-plugin@{version}"),
        size: component.len() as u64,
        sha256: lock::digest(&component),
        sources: lock::sources(root, folder)?,
        toolchain: toolchain.name(),
    };
    Ok((locked, component))
}

/// Executors are called like their step type, other plugins like their crate.
fn plugin_name(folder: &Path, crate_name: &str) -> anyhow::Result<String> {
    let manifest = fs::read_to_string(folder.join("Cargo.toml"))?;
    let is_executor = manifest.contains("world = \"executor-plugin\"");
    Ok(if is_executor { crate_name.to_owned() } else { crate_name.replace('_', "-") })
}

fn workspace_version(manifest: &str) -> anyhow::Result<String> {
    let line = manifest.lines().find_map(|line| line.strip_prefix("version = ")).context("no version")?;
    let version: Value = serde_json::from_str(line)?;
    Ok(version.as_str().context("version is not a string")?.to_owned())
}
