//! Files of the workspace that a command names: programs and scripts, whose content an approval covers.

use std::collections::BTreeSet;
use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read as _, Result};
use std::path::{Path, PathBuf};

use fusebox_core::effect::NamedFile;
use fusebox_core::{Digest, DigestBuilder, WorkspacePath};

use crate::program::{Environment, is_executable};

/// Most bytes of all files of one command that are read. Beyond, a file is known by its size, times and number.
const MAX_BYTES: u64 = 256 * 1024 * 1024;
/// Programs that run what their arguments name, without their version numbers.
const INTERPRETERS: [&str; 66] = [
    ".",
    "ansible-playbook",
    "ash",
    "awk",
    "bash",
    "bun",
    "busybox",
    "clojure",
    "csh",
    "dash",
    "deno",
    "dotnet",
    "elixir",
    "env",
    "erl",
    "escript",
    "eval",
    "exec",
    "expect",
    "fish",
    "gawk",
    "gdb",
    "gmake",
    "gnuplot",
    "go",
    "groovy",
    "guile",
    "irb",
    "java",
    "jshell",
    "julia",
    "just",
    "kotlin",
    "ksh",
    "lua",
    "make",
    "mksh",
    "mono",
    "mysql",
    "nix",
    "node",
    "npm",
    "npx",
    "octave",
    "perl",
    "php",
    "pnpm",
    "psql",
    "pwsh",
    "python",
    "R",
    "rake",
    "Rscript",
    "ruby",
    "sbcl",
    "scala",
    "sed",
    "sh",
    "source",
    "sqlite3",
    "tclsh",
    "ts-node",
    "tsx",
    "xargs",
    "yarn",
    "zsh",
];
/// Endings of files that are run.
const SCRIPTS: [&str; 36] = [
    "awk", "bash", "bat", "class", "cjs", "cmake", "cmd", "coffee", "dll", "exe", "exp", "fish", "gradle", "groovy",
    "jar", "jl", "js", "kts", "lua", "mjs", "mk", "php", "pl", "ps1", "py", "pyc", "pyz", "r", "rb", "sh", "so", "sql",
    "tcl", "ts", "wasm", "zsh",
];
/// Files that an interpreter runs when it is given their folder.
const PACKAGE: [&str; 6] = ["__main__.py", "__init__.py", "package.json", "index.js", "index.cjs", "index.mjs"];
/// Most folders in which words are looked for.
const MAX_FOLDERS: usize = 16;
/// Most letters of options in front of a value.
const MAX_LETTERS: usize = 12;
/// Most paths that match a pattern.
const MAX_MATCHES: usize = 1000;
/// Files that programs run without being told their names.
const UNNAMED: [(&str, &[&str]); 12] = [
    ("make", &["GNUmakefile", "makefile", "Makefile"]),
    ("gmake", &["GNUmakefile", "makefile", "Makefile"]),
    ("npm", &["package.json"]),
    ("npx", &["package.json"]),
    ("yarn", &["package.json"]),
    ("pnpm", &["package.json"]),
    ("bun", &["package.json"]),
    ("just", &["justfile", "Justfile", ".justfile"]),
    ("rake", &["Rakefile", "rakefile"]),
    ("tox", &["tox.ini"]),
    ("nox", &["noxfile.py"]),
    ("task", &["Taskfile.yml", "Taskfile.yaml"]),
];

/// A command whose words name files.
#[derive(Debug, Clone, Copy)]
pub struct NamingCommand<'a> {
    /// Program name and arguments.
    pub argv: &'a [String],
    /// The executable, without links.
    pub program: &'a Path,
    /// The folder in which it starts.
    pub cwd: &'a WorkspacePath,
    /// The workspace, as an absolute path without links.
    pub workspace: &'a Path,
    /// Environment of the process.
    pub environment: &'a Environment,
}

