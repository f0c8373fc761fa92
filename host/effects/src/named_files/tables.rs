//! Programs that run what their words name, and files that are run.

use std::path::Path;

/// Programs that run what their arguments name, without their version numbers.
pub const INTERPRETERS: [&str; 109] = [
    ".",
    "R",
    "Rscript",
    "ansible-playbook",
    "ash",
    "awk",
    "bash",
    "bc",
    "bpftrace",
    "bsdawk",
    "bun",
    "busybox",
    "busybox-static",
    "clojure",
    "cmake",
    "crystal",
    "csh",
    "dash",
    "dc",
    "deno",
    "dotnet",
    "dtrace",
    "ed",
    "elixir",
    "emacs",
    "env",
    "erl",
    "escript",
    "eval",
    "ex",
    "exec",
    "expect",
    "fish",
    "gawk",
    "gdb",
    "gforth",
    "gmake",
    "gnuplot",
    "go",
    "groovy",
    "guile",
    "irb",
    "java",
    "jq",
    "jshell",
    "julia",
    "just",
    "kotlin",
    "ksh",
    "lua",
    "m4",
    "make",
    "mawk",
    "meson",
    "mksh",
    "mono",
    "mysql",
    "nawk",
    "nim",
    "ninja",
    "nix",
    "node",
    "nodejs",
    "nox",
    "npm",
    "npx",
    "nvim",
    "ocaml",
    "octave",
    "original-awk",
    "pdb",
    "perl",
    "php",
    "pnpm",
    "prove",
    "psql",
    "pwsh",
    "pypy",
    "python",
    "racket",
    "rake",
    "raku",
    "rbash",
    "red",
    "ruby",
    "rview",
    "rvim",
    "sbcl",
    "scala",
    "sed",
    "sh",
    "slsh",
    "source",
    "sqlite3",
    "stap",
    "swift",
    "tclsh",
    "tcsh",
    "tox",
    "ts-node",
    "tsx",
    "vi",
    "view",
    "vim",
    "wish",
    "xargs",
    "yarn",
    "yq",
    "zsh",
];
/// Endings of files that are run.
const SCRIPTS: [&str; 37] = [
    "awk", "bash", "bat", "class", "cjs", "cmake", "cmd", "coffee", "dll", "exe", "exp", "fish", "gradle", "groovy",
    "jar", "jl", "js", "kts", "lua", "mjs", "mk", "php", "pl", "pm", "ps1", "py", "pyc", "pyz", "r", "rb", "sh", "so",
    "sql", "tcl", "ts", "wasm", "zsh",
];
/// Files that an interpreter runs when it is given their folder.
pub const PACKAGE: [&str; 6] = ["__main__.py", "__init__.py", "package.json", "index.js", "index.cjs", "index.mjs"];
/// Files that programs run without being told their names.
pub const UNNAMED: [(&str, &[&str]); 12] = [
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

/// Programs to which a file is text that they show, compare, format, move or list, and nothing more.
const PLAIN: [&str; 92] = [
    "[",
    "ag",
    "autopep8",
    "b2sum",
    "basename",
    "black",
    "cat",
    "cd",
    "chgrp",
    "chmod",
    "chown",
    "cksum",
    "clang-format",
    "clear",
    "cmp",
    "column",
    "comm",
    "cp",
    "cut",
    "date",
    "df",
    "diff",
    "dirname",
    "du",
    "echo",
    "egrep",
    "export",
    "expr",
    "false",
    "fgrep",
    "file",
    "find",
    "fmt",
    "fold",
    "gofmt",
    "grep",
    "head",
    "hexdump",
    "isort",
    "join",
    "less",
    "ln",
    "ls",
    "md5sum",
    "mkdir",
    "mktemp",
    "more",
    "mv",
    "nl",
    "od",
    "paste",
    "popd",
    "prettier",
    "printf",
    "pushd",
    "pwd",
    "read",
    "readlink",
    "realpath",
    "rev",
    "rg",
    "rm",
    "rmdir",
    "ruff",
    "rustfmt",
    "seq",
    "set",
    "sha1sum",
    "sha256sum",
    "sha512sum",
    "shellcheck",
    "shfmt",
    "sleep",
    "sort",
    "stat",
    "strings",
    "tac",
    "tail",
    "tee",
    "test",
    "touch",
    "tr",
    "tree",
    "true",
    "truncate",
    "type",
    "uname",
    "uniq",
    "wait",
    "wc",
    "which",
    "xxd",
];
/// Commands of Git to which a file is text as well.
const PLAIN_GIT: [&str; 28] = [
    "add",
    "blame",
    "branch",
    "check-ignore",
    "checkout",
    "commit",
    "describe",
    "diff",
    "fetch",
    "grep",
    "init",
    "log",
    "ls-files",
    "ls-tree",
    "merge",
    "mv",
    "push",
    "rebase",
    "reset",
    "restore",
    "rev-parse",
    "rm",
    "shortlog",
    "show",
    "stash",
    "status",
    "switch",
    "tag",
];
/// Words of a shell around commands.
const KEYWORDS: [&str; 17] = [
    "!", "case", "do", "done", "elif", "else", "esac", "fi", "for", "if", "in", "select", "then", "time", "until",
    "while", "{",
];

/// Options by which a command of Git runs a program.
const GIT_RUNS: [&str; 8] =
    ["--exec", "--ext-diff", "--open-files-in-pager", "--receive-pack", "--upload-pack", "-O", "-c", "-x"];

/// Whether a word stands before the program of a simple command: an assignment, or a word of the shell.
pub fn is_before_program(word: &str) -> bool {
    KEYWORDS.contains(&word) || is_assignment(word)
}

/// Whether the program of a simple command is an editor or shows files.
pub fn is_editor(command: &[String]) -> bool {
    let program = command.iter().find(|word| !is_before_program(word));
    program.is_some_and(|program| EDITORS.contains(&without_version(program)))
}

/// Whether a simple command does no more with the files that its words name than to show, compare, format, move or list them.
pub fn is_plain(command: &[String]) -> bool {
    let mut words = command.iter().skip_while(|word| is_before_program(word));
    let Some(program) = words.next() else { return true };
    if without_version(program) == "git" {
        // Options before the command can name settings and programs.
        let runs = |word: &String| GIT_RUNS.contains(&word.split('=').next().unwrap_or_default());
        return words.next().is_none_or(|command| PLAIN_GIT.contains(&command.as_str())) && !words.any(runs);
    }
    !program.contains('/') && PLAIN.contains(&program.as_str())
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| !name.contains(|c: char| !c.is_ascii_alphanumeric() && c != '_'))
}

