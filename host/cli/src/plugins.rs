//! `fusebox plugins`: lists plugins and shows one.

use std::path::Path;

use anstyle::Style;
use fusebox::core::show::{safe_json, safe_line};
use fusebox::sandbox::Plugin;
use fusebox::{Error, Harness};
use serde_json::Value;

use crate::args::{PluginsArgs, PluginsTask};
use crate::exit::Exit;
use crate::output::{self, Output};
use crate::print;
use crate::run::{builder, host, read_input};

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

pub fn plugins(args: PluginsArgs) -> Result<Exit, Error> {
    match args.task {
        Some(PluginsTask::Show { plugin }) if is_file(&plugin) => show_file(&plugin, args.json)?,
        Some(PluginsTask::Show { plugin }) => {
            let host = host(args.policy)?;
            match host.plugin(&plugin) {
                Ok(loaded) => show(&loaded.plugin, &loaded.source, args.json),
                Err(_) if Path::new(&plugin).exists() => show_file(&plugin, args.json)?,
                Err(unknown) => return Err(unknown),
            }
        }
        None => {
            let host = host(args.policy)?;
            for (_, loaded) in host.plugins() {
                if args.json {
                    print::json(&Output::Plugin(facts(&loaded.plugin, &loaded.source)));
                } else {
                    row(&loaded.plugin, &loaded.source);
                }
            }
        }
    }
    Ok(Exit::Completed)
}

fn show_file(file: &str, json: bool) -> Result<(), Error> {
    let bytes = read_input("the plugin", Path::new(file))?;
    let harness = Harness::load(&builder(None).sandbox()?, &bytes)?;
    show(harness.plugin(), file, json);
    Ok(())
}

fn is_file(plugin: &str) -> bool {
    plugin.contains(['/', '\\']) || plugin.ends_with(".wasm") || plugin == "-"
}

fn facts<'a>(plugin: &'a Plugin, source: &'a str) -> output::Plugin<'a> {
    let description = plugin.description();
    output::Plugin {
        name: &description.name,
        kind: plugin.kind().name(),
        version: &description.version,
        source,
        size: plugin.size(),
        sha256: plugin.digest().to_string(),
        warnings: plugin.warnings(),
        description,
    }
}

fn row(plugin: &Plugin, source: &str) {
    let description = plugin.description();
    let (name, kind) = (safe_line(&description.name, 64), plugin.kind().name());
    let (version, summary) = (safe_line(&description.version, 32), safe_line(&description.summary, 200));
    print::out(&format!("{BOLD}{name:<18}{BOLD:#} {kind:<9} {version:<8} {DIM}{source:<9}{DIM:#} {summary}"));
}

fn show(plugin: &Plugin, source: &str, json: bool) {
    if json {
        print::json(&Output::Plugin(facts(plugin, source)));
        return;
    }
    row(plugin, source);
    print::out(&format!("  {DIM}size{DIM:#}    {} bytes", plugin.size()));
    print::out(&format!("  {DIM}sha256{DIM:#}  {}", plugin.digest()));
    for warning in plugin.warnings() {
        print::out(&format!("  warning: {}", safe_line(warning, 400)));
    }
    let description = plugin.description();
    if description.rewrites {
        print::out("  may rewrite actions, where policy grants it");
    }
    for step_type in &description.step_types {
        let annotations = &step_type.annotations;
        let words: Vec<&str> = [
            (annotations.read_only, "read-only"),
            (annotations.destructive, "destructive"),
            (annotations.idempotent, "idempotent"),
            (annotations.open_world, "open-world"),
            (step_type.reversible, "reversible"),
            (step_type.needs_approval, "needs approval"),
        ]
        .into_iter()
        .filter_map(|(holds, word)| holds.then_some(word))
        .collect();
        print::out(&format!("\n  {BOLD}step type {}{BOLD:#}: {}", safe_line(&step_type.name, 64), words.join(", ")));
        print_schema("input", &step_type.input_schema);
        print_schema("output", &step_type.output_schema);
    }
    if let Some(schema) = &description.settings_schema {
        print_schema("settings", schema);
    }
}

fn print_schema(what: &str, schema: &Value) {
    print::out(&format!("  {DIM}{what}{DIM:#}"));
    for line in safe_json(schema).lines() {
        print::out(&format!("    {line}"));
    }
}
