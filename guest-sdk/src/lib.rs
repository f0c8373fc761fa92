//! Writes Fusebox plugins in Rust: one trait and one line per kind, no WIT in your crate.
//!
//! A guard that asks a person before a lock file changes:
//!
//! ```
//! use fusebox_sdk::prelude::*;
//!
//! struct LockFiles;
//!
//! impl Guard for LockFiles {
//!     type Settings = NoSettings;
//!
//!     fn about() -> About {
//!         About::new("lock-files", "0.1.0", "Asks before a lock file changes.")
//!     }
//!
//!     fn check(_: &Action, effects: &[Effect], _: &NoSettings) -> Verdict {
//!         match effects.iter().position(|effect| effect.path().is_some_and(|path| path.ends_with(".lock"))) {
//!             Some(index) => Verdict::review(Finding::warning("lock-file", "Changes a lock file.").on(index)),
//!             None => Verdict::abstain(),
//!         }
//!     }
//! }
//!
//! fusebox_sdk::export_guard!(LockFiles);
//! ```
//!
//! Build it for `wasm32-unknown-unknown` as a `cdylib`; the host takes the core module as it is, or a component made
//! from it with `wit-component`. Build against the oldest host you want to support: a newer host serves older plugins,
//! an older host may lack a function that a newer SDK imports.
//!
//! The kinds are [`Guard`], [`ImpactModel`] and [`Executor`]. Functions of the host are in [`context`], [`log`] and,
//! for executors, [`payloads`], [`workspace`], [`process`], [`model`] and [`progress`]. Outside of wasm these call the
//! in-memory fakes of [`testing`], so plugin logic is tested with a plain `cargo test`, without a host.
//!
//! Why it is built so: everything a plugin can get wrong at the edge (parsing settings and input, schemas, panics that
//! vanish) is done here once, and an author writes rules only. On wasm the export macros also install [`Arena`], which
//! keeps a short call from growing its memory: that is half the time of a fresh call.

// The macros and generated code name this crate by its name, also in its own tests.
extern crate self as fusebox_sdk;

mod about;
mod arena;
#[doc(hidden)]
pub mod bindings;
mod executor;
mod guard;
mod host;
mod impact;
mod prompt;
mod settings;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod types;

pub use about::{About, Annotations};
pub use arena::Arena;
pub use executor::{__execute, __preview, __undo, Done, Executor, NoDelta};
pub use guard::{__guard_with_settings, Guard};
pub use host::{context, log, model, payloads, process, progress, workspace};
pub use impact::{Alternative, Estimate, Factor, ImpactModel};
pub use prompt::{ModelSettings, Prompt};
pub use settings::{NoSettings, check_settings_json, parse_json, settings_or_default};
pub use types::{
    Action, Effect, Failure, Finding, MAX_FINDINGS, Origin, OtherEffect, Payload, Plan, PlanStep, PromptEffect,
    ReadEffect, RemoveEffect, Ruling, RunEffect, RunLimits, Scope, Severity, Verdict, WriteEffect,
};

#[doc(hidden)]
pub use wit_bindgen;

/// Everything that a plugin usually needs.
pub mod prelude {
    pub use crate::{
        About, Action, Alternative, Annotations, Done, Effect, Estimate, Executor, Factor, Failure, Finding, Guard,
        ImpactModel, ModelSettings, NoDelta, NoSettings, Plan, Prompt, Ruling, Scope, Severity, Verdict,
    };
    pub use schemars::{self, JsonSchema};
    pub use serde::{self, Deserialize, Serialize};
}
