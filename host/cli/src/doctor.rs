//! `fusebox doctor`: checks of the setup of this machine, with advice on faults.

use std::path::Path;

use anstyle::{AnsiColor, Style};
use fusebox::core::show::safe_line;
use fusebox::{Enforcement, Error, Home, Host};
use fusebox_adapters::install::holes;

use crate::args::DoctorArgs;
use crate::exit::Exit;
use crate::output::{CheckStatus, Output};
use crate::run::host;
use crate::{hooks, policy, print};

/// Result of a check.
struct Finding {
    check: String,
    status: CheckStatus,
    message: String,
}

pub fn doctor(args: DoctorArgs) -> Result<Exit, Error> {
    let mut findings = vec![home()];
    match host(args.policy) {
        Ok(host) => {
            findings.extend(of_host(&host));
            findings.extend(of_hooks(&host));
        }
        Err(error) => findings.push(finding("policy", CheckStatus::Error, with_causes(&error))),
    }
    for found in &findings {
        show(found, args.json);
    }
    let is_sound = findings.iter().all(|found| found.status != CheckStatus::Error);
    Ok(if is_sound { Exit::Completed } else { Exit::Failed })
}

fn finding(check: &str, status: CheckStatus, message: impl Into<String>) -> Finding {
    Finding { check: check.to_owned(), status, message: message.into() }
}

fn with_causes(error: &Error) -> String {
    let source = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    format!("[{}] {error}{source}", error.root_code())
}

fn home() -> Finding {
    match Home::default_path().and_then(|path| Home::open(&path)) {
        Ok(home) => finding("home", CheckStatus::Ok, format!("{} is there, and only yours", home.path().display())),
        Err(error) => finding("home", CheckStatus::Error, with_causes(&error)),
    }
}

fn of_host(host: &Host) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.push(finding("log", CheckStatus::Ok, "it opens, and this version reads and writes it"));
    findings.push(match host.audit().keys("default") {
        Ok(keys) => {
            let newest = keys.last().map(ToString::to_string).unwrap_or_default();
            finding("audit", CheckStatus::Ok, format!("checkpoints of the log are signed by {newest}"))
        }
        Err(error) => finding("audit", CheckStatus::Error, with_causes(&error)),
    });
    findings.extend(host.sinks().into_iter().filter_map(|sink| {
        let failure = sink.failure?;
        Some(finding("sinks", CheckStatus::Warning, format!("{}: {failure}; {} events wait", sink.name, sink.backlog)))
    }));
    findings.push(match Home::default_path().map(|home| cache_size(&home.join("cache"))) {
        Ok(Some((files, bytes))) => {
            let message = format!("{files} compiled plugins, {:.1} MiB", bytes as f64 / f64::from(1 << 20));
            finding("cache", CheckStatus::Ok, message)
        }
        _ => finding("cache", CheckStatus::Warning, "it cannot be read; plugins are compiled anew each time"),
    });
    findings.push(finding("policy", CheckStatus::Ok, format!("{} holds", host.policy_source())));
    let plugins = host.plugins();
    let own = plugins.iter().filter(|(_, loaded)| !loaded.is_bundled()).count();
    findings.push(finding("plugins", CheckStatus::Ok, format!("{} load, {own} of them not bundled", plugins.len())));
    findings.push(match host.gateway() {
        None => finding(
            "models",
            CheckStatus::Warning,
            "there is no gateway, so analyze and summarize cannot run; see [gateway]",
        ),
        Some(gateway) => {
            finding("models", CheckStatus::Ok, format!("the policy knows {}", gateway.models().join(", ")))
        }
    });
    findings.extend(confinement(host));
    findings.extend(policy::warnings(host).into_iter().map(|warning| finding("policy", CheckStatus::Warning, warning)));
    findings
}

/// Hooks that are installed: what comes of a call that must be denied, and what the coding agents leave open.
fn of_hooks(host: &Host) -> Vec<Finding> {
    let Ok(folder) = tempfile::tempdir() else {
        return vec![finding("hooks", CheckStatus::Warning, "no folder can be made to try them in")];
    };
    let mut findings = Vec::new();
    for (harness, scope, probed) in hooks::probes(folder.path()) {
        let (is_sound, words) = match &probed {
            Ok(probe) => hooks::in_words(probe),
            Err(message) => (false, message.clone()),
        };
        let status = if is_sound { CheckStatus::Ok } else { CheckStatus::Error };
        if is_sound && let Err(error) = hooks::end_probe(host, harness, folder.path()) {
            findings.push(finding("hooks", CheckStatus::Warning, with_causes(&error)));
        }
        findings.push(finding("hooks", status, format!("{harness} ({scope}): {words}")));
        let holes = holes(harness).iter().map(|hole| format!("{harness}: {hole}"));
        findings.extend(holes.map(|hole| finding("hooks", CheckStatus::Warning, hole)));
    }
    findings
}

/// Compiled plugins of a cache, and the bytes of everything in it.
fn cache_size(folder: &Path) -> Option<(usize, u64)> {
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    Some(entries.fold((0, 0), |(plugins, bytes), entry| {
        let is_code = entry.path().extension().is_some_and(|ending| ending == "cwasm");
        (plugins + usize::from(is_code), bytes + entry.metadata().map_or(0, |metadata| metadata.len()))
    }))
}

/// Confinement of processes on this machine, found by testing it.
fn confinement(host: &Host) -> Vec<Finding> {
    let confinement = host.confinement();
    let found = confinement.protections().iter().map(|protected| {
        let status = if protected.holds == Enforcement::Wholly { CheckStatus::Ok } else { CheckStatus::Warning };
        let words = match protected.holds {
            Enforcement::Wholly => protected.words.clone(),
            Enforcement::Partly => format!("only partly: {}", protected.words),
            Enforcement::Not => format!("missing: {}", protected.words),
        };
        Finding { check: protected.name.clone(), status, message: words }
    });
    let mut findings: Vec<Finding> = found.collect();
    findings.push(match confinement.refusal() {
        Some(why) => finding("commands", CheckStatus::Warning, format!("they are refused: {why}")),
        None => {
            finding("commands", CheckStatus::Ok, "they run confined by what is ticked above; see docs/processes.md")
        }
    });
    findings
}

fn show(found: &Finding, json: bool) {
    let (mark, color) = match found.status {
        CheckStatus::Ok => ("✓", AnsiColor::Green),
        CheckStatus::Warning => ("!", AnsiColor::Yellow),
        CheckStatus::Error => ("✗", AnsiColor::Red),
    };
    let message = safe_line(&found.message, 2000);
    if json {
        print::json(&Output::Doctor { check: &found.check, status: found.status, message: &message });
    } else {
        let (style, dim) = (color.on_default().bold(), Style::new().dimmed());
        print::out(&format!("{style}{mark}{style:#} {dim}{:<12}{dim:#} {message}", found.check));
    }
}
