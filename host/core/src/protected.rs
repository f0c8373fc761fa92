//! Paths of a workspace that commands do not see or cannot change: the globs of guards `protected-paths`, as these have
//! them. A test compares the matching here with the guard's (`tests/tests/host/protected.rs`).

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeMap;

use fast_glob::glob_match;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Name of the bundled guard whose globs count.
pub const GUARD: &str = "protected-paths";

/// Glob of the folders into which secrets are moved that are taken away at the end of a command.
const TAKEN_AWAY: &str = "taken-away-secrets-*";

/// Most globs that the braces of one stand for.
const MAX_ALTERNATIVES: usize = 1000;

/// Settings of the bundled guard, with the folders of secrets that were taken away in a list of their own.
#[must_use]
pub fn with_taken_away(settings: &Value) -> Value {
    let mut settings = settings.clone();
    if let Some(list) = settings.get_mut("protect").and_then(Value::as_array_mut) {
        list.push(TAKEN_AWAY.into());
    }
    settings
}

/// Globs of one guard. The guard's settings say what each list means.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProtectedGlobs {
    /// Secrets.
    pub protect: Vec<String>,
    /// Folders of version control.
    pub repositories: Vec<String>,
    /// May be read, but not changed.
    pub read_only: Vec<String>,
    /// Files that other programs run or obey later.
    pub run_later: Vec<String>,
    /// Folders of installed packages.
    pub packages: Vec<String>,
    /// Excepted files.
    pub except: Vec<String>,
}

impl ProtectedGlobs {
    /// The globs of a guard: its settings, and the defaults of their schema.
    #[must_use]
    pub fn of_guard(schema: Option<&Value>, settings: &Value) -> Self {
        let globs = |name: &str| {
            let default = || schema?.get("properties")?.get(name)?.get("default");
            let globs = settings.get(name).or_else(default).and_then(Value::as_array);
            globs.into_iter().flatten().filter_map(|glob| glob.as_str().map(ToOwned::to_owned)).collect()
        };
        Self {
            protect: globs("protect"),
            repositories: globs("repositories"),
            read_only: globs("read_only"),
            run_later: globs("run_later"),
            packages: globs("packages"),
            except: globs("except"),
        }
    }
}

/// Protection of a path against commands, the strictest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PathProtection {
    /// It stays where it is; what it holds may change.
    Repository,
    /// It cannot be changed.
    ReadOnly,
    /// It is not seen.
    Hidden,
}

/// Globs of all guards, made ready for many paths.
#[derive(Debug, Clone, Default)]
pub struct PathMatcher(Vec<Globs>);

#[derive(Debug, Clone, Default)]
struct Globs {
    protecting: GlobSet<PathProtection>,
    /// Those that do not count in folders of packages.
    outside_packages: GlobSet<PathProtection>,
    packages: GlobSet<()>,
    except: GlobSet<()>,
    /// Folders that globs of paths name on the way to what they protect, such as `.cargo` of `.cargo/config.toml`.
    holders: GlobSet<()>,
    holders_outside_packages: GlobSet<()>,
    /// All folders that globs of paths lead through, by name or by pattern.
    ways: GlobSet<()>,
    ways_outside_packages: GlobSet<()>,
}

impl PathMatcher {
    /// Makes globs ready.
    #[must_use]
    pub fn new(guards: &[ProtectedGlobs]) -> Self {
        let of = |guard: &ProtectedGlobs| {
            let mut globs = Globs::default();
            globs.outside_packages.add(&guard.protect, PathProtection::Hidden);
            globs.outside_packages.add(&guard.run_later, PathProtection::ReadOnly);
            globs.protecting.add(&guard.repositories, PathProtection::Repository);
            globs.protecting.add(&guard.read_only, PathProtection::ReadOnly);
            globs.packages.add(&guard.packages, ());
            globs.except.add(&guard.except, ());
            let ways = folders_above(&[&guard.repositories, &guard.read_only]);
            let ways_outside_packages = folders_above(&[&guard.protect, &guard.run_later]);
            globs.holders.add(&named(&ways), ());
            globs.holders_outside_packages.add(&named(&ways_outside_packages), ());
            globs.ways.add(&ways, ());
            globs.ways_outside_packages.add(&ways_outside_packages, ());
            globs
        };
        Self(guards.iter().map(of).collect())
    }

