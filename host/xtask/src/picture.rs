//! The README's picture: a real run of its first command, as a terminal shows it.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use anstyle_svg::Term;
use anyhow::{Context as _, ensure};

use crate::cargo::cargo;

/// Command in the picture: the README's first one.
const SHOWN: &str =
    "cargo run -- run examples/fix-median/plan.json --cassette examples/fix-median/cassette.json --approve all";
/// Path of the picture.
const FILE: &str = "docs/fix-median.svg";

/// Runs the command and draws its output.
pub fn draw(root: &Path) -> anyhow::Result<()> {
    let home = root.join("target/picture");
    let mut command = cargo(env!("CARGO"));
    command.args(SHOWN.split(' ').skip(1)).current_dir(root).stderr(Stdio::inherit());
    command.env("CLICOLOR_FORCE", "1").env("FUSEBOX_HOME", &home).env_remove("FUSEBOX_POLICY").env("USER", "ann");
    let ran = command.output().context("cargo cannot be started")?;
    ensure!(ran.status.success(), "the command failed");
    let printed = String::from_utf8(ran.stdout).context("it printed no text")?;
    let text = format!("\u{1b}[2m$\u{1b}[0m {SHOWN}\n{printed}");
    fs::write(root.join(FILE), Term::new().render_svg(&text)).with_context(|| format!("{FILE} cannot be written"))
}
