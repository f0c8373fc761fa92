//! Approvals: a person's decision on one exact action with its effects.

mod kind;
mod run_by_others;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::kind::ApprovalKind;
use crate::{Action, ApprovalId, Digest, DigestBuilder, Effect, Json, Plan, RunId, StepId, json};

/// Digest over everything that an approval is for. Any change to any of it voids the approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Binding(pub Digest);

/// Input of a [`Binding`].
#[derive(Debug, Clone, Copy)]
pub struct Bound<'a> {
    /// Run of the action.
    pub run: &'a RunId,
    /// Step of the action.
    pub step: &'a StepId,
    /// The try, counted from 1.
    pub attempt: u32,
    /// The action with its canonical input.
    pub action: &'a Action,
    /// Its effects, with their `before` digests and resolved programs.
    pub effects: &'a [Effect],
    /// Digests of all plugins in use, by name.
    pub plugins: &'a BTreeMap<String, Digest>,
    /// Digest of the policy.
    pub policy: &'a Digest,
    /// Identity of the workspace.
    pub place: &'a Digest,
}

/// Input of the [`Binding`] of an action in a session. A program that proposes it again gives it another number and
/// description, which change nothing of what happens.
#[derive(Debug, Clone, Copy)]
pub struct BoundInSession<'a> {
    /// Id of the session.
    pub run: &'a RunId,
    /// The action with its canonical input.
    pub action: &'a Action,
    /// Its effects, with their `before` digests and resolved programs.
    pub effects: &'a [Effect],
    /// Digests of all plugins in use, by name.
    pub plugins: &'a BTreeMap<String, Digest>,
    /// Digest of the policy.
    pub policy: &'a Digest,
    /// Identity of the workspace.
    pub place: &'a Digest,
}

/// Input of the [`Binding`] of a whole plan.
#[derive(Debug, Clone, Copy)]
pub struct BoundPlan<'a> {
    /// Run of the plan.
    pub run: &'a RunId,
    /// The plan.
    pub plan: &'a Plan,
    /// Digests of all plugins in use, by name.
    pub plugins: &'a BTreeMap<String, Digest>,
    /// Digest of the policy.
    pub policy: &'a Digest,
    /// Identity of the workspace.
    pub place: &'a Digest,
}

impl Binding {
    /// Computes the binding over all fields of `bound`.
    #[must_use]
    pub fn of(bound: Bound<'_>) -> Self {
        Self(
            DigestBuilder::new("fusebox approval 1")
                .part(bound.run.as_str().as_bytes())
                .part(bound.step.as_str().as_bytes())
                .part(&bound.attempt.to_be_bytes())
                .part(json::canonical(bound.action).as_bytes())
                .part(json::canonical(&bound.effects).as_bytes())
                .part(json::canonical(bound.plugins).as_bytes())
                .part(bound.policy.as_bytes())
                .part(bound.place.as_bytes())
                .finish(),
        )
    }

    /// Computes the binding of an action in a session.
    #[must_use]
    pub fn of_session(bound: BoundInSession<'_>) -> Self {
        let Action { step_type, input, scope, origin, description: _ } = bound.action;
        Self(
            DigestBuilder::new("fusebox session approval 1")
                .part(bound.run.as_str().as_bytes())
                .part(json::canonical(&(step_type, input, scope, origin)).as_bytes())
                .part(json::canonical(&bound.effects).as_bytes())
                .part(json::canonical(bound.plugins).as_bytes())
                .part(bound.policy.as_bytes())
                .part(bound.place.as_bytes())
                .finish(),
        )
    }

    /// Computes the binding of a whole plan, before its first step.
    #[must_use]
    pub fn of_plan(bound: BoundPlan<'_>) -> Self {
        Self(
            DigestBuilder::new("fusebox plan approval 1")
                .part(bound.run.as_str().as_bytes())
                .part(bound.plan.canonical().as_bytes())
                .part(json::canonical(bound.plugins).as_bytes())
                .part(bound.policy.as_bytes())
                .part(bound.place.as_bytes())
                .finish(),
        )
    }
}

/// Scope of an approval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ApprovalScope {
    /// This one action.
    #[default]
    Once,
    /// All further actions of the same exact kind in this run, as well.
    SameKind,
    /// The same until this time, in microseconds since 1970.
    SameKindUntil(u64),
}

/// Outcome of a question to a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum ApprovalAnswer {
    /// The action may happen, exactly as shown.
    Approved {
        /// Approver's name.
        by: String,
        /// Channel of the answer: `terminal`, `command`, a key, the option that approved everything, or an earlier
        /// approval of the same kind.
        channel: String,
        /// The approver's remark.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        note: String,
        /// Further actions of the same [`ApprovalKind`] in this run are approved as well, each when it comes.
        #[serde(default, skip_serializing_if = "is_false")]
        same_kind: bool,
        /// End of that approval, in microseconds since 1970; without it, the end of the run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until_us: Option<u64>,
    },
    /// Another input replaces the proposed one. It makes a new action, which is judged again.
    Edited {
        /// Editor's name.
        by: String,
        /// Channel of the answer, as in `Approved`.
        channel: String,
        /// The editor's remark.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        note: String,
        /// Input that replaces the proposed one.
        input: Json,
    },
    /// A step in doubt did happen, and counts as carried out.
    Happened {
        /// Name of the person who vouches for it.
        by: String,
        /// Channel of the answer, as in `Approved`.
        channel: String,
        /// The person's remark.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        note: String,
    },
    /// The action must not happen.
    Rejected {
        /// Name of the person who rejected it.
        by: String,
        /// Channel of the answer, as in `Approved`.
        channel: String,
        /// Reason of the rejection; given to later steps as history.
        reason: String,
    },
    /// No approver could be asked, or none answered in time. Counts as rejected.
    Expired {
        /// Reason why there was no answer.
        reason: String,
    },
}

