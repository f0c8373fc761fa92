//! Credentials that are known by what stands around them: names, addresses, headers, files of a known form.

use super::names::{HARMLESS_NAMES, PASSWORD_NAMES, SECRET_NAMES, ends_in, is_documented, is_placeholder};
use super::{Certainty, Secret, begins_word, certain, distinct};

/// Longest value that is searched, in bytes.
const MAX_VALUE: usize = 256;
/// Longest line of `.netrc` and its kind that is read, in bytes.
const MAX_LINE: usize = 512;

/// Kinds beyond those with a format.
pub static KINDS: [&str; 14] = [
    "json-web-token",
    "private-key",
    "url-password",
    "url-token",
    "password",
    "authorization",
    "netrc-password",
    "pgpass-password",
    "webhook",
    "azure-client-secret",
    "telegram-token",
    "terraform-token",
    "airtable-token",
    "discord-token",
];

fn likely(kind: &'static str, start: usize, len: usize) -> Secret {
    Secret { kind, certainty: Certainty::Likely, place: start..start + len }
}

/// A JSON Web Token (RFC 7519) whose `J` stands here: three parts in base64url, of which the first two begin like an object.
pub fn web_token(text: &[u8], at: usize) -> Option<Secret> {
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
    let len = signature_at + signature;
    (is_token && !is_documented(rest.get(..len)?)).then(|| certain("json-web-token", start..start + len))
}

/// A private key in PEM (RFC 7468) whose `BEGIN` stands here, up to its end.
pub fn private_key(text: &[u8], at: usize) -> Option<Secret> {
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
    // A label alone, as code has it that reads keys, is followed by a quote.
    let body = rest.get(11 + label_len + 5..)?.iter().find(|byte| !byte.is_ascii_whitespace());
    if after.is_none() && body.is_none_or(|byte| b"\"'`)".contains(byte)) {
        return None;
    }
    Some(certain("private-key", at..at + after.unwrap_or(11 + label_len + 5)))
}

/// `name = "value"` and `name: value`, where the name says that the value is secret.
pub fn assignment(text: &[u8], at: usize) -> Option<Secret> {
    // `==`, `!=`, `<=`, `::` and their kind assign nothing.
    let before = text.get(at.checked_sub(1)?)?;
    if b"=!<>:+-*/%&|^".contains(before)
        || matches!(text.get(at + 1), Some(b':'))
        || text.get(at..at + 2) == Some(b"==")
    {
        return None;
    }
    let (name, name_at) = name_before(text, at)?;
    let mut start = at + 1;
    // `:=` and `=>`, then blanks, then perhaps a quote.
    while matches!(text.get(start), Some(b' ' | b'\t' | b'=' | b'>')) && start < at + 8 {
        start += 1;
    }
    let is_escaped = text.get(start) == Some(&b'\\');
    start += usize::from(is_escaped);
    let quote = text.get(start).copied().filter(|byte| matches!(byte, b'"' | b'\'' | b'`'));
    start += usize::from(quote.is_some());
    let value = text.get(start..)?;
    if ends_in(name, &["authorization", "proxyauthorization"]) {
        return authorization(value, start);
    }
    let ends = |byte: &u8| match quote {
        Some(quote) => *byte == quote || *byte == b'\n' || (is_escaped && *byte == b'\\'),
        None => byte.is_ascii_whitespace() || b"\"',;)}]&<".contains(byte),
    };
    let len = value.iter().take(MAX_VALUE).position(ends).unwrap_or(value.len().min(MAX_VALUE));
    let value = value.get(..len)?;
    if name.ends_with(b"sig") || name.ends_with(b"SIG") {
        return shared_access(text, value, at, start);
    }
    if name == b"auth" || name == b"_auth" {
        return (len >= 16 && is_base64(value) && entropy(value) >= 30).then(|| likely("password", start, len));
    }
    if !ends_in(name, &SECRET_NAMES) || ends_in(name, &HARMLESS_NAMES) || is_variable(text, name_at) {
        return None;
    }
    let is_password = ends_in(name, &PASSWORD_NAMES);
    let stands_alone =
        quote.is_some() || stands_on_its_line(text, name_at, start + len) || is_connection(text, name_at);
    // `os.environ` and its kind; tokens with dots are long and random.
    let is_random = len >= 30 && entropy(value) >= 38;
    let is_code = quote.is_none() && !is_password && !is_random && value.iter().any(|byte| b"(.[<{$@".contains(byte));
    let is_call = quote.is_none() && value.iter().any(|byte| b"([{".contains(byte));
    let is_secret =
        stands_alone && !is_code && !is_call && !is_placeholder(value) && looks_secret(value, is_password, quote);
    is_secret.then(|| likely("password", start, len))
}

