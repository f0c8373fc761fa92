//! Rules that no policy can switch off.

use serde::{Deserialize, Serialize};

use crate::effect::{Outside, OutsideAccess};
use crate::{Effect, Finding};

/// Name of the built-in rules in the reasons of a decision.
pub const NAME: &str = "built-in";

/// Name of policy files: no agent may change one, as it could loosen its own rules.
pub const POLICY_FILE: &str = "fusebox.toml";

/// The program that no agent may run: it could approve itself.
const OWN_PROGRAM: &str = "fusebox";

/// Places of the host itself, as absolute paths without links. Empty ones are not looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnPlaces {
    /// `$FUSEBOX_HOME`: log, cache and policy.
    pub home: String,
    /// The executable of this host.
    pub program: String,
}

/// Refuses an effect that the built-in rules forbid: a command that runs Fusebox itself, by whatever path or through a
/// shell, or names its home; and a change of a policy file. A command can hide names from this rule; the process
/// sandbox limits what it can reach.
#[must_use]
pub fn judge(effect: &Effect, own: &OwnPlaces) -> Option<Finding> {
    let (argv, program) = match effect {
        Effect::Run { argv, program, .. } => (argv, program),
        Effect::Write { path, .. } | Effect::Remove { path, .. }
            if file_name(path.as_str()).eq_ignore_ascii_case(POLICY_FILE) =>
        {
            let message = format!("{path} is a policy of Fusebox: a person changes it, and trusts it anew");
            return Some(Finding::error("own-policy", message));
        }
        other => return own_place(&other.outside()?, own),
    };
    let is_own_program = |word: &str| file_name(word).eq_ignore_ascii_case(OWN_PROGRAM);
    // A program of the workspace is named from there.
    let is_own_path = |program: &str| own.program == program || own.program.ends_with(&format!("/{program}"));
    if is_own_program(program) || (!own.program.is_empty() && !program.is_empty() && is_own_path(program)) {
        return Some(own_program(program));
    }
    for argument in argv {
        // As it stands, and as a shell would read it: quotes and backslashes gone.
        let unquoted: String = argument.chars().filter(|c| !"'\"\\".contains(*c)).collect();
        for text in [argument.as_str(), &unquoted] {
            if !own.home.is_empty() && text.contains(&own.home) {
                let message = "the command names the home of Fusebox, where its log and approvals lie".to_owned();
                return Some(Finding::error("own-home", message));
            }
            if let Some(word) = text.split(separates).find(|word| is_own_program(word)) {
                return Some(own_program(word));
            }
        }
    }
    None
}

/// Reason why a person decides on an effect, whatever guards say: it changes a file that settings of a repository make other
/// programs run or obey, or a bare name in a command leads to a program of the workspace, because the search path does, and a
/// rule that allows the name means another program.
#[must_use]
pub fn review(effect: &Effect) -> Option<Finding> {
    match effect {
        Effect::Write { path, obeyed: true, .. } | Effect::Remove { path, obeyed: true, .. } => {
            let message = format!("other programs run or obey {path}, by settings of a repository or a link");
            Some(Finding::warning("obeyed-file", message))
        }
        Effect::Run { files, .. } => {
            let file = files.iter().find(|file| file.on_search_path)?;
            let message =
                format!("{} is a program of the workspace, {}, because PATH leads there", file.word, file.path);
            Some(Finding::warning("local-program", message))
        }
        _ => None,
    }
}

/// What the host says of an effect outside of the workspace.
#[must_use]
pub fn outside(effect: &Effect) -> Option<Finding> {
    let Outside { access, path } = effect.outside()?;
    Some(Finding::warning("outside", format!("it {} {path}, which lies outside of the workspace", access.verb())))
}

fn own_program(word: &str) -> Finding {
    let message = format!("the command names {word}: an agent may not run Fusebox, because it could approve itself");
    Finding::error("own-program", message)
}

/// Refuses what touches the home of Fusebox, its program or a policy, outside of the workspace.
fn own_place(outside: &Outside, own: &OwnPlaces) -> Option<Finding> {
    let Outside { access, path } = outside;
    let is_in = |place: &str| {
        let below = path.strip_prefix(place);
        !place.is_empty() && below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
    };
    let changes = *access != OutsideAccess::Read;
    if is_in(&own.home) {
        let message = format!("{path} lies in the home of Fusebox, where its log and approvals lie");
        return Some(Finding::error("own-home", message));
    }
    if changes && (is_in(&own.program) || file_name(path).eq_ignore_ascii_case(POLICY_FILE)) {
        let message = format!("{path} belongs to Fusebox: a person changes it");
        return Some(Finding::error("own-policy", message));
    }
    None
}

fn separates(c: char) -> bool {
    c.is_whitespace() || "'\"`$(){}[];|&<>=\\".contains(c)
}

fn file_name(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Digest;

    fn run(argv: &[&str], program: &str) -> Option<Finding> {
        let effect = Effect::Run {
            argv: argv.iter().map(|word| (*word).to_owned()).collect(),
            program: program.to_owned(),
            cwd: "".parse().unwrap(),
            env_names: vec![],
            environment: Digest::ZERO,
            shell_text: None,
            files: vec![],
        };
        let own = OwnPlaces { home: "/home/me/.local/share/fusebox".into(), program: "/opt/bin/fb".into() };
        judge(&effect, &own)
    }

    #[test]
    fn fusebox_is_found_wherever_it_is_named() {
        for argv in [
            &["fusebox", "approve", "1"][..],
            &["/usr/local/bin/fusebox"],
            &["sh", "-c", "true;fusebox approve 1"],
            &["sh", "-c", "$(./target/release/fusebox)"],
            &["sh", "-c", "fuse\"\"box approve 1"],
            &["sh", "-c", "f\\usebox approve 1"],
            &["env", "X=1", "FuseBox"],
            &["sqlite3", "/home/me/.local/share/fusebox/log.sqlite"],
        ] {
            assert!(run(argv, "/bin/x").is_some(), "{argv:?}");
        }
        assert!(run(&["link"], "/opt/fusebox").is_some());
        assert!(run(&["link"], "/opt/bin/fb").is_some());
        assert!(run(&["ls", "fusebox-notes.md"], "/bin/ls").is_none());
    }

    #[test]
    fn policy_files_are_not_for_agents() {
        let own = OwnPlaces::default();
        for path in ["fusebox.toml", "a/b/Fusebox.toml"] {
            let path: crate::WorkspacePath = path.parse().unwrap();
            assert!(judge(&Effect::Remove { path: path.clone(), before: None, obeyed: false }, &own).is_some());
            let write =
                Effect::Write { path: path.clone(), before: None, after: crate::Digest::ZERO, size: 0, obeyed: false };
            assert!(judge(&write, &own).is_some());
            assert!(judge(&Effect::Read { path }, &own).is_none());
        }
    }
}
