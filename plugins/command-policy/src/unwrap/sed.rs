//! Scripts of `sed`: most only print, some run commands or write files.

/// Long options, with whether they take a value.
const LONG: [(&str, bool); 16] = [
    ("debug", false),
    ("expression", true),
    ("file", true),
    ("follow-symlinks", false),
    ("help", false),
    ("in-place", false),
    ("line-length", true),
    ("null-data", false),
    ("posix", false),
    ("quiet", false),
    ("regexp-extended", false),
    ("sandbox", false),
    ("separate", false),
    ("silent", false),
    ("unbuffered", false),
    ("version", false),
];

/// Meaning of an option.
enum Meaning {
    Script,
    File,
    InPlace,
    /// It takes a value that does not matter here.
    Value,
    Nothing,
}

/// What a person should know of a call of `sed`: that it changes files, or can run commands (`e`, `s///e`) or write files
/// (`w`).
pub fn doubts(arguments: &[String]) -> Vec<&'static str> {
    let mut doubts = Vec::new();
    let mut words = arguments.iter().map(String::as_str);
    let mut scripts: Vec<&str> = Vec::new();
    let mut operands: Vec<&str> = Vec::new();
    let (mut has_script, mut has_file, mut only_operands) = (false, false, false);
    while let Some(word) = words.next() {
        if only_operands || !word.starts_with('-') || word == "-" {
            operands.push(word);
            continue;
        }
        if word == "--" {
            only_operands = true;
            continue;
        }
        let (meaning, value) = word.strip_prefix("--").map_or_else(|| short(word.trim_start_matches('-')), long);
        match meaning {
            Meaning::InPlace => doubts.push("sed changes files in their place"),
            Meaning::Script => {
                has_script = true;
                scripts.extend(value.or_else(|| words.next()));
            }
            Meaning::File => {
                has_file = true;
                if value.is_none() {
                    words.next();
                }
            }
            Meaning::Value if value.is_none() => drop(words.next()),
            Meaning::Value | Meaning::Nothing => {}
        }
    }
    if !has_script && !has_file {
        scripts.extend(operands.first().copied());
    }
    if has_file {
        doubts.push("sed reads its script from a file");
    }
    if scripts.iter().any(|script| sed_acts(script)) {
        doubts.push("sed can run commands or write files by this script");
    }
    doubts
}

/// The meaning of a long option, which may be shortened, with its value behind `=`.
fn long(option: &str) -> (Meaning, Option<&str>) {
    let (name, value) = option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)));
    let known = LONG.iter().find(|(known, _)| known.starts_with(name));
    let meaning = match known {
        Some(("expression", _)) => Meaning::Script,
        // `--f` is for `--file` and `--follow-symlinks` alike, and refused.
        Some(("file", _)) => Meaning::File,
        Some(("in-place", _)) | None => Meaning::InPlace,
        Some((_, true)) => Meaning::Value,
        Some((_, false)) => Meaning::Nothing,
    };
    (meaning, value)
}

/// The meaning of short options written together: the first that takes a value ends them.
fn short(options: &str) -> (Meaning, Option<&str>) {
    for (at, option) in options.char_indices() {
        let rest = options.get(at + option.len_utf8()..).filter(|rest| !rest.is_empty());
        match option {
            'e' => return (Meaning::Script, rest),
            'f' => return (Meaning::File, rest),
            'i' => return (Meaning::InPlace, rest),
            'l' => return (Meaning::Value, rest),
            _ => {}
        }
    }
    (Meaning::Nothing, None)
}

/// Whether a script of `sed` has a command `e`, `w` or `W`, or a substitution with such a flag. A script that is not
/// simple counts as one.
fn sed_acts(script: &str) -> bool {
    let mut rest = script.trim_start();
    while !rest.is_empty() {
        // Addresses: numbers, `$`, ranges, and patterns between slashes.
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_digit() || "$,!~+ {};\n\t".contains(c));
            let Some(pattern) = rest.strip_prefix('/') else { break };
            let Some(after) = past(pattern, '/') else { return true };
            rest = after;
        }
        let mut chars = rest.chars();
        match chars.next() {
            None | Some('}') => return false,
            Some(command @ ('s' | 'y')) => {
                let Some(delimiter) = chars.next() else { return true };
                let Some(after) = past(chars.as_str(), delimiter).and_then(|text| past(text, delimiter)) else {
                    return true;
                };
                let end = after.find([';', '\n', '}']).unwrap_or(after.len());
                let (flags, next) = after.split_at(end);
                if command == 's' && flags.contains(['e', 'w']) {
                    return true;
                }
                rest = next;
            }
            Some(
                'p' | 'P' | 'd' | 'D' | 'n' | 'N' | 'g' | 'G' | 'h' | 'H' | 'x' | 'q' | 'Q' | '=' | 'l' | 'F' | 'z',
            ) => {
                rest = chars.as_str();
            }
            Some(_) => return true,
        }
    }
    false
}

/// The text behind the next delimiter that no backslash precedes.
fn past(text: &str, delimiter: char) -> Option<&str> {
    let mut is_escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            c if c == delimiter => return text.get(at + c.len_utf8()..),
            _ => {}
        }
    }
    None
}