/// Whether a value is made like a secret: long and mixed enough for a password, random enough for a key.
fn looks_secret(value: &[u8], is_password: bool, quote: Option<u8>) -> bool {
    if value.iter().any(|byte| !byte.is_ascii_graphic()) || value.len() < 8 {
        // Passwords of several words are quoted.
        return is_password
            && quote.is_some()
            && value.len() >= 12
            && is_mixed(value)
            && !value.windows(2).any(|two| two == b": ")
            && value.iter().filter(|byte| **byte == b' ').count() <= 1
            && value.iter().any(u8::is_ascii_digit);
    }
    let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    let is_name = value.iter().all(|byte| byte.is_ascii_lowercase() || b"_-./:".contains(byte))
        || value.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'_')
        || value.iter().all(u8::is_ascii_alphabetic);
    // Names of things, versions, colours, paths, and numbers.
    let is_colour = value.first() == Some(&b'#');
    let is_number = value.iter().all(|byte| byte.is_ascii_digit() || b".-:T+Z".contains(byte));
    let is_path = value.starts_with(b"/") || value.starts_with(b"./") || value.windows(3).any(|three| three == b"://");
    if is_colour || is_number || is_path || distinct(value) < 6 {
        return false;
    }
    if is_password {
        return !is_name && is_mixed(value);
    }
    // A key is random: enough digits among letters, and no word of a language.
    !is_name && value.len() >= 10 && entropy(value) >= 28 && (digits >= 2 || (digits == 1 && value.len() >= 20))
}

/// Shannon entropy of a text, in tenths of a bit for each byte.
fn entropy(value: &[u8]) -> u32 {
    let mut counts = [0_u32; 256];
    for byte in value {
        if let Some(count) = counts.get_mut(*byte as usize) {
            *count += 1;
        }
    }
    let all = value.len().max(1) as f64;
    let bits: f64 =
        counts.iter().filter(|count| **count > 0).map(|count| f64::from(*count) / all).map(|p| -p * p.log2()).sum();
    (bits * 10.0) as u32
}

/// Last letters of the names that are looked for: most other names are ruled out by them alone.
static TAILS: [&[u8; 3]; 16] = [
    b"key", b"ken", b"ret", b"rer", b"pwd", b"ord", b"swd", b"ial", b"als", b"ass", b"ase", b"ure", b"url", b"ion",
    b"uth", b"sig",
];

/// The name in front of an assignment, and its place.
fn name_before(text: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let from = at.saturating_sub(64);
    let before = text.get(from..at)?;
    let blanks = before.iter().rev().take_while(|byte| byte.is_ascii_whitespace()).count();
    let before = before.get(..before.len() - blanks)?;
    let last = *before.last()?;
    let trimmed = match last {
        b'"' | b'\'' | b']' => {
            let ends: [&[u8]; 5] = [b"\\\"", b"\"]", b"']", b"\"", b"'"];
            ends.iter().find_map(|quote| before.strip_suffix(*quote)).unwrap_or(before)
        }
        _ => before,
    };
    let tail: [u8; 3] = trimmed.get(trimmed.len().checked_sub(3)?..)?.try_into().ok()?;
    if !TAILS.contains(&&tail.map(|byte| byte.to_ascii_lowercase())) {
        return None;
    }
    let len = trimmed.iter().rev().take_while(|byte| word(**byte) || **byte == b'.').count();
    Some((trimmed.get(trimmed.len() - len..)?, from + trimmed.len() - len))
}

/// Whether a name is a variable of a style sheet (`--token`) or an option of a program whose value is no secret by itself.
fn is_variable(text: &[u8], name_at: usize) -> bool {
    let before = text.get(name_at.saturating_sub(1)..name_at).unwrap_or_default();
    let name = text.get(name_at..).unwrap_or_default();
    name.starts_with(b"--") && matches!(before, b"" | b"{" | b";" | b"\n" | b" " | b"\t") && {
        let line = text.get(..name_at).unwrap_or_default();
        let line_at = line.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        line.get(line_at..).unwrap_or_default().iter().all(u8::is_ascii_whitespace)
    }
}

