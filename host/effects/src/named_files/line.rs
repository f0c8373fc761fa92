//! Lines of a shell that settings hold, and the files that they run.

use std::collections::BTreeSet;
use std::io::Result;
use std::path::{Path, PathBuf};

use super::search::{GOING, Search};
use super::tables::{is_script, runs_modules, runs_scripts};
use super::words::{candidates, simple_commands};

/// How often a word in quotes is taken for a line again.
const MAX_DEPTH: u32 = 3;
/// Programs that run the one which their words name.
const WRAPPERS: [&str; 13] = [
    "chronic", "command", "env", "eval", "exec", "find", "nice", "nohup", "setsid", "sudo", "time", "timeout", "xargs",
];
/// Endings of modules that are named without them, and files that stand for a folder of them.
const MODULES: [&str; 5] = [".py", "/__main__.py", "/__init__.py", ".js", "/index.js"];

/// A line of a shell that is run in a folder of a workspace.
pub struct Line<'a> {
    pub text: &'a str,
    /// An absolute path without links.
    pub folder: &'a Path,
}

/// What a line names and may run: paths that are absolute, or relative to the folder of the line.
#[derive(Debug, Default)]
pub struct LineFiles {
    /// Files that are there, without links.
    pub files: Vec<PathBuf>,
    /// Paths as they are written, whether there is something or not.
    pub written: BTreeSet<PathBuf>,
}

impl Line<'_> {
    /// Words with a folder in them, and what an interpreter is told to run.
    ///
    /// # Errors
    /// When the words can mean too many files.
    pub fn named(&self, search: &Search<'_>) -> Result<LineFiles> {
        let words = candidates(self.text);
        let words: Vec<&str> = words.iter().map(String::as_str).filter(|word| !word.contains('\0')).collect();
        let scripts = scripts(self.text);
        let is_named = |word: &&str| word.contains('/') || scripts.iter().any(|script| script.name == **word);
        let mut found = LineFiles::default();
        for folder in search.folders(self.folder, &words)? {
            for word in words.iter().filter(|word| is_named(word)) {
                found.files.extend(search.meant(&folder, word, false)?);
            }
            for script in scripts.iter().filter(|script| script.is_module) {
                found.files.extend(search.meant(&folder, &script.name, true)?);
            }
        }
        found.files.retain(|path| path.is_file());
        // Where the line may be by then: words behind one that goes somewhere.
        let goes =
            words.windows(2).filter_map(|pair| pair.first().zip(pair.get(1))).filter(|(word, _)| GOING.contains(word));
        let folders: Vec<PathBuf> = std::iter::once(PathBuf::new()).chain(goes.map(|(_, to)| to.into())).collect();
        let written = words.iter().filter(|word| is_named(word)).map(|word| (*word).to_owned());
        let modules = scripts.iter().filter(|script| script.is_module).flat_map(|script| {
            let path = script.name.replace('.', "/");
            [&script.name, &path].map(|name| MODULES.map(|ending| format!("{name}{ending}"))).concat()
        });
        for name in written.chain(modules) {
            found.written.extend(folders.iter().map(|folder| folder.join(&name)));
        }
        Ok(found)
    }
}

/// A word that an interpreter is told to run.
struct Script {
    name: String,
    /// Whether it may be the name of a module.
    is_module: bool,
}

/// What the interpreters of a line are told to run: the first of their words that is no option, those that end like a
/// script, and all words of a line in which one reads what another program writes.
fn scripts(line: &str) -> Vec<Script> {
    let mut found = Vec::new();
    collect(line, MAX_DEPTH, &mut found);
    found
}

fn collect(line: &str, depth: u32, found: &mut Vec<Script>) {
    let commands = simple_commands(line);
    let reads_what_is_written = commands.iter().any(|command| {
        runner(command).is_some_and(|at| {
            command.iter().skip(at + 1).all(|word| word.starts_with('-') && !word.contains(['c', 'e']))
        })
    });
    for command in &commands {
        let runner = runner(command);
        let is_module = runner.and_then(|at| command.get(at)).is_some_and(|word| runs_modules(word));
        let mut is_first = true;
        for (at, word) in command.iter().enumerate() {
            if let Some(depth) = depth.checked_sub(1)
                && word.contains(char::is_whitespace)
            {
                collect(word, depth, found);
            }
            let is_argument = runner.is_some_and(|runner| runner < at) && !word.starts_with('-');
            if reads_what_is_written || (is_argument && (is_first || is_script(Path::new(word)))) {
                found.push(Script { name: word.clone(), is_module });
            }
            is_first &= !is_argument;
        }
    }
}

/// The place of the interpreter in a simple command: its first word, or one that another program is told.
fn runner(command: &[String]) -> Option<usize> {
    let is_assignment = |word: &String| word.contains('=');
    let first = command.iter().position(|word| !is_assignment(word))?;
    if runs_scripts(command.get(first)?) {
        return Some(first);
    }
    let is_wrapped = WRAPPERS.contains(&command.get(first)?.as_str());
    let told = command.iter().skip(first + 1).position(|word| word != "." && runs_scripts(word))?;
    is_wrapped.then_some(first + 1 + told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpreters_are_told_what_to_run() {
        for (line, names) in [
            ("sh clean", &["clean"][..]),
            ("sh -x clean %f", &["clean"]),
            ("python3 -W ignore f.py", &["ignore", "f.py"]),
            ("cd tools && . ./f", &["./f"]),
            ("cat f | sh", &["cat", "f", "sh"]),
            ("bash -c 'exec sh f'", &["exec sh f", "f"]),
            ("git branch --merged | grep -v main | xargs git branch -d", &[]),
            ("FOO=1 nice -n 5 sh clean", &["clean"]),
            ("git add . && git commit", &[]),
            ("make test", &[]),
            ("vim src/main.c", &[]),
        ] {
            let mut found: Vec<String> = scripts(line).into_iter().map(|script| script.name).collect();
            found.sort();
            let mut names = names.to_vec();
            names.sort_unstable();
            assert_eq!(found, names, "{line}");
        }
    }

    #[test]
    fn what_is_not_there_yet_is_named_as_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let search = Search::new(&root);
        for (text, path) in [
            ("sh tools/clean.sh", "tools/clean.sh"),
            ("\"tools/a b\" %f", "tools/a b"),
            ("bash -c tools/f", "tools/f"),
            ("cd tools && ./f", "tools/./f"),
            ("python3 -m tools.f", "tools/f.py"),
            ("node lib", "lib/index.js"),
            ("sh $PWD/f", "./f"),
            ("sh clean", "clean"),
        ] {
            let written = Line { text, folder: &root }.named(&search).unwrap().written;
            assert!(written.contains(Path::new(path)), "{text}: {written:?}");
        }
        let alias = "git branch --merged | grep -v main | xargs git branch -d";
        let written = Line { text: alias, folder: &root }.named(&search).unwrap().written;
        assert!(written.is_empty(), "{written:?}");
    }
}
