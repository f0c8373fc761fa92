//! Kinds of actions, which one approval can cover for the rest of a run.

use std::collections::BTreeSet;

use serde::Serialize;

use super::run_by_others::is_run_by_others;
use crate::{Action, Decision, Effect, ImpactClass, Scope, WorkspacePath, json};

/// Common traits of actions that one approval can cover: step type, kinds of effects, reasons for review, and impact.
/// Two commands or prompts share a kind only when they are identical; changes of two files share one when the files lie
/// in one folder and end alike, unless a guard had a finding about either.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ApprovalKind {
    step_type: String,
    scope: Scope,
    effects: BTreeSet<EffectKind>,
    reasons: BTreeSet<(String, String)>,
    impact: Option<ImpactClass>,
}

/// Kind of one effect.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum EffectKind {
    Read,
    Create {
        folder: String,
        ending: Option<String>,
    },
    Change {
        folder: String,
        ending: Option<String>,
    },
    Remove {
        folder: String,
        ending: Option<String>,
    },
    Request {
        method: String,
        host: String,
        port: u16,
    },
    Tool {
        server: String,
        name: String,
    },
    /// Exactly this effect.
    Same {
        name: &'static str,
        effect: String,
    },
}

impl ApprovalKind {
    /// The kind of an action with these effects, under review for the reasons in `decision`.
    #[must_use]
    pub fn of(action: &Action, effects: &[Effect], decision: &Decision) -> Self {
        // A guard's finding on this very action is part of the kind; of an estimate, only its class is.
        let described = |by: &str, finding: &crate::Finding| match finding.code.as_str() {
            "impact" => (by.to_owned(), finding.code.clone()),
            _ => (by.to_owned(), format!("{}: {}", finding.code, finding.message)),
        };
        let codes = |reason: &crate::gate::Reason| -> Vec<(String, String)> {
            reason.findings.iter().map(|finding| described(reason.by.word(), finding)).collect()
        };
        Self {
            step_type: action.step_type.clone(),
            scope: action.scope,
            effects: effects.iter().map(EffectKind::of).collect(),
            reasons: decision.reasons.iter().flat_map(codes).collect(),
            impact: decision.impact,
        }
    }

    /// Reason why an action with these effects cannot be approved together with others of its kind, if there is one:
    /// it writes what other programs run or obey, or runs what its words do not name.
    #[must_use]
    pub fn refusal(effects: &[Effect]) -> Option<String> {
        effects.iter().find_map(|effect| match effect {
            Effect::Write { path, obeyed, .. } | Effect::Remove { path, obeyed, .. } => (*obeyed
                || is_run_by_others(path))
            .then(|| format!("other programs run or obey {path}, so each change of it is approved by itself")),
            Effect::Run { argv, shell_text, .. } => unnamed(argv, shell_text.as_deref()).map(|what| {
                format!("the command {what}, so its words do not say what it runs, and each call is approved by itself")
            }),
            _ => None,
        })
    }

    /// What the kind covers, in words that follow "approves".
    #[must_use]
    pub fn describe(&self) -> String {
        let effects: Vec<String> = self.effects.iter().map(EffectKind::describe).collect();
        let effects = if effects.is_empty() { "doing nothing".to_owned() } else { effects.join("; ") };
        format!("{effects}; by steps of type {}, when the reasons to ask are the same", self.step_type)
    }
}

impl EffectKind {
    fn of(effect: &Effect) -> Self {
        match effect {
            Effect::Read { .. } => Self::Read,
            Effect::Write { path, before: None, .. } => Self::Create { folder: folder(path), ending: ending(path) },
            Effect::Write { path, .. } => Self::Change { folder: folder(path), ending: ending(path) },
            Effect::Remove { path, .. } => Self::Remove { folder: folder(path), ending: ending(path) },
            Effect::Net { method, host, port, .. } => {
                Self::Request { method: method.clone(), host: host.clone(), port: *port }
            }
            Effect::Tool { server, name, .. } => Self::Tool { server: server.clone(), name: name.clone() },
            Effect::Run { .. } | Effect::Prompt { .. } | Effect::Other { .. } => {
                Self::Same { name: effect.name(), effect: json::canonical(effect) }
            }
        }
    }

