//! Commands to a session.

use crate::event::{KillTimes, ObservedOutcome, PluginLogged, SessionContinued, Signed};
use crate::risk::Assessment;
use crate::run::Judging;
use crate::{ApprovalAnswer, ApprovalId, Decider, Digest, StepId};

use super::setup::ReviewBy;

/// A command to a session. Each has a name for messages.
#[derive(Debug, Clone, PartialEq, strum::IntoStaticStr)]
pub enum SessionCommand {
    /// An action was judged.
    #[strum(serialize = "a proposal")]
    Propose {
        /// The judgement of the action, whose gate has decided.
        judging: Box<Judging>,
        /// The proposal.
        proposal: Proposal,
    },
    /// An action is refused before any guard judges it.
    #[strum(serialize = "a refusal")]
    Refuse {
        /// The judgement of the action, before its first answer.
        judging: Box<Judging>,
        /// The proposal.
        proposal: Proposal,
        /// Why, and by whom.
        refusal: Refusal,
    },
    /// An action ended.
    #[strum(serialize = "an outcome")]
    Observe(Observation),
    /// Something happened that is no action.
    #[strum(serialize = "a note")]
    Note {
        /// Kind of the note.
        kind: String,
        /// Digest of its data.
        data: Option<Digest>,
    },
    /// The session goes on under another policy, with other plugins, or in another workspace.
    #[strum(serialize = "going on")]
    Continue(Box<SessionContinued>),
    /// The risk of the session so far.
    #[strum(serialize = "a risk assessment")]
    Assess(Box<Assessment>),
    /// A plugin logged something.
    #[strum(serialize = "a plugin's log")]
    Logged(PluginLogged),
    /// A person's answer to a parked action.
    #[strum(serialize = "an approval")]
    Answer(SessionAnswer),
    /// Pause the session until it is resumed.
    #[strum(serialize = "a pause")]
    Pause {
        /// Name of the person.
        by: String,
        /// Reason of the pause.
        reason: String,
    },
    /// Resume the paused session.
    #[strum(serialize = "going on after a pause")]
    Resume {
        /// Name of the person.
        by: String,
    },
    /// Revoke the approval of everything of a kind.
    #[strum(serialize = "a revocation")]
    Revoke {
        /// Id of the approval.
        grant: ApprovalId,
        /// Name of the person.
        by: String,
    },
    /// End the session, for good.
    #[strum(serialize = "a kill")]
    Kill {
        /// Name of the person.
        by: String,
        /// Times of the kill.
        times: KillTimes,
    },
    /// The session is over.
    #[strum(serialize = "the end")]
    Close {
        /// Why, in words.
        message: String,
    },
}

/// What a program says of an action that it proposes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// Its own name for the call.
    pub call: Option<String>,
    /// Salted digest of step type and input; none where the input holds a secret.
    pub action: Option<Digest>,
    /// Way in which a review gets a person's word.
    pub review: ReviewBy,
}

/// Refusal of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Why, in words.
    pub message: String,
    /// Part of the host that refuses.
    pub by: Decider,
}

/// The end of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// Id of the step.
    pub step: StepId,
    /// How it ended.
    pub outcome: ObservedOutcome,
    /// What happened, in one line.
    pub summary: String,
    /// Digest of what the world answered.
    pub output: Option<Digest>,
    /// Working time in microseconds, as the program says it.
    pub took_us: Option<u64>,
}

/// A person's answer to a parked action.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionAnswer {
    /// Id of the question.
    pub id: ApprovalId,
    /// The answer.
    pub answer: ApprovalAnswer,
    /// Signature of the approver's key, if one was used.
    pub signed: Option<Signed>,
}
