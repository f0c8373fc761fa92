//! Parsing of a shell line, as far as this is possible without running it.
//!
//! Only unambiguous syntax is understood: words, quotes, `;`, `&&`, `||`, `|`, `&` and redirections. Everything else is
//! a doubt, and a doubt is reviewed by a person.

/// Longest line that is read, in bytes.
pub const MAX_BYTES: usize = 64 * 1024;
/// Most commands of one line, those inside of others included.
pub const MAX_COMMANDS: usize = 256;
/// Greatest depth of commands inside of others.
pub const MAX_DEPTH: usize = 8;

/// Words that stand before or around commands.
pub static RESERVED: [&str; 20] = [
    "if", "then", "else", "elif", "fi", "for", "while", "until", "do", "done", "case", "esac", "in", "function", "{",
    "}", "!", "[[", "coproc", "select",
];

/// One command with its words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Command {
    /// Program and arguments; never empty.
    pub words: Vec<String>,
    /// More words follow that are unknown before it runs.
    pub open_ended: bool,
    /// It reads the output of the previous command.
    pub is_piped_into: bool,
    /// The shell fills in file names for a pattern among its words.
    pub has_pattern: bool,
    /// Text that it reads (`<<<`).
    pub input: Option<String>,
}

/// Commands and doubts of a line.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// Its commands, in order.
    pub commands: Vec<Command>,
    /// Parts that are not understood.
    pub doubts: Vec<String>,
    /// Lines inside of it, such as those of `$(…)`.
    pub inner: Vec<String>,
}

struct Reader<'a> {
    rest: std::str::Chars<'a>,
    line: Line,
    words: Vec<String>,
    word: Option<String>,
    /// The word holds a quote, so that it is no descriptor.
    is_quoted: bool,
    is_piped_into: bool,
    has_pattern: bool,
    input: Option<String>,
    /// The next word is where a redirection goes.
    redirects: Option<Direction>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    From,
    To,
    /// The word itself is read.
    Text,
}

/// Reads a line.
pub fn read(text: &str) -> Line {
    if text.len() > MAX_BYTES {
        return Line { doubts: vec!["it is too long to be read".into()], ..Line::default() };
    }
    let mut reader = Reader {
        rest: text.chars(),
        line: Line::default(),
        words: Vec::new(),
        word: None,
        is_quoted: false,
        is_piped_into: false,
        has_pattern: false,
        input: None,
        redirects: None,
    };
    reader.read();
    reader.line
}

