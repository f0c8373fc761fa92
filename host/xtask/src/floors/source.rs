//! Imports and re-exports of one source file, read from its text without comments, strings and tests.

/// A path that a file names: `use a::b::C` or `a::b::c()` in its code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Its segments; the first is `crate`, `self`, `super`, a crate or a module beside the file.
    pub path: Vec<String>,
    /// The name that it has in the file, if it was renamed.
    pub alias: Option<String>,
    /// Whether it is imported, shown to others, or named in the middle of code.
    pub kind: Kind,
}

/// Kind of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Use,
    Reexport,
    Inline,
}

/// All paths that a file names, tests left out.
pub fn paths(text: &str) -> Vec<Named> {
    let code = without_tests(&tokens(text));
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(token) = code.get(at) {
        if token == "use" {
            let end = code.iter().skip(at).position(|token| token == ";").map_or(code.len(), |end| at + end);
            let is_shown = at > 0 && matches!(code.get(at - 1).map(String::as_str), Some("pub" | ")"));
            let kind = if is_shown { Kind::Reexport } else { Kind::Use };
            tree(code.get(at + 1..end).unwrap_or_default(), &[], kind, &mut found);
            at = end;
        } else if matches!(token.as_str(), "crate" | "super") && code.get(at + 1).is_some_and(|next| next == "::") {
            let start = at;
            while code.get(at + 1).is_some_and(|next| next == "::")
                && code.get(at + 2).is_some_and(|next| is_word(next))
            {
                at += 2;
            }
            let path: Vec<String> =
                code.get(start..=at).unwrap_or_default().iter().filter(|token| *token != "::").cloned().collect();
            let is_macro = code.get(at + 1).is_some_and(|next| next == "!");
            // `pub(in crate::a)` and macros name no owner.
            if !is_macro && start > 0 && code.get(start - 1).is_none_or(|before| before != "in") {
                found.push(Named { path, alias: None, kind: Kind::Inline });
            }
        }
        at += 1;
    }
    found
}

/// Flattens the tree between `use` and `;`.
fn tree(tokens: &[String], prefix: &[String], kind: Kind, found: &mut Vec<Named>) {
    let mut path = prefix.to_vec();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        match token.as_str() {
            "::" => {}
            "{" => {
                let inner = tokens.get(at + 1..tokens.len().saturating_sub(1)).unwrap_or_default();
                let mut depth = 0;
                let parts = inner.split(|token| {
                    depth += match token.as_str() {
                        "{" => 1,
                        "}" => -1,
                        _ => 0,
                    };
                    depth == 0 && token == ","
                });
                for part in parts.filter(|part| !part.is_empty()) {
                    tree(part, &path, kind, found);
                }
                return;
            }
            "as" => {
                found.push(Named { path, alias: tokens.get(at + 1).cloned(), kind });
                return;
            }
            "self" if !path.is_empty() => {}
            word => path.push(word.to_owned()),
        }
        at += 1;
    }
    found.push(Named { path, alias: None, kind });
}

fn is_word(token: &str) -> bool {
    token.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// Words and signs of a text, without comments, and with strings as `""`.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = string(rest) {
            tokens.push("\"\"".to_owned());
            length
        } else if c.is_alphanumeric() || c == '_' {
            let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            tokens.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
            length
        } else if rest.starts_with("::") {
            tokens.push("::".to_owned());
            2
        } else {
            if !c.is_whitespace() {
                tokens.push(c.to_string());
            }
            c.len_utf8()
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    tokens
}

/// Length of the string or character that a text begins with, if it does.
fn string(text: &str) -> Option<usize> {
    let raw = text.strip_prefix('b').unwrap_or(text);
    let skipped = text.len() - raw.len();
    if let Some(hashes) = raw.strip_prefix('r') {
        let marks = hashes.len() - hashes.trim_start_matches('#').len();
        if hashes.get(marks..)?.starts_with('"') {
            let close = format!("\"{}", "#".repeat(marks));
            let begin = skipped + 1 + marks + 1;
            return Some(text.get(begin..)?.find(&close).map_or(text.len(), |end| begin + end + close.len()));
        }
    }
    if raw.starts_with('\'') {
        // A lifetime has no closing quote.
        let mut chars = raw.char_indices().skip(1);
        return match (chars.next()?, chars.next()?) {
            ((_, '\\'), _) => raw.get(3..)?.find('\'').map(|end| skipped + 3 + end + 1),
            (_, (at, '\'')) => Some(skipped + at + 1),
            _ => None,
        };
    }
    if !raw.starts_with('"') {
        return None;
    }
    let mut is_escaped = false;
    for (at, c) in raw.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return Some(skipped + at + 1),
            _ => {}
        }
    }
    Some(text.len())
}

/// Leaves out items under `#[cfg(test)]`.
fn without_tests(tokens: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut at = 0;
    let marker = ["#", "[", "cfg", "(", "test", ")", "]"];
    while let Some(token) = tokens.get(at) {
        let is_test = tokens.get(at..at + marker.len()).is_some_and(|next| next.iter().eq(marker));
        if !is_test {
            kept.push(token.clone());
            at += 1;
            continue;
        }
        let mut depth = 0_u32;
        loop {
            at += 1;
            match tokens.get(at).map(String::as_str) {
                None => break,
                Some("{") => depth += 1,
                Some("}") if depth == 1 => break,
                Some("}") => depth = depth.saturating_sub(1),
                Some(";") if depth == 0 => break,
                Some(_) => {}
            }
        }
        at += 1;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<(String, Kind)> {
        paths(text).into_iter().map(|named| (named.path.join("::"), named.kind)).collect()
    }

    #[test]
    fn imports_are_flattened_and_comments_strings_and_tests_left_out() {
        let text = r##"
            //! use crate::never;
            use crate::{a::{self, B}, c as d};
            pub(crate) use e::F;
            /* use crate::never */
            fn f<'a>(x: &'a str) { crate::g::h(); let c = '"'; let s = "use crate::never;"; r#"crate::never::x"#; }
            #[cfg(test)]
            mod tests { use super::*; fn t() { crate::never::x() } }
            fn after() { super::i::J::k() }
        "##;
        let expected = [
            ("crate::a", Kind::Use),
            ("crate::a::B", Kind::Use),
            ("crate::c", Kind::Use),
            ("e::F", Kind::Reexport),
            ("crate::g::h", Kind::Inline),
            ("super::i::J::k", Kind::Inline),
        ];
        assert_eq!(shown(text), expected.map(|(path, kind)| (path.to_owned(), kind)));
    }
}
