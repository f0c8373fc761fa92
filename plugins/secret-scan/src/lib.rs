//! Guard `secret-scan`: no credentials in files, commands and prompts.
//!
//! A finding names the kind and place of a credential, never the credential itself. Where policy grants it, the guard
//! replaces credentials in an action's input instead of refusing the action.

mod scan;

use fusebox_sdk::prelude::*;
use fusebox_sdk::{Payload, context};
use serde_json::Value;

use crate::scan::{Certainty, OVERLAP, Scan, Secret, is_kind, redacted, scan};

/// Bytes of a payload that are searched together.
const SLICE_BYTES: u32 = 256 * 1024;

struct SecretScan;

/// Rulings on credentials, by their place.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// In a file that is written.
    files: Meaning,
    /// Ruling on credentials in a command.
    commands: Meaning,
    /// Ruling on credentials in a prompt.
    prompts: Meaning,
    /// In anything else that leaves: network requests, tools, unknown effects.
    others: Meaning,
    /// Ruling on text that only looks like a credential, such as a password in an assignment, in any place.
    likely: Meaning,
    /// Replace credentials in the action's input instead; needs `grants = { rewrite = true }` in the policy.
    redact: bool,
    /// Most bytes of one file or prompt that are scanned. A larger one is reviewed by a person.
    #[schemars(range(min = 1, max = 4_194_304))]
    max_bytes: u64,
    /// Kinds that are left alone, such as `json-web-token`.
    ignore: Vec<String>,
}

/// Ruling on a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Meaning {
    /// The credential is only reported.
    Allow,
    /// A person must decide.
    Review,
    /// The action must not happen.
    Deny,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            files: Meaning::Deny,
            commands: Meaning::Deny,
            prompts: Meaning::Deny,
            others: Meaning::Deny,
            likely: Meaning::Review,
            redact: false,
            max_bytes: 512 * 1024,
            ignore: Vec::new(),
        }
    }
}

impl Guard for SecretScan {
    type Settings = Settings;

    fn about() -> About {
        About::new("secret-scan", "0.1.0", "Keeps credentials out of files, commands and prompts.").rewrites()
    }

    fn check_settings(settings: &Settings) -> Vec<Finding> {
        let unknown = settings.ignore.iter().filter(|kind| !is_kind(kind)).take(16);
        let unknown = unknown.map(|kind| Finding::error("kind-unknown", format!("ignore: there is no kind {kind:?}")));
        let mut findings: Vec<Finding> = unknown.collect();
        if !(1..=4 * 1024 * 1024).contains(&settings.max_bytes) {
            findings.push(Finding::error("max-bytes-invalid", "max_bytes must be from 1 to 4194304"));
        }
        findings
    }

    fn check_plan(plan: &Plan, settings: &Settings) -> Verdict {
        let mut verdict = Verdict::abstain();
        if settings.redact {
            // Each step is redacted when it comes.
            return verdict;
        }
        for (index, step) in plan.steps.iter().enumerate() {
            let secrets = scan(step.input.as_bytes(), &settings.ignore).secrets;
            if let Some(secret) = secrets.iter().find(|secret| secret.certainty == Certainty::Certain) {
                let message = format!("step {} of the plan holds a credential ({})", index + 1, secret.kind);
                verdict.add(Ruling::Abstain, Finding::info("secret-in-plan", message));
            }
        }
        verdict
    }

    fn check(action: &Action, effects: &[Effect], settings: &Settings) -> Verdict {
        if settings.redact
            && let Some(input) = redacted_input(&action.input, &settings.ignore)
        {
            let finding = Finding::info("secret-redacted", "credentials in the input were replaced");
            return Verdict::abstain().with(finding).rewriting(input);
        }
        let mut verdict = Verdict::abstain();
        for (index, effect) in effects.iter().enumerate() {
            for (ruling, finding) in judge(effect, settings) {
                verdict.add(ruling, finding.on(index));
            }
        }
        verdict
    }
}

