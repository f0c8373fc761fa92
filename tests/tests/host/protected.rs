//! The guard `protected-paths` and the sandbox of commands hold the same paths for protected.

use fusebox::Harness;
use fusebox_core::protected::{PackageFolders, PathMatcher, PathProtection, ProtectedGlobs};
use fusebox_core::{Digest, Effect, Finding, Json, WorkspacePath};
use serde_json::json;

/// The strictest protection of a path or of a folder above it, and whether a repository is among them: what a scan of
/// the workspace finds on its way.
fn on_the_way(matcher: &PathMatcher, path: &str) -> Option<PathProtection> {
    let mut strictest = None;
    let (mut folder, mut packages) = (String::new(), PackageFolders::default());
    let mut parts = path.split('/').peekable();
    while let Some(part) = parts.next() {
        let is_folder = parts.peek().is_some();
        strictest = strictest.max(matcher.protection(&folder, part, is_folder, &packages));
        packages = matcher.entered(&folder, part, &packages);
        folder = if folder.is_empty() { part.to_owned() } else { format!("{folder}/{part}") };
    }
    strictest
}

/// Paths of names that globs match, that they nearly match, and of others.
fn paths(globs: &[String], random: &mut fastrand::Rng) -> Vec<String> {
    let mut names: Vec<String> =
        ["src", "main.rs", "a.env", "x", "Config", "hooks", "ä", ".E"].iter().map(|name| (*name).to_owned()).collect();
    for glob in globs {
        for part in glob.split('/').filter(|part| *part != "**") {
            names.push(part.replace('*', "x"));
            names.push(part.replace('*', "").to_uppercase());
            names.push(format!("{}~", part.replace('*', "x")));
        }
    }
    names.retain(|name| !name.is_empty() && name != "." && name != "..");
    let whole = globs.iter().map(|glob| glob.replace("**/", "").replace('*', "x"));
    let mixed = (0..4000).map(|_| {
        let parts: Vec<&str> = (0..random.usize(1..5)).map(|_| names[random.usize(..names.len())].as_str()).collect();
        parts.join("/")
    });
    let all: Vec<String> = whole.chain(mixed.collect::<Vec<_>>()).collect();
    all.iter().filter_map(|path| Some(WorkspacePath::parse(path).ok()?.to_string())).collect()
}

#[test]
fn the_guard_and_the_sandbox_agree() {
    let own = json!({ "protect": ["secret/*", "*.x", "./top"], "run_later": ["**/ci/run"], "except": ["fine.x"] });
    let mut random = fastrand::Rng::with_seed(18);
    for settings in [json!({}), own] {
        let limits = fusebox::sandbox::Limits { call_fuel: 10_000_000_000, ..fusebox::sandbox::Limits::guard() };
        let harness = Harness::bundled("protected-paths").unwrap().limits(limits);
        let harness = harness.settings(Json::parse("settings", settings.to_string().as_bytes(), 10_000).unwrap());
        let schema = harness.plugin().description().settings_schema.clone();
        let globs = ProtectedGlobs::of_guard(schema.as_ref(), &settings);
        let all =
            [&globs.protect, &globs.repositories, &globs.read_only, &globs.run_later, &globs.packages, &globs.except];
        let all: Vec<String> = all.into_iter().flatten().cloned().collect();
        let matcher = PathMatcher::new(std::slice::from_ref(&globs));
        let (mut protected, paths) = (0, paths(&all, &mut random));
        for paths in paths.chunks(20) {
            let at = |path: &String| path.parse::<WorkspacePath>().unwrap();
            let reads: Vec<Effect> = paths.iter().map(|path| Effect::Read { path: at(path) }).collect();
            let write =
                |path| Effect::Write { path: at(path), before: None, after: Digest::ZERO, size: 0, obeyed: false };
            let writes: Vec<Effect> = paths.iter().map(write).collect();
            let found = |effects: &[Effect]| -> Vec<Finding> { harness.check(effects).result.unwrap().findings };
            let (read, written) = (found(&reads), found(&writes));
            for (index, path) in paths.iter().enumerate() {
                let index = u32::try_from(index).unwrap();
                let is_of = |finding: &&Finding| finding.effect == Some(index);
                let (may_read, may_write) = (read.iter().find(is_of).is_none(), written.iter().find(is_of).is_none());
                let held = on_the_way(&matcher, path);
                protected += usize::from(held.is_some());
                assert_eq!(held.is_none(), may_write, "{path}: {held:?}, {:?}", written.iter().find(is_of));
                // What a command sees, a step may read; a repository's folders are for `git` alone.
                assert!(!may_read || held < Some(PathProtection::Hidden), "{path}: {held:?}");
            }
        }
        assert!(protected > 1000 && protected < paths.len(), "{protected} of {}", paths.len());
    }
}
