//! Guard `command-policy`: judges commands by lists of patterns.
//!
//! A command is taken apart first: shell lines into their commands, wrappers such as `sh -c`, `env`, `xargs`, `sudo`
//! and `nohup` down to their inner commands. Each resulting command is held against three lists. A command that cannot
//! be taken apart with certainty is reviewed by a person.

mod pattern;
mod shell;
mod table;
mod unwrap;

use std::borrow::Cow;

use fusebox_sdk::prelude::*;
use fusebox_sdk::{MAX_FINDINGS, RunEffect};

use crate::shell::Command;
use crate::table::Concern;

struct CommandPolicy;

/// Borrowed where it is a default: a guard is called for every action, and most policies change nothing.
type Pattern = Cow<'static, str>;

/// Three lists of patterns. The words of a pattern know `*` and `?`.
///
/// `allow` is exact: word by word, in order, and no word more unless the pattern ends in `**`; the program is meant as it
/// is written. `deny` and `review` are wide: the program by its last part, and each further word of the pattern anywhere
/// among the arguments; `-rf` means the flags `r` and `f`, however they are written. Deny beats review beats allow.
///
/// A person also decides on commands of which the guard knows that they run other programs, send data, install, publish
/// or destroy, unless `allow` names all of it: `cargo test **` does not allow `cargo test --config x`, and
/// `cargo test --config **` does.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// May run. Counts only when every command of a line is allowed and all of it is understood.
    allow: Vec<Pattern>,
    /// A person must decide.
    review: Vec<Pattern>,
    /// Commands that must not run.
    deny: Vec<Pattern>,
    /// Commands that the guard knows and leaves alone all the same, as in `review`: `npm ci`, `gh pr`.
    known: Vec<Pattern>,
    /// Ruling on commands that no list names.
    unlisted: Unlisted,
}

/// Ruling on commands that no list names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Unlisted {
    /// The guard has no opinion.
    #[default]
    Abstain,
    /// A person must decide.
    Review,
    /// The command must not run.
    Deny,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            review: Vec::new(),
            deny: table::DENIED.iter().copied().map(Pattern::Borrowed).collect(),
            known: Vec::new(),
            unlisted: Unlisted::default(),
        }
    }
}

impl Guard for CommandPolicy {
    type Settings = Settings;

    fn about() -> About {
        About::new("command-policy", "0.1.0", "Says which commands may run, wrappers and shell lines taken apart.")
    }

    fn check_settings(settings: &Settings) -> Vec<Finding> {
        let mut findings = Vec::new();
        let Settings { allow, review, deny, known, unlisted: _ } = settings;
        for (list, patterns) in [("allow", allow), ("review", review), ("deny", deny), ("known", known)] {
            for pattern in patterns {
                if let Some(fault) = fault(list, pattern) {
                    findings.push(Finding::error("pattern-invalid", format!("{list}: {pattern:?} {fault}")));
                }
            }
        }
        findings.truncate(MAX_FINDINGS);
        findings
    }

    fn check(_: &Action, effects: &[Effect], settings: &Settings) -> Verdict {
        let mut verdict = Verdict::abstain();
        let (mut runs, mut allowed) = (0, 0);
        for (index, effect) in effects.iter().enumerate() {
            let Effect::Run(run) = effect else { continue };
            runs += 1;
            let judged = judge(run, settings);
            allowed += usize::from(judged.ruling == Ruling::Allow);
            verdict.ruling = verdict.ruling.max(judged.ruling);
            judged.findings.into_iter().for_each(|finding| verdict.add(judged.ruling, finding.on(index)));
        }
        if verdict.ruling == Ruling::Allow && (allowed < runs || runs < effects.len()) {
            // Other effects of the action are for other guards.
            verdict.ruling = Ruling::Abstain;
        }
        verdict
    }
}

/// Fault in a pattern.
fn fault(list: &str, pattern: &str) -> Option<&'static str> {
    let mut words = pattern.split_whitespace();
    let Some(first) = words.next() else { return Some("is empty") };
    if list == "allow" && first.chars().all(|c| c == '*' || c == '?') {
        return Some("would allow every program");
    }
    if list != "allow" && first.contains('/') {
        return Some("can never match: programs are named by their last part here");
    }
    let before_last = pattern.split_whitespace().rev().skip(1).any(|word| word == "**");
    before_last.then_some("has `**` before its end, where it means nothing")
}