/// Whether an unquoted assignment fills its line, as in environment files and YAML, or is a word of a command.
fn stands_on_its_line(text: &[u8], name_at: usize, end: usize) -> bool {
    let before = text.get(..name_at).unwrap_or_default();
    let line_at = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let before = before.get(line_at..).unwrap_or_default().trim_ascii();
    let before = before.strip_prefix(b"\"").or_else(|| before.strip_prefix(b"- ")).unwrap_or(before);
    let begins = matches!(
        before,
        b"" | b"export" | b"set" | b"-" | b"env" | b"ENV" | b"ARG" | b"-e" | b"--env" | b"?" | b"SetEnv" | b"#"
    ) || before.last().is_some_and(|byte| *byte == b'-' || *byte == b'"')
        || before.ends_with(b"-e")
        || before.ends_with(b"--env")
        || before.ends_with(b"--from-literal=");
    let rest = text.get(end..).unwrap_or_default();
    let rest_end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    let rest = rest.get(..rest_end).unwrap_or_default();
    begins && !rest.trim_ascii().starts_with(b"(") && !matches!(rest.first(), Some(b')' | b',' | b';'))
}

/// Whether an assignment is a part of a connection string or of a query, between `;`, `&` or `?`.
fn is_connection(text: &[u8], name_at: usize) -> bool {
    let before = text.get(name_at.saturating_sub(MAX_VALUE)..name_at).unwrap_or_default();
    let is_separated = matches!(before.last(), Some(b';' | b'&' | b'?' | b' ' | b':'));
    let lower = before.to_ascii_lowercase();
    let has = |words: &[&[u8]]| words.iter().any(|word| lower.windows(word.len()).any(|window| window == *word));
    is_separated
        && has(&[
            b"jdbc:",
            b"server=",
            b"host=",
            b"endpoint=",
            b"data source=",
            b"accountname=",
            b"://",
            b"user id=",
            b"uid=",
        ])
}

/// The credential of an `Authorization` header.
fn authorization(value: &[u8], start: usize) -> Option<Secret> {
    let schemes: [&[u8]; 6] = [b"Bearer ", b"bearer ", b"Basic ", b"basic ", b"token ", b"ApiKey "];
    let scheme = schemes.iter().find(|scheme| value.starts_with(scheme))?;
    let token = value.get(scheme.len()..)?;
    let len = token
        .iter()
        .take(MAX_VALUE)
        .take_while(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte))
        .count();
    let token = token.get(..len)?;
    let is_secret = len >= 12 && !is_placeholder(token) && entropy(token) >= 28 && is_mixed(token);
    is_secret.then(|| likely("authorization", start + scheme.len(), len))
}

/// The signature of a shared access address of Azure: `sig=` beside `se=` or `sv=`.
fn shared_access(text: &[u8], value: &[u8], at: usize, start: usize) -> Option<Secret> {
    let around = text.get(at.saturating_sub(MAX_VALUE)..(at + 2 * MAX_VALUE).min(text.len()))?;
    let has = |word: &[u8]| around.windows(word.len()).any(|window| window == word);
    let is_one = (has(b"se=") || has(b"&se=")) && (has(b"sv=") || has(b"sr=") || has(b"sp="));
    (is_one && value.len() >= 40 && entropy(value) >= 40).then(|| certain("password", start..start + value.len()))
}

