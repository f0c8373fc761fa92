//! Guard `protected-paths`: files that may not be read or written.

use std::borrow::Cow;

use fast_glob::glob_match;
use fusebox_sdk::prelude::*;

/// Paths that no agent needs: version control internals, secrets, keys.
const DEFAULT_PROTECTED: [&str; 16] = [
    ".git",
    ".hg",
    ".svn",
    ".env",
    ".env.*",
    ".ssh",
    ".gnupg",
    ".aws",
    ".netrc",
    ".npmrc",
    ".pypirc",
    "id_rsa*",
    "id_ed25519*",
    "*.pem",
    "*.key",
    "*.{p12,pfx}",
];

struct ProtectedPaths;

/// Borrowed where it is a default: a guard is called for every action, and most policies change nothing.
type Glob = Cow<'static, str>;

/// Protected paths. Globs know `*`, `**`, `?`, `[a-z]` and `{a,b}` and match without regard to case. A glob without `/`
/// matches any part of a path; one with `/` matches from the workspace down, and all paths below the match.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// May be neither read nor written nor removed.
    protect: Vec<Glob>,
    /// May be read, but neither written nor removed.
    read_only: Vec<Glob>,
    /// Files that are excepted from both, such as `.env.example`; not what lies below them.
    except: Vec<Glob>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            protect: DEFAULT_PROTECTED.map(Glob::Borrowed).to_vec(),
            read_only: Vec::new(),
            except: vec![".env.example".into()],
        }
    }
}

impl Guard for ProtectedPaths {
    type Settings = Settings;

    fn about() -> About {
        About::new("protected-paths", "0.1.0", "Keeps version control internals, secrets and keys from being touched.")
    }

    fn check_settings(settings: &Settings) -> Vec<Finding> {
        let globs = [&settings.protect, &settings.read_only, &settings.except];
        globs
            .into_iter()
            .flatten()
            .filter(|glob| glob.is_empty() || glob.starts_with('/') || glob.split('/').any(|part| part == ".."))
            .map(|glob| {
                let message = format!("{glob:?} cannot match: globs are relative to the workspace and hold no `..`");
                Finding::error("glob-invalid", message)
            })
            .collect()
    }

    fn check(_: &Action, effects: &[Effect], settings: &Settings) -> Verdict {
        let mut verdict = Verdict::abstain();
        for (index, effect) in effects.iter().enumerate() {
            if let Some((ruling, finding)) = judge(effect, settings) {
                verdict.add(ruling, finding.on(index));
            }
        }
        verdict
    }
}

fn judge(effect: &Effect, settings: &Settings) -> Option<(Ruling, Finding)> {
    match effect {
        Effect::Read(read) => {
            let glob = matching(&settings.protect, &read.path, settings)?;
            Some((Ruling::Deny, refused("read", &read.path, glob)))
        }
        Effect::Write(write) => refuse_change("written", &write.path, settings),
        Effect::Remove(remove) => refuse_change("removed", &remove.path, settings),
        Effect::Run(run) => {
            let words =
                run.argv.iter().flat_map(|word| word.split(|c: char| c.is_whitespace() || "'\"=;|&<>()`".contains(c)));
            let (word, glob) = words
                .map(|word| word.trim_start_matches("./"))
                .filter(|word| !word.is_empty())
                .find_map(|word| Some((word, matching(&settings.protect, word, settings)?)))?;
            let message = format!("the command names {word}, which is protected by {glob}");
            Some((Ruling::Review, Finding::warning("protected-path-in-command", message)))
        }
        Effect::Prompt(_) | Effect::Net(_) | Effect::Tool(_) | Effect::Other(_) => None,
    }
}

fn refuse_change(verb: &str, path: &str, settings: &Settings) -> Option<(Ruling, Finding)> {
    let glob = matching(&settings.protect, path, settings).or_else(|| matching(&settings.read_only, path, settings))?;
    Some((Ruling::Deny, refused(verb, path, glob)))
}

fn refused(verb: &str, path: &str, glob: &str) -> Finding {
    Finding::error("protected-path", format!("{path} may not be {verb}: it is protected by {glob}"))
}

/// The first of `globs` that matches, unless an exception covers the match.
fn matching<'a>(globs: &'a [Glob], path: &str, settings: &Settings) -> Option<&'a str> {
    let path = lower(path);
    let parts = parts(&path);
    let is_excepted = |hit: Hit| settings.except.iter().any(|except| excepts(except, &path, &parts, hit));
    globs.iter().find(|glob| hits(glob, &path, &parts).any(|hit| !is_excepted(hit))).map(|glob| &**glob)
}

/// Part of a path that a glob matched: start and end.
#[derive(Clone, Copy)]
struct Hit {
    start: usize,
    end: usize,
}

/// The parts of a path, found once for all globs.
fn parts(path: &str) -> Vec<Hit> {
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    let mut next = 0;
    ends.map(|end| Hit { start: std::mem::replace(&mut next, end + 1), end }).collect()
}