fn judge(run: &RunEffect, settings: &Settings) -> Verdict {
    let understood = unwrap::understand(&run.argv);
    let mut verdict = Verdict::abstain();
    if understood.runs_downloads {
        let message = "the command runs what it downloads; download it first, look at it, then run it";
        verdict.add(Ruling::Deny, Finding::error("runs-download", message));
    }
    if understood.runs_decoded {
        let message =
            "the command runs what it decodes, which nobody has seen; write it to a file and look at it first";
        verdict.add(Ruling::Deny, Finding::error("runs-decoded", message));
    }
    for doubt in &understood.doubts {
        verdict
            .add(Ruling::Review, Finding::warning("not-understood", format!("the command cannot be judged: {doubt}")));
    }
    let mut all_allowed = !understood.commands.is_empty();
    for (place, command) in understood.commands.iter().enumerate() {
        // The resolved program is that of the command as a whole.
        let program = (place == 0 && command.words.first() == run.argv.first()).then_some(run.program.as_str());
        // The host names a program of the workspace from there. A bare name that leads to one, because the search path
        // does, means another program to the one who allowed it.
        let is_bare = |word: &String| !word.contains('/');
        let is_local = program.is_some_and(|program| !program.is_empty() && !program.starts_with('/'))
            && command.words.first().is_some_and(is_bare);
        let is_allowed = !is_local && settings.allow.iter().any(|pattern| pattern::allows(pattern, command));
        all_allowed &= is_allowed;
        let name = shown(command);
        let named = |patterns: &[Pattern]| {
            patterns.iter().find(|pattern| pattern::names(pattern, command, program)).map(|pattern| pattern.to_string())
        };
        let concern = || concern(command, program, settings);
        if let Some(pattern) = named(&settings.deny) {
            verdict.add(Ruling::Deny, Finding::error("command-denied", format!("{name} is denied by {pattern:?}")));
        } else if let Some(pattern) = named(&settings.review) {
            verdict.add(
                Ruling::Review,
                Finding::warning("command-review", format!("a person must approve {name}: rule {pattern:?}")),
            );
        } else if let Some((concern, pattern)) = concern() {
            let message = format!("a person must approve {name}: it {} ({pattern})", concern.words());
            verdict.add(Ruling::Review, Finding::warning("command-review", message));
        } else if !is_allowed {
            let message = || format!("{name} is on no list");
            match settings.unlisted {
                Unlisted::Abstain => {}
                Unlisted::Review => verdict.add(Ruling::Review, Finding::warning("command-unlisted", message())),
                Unlisted::Deny => verdict.add(Ruling::Deny, Finding::error("command-unlisted", message())),
            }
        }
    }
    if all_allowed && verdict.ruling == Ruling::Abstain {
        verdict.ruling = Ruling::Allow;
    }
    verdict
}

/// What is known against a command, unless the policy knows it too: by a pattern in `known`, or by an `allow` that names
/// the same words and not only leaves room for them.
fn concern(command: &Command, program: Option<&str>, settings: &Settings) -> Option<(Concern, &'static str)> {
    let literal = |pattern: &str| Command {
        words: pattern.split_whitespace().filter(|word| !word.contains(['*', '?'])).map(str::to_owned).collect(),
        ..Command::default()
    };
    let is_known = |rule: &str| {
        settings.known.iter().any(|pattern| pattern::names(pattern, command, program))
            || settings
                .allow
                .iter()
                .any(|allow| pattern::allows(allow, command) && pattern::names(rule, &literal(allow), program))
    };
    // Nearly all rules are of programs that begin otherwise.
    let begin = |program: &str| unwrap::base_name(program).bytes().next().unwrap_or_default();
    let begins = command.words.first().map_or(0, |word| begin(word));
    let also = program.map_or(begins, begin);
    table::REVIEWED.iter().find_map(|(concern, rules)| {
        let is_it = |rule: &&&str| {
            let starts = rule.as_bytes().first().copied().unwrap_or_default();
            (starts == begins || starts == also) && pattern::names(rule, command, program) && !is_known(rule)
        };
        rules.iter().find(is_it).map(|rule| (*concern, *rule))
    })
}

/// A command's program. Its arguments are left out: they may hold secrets.
fn shown(command: &Command) -> String {
    let name = command.words.first().map(|word| unwrap::base_name(word)).unwrap_or_default();
    name.chars().take(60).collect()
}

fusebox_sdk::export_guard!(CommandPolicy);

#[cfg(test)]
mod tests;
