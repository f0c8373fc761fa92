//! Detection of credentials in text.
//!
//! Formats come from the issuers' documentation of their tokens (prefix, alphabet, length). Where an issuer documents
//! none, as for passwords in assignments, a finding is only likely.

use std::ops::Range;

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

/// The format of a credential: a prefix, then so many characters of an alphabet.
struct Format {
    kind: &'static str,
    prefix: &'static str,
    /// The place in the prefix that is rarest in ordinary text: where it is looked for.
    mark: usize,
    alphabet: fn(u8) -> bool,
    min: usize,
    max: usize,
}

impl Format {
    #[expect(clippy::indexing_slicing, reason = "called while compiling, where an index out of range is an error")]
    const fn marked_byte(&self) -> u8 {
        self.prefix.as_bytes()[self.mark]
    }
}

const fn format(kind: &'static str, prefix: &'static str, alphabet: fn(u8) -> bool, min: usize, max: usize) -> Format {
    Format { kind, prefix, mark: mark(prefix.as_bytes()), alphabet, min, max }
}

/// The first `_` or `-` of a prefix, else its first capital, else its second letter.
#[expect(clippy::indexing_slicing, reason = "computed while compiling, where an index out of range is an error")]
const fn mark(prefix: &[u8]) -> usize {
    let mut index = 0;
    while index < prefix.len() {
        if prefix[index] == b'_' || prefix[index] == b'-' {
            return index;
        }
        index += 1;
    }
    if prefix[0].is_ascii_uppercase() { 0 } else { 1 }
}

fn upper_digits(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

fn alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

fn word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

fn hex(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}

/// Formats, those with one mark together; a longer prefix stands before a shorter one that it begins with.
static FORMATS: [Format; 30] = [
    format("aws-access-key", "AKIA", upper_digits, 16, 16),
    format("aws-access-key", "ASIA", upper_digits, 16, 16),
    format("google-api-key", "AIza", word, 35, 35),
    format("github-token", "ghp_", alphanumeric, 36, 255),
    format("github-token", "gho_", alphanumeric, 36, 255),
    format("github-token", "ghu_", alphanumeric, 36, 255),
    format("github-token", "ghs_", alphanumeric, 36, 255),
    format("github-token", "ghr_", alphanumeric, 36, 255),
    format("github-token", "github_pat_", word, 22, 255),
    format("stripe-key", "sk_live_", alphanumeric, 16, 255),
    format("stripe-key", "rk_live_", alphanumeric, 16, 255),
    format("npm-token", "npm_", alphanumeric, 36, 36),
    format("huggingface-token", "hf_", alphanumeric, 34, 64),
    format("digitalocean-token", "dop_v1_", hex, 64, 64),
    format("shopify-token", "shpat_", hex, 32, 32),
    format("linear-key", "lin_api_", alphanumeric, 32, 64),
    format("docker-token", "dckr_pat_", word, 24, 64),
    format("gitlab-token", "glpat-", word, 20, 64),
    format("slack-token", "xoxb-", word, 20, 255),
    format("slack-token", "xoxp-", word, 20, 255),
    format("slack-token", "xoxa-", word, 20, 255),
    format("slack-token", "xoxr-", word, 20, 255),
    format("slack-token", "xoxs-", word, 20, 255),
    format("anthropic-key", "sk-ant-", word, 24, 255),
    format("openai-key", "sk-proj-", word, 32, 255),
    format("openai-key", "sk-svcacct-", word, 32, 255),
    format("openai-key", "sk-", alphanumeric, 32, 255),
    format("pypi-token", "pypi-AgEI", word, 50, 1024),
    format("sendgrid-key", "SG.", |byte| word(byte) || byte == b'.', 60, 80),
    format("vault-token", "hvs.", word, 24, 255),
];

/// Names of settings that hold secrets, without `_` and `-`, in lower case.
static NAMES: [&str; 12] = [
    "password",
    "passwd",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "secretkey",
    "clientsecret",
    "authtoken",
    "credential",
    "passphrase",
];

/// Words that stand where a secret will be.
static PLACEHOLDERS: [&str; 14] = [
    "example",
    "changeme",
    "change_me",
    "placeholder",
    "your",
    "xxxx",
    "****",
    "dummy",
    "redacted",
    "<",
    "${",
    "{{",
    "$(",
    "none",
];

/// Longest value that is searched, in bytes.
const MAX_VALUE: usize = 256;
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
    let others = ["json-web-token", "private-key", "url-password", "password"];
    others.contains(&kind) || FORMATS.iter().any(|format| format.kind == kind)
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
    match text.get(at)? {
        b':' if text.get(at + 1) == Some(&b'/') => url_password(text, at),
        b':' | b'=' => assignment(text, at),
        b'J' => web_token(text, at),
        b'B' => private_key(text, at),
        byte => token(text, at, *byte),
    }
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
    // `eyJ`, `-----BEGIN`, and assignments.
    table[b'J' as usize] = true;
    table[b'B' as usize] = true;
    table[b'=' as usize] = true;
    table[b':' as usize] = true;
    table
};

