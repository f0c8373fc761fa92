//! Loads, limits, calls and meters one plugin invocation. Nothing here knows of runs, stores or terminals.
//!
//! ```
//! use fusebox_sandbox::Sandbox;
//!
//! let sandbox = Sandbox::new(None)?;
//! let error = sandbox.load(b"\0asm but not really").unwrap_err();
//! assert_eq!(error.code(), "FBX-2003");
//! # Ok::<(), fusebox_sandbox::Error>(())
//! ```
//!
//! Why it is built so: a plugin is untrusted code. Each invocation gets a fresh store and instance, its own fuel for
//! setting up and for the call, a memory limit over all its memories together, a wall-clock deadline and a kill flag,
//! and ends in one typed [`End`] with a [`Report`]. Guards and impact models run on the caller's thread, in pools that
//! keep their memory mapped, because they are called for every action; executors run asynchronously, because they wait:
//! in the same pools while at most half of the places are theirs, else without a pool. All host calls of an executor go through an [`EffectHandler`], so that an invocation
//! can be recorded and run again from its [`Tape`].

mod bindings;
mod cache;
mod call;
mod compile;
mod config;
mod convert;
mod effect_handler;
mod end;
mod engines;
mod error;
mod imports;
mod inspect;
mod kill;
mod limiter;
mod limits;
mod linked;
mod pack;
mod plugin;
mod prepared;
mod runtime;
mod sandbox;
mod state;
mod tape;
mod wasi;
mod wasi_link;

pub use compile::{Compile, CompileHere, OnBundled, compile};
pub use config::{Allocation, WASMTIME_VERSION};
pub use effect_handler::{
    EffectHandler, EntryKind, FolderEntry, HandlerFuture, HostAnswer, HostCall, ModelCompletion, PathMetadata,
    ProcessEnd, Reply, Stop,
};
pub use end::{End, Invocation, Report};
pub use error::Error;
pub use inspect::MAX_COMPONENT_BYTES;
pub use kill::Kill;
pub use limits::Limits;
pub use pack::{own_program, program_without_pack};
pub use plugin::{CallOptions, Outcome, Plugin};
pub use prepared::PreparedAction;
pub use runtime::ThreadPlace;
pub use sandbox::{Sandbox, SandboxSetup};
pub use tape::{RecordedTape, Recording, Replaying, Resuming, Tape, TapeEntry, TapePart};
