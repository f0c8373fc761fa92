//! Lines of a shell that settings hold, and the files that they run.

use std::collections::{BTreeSet, HashSet};
use std::io::Result;
use std::path::{Path, PathBuf};

use super::search::{GOING, Search};
use super::tables::{is_before_program, is_editor, is_plain, is_script, runs_modules, runs_scripts};
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
    pub kind: LineKind,
}

/// Which words of a line count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineKind {
    /// All with a folder in them: a setting names what runs.
    Program,
    /// Those of commands that do more with files than to show, edit or list them: a person's shortcut names what is worked on.
    Alias,
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
    /// Words with a folder in them, and what an interpreter is told to run. Of a word that the shell puts together, what
    /// follows the part that only the shell knows counts.
    ///
    /// # Errors
    /// When the words can mean too many files.
    pub fn named(&self, search: &Search<'_>) -> Result<LineFiles> {
        let words = candidates(self.text);
        let words: Vec<&str> = words.iter().map(String::as_str).filter(|word| !word.contains('\0')).collect();
        let mut given = BTreeSet::new();
        let scripts = scripts(self.text, &mut given);
        let told: HashSet<&str> = scripts.iter().map(|script| script.name.as_str()).collect();
        let is_named = |word: &&str| match self.kind {
            LineKind::Program => word.contains('/') || told.contains(*word),
            LineKind::Alias => told.contains(*word),
        };
        let rests = behind_expansions(self.text);
        let rests = rests.iter().map(String::as_str);
        let names: BTreeSet<&str> = words.iter().copied().filter(is_named).chain(rests.clone()).collect();
        let places: Vec<&str> = words.iter().copied().chain(rests.clone()).collect();
        let mut found = LineFiles::default();
        for folder in search.folders(self.folder, &places)? {
            for name in &names {
                found.files.extend(search.exact(&folder, name)?);
            }
            // Only what is there: any word could be the name of a file to come.
            for word in &given {
                found.files.extend(search.exact(&folder, word)?);
            }
            for script in scripts.iter().filter(|script| script.is_module) {
                found.files.extend(search.meant(&folder, &script.name, true)?);
            }
        }
        // Where the line may be by then: words behind one that goes somewhere.
        let goes =
            words.windows(2).filter_map(|pair| pair.first().zip(pair.get(1))).filter(|(word, _)| GOING.contains(word));
        let goes = goes.map(|(_, to)| *to).chain(rests);
        let folders: Vec<PathBuf> = std::iter::once(PathBuf::new()).chain(goes.map(PathBuf::from)).collect();
        let modules = scripts.iter().filter(|script| script.is_module).flat_map(|script| {
            let path = script.name.replace('.', "/");
            [&script.name, &path].map(|name| MODULES.map(|ending| format!("{name}{ending}"))).concat()
        });
        for name in names.into_iter().map(ToOwned::to_owned).chain(modules) {
            found.written.extend(folders.iter().map(|folder| folder.join(&name)));
        }
        Ok(found)
    }
}

/// What stands behind a slash that follows something which only the shell knows: `x/y` of `$(pwd)/x/y` and `"${z}"/x/y`.
fn behind_expansions(line: &str) -> Vec<String> {
    let ends = |c: char| c.is_whitespace() || "'\"`$;|&()<>".contains(c);
    let is_expanded = |before: &str| {
        let before = before.trim_end_matches('"');
        let name = before.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || "_@*#?".contains(c));
        before.ends_with([')', '}', '`']) || (name.len() < before.len() && name.ends_with('$'))
    };
    let slashes = line.match_indices('/').filter(|(at, _)| line.get(..*at).is_some_and(is_expanded));
    let rests = slashes.filter_map(|(at, _)| line.get(at + 1..)?.split(ends).next());
    rests.map(|rest| rest.trim_start_matches('/').to_owned()).filter(|rest| !rest.is_empty()).collect()
}

/// A word that names a program or a script.
struct Script {
    name: String,
    /// Whether it may be the name of a module.
    is_module: bool,
}

/// What the commands of a line may run: of those that do more with files than to show, edit or list them each path and each
/// name that ends like a script, what an interpreter is told first, and all words of a line in which one reads what another
/// program writes.
///
/// Beside them, in `given`, all other words of such commands: what they name may be a script of a program that no table knows.
fn scripts(line: &str, given: &mut BTreeSet<String>) -> Vec<Script> {
    let mut found = Vec::new();
    collect(line, MAX_DEPTH, &mut found, given);
    found
}

