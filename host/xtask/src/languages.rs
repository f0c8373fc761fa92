//! Building plugins in other languages, and for the stock WASI target, as their authors would.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use sha2::{Digest as _, Sha256};

use crate::cargo::cargo;

/// Interfaces that a JavaScript plugin may import; the bundler leaves them alone.
const INTERFACES: [&str; 8] = ["types", "context", "log", "payloads", "workspace", "process", "model", "progress"];
/// The kinds that are built in each language, with the file that holds them.
const KINDS: [&str; 2] = ["guard", "executor"];

/// Builds all of them into `target/languages/` and runs the tests that need them.
pub fn languages(root: &Path) -> anyhow::Result<()> {
    let out = root.join("target/languages");
    fs::create_dir_all(&out)?;
    rust(root, &out)?;
    javascript(root, &out)?;
    python(root, &out)?;
    let mut tests = cargo(env!("CARGO"));
    tests.args(["test", "-p", "fusebox-tests", "--test", "host", "languages::", "--", "--ignored"]).current_dir(root);
    run(&mut tests)
}

fn rust(root: &Path, out: &Path) -> anyhow::Result<()> {
    let examples = root.join("examples/plugins/rust");
    let build = |folder: &Path, target: &str| {
        let mut cargo = cargo(env!("CARGO"));
        cargo.args(["build", "--quiet", "--release", "--locked", "--target", target]).current_dir(folder);
        cargo.arg("--target-dir").arg(out.join("cargo"));
        run(&mut cargo)
    };
    let take = |target: &str, built: &str, name: &str| -> anyhow::Result<()> {
        let built = out.join(format!("cargo/{target}/release/{built}.wasm"));
        let bytes = fs::read(&built).with_context(|| format!("no {}", built.display()))?;
        // The host takes core modules as they are; other tools want components.
        let is_component = wit_component::ComponentEncoder::default().module(&bytes).is_err();
        let bytes = if is_component { bytes } else { encode(&bytes)? };
        fs::write(out.join(format!("{name}.wasm")), bytes).context("the component cannot be kept")
    };
    for (target, language) in [("wasm32-unknown-unknown", "rust"), ("wasm32-wasip2", "wasi")] {
        build(&examples, target)?;
        take(target, "endings", &format!("{language}-guard"))?;
        take(target, "sort_lines", &format!("{language}-executor"))?;
    }
    build(&root.join("tests/guests/wasi-probe"), "wasm32-wasip2")?;
    take("wasm32-wasip2", "wasi_probe", "wasi-probe")
}

fn encode(module: &[u8]) -> anyhow::Result<Vec<u8>> {
    wit_component::ComponentEncoder::default().validate(true).module(module)?.encode()
}

fn javascript(root: &Path, out: &Path) -> anyhow::Result<()> {
    let (tools, sources) = (out.join("javascript"), root.join("examples/plugins/javascript"));
    fs::create_dir_all(&tools)?;
    let (wanted, installed) = (sources.join("package.json"), tools.join("package.json"));
    if !tools.join("node_modules").is_dir() || fs::read(&installed).ok() != Some(fs::read(&wanted)?) {
        fs::copy(&wanted, &installed)?;
        run(Command::new("npm").args(["install", "--no-audit", "--no-fund", "--no-package-lock"]).current_dir(&tools))?;
    }
    let tool = |name: &str| Command::new(tools.join("node_modules/.bin").join(name));
    let stamp = Stamp::of(out, "javascript", &[&sources, &root.join("wit")])?;
    if stamp.is_fresh() {
        return Ok(());
    }
    let external = INTERFACES.map(|interface| format!("fusebox:plugin/{interface}")).join(",");
    for kind in KINDS {
        let bundle = tools.join(format!("{kind}.js"));
        let source = sources.join(format!("{kind}.js"));
        run(tool("rolldown").arg(source).args(["-e", &external, "-f", "esm", "-o"]).arg(&bundle))?;
        run(tool("jco")
            .arg("componentize")
            .arg(&bundle)
            .arg("-w")
            .arg(root.join("wit"))
            .args(["-n", &format!("{kind}-plugin"), "--backend", "quickjs"])
            .args(["--backend-qjs-disable-async", "--backend-qjs-stub-wasi", "-o"])
            .arg(out.join(format!("javascript-{kind}.wasm"))))?;
    }
    stamp.keep()
}

fn python(root: &Path, out: &Path) -> anyhow::Result<()> {
    let (tools, sources) = (out.join("python"), root.join("examples/plugins/python"));
    let tool: PathBuf = tools.join("bin/componentize-py");
    if !tool.is_file() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&tools))?;
    }
    let sdk = root.join("guest-sdk/python");
    let stamp = Stamp::of(out, "python", &[&sources, &sdk, &root.join("wit")])?;
    if stamp.is_fresh() {
        return Ok(());
    }
    run(Command::new(tools.join("bin/pip"))
        .args(["install", "--quiet", "--disable-pip-version-check", "-r"])
        .arg(sources.join("requirements.txt")))?;
    for kind in KINDS {
        run(Command::new(&tool)
            .arg("-d")
            .arg(root.join("wit"))
            .args(["-w", &format!("{kind}-plugin"), "componentize", "--stub-wasi", "-p"])
            .arg(&sources)
            .arg("-p")
            .arg(&sdk)
            .args([kind, "-o"])
            .arg(out.join(format!("python-{kind}.wasm"))))?;
    }
    stamp.keep()
}

/// Mark of what was built from these sources, so that the same is not built again: the tools for JavaScript and Python give
/// other bytes each time, which would then be compiled again as well.
struct Stamp {
    file: PathBuf,
    built: Vec<PathBuf>,
    sources: String,
}

impl Stamp {
    /// The sources are all files below these folders; the list of tools is among them.
    fn of(out: &Path, language: &str, folders: &[&Path]) -> anyhow::Result<Self> {
        let built = KINDS.iter().map(|kind| out.join(format!("{language}-{kind}.wasm"))).collect();
        let mut files = Vec::new();
        for folder in folders {
            files_below(folder, &mut files)?;
        }
        files.sort();
        let mut digest = Sha256::new();
        for path in files {
            let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            for part in [path.as_os_str().as_encoded_bytes(), &bytes] {
                digest.update((part.len() as u64).to_be_bytes());
                digest.update(part);
            }
        }
        let sources = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { file: out.join(format!("{language}.built")), built, sources })
    }

    fn is_fresh(&self) -> bool {
        self.built.iter().all(|file| file.exists())
            && fs::read_to_string(&self.file).is_ok_and(|sources| sources == self.sources)
    }

    fn keep(&self) -> anyhow::Result<()> {
        fs::write(&self.file, &self.sources).with_context(|| format!("{} cannot be written", self.file.display()))
    }
}

fn files_below(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        let is_cache = path.file_name().is_some_and(|name| name == "__pycache__");
        if path.is_dir() && !is_cache {
            files_below(&path, files)?;
        } else if path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", command.get_program().display()))?;
    ensure!(status.success(), "{} failed", command.get_program().display());
    Ok(())
}
