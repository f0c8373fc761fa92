//! Opening paths below a folder, without ever leaving it: part by part from an open handle, through no link and onto no
//! other file system, however the names change meanwhile.

use std::io::ErrorKind;
use std::path::Path;

use cap_std::fs::{Dir, File};

/// File or folder found at a name.
pub struct Found {
    /// It, open for reading.
    pub file: File,
    /// Names that it has, here or elsewhere.
    pub links: u64,
}

#[cfg(target_os = "linux")]
mod system {
    use std::io::{Error, ErrorKind, Result};
    use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
    use std::path::Path;

    use cap_std::fs::{Dir, File};
    use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, open, openat2};

    use super::Found;

    /// Opens a name without opening its target: that could block, or wake a device.
    fn look(dir: &Dir, name: &Path, flags: OFlags) -> Result<OwnedFd> {
        let resolve =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(openat2(dir, name, flags, Mode::empty(), resolve)?)
    }

    pub fn folder(dir: &Dir, name: &Path) -> Result<Dir> {
        let opened = look(dir, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK)?;
        Ok(Dir::from_std_file(std::fs::File::from(opened)))
    }

    pub fn file(dir: &Dir, name: &Path) -> Result<Found> {
        let named = look(dir, name, OFlags::PATH)?;
        let stat = fstat(&named)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Error::from(ErrorKind::NotADirectory));
        }
        // Exactly the file that was checked, even when the name changed meanwhile.
        let again = format!("/proc/self/fd/{}", named.as_fd().as_raw_fd());
        let opened = open(again, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Found { file: File::from_std(std::fs::File::from(opened)), links: stat.st_nlink })
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::io::{Error, ErrorKind, Result};
    use std::path::Path;

    use cap_fs_ext::{DirExt as _, FollowSymlinks, MetadataExt as _, OpenOptionsFollowExt as _};
    use cap_std::fs::{Dir, OpenOptions};

    use super::Found;

    pub fn folder(dir: &Dir, name: &Path) -> Result<Dir> {
        dir.open_dir_nofollow(name)
    }

    pub fn file(dir: &Dir, name: &Path) -> Result<Found> {
        let mut options = OpenOptions::new();
        options.read(true).follow(FollowSymlinks::No);
        // A FIFO would otherwise block until a writer opens it.
        #[cfg(unix)]
        cap_std::fs::OpenOptionsExt::custom_flags(&mut options, rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
        let file = dir.open_with(name, &options)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(Error::from(ErrorKind::NotADirectory));
        }
        Ok(Found { links: metadata.nlink(), file })
    }
}

/// Opens a folder in a folder.
pub fn folder(dir: &Dir, name: impl AsRef<Path>) -> std::io::Result<Dir> {
    system::folder(dir, name.as_ref())
}

/// Opens a regular file in a folder. Any other kind is reported as "not a directory", as a file system does for a name
/// of the wrong kind.
pub fn file(dir: &Dir, name: impl AsRef<Path>) -> std::io::Result<Found> {
    system::file(dir, name.as_ref())
}

/// Whether the system says that there is a link, a socket, a FIFO without a reader, something of the wrong kind, or another
/// file system.
pub fn is_another_thing(error: &std::io::Error) -> bool {
    if matches!(error.kind(), ErrorKind::NotADirectory | ErrorKind::IsADirectory) {
        return true;
    }
    #[cfg(unix)]
    {
        use rustix::io::Errno;
        let said = error.raw_os_error();
        [Errno::LOOP, Errno::NXIO, Errno::XDEV].iter().any(|errno| said == Some(errno.raw_os_error()))
    }
    #[cfg(not(unix))]
    false
}
