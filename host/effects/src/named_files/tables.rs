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
    let plain = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    // The loader of programs runs one that it is told, executable or not. A lone dot runs a file in the shell.
    let is_loader = name.starts_with("ld-linux") || name.starts_with("ld-musl") || name.starts_with("ld.so");
    is_loader || INTERPRETERS.contains(&if plain.is_empty() { name } else { plain }) || INTERPRETERS.contains(&name)
}

/// Whether a file ends like one that is run.
pub fn is_script(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_lowercase);
    ending.is_some_and(|ending| SCRIPTS.contains(&&*ending))
}