/// Files of the workspace that a command names and that may be run, its program first, each once for each word: those that
/// can be executed or end like scripts and, where an interpreter is among the words, all.
///
/// # Errors
/// When a file cannot be read for a reason other than its absence.
pub fn named_files(command: NamingCommand<'_>) -> Result<Vec<NamedFile>> {
    let mut found = Found { files: Vec::new(), seen: BTreeSet::new(), left: MAX_BYTES, workspace: command.workspace };
    let Some((name, arguments)) = command.argv.split_first() else { return Ok(found.files) };
    found.add(name, command.program, !name.contains('/'))?;
    let program = command.program.file_name().unwrap_or_default().to_string_lossy();
    let folder = command.workspace.join(command.cwd.as_str());
    let local = LocalPrograms::new(command.environment, command.workspace);
    // Quotes and backslashes inside of a word join what they stand between.
    let joined: Vec<String> = arguments.iter().map(|word| word.replace(['\'', '"', '\\'], "")).collect();
    let words: Vec<&str> =
        std::iter::once(&*program).chain(arguments.iter().chain(&joined).flat_map(|word| candidates(word))).collect();
    let folders = folders(&folder, &words);
    // The shell of a line is not what runs a file that the line names.
    let hands_over = |word: &String| word.starts_with('-') && !word.starts_with("--") && word.contains('c');
    let is_line =
        is_shell(&program) && arguments.iter().take_while(|word| word.starts_with(['-', '+'])).any(hands_over);
    let runs_any = words.iter().skip(usize::from(is_line)).any(|word| is_interpreter(word));
    for word in words {
        if word.is_empty() || word.contains('\0') {
            continue;
        }
        if let Some(path) = local.find(word) {
            found.add(word, &path, true)?;
        }
        for folder in &folders {
            for path in meant(folder, word, runs_any) {
                if runs_any || is_executable(&path) || is_script(&path) {
                    found.add(word, &path, false)?;
                }
            }
        }
        let own_name = word.rsplit('/').next().unwrap_or(word);
        for script in UNNAMED.iter().filter(|(program, _)| *program == own_name).flat_map(|(_, scripts)| *scripts) {
            for path in folders.iter().filter_map(|folder| folder.join(script).canonicalize().ok()) {
                found.add(word, &path, false)?;
            }
        }
    }
    Ok(found.files)
}

/// Folders in which the words of a command can have their meaning: its own, and all that its words name, by whatever
/// option they are gone to.
fn folders(own: &Path, words: &[&str]) -> Vec<PathBuf> {
    let mut folders = vec![own.to_owned()];
    for word in words {
        let found: Vec<PathBuf> = folders
            .iter()
            .flat_map(|folder| spellings(word).map(|name| folder.join(name)).chain(matches(folder, word)))
            .filter_map(|path| path.canonicalize().ok())
            .filter(|path| path.is_dir() && path.starts_with(own))
            .collect();
        for path in found {
            if folders.len() < MAX_FOLDERS && !folders.contains(&path) {
                folders.push(path);
            }
        }
    }
    folders
}

/// A word, and what can stand behind the letters of its options.
fn spellings(word: &str) -> impl Iterator<Item = &str> {
    let is_glued = word.starts_with('-') && !word.starts_with("--");
    let letters = if is_glued { MAX_LETTERS } else { 0 };
    std::iter::once(word).chain(word.char_indices().skip(2).take(letters).filter_map(|(at, _)| word.get(at..)))
}

/// Paths that a word matches as a pattern of a shell, part by part.
fn matches(folder: &Path, word: &str) -> Vec<PathBuf> {
    if !word.contains(['*', '?', '[']) {
        return Vec::new();
    }
    let mut paths = vec![folder.to_owned()];
    for part in word.split('/') {
        let next = paths.iter().flat_map(|path| -> Vec<PathBuf> {
            if !part.contains(['*', '?', '[']) {
                return vec![path.join(part)];
            }
            let entries = std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
            let is_match = |path: &PathBuf| {
                path.file_name().is_some_and(|name| fast_glob::glob_match(part, &*name.to_string_lossy()))
            };
            entries.filter(is_match).collect()
        });
        paths = next.take(MAX_MATCHES).collect();
    }
    paths.sort();
    paths
}