impl Reader<'_> {
    fn read(&mut self) {
        while let Some(c) = self.rest.next() {
            match c {
                ' ' | '\t' => self.end_word(),
                '\n' | ';' => self.end_command(false),
                '&' => match self.peek() {
                    Some('>') => {
                        self.rest.next();
                        self.redirect(Direction::To);
                    }
                    next => {
                        if next == Some('&') {
                            self.rest.next();
                        }
                        self.end_command(false);
                    }
                },
                '|' => {
                    let next = self.peek();
                    if matches!(next, Some('|' | '&')) {
                        self.rest.next();
                    }
                    self.end_command(next != Some('|'));
                }
                '<' => self.redirect(Direction::From),
                '>' => self.redirect(Direction::To),
                '#' if self.word.is_none() => self.skip_line(),
                '\'' => self.single_quoted(),
                '"' => self.double_quoted(),
                '\\' => match self.rest.next() {
                    Some('\n') => {}
                    Some(next) => self.push(next),
                    None => self.doubt("it ends in a backslash"),
                },
                '$' => self.dollar(),
                '`' => self.backticks(),
                '(' | ')' => self.doubt("it holds a subshell or function"),
                '*' | '?' => self.pattern(c),
                '[' if self.closes_bracket() => self.pattern(c),
                // Only the start of a word stands for a home.
                '~' if self.word.is_none() => {
                    self.doubt("it names a home folder");
                    self.push(c);
                }
                '{' if self.is_expanded() => {
                    self.doubt("it holds braces that the shell fills in");
                    self.push(c);
                }
                other => self.push(other),
            }
        }
        self.end_command(false);
    }

    /// A character that stands for others. Names with a leading dot, which most patterns leave out, may be secret.
    fn pattern(&mut self, c: char) {
        let is_hidden = |word: &String| word.rsplit('/').next().is_some_and(|part| part.starts_with('.'));
        if self.word.as_ref().is_some_and(is_hidden) {
            self.doubt("it holds a pattern that the shell fills in with hidden files");
        }
        self.has_pattern = true;
        self.push(c);
    }

    /// Whether a bracket is closed in this word: `[` alone is a program.
    fn closes_bracket(&self) -> bool {
        let word = self.rest.clone().take_while(|c| !c.is_whitespace() && !";|&<>()'\"".contains(*c));
        word.into_iter().any(|c| c == ']')
    }

    /// Whether a brace begins a list or a range, `{a,b}` or `{1..3}`; another one is a character like others.
    fn is_expanded(&self) -> bool {
        let inside: String = self.rest.clone().take_while(|c| !c.is_whitespace() && !";|&<>()".contains(*c)).collect();
        inside.contains('}') && (inside.contains(',') || inside.contains(".."))
    }

    fn peek(&self) -> Option<char> {
        self.rest.clone().next()
    }

    fn push(&mut self, c: char) {
        self.word.get_or_insert_default().push(c);
    }

    fn doubt(&mut self, what: &str) {
        if self.line.doubts.len() < 16 && !self.line.doubts.iter().any(|known| known == what) {
            self.line.doubts.push(what.to_owned());
        }
    }

    fn end_word(&mut self) {
        let Some(word) = self.word.take() else { return };
        self.is_quoted = false;
        match self.redirects.take() {
            Some(Direction::To) if word != "/dev/null" && !is_descriptor(&word) => {
                self.doubt("it writes to a file by redirection");
            }
            Some(Direction::Text) => self.input = Some(word),
            Some(_) => {}
            None => self.words.push(word),
        }
    }

    /// Ends a command; `pipes` says whether the next one reads its output.
    fn end_command(&mut self, pipes: bool) {
        self.end_word();
        if self.redirects.take().is_some() {
            self.doubt("a redirection goes nowhere");
        }
        let words = std::mem::take(&mut self.words);
        let (has_pattern, input) = (std::mem::take(&mut self.has_pattern), self.input.take());
        let is_piped_into = std::mem::replace(&mut self.is_piped_into, pipes);
        let (sets_more, words) = split_assignments(words);
        if sets_more {
            self.doubt("it sets variables");
        }
        if words.first().is_some_and(|first| RESERVED.contains(&first.as_str())) {
            self.doubt("it holds a loop or condition");
        }
        // The words after them are a command all the same.
        let words: Vec<String> = words.into_iter().skip_while(|word| RESERVED.contains(&word.as_str())).collect();
        if words.is_empty() {
            self.is_piped_into = is_piped_into || pipes;
            return;
        }
        if self.line.commands.len() == MAX_COMMANDS {
            self.doubt("it holds too many commands");
            return;
        }
        self.line.commands.push(Command { words, open_ended: false, is_piped_into, has_pattern, input });
    }

    fn redirect(&mut self, direction: Direction) {
        // A number right before it is a descriptor, no word.
        if !self.is_quoted && self.word.as_deref().is_some_and(|word| word.bytes().all(|byte| byte.is_ascii_digit())) {
            self.word = None;
        }
        self.end_word();
        match self.peek() {
            Some('<') if direction == Direction::From => {
                self.doubt("it holds a here-document");
                self.rest.next();
                if self.peek() == Some('<') {
                    self.rest.next();
                    self.redirects = Some(Direction::Text);
                    return;
                }
            }
            Some('>' | '|') if direction == Direction::To => {
                self.rest.next();
            }
            Some('>') => {
                self.doubt("it opens a file for reading and writing");
                self.rest.next();
            }
            Some('(') => {
                self.doubt("it reads from or writes to a process");
                self.rest.next();
                let inner = self.parenthesised();
                self.inside(inner);
                return;
            }
            Some('&') => {
                self.rest.next();
                self.push('&');
            }
            _ => {}
        }
        self.redirects = Some(direction);
    }

    fn skip_line(&mut self) {
        while let Some(c) = self.peek() {
            if c == '\n' {
                return;
            }
            self.rest.next();
        }
    }

    fn single_quoted(&mut self) {
        self.is_quoted = true;
        self.word.get_or_insert_default();
        loop {
            match self.rest.next() {
                Some('\'') => return,
                Some(c) => self.push(c),
                None => return self.doubt("a quote is not closed"),
            }
        }
    }

    fn double_quoted(&mut self) {
        self.is_quoted = true;
        self.word.get_or_insert_default();
        loop {
            match self.rest.next() {
                Some('"') => return,
                Some('\\') => match self.rest.next() {
                    Some(c @ ('"' | '\\' | '$' | '`')) => self.push(c),
                    Some('\n') => {}
                    Some(c) => {
                        self.push('\\');
                        self.push(c);
                    }
                    None => return self.doubt("a quote is not closed"),
                },
                Some('$') => self.dollar(),
                Some('`') => self.backticks(),
                Some(c) => self.push(c),
                None => return self.doubt("a quote is not closed"),
            }
        }
    }

    fn dollar(&mut self) {
        match self.peek() {
            Some('(') => {
                self.doubt("it puts in what another command writes");
                self.rest.next();
                let inner = self.parenthesised();
                self.inside(inner);
            }
            Some(c) if c.is_ascii_alphanumeric() || "_{@*#?$!-'\"".contains(c) => {
                self.doubt("it puts in a variable");
                self.push('$');
            }
            _ => self.push('$'),
        }
    }

    /// The text up to the parenthesis that closes this one.
    fn parenthesised(&mut self) -> String {
        let mut inner = String::new();
        let mut depth = 1;
        for c in self.rest.by_ref() {
            depth += i32::from(c == '(') - i32::from(c == ')');
            if depth == 0 {
                break;
            }
            inner.push(c);
        }
        inner
    }

    fn backticks(&mut self) {
        self.doubt("it puts in what another command writes");
        let inner: String = self.rest.by_ref().take_while(|c| *c != '`').collect();
        self.inside(inner);
    }

    /// Keeps a line inside of this one, with a mark where its output goes.
    fn inside(&mut self, inner: String) {
        self.word.get_or_insert_default().push_str("$(…)");
        if self.line.inner.len() < MAX_COMMANDS {
            self.line.inner.push(inner);
        }
    }
}

