//! Checking and compiling components: in this process, or in one that can be killed.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use fusebox_core::{Digest, Kind};
use serde::{Deserialize, Serialize};
use wasmtime::Engine;

use crate::config::{self, Allocation};
use crate::inspect::inspect;
use crate::{Error, WASMTIME_VERSION};

/// Prefix of compiled code, which distinguishes code of other versions, settings or components.
const MARK: &str = "fusebox compiled component 2";

/// Checks and compiles components that are not bundled. A hostile component can take long, need much memory, or crash
/// the checker or the compiler: an implementation elsewhere calls [`compile`] there, under limits.
pub trait Compile: fmt::Debug + Send + Sync {
    /// Returns the result of [`compile`] for the bytes, from wherever it ran. Blocks until then.
    ///
    /// # Errors
    /// [`Error::Compile`] when it could not run, [`Error::CompileLimit`] when a limit ended it, and [`Error::NoCompiler`]
    /// when nothing can compile it here.
    fn compile(&self, bytes: &[u8]) -> Result<Vec<u8>, Error>;
}

/// Compiles in this process, without limits: only when all components are trusted.
#[derive(Debug, Clone, Copy, Default)]
pub struct CompileHere;

impl Compile for CompileHere {
    fn compile(&self, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        compile(bytes)
    }
}

/// Called before a bundled plugin is compiled.
#[derive(Clone)]
pub struct OnBundled(pub Arc<dyn Fn() + Send + Sync>);

impl fmt::Debug for OnBundled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnBundled")
    }
}

/// Outcome of compiling a component.
#[derive(Serialize, Deserialize)]
enum Outcome {
    /// It is of this kind; its code follows.
    Code(Kind),
    /// The component is refused.
    Refused(Refusal),
}

/// The errors that a component can be to blame for.
#[derive(Serialize, Deserialize)]
enum Refusal {
    Invalid { message: String },
    PlainModule { message: String },
    NoKind { exports: String },
    SeveralKinds { kinds: String },
    Incompatible { kind: Kind, import: String, served: String, needed: String },
    Compile { message: String },
}

/// Checks and compiles a component, or a core module that carries a component's type. The result, which may also be the
/// reason of a refusal, belongs to this version, these engine settings and this kind of processor.
///
/// # Errors
/// When the engine cannot be set up.
pub fn compile(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let engine = config::engine(Allocation::OnDemand).map_err(|error| Error::Engine { message: error.to_string() })?;
    let (outcome, code) = match checked(&engine, bytes) {
        Ok((kind, code)) => (Outcome::Code(kind), code),
        Err(error) => (Outcome::Refused(refusal(error)?), Vec::new()),
    };
    let outcome = serde_json::to_string(&outcome).map_err(|error| Error::Engine { message: error.to_string() })?;
    let mark = mark(&config::compatibility(&engine), Digest::of(bytes));
    Ok([mark.as_bytes(), outcome.as_bytes(), b"\n", &code].concat())
}

/// Kind and code in the result of a [`Compile`] for these bytes.
pub fn accept(compiled: &[u8], bytes: Digest, compatibility: &str) -> Result<(Kind, Vec<u8>), Error> {
    let of_another = || Error::Compile {
        message: "the compiler has another version than this host; use the host's own program".to_owned(),
    };
    let rest = compiled.strip_prefix(mark(compatibility, bytes).as_bytes()).ok_or_else(of_another)?;
    let end = rest.iter().position(|byte| *byte == b'\n').ok_or_else(of_another)?;
    let (outcome, code) = rest.split_at_checked(end).ok_or_else(of_another)?;
    match serde_json::from_slice(outcome).map_err(|_| of_another())? {
        Outcome::Code(kind) => Ok((kind, code.get(1..).unwrap_or_default().to_vec())),
        Outcome::Refused(refusal) => Err(refusal.into()),
    }
}

/// Checks and compiles with an engine that is there. A fault of the checker or the compiler is no fault of this process.
pub fn checked(engine: &Engine, bytes: &[u8]) -> Result<(Kind, Vec<u8>), Error> {
    let failed = |message: String| Error::Compile { message };
    catch_unwind(AssertUnwindSafe(|| {
        let inspected = inspect(bytes)?;
        let code = engine.precompile_component(&inspected.component);
        Ok((inspected.kind, code.map_err(|error| failed(format!("{error:#}")))?))
    }))
    .map_err(|_| failed("the checker or the compiler itself failed on it".to_owned()))?
}

fn mark(compatibility: &str, bytes: Digest) -> String {
    format!("{MARK} {WASMTIME_VERSION} {compatibility} {bytes} ")
}

/// The refusal that an error stands for; other errors are not the component's fault.
fn refusal(error: Error) -> Result<Refusal, Error> {
    Ok(match error {
        Error::Invalid { message } => Refusal::Invalid { message },
        Error::PlainModule { message } => Refusal::PlainModule { message },
        Error::NoKind { exports } => Refusal::NoKind { exports },
        Error::SeveralKinds { kinds } => Refusal::SeveralKinds { kinds },
        Error::Incompatible { kind, import, served, needed } => {
            let kind = [Kind::Guard, Kind::Impact].into_iter().find(|known| known.name() == kind);
            Refusal::Incompatible { kind: kind.unwrap_or(Kind::Executor), import, served, needed }
        }
        Error::Compile { message } => Refusal::Compile { message },
        error => return Err(error),
    })
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid { message } => Self::Invalid { message },
            Refusal::PlainModule { message } => Self::PlainModule { message },
            Refusal::NoKind { exports } => Self::NoKind { exports },
            Refusal::SeveralKinds { kinds } => Self::SeveralKinds { kinds },
            Refusal::Incompatible { kind, import, served, needed } => {
                Self::Incompatible { kind: kind.name(), import, served, needed }
            }
            Refusal::Compile { message } => Self::Compile { message },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_belongs_to_the_question_is_accepted() {
        let bytes = [0, b'a', b's', b'm', 0x0d, 0, 1, 0];
        let (answer, digest) = (compile(&bytes).unwrap(), Digest::of(&bytes));
        let ours = config::compatibility(&config::engine(Allocation::Pooled).unwrap());
        // An empty component is not a plugin, and the error says so.
        assert!(matches!(accept(&answer, digest, &ours), Err(Error::NoKind { .. })));
        let wrong = [answer[1..].to_vec(), Vec::new(), answer.iter().map(|byte| byte ^ 1).collect()];
        for wrong in &wrong {
            assert!(matches!(accept(wrong, digest, &ours), Err(Error::Compile { .. })));
        }
        assert!(matches!(accept(&answer, digest, "0123456789abcdef"), Err(Error::Compile { .. })));
        assert!(matches!(accept(&answer, Digest::of(b"another"), &ours), Err(Error::Compile { .. })));
        let refused = compile(b"no component").unwrap();
        assert!(matches!(accept(&refused, Digest::of(b"no component"), &ours), Err(Error::Invalid { .. })));
    }
}
