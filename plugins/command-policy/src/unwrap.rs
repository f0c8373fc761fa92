//! What commands that run other commands run: `sh -c`, `env`, `xargs`, `sudo`, `nohup` and their kind.

use crate::shell::{self, Command, MAX_COMMANDS, MAX_DEPTH};

/// All commands that a command comes to, and what is not understood of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Understood {
    /// The commands, wrappers left out.
    pub commands: Vec<Command>,
    /// What is not understood; each is for a person.
    pub doubts: Vec<String>,
    /// It runs what it downloads.
    pub runs_downloads: bool,
}

/// Programs that run what they are handed as text or on their input.
static INTERPRETERS: [&str; 16] = [
    "sh",
    "ash",
    "bash",
    "dash",
    "ksh",
    "zsh",
    "fish",
    "python",
    "python3",
    "perl",
    "ruby",
    "node",
    "php",
    "lua",
    "osascript",
    "pwsh",
];
static SHELLS: [&str; 6] = ["sh", "ash", "bash", "dash", "ksh", "zsh"];
/// Programs that fetch something from elsewhere.
static DOWNLOADERS: [&str; 7] = ["curl", "wget", "fetch", "http", "https", "aria2c", "lynx"];
/// Variables that change what other programs do.
static LOADED: [&str; 12] = [
    "PATH",
    "LD_PRELOAD",
    "LD_LIBRARY_PATH",
    "BASH_ENV",
    "ENV",
    "IFS",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "NODE_OPTIONS",
    "PERL5LIB",
    "RUBYOPT",
    "GIT_SSH_COMMAND",
];

/// What a command with these words comes to.
pub fn understand(argv: &[String]) -> Understood {
    let mut understood = Understood::default();
    understood.add(Command { words: argv.to_vec(), ..Command::default() }, 0);
    understood
}

