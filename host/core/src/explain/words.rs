//! Explanations as paragraphs. Texts of agents and plugins are quoted as theirs, and cannot mislead the reader.

use std::fmt::Write as _;

use super::parts::{
    After, Before, Change, Explained, Explanation, FailureKind, FileChange, GuardSummary, OnError, Spent,
};
use crate::show::{duration, safe_line, usd};
use crate::{Effect, Ruling};

/// Longest quotation, in characters.
const MAX_CHARS: usize = 500;
/// Effects, files or commands that are named; more are counted.
const MAX_NAMED: usize = 5;

impl Explanation {
    /// The explanation as one paragraph.
    #[must_use]
    pub fn paragraph(&self) -> String {
        let mut text = self.subject();
        match &self.explained {
            Explained::Before(before) => before_words(&mut text, before, &quoted(&self.agent), self.step.is_none()),
            Explained::After(after) => after_words(&mut text, after),
            Explained::OnError(error) => error_words(&mut text, error),
        }
        text
    }

    fn subject(&self) -> String {
        let action = safe_line(&self.action, 80);
        let mut text = match (self.position, &self.step) {
            (Some((place, total)), Some(step)) => format!("Step {place} of {total} ({step}, {action})"),
            _ => format!("The call {action}"),
        };
        if self.attempt > 1 {
            let _ = write!(text, ", try {}", self.attempt);
        }
        text
    }
}

fn quoted(text: &str) -> String {
    format!("“{}”", safe_line(text, MAX_CHARS))
}

fn before_words(text: &mut String, before: &Before, agent: &str, is_own_call: bool) {
    let _ = write!(text, " was proposed by {agent}");
    if !before.description.is_empty() {
        let _ = write!(text, ": {}", quoted(&before.description));
    }
    if !before.goal.is_empty() {
        let _ = write!(text, ", towards {}", quoted(&before.goal));
    }
    text.push('.');
    if let Some(reasoning) = &before.reasoning {
        let _ = write!(text, " Its reason, in its own words: {}", quoted(reasoning));
        if let Some(confidence) = before.confidence {
            let _ = write!(text, ", with a confidence of {confidence:.2}");
        }
        text.push('.');
    } else if let Some(confidence) = before.confidence {
        let _ = write!(text, " It says that its confidence is {confidence:.2}.");
    }
    if !before.alternatives.is_empty() {
        let others: Vec<String> = before.alternatives.iter().map(|other| quoted(other)).collect();
        let _ = write!(text, " It also considered {}.", named(&others));
    }
    if !before.effects.is_empty() {
        let effects: Vec<String> = before.effects.iter().map(effect_words).collect();
        let _ = write!(text, " It would {}.", named(&effects));
    }
    guard_words(text, &before.guards);
    if let Some(impact) = &before.impact {
        match (&impact.failure, impact.class, impact.act, impact.refrain) {
            (Some(failure), ..) => {
                let _ = write!(text, " Its impact is not known: {}.", safe_line(failure, MAX_CHARS));
            }
            (None, Some(class), Some(act), Some(refrain)) => {
                let _ = write!(text, " Its impact is {class} ({act:.2}, against {refrain:.2} for refraining).");
            }
            _ => {}
        }
    }
    let decided = match before.ruling {
        // An embedder's own call has no approver.
        None if is_own_call => return,
        Some(Ruling::Allow) => " It was allowed",
        Some(Ruling::Review) => " A person had to decide",
        Some(Ruling::Deny | Ruling::Abstain) => " It was denied",
        None => " It did not come to a decision",
    };
    text.push_str(decided);
    let reasons: Vec<String> = before
        .reasons
        .iter()
        .flat_map(|reason| {
            let by = safe_line(reason.by.word(), 80);
            reason.findings.iter().map(move |finding| format!("{by} said {}", quoted(&finding.message)))
        })
        .collect();
    if !reasons.is_empty() {
        let _ = write!(text, ", because {}", named(&reasons));
    }
    text.push('.');
    if !before.limits.is_empty() {
        let limits: Vec<String> = before
            .limits
            .iter()
            .map(|limit| {
                let by = limit.set_by.as_ref().map(|by| format!(" (set by {})", safe_line(by, 80))).unwrap_or_default();
                format!("{} {}{by}", limit.limit, safe_line(&limit.value, 200))
            })
            .collect();
        let _ = write!(text, " The run's limits: {}.", limits.join(", "));
    }
}

fn guard_words(text: &mut String, guards: &[GuardSummary]) {
    if guards.is_empty() {
        return;
    }
    let (fuel, time) = guards.iter().fold((0, 0), |(fuel, time), guard| (fuel + guard.fuel, time + guard.duration_us));
    let silent: Vec<&str> = guards
        .iter()
        .filter(|guard| guard.failure.is_none() && guard.findings.is_empty() && guard.ruling == Some(Ruling::Abstain))
        .map(|guard| guard.guard.as_str())
        .collect();
    let said: Vec<String> =
        guards.iter().filter(|guard| !silent.contains(&guard.guard.as_str())).map(guard_said).collect();
    let silent = match silent.len() {
        0 => String::new(),
        _ => format!("{} had no objection", silent.join(", ")),
    };
    let all = [silent, said.join("; ")].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ");
    let _ = write!(text, " Of its guards, {all} ({fuel} instructions, {}).", duration(time));
}

