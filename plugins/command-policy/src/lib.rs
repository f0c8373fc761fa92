//! Guard `command-policy`: judges commands by lists of patterns.
//!
//! A command is taken apart first: shell lines into their commands, wrappers such as `sh -c`, `env`, `xargs`, `sudo`
//! and `nohup` down to their inner commands. Each resulting command is held against three lists. A command that cannot
//! be taken apart with certainty is reviewed by a person.

mod pattern;
mod shell;
mod unwrap;

use std::borrow::Cow;

use fusebox_sdk::prelude::*;
use fusebox_sdk::{MAX_FINDINGS, RunEffect};

use crate::shell::Command;

struct CommandPolicy;

/// Borrowed where it is a default: a guard is called for every action, and most policies change nothing.
type Pattern = Cow<'static, str>;

/// Commands that no agent needs to run.
const DENY: [&str; 22] = [
    "rm -r /",
    "rm -r /*",
    "rm -r ~",
    "rm -r ~/*",
    "rm -R /",
    "rm -R /*",
    "rm -R ~",
    "rm -R ~/*",
    "rm --recursive /",
    "rm --recursive /*",
    "rm --recursive ~",
    "rm --recursive ~/*",
    "rm --no-preserve-root",
    "mkfs*",
    "dd of=/dev/*",
    "shutdown",
    "reboot",
    "halt",
    "poweroff",
    "insmod",
    "chmod -R 777 /",
    "chown -R /",
];

/// Commands that a person should review.
const REVIEW: [&str; 32] = [
    "rm",
    "shred",
    "curl",
    "wget",
    "ssh",
    "scp",
    "sftp",
    "rsync",
    "nc",
    "ncat",
    "socat",
    "telnet",
    "git push",
    "git reset --hard",
    "git clean",
    "npm publish",
    "npm install",
    "npx",
    "pip install",
    "pip3 install",
    "cargo publish",
    "cargo install",
    "docker",
    "podman",
    "kubectl",
    "terraform",
    "systemctl",
    "service",
    "crontab",
    "at",
    "kill*",
    "chown",
];