fn collect(line: &str, depth: u32, found: &mut Vec<Script>, given: &mut BTreeSet<String>) {
    let commands = simple_commands(line);
    let reads_what_is_written = commands.iter().any(|command| {
        runner(command).is_some_and(|at| {
            command.iter().skip(at + 1).all(|word| word.starts_with('-') && !word.contains(['c', 'e']))
        })
    });
    for command in &commands {
        let runner = runner(command);
        let is_module = runner.and_then(|at| command.get(at)).is_some_and(|word| runs_modules(word));
        let is_plain = is_plain(command) || is_editor(command);
        let mut is_first = true;
        for (at, word) in command.iter().enumerate() {
            if let Some(depth) = depth.checked_sub(1)
                && word.contains(char::is_whitespace)
            {
                collect(word, depth, found, given);
            }
            let is_argument = runner.is_some_and(|runner| runner < at) && !word.starts_with('-');
            // `-f`, `-F` and `-nf` are followed by a file.
            let option = at.checked_sub(1).and_then(|before| command.get(before));
            let is_value = option.is_some_and(|option| option.starts_with('-') && option.ends_with(['f', 'F']));
            let is_run = !is_plain && (word.contains('/') || is_script(Path::new(word)) || is_value);
            if !is_plain && at > 0 && !word.starts_with('-') {
                given.extend(candidates(word));
            }
            if reads_what_is_written || is_run || (is_argument && is_first) {
                found.extend(candidates(word).into_iter().map(|name| Script { name, is_module }));
            }
            is_first &= !is_argument;
        }
    }
}

/// The place of the interpreter in a simple command: its first word, or one that another program is told.
fn runner(command: &[String]) -> Option<usize> {
    let first = command.iter().position(|word| !is_before_program(word))?;
    if runs_scripts(command.get(first)?) {
        return Some(first);
    }
    let is_wrapped = WRAPPERS.contains(&command.get(first)?.rsplit('/').next()?);
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
            ("bash -c 'exec sh f'", &["exec sh f", "exec", "sh", "f"]),
            ("git branch --merged | grep -v main | xargs git branch -d", &[]),
            ("FOO=1 nice -n 5 sh clean", &["clean"]),
            ("git add . && git commit", &[]),
            ("./a/b -x c/d", &["./a/b", "c/d"]),
            ("nohup a/b", &["a/b"]),
            ("cat docs/a.md", &[]),
            ("if [ $1 = -f ]; then ./a/b --force; fi", &["./a/b"]),
            ("for x in a b; do sh ./s.sh $x; done", &["./s.sh"]),
            ("/usr/bin/env bash s/s.sh", &["/usr/bin/env", "s/s.sh"]),
            ("uv run x.py", &["x.py"]),
            ("sed -nf fmt.sed data", &["fmt.sed"]),
            ("ssh -F cfg host", &["cfg"]),
            ("git rebase --exec ./ci/t.sh HEAD~1", &["./ci/t.sh"]),
            ("git log -- src/main.c", &[]),
            ("if vim docs/x; then less docs/y; fi", &[]),
            ("make test", &[]),
            ("vim src/main.c", &[]),
        ] {
            let found: BTreeSet<String> =
                scripts(line, &mut BTreeSet::new()).into_iter().map(|script| script.name).collect();
            let names: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
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
            ("$(git rev-parse --show-toplevel)/scripts/clean.sh %f", "scripts/clean.sh"),
            ("sh \"$(git rev-parse --show-toplevel)\"/t/a", "t/a"),
            ("root=`pwd`; sh $root/t/b", "t/b"),
            ("${GIT_PREFIX:-.}/t/c", "t/c"),
        ] {
            let written = Line { text, folder: &root, kind: LineKind::Program }.named(&search).unwrap().written;
            assert!(written.contains(Path::new(path)), "{text}: {written:?}");
        }
        let alias = "git branch --merged | grep -v main | xargs git branch -d";
        let written = Line { text: alias, folder: &root, kind: LineKind::Alias }.named(&search).unwrap().written;
        assert!(written.is_empty(), "{written:?}");
    }
}
