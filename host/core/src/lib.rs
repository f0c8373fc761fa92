//! The rules of Fusebox, without any I/O: plans, actions, effects, verdicts, limits, policies, the ledger, events, and
//! the two state machines that join them, the [`gate`] and the [`run`].
//!
//! ```
//! use fusebox_core::{Plan, Ruling};
//!
//! let plan = Plan::parse(br#"{
//!     "goal": "see what is there",
//!     "agent": {"id": "demo"},
//!     "steps": [{"step_type": "read_file", "input": {"path": "README.md"}}]
//! }"#)?;
//! assert_eq!(plan.steps.len(), 1);
//! assert_eq!(Ruling::Deny.max(Ruling::Allow), Ruling::Deny);
//! # Ok::<(), fusebox_core::Error>(())
//! ```
//!
//! Why it is built so: nothing here reads a clock, a file or a random number. A state machine *asks* (preview this,
//! judge with that guard, ask a person, execute) and takes *commands* as answers; these become events, and its state is
//! made of events alone. So a run can be rebuilt from its log, tested without a sandbox, and reasoned about.

pub mod action;
pub mod agent;
pub mod approval;
pub mod audit;
pub mod breaker;
pub mod budget;
pub mod builtin;
mod codes;
pub mod content;
mod decider;
pub mod describe;
pub mod digest;
pub mod effect;
pub mod error;
pub mod evaluation;
pub mod event;
pub mod explain;
pub mod failure;
pub mod gate;
pub mod history;
pub mod id;
pub mod impact;
pub mod json;
pub mod kill;
pub mod ledger;
pub mod limits;
pub mod path;
pub mod plan;
pub mod plugin_log;
pub mod policy;
pub mod price;
pub mod protected;
pub mod rate;
pub mod risk;
pub mod risk_level;
pub mod run;
pub mod session;
pub mod show;
pub mod signal;
pub mod step_state;
pub mod verdict;

pub use action::{Action, Origin, Scope};
pub use agent::Agent;
pub use approval::{ApprovalAnswer, ApprovalKind, ApprovalScope, Binding};
pub use budget::{BudgetKind, LimitKind};
pub use content::Contents;
pub use decider::Decider;
pub use describe::{Annotations, Description, Kind, StepType};
pub use digest::{Digest, DigestBuilder, blob_digest};
pub use effect::{Effect, ProposedEffect};
pub use error::Error;
pub use evaluation::EvaluationContext;
pub use event::{Event, SealedEvent};
pub use failure::Failure;
pub use gate::{Decision, Gate, GateAsk, GateSetup};
pub use id::{ApprovalId, RunId, StepId};
pub use impact::{Estimate, Impact, ImpactClass};
pub use json::Json;
pub use kill::KillTarget;
pub use ledger::{Amounts, Ledger};
pub use limits::{LimitSource, RunLimits};
pub use path::WorkspacePath;
pub use plan::{Plan, Step};
pub use plugin_log::{LogLevel, LogLine, PluginLog};
pub use policy::Policy;
pub use price::Price;
pub use run::{Ask, Command, RunState};
pub use verdict::{Finding, Ruling, Severity, Verdict};