    /// Protection of an entry of a folder, when none of the folders above it is protected. `folder` is relative to the
    /// workspace and empty for the workspace itself; `packages` says for which guards it lies in a folder of packages.
    /// Exceptions do not count for folders: they except a file, not what lies below a folder of that name.
    #[must_use]
    pub fn protection(
        &self,
        folder: &str,
        name: &str,
        is_folder: bool,
        packages: &PackageFolders,
    ) -> Option<PathProtection> {
        let entry = Entry::new(folder, name);
        let guards = self.0.iter().zip(packages.0.iter().copied().chain(std::iter::repeat(false)));
        let of = |(globs, in_packages): (&Globs, bool)| {
            let mut found = globs.protecting.matching(&entry).max();
            if !in_packages {
                found = found.max(globs.outside_packages.matching(&entry).max());
            }
            found.filter(|_| is_folder || globs.except.matching(&entry).next().is_none())
        };
        guards.filter_map(of).max()
    }

    /// Whether all guards except an entry of a folder, for what is protected by no glob.
    #[must_use]
    pub fn excepts(&self, folder: &str, name: &str) -> bool {
        let entry = Entry::new(folder, name);
        !self.0.is_empty() && self.0.iter().all(|globs| globs.except.matching(&entry).next().is_some())
    }

    /// Whether globs name an entry of a folder on the way to what they protect: what it is called protects what it holds.
    #[must_use]
    pub fn is_holder(&self, folder: &str, name: &str, packages: &PackageFolders) -> bool {
        self.any(folder, name, packages, |globs| [&globs.holders, &globs.holders_outside_packages])
    }

    /// Whether globs lead through a folder to what they protect, by its name or by a pattern such as `*`: from that folder
    /// down, they match other paths. Globs that begin with `**/` match at any depth, and lead through none by that.
    #[must_use]
    pub fn leads_through(&self, folder: &str, name: &str, packages: &PackageFolders) -> bool {
        self.any(folder, name, packages, |globs| [&globs.ways, &globs.ways_outside_packages])
    }

    /// Whether globs match an entry: the first of two sets, or the second outside of folders of packages.
    fn any(
        &self,
        folder: &str,
        name: &str,
        packages: &PackageFolders,
        sets: impl Fn(&Globs) -> [&GlobSet<()>; 2],
    ) -> bool {
        let entry = Entry::new(folder, name);
        let mut guards = self.0.iter().zip(packages.0.iter().copied().chain(std::iter::repeat(false)));
        guards.any(|(globs, in_packages)| {
            let [everywhere, outside] = sets(globs);
            let is_in = |set: &GlobSet<()>| set.matching(&entry).next().is_some();
            is_in(everywhere) || (!in_packages && is_in(outside))
        })
    }

    /// Folders of packages that an entry of a folder lies in, once it is entered.
    #[must_use]
    pub fn entered(&self, folder: &str, name: &str, packages: &PackageFolders) -> PackageFolders {
        let entry = Entry::new(folder, name);
        let guards = self.0.iter().zip(packages.0.iter().copied().chain(std::iter::repeat(false)));
        let is_in = |(globs, is_in): (&Globs, bool)| is_in || globs.packages.matching(&entry).next().is_some();
        PackageFolders(guards.map(is_in).collect())
    }
}

/// Globs of the folders that globs of paths lead through.
fn folders_above(lists: &[&Vec<String>]) -> Vec<String> {
    let of = |glob: String| {
        let glob = glob.strip_prefix("./").unwrap_or(&glob).to_owned();
        let slashes: Vec<usize> = glob.match_indices('/').map(|(at, _)| at).collect();
        let above = move |at| glob.get(..at).filter(|above| *above != "**").map(|above| format!("./{above}"));
        slashes.into_iter().filter_map(above)
    };
    lists.iter().copied().flatten().flat_map(|glob| alternatives(glob)).flat_map(of).collect()
}

/// Those of some globs of folders that not any name matches.
fn named(folders: &[String]) -> Vec<String> {
    let is_named = |glob: &&String| !glob.ends_with("/*") && !glob.ends_with("**");
    folders.iter().filter(is_named).cloned().collect()
}

/// A glob for each choice of what its braces hold; as it is when there are too many.
fn alternatives(glob: &str) -> Vec<String> {
    let mut whole = Vec::new();
    let mut left = vec![glob.to_owned()];
    while let Some(next) = left.pop() {
        match first_braces(&next) {
            None => whole.push(next),
            Some((before, choices, after)) => {
                left.extend(choices.iter().map(|choice| format!("{before}{choice}{after}")));
            }
        }
        if left.len() + whole.len() > MAX_ALTERNATIVES {
            return vec![glob.to_owned()];
        }
    }
    whole
}

