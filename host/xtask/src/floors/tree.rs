//! The files of a crate as a tree of modules, in which a path leads to the file that owns it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context as _;

use super::graph::Graph;
use super::source::{Kind, Named, paths};

/// A re-export may lead to another one; longer chains are not followed.
const MAX_HOPS: usize = 8;

/// All modules of a crate that have a file of their own, by path.
#[derive(Debug)]
pub struct Tree {
    modules: BTreeMap<Vec<String>, Module>,
}

#[derive(Debug)]
struct Module {
    /// Path relative to `src`.
    file: String,
    named: Vec<Named>,
}

impl Tree {
    /// Reads all files below `src`.
    pub fn read(src: &Path) -> anyhow::Result<Self> {
        let mut modules = BTreeMap::new();
        let mut open = vec![src.to_path_buf()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
                let path = entry?.path();
                if path.is_dir() {
                    open.push(path);
                    continue;
                }
                let file = path.strip_prefix(src)?.to_string_lossy().replace('\\', "/");
                let Some(module) = file.strip_suffix(".rs") else { continue };
                let mut module: Vec<String> = module.split('/').map(ToOwned::to_owned).collect();
                if module.iter().any(|part| part == "tests" || part == "bin") {
                    continue;
                }
                if module.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
                    module.pop();
                }
                let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
                modules.insert(module, Module { file, named: paths(&text) });
            }
        }
        Ok(Self { modules })
    }

    /// Number of files.
    pub fn files(&self) -> usize {
        self.modules.len()
    }

    /// Graph of imports by file. A re-export is not a need of the file itself.
    pub fn graph(&self) -> Graph {
        let mut graph = Graph::default();
        for (place, module) in &self.modules {
            for named in module.named.iter().filter(|named| named.kind != Kind::Reexport) {
                if let Some(owner) = self.owner(place, &named.path, MAX_HOPS) {
                    graph.add(&module.file, &owner.file);
                }
            }
        }
        graph
    }

    /// The file that owns the target of a path in a module, if it is of this crate.
    fn owner(&self, place: &[String], path: &[String], hops: usize) -> Option<&Module> {
        let (first, mut rest) = path.split_first()?;
        let mut at: Vec<String> = match first.as_str() {
            "crate" => Vec::new(),
            "self" => place.to_vec(),
            "super" => place.split_last()?.1.to_vec(),
            // A module that lies in this one.
            child => {
                let below = [place, &[child.to_owned()]].concat();
                self.modules.contains_key(&below).then_some(below)?
            }
        };
        while let Some((next, after)) = rest.split_first() {
            if next == "super" {
                at.pop();
                rest = after;
                continue;
            }
            let below = [&at[..], std::slice::from_ref(next)].concat();
            if self.modules.contains_key(&below) {
                (at, rest) = (below, after);
                continue;
            }
            let module = self.modules.get(&at)?;
            let shown = module.named.iter().filter(|named| named.kind == Kind::Reexport);
            let name = |named: &&Named| named.alias.as_ref().or(named.path.last()) == Some(next);
            return match shown.clone().find(name) {
                Some(named) if hops > 0 => self.owner(&at, &named.path, hops - 1).or(Some(module)),
                _ => Some(module),
            };
        }
        self.modules.get(&at)
    }
}
