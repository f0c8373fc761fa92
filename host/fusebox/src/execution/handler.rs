//! Answers host calls of executors.
//!
//! During a preview, reads are answered and nothing else. During a step, each call is judged (an effect that was allowed
//! or approved covers it, or guards allow it then and there), its intent is made durable, it is performed, and its
//! result is recorded. A read that was allowed with the step needs no intent of its own: its permission is in the log,
//! and a repeated read does no harm.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fusebox_core::event::{ApprovedRead, EffectIntended, EffectRefused, Judgement, RunEvent};
use fusebox_core::run::{DriverCommand, EffectRequest, HostCallJudgement};
use fusebox_core::show::safe_line;
use fusebox_core::{Action, Amounts, Effect, EvaluationContext, Failure, Gate, StepId, WorkspacePath, json};
use fusebox_effects::gateway::Quote;
use fusebox_effects::{Output, ProcessSpec, run_process};
use fusebox_sandbox::{
    EffectHandler, HandlerFuture, HostAnswer, HostCall, Kill, PreparedAction, ProcessEnd, RecordedTape, Reply, Stop,
};
use parking_lot::Mutex as StdMutex;
use tokio::sync::{Mutex, mpsc};

use crate::error::Error;
use crate::execution::undo::{self, Undo};
use crate::gate::effects;
use crate::gate::judge::{self, Judging};
use crate::gate::preview::ReadOnlyHandler;
use crate::journal::Journal;
use crate::journal::updates::{OutputStream, RunUpdate};
use crate::services::Services;
use crate::signals::listener::SignalListener;

/// Bytes of each output stream that a process leaves to its executor.
const KEEP_OUTPUT_BYTES: usize = 256 * 1024;
/// Most wall time of a process whose step sets none.
const DEFAULT_PROCESS_TIME: Duration = Duration::from_secs(600);
/// Most effects of one step that are recorded, refused ones included: the log must have a bound.
const MAX_RECORDED: u32 = 1000;
/// Most bytes that one step writes in all, refused ones included: they wait in memory and are kept in the log.
const MAX_WRITTEN_BYTES: u64 = 1024 * 1024 * 1024;
/// Longest word on progress that is passed on, in characters: it waits in memory until it is shown.
const MAX_PROGRESS_CHARS: usize = 200;

/// Error that stopped a handler, for the caller of the executor.
pub type StopReason = Arc<StdMutex<Option<Error>>>;

/// Files of the approved effects that a step read, for the event of its end.
pub type ApprovedReads = Arc<StdMutex<Vec<ApprovedRead>>>;

/// The handler of a step that is carried out.
pub struct StepHandler {
    pub reads: ReadOnlyHandler,
    pub services: Arc<Services>,
    pub journal: Arc<Mutex<Journal>>,
    pub step: StepId,
    pub action: Action,
    pub situation: Arc<EvaluationContext>,
    pub kill: Kill,
    pub updates: mpsc::UnboundedSender<RunUpdate>,
    pub stop_reason: StopReason,
    /// Effects that were allowed or approved with the step.
    pub approved: Vec<Effect>,
    /// Paths already recorded as read: slices of one file are one effect.
    pub read: BTreeSet<WorkspacePath>,
    /// Files of the approved effects that were read.
    pub approved_reads: ApprovedReads,
    /// Effects that were recorded, refused ones included.
    pub recorded: u32,
    /// Bytes of all writes so far.
    pub written: u64,
    /// Answers to the executor so far.
    pub tape: RecordedTape,
    /// Start of the part of the tape that is not stored yet.
    pub part_from: usize,
    /// Listens to requests of other processes about the run.
    pub signals: Arc<SignalListener>,
}

/// An effect that is about to happen.
struct Intent {
    effect: Effect,
    judgement: HostCallJudgement,
    note: Option<String>,
    /// Most amounts that the call may cost.
    reserve: Amounts,
}

