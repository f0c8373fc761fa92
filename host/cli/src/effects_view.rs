//! Showing effects: facts of the host, with everything that others wrote escaped.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use fusebox::Effect;
use fusebox::core::effect::NamedFile;
use fusebox::core::show::{quoted_text, safe_line, safe_text};
use fusebox::core::{Contents, Digest};
use similar::{ChangeTag, TextDiff};

/// Longest line that is shown, in characters.
const MAX_LINE: usize = 400;
/// Longest text that is shown as a whole, in characters. A text that is cut is marked.
const MAX_TEXT: usize = 200_000;
/// Most lines of one diff.
const MAX_DIFF_LINES: usize = 2000;
/// Largest text that is compared, in bytes.
const MAX_DIFF_BYTES: usize = 1024 * 1024;
/// Time limit of a comparison; afterwards the difference is shown coarser than it is.
const DIFF_TIME: Duration = Duration::from_millis(200);
/// Unchanged lines around each change.
const CONTEXT_LINES: usize = 3;

const ADDED: Style = AnsiColor::Green.on_default();
const REMOVED: Style = AnsiColor::Red.on_default();
const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();

/// All effects of a step. `confinement` describes the confinement of its processes.
pub fn effects(effects: &[Effect], contents: &Contents, confinement: &str) -> String {
    let mut shown = String::new();
    for effect in effects {
        shown.push_str(&one(effect, contents, confinement));
    }
    if effects.is_empty() {
        shown.push_str("no effects\n");
    }
    shown
}

/// Description of an effect, in one line.
pub fn describe_effect(effect: &Effect) -> String {
    let line = |text: &str| safe_line(text, MAX_LINE);
    match effect {
        Effect::Read { path } => format!("reads {}", line(&path.to_string())),
        Effect::Write { path, before: None, size, .. } => {
            format!("creates {} ({size} bytes)", line(&path.to_string()))
        }
        Effect::Write { path, size, .. } => format!("changes {} ({size} bytes afterwards)", line(&path.to_string())),
        Effect::Remove { path, .. } => format!("removes {}", line(&path.to_string())),
        Effect::Run { argv, shell_text, cwd, .. } => {
            let place =
                if matches!(cwd.as_str(), "" | ".") { String::new() } else { format!(" in {}", line(cwd.as_str())) };
            match shell_text.as_deref().map(|text| (text, text.trim_end().split_once('\n'))) {
                None => format!("runs {}{place}", line(&quoted(argv))),
                Some((text, None)) => format!("runs the shell line {}{place}", line(text)),
                Some((_, Some((first, rest)))) => {
                    let lines = rest.lines().count() + 1;
                    format!("runs {lines} shell lines{place}, the first is {}", line(first))
                }
            }
        }
        Effect::Prompt { model, size, .. } => format!("sends {size} bytes to the model {}", line(model)),
        Effect::Net { method, host, port, path } => {
            format!("requests {} {}:{port}{}", line(method), line(host), line(path))
        }
        Effect::Tool { server, name, .. } => format!("calls the tool {} of {}", line(name), line(server)),
        Effect::Other { kind, .. } => format!("does something unknown: {}", line(kind)),
    }
}

/// Description of an effect, without any text that could be its secret.
pub fn describe_hidden(effect: &Effect) -> String {
    match effect {
        Effect::Write { .. } | Effect::Remove { .. } | Effect::Read { .. } | Effect::Prompt { .. } => {
            describe_effect(effect)
        }
        Effect::Run { program, .. } => {
            format!("runs {} with arguments that hold a secret, not shown", safe_line(program, MAX_LINE))
        }
        Effect::Net { .. } | Effect::Tool { .. } | Effect::Other { .. } => {
            format!("does something ({}) that holds a secret, not shown", effect.name())
        }
    }
}

fn one(effect: &Effect, contents: &Contents, confinement: &str) -> String {
    let mut shown = format!("{BOLD}{}{BOLD:#}\n", describe_effect(effect));
    // Writing to a string cannot fail.
    let _ = match effect {
        Effect::Write { before, after, .. } => {
            shown.push_str(&diff(before.as_ref(), after, contents));
            Ok(())
        }
        Effect::Run { argv, program, cwd, env_names, shell_text, files, .. } => {
            if let Some(text) = shell_text {
                let _ = writeln!(shown, "{}", quoted_text(text, MAX_TEXT, "  │ "));
            }
            let line = |text: &str| safe_line(text, MAX_LINE);
            let words = quoted(argv);
            let arguments = if words.chars().count() <= MAX_LINE {
                writeln!(shown, "  arguments   {}", line(&words))
            } else {
                // Each word of a long command stands alone, and as a whole.
                let words: Vec<String> = argv.iter().map(|word| quote(word)).collect();
                writeln!(shown, "  arguments\n{}", quoted_text(&words.join("\n"), MAX_TEXT, "  │ "))
            };
            let own = |file: &NamedFile| format!("{} ({})", line(&file.path.to_string()), short(&file.content));
            let files: BTreeSet<String> = files.iter().map(own).collect();
            let files = files.into_iter().collect::<Vec<_>>().join(", ");
            let place = if program.starts_with('/') { "" } else { ", of the workspace" };
            arguments
                .and_then(|()| writeln!(shown, "  program     {}{place}", line(program)))
                .and_then(|()| match &*files {
                    "" => Ok(()),
                    files => writeln!(shown, "  files       {}", safe_line(files, MAX_TEXT)),
                })
                .and_then(|()| writeln!(shown, "  folder      {}", line(&cwd.to_string())))
                .and_then(|()| writeln!(shown, "  environment {}", line(&env_names.join(" "))))
                .and_then(|()| writeln!(shown, "  confinement {}", safe_line(confinement, MAX_TEXT)))
        }
        Effect::Prompt { content, max_output_tokens, .. } => {
            let text = contents.get(content).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            let text = quoted_text(&text.unwrap_or_default(), MAX_TEXT, "  │ ");
            writeln!(shown, "  at most {max_output_tokens} tokens come back\n{text}")
        }
        Effect::Tool { input, .. } => writeln!(shown, "  input {}", safe_line(input.as_str(), 4000)),
        Effect::Other { data, .. } => writeln!(shown, "  data {}", safe_line(data.as_str(), 4000)),
        Effect::Read { .. } | Effect::Remove { .. } | Effect::Net { .. } => Ok(()),
    };
    shown
}

