//! Patterns of commands: words with `*` and `?`.

use crate::shell::Command;
use crate::table::READERS;
use crate::unwrap::base_name;

/// Stands at the end of a pattern for any number of further words.
const REST: &str = "**";

/// Whether a pattern allows a command: word by word, in order, and no word more, unless the pattern ends in `**`.
pub fn allows(pattern: &str, command: &Command) -> bool {
    let wanted: Vec<&str> = pattern.split_whitespace().collect();
    let (wanted, has_rest) = match wanted.split_last() {
        Some((&REST, before)) => (before, true),
        _ => (wanted.as_slice(), false),
    };
    let fits = if has_rest { command.words.len() >= wanted.len() } else { command.words.len() == wanted.len() };
    !wanted.is_empty()
        && fits
        && (!command.open_ended || (has_rest && only_reads(command)))
        && wanted.iter().zip(&command.words).all(|(wanted, word)| matches(wanted, word))
        && !command.words.iter().skip(wanted.len()).any(|word| leads_outside(word))
}

/// Whether words that nobody has seen, from a file or a list, do no harm as arguments of a command.
fn only_reads(command: &Command) -> bool {
    // These know an option by which they run a program or write a file.
    let may_act = ["diff", "file", "rg", "tree"];
    command.words.first().is_some_and(|name| READERS.contains(&name.as_str()) && !may_act.contains(&name.as_str()))
}

/// Whether a word, or the value of an option, is a path that leads out of the workspace. `**` leaves no room for one: the
/// author of a pattern thinks of the project.
fn leads_outside(word: &str) -> bool {
    let is_outside = |path: &str| {
        (path.starts_with('/') && path != "/dev/null")
            || path.starts_with('~')
            || path.split('/').any(|part| part == "..")
    };
    // The value of a short option may stand right behind its letter.
    let glued = word.strip_prefix('-').map(|option| option.trim_start_matches(|c: char| c.is_ascii_alphanumeric()));
    is_outside(word)
        || word.split_once('=').is_some_and(|(_, value)| is_outside(value))
        || glued.is_some_and(is_outside)
}

/// Whether a pattern names a command: the program by its last part, and each further word of the pattern somewhere
/// among the arguments, in any order. Flags written together count one by one. `program` is the resolved one.
pub fn names(pattern: &str, command: &Command, program: Option<&str>) -> bool {
    let mut wanted = pattern.split_whitespace().filter(|word| *word != REST);
    let Some(name) = wanted.next() else { return false };
    let (Some(first), arguments) = (command.words.first(), command.words.get(1..).unwrap_or_default()) else {
        return false;
    };
    let is_named = matches(name, base_name(first)) || program.is_some_and(|program| matches(name, base_name(program)));
    is_named && wanted.all(|wanted| arguments.iter().any(|word| has(wanted, word, arguments)))
}

fn has(wanted: &str, word: &str, arguments: &[String]) -> bool {
    match short_flags(wanted) {
        Some(flags) => flags.chars().all(|flag| arguments.iter().any(|word| is_given(flag, word))),
        None => matches(wanted, word) || is_shortened(wanted, word) || has_one_dash_more(wanted, word),
    }
}

/// Whether a word is the beginning of a long option, which most programs take for the whole (getopt_long(3)).
fn is_shortened(wanted: &str, word: &str) -> bool {
    let Some(option) = wanted.strip_prefix("--") else { return false };
    let option = option.split(['=', '*']).next().unwrap_or_default();
    let given = word.strip_prefix("--").and_then(|given| given.split('=').next()).unwrap_or_default();
    !given.is_empty() && option.len() > given.len() && option.starts_with(given)
}

/// Whether a word gives an option such as `-exec` with two dashes, as Go's programs allow (package flag).
fn has_one_dash_more(wanted: &str, word: &str) -> bool {
    let is_long = wanted.starts_with('-') && wanted.chars().nth(2).is_some_and(|c| c.is_ascii_alphabetic());
    is_long && word.strip_prefix('-').is_some_and(|word| word.starts_with('-') && matches(wanted, word))
}

/// Whether a word gives a flag. Doing it to all below a folder has three spellings.
fn is_given(flag: char, word: &str) -> bool {
    let is_recursive = matches!(flag, 'r' | 'R');
    match short_flags(word) {
        Some(own) if is_recursive => own.contains(['r', 'R']),
        Some(own) => own.contains(flag),
        None => is_recursive && (word == "--recursive" || is_shortened("--recursive", word)),
    }
}

