//! Finding a toolchain that builds for `wasm32-unknown-unknown`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::cargo::cargo;

/// The target of all guests.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Stack of a guest, in bytes. The linker's usual 1 MiB of zeros would be part of each compiled plugin, and of the
/// memory reset after each call.
const STACK_BYTES: u32 = 256 * 1024;

/// Folder of the distribution's toolchain.
const DISTRIBUTION_BIN: &str = "/usr/bin";
/// Linkers by the names that distributions give them, newest first.
const LINKERS: [&str; 5] = ["wasm-ld", "wasm-ld-21", "wasm-ld-20", "wasm-ld-19", "rust-lld"];

/// A toolchain that can build guests.
pub enum Toolchain {
    /// The one in use has the target installed.
    Installed { version: String },
    /// The distribution's, which builds the standard library from source.
    Distribution { version: String, linker: PathBuf },
}

impl Toolchain {
    /// The toolchain in use when it has the target, else the distribution's.
    pub fn find() -> anyhow::Result<Self> {
        if let Ok(libdir) = output(Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]))
            && Path::new(&libdir).is_dir()
        {
            return Ok(Self::Installed { version: output(Command::new("rustc").arg("--version"))? });
        }
        let rustc = Path::new(DISTRIBUTION_BIN).join("rustc");
        let linker = LINKERS.iter().map(|name| Path::new(DISTRIBUTION_BIN).join(name)).find(|path| path.exists());
        let version = output(Command::new(&rustc).arg("--version")).ok();
        let std_sources = output(Command::new(&rustc).args(["--print", "sysroot"]))
            .is_ok_and(|sysroot| Path::new(&sysroot).join("lib/rustlib/src/rust/library/std").is_dir());
        match (version, linker) {
            (Some(version), Some(linker)) if std_sources => Ok(Self::Distribution { version, linker }),
            _ => bail!(
                "no toolchain for {TARGET} was found. Install the target with\n    rustup target add {TARGET}\n\
                 or, on Debian, the distribution's toolchain with\n    apt-get install rustc-web cargo-web rust-web-src lld-19"
            ),
        }
    }

    /// Name that is recorded beside each digest: bytes are compared between equal toolchains only.
    pub fn name(&self) -> String {
        match self {
            Self::Installed { version } => version.clone(),
            Self::Distribution { version, .. } => format!("{version}, std from source"),
        }
    }

    /// The toolchain's cargo, with its environment variables.
    fn cargo(&self) -> Command {
        match self {
            Self::Installed { .. } => cargo("cargo"),
            Self::Distribution { linker, .. } => {
                let bin = Path::new(DISTRIBUTION_BIN);
                let mut command = cargo(bin.join("cargo"));
                let path = std::env::var("PATH").unwrap_or_default();
                command
                    .env("PATH", format!("{DISTRIBUTION_BIN}:{path}"))
                    .env("RUSTC", bin.join("rustc"))
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker)
                    .env_remove("RUSTUP_TOOLCHAIN")
                    .env_remove("CARGO");
                command
            }
        }
    }

    /// A `cargo fetch`. It comes before [`cargo_build`](Self::cargo_build), which has to know where dependencies lie.
    pub fn cargo_fetch(&self) -> Command {
        let mut command = self.cargo();
        command.args(["fetch", "--locked"]);
        command
    }

    /// A `cargo build` for guests: reproducible across folders, because every path in it is mapped away.
    pub fn cargo_build(&self, sources: &Path) -> anyhow::Result<Command> {
        let mut command = self.cargo();
        command.args(["build", "--release", "--locked", "--target", TARGET]);
        if matches!(self, Self::Distribution { .. }) {
            command.arg("-Zbuild-std=std,panic_abort");
        }
        let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
        let home = cargo_home()?;
        let mut flags = vec![
            format!("-Clink-arg=-zstack-size={STACK_BYTES}"),
            remap(sources, "/src"),
            remap(&self.std_sources()?, "/rust"),
            remap(&home, "/cargo"),
        ];
        // Later options take precedence. The folder of a registry is named after its address, which must not be
        // published.
        let registries = std::fs::read_dir(home.join("registry/src")).context("no dependencies were fetched")?;
        for registry in registries {
            flags.push(remap(&registry?.path(), "/dependencies"));
        }
        command
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", flags.join(" "));
        Ok(command)
    }

    fn std_sources(&self) -> anyhow::Result<PathBuf> {
        let mut rustc = match self {
            Self::Installed { .. } => Command::new("rustc"),
            Self::Distribution { .. } => Command::new(Path::new(DISTRIBUTION_BIN).join("rustc")),
        };
        Ok(PathBuf::from(output(rustc.args(["--print", "sysroot"]))?).join("lib/rustlib/src/rust"))
    }
}

fn cargo_home() -> anyhow::Result<PathBuf> {
    if let Some(home) = std::env::var_os("CARGO_HOME") {
        return Ok(home.into());
    }
    let home = std::env::var_os("HOME").context("neither CARGO_HOME nor HOME is set")?;
    Ok(PathBuf::from(home).join(".cargo"))
}

fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
