//! Display of untrusted text: nothing in it can move the cursor, change its direction or hide. And amounts in readable
//! form.

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Money, given in micro-USD.
#[must_use]
pub fn usd(micro_usd: u64) -> String {
    format!("${}.{:06}", micro_usd / 1_000_000, micro_usd % 1_000_000)
}

/// A time, given in microseconds.
#[must_use]
pub fn duration(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{:.1} ms", micros as f64 / 1e3),
        1_000_000..60_000_000 => format!("{:.2} s", micros as f64 / 1e6),
        _ => format!("{} min {} s", micros / 60_000_000, micros / 1_000_000 % 60),
    }
}

/// Escapes characters that could mislead a reader of a terminal: control characters except line feed and tab,
/// bidirectional marks, zero-width and other invisible characters, and letters that pass for Latin ones. Text over `max_chars` is cut, and marked so.
#[must_use]
pub fn safe_text(text: &str, max_chars: usize) -> String {
    let mut shown = String::with_capacity(text.len().min(max_chars * 4));
    let mut before = ' ';
    let posing = posing(text, max_chars);
    for (place, c) in text.chars().take(max_chars).enumerate() {
        // A backslash and a `u{` that were in the text are not an escape of ours.
        let looks_like_ours = before == '\\' && c == 'u';
        before = c;
        if looks_like_ours {
            shown.pop();
            shown.push_str("\\u{5c}u");
        } else if misleads(c) || posing.contains(&place) {
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

/// Places of letters that pass for Latin ones: those of other scripts in a word with Latin letters, and words of nothing
/// but letters that look like Latin ones (Unicode Technical Standard 39, mixed-script and whole-script confusables).
fn posing(text: &str, max_chars: usize) -> BTreeSet<usize> {
    let mut places = BTreeSet::new();
    if text.is_ascii() {
        return places;
    }
    let mut word: Vec<(usize, char)> = Vec::new();
    let mut end_word = |word: &mut Vec<(usize, char)>| {
        let has_latin = word.iter().any(|(_, c)| c.is_ascii_alphabetic());
        let mut foreign = word.iter().filter(|(_, c)| is_foreign(*c));
        let all_alike =
            word.len() > 1 && foreign.clone().count() == word.len() && foreign.all(|(_, c)| ALIKE.contains(*c));
        if has_latin || all_alike {
            places.extend(word.iter().filter(|(_, c)| is_foreign(*c)).map(|(place, _)| *place));
        }
        word.clear();
    };
    for (place, c) in text.chars().take(max_chars).enumerate() {
        if c.is_alphabetic() { word.push((place, c)) } else { end_word(&mut word) }
    }
    end_word(&mut word);
    places
}

/// Whether a letter is of a script with letters that look like Latin ones: Greek, Cyrillic, Armenian, Cherokee, full width,
/// and letters for mathematics.
fn is_foreign(c: char) -> bool {
    matches!(u32::from(c), 0x370..=0x58f | 0x13a0..=0x13ff | 0x1d400..=0x1d7ff | 0xab70..=0xabbf | 0xff21..=0xff5a)
}

/// Letters of Greek and Cyrillic that look like Latin ones.
const ALIKE: &str = "АВЕЗІЈКМНОРСТУХЅԁԛԝасеорхуіјѕһΑΒΕΖΗΙΚΜΝΟΡΤΥΧανορικυ";

/// As [`safe_text`], for one line: line feeds become `␤` and tabs `␉`; these signs are escaped where the text itself
/// has them.
#[must_use]
pub fn safe_line(text: &str, max_chars: usize) -> String {
    let shown = safe_text(text, max_chars);
    if !shown.contains(['\n', '\t', '␤', '␉', '␠']) && !shown.contains(LONG_BLANK) {
        return shown;
    }
    let own = shown.replace('␤', "\\u{2424}").replace('␉', "\\u{2409}").replace('␠', "\\u{2420}");
    without_long_blanks(&own.replace('\n', "␤").replace('\t', "␉"))
}

/// JSON on several lines that can be copied: characters that could mislead a reader of a terminal are escaped in JSON
/// style.
#[must_use]
pub fn safe_json(value: &serde_json::Value) -> String {
    safe_json_text(&serde_json::to_string_pretty(value).unwrap_or_default())
}

/// The same JSON text, with characters that could mislead a reader of a terminal escaped in JSON style; line feeds stay.
#[must_use]
pub fn safe_json_text(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c != '\n' && misleads(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                // Writing to a string cannot fail.
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Number of blanks that could push text to the start of a new line of the screen.
const LONG_BLANK: &str = "     ";

/// A text with each long run of blanks replaced by its length.
fn without_long_blanks(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(LONG_BLANK) {
        let (before, blanks) = rest.split_at(at);
        let after = blanks.trim_start_matches(' ');
        let _ = write!(shown, "{before}␠×{}␠", blanks.len() - after.len());
        rest = after;
    }
    shown.push_str(rest);
    shown
}

/// Most characters of a quoted line; a longer one is broken, so that a narrow screen does not break it before the
/// margin.
const QUOTED_COLUMNS: usize = 72;

/// As [`safe_text`], each line behind a margin: text of several lines, or of one that fills several lines of the screen,
/// cannot pass for lines of the host.
#[must_use]
pub fn quoted_text(text: &str, max_chars: usize, margin: &str) -> String {
    let shown = safe_text(text, max_chars).replace('\t', "    ");
    let mut lines: Vec<String> = Vec::new();
    for line in shown.lines() {
        let mut rest: Vec<char> = line.chars().collect();
        while rest.len() > QUOTED_COLUMNS {
            // At a blank, where there is one.
            let blank = rest.iter().take(QUOTED_COLUMNS).rposition(|c| *c == ' ').filter(|at| *at > QUOTED_COLUMNS / 2);
            let tail = rest.split_off(blank.map_or(QUOTED_COLUMNS, |at| at + 1));
            lines.push(format!("{margin}{}", rest.iter().collect::<String>()));
            rest = tail;
        }
        lines.push(format!("{margin}{}", rest.iter().collect::<String>()));
    }
    lines.join("\n")
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
        // Khmer inherent vowels, Mongolian selectors, blank Braille, invisible marks of notes and shorthand.
        '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{2800}' | '\u{1bca0}'..='\u{1bca3}' => true,
        '\u{1d159}' | '\u{1d173}'..='\u{1d17a}' => true,
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
    fn letters_that_pass_for_latin_ones_are_marked() {
        for (text, shown) in [
            ("src/\u{430}pp.py", "src/\\u{430}pp.py"),
            ("g\u{456}t status", "g\\u{456}t status"),
            ("\u{441}\u{430}\u{440}", "\\u{441}\\u{430}\\u{440}"),
            ("p\u{ff41}ss", "p\\u{ff41}ss"),
        ] {
            assert_eq!(safe_text(text, 100), shown);
        }
        for text in ["привет, мир", "Ελληνικά", "naïve café", "日本語 ok", "Straße", "α + β"] {
            assert_eq!(safe_text(text, 100), text);
        }
    }

    #[test]
    fn amounts_in_words() {
        assert_eq!(usd(1_250_003), "$1.250003");
        assert_eq!(duration(999), "999 µs");
        assert_eq!(duration(1_500), "1.5 ms");
        assert_eq!(duration(61_000_000), "1 min 1 s");
    }

    #[test]
    fn escapes_what_misleads_and_keeps_the_rest() {
        assert_eq!(safe_line("\u{1b}[2Jok\r\u{202e}gpj.exe", 100), "\\u{1b}[2Jok\\u{d}\\u{202e}gpj.exe");
        assert_eq!(safe_text("a\tb\nä日本", 100), "a\tb\nä日本");
        assert_eq!(safe_line("a\nb", 100), "a␤b");
        assert_eq!(safe_line("a\\nb", 100), "a\\nb");
        assert_eq!(safe_line("a␤b", 100), "a\\u{2424}b");
        assert_eq!(safe_text("\\u{1b}", 100), "\\u{5c}u{1b}");
        assert_eq!(quoted_text("a\nb", 100, "| "), "| a\n| b");
        assert_eq!(quoted_text(&"x".repeat(100), 200, "| ").lines().count(), 2, "behind the margin, however long");
        let words = "word ".repeat(20);
        assert!(quoted_text(&words, 200, "| ").lines().all(|line| line.ends_with("word ")));
        assert_eq!(safe_line("a      b", 100), "a␠×6␠b");
        assert_eq!(safe_line("␠×6␠", 100), "\\u{2420}×6\\u{2420}");
        assert_eq!(safe_line("\u{2800}\u{17b4}", 100), "\\u{2800}\\u{17b4}");
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

        /// Texts that differ are displayed differently.
        #[test]
        fn what_is_shown_is_what_there_is(one in "[a\\\\nu{1b}␤\n\u{1b}]{0,6}", other in "[a\\\\nu{1b}␤\n\u{1b}]{0,6}") {
            prop_assert_eq!(one == other, safe_line(&one, 50) == safe_line(&other, 50));
        }
    }

    #[test]
    fn json_stays_json_and_hides_nothing() {
        let value =
            serde_json::json!({ "a": { "deep": ["\u{202e}evil", "\u{1b}[2J", "\u{e0001}", "plain      blanks"] } });
        let shown = safe_json(&value);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
        assert!(shown.contains("\\u202e") && shown.contains("plain      blanks"));
        assert!(!shown.contains(['\u{202e}', '\u{1b}', '\u{e0001}']), "{shown}");
    }
}
