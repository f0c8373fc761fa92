//! Files of a workspace.

mod replace;
pub(crate) mod walk;

use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, File};
use fusebox_core::policy::HardLinks;
use fusebox_core::{Digest, DigestBuilder, WorkspacePath};

use self::replace::{Swap, Temporary};
use crate::error::Error;

/// Largest slice of one read, in bytes.
pub const MAX_SLICE_BYTES: u32 = 1024 * 1024;
/// Largest file that is read, written or digested, in bytes.
pub const MAX_FILE_BYTES: u64 = 256 * 1024 * 1024;
/// Most names of one folder.
pub const MAX_ENTRIES: u64 = 10_000;

/// A folder in which effects happen. All paths start at a handle that was opened once: renaming or replacing the folder
/// afterwards leads nowhere else.
#[derive(Debug)]
pub struct Workspace {
    root: PathBuf,
    dir: Dir,
    hard_links: HardLinks,
}

/// Kind of a workspace entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A link, device, FIFO or socket.
    Other,
}

/// Kind and size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// Kind of the entry.
    pub kind: EntryKind,
    /// Size in bytes; 0 for an entry that is not a file.
    pub size: u64,
}

/// One name in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Name of the entry.
    pub name: String,
    /// Kind of the entry.
    pub kind: EntryKind,
}

/// Digest and size of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileState {
    /// Digest of its content.
    pub digest: Digest,
    /// Size of the file in bytes.
    pub size: u64,
}

