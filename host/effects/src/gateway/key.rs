//! Keys, and keeping them out of everything.

use std::fmt;

/// Longest key that is taken, in bytes.
const MAX_BYTES: usize = 16 * 1024;
/// Replacement for a key in texts.
const REDACTED: &str = "[key]";
/// A key so short that it may stand in ordinary text is not looked for there.
const MIN_SCRUBBED: usize = 6;
/// So many bytes from the beginning of a key are as good as the key.
const MIN_PART: usize = 10;

/// A key. It goes into the header of a request and nowhere else.
#[derive(Clone)]
pub struct Key(String);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Key {
    /// A key from a text, blanks around it dropped. The error describes the fault without the key.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let key = text.trim();
        if key.is_empty() {
            return Err("is empty");
        }
        if key.len() > MAX_BYTES {
            return Err("is longer than 16 KiB");
        }
        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("holds characters that no key has");
        }
        Ok(Self(key.to_owned()))
    }

    /// The key itself, for signing with it.
    pub fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The value of the `Authorization` header.
    pub fn bearer(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

/// A text without the key, in case a server echoes it, or the beginning of it.
pub fn scrub(key: Option<&Key>, text: String) -> String {
    without_parts(key, without_whole(key, text))
}

fn without_whole(key: Option<&Key>, text: String) -> String {
    match key {
        Some(Key(key)) if key.len() >= MIN_SCRUBBED && text.contains(key.as_str()) => {
            text.replace(key.as_str(), REDACTED)
        }
        _ => text,
    }
}

fn without_parts(key: Option<&Key>, text: String) -> String {
    let Some(Key(key)) = key else { return text };
    // A part of a key is recognised by its beginning, which is too long to occur in ordinary text.
    let Some(beginning) = key.get(..MIN_PART).filter(|_| key.len() > MIN_PART) else { return text };
    let mut shown = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find(beginning) {
        let (before, part) = rest.split_at(at);
        let same = part.bytes().zip(key.bytes()).take_while(|(one, other)| one == other).count();
        shown.push_str(before);
        shown.push_str(REDACTED);
        rest = part.get(same..).unwrap_or_default();
    }
    shown.push_str(rest);
    shown
}

/// Passes a stream of text on without the key, even when it comes in pieces.
pub struct Scrubber<'a> {
    key: Option<&'a Key>,
    held: String,
}

impl<'a> Scrubber<'a> {
    pub fn new(key: Option<&'a Key>) -> Self {
        Self { key, held: String::new() }
    }

    /// Adds text, and returns the part that can be passed on now.
    pub fn push(&mut self, text: &str) -> String {
        self.held.push_str(text);
        self.held = without_whole(self.key, std::mem::take(&mut self.held));
        // The end may be the start of a key.
        let keep = self.key.map_or(0, |Key(key)| {
            (1..key.len())
                .rev()
                .find(|len| key.get(..*len).is_some_and(|start| self.held.ends_with(start)))
                .unwrap_or(0)
        });
        let rest = self.held.split_off(self.held.len() - keep);
        without_parts(self.key, std::mem::replace(&mut self.held, rest))
    }

    /// Returns the rest of the text.
    pub fn finish(self) -> String {
        scrub(self.key, self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_does_not_show() {
        let key = Key::parse(" sk-secret-1 \n").unwrap();
        assert_eq!(format!("{key:?}"), "[key]");
        assert_eq!(key.bearer(), "Bearer sk-secret-1");
        assert_eq!(scrub(Some(&key), "wrong key sk-secret-1!".into()), "wrong key [key]!");
        for bad in ["", " ", "a b", "a\u{7f}", "ä"] {
            assert!(Key::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_key_in_pieces_does_not_show() {
        let key = Key::parse("sk-secret-1").unwrap();
        let mut scrubber = Scrubber::new(Some(&key));
        let mut shown = String::new();
        for piece in ["it is s", "k-sec", "ret-", "1 and sk-sec"] {
            shown.push_str(&scrubber.push(piece));
            assert!(!shown.contains("sk-sec"), "{shown}");
        }
        shown.push_str(&scrubber.finish());
        assert_eq!(shown, "it is [key] and sk-sec");
        assert_eq!(scrub(Some(&key), "bad key sk-secret-".into()), "bad key [key]", "a part of it");
    }
}
