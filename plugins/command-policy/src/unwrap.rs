//! Inner commands of commands that run others: `sh -c`, `env`, `xargs`, `sudo`, `nohup` and similar ones.

#[path = "unwrap/sed.rs"]
mod sed;

use crate::shell::{self, Command, MAX_COMMANDS, MAX_DEPTH};
use crate::table::{DATABASES, DECODERS, DESTROYING, READERS, RUNNERS};

/// All commands that a command runs, and its parts that are not understood.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Understood {
    /// The commands, wrappers left out.
    pub commands: Vec<Command>,
    /// Parts that are not understood; each is reviewed by a person.
    pub doubts: Vec<String>,
    /// It runs its own downloads.
    pub runs_downloads: bool,
    /// It runs what it decodes.
    pub runs_decoded: bool,
}

/// Programs that run code from their arguments or their input, without their version numbers.
static INTERPRETERS: [&str; 18] = [
    "sh", "ash", "bash", "dash", "ksh", "mksh", "rbash", "zsh", "fish", "csh", "tcsh", "python", "perl", "ruby",
    "node", "php", "lua", "pwsh",
];
static SHELLS: [&str; 11] = ["sh", "ash", "bash", "dash", "ksh", "mksh", "rbash", "zsh", "fish", "csh", "tcsh"];
/// Shells with other languages; their lines are parsed all the same, for denied commands.
static OTHER_SHELLS: [&str; 3] = ["fish", "csh", "tcsh"];
/// Programs that fetch something from elsewhere.
static DOWNLOADERS: [&str; 7] = ["curl", "wget", "fetch", "http", "https", "aria2c", "lynx"];
/// Folders of programs that came with the system: a wrapper elsewhere is another program of that name.
static SYSTEM_FOLDERS: [&str; 7] =
    ["/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/", "/usr/local/bin/", "/usr/local/sbin/", "/opt/homebrew/bin/"];
/// Words of a shell that change the meaning of later words.
static CHANGING: [&str; 13] = [
    "alias", "unalias", "trap", "export", "declare", "typeset", "local", "readonly", "set", "shopt", "enable", "hash",
    "bind",
];
/// Commands that a command with these words runs.
pub fn understand(argv: &[String]) -> Understood {
    let mut understood = Understood::default();
    understood.add(Command { words: argv.to_vec(), ..Command::default() }, 0);
    understood
}

