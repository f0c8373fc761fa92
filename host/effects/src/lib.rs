//! Performs effects: files of a workspace, processes, and calls of models. They were decided before; here they happen
//! exactly so, or not at all.
//!
//! ```
//! use fusebox_effects::Workspace;
//!
//! # let folder = tempfile::tempdir()?;
//! let workspace = Workspace::open(folder.path())?;
//! let path = "notes/today.txt".parse()?;
//! workspace.write(&path, None, b"hello")?;
//! assert_eq!(workspace.read(&path, 0, 100)?, b"hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Why it is built so: every path is walked part by part from an open handle of the workspace, never following a link,
//! so that neither `..` nor a link swapped in at the wrong moment leads outside. A process is started by the launcher,
//! in a sandbox of its own that ends with it, whether it ends by itself, times out or is dropped.

mod copy;
mod error;
pub mod gateway;
mod isolation;
mod kill_orders;
#[cfg(target_os = "linux")]
pub mod launcher;
mod named_files;
mod process;
mod program;
mod schema;
mod webhook;
mod workspace;

pub use copy::copy_folder;
pub use error::Error;
pub use isolation::{Enforcement, NamespaceMode, ProtectionStatus};
#[cfg(not(target_os = "linux"))]
pub use isolation::{Reach, exposed_in_copy, is_obeyed, unknown_in};
pub use kill_orders::KillOrders;
#[cfg(target_os = "linux")]
pub use launcher::{Reach, exposed_in_copy, is_obeyed, unknown_in};
pub use named_files::{NamingCommand, named_files};
pub use process::{Confinement, ConfinementSetup, Output, ProcessExit, ProcessSpec, StartMode, run_process};
pub use program::{Environment, resolve_program};
pub use schema::CheckedSchema;
pub use webhook::Webhook;
pub use workspace::{Entry, EntryKind, FileState, MAX_ENTRIES, MAX_FILE_BYTES, MAX_SLICE_BYTES, Metadata, Workspace};