fn guard_said(guard: &GuardSummary) -> String {
    let name = safe_line(&guard.guard, 80);
    let monitor = if guard.mode == crate::policy::GuardMode::Monitor { " (which only watches)" } else { "" };
    if let Some(failure) = &guard.failure {
        return format!("{name}{monitor} failed: {}", safe_line(failure, MAX_CHARS));
    }
    let word = match guard.ruling {
        Some(Ruling::Allow) => "allowed it",
        Some(Ruling::Review) => "asked for a person",
        Some(Ruling::Deny) => "denied it",
        _ => "noted",
    };
    let findings: Vec<String> = guard.findings.iter().map(|finding| quoted(&finding.message)).collect();
    let findings = if findings.is_empty() { String::new() } else { format!(": {}", named(&findings)) };
    format!("{name}{monitor} {word}{findings}")
}

fn after_words(text: &mut String, after: &After) {
    text.push_str(" was carried out");
    if let Some(by) = &after.approved_by {
        let _ = write!(text, ", as {} approved", safe_line(by, 80));
    }
    let _ = write!(text, ": {}.", quoted(&after.summary));
    files_words(text, &after.files, "It");
    if !after.commands.is_empty() {
        let commands: Vec<String> = after.commands.iter().map(|command| quoted(command)).collect();
        let _ = write!(text, " It ran {}.", named(&commands));
    }
    spent_words(text, &after.spent);
}

fn error_words(text: &mut String, error: &OnError) {
    text.push_str(match error.trouble {
        FailureKind::Denied => " was denied",
        FailureKind::Rejected => " was rejected",
        FailureKind::Expired => " was not carried out, because no person approved it",
        FailureKind::Failed => " failed",
        FailureKind::InDoubt => " may or may not have happened",
        FailureKind::Killed => " was stopped, because the run was killed",
        FailureKind::OverBudget => " was stopped by a budget",
    });
    if let Some(end) = &error.end {
        let _ = write!(text, " ({})", end);
    }
    if !error.by.is_empty() && error.trouble != FailureKind::Expired {
        let by: Vec<String> = error.by.iter().map(|by| safe_line(by.word(), 80)).collect();
        let _ = write!(text, " by {}", named(&by));
    }
    let message = error.message.trim_end_matches('.');
    // Deciders of a denial are already named.
    let by = error.by.first().map(|by| format!("{by}: ")).unwrap_or_default();
    let _ = write!(text, ": {}.", safe_line(message.strip_prefix(by.as_str()).unwrap_or(message), MAX_CHARS));
    files_words(text, &error.files, "By then it");
    if error.spent != Spent::default() {
        spent_words(text, &error.spent);
    }
    let _ = write!(text, " What to do: {}.", error.what_to_do);
}

fn files_words(text: &mut String, files: &[FileChange], who: &str) {
    if files.is_empty() {
        return;
    }
    let files: Vec<String> = files
        .iter()
        .map(|file| {
            let path = safe_line(&file.path, 200);
            let size = file.size.map(|size| format!(" ({size} bytes)")).unwrap_or_default();
            match file.change {
                Change::Created => format!("created {path}{size}"),
                Change::Changed => format!("changed {path}{size}"),
                Change::Removed => format!("removed {path}"),
            }
        })
        .collect();
    let _ = write!(text, " {who} {}.", named(&files));
}

fn spent_words(text: &mut String, spent: &Spent) {
    let mut parts = vec![duration(spent.duration_us)];
    if spent.fuel > 0 {
        parts.insert(0, format!("{} instructions", spent.fuel));
    }
    if spent.tokens > 0 {
        parts.push(format!("{} tokens", spent.tokens));
    }
    if spent.micro_usd > 0 {
        parts.push(usd(spent.micro_usd));
    }
    let _ = write!(text, " It took {}.", named(&parts));
}

fn effect_words(effect: &Effect) -> String {
    match effect {
        Effect::Read { path } => format!("read {}", safe_line(path.as_str(), 200)),
        Effect::Write { path, before: None, size, .. } => {
            format!("create {} ({size} bytes)", safe_line(path.as_str(), 200))
        }
        Effect::Write { path, size, .. } => {
            format!("change {} ({size} bytes afterwards)", safe_line(path.as_str(), 200))
        }
        Effect::Remove { path, .. } => format!("remove {}", safe_line(path.as_str(), 200)),
        Effect::Run { argv, shell_text, .. } => {
            format!("run {}", quoted(&shell_text.clone().unwrap_or_else(|| argv.join(" "))))
        }
        Effect::Prompt { model, size, .. } => format!("send {size} bytes to the model {}", safe_line(model, 80)),
        Effect::Net { method, host, port, .. } => {
            format!("ask {}:{port} over the network ({})", safe_line(host, 200), safe_line(method, 20))
        }
        Effect::Tool { server, name, .. } => {
            format!("use the tool {} of {}", safe_line(name, 80), safe_line(server, 80))
        }
        Effect::Other { kind, .. } => format!("do something else ({})", safe_line(kind, 80)),
    }
}

/// A list in words; a long one is cut short.
fn named(parts: &[String]) -> String {
    let more = parts.len().saturating_sub(MAX_NAMED);
    let shown: Vec<&str> = parts.iter().take(MAX_NAMED).map(String::as_str).collect();
    match (shown.as_slice(), more) {
        ([], _) => String::new(),
        ([only], 0) => (*only).to_owned(),
        ([first @ .., last], 0) => format!("{} and {last}", first.join(", ")),
        (all, more) => format!("{} and {more} more", all.join(", ")),
    }
}