/// Whether a program runs all files of the folders that its words name.
pub fn runs_folders(program: &str) -> bool {
    program.rsplit('/').next() == Some("run-parts")
}

/// Whether a program runs a line that it is handed.
pub fn is_shell(program: &str) -> bool {
    matches!(program, "sh" | "ash" | "bash" | "dash" | "ksh" | "mksh" | "rbash" | "zsh" | "fish" | "csh" | "tcsh")
}

/// Whether a word is the name of a program that runs what its words name.
pub fn is_interpreter(word: &str) -> bool {
    let name = word.rsplit('/').next().unwrap_or(word);
    // The loader of programs runs one that it is told, executable or not. A lone dot runs a file in the shell.
    let is_loader = name.starts_with("ld-linux") || name.starts_with("ld-musl") || name.starts_with("ld.so");
    is_loader || INTERPRETERS.contains(&without_version(word)) || INTERPRETERS.contains(&name)
}

/// Interpreters that run another program or what a file of their own says, and no script that their words name.
const NO_SCRIPTS: [&str; 30] = [
    "ansible-playbook",
    "bc",
    "cmake",
    "dc",
    "dotnet",
    "env",
    "eval",
    "exec",
    "gmake",
    "go",
    "java",
    "jq",
    "just",
    "make",
    "meson",
    "mysql",
    "ninja",
    "nix",
    "nox",
    "npm",
    "npx",
    "pnpm",
    "psql",
    "rake",
    "sed",
    "sqlite3",
    "tox",
    "xargs",
    "yarn",
    "yq",
];
/// Editors, whose words name what is edited.
const EDITORS: [&str; 22] = [
    "bat",
    "code",
    "ed",
    "emacs",
    "emacsclient",
    "ex",
    "gvim",
    "hx",
    "idea",
    "kak",
    "micro",
    "nano",
    "nvim",
    "open",
    "pandoc",
    "red",
    "rview",
    "rvim",
    "subl",
    "vi",
    "view",
    "vim",
];
/// Interpreters that are told the names of modules.
const MODULE_RUNNERS: [&str; 11] =
    ["bun", "deno", "lua", "node", "nodejs", "perl", "pypy", "python", "ruby", "ts-node", "tsx"];

/// Whether a word is the name of an interpreter that runs the script which its first argument names.
pub fn runs_scripts(word: &str) -> bool {
    let plain = without_version(word);
    is_interpreter(word) && !NO_SCRIPTS.contains(&plain) && !EDITORS.contains(&plain)
}

/// Whether a word is the name of an interpreter that runs modules.
pub fn runs_modules(word: &str) -> bool {
    MODULE_RUNNERS.contains(&without_version(word))
}

/// The name of a program without its folder and version.
fn without_version(word: &str) -> &str {
    let name = word.rsplit('/').next().unwrap_or(word);
    let plain = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    if plain.is_empty() { name } else { plain }
}

/// Whether a file ends like one that is run.
pub fn is_script(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_lowercase);
    ending.is_some_and(|ending| SCRIPTS.contains(&&*ending))
}
