//! Printing. The reader may close the pipe, as `head` does; the command's work does not depend on it.

use std::io::{BufWriter, IsTerminal as _, Write};
use std::path::Path;

use fusebox::core::show::{safe_json_text, safe_line, safe_text};
use fusebox::core::{LogLine, PluginLog};
use fusebox::{Error, EventUpdate};
use parking_lot::Mutex;
use serde::Serialize;

use crate::output::{Output, StoredEvent};

/// Longest line of a plugin's log that is shown, in characters.
const MAX_LOG_CHARS: usize = 2000;
/// Longest line of a usage error, in characters.
const MAX_USAGE_CHARS: usize = 1000;

/// A line on standard output, with colours where it is a terminal.
pub fn out(line: &str) {
    noted(writeln!(anstream::stdout(), "{line}"));
}

/// Text on standard error, with colours where it is a terminal.
pub fn err(text: &str) {
    let mut stderr = anstream::stderr();
    let _ = write!(stderr, "{text}").and_then(|()| stderr.flush());
}

/// One JSON object on a line of standard output.
pub fn json(line: &Output<'_>) {
    json_line(line);
}

/// Any value as JSON on a line of standard output.
pub fn json_value(value: &serde_json::Value) {
    json_line(value);
}

/// An event of a run as one JSON object on a line of standard output.
pub fn event(update: &EventUpdate) {
    json_line(&StoredEvent::of(update));
}

fn json_line(line: &impl Serialize) {
    // As a value first: its fields come in alphabetical order, whatever type they have.
    let value = serde_json::to_value(line).unwrap_or_default();
    // It may be shown on a terminal, to which some characters are commands.
    noted(writeln!(std::io::stdout(), "{}", safe_json_text(&value.to_string())));
}

/// Standard output for lines of JSON: on a terminal, characters that could mislead its reader are escaped.
pub struct JsonLines {
    out: BufWriter<std::io::StdoutLock<'static>>,
    /// The line so far, on a terminal.
    line: Option<Vec<u8>>,
}

impl JsonLines {
    pub fn new() -> Self {
        let out = std::io::stdout();
        let line = out.is_terminal().then(Vec::new);
        Self { out: BufWriter::new(out.lock()), line }
    }

    fn end_line(&mut self) -> std::io::Result<()> {
        let line = self.line.as_mut().map(std::mem::take).unwrap_or_default();
        self.out.write_all(safe_json_text(&String::from_utf8_lossy(&line)).as_bytes())
    }
}

impl Write for JsonLines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let Some(line) = &mut self.line else { return self.out.write(bytes) };
        let (taken, is_whole) = match bytes.iter().position(|byte| *byte == b'\n') {
            Some(end) => (bytes.get(..=end).unwrap_or(bytes), true),
            None => (bytes, false),
        };
        line.extend_from_slice(taken);
        if is_whole {
            self.end_line()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.end_line()?;
        self.out.flush()
    }
}

/// The first error of standard output that is not its reader's end.
static UNWRITTEN: Mutex<Option<std::io::Error>> = Mutex::new(None);

fn noted(written: std::io::Result<()>) {
    if let Err(error) = written
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        UNWRITTEN.lock().get_or_insert(error);
    }
}

/// Whether all lines so far got to standard output.
///
/// # Errors
/// When some did not, as on a full disk. A reader that went away is no error.
pub fn finish() -> Result<(), Error> {
    noted(std::io::stdout().flush());
    let failed = UNWRITTEN.lock().take();
    failed.map_or(Ok(()), |source| Err(Error::Unwritable { what: "standard output", source }))
}

/// What the command line asked for, as help, or what is wrong with it; ends the process.
pub fn usage(error: &clap::Error) -> ! {
    if !error.use_stderr() {
        error.exit()
    }
    let plain = error.render().to_string();
    // An argument that is quoted may hold commands to the terminal.
    let safe = safe_text(&plain, plain.len());
    let text = if safe == plain { error.render().ansi().to_string() } else { safe };
    for line in text.lines() {
        // An argument that is quoted may be of any length.
        let (cut, end) = match line.char_indices().nth(MAX_USAGE_CHARS) {
            Some((end, _)) => (line.get(..end).unwrap_or_default(), "…\u{1b}[0m"),
            None => (line, ""),
        };
        err(&format!("{cut}{end}\n"));
    }
    std::process::exit(error.exit_code())
}

/// Lines that a plugin logged, behind a margin.
pub fn log_lines(log: &PluginLog, margin: &str) {
    let dim = anstyle::Style::new().dimmed();
    for LogLine { level, message } in &log.lines {
        let level: &str = level.into();
        out(&format!("{margin}{dim}{level:<5}{dim:#} {}", safe_line(message, MAX_LOG_CHARS)));
    }
    if log.dropped > 0 {
        out(&format!("{margin}{dim}{} more lines were too much and are not kept{dim:#}", log.dropped));
    }
}

/// A file that gets its name once it is whole: an interruption leaves no half of one. A link stays, its target is replaced;
/// devices and pipes are written to. `what` names the file in errors.
pub fn whole_file(
    file: &Path,
    what: &'static str,
    write: impl FnOnce(&mut dyn Write) -> Result<(), Error>,
) -> Result<(), Error> {
    let failed = |source| Error::Unwritable { what, source };
    if std::fs::metadata(file).is_ok_and(|found| !found.is_file()) {
        let mut device = BufWriter::new(std::fs::OpenOptions::new().write(true).open(file).map_err(failed)?);
        write(&mut device)?;
        return device.flush().map_err(failed);
    }
    let file = &file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut written = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    let mut buffered = BufWriter::new(&mut written);
    write(&mut buffered)?;
    buffered.flush().map_err(failed)?;
    drop(buffered);
    written.as_file().sync_all().map_err(failed)?;
    written.persist(file).map_err(|error| failed(error.error))?;
    Ok(())
}
