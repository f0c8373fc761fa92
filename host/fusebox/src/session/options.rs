//! Options of a session, and what is proposed and observed in it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fusebox_core::event::ObservedOutcome;
use fusebox_core::id::DEFAULT_TENANT;
use fusebox_core::session::ReviewBy;
use fusebox_core::{Action, Agent, Json, ProposedEffect, StepId};

/// Longest wait for other processes that work on the same session.
const PATIENCE: Duration = Duration::from_secs(5);

/// Options of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionOptions {
    pub(crate) agent: Agent,
    pub(crate) tenant: String,
    pub(crate) origin: String,
    pub(crate) external_id: String,
    pub(crate) workspace: PathBuf,
    pub(crate) goal: String,
    pub(crate) patience: Duration,
}

impl SessionOptions {
    /// A session in a workspace. `origin` names the program that carries its steps out (1 to 64 letters, digits, `.`, `_` or
    /// `-`), `external_id` the session there (1 to 256 characters): the same pair is the same session, from any process.
    #[must_use]
    pub fn new(agent: Agent, origin: impl Into<String>, external_id: impl Into<String>) -> Self {
        Self {
            agent,
            tenant: DEFAULT_TENANT.to_owned(),
            origin: origin.into(),
            external_id: external_id.into(),
            workspace: PathBuf::from("."),
            goal: String::new(),
            patience: PATIENCE,
        }
    }

    /// The folder that the session works in; the current one without it.
    #[must_use]
    pub fn workspace(mut self, folder: impl Into<PathBuf>) -> Self {
        self.workspace = folder.into();
        self
    }

    /// Tenant that owns the session, instead of `default`.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = tenant.into();
        self
    }

    /// Goal of the session, for people: what the list of runs shows.
    #[must_use]
    pub fn goal(mut self, goal: impl Into<String>) -> Self {
        self.goal = goal.into();
        self
    }

    /// Longest wait for other processes that work on the same session.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }
}

/// Tells the effects of an action with another input, which a guard put in the place of the proposed one.
pub type Revise = Arc<dyn Fn(&Json) -> Result<Vec<ProposedEffect>, String> + Send + Sync>;

/// An action that others are about to carry out.
#[derive(Clone)]
pub struct SessionAction {
    /// The action.
    pub action: Action,
    /// Effects as its proposer states them; the host derives the facts in the workspace.
    pub effects: Vec<ProposedEffect>,
    /// Effects of another input. Without it, no guard can rewrite the action.
    pub revise: Option<Revise>,
    /// Name of the call in the program that carries it out, at most 256 characters. A call that is proposed twice is judged
    /// once.
    pub call: Option<String>,
    /// Whether that program can ask its user.
    pub review: ReviewBy,
}

impl std::fmt::Debug for SessionAction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionAction").field("action", &self.action).field("call", &self.call).finish_non_exhaustive()
    }
}

impl SessionAction {
    /// An action with these effects.
    #[must_use]
    pub fn new(action: Action, effects: Vec<ProposedEffect>) -> Self {
        Self { action, effects, revise: None, call: None, review: ReviewBy::Policy }
    }

    /// Names the call.
    #[must_use]
    pub fn call(mut self, call: impl Into<String>) -> Self {
        self.call = Some(call.into());
        self
    }

    /// Lets guards rewrite the input.
    #[must_use]
    pub fn revise(
        mut self,
        revise: impl Fn(&Json) -> Result<Vec<ProposedEffect>, String> + Send + Sync + 'static,
    ) -> Self {
        self.revise = Some(Arc::new(revise));
        self
    }

    /// Says whether the program can ask its user.
    #[must_use]
    pub fn review(mut self, review: ReviewBy) -> Self {
        self.review = review;
        self
    }
}

/// The action that an outcome is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObservedCall {
    /// By the id of its step.
    Step(StepId),
    /// By its name in the program that carried it out.
    Named(String),
    /// By step type and input: the newest one of those that have a name.
    NamedLike {
        /// Step type of the action.
        step_type: String,
        /// Input of the action.
        input: Json,
    },
    /// By step type and input: the newest one.
    Like {
        /// Step type of the action.
        step_type: String,
        /// Input of the action.
        input: Json,
    },
}

/// Outcome of an action that others carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionOutcome {
    /// How it ended.
    pub outcome: ObservedOutcome,
    /// What happened, in one line.
    pub summary: String,
    /// What the world answered. Policy bounds what is kept of it.
    pub output: Option<Json>,
    /// Working time in microseconds, where the program says it.
    pub took_us: Option<u64>,
}