/// The input with its credentials replaced; `None` when there are none.
fn redacted_input(input: &str, ignore: &[String]) -> Option<String> {
    let mut value: Value = serde_json::from_str(input).ok()?;
    redact_value(&mut value, ignore).then(|| value.to_string())
}

fn redact_value(value: &mut Value, ignore: &[String]) -> bool {
    match value {
        Value::String(text) => match redacted(text, ignore) {
            Some(shown) => {
                *text = shown;
                true
            }
            None => false,
        },
        Value::Array(items) => items.iter_mut().fold(false, |any, item| redact_value(item, ignore) | any),
        Value::Object(map) => map.values_mut().fold(false, |any, item| redact_value(item, ignore) | any),
        _ => false,
    }
}

fn judge(effect: &Effect, settings: &Settings) -> Vec<(Ruling, Finding)> {
    let findings = |found: Found, meaning: Meaning, place: &str| findings_of(found, meaning, place, settings);
    match effect {
        Effect::Write(write) => {
            let place = format!("written to {}", shown_path(&write.path));
            let mut all = findings(found_in(&write.content, settings), settings.files, &place);
            all.extend(findings(in_text(&write.path, settings), settings.files, "the name of a file that is written"));
            all
        }
        Effect::Prompt(prompt) => findings(found_in(&prompt.content, settings), settings.prompts, "sent to a model"),
        Effect::Run(run) => {
            let mut found = Found::default();
            for word in &run.argv {
                found.merge(scan(word.as_bytes(), &settings.ignore));
            }
            findings(found, settings.commands, "part of the command")
        }
        Effect::Net(net) => {
            findings(in_text(&format!("{} {}", net.host, net.path), settings), settings.others, "sent over the network")
        }
        Effect::Tool(tool) => findings(in_text(&tool.input, settings), settings.others, "handed to a tool"),
        Effect::Other(other) => findings(in_text(&other.data, settings), settings.others, "part of the action"),
        Effect::Read(_) | Effect::Remove(_) => Vec::new(),
    }
}

/// Findings in one place.
#[derive(Default)]
struct Found {
    secrets: Vec<Secret>,
    /// Lines of the secrets, counted from 1, where they are known.
    lines: Vec<usize>,
    /// It was too large to be scanned whole, or has more findings than are reported.
    is_partial: bool,
}

fn in_text(text: &str, settings: &Settings) -> Found {
    let mut found = Found::default();
    found.merge(scan(text.as_bytes(), &settings.ignore));
    found
}

/// Looks through a payload slice by slice, and where two slices meet.
fn found_in(payload: &Payload, settings: &Settings) -> Found {
    let mut found = Found { is_partial: payload.size > settings.max_bytes, ..Found::default() };
    let most = payload.size.min(settings.max_bytes);
    let mut offset = 0;
    let mut tail: Vec<u8> = Vec::new();
    while offset < most {
        let left = u32::try_from(most - offset).unwrap_or(u32::MAX);
        let Ok(slice) = context::payload_slice(payload.handle, offset, left.min(SLICE_BYTES)) else {
            found.is_partial = true;
            break;
        };
        if slice.is_empty() {
            break;
        }
        let border = tail.len();
        if border > 0 {
            tail.extend_from_slice(slice.get(..OVERLAP).unwrap_or(&slice));
            let across = scan(&tail, &settings.ignore).secrets.into_iter();
            let across = across.filter(|secret| secret.place.start < border && secret.place.end > border);
            let before = offset - border as u64;
            across.for_each(|secret| found.add(payload, before + secret.place.start as u64, secret));
        }
        let scanned = scan(&slice, &settings.ignore);
        found.is_partial |= scanned.is_full;
        for secret in scanned.secrets {
            found.add(payload, offset + secret.place.start as u64, secret);
        }
        tail = slice.get(slice.len().saturating_sub(OVERLAP)..).unwrap_or_default().to_vec();
        offset += slice.len() as u64;
    }
    found
}

