//! Rules that no policy can switch off.

use crate::{Effect, Finding};

/// Name under which built-in rules appear among those who judged.
pub const NAME: &str = "built-in";

/// The program that no agent may run: it could approve itself.
const OWN_PROGRAM: &str = "fusebox";

/// Refuses an effect that the built-in rules forbid: running `fusebox` itself, by whatever path or through a shell.
#[must_use]
pub fn judge(effect: &Effect) -> Option<Finding> {
    let Effect::Run { argv, program, .. } = effect else { return None };
    let separators = |c: char| c.is_whitespace() || "'\"`$(){}[];|&<>=\\".contains(c);
    let mut words = argv.iter().flat_map(|word| word.split(separators)).chain([program.as_str()]);
    let own = words.find(|word| file_name(word).eq_ignore_ascii_case(OWN_PROGRAM))?;
    let message = format!("the command names {own}: an agent may not run Fusebox, because it could approve itself");
    Some(Finding::error("own-program", message))
}

fn file_name(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(argv: &[&str], program: &str) -> Effect {
        Effect::Run {
            argv: argv.iter().map(|word| (*word).to_owned()).collect(),
            program: program.to_owned(),
            cwd: "".parse().unwrap(),
            env_names: vec![],
            shell_text: None,
        }
    }

    #[test]
    fn fusebox_is_found_wherever_it_is_named() {
        for argv in [
            &["fusebox", "approve", "1"][..],
            &["/usr/local/bin/fusebox"],
            &["sh", "-c", "true;fusebox approve 1"],
            &["sh", "-c", "$(./target/release/fusebox)"],
            &["env", "X=1", "FuseBox"],
        ] {
            assert!(judge(&run(argv, "/bin/x")).is_some(), "{argv:?}");
        }
        assert!(judge(&run(&["link"], "/opt/fusebox")).is_some());
        assert!(judge(&run(&["ls", "fusebox-notes.md"], "/bin/ls")).is_none());
    }
}
