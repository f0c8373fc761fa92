//! `fusebox hooks`: installs hooks into the settings of coding agents, and takes them out again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use fusebox::core::Agent;
use fusebox::core::show::{safe_line, safe_text};
use fusebox::{Error, Host, SessionOptions};
use fusebox_adapters::Error as AdapterError;
use fusebox_adapters::hooks::{Harness, Taken};
use fusebox_adapters::install::{self, Change, Probe, Scope, Status};
use serde_json::json;
use similar::TextDiff;

use crate::args::{HooksArgs, HooksTask, PlaceArgs};
use crate::exit::{Exit, report};
use crate::print;
use crate::run::host;

/// Longest wait for the answer of an installed hook.
pub const PROBE: Duration = Duration::from_secs(20);

pub fn hooks(args: HooksArgs) -> Result<Exit, Error> {
    let json = args.json;
    let done = match args.task {
        HooksTask::Install(place) => program().and_then(|program| {
            let change = install::install(place.harness, &scope(&place), &program)?;
            let exit = made(&place, &change, json)?;
            if !place.dry_run {
                prepare(place.harness, json);
            }
            Ok(exit)
        }),
        HooksTask::Uninstall(place) => {
            install::uninstall(place.harness, &scope(&place)).and_then(|change| made(&place, &change, json))
        }
        HooksTask::Status { harness } => status(harness, json),
    };
    done.or_else(|error| {
        let error = Error::Hooks { message: error.to_string() };
        report(&error, json);
        Ok(Exit::of(&error))
    })
}

/// This program, under the name that it was started by where that is a whole path: it stays when another version takes its place.
fn program() -> Result<PathBuf, AdapterError> {
    std::env::current_exe()
        .map_err(|error| AdapterError::SettingsRead { path: PathBuf::from("fusebox"), message: error.to_string() })
}

fn scope(place: &PlaceArgs) -> Scope {
    match &place.project {
        Some(folder) => Scope::Project(folder.clone()),
        None => Scope::User,
    }
}

fn made(place: &PlaceArgs, change: &Change, json: bool) -> Result<Exit, AdapterError> {
    let (file, harness) = (change.file.display().to_string(), place.harness);
    if !place.dry_run {
        change.apply()?;
    }
    if json {
        print::json_value(&json!({
            "event": "hooks_changed", "harness": harness.name(), "file": file, "changed": !change.is_none(), "dry_run": place.dry_run,
        }));
        return Ok(Exit::Completed);
    }
    if place.dry_run {
        difference(change);
    }
    print::out(&match (change.is_none(), place.dry_run) {
        (true, _) => format!("{file} is as it should be"),
        (false, true) if change.after.is_none() => format!("{file} would be removed"),
        (false, true) => format!("{file} would be changed so"),
        (false, false) if change.after.is_none() => format!("{file} held nothing else, and is removed"),
        (false, false) if change.keeps => format!("{file} is changed; what was there before is kept beside it"),
        (false, false) => format!("{file} is changed"),
    });
    Ok(Exit::Completed)
}

/// Says what the harness leaves open, and makes the home ready, so that the first call does not wait for plugins to be compiled.
fn prepare(harness: Harness, json: bool) {
    if !json {
        for hole in install::holes(harness) {
            print::out(&format!("  note: {hole}"));
        }
        print::out("`fusebox doctor` puts a call that must be denied to what is installed, and says what comes of it");
    }
    if let Err(error) = host(None) {
        print::err("every call of the agent is denied until this is mended:\n");
        report(&error, json);
    }
}

/// The change of a file, line by line.
fn difference(change: &Change) {
    let (before, after) = (change.before.as_deref().unwrap_or_default(), change.after.as_deref().unwrap_or_default());
    let diff = TextDiff::from_lines(before, after);
    for line in diff.unified_diff().context_radius(3).to_string().lines() {
        let style = match line.chars().next() {
            Some('+') => AnsiColor::Green.on_default(),
            Some('-') => AnsiColor::Red.on_default(),
            _ => Style::new(),
        };
        print::out(&format!("{style}{}{style:#}", safe_text(line, 1000)));
    }
}

fn status(harness: Option<Harness>, json: bool) -> Result<Exit, AdapterError> {
    let program = program()?;
    let all = harness.map_or(Harness::ALL.to_vec(), |harness| vec![harness]);
    for harness in all {
        for (name, scope) in scopes() {
            let Status { file, installed, missing } = install::status(harness, &scope, &program)?;
            if json {
                print::json_value(&json!({
                    "event": "hooks_status", "harness": harness.name(), "scope": name, "file": file, "installed": installed,
                    "missing": missing,
                }));
                continue;
            }
            let word = match (installed.is_empty(), missing.is_empty()) {
                (true, _) => "not installed".to_owned(),
                (false, true) => "installed".to_owned(),
                (false, false) => format!("in part, without {}", missing.join(", ")),
            };
            print::out(&format!("{:<12} {name:<8} {word:<16} {}", harness.name(), file.display()));
        }
    }
    Ok(Exit::Completed)
}

/// Where hooks of a harness may stand, seen from here.
pub fn scopes() -> [(&'static str, Scope); 2] {
    [("user", Scope::User), ("project", Scope::Project(PathBuf::from(".")))]
}

/// Puts a call that must be denied to each installed hook.
pub fn probes(folder: &Path) -> Vec<(Harness, &'static str, Result<Probe, String>)> {
    let mut all = Vec::new();
    for harness in Harness::ALL {
        for (name, scope) in scopes() {
            match install::probe(harness, &scope, folder, PROBE) {
                Ok(Some(probe)) => all.push((harness, name, Ok(probe))),
                Ok(None) => {}
                Err(error) => all.push((harness, name, Err(error.to_string()))),
            }
        }
    }
    all
}

/// Ends the session that the probes of a harness made.
pub fn end_probe(host: &Host, harness: Harness, folder: &Path) -> Result<(), Error> {
    let agent = Agent { id: harness.name().to_owned(), kind: None, tier: None };
    let options = SessionOptions::new(agent, harness.name(), install::PROBE_SESSION).workspace(folder);
    host.session(options)?.close("the check of the hooks is over")
}

/// What a probe says in words, and whether it is as it should be.
pub fn in_words(probe: &Probe) -> (bool, String) {
    let (ms, said) = (probe.took.as_millis(), safe_line(&probe.said, 300));
    match probe.taken {
        Taken::Denied => (true, format!("a call that must be denied is denied, in {ms} ms")),
        Taken::Asked => (false, format!("a call that must be denied is asked about: {said}")),
        Taken::Open => (false, format!("a call that must be denied would happen: {said}")),
    }
}