/// The letters of short flags such as `-rf`.
fn short_flags(word: &str) -> Option<&str> {
    let flags = word.strip_prefix('-')?;
    (!flags.is_empty() && flags.chars().all(|c| c.is_ascii_alphabetic())).then_some(flags)
}

/// Whether a word fits a pattern of `*` (any text) and `?` (any character). Takes time in proportion to both.
pub fn matches(pattern: &str, word: &str) -> bool {
    if !pattern.contains(['*', '?']) {
        return pattern == word;
    }
    let (mut pattern_rest, mut word_rest) = (pattern.chars(), word.chars());
    // Where to go on when the last star has to stand for one character more.
    let mut star: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        let (mut wanted, mut given) = (pattern_rest.clone(), word_rest.clone());
        match (wanted.next(), given.next()) {
            (Some('*'), _) => {
                star = Some((wanted.clone(), word_rest.clone()));
                pattern_rest = wanted;
                continue;
            }
            (Some(one), Some(other)) if one == '?' || one == other => {
                (pattern_rest, word_rest) = (wanted, given);
                continue;
            }
            (None, None) => return true,
            _ => {}
        }
        let Some((after_star, from)) = &mut star else { return false };
        if from.next().is_none() {
            return false;
        }
        (pattern_rest, word_rest) = (after_star.clone(), from.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(text: &str) -> Command {
        Command { words: text.split_whitespace().map(str::to_owned).collect(), ..Command::default() }
    }

    #[test]
    fn an_allow_is_exact() {
        assert!(allows("cargo test", &command("cargo test")));
        assert!(!allows("cargo test", &command("cargo test --workspace")));
        assert!(allows("cargo test **", &command("cargo test --workspace")));
        assert!(allows("cargo t* -p ?", &command("cargo test -p x")));
        assert!(!allows("git status", &command("./git status")), "another program of that name");
        assert!(!allows("git status", &command("/tmp/git status")));
        assert!(!allows("", &command("x")));
        for outside in [
            "cargo test --target-dir ../x",
            "cargo test --target-dir=/tmp/x",
            "cargo test ~/x",
            "cargo test -f/etc/passwd",
            "cargo test -t..",
            "cargo test -v/:/h",
        ] {
            assert!(!allows("cargo test **", &command(outside)), "{outside}");
        }
        assert!(allows("cargo test --target-dir /tmp/x", &command("cargo test --target-dir /tmp/x")));
        assert!(allows("grep **", &command("grep a..b src/x /dev/null")));
        let open = Command { open_ended: true, ..command("grep x") };
        assert!(!allows("grep x", &open) && allows("grep **", &open));
        for acting in ["cargo test", "git diff", "rg x", "tree"] {
            let open = Command { open_ended: true, ..command(acting) };
            assert!(!allows(&format!("{acting} **"), &open), "{acting}");
        }
    }

    #[test]
    fn a_denial_is_not_got_around_by_order_or_spelling() {
        for text in ["rm -rf /", "rm -fr /", "rm -r -f /", "rm / -rf", "/bin/rm -v -rf -- /", "rm -rfv /"] {
            assert!(names("rm -rf /", &command(text), None), "{text}");
        }
        for text in ["rm -r /", "rm -rf x", "rmdir /"] {
            assert!(!names("rm -rf /", &command(text), None), "{text}");
        }
        assert!(names("rm", &command("harmless x"), Some("/bin/rm")), "by what it resolves to");
        assert!(names("git push", &command("git -C x push --force"), None));
        assert!(names("mkfs*", &command("mkfs.ext4 /dev/sda"), None));
    }

    #[test]
    fn words_match() {
        for (pattern, word, fits) in [
            ("*", "", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("of=/dev/*", "of=/dev/sda", true),
            ("?", "", false),
            ("a?", "ab", true),
            ("", "", true),
            ("", "a", false),
            ("**", "a/b", true),
        ] {
            assert_eq!(matches(pattern, word), fits, "{pattern} {word}");
        }
        assert!(!matches(
            &"a*".repeat(50),
            &"a".repeat(10_000).replace("aaaaaaaaaa", "ab").replace('b', "c").replace("ac", "c")
        ));
    }
}