impl Found {
    fn add(&mut self, payload: &Payload, at: u64, secret: Secret) {
        let of_its_kind = self.secrets.iter().filter(|other| other.certainty == secret.certainty).count();
        if of_its_kind < 64 {
            self.lines.push(line_at(payload, at));
            self.secrets.push(secret);
        } else {
            self.is_partial = true;
        }
    }

    fn merge(&mut self, scanned: Scan) {
        self.is_partial |= scanned.is_full;
        self.secrets.extend(scanned.secrets);
    }
}

/// The line of a place in a payload. Counted only when something was found.
fn line_at(payload: &Payload, at: u64) -> usize {
    let (mut offset, mut lines) = (0, 1);
    while offset < at {
        let left = u32::try_from(at - offset).unwrap_or(u32::MAX);
        let slice = context::payload_slice(payload.handle, offset, left.min(SLICE_BYTES)).unwrap_or_default();
        if slice.is_empty() {
            break;
        }
        lines += count_lines(&slice);
        offset += slice.len() as u64;
    }
    lines
}

fn count_lines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

fn findings_of(found: Found, meaning: Meaning, place: &str, settings: &Settings) -> Vec<(Ruling, Finding)> {
    let lines = found.lines.into_iter().map(Some).chain(std::iter::repeat(None));
    let mut findings: Vec<(Ruling, Finding)> = Vec::new();
    for (secret, line) in found.secrets.into_iter().zip(lines) {
        let line = line.map(|line| format!(", line {line}")).unwrap_or_default();
        let (meaning, message) = match secret.certainty {
            Certainty::Certain => (meaning, format!("a credential ({}) is {place}{line}", secret.kind)),
            Certainty::Likely => (
                settings.likely.min(meaning),
                format!("what looks like a credential ({}) is {place}{line}", secret.kind),
            ),
        };
        findings.push(match meaning {
            Meaning::Deny => (Ruling::Deny, Finding::error("secret", message)),
            Meaning::Review => (Ruling::Review, Finding::warning("secret", message)),
            Meaning::Allow => (Ruling::Abstain, Finding::info("secret", message)),
        });
    }
    // The strictest findings come first: a verdict holds a limited number of them.
    findings.sort_by_key(|(ruling, _)| std::cmp::Reverse(*ruling));
    if found.is_partial && meaning != Meaning::Allow {
        let message = format!(
            "not all of what is {place} was searched: it is over {} bytes, or holds too much",
            settings.max_bytes
        );
        findings.push((Ruling::Review, Finding::warning("not-scanned", message)));
    }
    findings
}

impl Meaning {
    /// The milder of two.
    fn min(self, other: Self) -> Self {
        match (self, other) {
            (Self::Allow, _) | (_, Self::Allow) => Self::Allow,
            (Self::Review, _) | (_, Self::Review) => Self::Review,
            _ => Self::Deny,
        }
    }
}

/// A path, unless it is itself a credential.
fn shown_path(path: &str) -> &str {
    if scan(path.as_bytes(), &[]).secrets.is_empty() { path } else { "a file whose name holds a credential" }
}

fusebox_sdk::export_guard!(SecretScan);

#[cfg(test)]
mod tests {
    use fusebox_sdk::testing::Fakes;
    use fusebox_sdk::{Origin, payloads};

    use super::*;

    /// Made up, and put together here so that no scanner of this repository takes it for real.
    fn key() -> String {
        ["AKIA", "Q7XW3ZK9PL2M4N8V"].concat()
    }

    fn action(input: &str) -> Action {
        Action {
            step_type: "edit_file".into(),
            input: input.into(),
            description: String::new(),
            scope: Scope::Workspace,
            origin: Origin::Plan,
        }
    }

    fn check(settings: &Settings, content: &str, effect: impl FnOnce(Payload) -> Effect) -> Verdict {
        let judge = || {
            let payload = payloads::seal(content.as_bytes()).unwrap();
            SecretScan::check(&action("{}"), &[effect(payload)], settings)
        };
        Fakes::new().run(judge).0
    }

