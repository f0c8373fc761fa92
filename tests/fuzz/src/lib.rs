//! Targets for fuzzing: each takes any bytes, passes them to a parser of untrusted data, and panics when a rule is
//! broken that must hold for all inputs.
//!
//! `cargo xtask fuzz` runs them under libFuzzer; the tests run them on the kept seeds.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a panic reports a broken rule"
)]

// The binary's and the guard's own modules: neither is a library.
mod agents;
#[path = "../../../host/cli/src/effects_view.rs"]
mod effects_view;
mod guests;
#[path = "../../../plugins/command-policy/src/shell.rs"]
#[allow(dead_code, missing_docs, unreachable_pub, reason = "the guard uses all of it")]
mod shell;
#[path = "../../../plugins/command-policy/src/table/mod.rs"]
#[allow(dead_code, missing_docs, unreachable_pub, unused_imports, reason = "the guard uses all of it")]
mod table;
#[path = "../../../plugins/command-policy/src/unwrap.rs"]
#[allow(dead_code, missing_docs, unreachable_pub, reason = "the guard uses all of it")]
mod unwrap;

use std::path::PathBuf;

use fusebox::core::{Contents, Digest, WorkspacePath, json};
use fusebox::proofs::{Checkpoint, Proof, VerifierKey};
use fusebox::{Audit, Effect, LoadedPolicy, Plan, ProjectPolicy, Proposal, VerifyOptions};
use fusebox_core::Json;
use fusebox_effects::gateway::{ResponseForm, read_response};

/// A target with its name.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 14] = [
    ("plan", plan),
    ("policy", policy),
    ("action", action),
    ("path", path),
    ("shell", shell_line),
    ("response", response),
    ("diff", diff),
    ("audit", audit),
    ("hook", agents::hook),
    ("recorded", agents::recorded),
    ("settings", agents::settings),
    ("component", guests::component),
    ("verdict", guests::verdict),
    ("host_calls", guests::host_calls),
];

/// The target with this name.
#[must_use]
pub fn target(name: &str) -> Option<fn(&[u8])> {
    TARGETS.iter().find(|(known, _)| *known == name).map(|(_, target)| *target)
}

/// The key that signed the seeds; its secret is lost.
const KEY: &str = "fusebox.invalid/d645d3c0d97c6c72/default+905b3e02+AVyZNhf3saDgjq4cRYG1z6vVVkdGtaNXyMFuNBQxRVIQ";
/// Root of the tree that it signed last, and the number of its leaves.
const SIGNED: (u64, &str) = (4, "971666d21eba1b45a85d8c923b31832b263cf05184b2eee125f1b573a8dd43be");

