//! Looking at bytes before anything is compiled: the cheapest checks first.

use std::borrow::Cow;

use fusebox_core::Kind;
use wasmparser::{Parser, Payload, Validator, WasmFeatures};

use crate::{Error, wasi};

/// Largest component, in bytes: Python guests have 18 MiB.
pub const MAX_COMPONENT_BYTES: usize = 48 * 1024 * 1024;

/// The package of the contract and the version that this host serves.
const PACKAGE: &str = "fusebox:plugin/";
const SERVED: (u64, u64, u64) = (0, 1, 0);

/// Interfaces that every kind may import.
const FOR_ALL: [&str; 3] = ["types", "context", "log"];
/// Interfaces that executors may import as well.
const FOR_EXECUTORS: [&str; 5] = ["payloads", "workspace", "process", "model", "progress"];

/// A component that passed all checks that need no compiler.
#[derive(Debug)]
pub struct Inspected<'a> {
    /// The component; encoded from a core module where one was given.
    pub component: Cow<'a, [u8]>,
    /// Kind of the plugin, from its exports.
    pub kind: Kind,
}

/// Version of the rules below. Components checked under others are checked again.
pub const RULES: u32 = 1;

/// Checks that take no time, whatever the bytes are.
pub fn look(bytes: &[u8]) -> Result<(), Error> {
    if bytes.len() > MAX_COMPONENT_BYTES {
        return Err(Error::TooLarge { size: bytes.len(), limit: MAX_COMPONENT_BYTES });
    }
    // Text would be accepted by some parsers; only the binary format is.
    if !Parser::is_component(bytes) && !Parser::is_core_wasm(bytes) {
        return Err(invalid("it does not start as WebAssembly does"));
    }
    Ok(())
}

/// Checks some bytes. This can take long and use much stack: run it in a process of its own for untrusted bytes.
pub fn inspect(bytes: &[u8]) -> Result<Inspected<'_>, Error> {
    look(bytes)?;
    validate(bytes)?;
    let component = if Parser::is_component(bytes) { Cow::Borrowed(bytes) } else { Cow::Owned(encode(bytes)?) };
    let names = outer_names(&component)?;
    let kind = kind(&names.exports)?;
    for import in &names.imports {
        check_import(kind, import)?;
    }
    Ok(Inspected { component, kind })
}

/// The proposals that guests may use. Multi-memory, threads, 64-bit memory, relaxed SIMD, exceptions, garbage
/// collection and async are refused here, even if the engine supports them. (`GC_TYPES` only names the types that
/// references need.)
fn features() -> WasmFeatures {
    WasmFeatures::MUTABLE_GLOBAL
        | WasmFeatures::SATURATING_FLOAT_TO_INT
        | WasmFeatures::SIGN_EXTENSION
        | WasmFeatures::REFERENCE_TYPES
        | WasmFeatures::MULTI_VALUE
        | WasmFeatures::BULK_MEMORY
        | WasmFeatures::SIMD
        | WasmFeatures::FLOATS
        | WasmFeatures::EXTENDED_CONST
        | WasmFeatures::TAIL_CALL
        | WasmFeatures::COMPONENT_MODEL
        | WasmFeatures::GC_TYPES
}

fn invalid(error: impl std::fmt::Display) -> Error {
    Error::Invalid { message: error.to_string() }
}

fn validate(bytes: &[u8]) -> Result<(), Error> {
    Validator::new_with_features(features()).validate_all(bytes).map(|_| ()).map_err(invalid)
}

fn encode(module: &[u8]) -> Result<Vec<u8>, Error> {
    let plain = |error: &dyn std::fmt::Display| Error::PlainModule { message: format!("{error:#}") };
    let mut encoder = wit_component::ComponentEncoder::default().validate(true);
    encoder = encoder.module(module).map_err(|error| plain(&error))?;
    encoder.encode().map_err(|error| plain(&error))
}

#[derive(Default)]
struct OuterNames {
    imports: Vec<String>,
    exports: Vec<String>,
}

