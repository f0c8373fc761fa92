//! What somebody wants done.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Json;

/// How far an action reaches, as its proposer claims. A wider claim can add caution, a narrower one removes none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Files and processes of the workspace.
    #[default]
    Workspace,
    /// The person on whose behalf the agent acts.
    User,
    /// A group of people.
    Cohort,
    /// Everybody.
    Global,
}

/// Who proposed an action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A step of a plan.
    Plan,
    /// A person, for instance by editing a step.
    Person,
    /// A hook of a coding agent.
    Hook,
    /// An MCP tool call.
    Mcp,
    /// A program that embeds the host.
    Embedder,
}

/// One step of one step type that somebody wants carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// Decides which executor serves it.
    pub step_type: String,
    /// The step's input.
    pub input: Json,
    /// The proposer's own words; untrusted.
    pub description: String,
    /// The proposer's own claim.
    pub scope: Scope,
    /// Who proposed it, as the host knows.
    pub origin: Origin,
}