/// The password of `scheme://user:password@host`, a token in the place of a user, or the address of a webhook; `at` is
/// the first colon.
pub fn address(text: &[u8], at: usize) -> Option<Secret> {
    let rest = text.get(at..)?.strip_prefix(b"://")?;
    let start = at + 3;
    let ends = |byte: &u8| byte.is_ascii_whitespace() || b"\"'<>`\\)".contains(byte);
    let len = rest.iter().take(2 * MAX_VALUE).position(ends).unwrap_or(rest.len().min(2 * MAX_VALUE));
    let whole = rest.get(..len)?;
    if let Some(secret) = webhook(whole, start) {
        return Some(secret);
    }
    let user = whole.iter().take_while(|byte| !b":/@".contains(byte)).count();
    match whole.get(user)? {
        b'@' => {
            let token = whole.get(..user)?;
            let is_token = user >= 20
                && is_mixed(token)
                && entropy(token) >= 32
                && token.iter().all(|byte| word(*byte) || *byte == b'.');
            (is_token && !is_placeholder(token)).then(|| certain("url-token", start..start + user))
        }
        b':' => {
            let value = whole.get(user + 1..)?;
            let at_sign = value.iter().rposition(|byte| *byte == b'@')?;
            let password = value.get(..at_sign)?;
            let host = value.get(at_sign + 1..)?;
            let is_host = host.first().is_some_and(u8::is_ascii_alphanumeric) || host.first() == Some(&b'[');
            // A port, and an `@` in the path.
            let is_port =
                password.iter().take_while(|byte| **byte != b'/').all(u8::is_ascii_digit) && password.contains(&b'/');
            let has_query = password.iter().any(|byte| b"?#".contains(byte)) && password.contains(&b'/');
            let is_template = [&b"pass"[..], b"password", b"secret", b"user", b"pwd", b"pw", b"PASSWORD", b"PASS"]
                .contains(&password)
                || password.iter().any(|byte| b"<>${}*[]".contains(byte));
            let is_password = is_host && !is_port && !has_query && password.len() >= 3 && !is_template;
            let from = start + user + 1;
            is_password.then(|| certain("url-password", from..from + password.len()))
        }
        _ => None,
    }
}

/// Addresses by which whoever has them can post.
fn webhook(address: &[u8], start: usize) -> Option<Secret> {
    let beginnings: [(&[u8], usize); 6] = [
        (b"hooks.slack.com/services/", 30),
        (b"hooks.slack.com/workflows/", 30),
        (b"discord.com/api/webhooks/", 60),
        (b"discordapp.com/api/webhooks/", 60),
        (b"hooks.zapier.com/hooks/catch/", 10),
        (b"api.telegram.org/bot", 40),
    ];
    let (beginning, least) = beginnings.iter().find(|(beginning, _)| address.starts_with(beginning))?;
    let rest = address.get(beginning.len()..)?;
    let is_secret = rest.len() >= *least && distinct(rest) >= 10 && !is_placeholder(rest);
    is_secret.then(|| certain("webhook", start..start + address.len()))
}

/// Credentials with a number before a colon: tokens of Telegram's bots, and lines of `.pgpass`.
pub fn numbered(text: &[u8], at: usize) -> Option<Secret> {
    if !text.get(at.checked_sub(1)?)?.is_ascii_digit() {
        return None;
    }
    let digits = text.get(at.saturating_sub(12)..at)?.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let rest = text.get(at + 1..)?;
    let len = rest.iter().take(64).take_while(|byte| word(**byte)).count();
    let body = rest.get(..len)?;
    if (8..=10).contains(&digits) && len == 35 && begins_word(text, at - digits) && distinct(body) >= 12 {
        return Some(certain("telegram-token", at - digits..at + 1 + len));
    }
    if !(4..=5).contains(&digits) || text.get((at - digits).checked_sub(1)?) != Some(&b':') {
        return None;
    }
    // host:port:database:user:password
    let line = rest
        .iter()
        .take(MAX_LINE)
        .position(|byte| *byte == b'\n')
        .map_or(rest, |end| rest.get(..end).unwrap_or_default());
    let parts: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
    let [database, user, password] = parts.as_slice() else { return None };
    let is_plain = |part: &[u8]| !part.is_empty() && part.iter().all(|byte| word(*byte) || b".*".contains(byte));
    let is_line = is_plain(database)
        && is_plain(user)
        && password.len() >= 4
        && password.iter().all(|byte| byte.is_ascii_graphic() && !b"\"'()`".contains(byte));
    let start = at + 1 + database.len() + 1 + user.len() + 1;
    (is_line && !is_placeholder(password)).then(|| likely("pgpass-password", start, password.len()))
}

/// The password of a line of `.netrc`, which begins here.
pub fn line(text: &[u8], at: usize) -> Option<Secret> {
    let rest = text.get(at..)?;
    let indent = rest.iter().take(16).take_while(|byte| **byte == b' ' || **byte == b'\t').count();
    let rest = rest.get(indent..)?;
    if !rest.starts_with(b"machine ") && !rest.starts_with(b"password ") && !rest.starts_with(b"login ") {
        return None;
    }
    let end = rest.iter().take(MAX_LINE).position(|byte| *byte == b'\n').unwrap_or(rest.len().min(MAX_LINE));
    let line = rest.get(..end)?;
    let password_at = line.windows(9).position(|window| window == b"password ")?;
    let earlier = text.get(at.saturating_sub(MAX_LINE)..at + indent + password_at)?;
    if !earlier.windows(6).any(|window| window == b"login ") || !earlier.windows(8).any(|window| window == b"machine ")
    {
        return None;
    }
    let value = line.get(password_at + 9..)?.trim_ascii_start();
    let len = value.iter().take_while(|byte| byte.is_ascii_graphic()).count();
    let start = at + indent + (line.len() - value.len());
    (len >= 4 && !is_placeholder(value.get(..len)?)).then(|| certain("netrc-password", start..start + len))
}

