//! Detection of credentials in text.
//!
//! Formats come from the issuers' documentation of their tokens (prefix, alphabet, length). Where an issuer documents
//! none, as for passwords in assignments, a finding is only likely.

mod context;
mod formats;
mod names;

use std::ops::Range;

use self::formats::FORMATS;

/// Certainty of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certainty {
    /// It has the very format of the credential.
    Certain,
    /// It looks like one.
    Likely,
}

/// A credential in a text: its kind, never the text itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    pub kind: &'static str,
    pub certainty: Certainty,
    pub place: Range<usize>,
}

/// Most secrets of one text that are reported.
const MAX_SECRETS: usize = 64;
/// Most bytes of a finding before the end of a text: so much of a slice is kept for the next one.
pub const OVERLAP: usize = 1280;

/// Credentials in a text, in order: at most 64 that are certain and 64 that are likely, those of ignored kinds left out.
pub fn scan(text: &[u8], ignore: &[String]) -> Scan {
    scan_for(text, ignore, MAX_SECRETS)
}

/// Result of a scan.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Scan {
    pub secrets: Vec<Secret>,
    /// There are more secrets than are reported.
    pub is_full: bool,
}

fn scan_for(text: &[u8], ignore: &[String], most: usize) -> Scan {
    let (mut sure, mut likely): (Vec<Secret>, Vec<Secret>) = (Vec::new(), Vec::new());
    let mut is_full = false;
    let mut at = 0;
    likely.extend(context::line(text, 0));
    while let Some(skipped) = next_mark(text.get(at..).unwrap_or_default()) {
        at += skipped;
        let after = sure.last().map_or(0, |last| last.place.end);
        let secret = at_mark(text, at).filter(|secret| secret.place.start >= after);
        at += 1;
        let Some(secret) = secret.filter(|secret| !ignore.iter().any(|kind| kind == secret.kind)) else { continue };
        let found = match secret.certainty {
            Certainty::Certain => {
                at = secret.place.end.max(at);
                &mut sure
            }
            // A certain finding may stand inside of it.
            Certainty::Likely => &mut likely,
        };
        is_full |= found.len() == most;
        if found.len() < most {
            found.push(secret);
        }
    }
    likely
        .retain(|one| !sure.iter().any(|other| one.place.start < other.place.end && other.place.start < one.place.end));
    sure.extend(likely);
    sure.sort_by_key(|secret| secret.place.start);
    Scan { secrets: sure, is_full }
}

/// Whether there is a kind of this name.
pub fn is_kind(kind: &str) -> bool {
    context::KINDS.contains(&kind) || FORMATS.iter().any(|format| format.kind == kind)
}

/// Distance to the next byte that may belong to a credential. Most bytes of most texts are ruled out here, eight at a
/// time: that is most of the cost of a scan.
fn next_mark(rest: &[u8]) -> Option<usize> {
    let is_mark = |byte: &u8| MARKS.get(*byte as usize).copied().unwrap_or(false);
    let holds_none = |eight: &[u8; 8]| !eight.iter().fold(false, |any, byte| any | is_mark(byte));
    let (eights, _) = rest.as_chunks::<8>();
    let skipped = eights.iter().take_while(|eight| holds_none(eight)).count() * 8;
    rest.get(skipped..)?.iter().position(is_mark).map(|at| skipped + at)
}

/// The credential to which the byte here belongs, if there is one.
fn at_mark(text: &[u8], at: usize) -> Option<Secret> {
    let byte = *text.get(at)?;
    let secret = match byte {
        b'\n' => return context::line(text, at + 1),
        b'>' => context::element(text, at),
        b'~' => context::azure_client_secret(text, at),
        b':' if text.get(at + 1) == Some(&b'/') => context::address(text, at),
        b':' => context::numbered(text, at).or_else(|| context::assignment(text, at)),
        b'=' => context::assignment(text, at),
        b'J' => context::web_token(text, at),
        b'B' => context::private_key(text, at),
        b'.' => context::dotted(text, at),
        _ => None,
    };
    secret.or_else(|| token(text, at, byte))
}

/// Bytes that belong to credentials and are rare elsewhere.
#[expect(clippy::indexing_slicing, reason = "computed while compiling, where an index out of range is an error")]
static MARKS: [bool; 256] = {
    let mut table = [false; 256];
    let mut index = 0;
    while index < FORMATS.len() {
        table[FORMATS[index].marked_byte() as usize] = true;
        index += 1;
    }
    // `eyJ`, `-----BEGIN`, assignments, elements, lines of `.netrc`, and marks inside of tokens.
    let others = b"JB=:>\n~.";
    let mut other = 0;
    while other < others.len() {
        table[others[other] as usize] = true;
        other += 1;
    }
    table
};

