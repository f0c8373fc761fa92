//! The words in the words of a command.

/// How often a word in quotes is taken for a line of a shell again.
const MAX_DEPTH: u32 = 3;

/// How shells write the folder in which they are; that of the person may be it as well.
const HERE: [&str; 7] = ["$PWD", "${PWD}", "$(pwd)", "`pwd`", "~+", "/proc/self/cwd", "~"];

/// All that a command's word can stand for as a name: itself, what stands between marks that join names, and the words in
/// it as a shell would see them, with and without what quotes and backslashes do.
pub fn candidates(word: &str) -> Vec<String> {
    let mut found = Vec::new();
    collect(word, MAX_DEPTH, &mut found);
    // Quotes and backslashes inside of a word join what they stand between.
    let joined = word.replace(['\'', '"', '\\'], "");
    let here = HERE.iter().fold(joined.clone(), |word, own| word.replace(own, "."));
    for other in [&joined, &here] {
        if other != word {
            add_parts(other, &mut found);
        }
    }
    found
}

fn collect(word: &str, depth: u32, found: &mut Vec<String>) {
    add_parts(word, found);
    if let Some(depth) = depth.checked_sub(1)
        && word.contains(separates)
    {
        for inner in shell_words(word) {
            if inner != word {
                collect(&inner, depth, found);
            }
        }
    }
}

fn add_parts(word: &str, found: &mut Vec<String>) {
    let is_line = word.contains(separates);
    for part in std::iter::once(word).chain(word.split(separates).filter(|_| is_line)) {
        let value = part.split_once('=').map(|(_, value)| value);
        let joined = part.split(joins).filter(|_| part.contains(joins));
        let parts = std::iter::once(part).chain(value).chain(joined);
        found.extend(parts.filter(|part| !part.is_empty()).map(ToOwned::to_owned));
    }
}

/// What ends a word of a shell, or stands in front of one.
fn separates(c: char) -> bool {
    c.is_whitespace() || "'\"`$(){};|&<>\\".contains(c)
}

/// What joins several names in one word: lists, search paths, settings, and files of arguments.
fn joins(c: char) -> bool {
    ",:=@".contains(c)
}

/// The words of a line, as a shell makes them of quotes and backslashes (POSIX, 2.2); nothing is expanded.
fn shell_words(line: &str) -> Vec<String> {
    let (mut words, mut word) = (Vec::new(), String::new());
    let mut quote: Option<char> = None;
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('"') | None, '\\') => word.extend(characters.next()),
            (Some(_), c) => word.push(c),
            (None, '\'' | '"') => quote = Some(c),
            (None, c) if c.is_whitespace() || "`;|&<>(){}".contains(c) => words.push(std::mem::take(&mut word)),
            (None, c) => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_as_a_shell_makes_them() {
        for (line, words) in [
            ("sh \"my run.txt\"", vec!["sh", "my run.txt"]),
            ("cd 'a dir' && sh x", vec!["cd", "a dir", "sh", "x"]),
            ("sh a\\ b", vec!["sh", "a b"]),
            ("sh my' 'run", vec!["sh", "my run"]),
            ("\"open", vec!["open"]),
        ] {
            assert_eq!(shell_words(line), words, "{line}");
        }
        let inner = candidates("sh -c 'sh \"a b\"' && x=../y");
        for word in ["a b", "../y", "sh"] {
            assert!(inner.iter().any(|one| one == word), "{word}: {inner:?}");
        }
        for (word, name) in [
            ("{sh,run.txt}", "run.txt"),
            ("PATH=sub:/usr/bin", "sub"),
            ("@opts.txt", "opts.txt"),
            ("-MFoo=bar", "-MFoo"),
            ("import os,foo", "foo"),
            ("sh ~+/run", "./run"),
            ("sh \"$PWD\"/run", "./run"),
            ("sh $(pwd)/run", "./run"),
        ] {
            assert!(candidates(word).iter().any(|one| one == name), "{word}: {:?}", candidates(word));
        }
    }
}
