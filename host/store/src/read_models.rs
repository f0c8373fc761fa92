//! The role *read models*: tables derived from events, updated within the transaction that writes them.

use fusebox_core::RunId;

use crate::error::Error;
use crate::events::Snapshot;
use crate::rows::{QuestionRow, RunFilter, RunRow, Switch};

/// Lists of runs, questions, pauses and kill switches.
pub trait ReadModels {
    /// The newest runs that pass a filter, newest first, at most `max`.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn runs(&self, filter: &RunFilter, max: u32) -> Result<Vec<RunRow>, Error>;

    /// One run, if it is there.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn run(&self, run: &RunId) -> Result<Option<RunRow>, Error>;

    /// The newest session of a tenant with this id, which its program gave it.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn session(&self, tenant: &str, origin: &str, external_id: &str) -> Result<Option<RunId>, Error>;

    /// The last kept state of a session.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn snapshot(&self, run: &RunId) -> Result<Option<Snapshot>, Error>;

    /// Kept states of sessions behind `after`, by the ids of their runs, at most `max`.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn snapshots(&self, after: Option<&RunId>, max: u32) -> Result<Vec<Snapshot>, Error>;

    /// Runs that may need settling: those that were last under way and have not been settled since, and those with an
    /// expired question.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn unsettled(&self, now_us: u64) -> Result<Vec<RunRow>, Error>;

    /// Questions that are open, oldest first, at most `max`.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn open_questions(&self, max: u32) -> Result<Vec<QuestionRow>, Error>;

    /// Questions whose ids begin so, open or not; two at the most.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn questions(&self, prefix: &str) -> Result<Vec<QuestionRow>, Error>;

    /// The kill switch that ends a run, if there is one: set, or set since the run was created and lifted again.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn killed_by(&self, run: &RunId) -> Result<Option<Switch>, Error>;

    /// Unfinished runs that a kill switch ends.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn to_be_killed(&self) -> Result<Vec<RunRow>, Error>;

    /// Requester and reason of a pause that has not taken place yet.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn pause_asked(&self, run: &RunId) -> Result<Option<(String, String)>, Error>;

    /// Kill switches that are set.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn switches(&self) -> Result<Vec<Switch>, Error>;
}