/// Files that a word can mean in a folder, without links: the word as it is, behind the letters of an option, as the
/// name of a module or package for interpreters, and as a pattern.
fn meant(folder: &Path, word: &str, runs_any: bool) -> Vec<PathBuf> {
    let mut paths = matches(folder, word);
    for word in spellings(word) {
        paths.push(folder.join(word));
        if runs_any && !word.starts_with('-') {
            // `-m a.b` of Python, and the names of Node.js without their endings.
            let module = folder.join(word.replace('.', "/"));
            paths.extend(["py", "pyc"].map(|ending| module.with_extension(ending)));
            paths.extend(["js", "cjs", "mjs", "json", "ts"].map(|ending| folder.join(format!("{word}.{ending}"))));
            for package in [&module, &folder.join(word)] {
                paths.extend(PACKAGE.map(|file| package.join(file)));
            }
        }
    }
    paths.into_iter().filter_map(|path| path.canonicalize().ok()).collect()
}

fn is_shell(program: &str) -> bool {
    matches!(program, "sh" | "ash" | "bash" | "dash" | "ksh" | "mksh" | "zsh" | "fish" | "csh" | "tcsh")
}

fn is_interpreter(word: &str) -> bool {
    let name = word.rsplit('/').next().unwrap_or(word);
    let plain = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    // A lone dot runs a file in the shell.
    INTERPRETERS.contains(&if plain.is_empty() { name } else { plain }) || INTERPRETERS.contains(&name)
}

fn is_script(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_lowercase);
    ending.is_some_and(|ending| SCRIPTS.contains(&&*ending))
}

/// A word, its value behind `=`, and the words in it as a shell would see them.
fn candidates(word: &str) -> impl Iterator<Item = &str> {
    let value = word.split_once('=').map(|(_, value)| value);
    let is_line = word.contains(separates);
    let inner = word.split(separates).filter(move |_| is_line);
    let inner_values = word.split(separates).filter_map(|part| Some(part.split_once('=')?.1)).filter(move |_| is_line);
    std::iter::once(word).chain(value).chain(inner).chain(inner_values)
}

fn separates(c: char) -> bool {
    c.is_whitespace() || "'\"`$(){};|&<>\\".contains(c)
}

struct Found<'a> {
    files: Vec<NamedFile>,
    seen: BTreeSet<(String, PathBuf)>,
    /// Bytes that may still be read.
    left: u64,
    workspace: &'a Path,
}

impl Found<'_> {
    fn add(&mut self, word: &str, path: &Path, on_search_path: bool) -> Result<()> {
        let Ok(below) = path.strip_prefix(self.workspace) else { return Ok(()) };
        // A path that is no text or too long cannot be named in an effect; the word and its folder are bound all the same.
        let Some(Ok(named)) = below.to_str().map(WorkspacePath::parse) else { return Ok(()) };
        if !self.seen.insert((word.to_owned(), path.to_owned())) {
            return Ok(());
        }
        if let Some(content) = self.content(path)? {
            self.files.push(NamedFile { word: word.to_owned(), path: named, content, on_search_path });
        }
        Ok(())
    }

    /// Digest of a file; `None` for anything else.
    fn content(&mut self, path: &Path) -> Result<Option<Digest>> {
        let metadata = match path.symlink_metadata() {
            Ok(metadata) if metadata.is_file() => metadata,
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if metadata.len() > self.left {
            return identity(&metadata).map(Some);
        }
        let mut bytes = Vec::new();
        // Programs need not be readable.
        let Ok(file) = File::open(path) else { return identity(&metadata).map(Some) };
        file.take(self.left).read_to_end(&mut bytes)?;
        self.left -= bytes.len() as u64;
        Ok(Some(Digest::of(&bytes)))
    }
}

/// Digest of the size and time of a file and, on Unix, its number and the time of its last change, which no program sets.
fn identity(metadata: &Metadata) -> Result<Digest> {
    let modified = metadata.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let digest = DigestBuilder::new("fusebox file that is not read 1")
        .part(&metadata.len().to_be_bytes())
        .part(&modified.as_nanos().to_be_bytes());
    #[cfg(unix)]
    let digest = {
        use std::os::unix::fs::MetadataExt as _;
        [metadata.ino().to_be_bytes(), metadata.ctime().to_be_bytes(), metadata.ctime_nsec().to_be_bytes()]
            .iter()
            .fold(digest, |digest, part| digest.part(part))
    };
    Ok(digest.finish())
}

