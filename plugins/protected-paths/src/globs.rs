//! Matching of globs with paths.

use std::borrow::Cow;

use fast_glob::glob_match;

/// Part of a path that a glob matched: start and end.
#[derive(Debug, Clone, Copy)]
pub struct Hit {
    pub start: usize,
    pub end: usize,
}

/// The parts of a path, found once for all globs.
pub fn parts(path: &str) -> Vec<Hit> {
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    let mut next = 0;
    ends.map(|end| Hit { start: std::mem::replace(&mut next, end + 1), end }).collect()
}

/// The parts of a path in lower case that a glob matches.
pub fn matching<'a>(globs: &'a [String], path: &'a str, parts: &'a [Hit]) -> impl Iterator<Item = (Hit, &'a str)> + 'a {
    globs.iter().flat_map(move |glob| hits(glob, path, parts).map(move |hit| (hit, glob.as_str())))
}

/// Matches of a glob in a path in lower case: its parts or, for a glob with `/`, the folders of the path, and itself.
fn hits<'a>(glob: &'a str, path: &'a str, parts: &'a [Hit]) -> impl Iterator<Item = Hit> + 'a {
    let from_the_top = glob.contains('/');
    let glob = glob.strip_prefix("./").unwrap_or(glob);
    let last = glob.rsplit('/').next().unwrap_or(glob);
    parts
        .iter()
        .filter(move |part| may_match(last, path.get(part.start..part.end).unwrap_or_default()))
        .map(move |part| Hit { start: if from_the_top { 0 } else { part.start }, end: part.end })
        .filter(move |hit| glob_match(&*lower(glob), path.get(hit.start..hit.end).unwrap_or_default()))
}

/// Whether first and last character of a glob's last part allow a match: most parts of most paths are ruled out by them.
fn may_match(glob: &str, part: &str) -> bool {
    let (glob, part) = (glob.as_bytes(), part.as_bytes());
    let first = match (glob.first(), part.first()) {
        (Some(b'*' | b'?' | b'[' | b'{' | b'!' | b'\\'), _) | (None, _) => true,
        (Some(first), Some(other)) => is_same(*first, *other),
        (Some(_), None) => false,
    };
    let last = match (glob.last(), part.last()) {
        (Some(b'*' | b'?' | b']' | b'}'), _) | (None, _) => true,
        (Some(last), Some(other)) => is_same(*last, *other),
        (Some(_), None) => false,
    };
    first && last
}

/// Whether a byte of a glob can stand for a byte of a path in lower case. Letters beyond ASCII may change their bytes.
fn is_same(glob: u8, part: u8) -> bool {
    !glob.is_ascii() || !part.is_ascii() || glob.to_ascii_lowercase() == part
}

pub fn lower(text: &str) -> Cow<'_, str> {
    let is_lower = text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
    if is_lower { Cow::Borrowed(text) } else { Cow::Owned(text.to_lowercase()) }
}