/// What stands before the first braces of a glob, the choices in them, and what stands behind.
fn first_braces(glob: &str) -> Option<(&str, Vec<&str>, &str)> {
    let (mut depth, mut in_class, mut is_escaped) = (0_usize, false, false);
    let (mut open, mut from, mut choices) = (0, 0, Vec::new());
    for (at, c) in glob.char_indices() {
        match c {
            _ if std::mem::take(&mut is_escaped) => {}
            '\\' => is_escaped = true,
            '[' => in_class = true,
            ']' => in_class = false,
            _ if in_class => {}
            '{' => {
                if depth == 0 {
                    (open, from) = (at, at + 1);
                }
                depth += 1;
            }
            ',' if depth == 1 => {
                choices.push(glob.get(from..at)?);
                from = at + 1;
            }
            '}' if depth == 1 => {
                choices.push(glob.get(from..at)?);
                return Some((glob.get(..open)?, choices, glob.get(at + 1..)?));
            }
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

/// For each guard, whether a place lies in a folder of packages; for those that are not listed, it does not.
#[derive(Debug, Clone, Default)]
pub struct PackageFolders(Vec<bool>);

impl PartialEq for PackageFolders {
    fn eq(&self, other: &Self) -> bool {
        let listed = self.0.len().max(other.0.len());
        let of = |folders: &Self, guard| folders.0.get(guard).copied().unwrap_or(false);
        (0..listed).all(|guard| of(self, guard) == of(other, guard))
    }
}

/// An entry of a folder, in lower case. Its path is made when a glob asks for it, which few do.
struct Entry<'a> {
    folder: &'a str,
    name: Cow<'a, str>,
    path: OnceCell<String>,
}

impl<'a> Entry<'a> {
    fn new(folder: &'a str, name: &'a str) -> Self {
        Self { folder, name: lower(name), path: OnceCell::new() }
    }

    fn path(&self) -> &str {
        self.path.get_or_init(|| match self.folder {
            "" => self.name.clone().into_owned(),
            folder => format!("{}/{}", lower(folder), self.name),
        })
    }
}

/// Globs by the last part of the path that they match: most names of a workspace are ruled out by it.
#[derive(Debug, Clone)]
struct GlobSet<T> {
    by_name: BTreeMap<String, Vec<(Glob, T)>>,
    by_pattern: Vec<(String, Glob, T)>,
}

impl<T> Default for GlobSet<T> {
    fn default() -> Self {
        Self { by_name: BTreeMap::new(), by_pattern: Vec::new() }
    }
}

#[derive(Debug, Clone)]
enum Glob {
    /// Matches the last part of a path.
    Name(String),
    /// Matches a path from the workspace down.
    Path(String),
}

impl<T: Copy> GlobSet<T> {
    fn add(&mut self, globs: &[String], with: T) {
        for glob in globs {
            let is_path = glob.contains('/');
            let glob = lower(glob.strip_prefix("./").unwrap_or(glob)).into_owned();
            let last = glob.rsplit('/').next().unwrap_or_default().to_owned();
            let glob = if is_path { Glob::Path(glob) } else { Glob::Name(glob) };
            if last.contains(['*', '?', '[', ']', '{', '}', '!', '\\']) {
                self.by_pattern.push((last, glob, with));
            } else {
                self.by_name.entry(last).or_default().push((glob, with));
            }
        }
    }

    fn matching<'a>(&'a self, entry: &'a Entry<'a>) -> impl Iterator<Item = T> + 'a {
        let named = self.by_name.get(&*entry.name).into_iter().flatten();
        let named = named.filter(|(glob, _)| match glob {
            Glob::Name(_) => true,
            Glob::Path(glob) => glob_match(glob, entry.path()),
        });
        let patterns = self.by_pattern.iter().filter(|(last, glob, _)| {
            may_match(last, &entry.name)
                && match glob {
                    Glob::Name(glob) => glob_match(glob, &*entry.name),
                    Glob::Path(glob) => glob_match(glob, entry.path()),
                }
        });
        named.map(|(_, with)| *with).chain(patterns.map(|(_, _, with)| *with))
    }
}

/// Whether first and last character of a pattern allow a match, both in lower case.
fn may_match(pattern: &str, name: &str) -> bool {
    let open = |c: char| "*?[]{}!\\".contains(c);
    let first = pattern.chars().next().is_none_or(|first| open(first) || name.starts_with(first));
    first && pattern.chars().last().is_none_or(|last| open(last) || name.ends_with(last))
}

