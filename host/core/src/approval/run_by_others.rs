//! Files that programs other than the agent's run or obey without being asked to: an approval of a kind never covers them.

use crate::WorkspacePath;

/// Names of build scripts, settings of tools, and instructions for agents, in lower case.
const NAMES: [&str; 48] = [
    "agents.md",
    "appveyor.yml",
    "azure-pipelines.yml",
    "bitbucket-pipelines.yml",
    "brewfile",
    "build.rs",
    "build.sbt",
    "cargo.toml",
    "claude.md",
    "cmakelists.txt",
    "cloudbuild.yaml",
    "compose.yaml",
    "compose.yml",
    "composer.json",
    "conftest.py",
    "containerfile",
    "docker-compose.yaml",
    "docker-compose.yml",
    "dockerfile",
    "gemfile",
    "gemini.md",
    "gnumakefile",
    "go.mod",
    "jenkinsfile",
    "justfile",
    "lefthook.yml",
    "makefile",
    "meson.build",
    "mix.exs",
    "noxfile.py",
    "opencode.json",
    "opencode.jsonc",
    "package.json",
    "package.swift",
    "podfile",
    "pom.xml",
    "procfile",
    "pyproject.toml",
    "qwen.md",
    "rakefile",
    "setup.cfg",
    "setup.py",
    "sitecustomize.py",
    "taskfile.yml",
    "tox.ini",
    "usercustomize.py",
    "vagrantfile",
    "wscript",
];
/// Endings of scripts and build files.
const ENDINGS: [&str; 22] = [
    "bash",
    "bat",
    "bazel",
    "bzl",
    "cmake",
    "cmd",
    "code-workspace",
    "csh",
    "desktop",
    "fish",
    "gradle",
    "gradle.kts",
    "ksh",
    "mk",
    "ps1",
    "psm1",
    "pth",
    "reg",
    "service",
    "sh",
    "vbs",
    "zsh",
];
/// What stands before `.config.js` and the like in settings that are programs.
const CONFIG: &str = ".config.";

/// Whether other programs run or obey a file. Dot files and all below dot folders count: among them are the settings of
/// continuous integration, editors, agents and shells.
pub fn is_run_by_others(path: &WorkspacePath) -> bool {
    let path = path.as_str().to_lowercase();
    let name = path.rsplit('/').next().unwrap_or_default();
    path.split('/').any(|part| part.starts_with('.'))
        || NAMES.contains(&name)
        || name.contains(CONFIG)
        || ENDINGS.iter().any(|ending| name.strip_suffix(ending).is_some_and(|stem| stem.ends_with('.')))
}
