//! Printing. Whoever reads may have gone away, as `head` does; what is done does not depend on being watched.

use std::io::Write as _;

use serde_json::Value;

/// A line on standard output, with colours where it is a terminal.
pub fn out(line: &str) {
    let _ = writeln!(anstream::stdout(), "{line}");
}

/// Text on standard error, with colours where it is a terminal.
pub fn err(text: &str) {
    let mut stderr = anstream::stderr();
    let _ = write!(stderr, "{text}").and_then(|()| stderr.flush());
}

/// One JSON object on a line of standard output.
pub fn json(value: &Value) {
    let _ = writeln!(std::io::stdout(), "{value}");
}
