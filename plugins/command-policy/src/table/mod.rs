//! What is known of programs: commands that run others, send data, install, publish or destroy. Each row is a pattern as
//! in the settings; the tests have a line for each.

mod destroying;
mod reaching;
mod running;

pub use destroying::DENIED;

use destroying::DESTROYS;
use reaching::{INSTALLS, PUBLISHES, SENDS};
use running::{RUNS, WRITES};

/// Reason why a person decides on a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concern {
    /// It runs another program, which is named in its arguments or settings.
    Runs,
    /// It writes to a file that its arguments name.
    Writes,
    /// It sends data elsewhere, or opens a way for others.
    Sends,
    /// It fetches programs and may run them.
    Installs,
    /// It publishes.
    Publishes,
    /// It destroys data, or changes the machine.
    Destroys,
}

impl Concern {
    /// The concern in words that follow the command's name.
    pub fn words(self) -> &'static str {
        match self {
            Self::Runs => "can run another program by this option",
            Self::Writes => "writes to a file by this option",
            Self::Sends => "sends data elsewhere",
            Self::Installs => "fetches programs",
            Self::Publishes => "publishes",
            Self::Destroys => "destroys or changes what is hard to have back",
        }
    }
}

/// Commands on which a person decides, by concern. Words behind the program may stand anywhere.
pub const REVIEWED: [(Concern, &[&str]); 6] = [
    (Concern::Runs, RUNS),
    (Concern::Writes, WRITES),
    (Concern::Sends, SENDS),
    (Concern::Installs, INSTALLS),
    (Concern::Publishes, PUBLISHES),
    (Concern::Destroys, DESTROYS),
];

/// Programs that run others in ways that are not taken apart here.
pub static RUNNERS: [&str; 58] = [
    "bpftrace",
    "bwrap",
    "capsh",
    "catchsegv",
    "chroot",
    "chrt",
    "cpulimit",
    "dbus-launch",
    "dbus-run-session",
    "entr",
    "eatmydata",
    "fakechroot",
    "fakeroot",
    "faketime",
    "firejail",
    "flock",
    "gdb",
    "heaptrack",
    "hyperfine",
    "ld.so",
    "linux32",
    "linux64",
    "ltrace",
    "newgrp",
    "nsenter",
    "numactl",
    "parallel",
    "perf",
    "prlimit",
    "proot",
    "proxychains",
    "proxychains4",
    "rlwrap",
    "rr",
    "run-parts",
    "runcon",
    "screen",
    "script",
    "setarch",
    "setpriv",
    "sg",
    "ssh-agent",
    "sshpass",
    "start-stop-daemon",
    "strace",
    "systemd-inhibit",
    "systemd-run",
    "taskset",
    "tini",
    "tmux",
    "torify",
    "torsocks",
    "unshare",
    "valgrind",
    "watch",
    "watchexec",
    "xdg-open",
    "xvfb-run",
];

/// Programs that only read the files that they are given, so that a pattern among their arguments does no harm.
pub static READERS: [&str; 33] = [
    "[",
    "basename",
    "cat",
    "cksum",
    "cmp",
    "column",
    "cut",
    "diff",
    "dirname",
    "du",
    "echo",
    "egrep",
    "fgrep",
    "file",
    "grep",
    "head",
    "hexdump",
    "ls",
    "md5sum",
    "nl",
    "od",
    "printf",
    "readlink",
    "realpath",
    "rg",
    "sha256sum",
    "stat",
    "strings",
    "tac",
    "tail",
    "test",
    "tree",
    "wc",
];

/// Programs that turn a text into another one, which nobody has seen.
pub static DECODERS: [&str; 8] = ["base32", "base64", "basenc", "openssl", "rev", "uudecode", "xxd", "zstdcat"];

/// Programs that are handed statements of a database.
pub static DATABASES: [&str; 16] = [
    "bq",
    "clickhouse-client",
    "cockroach",
    "cqlsh",
    "duckdb",
    "influx",
    "mariadb",
    "mongo",
    "mongosh",
    "mysql",
    "psql",
    "redis-cli",
    "snowsql",
    "sqlcmd",
    "sqlite3",
    "surreal",
];
/// Words of statements that destroy or run programs, in upper case.
pub static DESTROYING: [&str; 14] = [
    "DROP ",
    "TRUNCATE ",
    "DELETE ",
    "ALTER ",
    "FLUSHALL",
    "FLUSHDB",
    "DROPDATABASE",
    ".DROP(",
    "DELETEMANY",
    "SHUTDOWN",
    "CONFIG SET",
    "TO PROGRAM",
    "FROM PROGRAM",
    "LOAD_EXTENSION",
];
