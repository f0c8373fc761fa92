//! The syntax of settings of Git and Mercurial.

/// A setting.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    /// Name of its section in lower case, without that of a subsection.
    pub section: String,
    /// In lower case.
    pub key: String,
    pub value: String,
}

/// Settings of Git (git-config(1), "Syntax"). A key may stand behind the name of its section.
pub fn git(text: &str) -> Vec<Setting> {
    let mut rest = text.trim_start_matches('\u{feff}');
    let mut section = String::new();
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let mut start = line.trim_start();
        if let Some((name, behind)) = start.strip_prefix('[').and_then(|start| start.split_once(']')) {
            section = section_name(name);
            start = behind;
        }
        let is_comment = start.trim_start().starts_with(['#', ';']);
        let Some((key, begin)) = start.split_once('=').filter(|_| !is_comment) else {
            rest = after;
            continue;
        };
        let from = rest.get(line.len() - begin.len()..).unwrap_or_default();
        let (value, after) = value(from);
        rest = after;
        found.push(Setting { section: section.clone(), key: key.trim().to_lowercase(), value });
    }
    found
}

/// A value without its quotes, and what stands behind it.
fn value(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut is_quoted = false;
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '\n' => return (value.trim().to_owned(), text.get(at + 1..).unwrap_or_default()),
            '#' | ';' if !is_quoted => {
                let rest = text.get(at..).and_then(|rest| rest.split_once('\n'));
                return (value.trim().to_owned(), rest.map_or("", |(_, after)| after));
            }
            '"' => is_quoted = !is_quoted,
            '\\' => match characters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 't')) => value.push('\t'),
                // A line that goes on in the next one.
                Some((_, '\n')) | None => {}
                Some((_, other)) => value.push(other),
            },
            c => value.push(c),
        }
    }
    (value.trim().to_owned(), "")
}

fn section_name(text: &str) -> String {
    text.split([' ', '\t', '"', '.']).next().unwrap_or_default().to_lowercase()
}

/// Settings of Mercurial (hgrc(5)): comments fill their lines, and lines that begin with a blank go on with the one before.
/// An included file is given like one of Git.
pub fn mercurial(text: &str) -> Vec<Setting> {
    let mut section = String::new();
    let mut found: Vec<Setting> = Vec::new();
    for line in text.trim_start_matches('\u{feff}').lines() {
        if line.trim().is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if line.starts_with(char::is_whitespace) {
            if let Some(last) = found.last_mut() {
                last.value = format!("{}\n{}", last.value, line.trim()).trim().to_owned();
            }
            continue;
        }
        if let Some((name, _)) = line.strip_prefix('[').and_then(|line| line.split_once(']')) {
            section = section_name(name);
        } else if let Some(included) = line.strip_prefix("%include ") {
            let (section, key) = ("include".to_owned(), "path".to_owned());
            found.push(Setting { section, key, value: included.trim().to_owned() });
        } else if let Some((key, value)) = line.split_once('=') {
            let (key, value) = (key.trim().to_lowercase(), value.trim().to_owned());
            found.push(Setting { section: section.clone(), key, value });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(settings: Vec<Setting>) -> Vec<String> {
        settings.into_iter().map(|Setting { section, key, value }| format!("{section}.{key}={value}")).collect()
    }

    #[test]
    fn settings_of_git_are_read() {
        let text = "\u{feff}[Core]\n\thooksPath = a b ; c\n# [x] y = z\n[alias] L = \"!x \\\"y\\\" # \" # no\n\
                    [filter \"a.b\"]\nclean = one\\\n two\n[diff.c]\nd=e";
        let expected =
            ["core.hookspath=a b", "alias.l=!x \"y\" #", "filter.clean=one two", "diff.d=e"].map(ToOwned::to_owned);
        assert_eq!(shown(git(text)), expected);
    }

    #[test]
    fn settings_of_mercurial_are_read() {
        let text =
            "[hooks]\ncommit = sh a; sh b # c\n; x = y\nupdate =\n  sh c\n  sh d\n%include ../e\n[ui]\nmerge=t/m\n";
        let expected = ["hooks.commit=sh a; sh b # c", "hooks.update=sh c\nsh d", "include.path=../e", "ui.merge=t/m"];
        assert_eq!(shown(mercurial(text)), expected.map(ToOwned::to_owned));
    }
}
