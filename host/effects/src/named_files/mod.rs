//! Files of the workspace that a command names: programs and scripts, whose content an approval covers.

mod line;
mod local;
mod search;
mod tables;
mod words;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read as _, Result};
use std::path::{Path, PathBuf};

use fusebox_core::effect::NamedFile;
use fusebox_core::{Digest, DigestBuilder, WorkspacePath};

pub use self::line::{Line, LineFiles, LineKind};
use self::local::LocalPrograms;
pub use self::search::Search;
use self::tables::{UNNAMED, is_interpreter, is_plain, is_script, is_shell, runs_folders};
use self::words::{candidates, simple_commands};
use crate::program::{Environment, is_executable};

/// Most bytes of all files of one command that are read. Beyond, a file is known by its size, times and number.
const MAX_BYTES: u64 = 256 * 1024 * 1024;

/// Most files of one word that are given one by one.
const MAX_OF_ONE_WORD: usize = 200;

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
/// can be executed or end like scripts and, unless the command only shows, compares, formats, moves or lists them, all.
/// Many files of one word are given as one.
///
/// # Errors
/// When a file cannot be read for a reason other than its absence, or the words can mean too many.
pub fn named_files(command: NamingCommand<'_>) -> Result<Vec<NamedFile>> {
    let local = LocalPrograms::new(command.environment, command.workspace);
    let mut found = Found {
        files: Vec::new(),
        seen: BTreeSet::new(),
        left: MAX_BYTES,
        workspace: command.workspace,
        folders: Vec::new(),
        local: &local,
    };
    let Some((name, arguments)) = command.argv.split_first() else { return Ok(found.files) };
    let program = command.program.file_name().unwrap_or_default().to_string_lossy();
    let own = command.workspace.join(command.cwd.as_str());
    // A program may go by another name than the file that it is: `awk` is `mawk`, and `npm` is `npm-cli.js`.
    let called = name.rsplit('/').next().unwrap_or(name).to_owned();
    let given: Vec<String> = arguments.iter().flat_map(|word| candidates(word)).collect();
    // The shell of a line is not what runs a file that the line names.
    let hands_over = |word: &String| word.starts_with('-') && !word.starts_with("--") && word.contains('c');
    let is_line =
        is_shell(&program) && arguments.iter().take_while(|word| word.starts_with(['-', '+'])).any(hands_over);
    let is_run_itself = !is_line && (is_interpreter(&program) || is_interpreter(&called));
    // A file of further arguments names programs as well as arguments do.
    let takes_arguments = arguments.iter().any(|word| word.starts_with('@') || word.contains(",@"));
    let runs_any = is_run_itself || takes_arguments || given.iter().any(|word| is_interpreter(word));
    let all = [program.into_owned(), called].into_iter().chain(given);
    let mut seen = HashSet::new();
    let words: Vec<String> = all.filter(|word| !word.contains('\0') && seen.insert(word.clone())).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let lines = arguments.iter().filter(|word| is_line && !word.starts_with(['-', '+']));
    let commands: Vec<Vec<String>> = lines.flat_map(|line| simple_commands(line)).collect();
    let commands = if is_line { commands } else { vec![command.argv.to_vec()] };
    let uses_any = runs_any || runs_own(&commands, &local) || !commands.iter().all(|command| is_plain(command));
    let search = Search::new(command.workspace);
    let folders = search.folders(&own, &words)?;
    found.folders = folders.iter().map(|folder| folder.path.clone()).collect();
    found.add(name, command.program, !name.contains('/'))?;
    for word in words {
        if let Some(path) = local.find(word) {
            found.add(word, &path, true)?;
        }
        // An absolute path is the same in all folders.
        for folder in folders.iter().take(if word.starts_with('/') { 1 } else { folders.len() }) {
            for path in search.meant(folder, word, runs_any)? {
                if uses_any || is_executable(&path) || is_script(&path) {
                    found.add(word, &path, false)?;
                }
            }
        }
        // All in the folders that are named.
        if runs_folders(word) || word.to_lowercase().contains("core.hookspath=") {
            for folder in &folders {
                for path in search.entries(folder)?.into_iter().filter(|path| is_executable(path)) {
                    found.add(word, &path, false)?;
                }
            }
        }
        let own_name = word.rsplit('/').next().unwrap_or(word);
        for script in UNNAMED.iter().filter(|(program, _)| *program == own_name).flat_map(|(_, scripts)| *scripts) {
            for folder in &folders {
                if let Some(path) = search.script(folder, script)? {
                    found.add(word, &path, false)?;
                }
            }
        }
    }
    Ok(folded(found.files))
}