impl ApprovalAnswer {
    /// A person approves the action, exactly as shown.
    #[must_use]
    pub fn approve(by: &str, channel: &str, note: &str, scope: ApprovalScope) -> Self {
        let (same_kind, until_us) = match scope {
            ApprovalScope::Once => (false, None),
            ApprovalScope::SameKind => (true, None),
            ApprovalScope::SameKindUntil(until_us) => (true, Some(until_us)),
        };
        Self::Approved { by: by.to_owned(), channel: channel.to_owned(), note: note.to_owned(), same_kind, until_us }
    }

    /// A person puts another input in the place of the proposed one.
    #[must_use]
    pub fn edit(by: &str, channel: &str, note: &str, input: Json) -> Self {
        Self::Edited { by: by.to_owned(), channel: channel.to_owned(), note: note.to_owned(), input }
    }

    /// A person vouches that a step in doubt did happen.
    #[must_use]
    pub fn happened(by: &str, channel: &str, note: &str) -> Self {
        Self::Happened { by: by.to_owned(), channel: channel.to_owned(), note: note.to_owned() }
    }

    /// A person rejects the action.
    #[must_use]
    pub fn reject(by: &str, channel: &str, reason: &str) -> Self {
        Self::Rejected { by: by.to_owned(), channel: channel.to_owned(), reason: reason.to_owned() }
    }

    /// Name of the person who answered; none when the question expired.
    #[must_use]
    pub fn by(&self) -> Option<&str> {
        match self {
            Self::Approved { by, .. }
            | Self::Edited { by, .. }
            | Self::Happened { by, .. }
            | Self::Rejected { by, .. } => Some(by),
            Self::Expired { .. } => None,
        }
    }

    /// The answer in one word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Approved { .. } => "approved",
            Self::Edited { .. } => "edited",
            Self::Happened { .. } => "settled as done",
            Self::Rejected { .. } => "rejected",
            Self::Expired { .. } => "expired",
        }
    }

    /// The text that an approver's key signs: the question and the answer, nothing else.
    #[must_use]
    pub fn signed_text(&self, id: &ApprovalId, binding: &Binding) -> String {
        json::canonical(&("fusebox answer 1", id, binding, self))
    }
}

fn is_false(flag: &bool) -> bool {
    !flag
}

impl ApprovalId {
    /// The id of the question about this binding that stands at this place of its run's log.
    #[must_use]
    pub fn of(binding: &Binding, seq: u64) -> Self {
        let digest =
            DigestBuilder::new("fusebox approval id 1").part(binding.0.as_bytes()).part(&seq.to_be_bytes()).finish();
        Self::beginning(&digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Origin, Scope};

    #[test]
    fn any_change_voids_it() {
        let run: RunId = "run".parse().unwrap();
        let other_run: RunId = "run2".parse().unwrap();
        let step = StepId::numbered(0);
        let action = |input: &str| Action {
            step_type: "edit_file".into(),
            input: Json::parse("input", input.as_bytes(), 100).unwrap(),
            description: String::new(),
            scope: Scope::Workspace,
            origin: Origin::Plan,
        };
        let write = |before: Option<Digest>| {
            vec![Effect::Write { path: "a".parse().unwrap(), before, after: Digest::of(b"x"), size: 1, obeyed: false }]
        };
        let plugins: BTreeMap<_, _> = [("edit_file".to_owned(), Digest::of(b"1"))].into();
        let others: BTreeMap<_, _> = [("edit_file".to_owned(), Digest::of(b"2"))].into();
        let (one, two) = (action("{}"), action(r#"{"a":1}"#));
        let (new, changed) = (write(None), write(Some(Digest::of(b"y"))));
        let (policy, other_policy) = (Digest::of(b"p"), Digest::of(b"q"));
        let (place, other_place) = (Digest::of(b"/a"), Digest::of(b"/b"));
        let base = Bound {
            run: &run,
            step: &step,
            attempt: 1,
            action: &one,
            effects: &new,
            plugins: &plugins,
            policy: &policy,
            place: &place,
        };
        let bound = Binding::of(base);
        assert_eq!(Binding::of(base), bound);
        for other in [
            Bound { run: &other_run, ..base },
            Bound { step: &StepId::numbered(1), ..base },
            Bound { attempt: 2, ..base },
            Bound { action: &two, ..base },
            Bound { effects: &changed, ..base },
            Bound { plugins: &others, ..base },
            Bound { policy: &other_policy, ..base },
            Bound { place: &other_place, ..base },
        ] {
            assert_ne!(Binding::of(other), bound);
        }
    }
}