fn is_descriptor(word: &str) -> bool {
    word.strip_prefix('&')
        .is_some_and(|rest| rest == "-" || (!rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit())))
}

/// Variables that say how much a program tells, and in which form; none of them names what is run, loaded or written.
static TELLING: [&str; 24] = [
    "CARGO_INCREMENTAL",
    "CARGO_TERM_COLOR",
    "CI",
    "CLICOLOR",
    "COLUMNS",
    "DEBUG",
    "FORCE_COLOR",
    "LANG",
    "LC_ALL",
    "LINES",
    "LOG_LEVEL",
    "NODE_ENV",
    "NO_COLOR",
    "PORT",
    "PROPTEST_CASES",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONUNBUFFERED",
    "RAILS_ENV",
    "RUST_BACKTRACE",
    "RUST_LOG",
    "TERM",
    "TZ",
    "VERBOSE",
    "V",
];

/// Whether leading words set variables that can change what is run, and the words behind them.
fn split_assignments(words: Vec<String>) -> (bool, Vec<String>) {
    let sets: Vec<&String> = words.iter().take_while(|word| is_assignment(word)).collect();
    // Without a command behind them, they are of the shell, and count for all that follows.
    let is_alone = sets.len() == words.len();
    let tells = |word: &&String| word.split_once('=').is_some_and(|(name, _)| TELLING.contains(&name));
    let sets_more = !sets.iter().all(tells) || (is_alone && !sets.is_empty());
    let count = sets.len();
    (sets_more, words.into_iter().skip(count).collect())
}

