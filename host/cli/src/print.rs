//! Printing. The reader may close the pipe, as `head` does; the command's work does not depend on it.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Mutex;

use fusebox::core::show::safe_line;
use fusebox::core::{LogLine, PluginLog};
use fusebox::{Error, EventUpdate};
use serde::Serialize;

use crate::output::{Output, StoredEvent};

/// Longest line of a plugin's log that is shown, in characters.
const MAX_LOG_CHARS: usize = 2000;

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

/// An event of a run as one JSON object on a line of standard output.
pub fn event(update: &EventUpdate) {
    json_line(&StoredEvent::of(update));
}

fn json_line(line: &impl Serialize) {
    // As a value first: its fields come in alphabetical order, whatever type they have.
    let value = serde_json::to_value(line).unwrap_or_default();
    noted(writeln!(std::io::stdout(), "{value}"));
}

/// The first error of standard output that is not its reader's end.
static UNWRITTEN: Mutex<Option<std::io::Error>> = Mutex::new(None);

fn noted(written: std::io::Result<()>) {
    if let Err(error) = written
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        UNWRITTEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(error);
    }
}

/// Whether all lines so far got to standard output.
///
/// # Errors
/// When some did not, as on a full disk. A reader that went away is no error.
pub fn finish() -> Result<(), Error> {
    noted(std::io::stdout().flush());
    let failed = UNWRITTEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    failed.map_or(Ok(()), |source| Err(Error::Unwritable { what: "standard output", source }))
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

/// A file that gets its name once it is whole: an interruption leaves no half of one. `what` names it in errors.
pub fn whole_file(
    file: &Path,
    what: &'static str,
    write: impl FnOnce(&mut dyn Write) -> Result<(), Error>,
) -> Result<(), Error> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |source| Error::Unwritable { what, source };
    let mut written = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    let mut buffered = BufWriter::new(&mut written);
    write(&mut buffered)?;
    buffered.flush().map_err(failed)?;
    drop(buffered);
    written.as_file().sync_all().map_err(failed)?;
    written.persist(file).map_err(|error| failed(error.error))?;
    Ok(())
}