impl Workspace {
    /// Opens a folder as workspace.
    ///
    /// # Errors
    /// When it is missing or not a folder.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let root = path.canonicalize().map_err(|source| match source.kind() {
            ErrorKind::NotFound => Error::WorkspaceMissing { path: path.to_owned() },
            _ => Error::Io { what: format!("opening the workspace {}", path.display()), source },
        })?;
        if !root.is_dir() {
            return Err(Error::WorkspaceNotAFolder { path: path.to_owned() });
        }
        let dir = Dir::open_ambient_dir(&root, ambient_authority())
            .map_err(|source| Error::Io { what: format!("opening the workspace {}", root.display()), source })?;
        Ok(Self { root, dir, hard_links: HardLinks::default() })
    }

    /// Sets whether files with several hard links are read.
    #[must_use]
    pub fn with_hard_links(self, hard_links: HardLinks) -> Self {
        Self { hard_links, ..self }
    }

    /// The folder, as an absolute path without links.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Digest of what makes this folder itself: its path and, on Unix, its device and number.
    ///
    /// # Errors
    /// When the folder cannot be looked at.
    pub fn identity(&self) -> Result<Digest, Error> {
        let failed = |source| Error::Io { what: format!("looking at {}", self.root.display()), source };
        let metadata = self.dir.dir_metadata().map_err(failed)?;
        let identity = DigestBuilder::new("fusebox workspace 1").part(self.root.as_os_str().as_encoded_bytes());
        #[cfg(unix)]
        let identity = {
            use cap_std::fs::MetadataExt as _;
            identity.part(&metadata.dev().to_be_bytes()).part(&metadata.ino().to_be_bytes())
        };
        #[cfg(not(unix))]
        drop(metadata);
        Ok(identity.finish())
    }

    /// Kind and size of an entry; `None` when there is none.
    ///
    /// # Errors
    /// When the path leads through a link.
    pub fn stat(&self, path: &WorkspacePath) -> Result<Option<Metadata>, Error> {
        let found = match self.parent(path) {
            Ok(Some((parent, name))) => parent.symlink_metadata(name).map(|metadata| kind_and_size(&metadata)),
            Ok(None) => Ok(Metadata { kind: EntryKind::Folder, size: 0 }),
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        match found {
            Ok(metadata) => Ok(Some(metadata)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io(path, "looking at", error)),
        }
    }

    /// At most `len` bytes of a file from `offset`.
    ///
    /// # Errors
    /// When it is missing, not a regular file, reached through a link, or `len` is over [`MAX_SLICE_BYTES`].
    pub fn read(&self, path: &WorkspacePath, offset: u64, len: u32) -> Result<Vec<u8>, Error> {
        if len > MAX_SLICE_BYTES {
            return Err(Error::TooLarge { what: format!("a slice of {len} bytes"), limit: MAX_SLICE_BYTES.into() });
        }
        let mut file = self.open_file(path)?;
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(offset))
            .and_then(|_| file.take(len.into()).read_to_end(&mut bytes))
            .map_err(|error| io(path, "reading", error))?;
        Ok(bytes)
    }

    /// A whole file.
    ///
    /// # Errors
    /// As [`read`](Self::read), and when it is larger than `max` bytes.
    pub fn read_all(&self, path: &WorkspacePath, max: u64) -> Result<Vec<u8>, Error> {
        read_up_to(self.open_file(path)?, path, max)
    }

    /// Digest and size of a file; `None` when there is none.
    ///
    /// # Errors
    /// When it is not a regular file, reached through a link, or over [`MAX_FILE_BYTES`].
    pub fn state(&self, path: &WorkspacePath) -> Result<Option<FileState>, Error> {
        match self.read_all(path, MAX_FILE_BYTES) {
            Ok(bytes) => Ok(Some(FileState { digest: Digest::of(&bytes), size: bytes.len() as u64 })),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Names in a folder, sorted by bytes. Names that are not UTF-8 cannot be named in a plan and are left out.
    ///
    /// # Errors
    /// When it is missing, not a folder, or holds more than [`MAX_ENTRIES`] names.
    pub fn list(&self, path: &WorkspacePath) -> Result<Vec<Entry>, Error> {
        let dir = self.folder(path.parts(), path)?;
        let mut entries = Vec::new();
        for entry in dir.entries().map_err(|error| io(path, "listing", error))? {
            let entry = entry.map_err(|error| io(path, "listing", error))?;
            let kind = entry.file_type().map_err(|error| io(path, "listing", error))?;
            if let Ok(name) = entry.file_name().into_string() {
                entries.push(Entry { name, kind: kind_of(kind.is_file(), kind.is_dir()) });
            }
            if entries.len() as u64 > MAX_ENTRIES {
                return Err(Error::TooLarge { what: format!("the number of names in {path}"), limit: MAX_ENTRIES });
            }
        }
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    /// Replaces or creates a file, if it is still as `before` says: atomically, durably, keeping its mode. Missing
    /// parent folders are created.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the file is not as it was; otherwise as [`read`](Self::read).
    pub fn write(&self, path: &WorkspacePath, before: Option<&Digest>, content: &[u8]) -> Result<(), Error> {
        if content.len() as u64 > MAX_FILE_BYTES {
            return Err(Error::TooLarge { what: path.to_string(), limit: MAX_FILE_BYTES });
        }
        let parent = match before {
            None => self.create_parents(path).and_then(|()| self.parent(path))?,
            // The folders of an existing file exist.
            Some(_) => self.parent(path).map_err(|error| match error {
                Error::NotFound { path } => Error::Conflict { path },
                error => error,
            })?,
        };
        let Some((parent, name)) = parent else {
            return Err(Error::NotRegular { path: path.to_string() });
        };
        self.expect(&parent, name, path, before)?;
        let temporary = Temporary::create(&parent).map_err(|error| io(path, "writing beside", error))?;
        temporary.fill(content, name).map_err(|error| io(path, "writing", error))?;
        let is_expected = |name: &str| self.expect(&parent, name, path, before).is_ok();
        swapped(path, "replacing", temporary.replace(name, before.is_none(), is_expected))
    }

    /// Removes a file, if it is still as `before` says.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the file is not as it was; otherwise as [`read`](Self::read).
    pub fn remove(&self, path: &WorkspacePath, before: Option<&Digest>) -> Result<(), Error> {
        let Some((parent, name)) = self.parent(path)? else {
            return Err(Error::NotRegular { path: path.to_string() });
        };
        self.expect(&parent, name, path, before)?;
        let is_expected = |name: &str| self.expect(&parent, name, path, before).is_ok();
        swapped(path, "removing", replace::remove(&parent, name, is_expected))
    }

    /// Removes the temporary files of a process that ended while it wrote or removed a file: whole or partial copies of
    /// the old or new content, and no other files.
    ///
    /// # Errors
    /// When the folder cannot be read or written.
    pub fn sweep(&self, path: &WorkspacePath, known: &[Bytes]) -> Result<(), Error> {
        let Ok(Some((parent, _))) = self.parent(path) else { return Ok(()) };
        let is_known = |name: &str| {
            let read = |file| read_up_to(file, path, MAX_FILE_BYTES).ok();
            let found = self.open_in(&parent, name, path).ok().and_then(read);
            found.is_some_and(|found| known.iter().any(|whole| whole.starts_with(&found)))
        };
        replace::sweep(&parent, is_known).map_err(|error| io(path, "tidying up beside", error))
    }

    /// A handle of a folder, for a process to start in.
    ///
    /// # Errors
    /// When it is missing, not a folder, or reached through a link.
    pub fn open_folder(&self, path: &WorkspacePath) -> Result<Dir, Error> {
        self.folder(path.parts(), path)
    }

    /// Checks that a name in an open folder has the same content as before.
    fn expect(&self, parent: &Dir, name: &str, path: &WorkspacePath, before: Option<&Digest>) -> Result<(), Error> {
        let now = match self.open_in(parent, name, path).and_then(|file| read_up_to(file, path, MAX_FILE_BYTES)) {
            Ok(bytes) => Some(Digest::of(&bytes)),
            Err(Error::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        if now.as_ref() == before { Ok(()) } else { Err(Error::Conflict { path: path.to_string() }) }
    }

    /// The folder that holds a path's last part, and that part; `None` for the workspace itself.
    fn parent<'a>(&self, path: &'a WorkspacePath) -> Result<Option<(Dir, &'a str)>, Error> {
        let parts: Vec<&str> = path.parts().collect();
        match parts.split_last() {
            None => Ok(None),
            Some((name, above)) => Ok(Some((self.folder(above.iter().copied(), path)?, name))),
        }
    }

    /// Walks down from the workspace, part by part, through folders only.
    fn folder<'a>(&self, parts: impl Iterator<Item = &'a str>, path: &WorkspacePath) -> Result<Dir, Error> {
        let mut dir = self.dir.try_clone().map_err(|error| io(path, "opening", error))?;
        for part in parts {
            dir = walk::folder(&dir, part).map_err(|error| io(path, "opening", error))?;
        }
        Ok(dir)
    }

    fn create_parents(&self, path: &WorkspacePath) -> Result<(), Error> {
        let parts: Vec<&str> = path.parts().collect();
        let mut dir = self.dir.try_clone().map_err(|error| io(path, "opening", error))?;
        for part in parts.split_last().map_or(&[][..], |(_, above)| above) {
            match dir.create_dir(part) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(io(path, "creating", error)),
                _ => dir = walk::folder(&dir, part).map_err(|error| io(path, "opening", error))?,
            }
        }
        Ok(())
    }

    fn open_file(&self, path: &WorkspacePath) -> Result<File, Error> {
        let Some((parent, name)) = self.parent(path)? else {
            return Err(Error::NotRegular { path: path.to_string() });
        };
        self.open_in(&parent, name, path)
    }

    fn open_in(&self, parent: &Dir, name: &str, path: &WorkspacePath) -> Result<File, Error> {
        let found = walk::file(parent, name).map_err(|error| io(path, "opening", error))?;
        match self.hard_links {
            HardLinks::Deny if found.links > 1 => Err(Error::HardLinked { path: path.to_string() }),
            _ => Ok(found.file),
        }
    }
}

fn swapped(path: &WorkspacePath, what: &str, swap: std::io::Result<Swap>) -> Result<(), Error> {
    match swap.map_err(|error| io(path, what, error))? {
        Swap::Done => Ok(()),
        Swap::Conflict => Err(Error::Conflict { path: path.to_string() }),
    }
}

fn read_up_to(file: File, path: &WorkspacePath, max: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    file.take(max.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| io(path, "reading", error))?;
    let is_larger = bytes.len() as u64 > max;
    if is_larger { Err(Error::TooLarge { what: path.to_string(), limit: max }) } else { Ok(bytes) }
}

fn kind_and_size(metadata: &cap_std::fs::Metadata) -> Metadata {
    let kind = kind_of(metadata.is_file(), metadata.is_dir());
    Metadata { kind, size: if kind == EntryKind::File { metadata.len() } else { 0 } }
}

fn kind_of(is_file: bool, is_folder: bool) -> EntryKind {
    match (is_file, is_folder) {
        (true, _) => EntryKind::File,
        (_, true) => EntryKind::Folder,
        _ => EntryKind::Other,
    }
}

fn io(path: &WorkspacePath, what: &str, error: std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound => Error::NotFound { path: path.to_string() },
        _ if walk::is_another_thing(&error) => Error::NotRegular { path: path.to_string() },
        _ => Error::Io { what: format!("{what} {path}"), source: error },
    }
}