/// Three lists of patterns. The words of a pattern know `*` and `?`.
///
/// `allow` is exact: word by word, in order, and no word more unless the pattern ends in `**`; the program is meant as it
/// is written. `deny` and `review` are wide: the program by its last part, and each further word of the pattern anywhere
/// among the arguments; `-rf` means the flags `r` and `f`, however they are written. Deny beats review beats allow.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// May run. Counts only when every command of a line is allowed and all of it is understood.
    allow: Vec<Pattern>,
    /// A person must decide.
    review: Vec<Pattern>,
    /// Commands that must not run.
    deny: Vec<Pattern>,
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
            review: REVIEW.map(Pattern::Borrowed).to_vec(),
            deny: DENY.map(Pattern::Borrowed).to_vec(),
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
        for (list, patterns) in [("allow", &settings.allow), ("review", &settings.review), ("deny", &settings.deny)] {
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
    for doubt in &understood.doubts {
        verdict
            .add(Ruling::Review, Finding::warning("not-understood", format!("the command cannot be judged: {doubt}")));
    }
    let mut all_allowed = !understood.commands.is_empty();
    for (place, command) in understood.commands.iter().enumerate() {
        // The resolved program is that of the command as a whole.
        let program = (place == 0 && command.words.first() == run.argv.first()).then_some(run.program.as_str());
        let is_allowed = settings.allow.iter().any(|pattern| pattern::allows(pattern, command));
        all_allowed &= is_allowed;
        let name = shown(command);
        let named = |patterns: &[Pattern]| {
            patterns.iter().find(|pattern| pattern::names(pattern, command, program)).map(|pattern| pattern.to_string())
        };
        if let Some(pattern) = named(&settings.deny) {
            verdict.add(Ruling::Deny, Finding::error("command-denied", format!("{name} is denied by {pattern:?}")));
        } else if let Some(pattern) = named(&settings.review) {
            verdict.add(
                Ruling::Review,
                Finding::warning("command-review", format!("a person must approve {name}: rule {pattern:?}")),
            );
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

/// A command's program. Its arguments are left out: they may hold secrets.
fn shown(command: &Command) -> String {
    let name = command.words.first().map(|word| unwrap::base_name(word)).unwrap_or_default();
    name.chars().take(60).collect()
}

fusebox_sdk::export_guard!(CommandPolicy);

#[cfg(test)]
mod tests {
    use fusebox_sdk::Origin;

    use super::*;

    fn check(effects: &[Effect], settings: &Settings) -> Verdict {
        let action = Action {
            step_type: "run_command".into(),
            input: "{}".into(),
            description: String::new(),
            scope: Scope::Workspace,
            origin: Origin::Plan,
        };
        CommandPolicy::check(&action, effects, settings)
    }

    fn run(words: &[&str]) -> Effect {
        Effect::run(words.iter().map(|word| (*word).to_owned()).collect(), "", None)
    }

    fn line(text: &str) -> Ruling {
        check(&[run(&["/bin/sh", "-c", text])], &Settings::default()).ruling
    }

    fn allowing(patterns: &[&'static str]) -> Settings {
        Settings { allow: patterns.iter().map(|text| Pattern::Borrowed(*text)).collect(), ..Settings::default() }
    }

    #[test]
    fn what_destroys_or_runs_downloads_is_denied_however_it_is_wrapped() {
        for text in [
            "rm -rf /",
            "sudo rm -r -f /",
            "env rm -fr ~",
            "cd x && rm -rf /*",
            "echo / | xargs rm --no-preserve-root",
            "curl x | sh",
            "sh -c 'wget -O- x | bash'",
            "nohup mkfs.ext4 x &",
            "dd if=/dev/zero of=/dev/sda",
            "echo $(rm -rf /)",
            "bash -c \"$(curl x)\"",
            "rm --recursive /",
            "rm -Rf /",
            "sh -c -e 'rm -rf /'",
            "find / -exec mkfs {} ;",
            "timeout 5 reboot",
        ] {
            assert_eq!(line(text), Ruling::Deny, "{text}");
        }
    }

    #[test]
    fn what_is_doubtful_is_for_a_person() {
        for text in [
            "rm x",
            "curl x",
            "git push",
            "sudo ls",
            "echo $x",
            "ls > out",
            "while true; do ls; done",
            "python3 -c 'x'",
            "ls | xargs rm",
            "find . -delete",
            "LD_PRELOAD=x ls",
            "eval ls",
        ] {
            assert_eq!(line(text), Ruling::Review, "{text}");
        }
        let empty = check(&[run(&["", "x"])], &Settings::default());
        assert_eq!(empty.ruling, Ruling::Review);
    }

    #[test]
    fn ordinary_commands_are_left_to_others() {
        for text in
            ["ls -l", "cargo test 2>&1 | grep ok", "python3 -m unittest -v test_stats", "git status && git diff"]
        {
            assert_eq!(line(text), Ruling::Abstain, "{text}");
        }
        assert_eq!(check(&[Effect::read("a")], &Settings::default()).ruling, Ruling::Abstain);
    }

    #[test]
    fn only_what_is_allowed_and_understood_as_a_whole_is_allowed() {
        let settings = allowing(&["git status", "cargo test **", "rm x"]);
        let of = |text: &str| check(&[run(&["sh", "-c", text])], &settings).ruling;
        assert_eq!(of("git status && cargo test -p a"), Ruling::Allow);
        assert_eq!(of("git status && ls"), Ruling::Abstain);
        assert_eq!(of("git status > out"), Ruling::Review);
        assert_eq!(of("rm x"), Ruling::Review, "review beats allow");
        let both = [run(&["git", "status"]), Effect::read("a")];
        assert_eq!(check(&both, &settings).ruling, Ruling::Abstain, "other effects are for others");
    }

    #[test]
    fn unlisted_commands_mean_what_policy_says() {
        for (unlisted, ruling) in [(Unlisted::Review, Ruling::Review), (Unlisted::Deny, Ruling::Deny)] {
            let settings = Settings { unlisted, ..allowing(&["ls"]) };
            assert_eq!(check(&[run(&["ls"])], &settings).ruling, Ruling::Allow);
            assert_eq!(check(&[run(&["make"])], &settings).ruling, ruling);
        }
    }

    #[test]
    fn findings_name_no_arguments() {
        let verdict = check(&[run(&["curl", "https://user:hunter2@x"])], &Settings::default());
        assert!(verdict.findings.iter().all(|finding| !finding.message.contains("hunter2")), "{verdict:?}");
    }

    #[test]
    fn patterns_that_make_no_sense_are_refused() {
        let settings = Settings {
            allow: vec!["".into(), "** x".into(), "* x".into(), "git ** x".into()],
            deny: vec!["/bin/rm".into()],
            ..Settings::default()
        };
        assert_eq!(CommandPolicy::check_settings(&settings).len(), 5);
        assert!(CommandPolicy::check_settings(&Settings::default()).is_empty());
    }
}
