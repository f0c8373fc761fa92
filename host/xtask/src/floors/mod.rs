//! The order of the house: no import runs up, between crates, between the folders of a crate, and between its files.

mod graph;
mod source;
mod tree;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};

use graph::Graph;
use tree::Tree;

/// Crates by floor, the ground first, with the folder of each. A crate knows lower floors only.
const CRATES: &[&[(&str, &str)]] = &[
    &[("fusebox-failpoint", "tests/failpoint"), ("fusebox-sdk", "guest-sdk"), ("fusebox-core", "host/core")],
    &[
        ("fusebox-sandbox", "host/sandbox"),
        ("fusebox-effects", "host/effects"),
        ("fusebox-store", "host/store"),
        ("fusebox-risk", "host/risk"),
    ],
    &[("fusebox", "host/fusebox"), ("fusebox-train", "models")],
    &[("fusebox-adapters", "host/adapters")],
    &[("fusebox-cli", "host/cli"), ("xtask", "host/xtask")],
];

/// Folders and files of `host/fusebox/src` by floor, the lowest first: the stages of a step, and their foundations.
const STAGES: &[&[&str]] = &[
    &["error", "hex", "input"],
    &["ambient", "bundled", "home"],
    &["policy", "signals", "sinks", "log", "approval", "copies"],
    &["plugins", "admission"],
    &["gate", "redaction", "prediction"],
    &["audit", "kit"],
    &["services"],
    &["journal"],
    &["execution", "check", "primitives"],
    &["session"],
    &["run", "control"],
    &["host"],
    &["packing"],
];

/// Fails when an import runs up, or files import each other in a circle.
pub fn check(root: &Path) -> anyhow::Result<()> {
    let mut wrong = Vec::new();
    let (mut files, mut arrows) = (0, 0);
    crates(root, &mut wrong)?;
    for (name, folder) in CRATES.iter().copied().flatten() {
        let tree = Tree::read(&root.join(folder).join("src"))?;
        let graph = tree.graph();
        files += tree.files();
        arrows += graph.arrows();
        for circle in graph.circles() {
            wrong.push(format!("{name}: files import each other in a circle: {}", circle.join(", ")));
        }
        let folders = graph.folded(|file| file.split('/').next().unwrap_or(file).trim_end_matches(".rs").to_owned());
        for circle in folders.circles() {
            wrong.push(format!("{name}: folders import each other in a circle: {}", circle.join(", ")));
        }
        if *name == "fusebox" {
            stages(&graph, &folders, &mut wrong);
        }
    }
    if !wrong.is_empty() {
        bail!(
            "{}\nMove what both need to the lower floor; floors are listed in host/xtask/src/floors/mod.rs",
            wrong.join("\n")
        );
    }
    println!("no import runs up: {files} files, {arrows} imports between them, no circle");
    Ok(())
}

/// Checks dependencies between crates, tests' and benches' left out.
fn crates(root: &Path, wrong: &mut Vec<String>) -> anyhow::Result<()> {
    let floor = floors(CRATES.iter().map(|floor| floor.iter().map(|(name, _)| *name).collect()));
    for (name, folder) in CRATES.iter().copied().flatten() {
        let path = root.join(folder).join("Cargo.toml");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut is_dependencies = false;
        for line in text.lines() {
            if line.starts_with('[') {
                is_dependencies =
                    line.trim_end_matches(']').ends_with("dependencies") && !line.contains("dev-dependencies");
                continue;
            }
            let dependency = line.split(['.', ' ', '=']).next().unwrap_or_default();
            if !is_dependencies || !floor.contains_key(dependency) {
                continue;
            }
            if floor.get(dependency) >= floor.get(name) {
                wrong.push(format!("{name} depends on {dependency}, which is not on a lower floor"));
            }
        }
    }
    Ok(())
}

/// Checks the folders of the embedding crate.
fn stages(files: &Graph, folders: &Graph, wrong: &mut Vec<String>) {
    let floor = floors(STAGES.iter().map(|floor| floor.to_vec()));
    for (from, to) in folders.all() {
        match (floor.get(from.as_str()), floor.get(to.as_str())) {
            _ if from == "lib" => {}
            (Some(below), Some(above)) if above > below => {
                let inside = |file: &str, folder: &str| {
                    file == format!("{folder}.rs") || file.starts_with(&format!("{folder}/"))
                };
                for (file, imported) in
                    files.all().filter(|(file, imported)| inside(file, from) && inside(imported, to))
                {
                    wrong.push(format!("fusebox: {file} imports {imported}, which is on a floor above"));
                }
            }
            (Some(_), Some(_)) => {}
            _ => wrong.push(format!("fusebox: {from} or {to} is on no floor; add it to the list")),
        }
    }
}

fn floors<'a>(order: impl Iterator<Item = Vec<&'a str>>) -> BTreeMap<&'a str, usize> {
    order.enumerate().flat_map(|(floor, names)| names.into_iter().map(move |name| (name, floor))).collect()
}
