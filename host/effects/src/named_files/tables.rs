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

/// Programs that build, unpack, apply, install or send what their words name, without their version numbers.
const USERS: [&str; 98] = [
    "7z",
    "7za",
    "7zz",
    "ar",
    "as",
    "at",
    "aws",
    "az",
    "bsdtar",
    "buildah",
    "bundle",
    "c++",
    "cc",
    "clang",
    "clang++",
    "composer",
    "conda",
    "cpio",
    "crontab",
    "curl",
    "curlie",
    "cython",
    "dmd",
    "docker",
    "docker-compose",
    "dpkg",
    "dpkg-deb",
    "fpc",
    "g++",
    "gcc",
    "gcloud",
    "gdc",
    "gem",
    "gfortran",
    "ghc",
    "gsutil",
    "helm",
    "http",
    "https",
    "jar",
    "javac",
    "kotlinc",
    "kubectl",
    "ld",
    "ld.lld",
    "ldc",
    "lftp",
    "lld",
    "mail",
    "mailx",
    "mold",
    "mutt",
    "nasm",
    "nc",
    "ncat",
    "nerdctl",
    "nomad",
    "ocamlc",
    "ocamlopt",
    "openssl",
    "packer",
    "patch",
    "pip",
    "pipx",
    "podman",
    "poetry",
    "protoc",
    "pulumi",
    "rclone",
    "rpm",
    "rsync",
    "rustc",
    "s3cmd",
    "scalac",
    "scp",
    "sendmail",
    "sftp",
    "socat",
    "ssh",
    "swiftc",
    "systemctl",
    "systemd-run",
    "tar",
    "tcc",
    "terraform",
    "tofu",
    "tsc",
    "unar",
    "unrar",
    "unzip",
    "uv",
    "vagrant",
    "valac",
    "wget",
    "xh",
    "yasm",
    "zig",
    "zip",
];
/// Words by which Git applies what further words name, or obeys them.
const GIT_USES: [&str; 5] = ["-c", "--config-env", "am", "apply", "bisect"];

/// Whether a word is the name of a program that builds, unpacks, applies, installs or sends what its words name.
pub fn uses_files(word: &str) -> bool {
    let name = word.rsplit('/').next().unwrap_or(word);
    USERS.contains(&without_version(word)) || USERS.contains(&name)
}

/// Whether a simple command makes Git apply what its words name, or obey it.
pub fn obeys_files(command: &[String]) -> bool {
    let git = command.iter().position(|word| without_version(word) == "git");
    git.is_some_and(|at| command.iter().skip(at).any(|word| GIT_USES.contains(&&**word)))
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
const EDITORS: [&str; 10] = ["ed", "emacs", "ex", "nvim", "red", "rview", "rvim", "vi", "view", "vim"];
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