/// Imports and exports of the outermost component.
fn outer_names(component: &[u8]) -> Result<OuterNames, Error> {
    let mut names = OuterNames::default();
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(component) {
        match payload.map_err(invalid)? {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    names.imports.push(import.map_err(invalid)?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section {
                    names.exports.push(export.map_err(invalid)?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(names)
}

fn kind(exports: &[String]) -> Result<Kind, Error> {
    let mut found = Vec::new();
    for export in exports {
        let Some((interface, version)) = of_package(export) else { continue };
        for kind in [Kind::Guard, Kind::Impact, Kind::Executor] {
            if interface == kind.name() {
                check_version(kind, export, version)?;
                found.push(kind);
            }
        }
    }
    match found[..] {
        [] => Err(Error::NoKind { exports: list(exports) }),
        [kind] => Ok(kind),
        _ => Err(Error::SeveralKinds {
            kinds: list(&found.iter().map(|kind| kind.name().to_owned()).collect::<Vec<_>>()),
        }),
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

/// Interface and version of a name like `fusebox:plugin/guard@0.1.0`.
fn of_package(name: &str) -> Option<(&str, &str)> {
    let rest = name.strip_prefix(PACKAGE)?;
    Some(rest.split_once('@').unwrap_or((rest, "")))
}

fn check_import(kind: Kind, import: &str) -> Result<(), Error> {
    let served = match kind {
        Kind::Guard | Kind::Impact => FOR_ALL.to_vec(),
        Kind::Executor => FOR_ALL.into_iter().chain(FOR_EXECUTORS).collect(),
    };
    let incompatible = |needed: &str| Error::Incompatible {
        kind: kind.name(),
        import: import.to_owned(),
        served: format!("{PACKAGE}{{{}}}@{}", served.join(","), version(SERVED)),
        needed: needed.to_owned(),
    };
    match of_package(import) {
        Some((interface, version)) if served.contains(&interface) => check_version(kind, import, version),
        Some((interface, _)) if FOR_EXECUTORS.contains(&interface) => {
            Err(incompatible("only executors may use it: leave it out, or make this an executor"))
        }
        Some(_) => Err(incompatible("build it against an SDK that is not newer than this host, or update the host")),
        None if is_virtual(import) && kind == Kind::Executor => Ok(()),
        None if is_virtual(import) => Err(incompatible(
            "only executors get a virtual WASI: build Rust for wasm32-unknown-unknown, JavaScript with \
             --backend-qjs-stub-wasi, Python with --stub-wasi",
        )),
        None if import.starts_with("wasi:") => Err(incompatible(
            "no plugin gets it: executors get a virtual WASI 0.2 without network and HTTP, others none. Leave it out, or \
             have the toolchain stub it",
        )),
        None => Err(incompatible("import nothing but fusebox:plugin")),
    }
}

/// Whether an import is of the virtual WASI that compat executors get.
fn is_virtual(import: &str) -> bool {
    let (interface, version) = import.split_once('@').unwrap_or((import, ""));
    wasi::INTERFACES.contains(&interface) && version.starts_with("0.2.")
}

/// Versions fit when they are of one semver track: of 0.1, any patch.
fn check_version(kind: Kind, name: &str, found: &str) -> Result<(), Error> {
    let parts: Vec<Option<u64>> = found.split('.').map(|part| part.parse().ok()).collect();
    let (major, minor, _) = SERVED;
    let fits = matches!(parts[..], [Some(one), Some(two), Some(_)] if one == major && two == minor);
    if fits {
        return Ok(());
    }
    Err(Error::Incompatible {
        kind: kind.name(),
        import: name.to_owned(),
        served: format!("version {}", version(SERVED)),
        needed: format!("build it with an SDK for version {major}.{minor}, or update the host"),
    })
}

fn version((major, minor, patch): (u64, u64, u64)) -> String {
    format!("{major}.{minor}.{patch}")
}