/// The text of an element whose name says that it is secret, as in XML: `at` is the end of its first tag.
pub fn element(text: &[u8], at: usize) -> Option<Secret> {
    let (name, name_at) = name_before(text, at)?;
    if !matches!(text.get(name_at.checked_sub(1)?)?, b'<' | b':') || !ends_in(name, &SECRET_NAMES) {
        return None;
    }
    let value = text.get(at + 1..)?;
    let len = value.iter().take(MAX_VALUE).position(|byte| *byte == b'<')?;
    let value = value.get(..len)?;
    let is_closed = text.get(at + 1 + len..)?.starts_with(b"</");
    let is_secret = is_closed
        && len >= 6
        && value.iter().all(u8::is_ascii_graphic)
        && !is_placeholder(value)
        && !value.iter().any(|byte| b"{}$".contains(byte))
        && is_mixed(value);
    is_secret.then(|| likely("password", at + 1, len))
}

/// A client secret of Azure: three characters, a digit, `Q~`, and 31 to 34 more. `at` is the `~`.
pub fn azure_client_secret(text: &[u8], at: usize) -> Option<Secret> {
    let start = at.checked_sub(5)?;
    let before = text.get(start..at)?;
    let is_begin = before.last() == Some(&b'Q')
        && before.get(3).is_some_and(u8::is_ascii_digit)
        && before.iter().take(3).all(|byte| word(*byte) || *byte == b'~');
    let rest = text.get(at + 1..)?;
    let len = rest.iter().take(40).take_while(|byte| word(**byte) || b"~.".contains(byte)).count();
    let is_secret =
        is_begin && (31..=34).contains(&len) && begins_word(text, start) && distinct(rest.get(..len)?) >= 12;
    is_secret.then(|| certain("azure-client-secret", start..at + 1 + len))
}

/// Tokens with a dot inside: those of Terraform (`….atlasv1.…`), Airtable and Discord. `at` is the first dot.
pub fn dotted(text: &[u8], at: usize) -> Option<Secret> {
    let rest = text.get(at + 1..)?;
    let before = text.get(at.saturating_sub(27)..at)?;
    let letters = before.iter().rev().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    if !matches!(letters, 14 | 17 | 24..=26) {
        return None;
    }
    let start = at - letters;
    let count = |rest: &[u8], has: fn(&u8) -> bool| rest.iter().take(80).take_while(|byte| has(byte)).count();
    if letters == 14
        && let Some(body) = rest.strip_prefix(b"atlasv1.")
    {
        let len = count(body, |byte| word(*byte));
        return (60..=70).contains(&len).then(|| certain("terraform-token", start..at + 9 + len));
    }
    if letters == 17 && text.get(start..)?.starts_with(b"pat") {
        return (count(rest, u8::is_ascii_hexdigit) == 64).then(|| certain("airtable-token", start..at + 65));
    }
    let is_discord = (24..=26).contains(&letters) && matches!(text.get(start)?, b'M' | b'N' | b'O');
    if !is_discord || count(rest, |byte| word(*byte)) != 6 || rest.get(6) != Some(&b'.') {
        return None;
    }
    let len = count(rest.get(7..)?, |byte| word(*byte));
    let is_token = (27..=38).contains(&len) && distinct(rest.get(7..7 + len)?) >= 12;
    is_token.then(|| certain("discord-token", start..at + 1 + 7 + len))
}

fn is_base64(value: &[u8]) -> bool {
    value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=_-".contains(byte))
}

/// Letters and something else, as words of a language are not.
fn is_mixed(value: &[u8]) -> bool {
    value.iter().any(u8::is_ascii_alphabetic) && value.iter().any(|byte| !byte.is_ascii_alphabetic() && *byte != b' ')
}

/// Characters of names and of base64url.
fn word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}
