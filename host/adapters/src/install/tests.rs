use std::path::{Path, PathBuf};

use super::*;

fn project() -> (tempfile::TempDir, Scope) {
    let folder = tempfile::tempdir().unwrap();
    let scope = Scope::Project(folder.path().to_owned());
    (folder, scope)
}

fn program() -> PathBuf {
    PathBuf::from("/opt/it's here/fusebox")
}

#[test]
fn installed_twice_is_once_and_uninstalled_is_as_before() {
    for harness in Harness::ALL {
        let (_folder, scope) = project();
        let first = install(harness, &scope, &program()).unwrap();
        first.apply().unwrap();
        assert!(first.before.is_none() && !first.is_none(), "{harness}");
        let found = status(harness, &scope, &program()).unwrap();
        assert!(found.missing.is_empty() && !found.installed.is_empty(), "{harness}: {found:?}");
        assert!(install(harness, &scope, &program()).unwrap().is_none(), "{harness}: twice is once");
        // Another program is another text; there is still one of each.
        let other = install(harness, &scope, Path::new("/usr/bin/fusebox")).unwrap();
        assert!(!other.is_none(), "{harness}");
        let text = other.after.clone().unwrap();
        assert!(!text.contains("it's here") && !text.contains(r"it'\\''s"), "{harness}: {text}");
        other.apply().unwrap();
        assert!(!status(harness, &scope, &program()).unwrap().missing.is_empty());
        let out = uninstall(harness, &scope).unwrap();
        out.apply().unwrap();
        let left = std::fs::read_to_string(&out.file).unwrap_or_default();
        assert!(!left.contains("fusebox"), "{harness}: {left}");
        assert!(uninstall(harness, &scope).unwrap().is_none(), "{harness}");
    }
}

const CLAUDE: &str = r#"{
  // my settings
  "model": "opus", /* the large one */
  "hooks": {
    "PreToolUse": [
      { "matcher": "Bash", "hooks": [{ "type": "command", "command": "./lint.sh" }] }, // keep me
    ],
    "Notification": []
  },
  "permissions": { "deny": ["Read(.env)"] }
}
"#;

#[test]
fn order_comments_and_entries_of_others_stay() {
    let (folder, scope) = project();
    let file = folder.path().join(".claude/settings.json");
    std::fs::create_dir(folder.path().join(".claude")).unwrap();
    std::fs::write(&file, CLAUDE).unwrap();
    let change = install(Harness::ClaudeCode, &scope, &program()).unwrap();
    change.apply().unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    for kept in ["// my settings", "/* the large one */", "./lint.sh", "// keep me", "Read(.env)", "Notification"] {
        assert!(text.contains(kept), "{kept}: {text}");
    }
    let place = |word: &str| text.find(word).unwrap();
    assert!(place("model") < place("\"hooks\"") && place("\"hooks\"") < place("permissions"), "{text}");
    assert!(place("./lint.sh") < place("claude-code"), "appended, not inserted");
    assert!(text.contains("\"onFailure\": \"block\""), "{text}");
    let kept = std::fs::read_to_string(folder.path().join(".claude/settings.json.before-fusebox")).unwrap();
    assert_eq!(kept, CLAUDE);
    uninstall(Harness::ClaudeCode, &scope).unwrap().apply().unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    for kept in ["./lint.sh", "// keep me", "Notification"] {
        assert!(text.contains(kept) && !text.contains("claude-code"), "{kept}: {text}");
    }
}

#[test]
fn hooks_of_others_in_one_group_with_ours_stay() {
    let (folder, scope) = project();
    std::fs::create_dir(folder.path().join(".claude")).unwrap();
    let file = folder.path().join(".claude/settings.json");
    let ours = r#"{"type":"command","command":"/old/fusebox","args":["hook","claude-code"]}"#;
    std::fs::write(
        &file,
        format!(r#"{{"hooks":{{"PreToolUse":[{{"matcher":"*","hooks":[{{"command":"mine"}},{ours}]}}]}}}}"#),
    )
    .unwrap();
    uninstall(Harness::ClaudeCode, &scope).unwrap().apply().unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("mine") && !text.contains("fusebox"), "{text}");
}

const CODEX: &str = "# mine\nmodel = \"gpt\"\n\n[[hooks.Stop]]\n[[hooks.Stop.hooks]]\ntype = \"command\"\ncommand = \"say done\" # loud\n\n[tui]\n\
                     theme = \"dark\"\n";

#[test]
fn codex_keeps_its_hooks_where_they_are() {
    let (folder, scope) = project();
    let file = folder.path().join(".codex/config.toml");
    std::fs::create_dir(folder.path().join(".codex")).unwrap();
    std::fs::write(&file, CODEX).unwrap();
    let change = install(Harness::Codex, &scope, &program()).unwrap();
    assert_eq!(change.file, file);
    change.apply().unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    for kept in ["# mine", "command = \"say done\" # loud", "theme = \"dark\"", "hook codex"] {
        assert!(text.contains(kept), "{kept}: {text}");
    }
    assert!(install(Harness::Codex, &scope, &program()).unwrap().is_none());
    assert!(status(Harness::Codex, &scope, &program()).unwrap().missing.is_empty());
    uninstall(Harness::Codex, &scope).unwrap().apply().unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("say done") && !text.contains("hook codex"), "{text}");
}

#[test]
fn a_file_that_is_wrong_is_left_as_it_is() {
    for (harness, file, text) in [
        (Harness::ClaudeCode, ".claude/settings.json", "{ not json"),
        (Harness::ClaudeCode, ".claude/settings.json", "[]"),
        (Harness::ClaudeCode, ".claude/settings.json", r#"{"hooks": 7}"#),
        (Harness::Cursor, ".cursor/hooks.json", r#"{"hooks": {"preToolUse": "x"}}"#),
        (Harness::Codex, ".codex/config.toml", "hooks = 7"),
    ] {
        let (folder, scope) = project();
        let path = folder.path().join(file);
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        let error = install(harness, &scope, &program()).unwrap_err();
        assert!(error.to_string().contains("nothing was changed"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
}

#[cfg(unix)]
#[test]
fn a_link_stays_a_link_and_permissions_stay() {
    use std::os::unix::fs::PermissionsExt as _;
    let (folder, scope) = project();
    let real = folder.path().join("dotfiles.json");
    std::fs::write(&real, "{}").unwrap();
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::create_dir(folder.path().join(".claude")).unwrap();
    let link = folder.path().join(".claude/settings.json");
    std::os::unix::fs::symlink(&real, &link).unwrap();
    install(Harness::ClaudeCode, &scope, &program()).unwrap().apply().unwrap();
    assert!(std::fs::symlink_metadata(&link).unwrap().file_type().is_symlink());
    assert_eq!(std::fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(std::fs::read_to_string(&real).unwrap().contains("claude-code"));
}