impl EffectHandler for StepHandler {
    fn call(&mut self, call: HostCall) -> HandlerFuture<'_> {
        Box::pin(async move {
            self.signals.peek();
            if self.kill.is_killed() {
                return Err(Stop::Killed);
            }
            match self.answer(call).await {
                Ok(reply) => {
                    // What ended may have been ended by a kill, which a process that was stopped has not seen yet.
                    self.signals.peek();
                    if self.kill.is_killed() { Err(Stop::Killed) } else { Ok(reply) }
                }
                Err(error) => {
                    let message = error.to_string();
                    *self.stop_reason.lock() = Some(error);
                    Err(Stop::HostFailed { message })
                }
            }
        })
    }

    fn progress(&mut self, message: &str, fraction: Option<f64>) {
        // What a step says may follow from what it read, and its start comes first.
        let is_durable = self.journal.try_lock().is_ok_and(|mut journal| journal.is_durable().unwrap_or(false));
        if !is_durable {
            return;
        }
        let (step, message) = (self.step.clone(), message.chars().take(MAX_PROGRESS_CHARS).collect());
        // The run may have no subscriber.
        let _ = self.updates.send(RunUpdate::Progress { step, message, fraction });
    }
}

impl StepHandler {
    /// Judges, journals and performs one call. An error means that the log cannot be written: the step must end.
    async fn answer(&mut self, call: HostCall) -> Result<Reply, Error> {
        if matches!(call, HostCall::Cancelled) {
            return Ok(Ok(HostAnswer::Flag(self.kill.is_killed())));
        }
        let needed = match self.needed(&call, &self.approved) {
            Ok(needed) => needed,
            Err(failure) => return Ok(Err(failure)),
        };
        if let Effect::Read { path } = &needed
            && self.read.contains(path)
        {
            return Ok(self.reads.answer(&call));
        }
        if self.recorded == MAX_RECORDED {
            return Ok(Err(Failure::Limit(format!("a step may have {MAX_RECORDED} effects"))));
        }
        self.recorded += 1;
        if let Effect::Read { path } = &needed
            && let Some(place) = self.approved.iter().position(|effect| effect.covers(&needed))
        {
            // Its permission is in the log with the step, and the end of the step says that it was used.
            let reply = self.reads.answer(&call);
            let (effect, failure) = (u32::try_from(place).unwrap_or(u32::MAX), reply.as_ref().err().cloned());
            self.approved_reads.lock().push(ApprovedRead { effect, failure });
            self.read.insert(path.clone());
            return Ok(reply);
        }
        if let Effect::Write { size, .. } = &needed {
            self.written = self.written.saturating_add(*size);
            if self.written > MAX_WRITTEN_BYTES {
                return Ok(Err(Failure::Limit(format!("a step may write {MAX_WRITTEN_BYTES} bytes in all"))));
            }
        }
        let covering = self.journal.lock().await.state.covering(&needed);
        let judgement = match covering {
            Some(_) => HostCallJudgement::NotNeeded,
            None => self.judge(&needed, &call).await?,
        };
        let note = matches!(needed, Effect::Run { .. }).then(|| self.services.confinement.describe());
        let quote = match self.quote(&call).await {
            Ok(quote) => quote,
            Err(failure) => return Ok(Err(failure)),
        };
        let reserve = quote.as_ref().map(Quote::amounts).unwrap_or_default();
        // The board may lack a request whose sender ended before writing it.
        self.signals.poll_log();
        if self.kill.is_killed() {
            return Ok(Err(Failure::Cancelled));
        }
        let undo = match undo::undo(&needed, &self.reads.workspace, &self.situation.contents) {
            Ok(undo) => undo,
            Err(failure) => return Ok(Err(failure)),
        };
        let intent = Intent { effect: needed.clone(), judgement, note, reserve };
        let place = match self.intend(intent, &call, undo.as_ref()).await? {
            Ok(place) => place,
            Err(failure) => return Ok(Err(failure)),
        };
        #[cfg(feature = "failpoints")]
        fusebox_failpoint::reached("effect: intended");
        let (reply, spent, model) = match quote {
            Some(quote) => self.ask_model(&quote, &call).await,
            None => (self.perform(call, &needed).await, Amounts::new(), None),
        };
        #[cfg(feature = "failpoints")]
        fusebox_failpoint::reached("effect: performed");
        let mut journal = self.journal.lock().await;
        let failure = reply.as_ref().err().cloned();
        let answer = Some(journal.blob(Bytes::from(json::canonical(&reply))));
        let inverse = undo.filter(|_| reply.is_ok()).map(|undo| Box::new(undo.inverse));
        journal.submit(DriverCommand::HostCallDone { call: place, failure, spent, model, answer, inverse })?;
        if let Effect::Read { path } = needed {
            self.read.insert(path);
        }
        journal.flush().await?;
        Ok(reply)
    }