fn lower(text: &str) -> Cow<'_, str> {
    let is_lower = text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
    if is_lower { Cow::Borrowed(text) } else { Cow::Owned(text.to_lowercase()) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn globs(settings: &Value) -> ProtectedGlobs {
        let schema = json!({ "properties": {
            "protect": { "default": [".env", "*.pem", "**/.docker/config.json"] },
            "repositories": { "default": [".git"] },
            "read_only": { "default": ["**/.git/hooks", "./top"] },
            "run_later": { "default": [".envrc"] },
            "packages": { "default": ["node_modules"] },
            "except": { "default": [".env.example", "ca.pem"] },
        } });
        ProtectedGlobs::of_guard(Some(&schema), settings)
    }

    fn find(matcher: &PathMatcher, path: &str) -> Option<PathProtection> {
        let mut folder = String::new();
        let mut packages = PackageFolders::default();
        let mut parts = path.split('/').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return matcher.protection(&folder, part, false, &packages);
            }
            packages = matcher.entered(&folder, part, &packages);
            folder = if folder.is_empty() { part.to_owned() } else { format!("{folder}/{part}") };
        }
        None
    }

    #[test]
    fn globs_are_those_of_the_guard() {
        let matcher = PathMatcher::new(&[globs(&json!({}))]);
        for (path, protection) in [
            (".env", Some(PathProtection::Hidden)),
            ("a/b/.ENV", Some(PathProtection::Hidden)),
            ("a/x.pem", Some(PathProtection::Hidden)),
            ("a/ca.pem", None),
            (".docker/config.json", Some(PathProtection::Hidden)),
            ("a/.docker/config.json", Some(PathProtection::Hidden)),
            ("a/config.json", None),
            (".git", Some(PathProtection::Repository)),
            ("a/.git", Some(PathProtection::Repository)),
            (".git/hooks", Some(PathProtection::ReadOnly)),
            ("a/.git/hooks", Some(PathProtection::ReadOnly)),
            ("hooks", None),
            ("top", Some(PathProtection::ReadOnly)),
            ("a/top", None),
            (".envrc", Some(PathProtection::ReadOnly)),
            ("node_modules/x/.envrc", None),
            ("node_modules/x/x.pem", None),
            ("node_modules/x/.git", Some(PathProtection::Repository)),
            ("node_modules/x/.git/hooks", Some(PathProtection::ReadOnly)),
            ("src/main.rs", None),
        ] {
            assert_eq!(find(&matcher, path), protection, "{path}");
        }
    }

    #[test]
    fn folders_on_the_way_to_protected_files_are_known() {
        let matcher = PathMatcher::new(&[globs(&json!({ "read_only": ["**/.git/hooks", "a/b/*/c"] }))]);
        let packages = PackageFolders::default();
        let holder = |folder: &str, name: &str| matcher.is_holder(folder, name, &packages);
        for (folder, name) in [("", ".docker"), ("x/y", ".Docker"), ("", ".git"), ("", "a"), ("a", "b")] {
            assert!(holder(folder, name), "{folder}/{name}");
        }
        for (folder, name) in [("", "x"), ("x", "a"), ("a/b", "x"), ("", "config.json")] {
            assert!(!holder(folder, name), "{folder}/{name}");
        }
        let inside = matcher.entered("", "node_modules", &packages);
        assert!(!matcher.is_holder("node_modules", ".docker", &inside));
        assert!(matcher.is_holder("node_modules", ".git", &inside));
    }

    #[test]
    fn folders_that_globs_lead_through_are_known() {
        let lists = json!({ "read_only": ["*/s.json", "{prod/db,stage/{a,b}}/pw.txt", "a/**/c", "[{]x/\\{y/z"] });
        let matcher = PathMatcher::new(&[globs(&lists)]);
        let leads = |path: &str| {
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            matcher.leads_through(folder, name, &PackageFolders::default())
        };
        for path in
            ["any", "prod", "prod/db", "stage/a", "stage/b", "a/x", "a/x/y", "{x", "{x/{y", ".docker", "q/.docker"]
        {
            assert!(leads(path), "{path}");
        }
        for path in ["any/x", "prod/x", "x/prod", "{x/y", "x/{y"] {
            assert!(!leads(path), "{path}");
        }
        assert!(matcher.is_holder("prod", "db", &PackageFolders::default()));
        assert!(!matcher.is_holder("", "any", &PackageFolders::default()));
        let many = "{a,b}".repeat(40);
        assert_eq!(alternatives(&many), [many]);
    }

    #[test]
    fn settings_replace_defaults_and_guards_add_up() {
        let own = globs(&json!({ "protect": [], "repositories": [], "read_only": ["migrations/*"], "run_later": [] }));
        assert_eq!(find(&PathMatcher::new(std::slice::from_ref(&own)), ".env"), None);
        let both = PathMatcher::new(&[own, globs(&json!({}))]);
        assert_eq!(find(&both, ".env"), Some(PathProtection::Hidden));
        assert_eq!(find(&both, "migrations/1.sql"), Some(PathProtection::ReadOnly));
        assert_eq!(find(&PathMatcher::default(), ".env"), None);
    }
}