/// Marks of formats.
const MARKED: usize = 12;
/// Places of the marks in [`GROUPS`], counted from 1.
#[expect(clippy::indexing_slicing, reason = "computed while compiling, where an index out of range is an error")]
static SLOTS: [u8; 256] = {
    let mut slots = [0; 256];
    let (mut index, mut next) = (0, 1);
    while index < FORMATS.len() {
        let mark = FORMATS[index].marked_byte() as usize;
        if slots[mark] == 0 {
            slots[mark] = next;
            next += 1;
        }
        index += 1;
    }
    slots
};

/// Ranges of the formats that share a mark and the byte before it.
#[expect(clippy::indexing_slicing, reason = "computed while compiling, where an index out of range is an error")]
static GROUPS: [[(u8, u8); 128]; MARKED] = {
    let mut groups = [[(0, 0); 128]; MARKED];
    let mut index = 0;
    while index < FORMATS.len() {
        let format = &FORMATS[index];
        let slot = SLOTS[format.marked_byte() as usize] as usize - 1;
        let group = &mut groups[slot][format.byte_before() as usize];
        if group.1 == 0 {
            group.0 = index as u8;
        }
        group.1 = index as u8 + 1;
        index += 1;
    }
    groups
};

/// A credential whose prefix has its mark here.
fn token(text: &[u8], at: usize, byte: u8) -> Option<Secret> {
    let groups = GROUPS.get(usize::from(*SLOTS.get(usize::from(byte))?).checked_sub(1)?)?;
    let before = at.checked_sub(1).and_then(|at| text.get(at)).copied().unwrap_or_default();
    // Formats that begin with their mark, and those with this byte before it.
    let of = |before: u8| groups.get(usize::from(before)).copied().unwrap_or_default();
    let begins = of(0);
    let (begin, end) = if begins.1 > 0 { begins } else { of(before) };
    FORMATS.get(usize::from(begin)..usize::from(end))?.iter().find_map(|format| {
        let prefix = format.prefix.as_bytes();
        let start = at.checked_sub(format.mark)?;
        let body = text.get(start..)?.strip_prefix(prefix)?;
        if !begins_word(text, start) {
            return None;
        }
        let len = body.iter().take(format.max + 1).take_while(|byte| format.alphabet.has(**byte)).count();
        let fits = (format.min..=format.max).contains(&len) && distinct(body.get(..len)?) >= 8;
        let whole = text.get(start..start + prefix.len() + len)?;
        (fits && !names::is_documented(whole)).then(|| certain(format.kind, start..start + whole.len()))
    })
}

fn certain(kind: &'static str, place: Range<usize>) -> Secret {
    Secret { kind, certainty: Certainty::Certain, place }
}

/// Whether a word begins here: behind a letter or digit none does, unless that letter is part of an escape such as `\\n`.
fn begins_word(text: &[u8], start: usize) -> bool {
    let byte = |back: usize| start.checked_sub(back).and_then(|at| text.get(at));
    byte(2) == Some(&b'\\') || !byte(1).is_some_and(u8::is_ascii_alphanumeric)
}

/// Number of different bytes.
fn distinct(value: &[u8]) -> usize {
    let mut seen = [false; 256];
    for byte in value {
        if let Some(seen) = seen.get_mut(*byte as usize) {
            *seen = true;
        }
    }
    seen.iter().filter(|seen| **seen).count()
}

/// A text with each certain credential replaced by its kind.
pub fn redacted(text: &str, ignore: &[String]) -> Option<String> {
    let secrets = scan_for(text.as_bytes(), ignore, usize::MAX).secrets;
    let mut shown = String::new();
    let mut from = 0;
    for secret in secrets.iter().filter(|secret| secret.certainty == Certainty::Certain) {
        shown.push_str(text.get(from..secret.place.start)?);
        shown.push_str(&format!("[REDACTED:{}]", secret.kind));
        from = secret.place.end;
    }
    if from == 0 {
        return None;
    }
    shown.push_str(text.get(from..)?);
    Some(shown)
}

#[cfg(test)]
#[path = "scan/tests.rs"]
mod tests;

#[cfg(test)]
#[path = "scan/measure.rs"]
mod measure;
