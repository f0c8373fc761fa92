//! Targets for what coding agents send, and for their files of settings.

use std::path::Path;

use fusebox_adapters::hooks::{self, Answer, EventKind, Harness, MappedCall, Places, Taken};
use fusebox_adapters::install::{Scope, install, status, uninstall};
use fusebox_adapters::recorded::Line;
use fusebox_core::ProposedEffect;

/// Path of the binary that settings name.
const PROGRAM: &str = "/opt/it's here/fusebox";

/// An event of each harness: a denial of it holds the call back, and a call that is known says what it does.
pub fn hook(bytes: &[u8]) {
    for harness in Harness::ALL {
        match hooks::parse(harness, bytes) {
            Err(error) => assert_denied(harness, &hooks::failed(harness, None, &error.to_string())),
            Ok(event) => {
                let (EventKind::Gate(call) | EventKind::EarlyGate(call) | EventKind::Permission(call)) = &event.kind
                else {
                    continue;
                };
                assert!(event.is_gate());
                if !matches!(event.kind, EventKind::Permission(_)) {
                    assert_denied(harness, &hooks::failed(harness, Some(&event), "no"));
                    assert_denied(harness, &hooks::render(&event, &Answer::Deny { message: "no".to_owned() }));
                }
                let Ok(places) = Places::new(Path::new("/workspace"), &event.cwd) else { continue };
                if let Ok(mapped) = hooks::map(harness, call, &places) {
                    assert_stated(&mapped);
                }
            }
        }
    }
}

fn assert_denied(harness: Harness, printed: &hooks::Printed) {
    let stdout = printed.stdout.as_ref().map(ToString::to_string).unwrap_or_default();
    let stderr = printed.stderr.clone().unwrap_or_default();
    let taken = harness.takes(stdout.as_bytes(), stderr.as_bytes(), Some(i32::from(printed.exit)));
    assert_eq!(taken, Taken::Denied, "{harness}: {printed:?}");
}

/// What is more than a thought or a talk has effects, and what changes files stays below the workspace.
fn assert_stated(mapped: &MappedCall) {
    let has_none = mapped.step_type == "think" || mapped.is_dialogue;
    assert!(has_none || !mapped.effects.is_empty(), "{mapped:?}");
    for effect in &mapped.effects {
        if let ProposedEffect::Write { path, .. } | ProposedEffect::Remove { path, .. } = effect {
            assert!(!path.starts_with('/') && path.split('/').all(|part| part != ".."), "{mapped:?}");
        }
    }
}

/// A line of a recorded session is read, or refused.
pub fn recorded(bytes: &[u8]) {
    for line in bytes.split(|byte| *byte == b'\n') {
        let _ = Line::parse(line);
    }
}

/// A file of settings: hooks are installed once, found, and taken out, or nothing is changed.
pub fn settings(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    let scope = Scope::Project(folder.path().to_owned());
    let program = Path::new(PROGRAM);
    for (harness, file) in [
        (Harness::ClaudeCode, ".claude/settings.json"),
        (Harness::Cursor, ".cursor/hooks.json"),
        (Harness::Codex, ".codex/config.toml"),
    ] {
        let file = folder.path().join(file);
        std::fs::create_dir_all(file.parent().expect("it lies in a folder")).expect("it can be made");
        std::fs::write(&file, bytes).expect("it can be written");
        let Ok(change) = install(harness, &scope, program) else { continue };
        let before = uninstall(harness, &scope).expect("what can be installed can be taken out");
        change.apply().expect("it can be written");
        assert!(status(harness, &scope, program).expect("it is read").missing.is_empty(), "{harness}");
        let again = install(harness, &scope, program).expect("it is read");
        assert!(again.is_none(), "{harness}: {again:?}");
        uninstall(harness, &scope).expect("it is read").apply().expect("it can be written");
        assert!(status(harness, &scope, program).expect("it is read").installed.is_empty(), "{harness}");
        assert!(uninstall(harness, &scope).expect("it is read").is_none(), "{harness}");
        if before.is_none() && change.file == file {
            assert!(change.keeps, "{harness}");
        }
    }
}
