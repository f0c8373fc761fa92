//! `fusebox trust`: trusts policies of projects.

use std::path::Path;

use fusebox::core::show::safe_line;
use fusebox::{Error, Home, PROJECT_FILE, Trust};
use serde_json::json;

use crate::args::TrustArgs;
use crate::exit::Exit;
use crate::output::Output;
use crate::{print, run};

pub fn trust(args: &TrustArgs) -> Result<Exit, Error> {
    let mut trust = Trust::open(&Home::open(&Home::default_path()?)?)?;
    let folder = args.folder.as_deref().unwrap_or(Path::new("."));
    let name = folder.canonicalize().unwrap_or_else(|_| folder.to_owned()).display().to_string();
    if args.list {
        for (folder, digest) in trust.all() {
            tell(args.json, &Output::Trust { folder, digest }, || format!("{}  {digest}", safe_line(folder, 1000)));
        }
        return Ok(Exit::Completed);
    }
    if args.revoke {
        let was = trust.remove(folder)?;
        tell(args.json, &Output::TrustRevoked { folder: &name, was_trusted: was }, || {
            let word = if was { "no longer trusted" } else { "was not trusted" };
            format!("{}: {word}", safe_line(&name, 1000))
        });
        return Ok(Exit::Completed);
    }
    let (policy, digest) = trust.add(folder)?;
    // A policy that cannot be in force is not trusted: its guards must load, and accept their settings.
    if let Err(error) = run::builder(None).project(folder).build() {
        trust.remove(folder)?;
        return Err(error);
    }
    tell(args.json, &Output::Trust { folder: &name, digest: &digest }, || {
        let text = toml_lines(&serde_json::to_value(&policy).unwrap_or_default());
        format!(
            "trusted {}/{PROJECT_FILE} as it is now ({digest})\nit tightens:\n{text}\nA change to the file needs to be \
             trusted again.",
            safe_line(&name, 1000)
        )
    });
    Ok(Exit::Completed)
}

fn tell(json: bool, line: &Output<'_>, text: impl FnOnce() -> String) {
    if json { print::json(line) } else { print::out(&text()) }
}

/// The content of a policy, with a line for each setting.
fn toml_lines(value: &serde_json::Value) -> String {
    let says = |value: &serde_json::Value| match value {
        serde_json::Value::Object(map) => {
            map.values().any(|value| !value.is_null() && *value != json!(false) && *value != json!([]))
        }
        other => !other.is_null(),
    };
    let parts = value.as_object().into_iter().flatten().filter(|(_, value)| says(value));
    let lines: Vec<String> =
        parts.map(|(key, value)| format!("  {key} = {}", safe_line(&value.to_string(), 1000))).collect();
    if lines.is_empty() { "  nothing".to_owned() } else { lines.join("\n") }
}