    fn describe(&self) -> String {
        let files = |folder: &str, ending: &Option<String>| {
            let place = if folder.is_empty() { "in the workspace itself".to_owned() } else { format!("in {folder}/") };
            match ending {
                Some(ending) => format!(".{ending} files {place}, with any content"),
                None => format!("files without an ending {place}, with any content"),
            }
        };
        match self {
            Self::Read => "reading any file of the workspace".to_owned(),
            Self::Create { folder, ending } => format!("creating {}", files(folder, ending)),
            Self::Change { folder, ending } => format!("changing {}", files(folder, ending)),
            Self::Remove { folder, ending } => format!("removing {}", files(folder, ending)),
            Self::Request { method, host, port } => format!("requests {method} to {host}:{port}, to any path"),
            Self::Tool { server, name } => format!("calls of {name} of {server}, with any input"),
            Self::Same { name: "run", .. } => "exactly this command, while its files stay as they are".to_owned(),
            Self::Same { name, .. } => format!("exactly this ({name})"),
        }
    }
}

/// What makes a command run files that its words do not name, if something does.
fn unnamed(argv: &[String], shell_text: Option<&str>) -> Option<&'static str> {
    /// Programs that run what files, folders or their input name.
    const RUNNERS: [&str; 8] = ["entr", "eval", "fd", "parallel", "run-parts", "source", "watchexec", "xargs"];
    if shell_text.is_some_and(puts_together) {
        return Some("puts words together when it runs");
    }
    let separates = |c: char| c.is_whitespace() || "'\"();|&<>".contains(c);
    let words = || argv.iter().flat_map(|word| word.split(separates)).filter(|word| !word.is_empty());
    let names = |word: &str, of: &[&str]| of.contains(&word.rsplit('/').next().unwrap_or(word));
    if words().any(|word| names(word, &RUNNERS)) {
        return Some("runs what files or other programs name");
    }
    let runs_found = |word: &str| matches!(word, "-exec" | "-execdir" | "-ok" | "-okdir");
    (words().any(|word| names(word, &["find"])) && words().any(runs_found)).then_some("runs what it finds")
}

/// Whether a shell makes words of a line that do not stand in it. Quotes around a whole word change nothing.
fn puts_together(text: &str) -> bool {
    let is_edge = |c: Option<char>| c.is_none_or(|c| c.is_whitespace() || "=;|&()<>".contains(c));
    let mut quote = None;
    let mut before = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let joins = match (c, quote) {
            ('$' | '`' | '*' | '?' | '[' | '{' | '~' | '\\', _) => true,
            ('\'' | '"', None) => {
                quote = Some(c);
                !is_edge(before)
            }
            (c, Some(open)) if c == open => {
                quote = None;
                !is_edge(chars.peek().copied())
            }
            _ => false,
        };
        if joins {
            return true;
        }
        before = Some(c);
    }
    false
}

fn folder(path: &WorkspacePath) -> String {
    path.as_str().rsplit_once('/').map_or(String::new(), |(folder, _)| folder.to_owned())
}

