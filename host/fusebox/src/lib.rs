//! Governs what AI agents do: every action passes sandboxed guards before it happens, and the log keeps why.
//!
//! ```
//! use fusebox::{Host, Plan, RunOptions, RunUpdate};
//!
//! # async fn demo() -> Result<(), Box<dyn std::error::Error>> {
//! # let (home, workspace) = (tempfile::tempdir()?, tempfile::tempdir()?);
//! # std::fs::write(workspace.path().join("notes.txt"), "hello")?;
//! let host = Host::builder().home(home.path()).build()?;
//! let plan = Plan::parse(br#"{"goal": "look", "agent": {"id": "demo"},
//!     "steps": [{"step_type": "read_file", "input": {"path": "notes.txt"}}]}"#)?;
//! let mut run = host.run(plan, RunOptions::new().workspace(workspace.path()))?;
//! while let Some(update) = run.next().await {
//!     if let RunUpdate::Event(event) = update {
//!         println!("{}", event.to_json());
//!     }
//! }
//! assert_eq!(run.finish().await?.state, "COMPLETED");
//! # Ok(()) }
//! # tokio::runtime::Runtime::new().unwrap().block_on(demo()).unwrap();
//! ```
//!
//! The main flow, one call a stage: [`Host::run`] checks the plan and opens the workspace; its driver asks the run's
//! state what comes next and does it: `preview` lets the executor say its effects, `judge` and `estimate` let guards and
//! impact model judge them, `ask_a_person` gets an approval, `execute` carries the step out, and every answer goes
//! through the journal into the log before anything follows from it. [`Host::check`] takes one action through the same
//! gate.
//!
//! Why it is built so: the rules live in `fusebox-core`, which only asks and is told. This crate is the imperative shell
//! that does what is asked, and it never decides.

mod account;
mod adding;
mod approver;
mod audit;
mod board;
mod builder;
mod bundled;
mod check;
mod compiler;
mod control;
mod driver;
mod error;
mod explain;
mod facts;
mod handler;
mod harness;
mod home;
mod host;
mod input;
mod journal;
mod judge;
mod keeping;
mod keys;
mod lease;
mod model_call;
mod now;
mod outputs;
mod pace;
mod place;
mod policy;
mod predicting;
mod primitives;
mod recall;
mod recover;
mod redaction;
mod registry;
mod restore;
mod run;
mod runs;
mod sinks;
mod summary;
mod switches;
mod updates;
mod watchman;

pub use approver::{
    Answer, AnswerFuture, ApprovalRequest, ApproveAll, ApproveLater, ApproveNothing, Approver, Extent, Subject,
};
pub use audit::{
    Audit, ConsistencyProof, EraseOptions, ExportOptions, Exported, LogVerdict, Record, RecordKind, VerifyOptions,
};
pub use builder::{HostBuilder, Notice, RecordChecks};
pub use check::{CheckEffects, Proposal};
pub use compiler::{CompileLimits, CompilePlace, OnCompile, serve_launcher};
pub use control::{
    Answering, Asked, Control, HeldGrant, KillOutcome, ListedRun, OpenQuestion, PauseOutcome, Recovered,
};
pub use error::Error;
pub use explain::{ExplainedCall, explain};
pub use fusebox_core::audit as proofs;
pub use fusebox_core::event::{Event, EventRef, RunEnd};
pub use fusebox_core::explain::{Explained, Explanation, Phase};
pub use fusebox_core::{
    self as core, ApprovalAnswer, Decision, Effect, KillTarget, Plan, Policy, Ruling, RunId, RunLimits,
};
pub use fusebox_effects::{Confinement, Holds, Protected, Workspace};
pub use fusebox_risk::{self as risk, Explained as ExplainedScore, Outcome, OutcomeKind};
pub use fusebox_sandbox as sandbox;
pub use fusebox_store::Error as StoreError;
pub use fusebox_store::{
    CheckpointRow, Decided, Erased, Erasure, ListedState, QuestionKind, QuestionRow, RunFilter, RunRow, Switch,
};
pub use harness::Harness;
pub use home::Home;
pub use host::Host;
pub use input::{read_file, read_from};
pub use keys::{ApproverKey, KnownKeys};
pub use now::{now_us, rfc3339};
pub use pace::BreakerTurn;
pub use policy::{LoadedPolicy, PROJECT_FILE, ProjectPolicy, Setting, Trust, TrustState};
pub use predicting::{Overruled, Predictor};
pub use primitives::{BudgetLedger, CallError, CircuitBreaker, RateLimiter, Reservation};
pub use registry::Loaded;
pub use run::{Killer, Run, RunOptions, Until};
#[cfg(feature = "otel")]
pub use sinks::{Arguments, OtelSink};
pub use sinks::{JsonlSink, LoggedEvent, MemorySink, Sink, SinkStatus, StdoutSink, Subscription, WebhookSink};
pub use summary::{StepSummary, Summary, Waiting};
pub use updates::{OutputStream, RunEvent, RunUpdate};
