//! Showing untrusted text truly: nothing in it can move the cursor, change its direction or hide.

use std::fmt::Write as _;

/// Escapes what could mislead a reader of a terminal: control characters except line feed and tab, bidirectional
/// marks, zero-width and other invisible characters. Text over `max_chars` is cut, and says so.
#[must_use]
pub fn safe_text(text: &str, max_chars: usize) -> String {
    let mut shown = String::with_capacity(text.len().min(max_chars * 4));
    for c in text.chars().take(max_chars) {
        if misleads(c) {
            // Writing to a string cannot fail.
            let _ = write!(shown, "\\u{{{:x}}}", u32::from(c));
        } else {
            shown.push(c);
        }
    }
    if let Some(rest) = text.chars().count().checked_sub(max_chars).filter(|rest| *rest > 0) {
        let _ = write!(shown, "… ({rest} more characters)");
    }
    shown
}

/// As [`safe_text`], for one line: line feeds and tabs are escaped, too.
#[must_use]
pub fn safe_line(text: &str, max_chars: usize) -> String {
    safe_text(text, max_chars).replace('\n', "\\n").replace('\t', "\\t")
}

fn misleads(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        _ if c.is_control() => true,
        // Soft hyphen, Arabic letter mark, Mongolian vowel separator, Hangul fillers, combining grapheme joiner.
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{34f}' => true,
        // Zero-width characters, direction marks, line and paragraph separators, embeddings, isolates.
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => true,
        // Variation selectors, interlinear annotations, tags, private use.
        '\u{fe00}'..='\u{fe0f}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}' => true,
        '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}' => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_what_misleads_and_keeps_the_rest() {
        assert_eq!(safe_line("\u{1b}[2Jok\r\u{202e}gpj.exe", 100), "\\u{1b}[2Jok\\u{d}\\u{202e}gpj.exe");
        assert_eq!(safe_text("a\tb\nä日本", 100), "a\tb\nä日本");
        assert_eq!(safe_line("a\nb", 100), "a\\nb");
        assert_eq!(safe_line("\u{9b}31m", 100), "\\u{9b}31m");
    }

    #[test]
    fn long_text_is_cut_and_says_so() {
        assert_eq!(safe_line(&"x".repeat(10), 4), "xxxx… (6 more characters)");
    }

    proptest! {
        #[test]
        fn nothing_shown_misleads(text in any::<String>()) {
            prop_assert!(!safe_text(&text, 50).chars().any(misleads));
        }
    }
}
