//! Actions: single steps that a plan or a caller proposes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Json;

/// Reach of an action, as its proposer claims. A wider claim can add caution, a narrower one removes none.
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
    /// Everyone, without limits.
    Global,
}

/// Source of an action's proposal.
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

/// One step of one step type, as proposed to the gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// Step type, which selects the executor.
    pub step_type: String,
    /// Input of the step.
    pub input: Json,
    /// The proposer's description; untrusted.
    pub description: String,
    /// Reach that the proposer claims.
    pub scope: Scope,
    /// Source of the proposal, as the host knows it.
    pub origin: Origin,
}
