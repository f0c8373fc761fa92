//! Reading of input files: bounded, before any use of their content.

use std::io::Read;
use std::path::Path;

use crate::error::Error;

/// Reads a file of at most `max` bytes; `what` names it in errors.
///
/// # Errors
/// When it cannot be read, is not a regular file, or is larger. At most `max` + 1 bytes are read of any file.
pub fn read_file(what: &'static str, path: &Path, max: usize) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Unreadable { what, path: path.to_owned(), source };
    // Opening a FIFO would wait for its other end, perhaps for ever.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(Error::NotAFile { what, path: path.to_owned() });
    }
    read_from(what, std::fs::File::open(path).map_err(failed)?, path, max)
}

/// As [`read_file`], from any source, such as standard input; `path` names it in errors.
///
/// # Errors
/// As [`read_file`].
pub fn read_from(what: &'static str, source: impl Read, path: &Path, max: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let read = source.take(max as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|source| Error::Unreadable { what, path: path.to_owned(), source })?;
    if bytes.len() > max {
        return Err(Error::InputTooLarge { what, path: path.to_owned(), limit: max });
    }
    Ok(bytes)
}