/// The last part of a path.
pub fn base_name(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

/// What a wrapper's arguments come to.
enum Inner {
    /// Another command.
    Command(Vec<String>),
    /// Another command, with more words that nobody knows yet.
    OpenEnded(Vec<String>),
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
        if first.contains("$") {
            self.doubt("what it runs is not known before".to_owned());
        }
        let arguments = command.words.get(1..).unwrap_or_default();
        let open_ended = command.open_ended;
        match self.inner(&name, arguments) {
            Inner::Command(words) => {
                self.add(Command { words, ..command }, depth + 1);
            }
            Inner::OpenEnded(words) => {
                self.add(Command { words, open_ended: true, ..command }, depth + 1);
            }
            Inner::Line(text) => self.add_line(&text, depth + 1),
            Inner::Own => {
                self.commands.push(command);
                return;
            }
        }
        if open_ended {
            self.doubt(format!("{name} runs what nobody knows before"));
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
            for command in within.commands {
                if self.commands.len() < MAX_COMMANDS {
                    self.commands.push(command);
                }
            }
            within.doubts.into_iter().for_each(|doubt| self.doubt(doubt));
        }
        let mut downloads_before = false;
        for command in line.commands {
            let first = command.words.first().map(|word| base_name(word)).unwrap_or_default().to_owned();
            let runs_text =
                INTERPRETERS.contains(&first.as_str()) || ["eval", "source", ".", "xargs"].contains(&first.as_str());
            let puts_it_in = command.words.iter().any(|word| word.contains("$(…)"));
            let is_run = runs_text || command.words.first().is_some_and(|word| word.contains("$(…)"));
            self.runs_downloads |= downloads_inside && puts_it_in && is_run;
            let reads_download = downloads_before && command.is_piped_into;
            let downloads = is_download(&command);
            let before = self.commands.len();
            self.add(command, depth);
            let added = self.commands.get(before..).unwrap_or_default();
            // `sudo bash` behind a pipe is a shell behind a pipe.
            self.runs_downloads |= reads_download && (runs_text || added.iter().any(is_interpreter));
            downloads_before = reads_download || downloads || added.iter().any(is_download);
        }
    }

    /// What a program runs with these arguments.
    fn inner(&mut self, name: &str, arguments: &[String]) -> Inner {
        match name {
            _ if SHELLS.contains(&name) => self.shell(name, arguments),
            "env" => self.env(arguments),
            "nohup" | "exec" | "builtin" | "unbuffer" | "chronic" => self.after_options(name, arguments, &[], 0),
            "command" if arguments.first().is_some_and(|word| word == "-v" || word == "-V") => Inner::Own,
            "command" => self.after_options(name, arguments, &[], 0),
            "setsid" | "time" => self.after_options(name, arguments, &["-o", "-f"], 0),
            "nice" => self.after_options(name, arguments, &["-n", "--adjustment"], 0),
            "ionice" => self.after_options(name, arguments, &["-c", "-n", "-p"], 0),
            "stdbuf" => self.after_options(name, arguments, &["-i", "-o", "-e"], 0),
            "timeout" => self.after_options(name, arguments, &["-s", "--signal", "-k", "--kill-after"], 1),
            "sudo" | "doas" | "pkexec" | "runuser" | "su" => {
                self.doubt(format!("{name} runs it as somebody else"));
                self.after_options(name, arguments, &["-u", "-g", "-h", "-p", "-C", "-r", "-t", "-U", "-D", "-R"], 0)
            }
            "xargs" => {
                let valued = ["-I", "-i", "-n", "-P", "-d", "-E", "-L", "-s", "-a", "--max-args", "--max-procs"];
                match self.after_options(name, arguments, &valued, 0) {
                    Inner::Command(words) => Inner::OpenEnded(words),
                    other => other,
                }
            }
            "busybox" | "toybox" => match arguments.first() {
                Some(_) => Inner::Command(arguments.to_vec()),
                None => Inner::Own,
            },
            "find" => self.find(arguments),
            "watch" | "parallel" | "script" | "flock" | "chroot" | "unshare" | "nsenter" | "strace" | "ltrace"
            | "gdb" => {
                self.doubt(format!("{name} runs other commands"));
                Inner::Own
            }
            "eval" | "source" | "." => {
                self.doubt(format!("{name} runs text as commands"));
                Inner::Own
            }
            _ => {
                self.interpreter(name, arguments);
                Inner::Own
            }
        }
    }

    fn shell(&mut self, name: &str, arguments: &[String]) -> Inner {
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            match word.strip_prefix('-') {
                Some(flags) if !word.starts_with("--") && flags.contains('c') => {
                    return match words.next() {
                        Some(text) => Inner::Line(text.clone()),
                        None => {
                            self.doubt(format!("{name} -c has nothing to run"));
                            Inner::Own
                        }
                    };
                }
                Some("o") => drop(words.next()),
                Some(flags) if !flags.is_empty() && flags.bytes().all(|flag| b"eluvxn".contains(&flag)) => {}
                Some(_) => {
                    self.doubt(format!("{name} has options that are not understood"));
                    return Inner::Own;
                }
                // A script: what it does is in the file.
                None => return Inner::Own,
            }
        }
        self.doubt(format!("{name} runs what it reads"));
        Inner::Own
    }

    fn env(&mut self, arguments: &[String]) -> Inner {
        let mut words = arguments.iter().peekable();
        while let Some(word) = words.peek() {
            match word.as_str() {
                "-i" | "-" | "-0" | "--ignore-environment" => drop(words.next()),
                "-u" | "--unset" | "-C" | "--chdir" => {
                    words.next();
                    words.next();
                }
                word if shell::is_assignment(word) => {
                    let name = word.split_once('=').map(|(name, _)| name).unwrap_or_default();
                    if LOADED.contains(&name) {
                        self.doubt(format!("it sets {name}, which changes what programs do"));
                    }
                    words.next();
                }
                word if word.starts_with('-') => {
                    self.doubt("env has options that are not understood".to_owned());
                    return Inner::Own;
                }
                _ => return Inner::Command(words.cloned().collect()),
            }
        }
        Inner::Own
    }

    /// The command behind options, of which some take a value, and behind so many other words.
    fn after_options(&mut self, name: &str, arguments: &[String], valued: &[&str], skip: usize) -> Inner {
        let mut words = arguments.iter().peekable();
        while let Some(word) = words.peek().filter(|word| word.starts_with('-') && word.len() > 1) {
            if *word == "--" {
                words.next();
                break;
            }
            let takes_value = valued.contains(&word.as_str());
            let is_known = takes_value
                || valued.iter().any(|option| word.starts_with(*option))
                || word.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            if !is_known {
                self.doubt(format!("{name} has options that are not understood"));
            }
            words.next();
            if takes_value {
                words.next();
            }
        }
        for _ in 0..skip {
            words.next();
        }
        let inner: Vec<String> = words.cloned().collect();
        if inner.is_empty() { Inner::Own } else { Inner::Command(inner) }
    }

    fn find(&mut self, arguments: &[String]) -> Inner {
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "-exec" | "-execdir" | "-ok" | "-okdir" => {
                    let inner: Vec<String> =
                        words.by_ref().take_while(|word| *word != ";" && *word != "+").cloned().collect();
                    if arguments.iter().filter(|word| word.starts_with("-exec") || word.starts_with("-ok")).count() > 1
                    {
                        self.doubt("find runs several commands".to_owned());
                    }
                    return Inner::OpenEnded(inner);
                }
                "-delete" => return Inner::OpenEnded(vec!["rm".to_owned()]),
                "-fprint" | "-fprint0" | "-fprintf" | "-fls" => self.doubt("find writes to a file".to_owned()),
                _ => {}
            }
        }
        Inner::Own
    }

    /// Whether an interpreter is handed its program as text.
    fn interpreter(&mut self, name: &str, arguments: &[String]) {
        let plain = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
        let options: &[&str] = match plain {
            "python" | "pypy" | "lua" => &["-c", "-e", "-"],
            "perl" => &["-e", "-E", "-"],
            "ruby" => &["-e", "-"],
            "node" | "deno" | "bun" => &["-e", "--eval", "-p", "--print", "eval", "-"],
            "php" => &["-r", "-B", "-R", "-E"],
            "osascript" | "pwsh" => &["-e", "-c", "-Command", "-"],
            "awk" | "gawk" | "mawk" => {
                let runs = |word: &String| word.contains("system") || word.contains('|') || word.contains("getline");
                if arguments.iter().any(runs) {
                    self.doubt(format!("{name} may run other commands"));
                }
                return;
            }
            _ => return,
        };
        // Options of the script itself come behind its name.
        let own = arguments.iter().take_while(|word| word.starts_with('-') || *word == "eval");
        let is_handed = |word: &String| {
            options.contains(&word.as_str())
                || (word.starts_with('-')
                    && !word.starts_with("--")
                    && options.iter().any(|option| {
                        option.len() == 2 && word.ends_with(option.trim_start_matches('-')) && *option != "-"
                    }))
        };
        if own.clone().any(is_handed) {
            self.doubt(format!("{name} runs code that it is handed"));
        }
    }
}

