//! Governs actions of AI agents: every action passes sandboxed guards before it happens, and the log records the
//! reasons.
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
//! The main flow, one call a stage: [`Host::run`] checks the plan and opens the workspace; its driver reads from the
//! run's state what comes next and does it: `preview` lets the executor state its effects, `judge` and `estimate` let
//! guards and impact model judge them, `ask_a_person` gets an approval, `execute` carries the step out, and every
//! answer goes through the journal into the log before anything follows from it. [`Host::check`] takes one action
//! through the same gate.
//!
//! Why it is built so: the rules live in `fusebox-core`, a state machine without I/O. This crate is the imperative
//! shell that answers its requests, and it never decides.

mod admission;
mod ambient;
mod approval;
mod audit;
mod bundled;
mod check;
mod control;
mod copies;
mod error;
mod execution;
mod gate;
mod hex;
mod home;
mod host;
mod input;
mod journal;
mod kit;
mod log;
mod packing;
mod plugins;
mod policy;
mod prediction;
mod primitives;
mod redaction;
mod run;
mod services;
mod session;
mod signals;
mod sinks;

pub use admission::throttle::BreakerTurn;
pub use ambient::{now_us, rfc3339};
pub use approval::approver::{
    Answer, AnswerFuture, ApprovalRequest, ApproveAll, ApproveLater, ApproveNothing, Approver, Subject,
};
pub use approval::keys::{ApproverKey, KnownKeys};
pub use audit::{
    Audit, ConsistencyProof, EraseOptions, ExportOptions, Exported, LogVerdict, LostEvents, Record, RecordKind,
    VerifyOptions,
};
pub use check::proposal::{CheckEffects, Proposal};
pub use control::outcomes::RiskLabel;
pub use control::{
    Asked, Control, KillOutcome, ListedRun, OpenQuestion, PauseOutcome, Recovered, Responder, StandingApproval,
};
pub use copies::WorkspaceCopy;
pub use error::Error;
pub use fusebox_core::audit as proofs;
pub use fusebox_core::event::{Event, EventRef, HostEvent, RunEnd, RunEvent};
pub use fusebox_core::explain::{Explained, Explanation, Phase};
pub use fusebox_core::{
    self as core, ApprovalAnswer, ApprovalScope, Decision, Effect, KillTarget, Plan, Policy, Ruling, RunId, RunLimits,
};
pub use fusebox_effects::{Confinement, Enforcement, ProtectionStatus, Workspace};
pub use fusebox_risk::{self as risk, Explained as ExplainedScore, Outcome, OutcomeKind};
pub use fusebox_sandbox as sandbox;
pub use fusebox_store as store;
pub use fusebox_store::Error as StoreError;
pub use fusebox_store::{
    CheckpointRow, Decided, Erased, Erasure, ListedState, QuestionKind, QuestionRow, RunFilter, RunKind, RunRow, Switch,
};
pub use gate::report::{CheckReport, PluginReport, PluginRole};
pub use home::Home;
pub use host::Host;
pub use host::builder::HostBuilder;
pub use input::{read_file, read_from};
pub use journal::updates::{EventUpdate, OutputStream, RunLog, RunUpdate};
pub use kit::harness::Harness;
pub use packing::{PackedProgram, pack_program};
pub use plugins::compiler::{CompileLimits, CompilePlace, OnCompile, serve_launcher};
pub use plugins::loaded::Loaded;
pub use policy::{LoadedPolicy, PROJECT_FILE, ProjectPolicy, Setting, Trust, TrustState};
pub use prediction::Predictor;
pub use primitives::{BudgetLedger, CallError, CircuitBreaker, ExplainedCall, RateLimiter, Reservation, explain};
pub use run::handle::Run;
pub use run::options::{RunOptions, StopAt};
pub use run::summary::{StepSummary, Summary, Waiting};
pub use services::{Notice, RecordChecks};
pub use session::handle::{Observed, Session};
pub use session::options::{ObservedCall, Revise, SessionAction, SessionOptions, SessionOutcome};
pub use signals::stop::StopHandle;
#[cfg(feature = "otel")]
pub use sinks::{Arguments, OtelSink};
pub use sinks::{JsonlSink, LoggedEvent, MemorySink, Sink, SinkStatus, StdoutSink, Subscription, WebhookSink};