/// Whether one of several commands runs a program of the workspace, which an earlier one may make.
fn runs_own(commands: &[Vec<String>], local: &LocalPrograms) -> bool {
    let is_own = |word: &String| word.contains('/') && !word.starts_with('/');
    let sets_path = |word: &String| word.starts_with("PATH=");
    let runs = |command: &Vec<String>| command.first().is_some_and(is_own) || command.iter().any(sets_path);
    commands.len() > 1 && (!local.folders.is_empty() || commands.iter().any(runs))
}

/// The files of each word, those of a word with very many as one: their folder, and a digest of all.
fn folded(files: Vec<NamedFile>) -> Vec<NamedFile> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for file in &files {
        *counts.entry(file.word.clone()).or_default() += 1;
    }
    let is_one_of_many = |file: &NamedFile| counts.get(&file.word).is_some_and(|count| *count > MAX_OF_ONE_WORD);
    let (many, mut few): (Vec<NamedFile>, Vec<NamedFile>) = files.into_iter().partition(is_one_of_many);
    let mut words: BTreeMap<String, Vec<NamedFile>> = BTreeMap::new();
    for file in many {
        words.entry(file.word.clone()).or_default().push(file);
    }
    for (word, files) in words {
        let digest = DigestBuilder::new("fusebox files of one word 1");
        let digest = files.iter().fold(digest, |digest, file| {
            digest.part(file.path.as_str().as_bytes()).part(file.content.to_string().as_bytes())
        });
        let on_search_path = files.iter().any(|file| file.on_search_path);
        let mut folder = Path::new(files.first().map_or("", |file| file.path.as_str())).parent();
        while let Some(above) =
            folder.filter(|above| !files.iter().all(|file| Path::new(file.path.as_str()).starts_with(above)))
        {
            folder = above.parent();
        }
        let path = folder.and_then(|folder| WorkspacePath::parse(&folder.to_string_lossy()).ok()).unwrap_or_default();
        few.push(NamedFile { word, path, content: digest.finish(), on_search_path });
    }
    few
}

struct Found<'a> {
    files: Vec<NamedFile>,
    seen: BTreeSet<(String, PathBuf)>,
    /// Bytes that may still be read.
    left: u64,
    workspace: &'a Path,
    /// Folders in which the command may be when it runs a script.
    folders: Vec<PathBuf>,
    local: &'a LocalPrograms,
}

impl Found<'_> {
    fn add(&mut self, word: &str, path: &Path, on_search_path: bool) -> Result<()> {
        let Ok(below) = path.strip_prefix(self.workspace) else { return Ok(()) };
        // A path that is no text or too long is named as well as it can be; the content is bound all the same.
        let named = WorkspacePath::parse(&below.to_string_lossy()).unwrap_or_default();
        if !self.seen.insert((word.to_owned(), path.to_owned())) {
            return Ok(());
        }
        let Some(Content { digest, interpreter }) = self.content(path)? else { return Ok(()) };
        self.files.push(NamedFile { word: word.to_owned(), path: named, content: digest, on_search_path });
        // What runs a script may lie in the workspace as well: the system looks for it from where the command is.
        for word in interpreter.iter().flat_map(|line| line.split_whitespace()) {
            let here = self.folders.iter().filter_map(|folder| folder.join(word).canonicalize().ok());
            let mut programs: Vec<(PathBuf, bool)> = here.map(|program| (program, false)).collect();
            programs.extend(self.local.find(word).map(|program| (program, true)));
            for (program, on_search_path) in programs {
                if program.is_file() {
                    self.add(word, &program, on_search_path)?;
                }
            }
        }
        Ok(())
    }

    /// Content of a file; `None` for anything else.
    fn content(&mut self, path: &Path) -> Result<Option<Content>> {
        let metadata = match path.symlink_metadata() {
            Ok(metadata) if metadata.is_file() => metadata,
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let unread = |metadata| identity(metadata).map(|digest| Some(Content { digest, interpreter: None }));
        if metadata.len() > self.left {
            return unread(&metadata);
        }
        let mut bytes = Vec::new();
        // Programs need not be readable.
        let Ok(file) = File::open(path) else { return unread(&metadata) };
        file.take(self.left).read_to_end(&mut bytes)?;
        self.left -= bytes.len() as u64;
        let line = bytes.strip_prefix(b"#!").and_then(|rest| rest.split(|byte| *byte == b'\n').next());
        let interpreter = line.map(|line| String::from_utf8_lossy(line).into_owned());
        Ok(Some(Content { digest: Digest::of(&bytes), interpreter }))
    }
}

/// Content of a file.
struct Content {
    digest: Digest,
    /// The line by which a script names what runs it.
    interpreter: Option<String>,
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

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;
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