/// Whether a word is `NAME=value`.
pub fn is_assignment(word: &str) -> bool {
    let Some((name, _)) = word.split_once('=') else { return false };
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Vec<String>> {
        read(text).commands.into_iter().map(|command| command.words).collect()
    }

    #[test]
    fn plain_lines_are_understood() {
        for (text, expected) in [
            ("git status", vec![vec!["git", "status"]]),
            ("a && b || c; d\ne & f", vec![vec!["a"], vec!["b"], vec!["c"], vec!["d"], vec!["e"], vec!["f"]]),
            (r#"echo 'a b' "c d" e\ f"g""#, vec![vec!["echo", "a b", "c d", "e fg"]]),
            ("cargo test 2>&1 | grep -v ok > /dev/null", vec![vec!["cargo", "test"], vec!["grep", "-v", "ok"]]),
            ("sort < in 2>/dev/null # comment; rm", vec![vec!["sort"]]),
            ("echo {} a{ && x", vec![vec!["echo", "{}", "a{"], vec!["x"]]),
            ("echo ''", vec![vec!["echo", ""]]),
            ("make '1'>/dev/null", vec![vec!["make", "1"]]),
            ("RUST_BACKTRACE=1 NO_COLOR=1 cargo test", vec![vec!["cargo", "test"]]),
            ("if a; then ! b; fi", vec![vec!["a"], vec!["b"]]),
            ("curl x | { sh; }", vec![vec!["curl", "x"], vec!["sh"]]),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
        assert!(read("a && b | c; CI=1 d > /dev/null 2>&1").doubts.is_empty());
        let piped: Vec<bool> = read("a | b || c").commands.iter().map(|command| command.is_piped_into).collect();
        assert_eq!(piped, [false, true, false]);
    }

    #[test]
    fn everything_else_is_a_doubt() {
        for text in [
            "echo $HOME",
            "echo \"$x\"",
            "echo $(id)",
            "echo `id`",
            "(a; b)",
            "f() { a; }",
            "ls ~",
            "a > out",
            "a >> out",
            "a &> out",
            "a >| out",
            "a << EOF",
            "X=1 a",
            "LD_PRELOAD=x a",
            "CI=1 PATH=. a",
            "CI=1",
            "if a; then b; fi",
            "for i in a; do b; done",
            "! a",
            "echo 'open",
            "echo \"open",
            "a \\",
            "cat <(b)",
            "echo {a,b}",
            "a <> f",
            "a >",
            "[[ -f x ]]",
            "echo ${x}",
        ] {
            assert!(!read(text).doubts.is_empty(), "{text}");
        }
        assert_eq!(read("x $(curl a | sh)").inner, ["curl a | sh"]);
        assert_eq!(read("x \"`curl a`\"").inner, ["curl a"]);
    }

    #[test]
    fn reading_is_bounded() {
        assert!(!read(&"a;".repeat(1000)).doubts.is_empty());
        assert_eq!(read(&"a;".repeat(1000)).commands.len(), MAX_COMMANDS);
        assert!(!read(&"a".repeat(MAX_BYTES + 1)).doubts.is_empty());
        for text in ["$(".repeat(30_000), "`".repeat(60_000), "'".repeat(60_001), "\"$(".repeat(20_000)] {
            let _ = read(&text);
        }
    }
}
