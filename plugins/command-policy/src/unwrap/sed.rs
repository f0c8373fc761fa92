//! Scripts of `sed`: most only print, some run commands or write files.

/// What a person should know of a call of `sed`: that it changes files, or can run commands (`e`, `s///e`) or write files
/// (`w`).
pub fn doubts(arguments: &[String]) -> Vec<&'static str> {
    let mut doubts = Vec::new();
    let mut words = arguments.iter();
    let mut scripts: Vec<&str> = Vec::new();
    let mut has_script = false;
    while let Some(word) = words.next() {
        match word.as_str() {
            "-e" | "--expression" => {
                has_script = true;
                scripts.extend(words.next().map(String::as_str));
            }
            "-f" | "--file" => {
                has_script = true;
                words.next();
            }
            word if word.starts_with("--expression=") => {
                has_script = true;
                scripts.push(word.trim_start_matches("--expression="));
            }
            word if word.starts_with("-i") || word.starts_with("--in-place") => {
                doubts.push("sed changes files in their place");
            }
            word if word.starts_with('-') && !word.starts_with("--") && word.contains('e') => {
                has_script = true;
                scripts.extend(words.next().map(String::as_str));
            }
            word if word.starts_with('-') => {}
            word if !has_script => {
                has_script = true;
                scripts.push(word);
            }
            _ => {}
        }
    }
    if scripts.iter().any(|script| sed_acts(script)) {
        doubts.push("sed can run commands or write files by this script");
    }
    doubts
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
