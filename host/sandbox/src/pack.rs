//! Compiled plugins at the end of a program, so that its first start need not compile them.
//!
//! A pack is part of the program that it lies in: the file which runs is as trusted as the code that it begins with. It is
//! read when the cache lacks a bundled plugin, and nowhere else.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Take};
use std::path::{Path, PathBuf};

use fusebox_core::{Digest, Kind};
use serde::{Deserialize, Serialize};

use crate::WASMTIME_VERSION;
use crate::cache::Known;
use crate::inspect::RULES;

/// The last bytes of a program with a pack. Before them stand the lengths of index and pack, eight bytes each.
const MARK: &[u8; 16] = b"\nfusebox pack 1\n";
/// Bytes behind the index.
const TAIL: u64 = 32;
/// Largest index, in bytes.
const MAX_INDEX: u64 = 64 * 1024 * 1024;
/// Largest code of one plugin, in bytes.
const MAX_CODE: u64 = 512 * 1024 * 1024;

/// A compiled plugin, with what is known of it.
pub struct Packed {
    pub component: Digest,
    pub code: Vec<u8>,
    pub known: Known,
}

#[derive(Serialize, Deserialize)]
struct Index {
    version: String,
    /// The rules by which components were checked.
    rules: u32,
    entries: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    component: Digest,
    /// First byte in the pack.
    at: u64,
    length: u64,
    /// BLAKE3 of the code.
    code: Digest,
    kind: Kind,
    description: String,
    settings: Vec<Digest>,
}

/// The bytes that make a pack at the end of a program.
///
/// # Errors
/// When the index cannot be written.
pub fn pack(plugins: Vec<Packed>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut index = Index { version: WASMTIME_VERSION.to_owned(), rules: RULES, entries: Vec::new() };
    for Packed { component, code, known: Known { kind, description, settings } } in plugins {
        let (at, length) = (bytes.len() as u64, code.len() as u64);
        let digest = digest(&code);
        index.entries.push(Entry { component, at, length, code: digest, kind, description, settings });
        bytes.extend(code);
    }
    let text = serde_json::to_vec(&index)?;
    let whole = bytes.len() as u64 + text.len() as u64 + TAIL;
    bytes.extend(&text);
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(whole.to_le_bytes());
    bytes.extend(MARK);
    Ok(bytes)
}

/// The file of the running program: exactly that one, even if another lies at its path by now.
///
/// # Errors
/// When the system does not tell.
pub fn own_program() -> io::Result<PathBuf> {
    if cfg!(target_os = "linux") { Ok("/proc/self/exe".into()) } else { std::env::current_exe() }
}

/// A program without its pack.
///
/// # Errors
/// When the file cannot be read.
pub fn program_without_pack(mut program: File) -> io::Result<Take<File>> {
    let length = program.metadata()?.len();
    let own = length - tail(&mut program)?.map_or(0, |tail| tail.whole);
    program.seek(SeekFrom::Start(0))?;
    Ok(program.take(own))
}

/// Code of a plugin in the pack of a program; `None` where it has no pack, or none that fits this host.
pub fn find(program: &Path, component: Digest) -> Option<(Vec<u8>, Known)> {
    let mut program = File::open(program).ok()?;
    let Tail { index, whole } = tail(&mut program).ok()??;
    let start = program.metadata().ok()?.len() - whole;
    let text = read(&mut program, start + whole - TAIL - index, index)?;
    let index: Index = serde_json::from_slice(&text).ok()?;
    if index.version != WASMTIME_VERSION || index.rules != RULES {
        return None;
    }
    let entry = index.entries.into_iter().find(|entry| entry.component == component)?;
    let is_inside = entry.at.checked_add(entry.length).is_some_and(|end| end <= whole) && entry.length <= MAX_CODE;
    let code = read(&mut program, start + entry.at, entry.length).filter(|_| is_inside)?;
    let Entry { kind, description, settings, .. } = entry;
    (digest(&code) == entry.code).then_some((code, Known { kind, description, settings }))
}

/// Lengths of an index, and of the pack around it.
struct Tail {
    index: u64,
    whole: u64,
}

/// The end of a program, where it has a pack.
fn tail(program: &mut File) -> io::Result<Option<Tail>> {
    let length = program.metadata()?.len();
    let Some(at) = length.checked_sub(TAIL) else { return Ok(None) };
    let mut bytes = [0; TAIL as usize];
    program.seek(SeekFrom::Start(at))?;
    program.read_exact(&mut bytes)?;
    let number = |at: usize| {
        let bytes = bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u64::from_le_bytes)
    };
    let (index, whole) = (number(0), number(8));
    let fits = whole <= length && index <= MAX_INDEX && index.checked_add(TAIL).is_some_and(|end| end <= whole);
    Ok((bytes.ends_with(MARK) && fits).then_some(Tail { index, whole }))
}

fn read(file: &mut File, at: u64, length: u64) -> Option<Vec<u8>> {
    if length > MAX_CODE {
        return None;
    }
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(at)).ok()?;
    file.take(length).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 == length).then_some(bytes)
}

fn digest(code: &[u8]) -> Digest {
    Digest::from_bytes(blake3::hash(code).as_bytes()).unwrap_or(Digest::ZERO)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn program(with: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"program").unwrap();
        file.write_all(with).unwrap();
        file
    }

    fn packed() -> Vec<u8> {
        let part = |text: &str| Packed {
            component: Digest::of(text.as_bytes()),
            code: text.repeat(9).into_bytes(),
            known: Known { kind: Kind::Guard, description: text.to_owned(), settings: vec![Digest::of(b"s")] },
        };
        pack(vec![part("one"), part("two")]).unwrap()
    }

    #[test]
    fn what_is_packed_is_found() {
        let file = program(&packed());
        for text in ["one", "two"] {
            let (code, known) = find(file.path(), Digest::of(text.as_bytes())).unwrap();
            assert_eq!((code, known.description), (text.repeat(9).into_bytes(), text.to_owned()));
        }
        assert!(find(file.path(), Digest::of(b"three")).is_none());
        let without = |file: &tempfile::NamedTempFile| {
            let mut text = String::new();
            program_without_pack(file.reopen().unwrap()).unwrap().read_to_string(&mut text).unwrap();
            text
        };
        assert_eq!(without(&file), "program");
        let plain = program(b"");
        assert!(find(plain.path(), Digest::of(b"one")).is_none());
        assert_eq!(without(&plain), "program");
    }

    #[test]
    fn a_damaged_pack_is_no_pack() {
        let whole = packed();
        let component = Digest::of(b"one");
        for cut in 1..whole.len() {
            assert!(find(program(&whole[cut..]).path(), component).is_none(), "cut {cut}");
        }
        for place in 0..whole.len() {
            let mut changed = whole.clone();
            changed[place] ^= 0x15;
            // A change elsewhere does not matter; what is found is what was packed.
            if let Some((code, _)) = find(program(&changed).path(), component) {
                assert_eq!(code, "one".repeat(9).into_bytes(), "{place}");
            }
        }
    }
}
