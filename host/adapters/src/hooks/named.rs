//! Places outside of the workspace that a line for a shell names in plain words. What a line hides in variables or in the
//! output of other commands is not looked for here: guards do not take such a line for understood.

use super::paths::{Place, Places};

/// Most places that are told of one line.
const MAX_PLACES: usize = 8;
/// Most words that are looked at.
const MAX_WORDS: usize = 4096;
/// Files of devices that hold nothing.
const DEVICES: [&str; 8] =
    ["/dev/null", "/dev/zero", "/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/tty", "/dev/random", "/dev/urandom"];
/// Folders of programs that came with the system.
const PROGRAMS: [&str; 8] = [
    "/bin/",
    "/sbin/",
    "/usr/bin/",
    "/usr/sbin/",
    "/usr/local/bin/",
    "/usr/local/sbin/",
    "/opt/homebrew/bin/",
    "/usr/libexec/",
];

/// Absolute paths of what a line names outside of the workspace, in order, each once.
pub fn outside(line: &str, places: &Places) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for word in words(line).take(MAX_WORDS) {
        if found.len() == MAX_PLACES {
            break;
        }
        if let Some(path) = leads_outside(&word, places).filter(|path| !found.contains(path)) {
            found.push(path);
        }
    }
    found
}

/// A word of a line.
struct Word {
    text: String,
    /// It is a program's name, and not what a program is given.
    is_program: bool,
}

/// The words of a line: quotes gone, options and assignments split from their values.
fn words(line: &str) -> impl Iterator<Item = Word> {
    let mut is_program = true;
    line.split_inclusive([' ', '\t', '\n', ';', '|', '&', '(', ')', '<', '>', '`']).flat_map(move |part| {
        let (word, end) = match part.char_indices().next_back() {
            Some((at, c)) if " \t\n;|&()<>`".contains(c) => (part.get(..at).unwrap_or_default(), Some(c)),
            _ => (part, None),
        };
        let plain: String = word.chars().filter(|c| !"'\"\\".contains(*c)).collect();
        let was_program = is_program;
        if !plain.is_empty() {
            is_program = false;
        }
        if end.is_some_and(|c| "\n;|&(`".contains(c)) {
            is_program = true;
        }
        let pieces: Vec<Word> = plain
            .split(['=', ',', ':'])
            .filter(|piece| !piece.is_empty())
            .map(|piece| Word { text: piece.to_owned(), is_program: was_program })
            .collect();
        pieces
    })
}

/// Where a word leads, if it is a path that leads outside.
fn leads_outside(word: &Word, places: &Places) -> Option<String> {
    let Word { text, is_program } = word;
    let climbs = text.split('/').any(|part| part == "..");
    let is_home = text == "~" || text.starts_with("~/");
    let is_absolute = text.starts_with('/');
    if !(climbs || is_home || is_absolute) {
        return None;
    }
    if DEVICES.contains(&text.as_str()) || text.starts_with("/dev/fd/") {
        return None;
    }
    if *is_program && PROGRAMS.iter().any(|folder| text.starts_with(folder)) {
        return None;
    }
    // A pattern between slashes is no path: what it would begin with is not there.
    if is_absolute && text.len() > 1 {
        let first = text.split('/').find(|part| !part.is_empty())?;
        std::fs::symlink_metadata(format!("/{first}")).ok()?;
    }
    // What cannot be followed is told as it stands.
    match places.place(text) {
        Ok(Place::Inside(_)) => None,
        Ok(Place::Outside(path)) => Some(path),
        Err(_) => Some(text.chars().take(200).collect()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn places() -> (tempfile::TempDir, Places) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("src")).unwrap();
        let places = Places::new(&root, &root).unwrap();
        (folder, places)
    }

    #[test]
    fn what_lies_outside_is_told() {
        let (_folder, places) = places();
        for (line, expected) in [
            ("cat /etc/passwd", vec!["/etc/passwd"]),
            ("cd / && cat etc/shadow", vec!["/"]),
            ("ln -s / root && cat root/etc/shadow", vec!["/"]),
            ("cp a /usr/bin/ls", vec!["/usr/bin/ls"]),
            ("tar --directory=/etc -x", vec!["/etc"]),
            ("cat '/etc/'\"passwd\"", vec!["/etc/passwd"]),
            ("cat \\/etc/passwd", vec!["/etc/passwd"]),
            ("echo a >/etc/x", vec!["/etc/x"]),
            ("PATH=/etc:/usr x", vec!["/etc", "/usr"]),
        ] {
            assert_eq!(outside(line, &places), expected, "{line}");
        }
        for line in ["cat ~/.ssh/id_rsa", "cat ../x", "cd src/../..", "cd .."] {
            assert_eq!(outside(line, &places).len(), 1, "{line}");
        }
    }

    #[test]
    fn what_lies_inside_or_is_no_path_is_not() {
        let (folder, places) = places();
        let inside = format!("cat {}/src/a", folder.path().canonicalize().unwrap().display());
        for line in [
            "ls -la",
            "cargo test > /dev/null 2>&1",
            "/usr/bin/env python3 x.py",
            "true; /bin/ls",
            "sed -e 's/a/b/' -e '/x-y/d' f",
            "awk '/nothing-here/ {print}' f",
            "git diff HEAD~1..main",
            "go test ./...",
            "curl https://example.org/a",
            "cd src/..",
            &inside,
        ] {
            assert!(outside(line, &places).is_empty(), "{line}: {:?}", outside(line, &places));
        }
    }

    proptest! {
        #[test]
        fn any_line_is_looked_at_without_a_panic(line in "\\PC{0,200}") {
            let (_folder, places) = places();
            outside(&line, &places);
        }
    }
}