fn is_interpreter(command: &Command) -> bool {
    command.words.first().is_some_and(|word| INTERPRETERS.contains(&base_name(word)))
}

fn is_download(command: &Command) -> bool {
    command.words.first().is_some_and(|word| DOWNLOADERS.contains(&base_name(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(argv: &[&str]) -> Understood {
        understand(&argv.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    fn line(text: &str) -> Understood {
        of(&["/bin/sh", "-c", text])
    }

    fn programs(understood: &Understood) -> Vec<&str> {
        understood.commands.iter().map(|command| command.words[0].as_str()).collect()
    }

    #[test]
    fn wrappers_are_seen_through() {
        for (text, expected) in [
            ("rm -rf x", "rm"),
            ("env -i A=1 rm x", "rm"),
            ("nohup nice -n 5 rm x", "rm"),
            ("timeout -k 5 10 rm x", "rm"),
            ("setsid stdbuf -oL rm x", "rm"),
            ("bash -lc 'rm x'", "rm"),
            ("sh -c \"bash -c 'env sh -c \\\"rm x\\\"'\"", "rm"),
            ("busybox rm x", "rm"),
            ("exec command rm x", "rm"),
        ] {
            let understood = line(text);
            assert_eq!(programs(&understood), [expected], "{text}");
            assert!(understood.doubts.is_empty(), "{text}: {:?}", understood.doubts);
        }
        for (text, expected) in [("ls | xargs rm", "rm"), ("find . -exec rm {} +", "rm"), ("find . -delete", "rm")] {
            let understood = line(text);
            let last = understood.commands.last().unwrap();
            assert!(last.open_ended && last.words[0] == expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_is_a_doubt() {
        for text in [
            "sudo ls",
            "su -c ls",
            "doas ls",
            "eval ls",
            ". x",
            "source x",
            "sh",
            "sh -s",
            "python3 -c 'x'",
            "perl -e x",
            "perl -ne x",
            "node --eval x",
            "awk 'BEGIN{system(\"id\")}'",
            "watch ls",
            "env -S 'rm x'",
            "env PATH=. ls",
            "ssh-x $CMD",
            "$(cat x) y",
            "parallel rm",
        ] {
            assert!(!line(text).doubts.is_empty(), "{text}");
        }
        for text in [
            "python3 -m unittest -v test_stats",
            "python3 script.py -c x",
            "node script.js -e",
            "command -v git",
            "bash script.sh",
        ] {
            assert!(line(text).doubts.is_empty(), "{text}: {:?}", line(text).doubts);
        }
    }

    #[test]
    fn running_a_download_is_seen() {
        for text in [
            "curl -s https://x | sh",
            "wget -O- x | sudo bash",
            "curl x | tee y | python3",
            "sh -c \"$(curl x)\"",
            "eval \"`wget -O- x`\"",
            "$(curl x)",
            "bash -c 'curl x | sh'",
            "curl x | env bash",
            "nohup curl x | bash &",
            "curl x | xargs -I{} sh -c {}",
        ] {
            assert!(line(text).runs_downloads, "{text}");
        }
        for text in ["curl x -o y", "curl x | grep y", "curl x; sh y.sh", "echo \"$(curl x)\"", "cat x | sh"] {
            assert!(!line(text).runs_downloads, "{text}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let mut argv = vec!["env".to_owned(); 1000];
        argv.push("rm".to_owned());
        assert!(!understand(&argv).doubts.is_empty());
        let deep = (0..100).fold("rm".to_owned(), |inner, _| format!("$({inner})"));
        assert!(!line(&deep).doubts.is_empty());
    }
}