    /// The effect that a call is, as the host finds the world now.
    fn needed(&self, call: &HostCall, approved: &[Effect]) -> Result<Effect, Failure> {
        let grants = self.reads.grants;
        let granted = match call {
            HostCall::Run { .. } => grants.process,
            HostCall::Complete { .. } => grants.model,
            _ => grants.workspace,
        };
        if !granted {
            return Err(Failure::Denied(format!("this executor has no grant for {}", call.name())));
        }
        match call {
            HostCall::Stat { path } | HostCall::Read { path, .. } | HostCall::List { path } => {
                Ok(Effect::Read { path: effects::path_of(path)? })
            }
            HostCall::Write { path, sha256, size, .. } => {
                let path = effects::path_of(path)?;
                // Whether the file is still as it was when this was approved is checked at the moment of writing.
                let same = |effect: &&Effect| matches!(effect, Effect::Write { path: to, after, .. } if *to == path && after == sha256);
                if let Some(effect) = approved.iter().find(same) {
                    return Ok(effect.clone());
                }
                let before = self.reads.workspace.state(&path)?.map(|state| state.digest);
                let obeyed =
                    effects::is_obeyed(&self.reads.workspace, &path, &self.services.execution_environment.protected)?;
                Ok(Effect::Write { path, before, after: *sha256, size: *size, obeyed })
            }
            HostCall::Remove { path } => {
                let path = effects::path_of(path)?;
                let same = |effect: &&Effect| matches!(effect, Effect::Remove { path: to, .. } if *to == path);
                if let Some(effect) = approved.iter().find(same) {
                    return Ok(effect.clone());
                }
                let before = self.reads.workspace.state(&path)?.map(|state| state.digest);
                let obeyed =
                    effects::is_obeyed(&self.reads.workspace, &path, &self.services.execution_environment.protected)?;
                Ok(Effect::Remove { path, before, obeyed })
            }
            HostCall::Run { argv, cwd, .. } => self.needed_run(argv, cwd, approved),
            HostCall::Complete { model, sha256, size, max_output_tokens, .. } => Ok(Effect::Prompt {
                model: model.clone(),
                content: *sha256,
                size: *size,
                max_output_tokens: *max_output_tokens,
            }),
            HostCall::Cancelled => Err(Failure::Unsupported("it is no effect".to_owned())),
        }
    }

    fn needed_run(&self, argv: &[String], cwd: &str, approved: &[Effect]) -> Result<Effect, Failure> {
        let now = effects::run(argv.to_vec(), cwd, &self.reads.workspace, &self.services.execution_environment)?;
        let Effect::Run { cwd: folder, program, .. } = &now else { return Ok(now) };
        let same =
            |effect: &&Effect| matches!(effect, Effect::Run { argv: words, cwd, .. } if words == argv && cwd == folder);
        match approved.iter().find(same) {
            Some(Effect::Run { program: then, .. }) if then != program => {
                Err(Failure::Conflict(format!("{} is now {program}; it was {then}", argv.join(" "))))
            }
            // With other files or variables it is another effect, which is judged now.
            _ => Ok(now),
        }
    }

