//! Copies of a program with the bundled plugins compiled in it.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use fusebox_sandbox::{own_program, program_without_pack};

use crate::bundled;
use crate::error::Error;
use crate::host::Host;
use crate::policy::LoadedPolicy;

/// A copy of this program with its bundled plugins compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackedProgram {
    /// Number of the plugins.
    pub plugins: usize,
    /// Bytes that they add to the program.
    pub bytes: u64,
}

/// Writes a copy of the running program with the bundled plugins at its end, compiled for all processors of this kind: its
/// first start in a home does not compile them. It may replace the program itself. The copy is executable by all.
///
/// # Errors
/// When a plugin cannot be compiled, something other than a file has that name, or the copy cannot be written.
pub fn pack_program(to: &Path) -> Result<PackedProgram, Error> {
    let unwritable = |source| Error::Unwritable { what: "the packed program", source };
    if to.symlink_metadata().is_ok_and(|found| !found.is_file()) {
        return Err(Error::NotAFile { what: "the program to write", path: to.to_owned() });
    }
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(unwritable)?;
    let scratch = tempfile::tempdir().map_err(unwritable)?;
    let home = scratch.path().join("home");
    let policy = LoadedPolicy::builtin()?.policy;
    let host = Host::builder().home(&home).policy(policy).portable().build()?;
    let components = bundled::names().filter_map(|name| Some(bundled::digest(name, bundled::component(name)?)));
    let pack = host.services.sandbox.pack(components)?;
    drop(host);
    let program = own_program().and_then(File::open).map_err(unwritable)?;
    let mut program = program_without_pack(program).map_err(unwritable)?;
    std::io::copy(&mut program, &mut file).and_then(|_| file.write_all(&pack)).map_err(unwritable)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o755)).map_err(unwritable)?;
    }
    file.as_file().sync_all().map_err(unwritable)?;
    file.persist(to).map_err(|error| unwritable(error.error))?;
    Ok(PackedProgram { plugins: bundled::names().count(), bytes: pack.len() as u64 })
}
