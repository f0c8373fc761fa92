//! Stores the event log and its blobs durably: a run without its log does not exist.
//!
//! ```
//! use fusebox_core::event::{Chain, RunStarted};
//! use fusebox_store::{Batch, Events as _, SqliteStore};
//!
//! # let folder = tempfile::tempdir()?;
//! let store = SqliteStore::open(&folder.path().join("log.sqlite"))?;
//! let run: fusebox_core::RunId = "018f".parse()?;
//! let event = Chain::new(run.clone()).seal(&RunStarted {}.into(), 0);
//! store.append(Batch { events: vec![event], ..Batch::default() }).wait()?;
//! assert_eq!(store.events(&run, 0, 10)?.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Why it is built so: all writes go through one thread that commits all waiting batches as one transaction
//! (`synchronous=FULL`), so that many runs share the price of a disk flush. Events cannot be updated or deleted, not
//! even by this program: triggers refuse it. Another engine can replace SQLite behind [`Store`].

mod audit;
mod blob;
mod coordination;
mod error;
mod events;
mod read_models;
mod rows;
mod sqlite;
mod store;

pub use audit::{AuditLog, CheckpointRow, Leaf, LogReport, Scanned, SignCheckpoints, Signing, TenantReport, Verifying};
pub use blob::{Blob, SALT_BYTES};
pub use coordination::{Coordination, Reservation, Settlement};
pub use error::Error;
pub use events::{Batch, Erased, Erasure, Events, Fence, Pending, Snapshot};
pub use read_models::ReadModels;
pub use rows::{Decided, ListedState, QuestionKind, QuestionRow, RunFilter, RunKind, RunRow, Switch};
pub use sqlite::SqliteStore;
pub use store::Store;
