//! Compiled code, in memory and in a private folder.
//!
//! Loading compiled code runs it, so only what this host wrote is ever loaded: the folder belongs to its user alone, each
//! file is named after the component, the engine's settings and its version, and starts with a digest of the rest.
// The only file of this crate with unsafe code: wasmtime cannot know where compiled code comes from.
#![allow(unsafe_code)]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fusebox_core::Digest;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::Error;

/// A component compiled by this host; any engine of the same settings can load it.
#[derive(Clone)]
pub struct Compiled(Arc<[u8]>);

impl Compiled {
    /// Compiles a component that was inspected before.
    pub fn compile(engine: &Engine, component: &[u8]) -> Result<Self, Error> {
        let compiled = engine.precompile_component(component);
        let bytes = compiled.map_err(|error| Error::Compile { message: format!("{error:#}") })?;
        Ok(Self(bytes.into()))
    }

    /// Loads it into an engine.
    pub fn load(&self, engine: &Engine) -> Result<Component, Error> {
        // SAFETY: the bytes were made by `precompile_component` of this host: in this process, or by an earlier one of
        // the same user, in a folder of his own, under a name and digest that were checked.
        let component = unsafe { Component::deserialize(engine, &self.0) };
        component.map_err(|error| Error::Compile { message: format!("{error:#}") })
    }
}

/// A folder of compiled components.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// Uses a folder, creating it for this user alone.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Cache { folder: folder.to_owned(), source };
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder).map_err(failed)?;
        check_private(folder).map_err(failed)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// The compiled component, from the folder or newly compiled. A file that is not what it should be is made again.
    pub fn compiled(&self, engine: &Engine, compatibility: &str, component: &[u8]) -> Result<Compiled, Error> {
        let name = format!("{}-{compatibility}-{}.cwasm", Digest::of(component), crate::WASMTIME_VERSION);
        let path = self.folder.join(name);
        if let Some(compiled) = read(&path) {
            return Ok(compiled);
        }
        let compiled = Compiled::compile(engine, component)?;
        // A cache that cannot be written costs time, not correctness.
        let _ = self.write(&path, &compiled);
        Ok(compiled)
    }

    fn write(&self, path: &Path, compiled: &Compiled) -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(Digest::of(&compiled.0).as_bytes())?;
        file.write_all(&compiled.0)?;
        file.persist(path)?;
        Ok(())
    }
}

fn read(path: &Path) -> Option<Compiled> {
    let bytes = fs::read(path).ok()?;
    let (digest, compiled) = bytes.split_at_checked(32)?;
    (Digest::of(compiled).as_bytes() == digest).then(|| Compiled(compiled.into()))
}

/// Nobody else may write into the folder: what lies there is run.
#[cfg(unix)]
fn check_private(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let metadata = fs::metadata(folder)?;
    let mine = tempfile::tempdir_in(folder)?.path().metadata()?.uid() == metadata.uid();
    if mine && metadata.permissions().mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(std::io::Error::new(std::io::ErrorKind::PermissionDenied, "others could write into it; make it mode 0700"))
}

#[cfg(not(unix))]
fn check_private(_: &Path) -> std::io::Result<()> {
    Ok(())
}