/// Matches of a glob in a path in lower case: its parts or, for a glob with `/`, the folders of the path, and itself.
fn hits<'a>(glob: &'a str, path: &'a str, parts: &'a [Hit]) -> impl Iterator<Item = Hit> + 'a {
    let from_the_top = glob.contains('/');
    parts.iter().map(move |part| Hit { start: if from_the_top { 0 } else { part.start }, end: part.end }).filter(
        move |hit| {
            let text = path.get(hit.start..hit.end).unwrap_or_default();
            may_match(glob, text) && glob_match(&*lower(glob), text)
        },
    )
}

/// Whether an exception lifts a hit: it names the file itself, and the hit is no folder above the file.
fn excepts(except: &str, path: &str, parts: &[Hit], hit: Hit) -> bool {
    hit.end == path.len() && hits(except, path, parts).any(|own| own.end == path.len())
}

/// Whether the first characters allow a match: most parts of most paths are ruled out by them alone.
fn may_match(glob: &str, part: &str) -> bool {
    match (glob.as_bytes().first(), part.as_bytes().first()) {
        (Some(b'*' | b'?' | b'[' | b'{' | b'!' | b'\\'), _) | (None, _) => true,
        (Some(first), Some(other)) => !first.is_ascii() || first.to_ascii_lowercase() == *other,
        (Some(_), None) => false,
    }
}

fn lower(text: &str) -> Cow<'_, str> {
    let is_lower = text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
    if is_lower { Cow::Borrowed(text) } else { Cow::Owned(text.to_lowercase()) }
}

fusebox_sdk::export_guard!(ProtectedPaths);

#[cfg(test)]
mod tests {
    use fusebox_sdk::{Origin, Payload};

    use super::*;

    fn check(effect: Effect, settings: &Settings) -> Ruling {
        let action = Action {
            step_type: "test".into(),
            input: "{}".into(),
            description: String::new(),
            scope: Scope::Workspace,
            origin: Origin::Plan,
        };
        ProtectedPaths::check(&action, &[effect], settings).ruling
    }

    fn write(path: &str) -> Effect {
        Effect::write(path, Payload { handle: 1, size: 0, sha256: String::new() })
    }

    #[test]
    fn secrets_and_internals_are_protected_by_default() {
        let settings = Settings::default();
        for path in [
            ".git/config",
            "sub/.git/hooks/pre-commit",
            ".env",
            "a/.env.production",
            "keys/server.PEM",
            ".GIT/config",
            "home/.ssh/id_rsa",
            "id_ed25519.pub",
            "cert.pfx",
        ] {
            assert_eq!(check(Effect::read(path), &settings), Ruling::Deny, "{path}");
            assert_eq!(check(write(path), &settings), Ruling::Deny, "{path}");
            assert_eq!(check(Effect::remove(path), &settings), Ruling::Deny, "{path}");
        }
    }

    #[test]
    fn ordinary_files_and_exceptions_are_not() {
        let settings = Settings::default();
        for path in ["src/main.rs", "gitignore", ".gitignore", ".env.example", "environment", "keys.md"] {
            assert_eq!(check(write(path), &settings), Ruling::Abstain, "{path}");
        }
    }

    #[test]
    fn an_exception_lifts_only_what_it_names() {
        let settings = Settings::default();
        for path in [".git/.env.example", ".env.example/id_rsa", "a/.env.example/.env", ".ssh/.env.example"] {
            assert_eq!(check(write(path), &settings), Ruling::Deny, "{path}");
        }
        assert_eq!(check(write("a/b/.env.example"), &settings), Ruling::Abstain);
    }

    #[test]
    fn globs_with_a_slash_match_from_the_top_and_below() {
        let settings = Settings { read_only: vec!["migrations/*".into()], ..Settings::default() };
        assert_eq!(check(write("migrations/1.sql"), &settings), Ruling::Deny);
        assert_eq!(check(write("migrations/2/up.sql"), &settings), Ruling::Deny);
        assert_eq!(check(Effect::read("migrations/1.sql"), &settings), Ruling::Abstain);
        assert_eq!(check(write("src/migrations/1.sql"), &settings), Ruling::Abstain);
    }

    #[test]
    fn a_command_that_names_a_protected_path_is_for_a_person() {
        let settings = Settings::default();
        let run = |words: &[&str]| Effect::run(words.iter().map(|word| (*word).to_owned()).collect(), "", None);
        assert_eq!(check(run(&["cat", "./.env"]), &settings), Ruling::Review);
        assert_eq!(check(run(&["/bin/sh", "-c", "cat <.env"]), &settings), Ruling::Review);
        assert_eq!(check(run(&["python3", "-m", "unittest"]), &settings), Ruling::Abstain);
    }

    #[test]
    fn globs_that_cannot_match_are_refused() {
        let settings = Settings { protect: vec!["/etc".into(), "a/../b".into(), "".into()], ..Settings::default() };
        assert_eq!(ProtectedPaths::check_settings(&settings).len(), 3);
        assert!(ProtectedPaths::check_settings(&Settings::default()).is_empty());
    }
}