/// The last part of a path.
pub fn base_name(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

/// Inner command of a wrapper's arguments.
enum Inner {
    /// Another command.
    Command(Vec<String>),
    /// Another command, with more words that are unknown before it runs.
    OpenEnded(Vec<String>),
    /// Several commands, with more words that are unknown before they run.
    Several(Vec<Vec<String>>),
    /// A shell line.
    Line(String),
    /// Nothing: it is a command of its own.
    Own,
}

impl Understood {
    fn doubt(&mut self, what: String) {
        if self.doubts.len() < 16 && !self.doubts.contains(&what) {
            self.doubts.push(what);
        }
    }

    fn add(&mut self, command: Command, depth: usize) {
        if depth > MAX_DEPTH || self.commands.len() >= MAX_COMMANDS {
            return self.doubt("it runs commands inside of commands, too deep or too many".to_owned());
        }
        let Some(first) = command.words.first() else { return };
        let name = base_name(first).to_owned();
        if name.is_empty() {
            return self.doubt("a command has no name".to_owned());
        }
        if first.contains('$') || command.has_pattern && first.contains(['*', '?', '[']) {
            self.doubt("what it runs is not known before".to_owned());
        }
        if first.starts_with("/proc/") {
            self.doubt("it runs a program by a path of the kernel".to_owned());
        }
        if shell::RESERVED.contains(&first.as_str()) || CHANGING.contains(&first.as_str()) {
            self.doubt(format!("{name} changes what other words mean"));
        }
        let is_of_the_system =
            !first.contains('/') || SYSTEM_FOLDERS.iter().any(|folder| first.strip_prefix(folder) == Some(&name));
        let arguments = command.words.get(1..).unwrap_or_default();
        if command.has_pattern && !(READERS.contains(&&*name) && is_of_the_system) {
            self.doubt("it holds a pattern that the shell fills in".to_owned());
        }
        let inner = match &command.input {
            // `sh <<< 'line'` runs the line.
            Some(text) if SHELLS.contains(&&*name) => Inner::Line(text.clone()),
            _ => self.inner(&name, arguments),
        };
        if !matches!(inner, Inner::Own) && !is_of_the_system {
            self.doubt(format!("{name} is not the one that came with the system"));
        }
        if !matches!(inner, Inner::Own) && command.open_ended {
            self.doubt(format!("{name} runs a command that is unknown beforehand"));
        }
        match inner {
            Inner::Command(words) => self.add(Command { words, ..command }, depth + 1),
            Inner::OpenEnded(words) => self.add(Command { words, open_ended: true, ..command }, depth + 1),
            Inner::Several(all) => {
                for words in all {
                    self.add(Command { words, open_ended: true, ..command.clone() }, depth + 1);
                }
            }
            Inner::Line(text) => self.add_line(&text, depth + 1),
            Inner::Own => self.commands.push(command),
        }
    }

    fn add_line(&mut self, text: &str, depth: usize) {
        if depth > MAX_DEPTH {
            return self.doubt("it runs commands inside of commands, too deep or too many".to_owned());
        }
        let line = shell::read(text);
        for doubt in line.doubts {
            self.doubt(doubt);
        }
        let mut downloads_inside = false;
        for inner in &line.inner {
            let mut within = Self::default();
            within.add_line(inner, depth + 1);
            downloads_inside |= within.commands.iter().any(is_download);
            self.runs_downloads |= within.runs_downloads;
            self.runs_decoded |= within.runs_decoded;
            for command in within.commands {
                if self.commands.len() < MAX_COMMANDS {
                    self.commands.push(command);
                }
            }
            within.doubts.into_iter().for_each(|doubt| self.doubt(doubt));
        }
        let (mut downloads_before, mut decodes_before) = (false, false);
        for command in line.commands {
            let first = command.words.first().map(|word| base_name(word)).unwrap_or_default().to_owned();
            let runs_text = INTERPRETERS.contains(&plain_name(&first))
                || ["eval", "source", ".", "xargs"].contains(&first.as_str());
            let puts_it_in = command.words.iter().chain(&command.input).any(|word| word.contains("$(…)"));
            let is_run = runs_text || command.words.first().is_some_and(|word| word.contains("$(…)"));
            self.runs_downloads |= downloads_inside && puts_it_in && is_run;
            let reads_download = downloads_before && command.is_piped_into;
            let reads_decoded = decodes_before && command.is_piped_into;
            let (downloads, decodes) = (is_download(&command), is_decoder(&command));
            let before = self.commands.len();
            self.add(command, depth);
            let added = self.commands.get(before..).unwrap_or_default();
            // `sudo bash` behind a pipe is a shell behind a pipe.
            let runs_input = runs_text || added.iter().any(is_interpreter);
            self.runs_downloads |= reads_download && runs_input;
            self.runs_decoded |= reads_decoded && runs_input;
            downloads_before = reads_download || downloads || added.iter().any(is_download);
            decodes_before = reads_decoded || decodes || added.iter().any(is_decoder);
        }
    }

    /// Inner command of a program with these arguments.
    fn inner(&mut self, name: &str, arguments: &[String]) -> Inner {
        match name {
            _ if SHELLS.contains(&name) => self.shell(name, arguments),
            "env" => self.env(arguments),
            "nohup" | "builtin" | "unbuffer" | "chronic" | "setsid" => {
                self.after_options(name, arguments, Options::default())
            }
            "exec" => self.after_options(
                name,
                arguments,
                Options { flags: &["-c", "-l"], valued: &["-a"], ..Options::default() },
            ),
            "command" if arguments.first().is_some_and(|word| word == "-v" || word == "-V") => Inner::Own,
            "command" | "time" => self.after_options(name, arguments, Options { flags: &["-p"], ..Options::default() }),
            "nice" => {
                let options =
                    Options { valued: &["-n", "--adjustment"], joined: &["-n", "--adjustment="], ..Options::default() };
                self.after_options(name, arguments, options)
            }
            "ionice" => {
                let joined = &["-c", "-n", "--class=", "--classdata="];
                let options = Options {
                    flags: &["-t"],
                    valued: &["-c", "-n", "--class", "--classdata"],
                    joined,
                    ..Options::default()
                };
                self.after_options(name, arguments, options)
            }
            "stdbuf" => {
                let joined = &["-i", "-o", "-e", "--input=", "--output=", "--error="];
                let valued = &["-i", "-o", "-e", "--input", "--output", "--error"];
                self.after_options(name, arguments, Options { valued, joined, ..Options::default() })
            }
            "timeout" => {
                let flags = &["--foreground", "--preserve-status", "-v", "--verbose"];
                let joined = &["-s", "-k", "--signal=", "--kill-after="];
                let valued = &["-s", "--signal", "-k", "--kill-after"];
                self.after_options(name, arguments, Options { flags, valued, joined, skip: 1 })
            }
            "sudo" | "doas" | "pkexec" | "runuser" | "su" => {
                self.doubt(format!("{name} runs it as another user"));
                let flags = &["-n", "-E", "-H", "-S", "-k", "-b", "-A", "-i", "-s"];
                let valued = &["-u", "-g", "-h", "-p", "-C", "-r", "-t", "-U", "-D", "-R", "-c"];
                self.after_options(name, arguments, Options { flags, valued, ..Options::default() })
            }
            "xargs" => {
                let flags = &["-0", "-r", "-t", "-x", "-i", "-e", "-l", "--null", "--no-run-if-empty", "--verbose"];
                let valued =
                    &["-I", "-n", "-P", "-d", "-E", "-L", "-s", "-a", "--max-args", "--max-procs", "--max-chars"];
                let joined =
                    &["-I", "-n", "-P", "-d", "-E", "-L", "-s", "-i", "-e", "-l", "--max-args=", "--max-procs="];
                match self.after_options(name, arguments, Options { flags, valued, joined, skip: 0 }) {
                    Inner::Command(words) => Inner::OpenEnded(words),
                    other => other,
                }
            }
            "busybox" | "toybox" if !arguments.is_empty() => Inner::Command(arguments.to_vec()),
            "find" => self.find(arguments),
            _ if RUNNERS.contains(&name) || name.starts_with("ld-linux") || name.starts_with("ld-musl") => {
                self.doubt(format!("{name} runs other commands"));
                Inner::Own
            }
            "eval" => {
                self.doubt(format!("{name} runs text as commands"));
                if arguments.is_empty() { Inner::Own } else { Inner::Line(arguments.join(" ")) }
            }
            "source" | "." => {
                self.doubt(format!("{name} runs text as commands"));
                Inner::Own
            }
            "sed" => {
                sed::doubts(arguments).into_iter().for_each(|doubt| self.doubt(doubt.to_owned()));
                Inner::Own
            }
            "git" if arguments.first().is_some_and(|word| word == "config") => {
                let reads = |word: &String| {
                    ["--get", "--list", "-l", "--show-origin", "--show-scope", "get", "list"]
                        .iter()
                        .any(|option| word == option || word.starts_with("--get"))
                };
                let names = arguments.iter().skip(1).filter(|word| !word.starts_with('-')).count();
                if !arguments.iter().any(reads) && (names != 1 || arguments.iter().any(|word| word == "--edit")) {
                    self.doubt("git config changes settings, which may name commands".to_owned());
                }
                Inner::Own
            }
            _ if DATABASES.contains(&name) => {
                let destroys = |word: &String| {
                    let word = word.to_uppercase();
                    DESTROYING.iter().any(|text| word.contains(text))
                };
                if arguments.iter().any(destroys) {
                    self.doubt(format!("{name} is handed a statement that destroys, or runs a program"));
                }
                Inner::Own
            }
            "git" => {
                let handed = |word: &&String| {
                    ["-c", "--config-env", "--exec-path"].iter().any(|option| word.starts_with(option))
                };
                if arguments
                    .iter()
                    .take_while(|word| word.starts_with('-') || word.contains('='))
                    .any(|word| handed(&word))
                {
                    self.doubt("git is handed settings, which may name commands".to_owned());
                }
                Inner::Own
            }
            _ => {
                self.interpreter(name, arguments);
                Inner::Own
            }
        }
    }

    /// Line for a shell after `-c`: the first word that is not an option, wherever `-c` stands among the options.
    fn shell(&mut self, name: &str, arguments: &[String]) -> Inner {
        if OTHER_SHELLS.contains(&name) {
            self.doubt(format!("{name} has a language of its own"));
        }
        let mut words = arguments.iter().peekable();
        let mut is_line = false;
        while let Some(word) = words.next_if(|word| word.len() > 1 && (word.starts_with('-') || word.starts_with('+')))
        {
            if word == "--" {
                break;
            }
            if word.starts_with("--") {
                self.doubt(format!("{name} has options that are not understood"));
                continue;
            }
            let flags = word.get(1..).unwrap_or_default();
            is_line |= word.starts_with('-') && flags.contains('c');
            if flags.contains('s') {
                self.doubt(format!("{name} runs what it reads"));
            }
            if !flags.bytes().all(|flag| b"abcefhiklmnopstuvxCDEHPT".contains(&flag)) {
                self.doubt(format!("{name} has options that are not understood"));
            }
            if flags.ends_with('o') || flags.ends_with('O') {
                words.next();
            }
        }
        match (words.next(), is_line) {
            (Some(text), true) => Inner::Line(text.clone()),
            // A script: its commands are in the file.
            (Some(_), false) => Inner::Own,
            (None, _) => {
                self.doubt(format!("{name} runs what it reads"));
                Inner::Own
            }
        }
    }

    fn env(&mut self, arguments: &[String]) -> Inner {
        let mut words = arguments.iter().peekable();
        while let Some(word) = words.peek() {
            match word.as_str() {
                "-i" | "-" | "-0" | "--ignore-environment" => drop(words.next()),
                "-S" | "--split-string" => {
                    self.doubt("env splits a text into a command".to_owned());
                    words.next();
                    let line: Vec<String> = words.cloned().collect();
                    return Inner::Line(line.join(" "));
                }
                word if word.starts_with("-S") || word.starts_with("--split-string=") => {
                    self.doubt("env splits a text into a command".to_owned());
                    let text = word.trim_start_matches("--split-string=").trim_start_matches("-S");
                    return Inner::Line(text.to_owned());
                }
                "-u" | "--unset" => {
                    words.next();
                    words.next();
                }
                "--" => drop(words.next()),
                word if shell::is_assignment(word) => {
                    self.doubt("it sets variables, which change what programs do".to_owned());
                    words.next();
                }
                word if word.starts_with('-') => {
                    self.doubt("env has options that are not understood".to_owned());
                    words.next();
                }
                _ => return Inner::Command(words.cloned().collect()),
            }
        }
        Inner::Own
    }

    /// The command behind a wrapper's options. An option that is not known is a doubt.
    fn after_options(&mut self, name: &str, arguments: &[String], options: Options<'_>) -> Inner {
        let mut words = arguments.iter().peekable();
        while let Some(word) = words.next_if(|word| word.starts_with('-') && word.len() > 1) {
            if word == "--" {
                break;
            }
            let is_numeric = word.bytes().skip(1).all(|byte| byte.is_ascii_digit());
            if options.valued.contains(&word.as_str()) {
                words.next();
            } else if !(options.flags.contains(&word.as_str())
                || options.joined.iter().any(|option| word.starts_with(*option))
                || (name == "nice" && is_numeric))
            {
                self.doubt(format!("{name} has options that are not understood"));
            }
        }
        for _ in 0..options.skip {
            words.next();
        }
        let inner: Vec<String> = words.cloned().collect();
        if inner.is_empty() { Inner::Own } else { Inner::Command(inner) }
    }

    fn find(&mut self, arguments: &[String]) -> Inner {
        let starts: Vec<String> =
            arguments.iter().take_while(|word| !word.starts_with(['-', '(', '!'])).cloned().collect();
        // What is found below another place than this folder is named by that place.
        let removed = || -> Vec<String> {
            let places = starts.iter().filter(|start| !matches!(start.as_str(), "." | "./")).cloned();
            ["rm".to_owned(), "-r".to_owned()].into_iter().chain(places).collect()
        };
        let mut words = arguments.iter();
        let mut all = Vec::new();
        while let Some(word) = words.next() {
            match word.as_str() {
                "-exec" | "-execdir" | "-ok" | "-okdir" => {
                    let inner: Vec<String> =
                        words.by_ref().take_while(|word| *word != ";" && *word != "+").cloned().collect();
                    if inner.first().is_some_and(|program| base_name(program) == "rm") {
                        all.push(removed());
                    }
                    all.push(inner);
                }
                "-delete" => all.push(removed()),
                "-fprint" | "-fprint0" | "-fprintf" | "-fls" => self.doubt("find writes to a file".to_owned()),
                _ => {}
            }
        }
        if all.is_empty() { Inner::Own } else { Inner::Several(all) }
    }

    /// Whether an interpreter is handed its program as text, or reads it.
    fn interpreter(&mut self, name: &str, arguments: &[String]) {
        // Options that hand over code, and those that take a value which is no code.
        let (code, valued): (&[&str], &[&str]) = match plain_name(name) {
            "python" | "pypy" => (&["-c"], &["-X", "-W"]),
            "perl" => (&["-e", "-E"], &["-I", "-M"]),
            "ruby" => (&["-e"], &["-I", "-r"]),
            "node" | "deno" | "bun" => (&["-e", "-p", "--eval", "--print", "eval"], &["-r", "--require"]),
            "php" => (&["-r", "-B", "-R", "-E"], &["-d", "-c"]),
            "lua" => (&["-e"], &["-l"]),
            "osascript" => (&["-e"], &[]),
            "pwsh" => (&["-c", "-Command", "-EncodedCommand"], &[]),
            "awk" | "gawk" | "mawk" => {
                let runs = |word: &String| word.contains("system") || word.contains('|') || word.contains("getline");
                if arguments.iter().any(runs) {
                    self.doubt(format!("{name} may run other commands"));
                }
                return;
            }
            _ => return,
        };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let hands_over = code.iter().any(|option| {
                let is_short = option.len() == 2 && option.starts_with('-') && !word.starts_with("--");
                let in_cluster = is_short && word.starts_with('-') && word.contains(option.trim_start_matches('-'));
                word == option || in_cluster || word.starts_with(&format!("{option}="))
            });
            match word.as_str() {
                "-m" if plain_name(name) == "python" => return,
                "--version" | "-V" | "-v" | "--help" | "-h" => return,
                word if valued.contains(&word) => drop(words.next()),
                _ if hands_over => return self.doubt(format!("{name} runs code that it is handed")),
                word if word.starts_with('-') && word.len() > 1 => {}
                // A script: its commands are in the file.
                word if word != "-" => return,
                _ => break,
            }
        }
        self.doubt(format!("{name} runs what it reads"));
    }
}

/// Options of a wrapper.
#[derive(Default)]
struct Options<'a> {
    /// Those without a value.
    flags: &'a [&'a str],
    /// Those whose value is the next word.
    valued: &'a [&'a str],
    /// Those whose value is joined to them.
    joined: &'a [&'a str],
    /// Words behind the options that are no command.
    skip: usize,
}

/// A program's name without its version: `python3.12` is `python`.
fn plain_name(name: &str) -> &str {
    name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.')
}

fn is_decoder(command: &Command) -> bool {
    command.words.first().is_some_and(|word| DECODERS.contains(&base_name(word)))
}

fn is_interpreter(command: &Command) -> bool {
    command.words.first().is_some_and(|word| INTERPRETERS.contains(&plain_name(base_name(word))))
}

fn is_download(command: &Command) -> bool {
    command.words.first().is_some_and(|word| DOWNLOADERS.contains(&base_name(word)))
}

#[cfg(test)]
#[path = "unwrap/tests.rs"]
mod tests;
