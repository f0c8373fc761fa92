//! Compiling components: in this process, or in one that can be killed.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use wasmtime::Engine;

use crate::config::{self, Allocation};
use crate::{Error, WASMTIME_VERSION};

/// What compiled code starts with, so that code of another version or of other settings is told from ours.
const MARK: &str = "fusebox compiled component 1";

/// Compiles components that did not come with the host. Compiling what somebody made to be hard to compile can take long,
/// need much memory or fail the compiler: whoever does it elsewhere calls [`compile`] there, under limits.
pub trait Compile: fmt::Debug + Send + Sync {
    /// Gives what [`compile`] made of the component, wherever that ran. Blocks until then.
    ///
    /// # Errors
    /// [`Error::Compile`] when it does not compile, [`Error::CompileLimit`] when a limit ended it, and
    /// [`Error::NoCompiler`] when nothing can compile it here.
    fn compile(&self, component: &[u8]) -> Result<Vec<u8>, Error>;
}

/// Compiles in this process, without limits.
#[derive(Debug, Clone, Copy, Default)]
pub struct CompileHere;

impl Compile for CompileHere {
    fn compile(&self, component: &[u8]) -> Result<Vec<u8>, Error> {
        compile(component)
    }
}

/// Compiles a component. The result belongs to this version, these engine settings and this kind of processor.
///
/// # Errors
/// When it does not compile; also when the compiler itself fails on it.
pub fn compile(component: &[u8]) -> Result<Vec<u8>, Error> {
    let engine = config::engine(Allocation::OnDemand).map_err(|error| Error::Engine { message: error.to_string() })?;
    Ok([mark(&config::compatibility(&engine)).as_bytes(), &precompile(&engine, component)?].concat())
}

/// The code in what a [`Compile`] gave.
pub fn accept(mut compiled: Vec<u8>, compatibility: &str) -> Result<Vec<u8>, Error> {
    let mark = mark(compatibility);
    if !compiled.starts_with(mark.as_bytes()) {
        let message = "what compiled it is of another version than this host; use the host's own program".to_owned();
        return Err(Error::Compile { message });
    }
    compiled.drain(..mark.len());
    Ok(compiled)
}

/// Compiles with an engine that is there.
pub fn precompile(engine: &Engine, component: &[u8]) -> Result<Vec<u8>, Error> {
    let failed = |message: String| Error::Compile { message };
    // A fault of the compiler is no fault of this process.
    catch_unwind(AssertUnwindSafe(|| engine.precompile_component(component)))
        .map_err(|_| failed("the compiler itself failed on it".to_owned()))?
        .map_err(|error| failed(format!("{error:#}")))
}

fn mark(compatibility: &str) -> String {
    format!("{MARK} {WASMTIME_VERSION} {compatibility}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_of_another_version_is_not_accepted() {
        let compiled = compile(&[0, b'a', b's', b'm', 0x0d, 0, 1, 0]).unwrap();
        let ours = config::compatibility(&config::engine(Allocation::Pooled).unwrap());
        assert!(accept(compiled.clone(), &ours).is_ok());
        for wrong in [compiled[1..].to_vec(), Vec::new(), compiled.iter().map(|byte| byte ^ 1).collect()] {
            assert!(accept(wrong, &ours).is_err());
        }
        assert!(accept(compiled, "0123456789abcdef").is_err());
        assert!(matches!(compile(b"no component"), Err(Error::Compile { .. })));
    }
}