/// Programs of the workspace that bare names lead to.
struct LocalPrograms {
    /// The search path, up to its last folder in the workspace; none when it has no such folder.
    folders: Vec<PathBuf>,
}

impl LocalPrograms {
    fn new(environment: &Environment, workspace: &Path) -> Self {
        let mut folders = environment.search_path();
        let is_local = |folder: &PathBuf| {
            folder.is_absolute() && folder.canonicalize().is_ok_and(|folder| folder.starts_with(workspace))
        };
        let last = folders.iter().rposition(is_local).map_or(0, |last| last + 1);
        folders.truncate(last);
        Self { folders }
    }

    /// The first program of this name. It may lie outside of the workspace.
    fn find(&self, name: &str) -> Option<PathBuf> {
        if name.contains('/') {
            return None;
        }
        let candidates = self.folders.iter().filter(|folder| folder.is_absolute()).map(|folder| folder.join(name));
        candidates.into_iter().find(|path| is_executable(path))?.canonicalize().ok()
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn workspace() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("bin")).unwrap();
        std::fs::write(root.join("data"), "5").unwrap();
        std::fs::create_dir_all(root.join("sub")).unwrap();
        let sub = [("sub/Makefile", "5"), ("sub/mod.py", "6"), ("sub/__main__.py", "7"), ("sub/run", "8")];
        for (name, text) in [("s.py", "1"), ("bin/git", "2"), ("Makefile", "3"), ("a b.sh", "4")].into_iter().chain(sub)
        {
            std::fs::write(root.join(name), text).unwrap();
            std::fs::set_permissions(root.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        (folder, root)
    }

    fn names(root: &Path, argv: &[&str], program: &str, path: &str) -> Vec<String> {
        let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
        let environment = Environment::allowed([("PATH".into(), path.into())]);
        let cwd = WorkspacePath::default();
        let program = Path::new(program);
        let command = NamingCommand { argv: &argv, program, cwd: &cwd, workspace: root, environment: &environment };
        let files = named_files(command).unwrap();
        files.into_iter().map(|file| file.path.to_string()).collect()
    }

    #[test]
    fn files_that_a_command_runs_are_found() {
        let (_folder, root) = workspace();
        let local = format!("{}/bin:/usr/bin", root.display());
        let own = root.join("bin/git");
        for (argv, program, path, files) in [
            (&["python3", "s.py"][..], "/usr/bin/python3", "/usr/bin", &["s.py"][..]),
            (&["python3", "./s.py"], "/usr/bin/python3", "/usr/bin", &["s.py"]),
            (&["python3", "--file=s.py"], "/usr/bin/python3", "/usr/bin", &["s.py"]),
            (&["sh", "-c", "cd . && python3 s.py|cat"], "/bin/sh", "/usr/bin", &["s.py"]),
            (&["env", "git", "status"], "/usr/bin/env", &local, &["bin/git"]),
            (&["sh", "-c", "git status"], "/bin/sh", &local, &["bin/git"]),
            (&["sh", "-c", "git status"], "/bin/sh", "/usr/bin", &[]),
            (&["git"], own.to_str().unwrap(), &local, &["bin/git"]),
            (&["make", "all"], "/usr/bin/make", "/usr/bin", &["Makefile"]),
            (&["make", "-C", "sub"], "/usr/bin/make", "/usr/bin", &["Makefile", "sub/Makefile", "sub/__main__.py"]),
            (&["make", "-fdata"], "/usr/bin/make", "/usr/bin", &["Makefile", "data"]),
            (&["sed", "-nfdata", "x"], "/usr/bin/sed", "/usr/bin", &["data"]),
            (&["python3", "-m", "sub.mod"], "/usr/bin/python3", "/usr/bin", &["sub/mod.py"]),
            (&["python3", "sub"], "/usr/bin/python3", "/usr/bin", &["sub/__main__.py"]),
            (&["sh", "-c", "cd sub && ./run"], "/bin/sh", "/usr/bin", &["sub/run"]),
            (&["env", "-C", "sub", "./run"], "/usr/bin/env", "/usr/bin", &["sub/__main__.py", "sub/run"]),
            (&["sh", "-c", "cd -P sub && ./run"], "/bin/sh", "/usr/bin", &["sub/run"]),
            (&["make", "-sCsub"], "/usr/bin/make", "/usr/bin", &["Makefile", "sub/Makefile", "sub/__main__.py"]),
            (&["python3", "-Bms"], "/usr/bin/python3", "/usr/bin", &["s.py"]),
            (&["sh", "-c", "sh da't'a"], "/bin/sh", "/usr/bin", &["data"]),
            (&["sh", "-c", "sh d\\ata"], "/bin/sh", "/usr/bin", &["data"]),
            (&["sh", "-c", "./s*b/run"], "/bin/sh", "/usr/bin", &["sub/run"]),
            (&["sh", "-c", "sh d*a"], "/bin/sh", "/usr/bin", &["data"]),
            (&["sh", "-c", "cat da[t]a | sh"], "/bin/sh", "/usr/bin", &["data"]),
            (&["bash", "a b.sh"], "/bin/bash", "/usr/bin", &["a b.sh"]),
            (&["cat", "s.py"], "/bin/cat", "/usr/bin", &["s.py"]),
            (&["cat", "data"], "/bin/cat", "/usr/bin", &[]),
            (&["sh", "-c", "echo 1 >> data"], "/bin/sh", "/usr/bin", &[]),
            (&["sh", "-c", "cat data | sh"], "/bin/sh", "/usr/bin", &["data"]),
            (&["sh", "-c", ". ./data"], "/bin/sh", "/usr/bin", &["data"]),
            (&["sh", "data"], "/bin/sh", "/usr/bin", &["data"]),
            (&["python3.12", "data"], "/usr/bin/python3.12", "/usr/bin", &["data"]),
            (&["python3", "/etc/passwd", "bin"], "/usr/bin/python3", "/usr/bin", &[]),
        ] {
            let mut found = names(&root, argv, program, path);
            found.dedup();
            assert_eq!(found, files, "{argv:?}");
        }
    }

    #[test]
    fn only_programs_that_the_search_path_leads_to_are_said_to_be_on_it() {
        let (_folder, root) = workspace();
        let local = format!("{}/bin:/usr/bin", root.display());
        for (argv, program, is_local) in [
            (&["git", "status"][..], root.join("bin/git").display().to_string(), true),
            (&["env", "git"], "/usr/bin/env".to_owned(), true),
            (&["make", "all"], "/usr/bin/make".to_owned(), false),
            (&["python3", "-m", "s"], "/usr/bin/python3".to_owned(), false),
            (&["sh", "-c", "cd sub && make"], "/bin/sh".to_owned(), false),
        ] {
            let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
            let environment = Environment::allowed([("PATH".into(), (&local).into())]);
            let (cwd, program) = (WorkspacePath::default(), PathBuf::from(program));
            let naming = NamingCommand {
                argv: &argv,
                program: &program,
                cwd: &cwd,
                workspace: &root,
                environment: &environment,
            };
            let files = named_files(naming).unwrap();
            assert!(!files.is_empty(), "{argv:?}");
            assert_eq!(files.iter().any(|file| file.on_search_path), is_local, "{argv:?}: {files:?}");
        }
    }

    #[test]
    fn a_file_that_changes_has_another_digest() {
        let (_folder, root) = workspace();
        let digest = |left| {
            let mut found = Found { files: Vec::new(), seen: BTreeSet::new(), left, workspace: &root };
            found.content(&root.join("s.py")).unwrap().unwrap()
        };
        let (small, large) = (digest(MAX_BYTES), digest(0));
        std::fs::write(root.join("s.py"), "other").unwrap();
        assert_ne!(digest(MAX_BYTES), small);
        assert_ne!(digest(0), large);
    }
}