    fn named(root: &Path, cwd: &str, program: &str, argv: &[&str]) -> Result<Vec<String>> {
        let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
        let (environment, cwd) = (Environment::allowed([]), WorkspacePath::parse(cwd).unwrap());
        let program = Path::new(program);
        let command = NamingCommand { argv: &argv, program, cwd: &cwd, workspace: root, environment: &environment };
        Ok(named_files(command)?.into_iter().map(|file| file.path.to_string()).collect())
    }

    #[test]
    fn files_are_found_whatever_the_program_and_the_folder_are_called() {
        let (_folder, root) = workspace();
        for name in ["Foo.pm", "package.json", "my data", "plain"] {
            std::fs::write(root.join(name), "x").unwrap();
        }
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        for (name, text) in [
            ("own-python", String::new()),
            ("by-own", format!("#!{}/own-python -x\n", root.display())),
            ("by-relative", "#!./own-python\n".to_owned()),
            ("by-env", "#!/usr/bin/env -S sh ./own-python\n".to_owned()),
        ] {
            std::fs::write(root.join(name), text).unwrap();
            std::fs::set_permissions(root.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        std::fs::write(root.join("a/b/c.py"), "x").unwrap();
        let odd = root.join(std::ffi::OsStr::from_bytes(b"\xff"));
        std::fs::create_dir(&odd).unwrap();
        std::fs::write(odd.join("plain"), "x").unwrap();
        std::os::unix::fs::symlink(&odd, root.join("d")).unwrap();
        for (cwd, program, argv, file) in [
            ("", "/usr/bin/mawk", &["awk", "-f", "plain"][..], "plain"),
            ("", "/usr/lib/npm/npm-cli.js", &["npm", "run", "x"], "package.json"),
            ("", "/usr/bin/perl", &["perl", "-I.", "-MFoo", "-e", "1"], "Foo.pm"),
            ("", "/usr/bin/vim.basic", &["vim", "-es", "-S", "plain"], "plain"),
            ("", "/usr/bin/dash", &["sh", "-c", "ed -s < plain"], "plain"),
            ("", "/usr/lib/ld-2.36.so", &["/lib64/ld-linux-x86-64.so.2", "./plain"], "plain"),
            ("", "/usr/bin/dash", &["sh", "d/plain"], "\u{fffd}/plain"),
            ("", "/usr/bin/dash", &["sh", "-c", "sh 'my data'"], "my data"),
            ("sub", "/usr/bin/dash", &["sh", "-c", "cd .. && sh plain"], "plain"),
            ("sub", "/usr/bin/make", &["make", "-C", ".."], "Makefile"),
            ("", "/usr/bin/bash", &["bash", "-c", "{sh,plain}"], "plain"),
            ("", "/usr/bin/dash", &["sh", "-c", "sh [[:alpha:]]lain"], "plain"),
            ("", "/usr/bin/dash", &["sh", "-c", "sh ~+/plain"], "plain"),
            ("", "/usr/bin/x86_64-linux-gnu-gcc-12", &["gcc", "@plain"], "plain"),
            ("", "/usr/bin/dash", &["sh", "-c", "cp -r sub new && sh new/run"], "sub/run"),
            ("", "/usr/bin/dash", &["sh", "-c", "sh /proc/self/cwd/plain"], "plain"),
            ("", "/usr/bin/dash", &["sh", "-c", "HOME=$PWD sh -c 'sh ~/plain'"], "plain"),
            ("", "/usr/bin/dash", &["sh", "-c", "CDPATH=a; cd b && sh c.py"], "a/b/c.py"),
            ("", "/usr/bin/dash", &["sh", "-c", "./by-own"], "own-python"),
            ("", "/usr/bin/run-parts", &["run-parts", "sub"], "sub/run"),
            ("", "/usr/bin/env", &["env", "PATH=sub:/usr/bin", "run"], "sub/run"),
            ("", "/usr/bin/perl", &["perl", "-I.", "-MFoo=bar", "-e", "1"], "Foo.pm"),
            ("", "/usr/bin/python3", &["python3", "-c", "import os,s"], "s.py"),
            ("", "/usr/bin/python3", &["python3", "-c", "from sub import mod"], "sub/mod.py"),
            ("", "/usr/bin/python3", &["python3", "-m", "unittest", "sub.mod.T.test_x"], "sub/mod.py"),
            ("", "/usr/bin/python3", &["python3", "-c", "from a.b import c"], "a/b/c.py"),
            ("", "/usr/bin/dash", &["sh", "-c", "cc plain && ./a.out"], "plain"),
            ("", "/usr/bin/dash", &["sh", "-c", "cp plain x; ./x"], "plain"),
            ("", "/usr/bin/dash", &["sh", "-c", "cp plain x; PATH=.:$PATH x"], "plain"),
            ("", "/usr/bin/dash", &["sh", "-c", "./by-relative"], "own-python"),
            ("sub", "/usr/bin/dash", &["sh", "-c", "cd .. && ./by-env"], "own-python"),
            ("", "/usr/bin/gzip", &["gunzip", "plain"], "plain"),
            ("", "/usr/bin/git", &["git", "clone", "plain"], "plain"),
            ("", "/usr/bin/gh", &["gh", "release", "upload", "v1", "plain"], "plain"),
            ("", "/usr/bin/dash", &["sh", "-c", "if true; then gh gist create plain; fi"], "plain"),
            ("", "/usr/bin/tar", &["tar", "xf", "plain"], "plain"),
            ("", "/usr/bin/git", &["git", "apply", "plain"], "plain"),
            ("", "/usr/bin/git", &["git", "-c", "core.hooksPath=sub", "commit"], "sub/run"),
            ("", "/usr/bin/git", &["git", "-c", "include.path=../plain", "status"], "plain"),
            ("", "/usr/bin/curl", &["curl", "-T", "plain", "http://x"], "plain"),
            ("", "/usr/bin/pip3.12", &["pip3.12", "install", "-r", "plain"], "plain"),
            ("", "/usr/bin/dash", &["sh", "-c", "sh pl\\\nain"], "plain"),
            ("", "/usr/bin/bash", &["bash", "-c", "sh $'pl\\x61in'"], "plain"),
        ] {
            let files = named(&root, cwd, program, argv).unwrap();
            assert!(files.iter().any(|found| found == file), "{argv:?}: {files:?}");
        }
    }

    #[test]
    fn many_files_of_one_word_are_bound_as_one() {
        let (_folder, root) = workspace();
        std::fs::create_dir(root.join("many")).unwrap();
        for number in 0..1500 {
            std::fs::write(root.join(format!("many/{number}.sh")), "x").unwrap();
        }
        let argv = ["sh", "-c", "cat many/*.sh | sh"].map(ToOwned::to_owned);
        let digest = || {
            let environment = Environment::allowed([]);
            let program = Path::new("/usr/bin/dash");
            let command = NamingCommand {
                argv: &argv,
                program,
                cwd: &WorkspacePath::default(),
                workspace: &root,
                environment: &environment,
            };
            let files = named_files(command).unwrap();
            assert!(files.len() < 10, "{files:?}");
            files.into_iter().find(|file| file.path.as_str() == "many").unwrap().content
        };
        let before = digest();
        std::fs::write(root.join("many/1499.sh"), "y").unwrap();
        assert_ne!(digest(), before);
    }

    #[test]
    fn the_search_has_a_bound() {
        let (_folder, root) = workspace();
        for number in 0..15 {
            std::fs::create_dir(root.join(format!("d{number}"))).unwrap();
        }
        for number in 0..2000 {
            std::fs::write(root.join(format!("f{number}")), "").unwrap();
        }
        let back = |times: usize| format!("{}x", "d*/../".repeat(times));
        assert!(named(&root, "", "/bin/ls", &["ls", &back(40)]).is_ok());
        let refused = named(&root, "", "/bin/ls", &["ls", &back(10_000)]).unwrap_err();
        assert!(refused.to_string().contains("name fewer"), "{refused}");
        let patterns: Vec<String> = (0..2000).map(|number| format!("*x{number}")).collect();
        let words: Vec<&str> = std::iter::once("ls").chain(patterns.iter().map(String::as_str)).collect();
        assert!(named(&root, "", "/bin/ls", &words).is_err());
        let plain: Vec<String> = (0..4000).map(|number| format!("src/module-{number}.rs")).collect();
        let words: Vec<&str> = std::iter::once("python3").chain(plain.iter().map(String::as_str)).collect();
        assert!(
            named(&root, "", "/usr/bin/python3", &words).is_ok(),
            "what names many files is looked for all the same"
        );
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
            (&["git", "add", "data"], "/usr/bin/git", "/usr/bin", &[]),
            (&["sh", "-c", "cat data 2>&1 | grep x &>/dev/null"], "/bin/sh", "/usr/bin", &[]),
            (
                &["sh", "-c", "if test -e data; then A=1 git add data && git commit -m x; fi"],
                "/bin/sh",
                "/usr/bin",
                &[],
            ),
            (&["git", "-C", ".", "add", "data"], "/usr/bin/git", "/usr/bin", &["data"]),
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
            let local = LocalPrograms { folders: Vec::new() };
            let (files, seen, folders) = (Vec::new(), BTreeSet::new(), Vec::new());
            let mut found = Found { files, seen, left, workspace: &root, folders, local: &local };
            found.content(&root.join("s.py")).unwrap().unwrap().digest
        };
        let (small, large) = (digest(MAX_BYTES), digest(0));
        std::fs::write(root.join("s.py"), "other").unwrap();
        assert_ne!(digest(MAX_BYTES), small);
        assert_ne!(digest(0), large);
    }
}