    /// Lets guards judge one effect that no approved effect covers.
    async fn judge(&self, effect: &Effect, call: &HostCall) -> Result<HostCallJudgement, Error> {
        let mut journal = self.journal.lock().await;
        let mut situation = (*self.situation).clone();
        if let HostCall::Write { content, .. } | HostCall::Complete { content, .. } = call {
            // Guards see the new content, and the log stores it.
            situation.contents.insert(content.clone());
            journal.look_through(effect, Some(content));
            journal.content(content.clone());
        } else {
            journal.look_through(effect, None);
        }
        let mut gate = Gate::new(Arc::clone(&self.services.registry.gate), journal.state.approval_reasons());
        let fuel = journal.fuel_for_next()?;
        drop(journal);
        gate.previewed(vec![effect.clone()]);
        let judged = PreparedAction::new(&self.action, std::slice::from_ref(effect), Arc::new(situation));
        let (mut revise, mut reports) = (judge::no_revision, Vec::new());
        let judging = Judging { fuel, kill: &self.kill, revise: &mut revise, reports: Some(&mut reports) };
        let (decision, usage) = judge::through(&self.services.registry, &mut gate, judged, judging);
        let mut journal = self.journal.lock().await;
        for report in reports {
            journal.keep_log(&report.plugin, &report.log)?;
        }
        let judgement = |decision| HostCallJudgement::Decided(Box::new(Judgement { decision, usage }));
        Ok(decision.map_or(HostCallJudgement::NotNeeded, judgement))
    }

    /// Records that an effect is about to happen, or that it is refused. This is durable at once, with the executor's
    /// previous answers and the effect's inverse.
    async fn intend(
        &mut self,
        intent: Intent,
        call: &HostCall,
        undo: Option<&Undo>,
    ) -> Result<Result<u32, Failure>, Error> {
        let Intent { effect, judgement, note, reserve } = intent;
        let mut journal = self.journal.lock().await;
        let mut over = None;
        for (kind, amount) in &reserve {
            match journal.cover(*kind, *amount) {
                Err(error @ fusebox_store::Error::BudgetExceeded { .. }) => over = Some((*kind, error.to_string())),
                other => other?,
            }
        }
        let (part, recorded) = self.tape.part(self.part_from, call);
        let part = journal.as_blob(Bytes::from(part));
        let asked = Some(part.digest());
        let events =
            journal.submit(DriverCommand::HostCall(EffectRequest { effect, judgement, note, reserve, over, asked }))?;
        match events.first() {
            Some(RunEvent::EffectIntended(EffectIntended { call, .. })) => {
                journal.keep(part);
                if let Some(bytes) = undo.and_then(|undo| undo.keep.clone()) {
                    journal.content(bytes);
                }
                // The next part begins behind this call and its answer.
                self.part_from = recorded + 1;
                journal.flush().await?;
                Ok(Ok(*call))
            }
            Some(RunEvent::EffectRefused(EffectRefused { reason, effect, budget, .. })) => {
                let refused = format!("{} was refused: {reason}", effect.name());
                journal.flush().await?;
                Ok(Err(if budget.is_some() { Failure::Budget(refused) } else { Failure::Denied(refused) }))
            }
            _ => Ok(Err(Failure::Denied("the step is over".to_owned()))),
        }
    }

