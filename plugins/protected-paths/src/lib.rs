//! Guard `protected-paths`: files that may not be read or written. The host takes the same globs for what commands see
//! and may change.

mod defaults;
mod globs;

use std::borrow::Cow;

use fusebox_sdk::prelude::*;
use serde::{Deserializer, Serializer};

use self::defaults::Protection;

struct ProtectedPaths;

/// Protected paths. Globs know `*`, `**`, `?`, `[a-z]` and `{a,b}` and match without regard to case. A glob without `/`
/// matches any part of a path; one with `/` matches from the workspace down (`./x` is the `x` of the workspace itself),
/// and all paths below the match.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// Secrets: may be neither read nor written nor removed. Commands do not see them.
    protect: Globs,
    /// Folders of version control: may be neither read nor written nor removed. Commands use those that are there; those
    /// that a command makes are taken away.
    repositories: Globs,
    /// May be read, but neither written nor removed, by commands neither.
    read_only: Globs,
    /// What other programs run or obey later: settings of CI, editors, agents and shells. A person decides on each
    /// change; commands cannot change them.
    run_later: Globs,
    /// Folders of installed packages, in which `protect` and `run_later` do not count.
    packages: Globs,
    /// Files that are excepted from all of this, such as `.env.example`; not what lies below them.
    except: Globs,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            protect: Globs::Default(Protection::Secret),
            repositories: Globs::Default(Protection::Repository),
            read_only: Globs::Default(Protection::ReadOnly),
            run_later: Globs::Default(Protection::RunLater),
            packages: Globs::Default(Protection::Package),
            except: Globs::Default(Protection::Exception),
        }
    }
}

/// A list of globs.
#[derive(Debug)]
enum Globs {
    /// Those of this kind that the guard knows.
    Default(Protection),
    /// Those of the policy.
    Own(Vec<String>),
}

impl Globs {
    fn own(&self) -> &[String] {
        match self {
            Self::Default(_) => &[],
            Self::Own(globs) => globs,
        }
    }
}

impl Serialize for Globs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Default(kind) => defaults::globs(*kind).serialize(serializer),
            Self::Own(globs) => globs.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Globs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::Own)
    }
}

impl JsonSchema for Globs {
    fn schema_name() -> Cow<'static, str> {
        "Globs".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Vec::<String>::json_schema(generator)
    }

    fn inline_schema() -> bool {
        true
    }
}

/// A match of a glob.
struct Match {
    kind: Protection,
    glob: String,
    /// Where the matched part of the path ends.
    end: usize,
}

impl Settings {
    fn lists(&self) -> [(Protection, &Globs); 6] {
        let Self { protect, repositories, read_only, run_later, packages, except } = self;
        [
            (Protection::Secret, protect),
            (Protection::Repository, repositories),
            (Protection::ReadOnly, read_only),
            (Protection::RunLater, run_later),
            (Protection::Package, packages),
            (Protection::Exception, except),
        ]
    }

    /// The strictest protection of a path, with its glob.
    fn protection(&self, path: &str) -> Option<(Protection, String)> {
        let path = &*globs::lower(path);
        let parts = globs::parts(path);
        let lists = self.lists();
        let counts =
            |kind: Protection| lists.iter().any(|(own, list)| *own == kind && matches!(list, Globs::Default(_)));
        let mut found: Vec<Match> = Vec::new();
        for part in &parts {
            let (above, name) = (path.get(..part.end), path.get(part.start..part.end));
            let known = defaults::matching(above.unwrap_or_default(), name.unwrap_or_default());
            found.extend(known.filter(|(kind, _)| counts(*kind)).map(|(kind, glob)| Match {
                kind,
                glob,
                end: part.end,
            }));
        }
        for (kind, list) in &lists {
            let own = globs::matching(list.own(), path, &parts);
            found.extend(own.map(|(hit, glob)| Match { kind: *kind, glob: glob.to_owned(), end: hit.end }));
        }
        // An exception names the file itself, not a folder above it; packages lie below their folder.
        let is_excepted = found.iter().any(|hit| hit.kind == Protection::Exception && hit.end == path.len());
        let packages = found.iter().filter(|hit| hit.kind == Protection::Package).map(|hit| hit.end).min();
        let holds = |hit: &Match| match hit.kind {
            Protection::Package | Protection::Exception => false,
            _ if is_excepted && hit.end == path.len() => false,
            Protection::Secret | Protection::RunLater => packages.is_none_or(|packages| hit.end <= packages),
            Protection::Repository | Protection::ReadOnly => true,
        };
        found.into_iter().filter(holds).min_by_key(|hit| hit.kind).map(|hit| (hit.kind, hit.glob))
    }
}

impl Guard for ProtectedPaths {
    type Settings = Settings;

    fn about() -> About {
        About::new("protected-paths", "0.1.0", "Keeps version control internals, secrets and keys from being touched.")
    }

    fn check_settings(settings: &Settings) -> Vec<Finding> {
        settings
            .lists()
            .into_iter()
            .flat_map(|(_, list)| list.own())
            .filter(|glob| {
                let glob = glob.strip_prefix("./").unwrap_or(glob);
                glob.is_empty() || glob.starts_with('/') || glob.split('/').any(|part| part == "..")
            })
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
        Effect::Read(read) => match settings.protection(&read.path)? {
            (Protection::Secret | Protection::Repository, glob) => {
                Some((Ruling::Deny, refused("read", &read.path, &glob)))
            }
            _ => None,
        },
        Effect::Write(write) => judge_change("written", &write.path, settings),
        Effect::Remove(remove) => judge_change("removed", &remove.path, settings),
        Effect::Run(run) => {
            let words =
                run.argv.iter().flat_map(|word| word.split(|c: char| c.is_whitespace() || "'\"=;|&<>()`".contains(c)));
            let (word, glob) = words
                .map(|word| word.trim_start_matches("./"))
                .filter(|word| !word.is_empty())
                .find_map(|word| match settings.protection(word)? {
                    (Protection::Secret | Protection::Repository, glob) => Some((word, glob)),
                    _ => None,
                })?;
            let message = format!("the command names {word}, which is protected by {glob}");
            Some((Ruling::Review, Finding::warning("protected-path-in-command", message)))
        }
        Effect::Prompt(_) | Effect::Net(_) | Effect::Tool(_) | Effect::Other(_) => None,
    }
}

fn judge_change(verb: &str, path: &str, settings: &Settings) -> Option<(Ruling, Finding)> {
    match settings.protection(path)? {
        (Protection::RunLater, glob) => {
            let message = format!("{path} would be {verb}: other programs run or obey it later ({glob})");
            Some((Ruling::Review, Finding::warning("run-later", message)))
        }
        (_, glob) => Some((Ruling::Deny, refused(verb, path, &glob))),
    }
}

fn refused(verb: &str, path: &str, glob: &str) -> Finding {
    Finding::error("protected-path", format!("{path} may not be {verb}: it is protected by {glob}"))
}

fusebox_sdk::export_guard!(ProtectedPaths);

#[cfg(test)]
mod tests;