/// Exports, proofs, checkpoints and keys: every input that verifies under the key contains only signed data.
pub fn audit(bytes: &[u8]) {
    let key: VerifierKey = KEY.parse().expect("it is a key");
    let options = VerifyOptions { keys: vec![key.clone()], ..VerifyOptions::default() };
    if let Ok(Ok(verified)) = Audit::verify_export(bytes, &options) {
        assert_eq!((verified.size, verified.root.to_string().as_str()), SIGNED);
        assert!(verified.events <= verified.size);
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok((checkpoint, _)) = Checkpoint::verified(text, std::slice::from_ref(&key)) {
        assert!(checkpoint.size <= SIGNED.0);
    }
    if let Ok((proved, checkpoint)) = Audit::verify_proof(text, &[key]) {
        assert!(proved.event.leaf < checkpoint.size);
    }
    if let Ok(proof) = Proof::parse(text) {
        assert_eq!(Proof::parse(&proof.to_text()).as_ref(), Ok(&proof));
    }
    if let Ok(key) = text.parse::<VerifierKey>() {
        assert_eq!(key.to_string().parse::<VerifierKey>().as_ref(), Ok(&key));
    }
}

/// A plan that parses has steps with names of their own, and its canonical form is canonical.
pub fn plan(bytes: &[u8]) {
    if let Ok(plan) = Plan::parse(bytes) {
        let canonical = plan.canonical();
        let again = Json::parse("plan", canonical.as_bytes(), 1 << 26).expect("a canonical plan is strict JSON");
        assert_eq!(again.as_str(), canonical);
        let names: std::collections::BTreeSet<_> = plan.steps.iter().map(|step| &step.id).collect();
        assert!(!names.is_empty() && names.len() == plan.steps.len());
    }
}

/// A policy that parses has a digest that does not depend on how it was written; a project's only tightens.
pub fn policy(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(loaded) = LoadedPolicy::from_text(text, "fuzz.toml") {
        let canonical = json::canonical(&loaded.policy);
        let again: fusebox::Policy = serde_json::from_str(&canonical).expect("a policy reads back");
        assert_eq!(again.digest(), loaded.policy.digest());
        assert!(!loaded.explain().is_empty());
    }
    if let Ok((project, _)) = ProjectPolicy::parse(text, "fuzz.toml") {
        let before = LoadedPolicy::builtin().expect("it is built in").policy;
        let mut after = before.clone();
        project.tighten(&mut after, 1);
        assert!(before.guards.keys().all(|guard| after.guards.contains_key(guard)), "a guard went away");
        for step_type in ["read_file", "edit_file", "run_command", "unknown"] {
            let needed = |policy: &fusebox::Policy| policy.needs_approval(step_type, Some(false));
            assert!(needed(&after) >= needed(&before), "{step_type} no longer needs an approval");
        }
        assert_eq!(before.limits.clone().tighten(&after.limits), after.limits, "a limit was widened");
    }
}

/// An action parses or is refused.
pub fn action(bytes: &[u8]) {
    if let Ok(proposal) = Proposal::parse(bytes, None) {
        let canonical = json::canonical(&proposal.action.input);
        assert_eq!(canonical, proposal.action.input.as_str(), "inputs are canonical");
    }
}

/// A path that is accepted stays below the folder that it is joined with.
pub fn path(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(path) = WorkspacePath::parse(text) {
        assert_eq!(WorkspacePath::parse(path.as_str()).as_ref(), Ok(&path));
        assert!(
            path.parts().all(|part| !part.is_empty() && part != "." && part != ".." && !part.contains(['/', '\0']))
        );
        let joined = PathBuf::from("/workspace").join(path.as_str());
        assert!(joined.starts_with("/workspace"));
        assert!(joined.components().all(|part| part != std::path::Component::ParentDir));
        assert!(text.split('/').filter(|part| !part.is_empty() && *part != ".").eq(path.parts()));
    }
}

/// A shell line is parsed in bounds, and plain words are parsed as they are.
pub fn shell_line(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let line = shell::read(text);
    assert!(line.commands.len() <= shell::MAX_COMMANDS);
    assert!(line.commands.iter().all(|command| !command.words.is_empty()));
    let plain = |c: char| c.is_ascii_alphanumeric() || c == ' ';
    let is_reserved = text.split_whitespace().next().is_some_and(|word| shell::RESERVED.contains(&word));
    if !text.trim().is_empty() && text.chars().all(plain) && text.len() <= shell::MAX_BYTES && !is_reserved {
        let words: Vec<&str> = text.split_whitespace().collect();
        assert_eq!(line.commands.len(), 1, "{line:?}");
        assert_eq!(line.commands[0].words, words);
    }
    let _ = unwrap::understand(&["sh".to_owned(), "-c".to_owned(), text.to_owned()]);
    let words: Vec<String> = text.split('\0').map(str::to_owned).collect();
    let _ = unwrap::understand(&words);
}

/// The first byte gives the form of the response and its split; the schema comes before the first NUL.
pub fn response(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else { return };
    let (schema, body) = match rest.iter().position(|byte| *byte == 0) {
        Some(at) => (Json::parse("schema", &rest[..at], 1 << 16).ok(), &rest[at + 1..]),
        None => (None, rest),
    };
    let form = match first % 3 {
        0 => ResponseForm::OpenAi,
        1 => ResponseForm::OpenAiStream,
        _ => ResponseForm::Router,
    };
    let whole = read_response(form, &[body], schema.as_ref());
    let pieces: Vec<&[u8]> = body.chunks(usize::from(first / 3) + 1).collect();
    assert_eq!(read_response(form, &pieces, schema.as_ref()), whole, "how it is split makes no difference");
    if let (Some(_), Ok(text)) = (&schema, &whole) {
        let json = Json::parse("answer", text.as_bytes(), 1 << 22).expect("an answer under a schema is JSON");
        assert_eq!(json.as_str(), text);
    }
}

/// A change before and after the first NUL is shown without control or bidi characters of its own.
pub fn diff(bytes: &[u8]) {
    let at = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (old, new) = bytes.split_at(at);
    let mut contents = Contents::default();
    let before = contents.insert(old.to_vec().into());
    let after = contents.insert(new.get(1..).unwrap_or_default().to_vec().into());
    let path = WorkspacePath::parse(std::str::from_utf8(old).unwrap_or("name")).unwrap_or_default();
    let size = new.len() as u64;
    let words: Vec<String> = String::from_utf8_lossy(bytes).split('\0').map(str::to_owned).collect();
    let effects = [
        Effect::Write { path: path.clone(), before: Some(before), after, size, obeyed: false },
        Effect::Write { path: path.clone(), before: None, after, size, obeyed: false },
        Effect::Run {
            program: words[0].clone(),
            cwd: path,
            env_names: words.clone(),
            environment: Digest::ZERO,
            shell_text: words.last().cloned(),
            files: vec![],
            argv: words,
        },
        Effect::Prompt { model: "m".to_owned(), content: before, size, max_output_tokens: 1 },
    ];
    let shown = effects_view::effects(&effects, &contents, "none");
    for effect in &effects {
        assert!(
            !effects_view::describe_effect(effect).contains('\n')
                && !effects_view::describe_hidden(effect).contains('\n')
        );
    }
    // Our own colours aside, nothing may move the cursor or turn the text around.
    let plain = anstream::adapter::strip_str(&shown).to_string();
    let hidden = |c: char| (c.is_control() && !"\n\t".contains(c)) || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!plain.contains(hidden), "{plain:?}");
    assert!(!plain.contains(|c| ('\u{2066}'..='\u{2069}').contains(&c)), "{plain:?}");
}