/// The part of a name behind its last dot, in lower case.
fn ending(path: &WorkspacePath) -> Option<String> {
    let name = path.as_str().rsplit('/').next().unwrap_or_default();
    let (stem, ending) = name.rsplit_once('.')?;
    (!stem.is_empty()).then(|| ending.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::Reason;
    use crate::{Decider, Digest, Finding, Json, Origin, Ruling, RunLimits};

    fn action(step_type: &str) -> Action {
        Action {
            step_type: step_type.into(),
            input: Json::empty_object(),
            description: String::new(),
            scope: Scope::Workspace,
            origin: Origin::Plan,
        }
    }

    fn kind(step_type: &str, effects: &[Effect], why: &str) -> ApprovalKind {
        let decision = Decision {
            ruling: Ruling::Review,
            reasons: vec![Reason::new(Decider::Policy, Ruling::Review, Finding::info("needs-approval", why))],
            impact: None,
            limits: RunLimits::default(),
            input: None,
        };
        ApprovalKind::of(&action(step_type), effects, &decision)
    }

    fn write(path: &str, before: Option<Digest>) -> Effect {
        Effect::Write {
            path: path.parse().unwrap(),
            before,
            after: Digest::of(path.as_bytes()),
            size: 1,
            obeyed: false,
        }
    }

    fn change(path: &str) -> Effect {
        write(path, Some(Digest::ZERO))
    }

    #[test]
    fn a_kind_is_exact() {
        let run = |words: &[&str]| Effect::Run {
            argv: words.iter().map(|word| (*word).to_owned()).collect(),
            program: "/bin/x".into(),
            cwd: "".parse().unwrap(),
            env_names: Vec::new(),
            environment: Digest::ZERO,
            shell_text: None,
            files: Vec::new(),
        };
        let base = kind("edit", &[change("a.txt")], "c");
        assert_eq!(kind("edit", &[change("b.TXT")], "c"), base);
        assert_eq!(kind("edit", &[change("a.txt"), change("b.txt")], "c"), base);
        for other in [
            kind("other", &[change("a.txt")], "c"),
            kind("edit", &[change("a.txt")], "other-reason"),
            kind("edit", &[change("a.py")], "c"),
            kind("edit", &[change("a")], "c"),
            kind("edit", &[change("src/a.txt")], "c"),
            kind("edit", &[write("a.txt", None)], "c"),
            kind("edit", &[change("a.txt"), run(&["x"])], "c"),
            kind("edit", &[], "c"),
        ] {
            assert_ne!(other, base);
        }
        assert_ne!(kind("run", &[run(&["x"])], "c"), kind("run", &[run(&["x", "-f"])], "c"));
    }

    #[test]
    fn a_kind_says_what_it_covers() {
        for (effect, words) in [
            (write("notes/a.txt", None), "creating .txt files in notes/, with any content"),
            (change("a"), "changing files without an ending in the workspace itself, with any content"),
        ] {
            let described = kind("edit", &[effect], "c").describe();
            assert!(described.starts_with(words), "{described}");
        }
    }

    #[test]
    fn commands_whose_words_do_not_say_what_runs_are_approved_one_by_one() {
        let run = |words: &[&str], shell_text: Option<&str>| Effect::Run {
            argv: words.iter().map(|word| (*word).to_owned()).collect(),
            program: "/bin/x".into(),
            cwd: "".parse().unwrap(),
            env_names: Vec::new(),
            environment: Digest::ZERO,
            shell_text: shell_text.map(ToOwned::to_owned),
            files: Vec::new(),
        };
        let line = |text: &str| ApprovalKind::refusal(&[run(&["sh", "-c", text], Some(text))]);
        for text in [
            "bash s{1,}.txt",
            "sh ~+/x",
            "sh s1.t'x't",
            "sh s1\\.txt",
            "cd s'u'b && ./x",
            "sh $p.txt",
            "sh s*.txt",
            "`x`",
            "xargs sh < l.txt",
            "find . -exec sh {} ;",
            "PATH=$PWD/bin:$PATH; tool",
        ] {
            assert!(line(text).is_some(), "{text}");
        }
        for text in ["grep 'a b' x", "cargo test 2>&1 | tail -20", "cd sub && ./run.sh", "find . -name x"] {
            assert_eq!(line(text), None, "{text}");
        }
        assert!(ApprovalKind::refusal(&[run(&["/usr/bin/xargs", "sh"], None)]).is_some());
        assert_eq!(ApprovalKind::refusal(&[run(&["grep", "a*$", "x"], None)]), None);
    }

    #[test]
    fn files_that_others_run_are_approved_one_by_one() {
        for path in
            [".github/workflows/ci.yml", "Makefile", "a/b/setup.py", ".envrc", "a/.vscode/x", "run.sh", "AGENTS.md"]
        {
            assert!(ApprovalKind::refusal(&[change("a.txt"), write(path, None)]).is_some(), "{path}");
        }
        for path in ["notes.txt", "src/main.rs", "docs/make.md", "test.py"] {
            assert_eq!(ApprovalKind::refusal(&[change(path)]), None, "{path}");
        }
    }
}
