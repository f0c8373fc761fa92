//! Approvals: a person's decision on one exact action with its effects.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Action, Digest, DigestBuilder, Effect, RunId, StepId, json};

/// Digest over everything that an approval is for. Any change to any of it voids the approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Binding(pub Digest);

/// What a binding covers.
#[derive(Debug, Clone, Copy)]
pub struct Bound<'a> {
    /// The run.
    pub run: &'a RunId,
    /// The step.
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
}

impl Binding {
    /// The binding of all this.
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
                .finish(),
        )
    }
}

/// What came of asking a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum ApprovalAnswer {
    /// May happen, exactly so.
    Approved {
        /// Who approved.
        by: String,
        /// How: `terminal`, or the option that approved everything.
        channel: String,
    },
    /// Must not happen.
    Rejected {
        /// Who rejected.
        by: String,
        /// How.
        channel: String,
        /// Why; given to later steps as history.
        reason: String,
    },
    /// Nobody could be asked, or nobody answered in time. Counts as rejected.
    Expired {
        /// Why nobody answered.
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Json, Origin, Scope};

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
            vec![Effect::Write { path: "a".parse().unwrap(), before, after: Digest::of(b"x"), size: 1 }]
        };
        let plugins: BTreeMap<_, _> = [("edit_file".to_owned(), Digest::of(b"1"))].into();
        let others: BTreeMap<_, _> = [("edit_file".to_owned(), Digest::of(b"2"))].into();
        let (one, two) = (action("{}"), action(r#"{"a":1}"#));
        let (new, changed) = (write(None), write(Some(Digest::of(b"y"))));
        let (policy, other_policy) = (Digest::of(b"p"), Digest::of(b"q"));
        let base = Bound {
            run: &run,
            step: &step,
            attempt: 1,
            action: &one,
            effects: &new,
            plugins: &plugins,
            policy: &policy,
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
        ] {
            assert_ne!(Binding::of(other), bound);
        }
    }
}