/// Ranges of the formats that share a mark.
#[expect(clippy::indexing_slicing, reason = "computed while compiling, where an index out of range is an error")]
static GROUPS: [(u8, u8); 256] = {
    let mut table = [(0, 0); 256];
    let mut index = 0;
    while index < FORMATS.len() {
        let group = &mut table[FORMATS[index].marked_byte() as usize];
        if group.1 == 0 {
            group.0 = index as u8;
        }
        group.1 = index as u8 + 1;
        index += 1;
    }
    table
};

/// A credential whose prefix has its mark here.
fn token(text: &[u8], at: usize, byte: u8) -> Option<Secret> {
    let before = at.checked_sub(1).and_then(|at| text.get(at));
    let (begin, end) = GROUPS.get(byte as usize)?;
    FORMATS.get(*begin as usize..*end as usize)?.iter().find_map(|format| {
        let prefix = format.prefix.as_bytes();
        // One comparison rules most of them out.
        if let Some(mark_before) = format.mark.checked_sub(1)
            && prefix.get(mark_before) != before
        {
            return None;
        }
        let start = at.checked_sub(format.mark)?;
        let body = text.get(start..)?.strip_prefix(prefix)?;
        if !begins_word(text, start) {
            return None;
        }
        let len = body.iter().take(format.max + 1).take_while(|byte| (format.alphabet)(**byte)).count();
        let fits = (format.min..=format.max).contains(&len) && distinct(body.get(..len)?) >= 8;
        fits.then(|| certain(format.kind, start..start + prefix.len() + len))
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

/// A JSON Web Token (RFC 7519) whose `J` stands here: three parts in base64url, of which the first two begin like an object.
fn web_token(text: &[u8], at: usize) -> Option<Secret> {
    let start = at.checked_sub(2)?;
    let rest = text.get(start..)?;
    if !rest.starts_with(b"eyJ") || !begins_word(text, start) {
        return None;
    }
    let part =
        |from: usize| rest.get(from..).map(|rest| rest.iter().take(2048).take_while(|byte| word(**byte)).count());
    let header = part(0)?;
    let body_at = header + 1;
    let is_dotted = |at: usize| rest.get(at) == Some(&b'.');
    let body = part(body_at)?;
    let signature_at = body_at + body + 1;
    let signature = part(signature_at)?;
    let fits = is_dotted(header) && is_dotted(signature_at - 1) && rest.get(body_at..)?.starts_with(b"eyJ");
    let is_token = fits && header > 8 && body > 8 && signature > 16;
    is_token.then(|| certain("json-web-token", start..start + signature_at + signature))
}

/// A private key in PEM (RFC 7468) whose `BEGIN` stands here, up to its end.
fn private_key(text: &[u8], at: usize) -> Option<Secret> {
    let at = at.checked_sub(5)?;
    let rest = text.get(at..)?;
    let label = rest.strip_prefix(b"-----BEGIN ")?;
    let label_len = label.iter().take(64).position(|byte| *byte == b'-')?;
    let label = label.get(..label_len)?;
    if !label.ends_with(b"PRIVATE KEY") && !label.ends_with(b"PRIVATE KEY BLOCK") {
        return None;
    }
    let end = rest.windows(9).take(16 * 1024).position(|window| window == b"-----END ");
    let after = end.and_then(|end| {
        let tail = rest.get(end + 9..)?;
        Some(end + 9 + tail.windows(5).take(64).position(|window| window == b"-----")? + 5)
    });
    Some(certain("private-key", at..at + after.unwrap_or(11 + label_len + 5)))
}

/// `name = "value"` and `name: value`, where the name says that the value is secret.
fn assignment(text: &[u8], at: usize) -> Option<Secret> {
    // `==`, `!=`, `<=`, `::` and their kind assign nothing.
    let before = text.get(at.checked_sub(1)?)?;
    if b"=!<>:+-*/%&|^".contains(before)
        || matches!(text.get(at + 1), Some(b':'))
        || text.get(at..at + 2) == Some(b"==")
    {
        return None;
    }
    let name = name_before(text, at)?;
    if !NAMES.iter().any(|known| ends_with_name(name, known.as_bytes())) {
        return None;
    }
    let mut start = at + 1;
    // `:=` and `=>`, then blanks, then perhaps a quote.
    while matches!(text.get(start), Some(b' ' | b'\t' | b'=' | b'>')) && start < at + 8 {
        start += 1;
    }
    let quote = text.get(start).copied().filter(|byte| matches!(byte, b'"' | b'\'' | b'`'));
    start += usize::from(quote.is_some());
    let value = text.get(start..)?;
    let ends = |byte: &u8| match quote {
        Some(quote) => *byte == quote || *byte == b'\n',
        None => byte.is_ascii_whitespace() || b"\"',;)}]&".contains(byte),
    };
    let len = value.iter().take(MAX_VALUE).position(ends).unwrap_or(value.len().min(MAX_VALUE));
    let value = value.get(..len)?;
    let is_code = quote.is_none() && value.iter().any(|byte| b"(.[<{".contains(byte));
    let is_secret = len >= 8 && !is_code && !is_placeholder(value) && distinct(value) >= 6 && is_mixed(value);
    is_secret.then(|| Secret { kind: "password", certainty: Certainty::Likely, place: start..start + len })
}

/// The name in front of an assignment.
fn name_before(text: &[u8], at: usize) -> Option<&[u8]> {
    let before = text.get(at.saturating_sub(64)..at)?;
    let trimmed = before.trim_ascii_end();
    let trimmed = trimmed.strip_suffix(b"\"").or_else(|| trimmed.strip_suffix(b"'")).unwrap_or(trimmed);
    let len = trimmed.iter().rev().take_while(|byte| word(**byte)).count();
    // The last letters of the names that are looked for: most other names are ruled out by them alone.
    let name = trimmed.get(trimmed.len() - len..)?;
    (len >= 5 && b"dtnylseDTNYLSE".contains(name.last()?)).then_some(name)
}

/// Whether a name ends in a known one, whatever its case, and with or without `_` and `-`.
fn ends_with_name(name: &[u8], known: &[u8]) -> bool {
    let mut letters = name.iter().rev().filter(|byte| **byte != b'_' && **byte != b'-');
    known.iter().rev().all(|wanted| letters.next().is_some_and(|byte| byte.to_ascii_lowercase() == *wanted))
}

/// The password of `scheme://user:password@host`; `at` is the first colon.
fn url_password(text: &[u8], at: usize) -> Option<Secret> {
    let rest = text.get(at..)?.strip_prefix(b"://")?;
    let is_user = |byte: &u8| !byte.is_ascii_whitespace() && !b":/@\"'<>".contains(byte);
    let user = rest.iter().take(MAX_VALUE).take_while(|byte| is_user(byte)).count();
    let value = rest.get(user..)?.strip_prefix(b":")?;
    let ends = |byte: &u8| *byte == b'@' || *byte == b'/' || byte.is_ascii_whitespace();
    let len = value.iter().take(MAX_VALUE).position(ends)?;
    let password = value.get(..len)?;
    let is_template = [&b"pass"[..], b"password", b"secret", b"user"].contains(&password)
        || password.iter().any(|byte| b"<>${}*[]".contains(byte));
    let is_password = value.get(len) == Some(&b'@') && len >= 3 && !is_template;
    let start = at + 3 + user + 1;
    is_password.then(|| certain("url-password", start..start + len))
}

fn is_placeholder(value: &[u8]) -> bool {
    let lower = value.to_ascii_lowercase();
    PLACEHOLDERS.iter().any(|word| lower.windows(word.len()).any(|window| window == word.as_bytes()))
}

/// Letters and something else, as words of a language are not.
fn is_mixed(value: &[u8]) -> bool {
    value.iter().any(u8::is_ascii_alphabetic) && value.iter().any(|byte| !byte.is_ascii_alphabetic() && *byte != b' ')
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
