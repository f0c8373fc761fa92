//! Requests of the gate, and answers of guards.

use super::decision::Decision;
use crate::Verdict;
use crate::verdict::MAX_FINDINGS;

/// Next answer that the gate needs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum GateAsk<'a> {
    /// Effects of the current action: derive them and pass them to [`Gate::previewed`](super::Gate::previewed).
    Preview,
    /// Verdict of the guard at this place in [`GateSetup::guards`](super::GateSetup::guards): pass it to
    /// [`Gate::judged`](super::Gate::judged).
    Judge {
        /// Index of the guard in [`GateSetup::guards`](super::GateSetup::guards).
        guard: usize,
    },
    /// Impact model's estimate of both alternatives: pass it to [`Gate::estimated`](super::Gate::estimated).
    Estimate,
    /// Nothing more: the gate has decided.
    Decided(&'a Decision),
}

/// Answer of a guard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GuardAnswer {
    /// The guard returned a verdict.
    Verdict(Verdict),
    /// The guard trapped, ran out of fuel, timed out, is missing, or gave an invalid answer.
    Failed(String),
}

impl GuardAnswer {
    /// The verdict, or the reason of the failure.
    #[must_use]
    pub fn into_parts(self) -> (Option<Verdict>, Option<String>) {
        match self {
            Self::Verdict(verdict) => (Some(verdict), None),
            Self::Failed(why) => (None, Some(why)),
        }
    }

    /// Turns invalid verdicts into failures; `may_rewrite` says whether a rewrite is valid now.
    #[must_use]
    pub fn checked(self, may_rewrite: MayRewrite) -> Self {
        match self {
            Self::Verdict(verdict) if verdict.rewrite.is_some() && may_rewrite != MayRewrite::Yes => {
                Self::Failed(may_rewrite.why_not().to_owned())
            }
            Self::Verdict(verdict) if verdict.findings.len() > MAX_FINDINGS => {
                Self::Failed(format!("it gave more than {MAX_FINDINGS} findings"))
            }
            other => other,
        }
    }
}

/// Whether a guard may answer with a rewrite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MayRewrite {
    /// The guard may rewrite.
    Yes,
    /// The guard may never rewrite.
    NotGranted,
    /// All rewrites are over: the action that is judged now is the one that will happen.
    TooLate,
    /// A plan cannot be rewritten.
    NotAPlan,
}

impl MayRewrite {
    fn why_not(self) -> &'static str {
        match self {
            Self::Yes | Self::NotGranted => "it rewrote the action, which it did not declare or was not granted",
            Self::TooLate => "it rewrote an action that was rewritten already; its rewrite does not settle",
            Self::NotAPlan => "it rewrote a plan, which no guard may",
        }
    }
}
