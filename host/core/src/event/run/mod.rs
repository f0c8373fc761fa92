//! Events of a run.

mod effects;
mod judging;
mod lifecycle;
mod plan;
mod session;
mod step;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use effects::*;
pub use judging::*;
pub use lifecycle::*;
pub use plan::*;
pub use session::*;
pub use step::*;

use crate::StepId;

/// Defines the enum: a variant holds the struct of its name. `step` gives the step that an event is about.
macro_rules! run_events {
    (
        of_run: $($of_run:ident),+;
        of_step: $($of_step:ident($($path:ident).+)),+;
    ) => {
        /// One entry in the chain of a run.
        #[derive(
            Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, strum::IntoStaticStr, strum::EnumDiscriminants,
        )]
        #[serde(tag = "event", rename_all = "snake_case")]
        #[strum(serialize_all = "snake_case")]
        #[strum_discriminants(
            name(RunEventKind),
            derive(strum::EnumString, strum::IntoStaticStr),
            strum(serialize_all = "snake_case"),
            doc = "Kind of an event of a run, as in its `event` field.",
            expect(missing_docs, reason = "the structs have the docs")
        )]
        #[expect(missing_docs, reason = "the structs have the docs")]
        pub enum RunEvent {
            $($of_run($of_run),)+
            $($of_step($of_step),)+
        }

        impl RunEvent {
            /// Step that the event is about, if any.
            #[must_use]
            pub fn step(&self) -> Option<&StepId> {
                match self {
                    $(Self::$of_run(_) => None,)+
                    $(Self::$of_step(event) => Some(&event.$($path).+),)+
                }
            }
        }

        $(run_events!(@from $of_run);)+
        $(run_events!(@from $of_step);)+
    };
    (@from $event:ident) => {
        impl From<$event> for RunEvent {
            fn from(event: $event) -> Self {
                Self::$event(event)
            }
        }
    };
}

run_events! {
    of_run:
        RunCreated, RunContinued, RunLeft, RunInterrupted, RunPaused, RunResumed, BudgetWarning, RiskPredicted,
        RunStarted, GrantRevoked, RunEnded, PlanJudged, PlanDecided, PlanApprovalRequested, PlanApprovalDecided,
        PluginLogged, SessionOpened, SessionContinued, SessionNoted;
    of_step:
        StepAdded(added.id), StepDelayed(step), StepJudged(step), ApprovalRequested(step), ApprovalDecided(step),
        EffectIntended(step), EffectPerformed(step), EffectNotPerformed(step), EffectRefused(step),
        StepStarted(step), StepResumed(step), StepCompleted(step), StepFailed(step), StepInDoubt(step),
        DoubtDecided(step), StepRetried(step), StepRestored(step), StepSkipped(step), StepProposed(judged.step), StepObserved(step);
}

impl RunEvent {
    /// Name of the event, as in its `event` field.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.into()
    }
}
