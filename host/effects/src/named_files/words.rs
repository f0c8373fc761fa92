//! The words in the words of a command.

use std::iter::Peekable;
use std::str::Chars;

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
    simple_commands(line).into_iter().flatten().collect()
}

/// The simple commands of a line, each as its words. What stands in braces, parentheses or backticks is one by itself.
pub fn simple_commands(line: &str) -> Vec<Vec<String>> {
    let (mut commands, mut words, mut word) = (Vec::new(), Vec::new(), String::new());
    let mut quote: Option<char> = None;
    let mut characters = line.chars().peekable();
    let mut last = ' ';
    while let Some(c) = characters.next() {
        let before = std::mem::replace(&mut last, c);
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            // A line that goes on in the next one.
            (Some('"') | None, '\\') if characters.peek() == Some(&'\n') => {
                characters.next();
            }
            (Some('"') | None, '\\') => word.extend(characters.next()),
            (Some(_), c) => word.push(c),
            (None, '$') if characters.peek() == Some(&'\'') => {
                characters.next();
                word.extend(ansi_c(&mut characters));
            }
            (None, '\'' | '"') => quote = Some(c),
            // `2>&1` and `&>f` end no command.
            (None, '&') if before == '>' || before == '<' || characters.peek() == Some(&'>') => {
                words.push(std::mem::take(&mut word));
            }
            (None, c) if (c.is_whitespace() && c != '\n') || "<>".contains(c) => words.push(std::mem::take(&mut word)),
            (None, c) if "\n`;|&(){}".contains(c) => {
                words.push(std::mem::take(&mut word));
                commands.push(std::mem::take(&mut words));
            }
            (None, c) => word.push(c),
        }
    }
    words.push(word);
    commands.push(words);
    for words in &mut commands {
        words.retain(|word| !word.is_empty());
    }
    commands.retain(|words| !words.is_empty());
    commands
}

/// Text between `$'` and `'`, its escapes replaced (Bash manual, 3.1.2.4).
fn ansi_c(characters: &mut Peekable<Chars<'_>>) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let c = characters.next()?;
        let mut push = |c: char| bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        let escape = match c {
            '\'' => return Some(String::from_utf8_lossy(&bytes).into_owned()),
            '\\' => characters.next()?,
            c => {
                push(c);
                continue;
            }
        };
        let mut number = |first: Option<char>, radix: u32, most: usize| {
            let mut digits: String = first.into_iter().collect();
            while digits.len() < most
                && let Some(digit) = characters.next_if(|c| c.is_digit(radix))
            {
                digits.push(digit);
            }
            u32::from_str_radix(&digits, radix).ok()
        };
        match escape {
            'n' => push('\n'),
            't' => push('\t'),
            'x' => bytes.extend(number(None, 16, 2).and_then(|byte| u8::try_from(byte).ok())),
            '0'..='7' => bytes.extend(number(Some(escape), 8, 3).map(|byte| byte.to_le_bytes()[0])),
            'u' => number(None, 16, 4).and_then(char::from_u32).into_iter().for_each(push),
            'U' => number(None, 16, 8).and_then(char::from_u32).into_iter().for_each(push),
            other => push(other),
        }
    }
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
            ("sh x.\\\nsh", vec!["sh", "x.sh"]),
            ("sh $'\\x78\\056\\u0073h'", vec!["sh", "x.sh"]),
            ("sh $'a", vec!["sh"]),
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