/// The first digits of a digest: enough to tell one version of a file from another.
fn short(digest: &Digest) -> String {
    digest.to_string().chars().take(12).collect()
}

/// Arguments as one could type them.
fn quoted(argv: &[String]) -> String {
    argv.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ")
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// The difference that a write makes, line by line.
fn diff(before: Option<&Digest>, after: &Digest, contents: &Contents) -> String {
    let text = |digest: &Digest| contents.get(digest).and_then(|bytes| std::str::from_utf8(bytes).ok());
    let old = before.map_or(Some(""), text);
    let (Some(old), Some(new)) = (old, text(after)) else {
        return format!("  {DIM}not text; its SHA-256 afterwards is {after}{DIM:#}\n");
    };
    let mut shown = String::new();
    let mut lines = 0_usize;
    if old.len().max(new.len()) > MAX_DIFF_BYTES {
        let (was, is) = (old.len(), new.len());
        return format!(
            "  {DIM}too large to compare: {was} bytes before, {is} bytes afterwards, SHA-256 {after}{DIM:#}\n"
        );
    }
    let diff = TextDiff::configure().timeout(DIFF_TIME).diff_lines(old, new);
    for (index, group) in diff.grouped_ops(CONTEXT_LINES).iter().enumerate() {
        if index > 0 {
            let _ = writeln!(shown, "  {DIM}⋯{DIM:#}");
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            lines += 1;
            if lines > MAX_DIFF_LINES {
                continue;
            }
            let (sign, style, number) = match change.tag() {
                ChangeTag::Delete => ('-', REMOVED, change.old_index()),
                ChangeTag::Insert => ('+', ADDED, change.new_index()),
                ChangeTag::Equal => (' ', DIM, change.new_index()),
            };
            let line = safe_text(change.value().trim_end_matches('\n'), MAX_LINE);
            let number = number.map(|number| (number + 1).to_string()).unwrap_or_default();
            let _ = writeln!(shown, "  {DIM}{number:>5}{DIM:#} {style}{sign} {line}{style:#}");
        }
    }
    if lines > MAX_DIFF_LINES {
        let _ = writeln!(shown, "  {BOLD}… {} more lines are not shown{BOLD:#}", lines - MAX_DIFF_LINES);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn a_change_is_shown_as_a_diff_and_cannot_hide() {
        let mut contents = Contents::default();
        let before = contents.insert("one\ntwo\nthree\n".into());
        let after = contents.insert("one\nt\u{1b}[8mwo\u{202e}\nthree\n".into());
        let path = "a\u{1b}]0;x.txt".parse().unwrap();
        let shown =
            plain(&one(&Effect::Write { path, before: Some(before), after, size: 20, obeyed: false }, &contents, ""));
        insta::assert_snapshot!(shown, @r"
        changes a\u{1b}]0;x.txt (20 bytes afterwards)
              1   one
              2 - two
              2 + t\u{1b}[8mwo\u{202e}
              3   three
        ");
    }

    #[test]
    fn a_command_is_shown_word_by_word() {
        let argv = ["rm", "-rf", "a b", "it's"].map(str::to_owned).to_vec();
        let effect = Effect::Run {
            argv,
            program: "/bin/rm".into(),
            cwd: "".parse().unwrap(),
            env_names: vec!["PATH".into()],
            environment: Digest::ZERO,
            shell_text: None,
            files: vec![],
        };
        let shown = plain(&one(&effect, &Contents::default(), "by namespaces"));
        insta::assert_snapshot!(shown, @r"
        runs rm -rf 'a b' 'it'\''s'
          arguments   rm -rf 'a b' 'it'\''s'
          program     /bin/rm
          folder      .
          environment PATH
          confinement by namespaces
        ");
    }

    #[test]
    fn a_long_diff_says_that_it_is_cut() {
        let mut contents = Contents::default();
        let after = contents.insert("x\n".repeat(2600).into());
        let shown = plain(&diff(None, &after, &contents));
        assert!(shown.ends_with("… 600 more lines are not shown\n"));
    }
}
