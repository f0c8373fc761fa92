//! Read models on SQLite.

use fusebox_core::RunId;

use super::{SqliteStore, read, sessions};
use crate::error::Error;
use crate::events::Snapshot;
use crate::read_models::ReadModels;
use crate::rows::{QuestionRow, RunFilter, RunRow, Switch};

impl ReadModels for SqliteStore {
    fn runs(&self, filter: &RunFilter, max: u32) -> Result<Vec<RunRow>, Error> {
        read::runs(&self.reader(), filter, max)
    }

    fn run(&self, run: &RunId) -> Result<Option<RunRow>, Error> {
        read::run(&self.reader(), run)
    }

    fn session(&self, tenant: &str, origin: &str, external_id: &str) -> Result<Option<RunId>, Error> {
        sessions::newest(&self.reader(), tenant, origin, external_id)
    }

    fn snapshot(&self, run: &RunId) -> Result<Option<Snapshot>, Error> {
        sessions::snapshot(&self.reader(), run)
    }

    fn snapshots(&self, after: Option<&RunId>, max: u32) -> Result<Vec<Snapshot>, Error> {
        sessions::snapshots(&self.reader(), after, max)
    }

    fn unsettled(&self, now_us: u64) -> Result<Vec<RunRow>, Error> {
        read::unsettled(&self.reader(), now_us)
    }

    fn open_questions(&self, max: u32) -> Result<Vec<QuestionRow>, Error> {
        read::open_questions(&self.reader(), max)
    }

    fn questions(&self, prefix: &str) -> Result<Vec<QuestionRow>, Error> {
        read::questions(&self.reader(), prefix)
    }

    fn killed_by(&self, run: &RunId) -> Result<Option<Switch>, Error> {
        read::killed_by(&self.reader(), run)
    }

    fn to_be_killed(&self) -> Result<Vec<RunRow>, Error> {
        read::to_be_killed(&self.reader())
    }

    fn pause_asked(&self, run: &RunId) -> Result<Option<(String, String)>, Error> {
        read::pause_asked(&self.reader(), run)
    }

    fn switches(&self) -> Result<Vec<Switch>, Error> {
        read::switches(&self.reader())
    }
}