    #[test]
    fn credentials_are_refused_where_they_would_leave_and_never_echoed() {
        let settings = Settings::default();
        let text = format!("one\ntwo {}\n", key());
        for verdict in [
            check(&settings, &text, |content| Effect::write("a.txt", content)),
            check(&settings, &text, |content| Effect::prompt("m", content, 1)),
            check(&settings, "", |_| Effect::run(vec!["curl".into(), format!("-HX-Key: {}", key())], "", None)),
            check(&settings, "", |_| Effect::run(vec!["sh".into(), "-c".into(), format!("x {}", key())], "", None)),
        ] {
            assert_eq!(verdict.ruling, Ruling::Deny, "{verdict:?}");
            assert!(!format!("{verdict:?}").contains(&key()), "{verdict:?}");
        }
        let verdict = check(&settings, &text, |content| Effect::write("a.txt", content));
        assert_eq!(verdict.findings[0].message, "a credential (aws-access-key) is written to a.txt, line 2");
        let named = check(&settings, &text, |content| Effect::write(key(), content));
        assert!(!format!("{named:?}").contains(&key()));
    }

    #[test]
    fn what_only_looks_like_one_is_for_a_person() {
        let verdict = check(&Settings::default(), "password = \"hunter2!x\"", |content| Effect::write("a", content));
        assert_eq!(verdict.ruling, Ruling::Review);
        let allow = Settings { likely: Meaning::Allow, ..Settings::default() };
        let verdict = check(&allow, "password = \"hunter2!x\"", |content| Effect::write("a", content));
        assert_eq!(verdict.ruling, Ruling::Abstain);
    }

    #[test]
    fn a_credential_across_two_slices_is_found_with_its_line() {
        let filler = "x\n".repeat(SLICE_BYTES as usize / 2 - 4);
        let text = format!("{filler}{}\nend", key());
        let verdict = check(&Settings::default(), &text, |content| Effect::write("a", content));
        assert_eq!(verdict.findings.len(), 1);
        let line = SLICE_BYTES as usize / 2 - 4 + 1;
        assert!(verdict.findings[0].message.ends_with(&format!("line {line}")), "{verdict:?}");
    }

    #[test]
    fn what_is_too_large_is_for_a_person() {
        let settings = Settings { max_bytes: 10, ..Settings::default() };
        let verdict = check(&settings, "eleven bytes", |content| Effect::write("a", content));
        assert_eq!((verdict.ruling, verdict.findings[0].code.as_str()), (Ruling::Review, "not-scanned"));
    }

    #[test]
    fn kinds_can_be_ignored() {
        let settings = Settings { ignore: vec!["aws-access-key".into()], ..Settings::default() };
        let verdict = check(&settings, &key(), |content| Effect::write("a", content));
        assert_eq!(verdict, Verdict::abstain());
    }

    #[test]
    fn where_it_may_it_redacts_the_input() {
        let settings = Settings { redact: true, ..Settings::default() };
        let input = format!(r#"{{"a":["x {}"],"path":"b"}}"#, key());
        let (verdict, _) = Fakes::new().run(|| SecretScan::check(&action(&input), &[], &settings));
        assert_eq!(verdict.rewrite.as_deref(), Some(r#"{"a":["x [REDACTED:aws-access-key]"],"path":"b"}"#));
        let (verdict, _) = Fakes::new().run(|| SecretScan::check(&action(r#"{"a":1}"#), &[], &settings));
        assert_eq!(verdict, Verdict::abstain());
    }

    #[test]
    fn settings_are_checked() {
        let settings = Settings { max_bytes: 0, ignore: vec!["aws-acess-key".into()], ..Settings::default() };
        assert_eq!(SecretScan::check_settings(&settings).len(), 2);
        assert!(SecretScan::check_settings(&Settings::default()).is_empty());
    }
}