    async fn perform(&self, call: HostCall, effect: &Effect) -> Reply {
        let workspace = &self.reads.workspace;
        match (call, effect) {
            (HostCall::Write { content, .. }, Effect::Write { path, before, .. }) => {
                workspace.write(path, before.as_ref(), &content)?;
                Ok(HostAnswer::Done)
            }
            (HostCall::Remove { .. }, Effect::Remove { path, before, .. }) => {
                workspace.remove(path, before.as_ref())?;
                Ok(HostAnswer::Done)
            }
            (HostCall::Run { time_limit_us, .. }, Effect::Run { argv, program, cwd, .. }) => {
                let limit = time_limit_us.map_or(DEFAULT_PROCESS_TIME, Duration::from_micros);
                let spec = ProcessSpec {
                    // One of the workspace is relative to it.
                    program: workspace.root().join(program),
                    argv: argv.clone(),
                    cwd: cwd.clone(),
                    workspace: workspace.open_folder(&WorkspacePath::default())?,
                    workspace_path: workspace.root().to_path_buf(),
                    environment: self.services.execution_environment.environment.clone(),
                    time_limit: Some(limit.min(DEFAULT_PROCESS_TIME)),
                    kill: Some(self.signals.orders()),
                    keep_bytes: KEEP_OUTPUT_BYTES,
                };
                let exit =
                    run_process(spec, &self.services.confinement, |stream, bytes| self.output(stream, bytes)).await?;
                let quarantined = match exit.quarantined {
                    Some(made) => Some(self.journal.lock().await.cleaned(&made)),
                    None => None,
                };
                match (exit.stopped_by, quarantined) {
                    (Some(why), None) => return Err(Failure::Limit(format!("the command was stopped: {why}"))),
                    (Some(why), Some(made)) => {
                        return Err(Failure::Limit(format!("the command was stopped: {why}; {made}")));
                    }
                    (None, Some(made)) => {
                        let advice = "[guards.protected-paths.settings] can except it";
                        return Err(Failure::Denied(format!("the command ended, but {made}; {advice}")));
                    }
                    (None, None) => {}
                }
                if exit.code == Some(0)
                    && let Some(files) = kept_by_git(&exit.stderr)
                {
                    return Err(Failure::Denied(format!(
                        "the command ended, but Git could not change {files}, which is protected: a commit would bring the \
                         content back that is there; change branches yourself, or except it in \
                         [guards.protected-paths.settings]"
                    )));
                }
                Ok(HostAnswer::Process(ProcessEnd {
                    code: exit.code,
                    signal: exit.signal,
                    timed_out: exit.timed_out,
                    stdout: exit.stdout,
                    stderr: exit.stderr,
                    stdout_size: exit.stdout_size,
                    stderr_size: exit.stderr_size,
                }))
            }
            (call, Effect::Read { .. }) => self.reads.answer(&call),
            (call, _) => Err(Failure::Unsupported(format!("{} cannot be done here", call.name()))),
        }
    }

    fn output(&self, stream: Output, bytes: &[u8]) {
        let stream = match stream {
            Output::Stdout => OutputStream::Stdout,
            Output::Stderr => OutputStream::Stderr,
        };
        if !bytes.is_empty() {
            // The run may have no subscriber.
            let _ = self.updates.send(RunUpdate::Output { step: self.step.clone(), stream, bytes: bytes.to_vec() });
        }
    }
}

/// Files that Git says it could not replace, because they are protected: it goes on without them and succeeds.
fn kept_by_git(stderr: &[u8]) -> Option<String> {
    const MAX: usize = 10;
    let text = String::from_utf8_lossy(stderr);
    let is_kept = |line: &&str| {
        ["unable to unlink", "unable to create file"].iter().any(|start| line.contains(start))
            && ["Read-only file system", "Device or resource busy"].iter().any(|end| line.ends_with(end))
    };
    let lines = text.lines().filter(is_kept);
    let files: Vec<String> = lines
        .filter_map(|line| line.split_once("unlink").or_else(|| line.split_once("file ")).map(|(_, rest)| rest))
        .filter_map(|rest| rest.rsplit_once(": ").map(|(name, _)| name.trim_start_matches(" old").trim()))
        .map(|name| safe_line(name.trim_matches('\''), 200))
        .take(MAX)
        .collect();
    (!files.is_empty()).then(|| files.join(", "))
}
