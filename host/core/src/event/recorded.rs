//! What other programs record of their own actions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Agent, Digest, RunId};

/// An event of the log, by its place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct EventRef {
    /// The run, or another chain of the log.
    pub run_id: RunId,
    /// Place in it, counted from 1.
    pub seq: u64,
}

/// What a program says of an action of its own. Its word only: no guard judged it here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordedAction {
    /// Who acts.
    pub agent: Agent,
    /// What kind of action, such as `send_mail`.
    pub action: String,
    /// One sentence for people.
    pub message: String,
    /// The event that this one follows from, in whichever chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<EventRef>,
    /// Further details as JSON; kept as a blob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Digest>,
}
