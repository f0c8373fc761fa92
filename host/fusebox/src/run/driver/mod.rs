//! Carries out a run: does what its state requests, and passes the answers back.

mod admit;
mod ask;
mod judge;
mod resume;
mod retry;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fusebox_core::evaluation::{Risk, StepOutputs};
use fusebox_core::event::{KillTimes, RunEvent, StepEnd, Usage};
use fusebox_core::run::{DriverCommand, Judging, PersonCommand, ProcessCommand, Resumption, StepDone, StepFailure};
use fusebox_core::{Ask, Contents, Digest, Effect, EvaluationContext, Failure};
use fusebox_effects::Workspace;
use fusebox_sandbox::{End, Kill, Limits, RecordedTape, Recording, Report, Resuming, TapeEntry};
use fusebox_store::Blob;
use tokio::sync::{Mutex, MutexGuard, mpsc};

use crate::admission::throttle::Admitted;
use crate::ambient::now_us;
use crate::approval::approver::{ApprovalRequest, Approver, Subject};
use crate::approval::request;
use crate::error::Error;
use crate::execution::handler::{ApprovedReads, StepHandler, StopReason};
use crate::gate::preview::ReadOnlyHandler;
use crate::journal::Journal;
use crate::journal::outputs::{Held, Outputs};
use crate::journal::updates::RunUpdate;
use crate::plugins::loaded::Loaded;
use crate::plugins::registry::Served;
use crate::run::options::StopAt;
use crate::run::summary::{Summary, Waiting};
use crate::services::Services;
use crate::signals::listener::SignalListener;
use crate::signals::stop::{KillRequest, StopHandle};

/// Everything that carrying out one run needs.
pub struct Driver {
    pub services: Arc<Services>,
    pub workspace: Arc<Workspace>,
    pub approver: Arc<dyn Approver>,
    pub kill: Kill,
    pub stop: StopHandle,
    /// Listens to requests of other processes about the run.
    pub signals: Arc<SignalListener>,
    /// Point up to which the run is carried out.
    pub until: StopAt,
    /// The step that breaker and rate limits admitted, until its outcome is known.
    pub admitted: Option<Admitted>,
    /// Setup under which this process continued the run, if it did not begin it.
    pub resumption: Option<Resumption>,
    /// Another process asked the open question: an approved action is previewed and judged anew before it begins.
    pub is_stale: bool,
    /// Answers to the step under way before its process ended.
    pub answered: Vec<TapeEntry>,
    /// Time at which the work under way had stopped, after a kill.
    pub stopped_us: Option<u64>,
    pub journal: Arc<Mutex<Journal>>,
    pub updates: mpsc::UnboundedSender<RunUpdate>,
    pub outputs: Arc<Outputs>,
    pub contents: Contents,
    /// Amounts that a killed step had used, and its tape.
    pub aborted: (Option<Digest>, Usage),
    /// Reason why a person's last answer was not accepted.
    pub validation_error: Option<String>,
}

/// Beginning of carrying a run out.
pub enum Start {
    /// The run is created.
    Create { created: Box<RunEvent>, blobs: Vec<Blob> },
    /// Another process continues it.
    Continue { resumption: Box<Resumption>, blobs: Vec<Blob> },
}

/// Request of the run, without borrowing its state.
enum NextAction {
    Advance,
    Risk,
    JudgePlan(usize),
    Restore(Vec<Effect>),
    Wait(u64),
    Resume(String),
    Person(Box<ApprovalRequest>),
    Execute,
    Nothing,
}

impl Driver {
    /// Carries the run on: to its end, until it waits for a person, or as far as it was asked to go.
    pub async fn run(mut self, start: Start) -> Result<Summary, Error> {
        let went = self.drive(start).await;
        // Whatever the outcome, a step that did not end makes room for others.
        let given_up = self.give_up_probe();
        let summary = went?;
        given_up.map(|()| summary)
    }

    async fn drive(&mut self, start: Start) -> Result<Summary, Error> {
        self.begin(start).await?;
        let steps_before = self.journal.lock().await.state.history().len();
        let waiting = loop {
            if self.stop.is_killed() && self.stop().await? {
                break None;
            }
            if let Some(by) = self.stop.pause_asked_by() {
                break self.pause(by).await?;
            }
            if self.until == StopAt::NextStep && self.has_ended_one_since(steps_before).await {
                self.journal.lock().await.submit(ProcessCommand::Leave)?;
                break Some(Waiting::NextStep);
            }
            match self.next().await {
                NextAction::Advance => self.advance().await?,
                NextAction::Risk => self.assess().await?,
                NextAction::JudgePlan(place) => self.judge_plan(place).await?,
                NextAction::Restore(restores) => self.restore(&restores).await?,
                NextAction::Wait(until_us) => self.wait(until_us).await?,
                NextAction::Person(request) => {
                    if let Some(waiting) = self.ask_a_person(*request).await? {
                        break Some(waiting);
                    }
                }
                NextAction::Resume(by) => break Some(Waiting::Paused { by }),
                NextAction::Execute => self.execute().await?,
                NextAction::Nothing => break None,
            }
            self.note_outcome().await?;
        };
        let mut journal = self.journal.lock().await;
        journal.release().await?;
        let root = self.workspace.root().to_path_buf();
        // This process could not take the run again: another one has it.
        let waiting = waiting.or(Some(Waiting::Elsewhere));
        Ok(Summary::of(&journal.state, journal.ended.clone(), waiting, root, journal.events()))
    }

    async fn next(&self) -> NextAction {
        let journal = self.journal.lock().await;
        match journal.state.ask() {
            Ask::Advance => NextAction::Advance,
            Ask::Risk => NextAction::Risk,
            Ask::JudgePlan { guard } => NextAction::JudgePlan(guard),
            Ask::Restore { restores } => NextAction::Restore(restores.to_vec()),
            Ask::Wait { until_us } => NextAction::Wait(until_us),
            Ask::PersonOnPlan { question, decision } => {
                let subject = Subject::Plan(Arc::clone(&journal.state.setup().plan));
                NextAction::Person(Box::new(self.request(&journal, subject, question, decision.clone(), &[])))
            }
            Ask::Person { question, decision, effects } => match request::subject(&journal.state) {
                Some(subject) => {
                    NextAction::Person(Box::new(self.request(&journal, subject, question, decision.clone(), effects)))
                }
                None => NextAction::Nothing,
            },
            Ask::PersonOnDoubt { question, message } => match request::doubt(&journal.state, message) {
                Some((subject, decision)) => {
                    NextAction::Person(Box::new(self.request(&journal, subject, question, decision, &[])))
                }
                None => NextAction::Nothing,
            },
            Ask::Resume { by } => NextAction::Resume(by.to_owned()),
            Ask::Execute { .. } => NextAction::Execute,
            Ask::Nothing => NextAction::Nothing,
        }
    }

    /// Ends a run that was killed. Says whether there was anything to end.
    async fn stop(&mut self) -> Result<bool, Error> {
        let stopped_us = self.stopped_us.unwrap_or_else(now_us);
        let KillRequest { by, at_us } =
            self.kill_asked().unwrap_or(KillRequest { by: "the operator".to_owned(), at_us: stopped_us });
        let times = KillTimes::new(at_us, stopped_us);
        if !self.holds_the_run().await? {
            return Ok(true);
        }
        let mut journal = self.journal.lock().await;
        if journal.ended.is_some() {
            return Ok(false);
        }
        let (tape, usage) = std::mem::take(&mut self.aborted);
        journal.submit(PersonCommand::Kill { by, times, tape, usage })?;
        journal.flush().await?;
        Ok(true)
    }

    async fn advance(&mut self) -> Result<(), Error> {
        if !self.may_begin_a_step().await? {
            return Ok(());
        }
        let mut journal = self.journal.lock().await;
        if let Some(judging) = journal.state.judging(journal.now_us()) {
            drop(journal);
            return self.judge_step(judging).await;
        }
        let events = journal.submit(DriverCommand::Advance)?;
        // The content of a denied step is not stored: it may hold secrets.
        let goes_on = |event: &RunEvent| matches!(event, RunEvent::ApprovalRequested(_) | RunEvent::StepStarted(_));
        if events.iter().any(goes_on) {
            for (_, bytes) in self.contents.iter() {
                journal.content(bytes.clone());
            }
        }
        Ok(())
    }

    /// The situation of a step under judgement.
    fn situation_of(&self, journal: &MutexGuard<'_, Journal>, judging: &Judging) -> Arc<EvaluationContext> {
        let mut situation = self.situation(journal);
        let of_step = Arc::make_mut(&mut situation);
        of_step.origin = judging.action().origin.clone();
        of_step.proposed_at = judging.proposed_us();
        situation
    }

    /// The situation of the current step.
    fn situation(&self, journal: &MutexGuard<'_, Journal>) -> Arc<EvaluationContext> {
        let state = &journal.state;
        let setup = state.setup();
        Arc::new(EvaluationContext {
            run: Some(setup.run.clone()),
            agent: setup.plan.agent.clone(),
            tenant: setup.tenant.clone(),
            plan: Some(Arc::clone(&setup.plan)),
            origin: state.action().map_or(fusebox_core::Origin::Plan, |action| action.origin),
            proposed_at: state.proposed_us(),
            position: state.position(),
            risk: state.risk().map(Risk::of),
            budgets: state.budgets(),
            history: state.history().clone(),
            outputs: Arc::clone(&self.outputs) as Arc<dyn StepOutputs>,
            contents: self.contents.clone(),
        })
    }

    /// The executor of the current step. Plans are checked before they run, so there is one.
    fn executor<'a>(&'a self, journal: &Journal) -> Result<(&'a Loaded, &'a Served), Error> {
        let step = journal.state.current();
        let (id, step_type) = step.map(|step| (step.id.to_string(), step.step_type.clone())).unwrap_or_default();
        let registry = &self.services.registry;
        registry.executor(&step_type).ok_or_else(|| registry.unknown_step_type(&id, &step_type))
    }

    async fn execute(&mut self) -> Result<(), Error> {
        let answered = std::mem::take(&mut self.answered);
        let mut journal = self.journal.lock().await;
        // The decision, and that the step starts, are durable before anything leaves the process.
        let only_reads = journal.state.effects().iter().all(Effect::only_reads);
        match only_reads && answered.is_empty() {
            true => journal.hand_over().await?,
            false => journal.flush().await?,
        }
        if let Some(message) = journal.unavailable() {
            let failure = Failure::Other(message);
            let failed = failure_of(&journal, &failure, Usage::default(), None);
            journal.submit(DriverCommand::Failed(failed))?;
            return Ok(());
        }
        let (loaded, served) = self.executor(&journal)?;
        let (Some(action), Some(step)) = (journal.state.action(), journal.state.current().cloned()) else {
            return Ok(());
        };
        let (situation, approved) = (self.situation(&journal), journal.state.effects().to_vec());
        let options = self.options(&mut journal, loaded, step.time_limit_s)?;
        drop(journal);
        if !only_reads {
            // Subscribers receive flushed events before the step begins.
            tokio::task::yield_now().await;
        }
        let tape = RecordedTape::default();

        let (stop_reason, approved_reads) = (StopReason::default(), ApprovedReads::default());
        let live = StepHandler {
            reads: ReadOnlyHandler::new(Arc::clone(&self.workspace), served.grants),
            services: Arc::clone(&self.services),
            journal: Arc::clone(&self.journal),
            step: step.id.clone(),
            action: action.clone(),
            situation: Arc::clone(&situation),
            kill: self.kill.clone(),
            updates: self.updates.clone(),
            stop_reason: Arc::clone(&stop_reason),
            approved,
            read: BTreeSet::new(),
            approved_reads: Arc::clone(&approved_reads),
            recorded: 0,
            written: 0,
            tape: tape.clone(),
            part_from: answered.len(),
            signals: Arc::clone(&self.signals),
        };
        let recording = Recording::onto(tape.clone(), Resuming::new(answered, live));
        #[cfg(feature = "failpoints")]
        fusebox_failpoint::reached("step: started");
        let executed = {
            let executing = loaded.plugin.execute(&action, situation, Box::new(recording), &options);
            tokio::pin!(executing);
            tokio::select! {
                biased;
                executed = &mut executing => executed,
                // A step that takes long is told of as soon as its start is durable.
                durable = Self::all_durable(&self.journal) => {
                    durable?;
                    executing.await
                }
            }
        };
        if self.kill.is_killed() {
            self.stopped_us = Some(now_us());
        }
        if let Some(error) = stop_reason.lock().take() {
            return Err(error);
        }
        let reads = std::mem::take(&mut *approved_reads.lock());
        let Report { usage, log } = executed.report;
        let mut journal = self.journal.lock().await;
        let tape = journal.blob(Bytes::from(tape.take().to_json()));
        journal.keep_log(&action.step_type, &log)?;
        if self.kill.is_killed() {
            drop(journal);
            self.aborted = (Some(tape), usage);
            return Ok(());
        }
        match executed.result {
            Ok(Ok(outcome)) => {
                let output = journal.blob(Bytes::from(outcome.output.as_str().to_owned()));
                let delta = outcome.delta.map(|delta| journal.blob(Bytes::from(delta.as_str().to_owned())));
                let done = StepDone { output, summary: outcome.summary, delta, tape, reads, usage };
                journal.submit(DriverCommand::Completed(done))?;
                if self.outputs.remember(&step.id, output, &outcome.output) == Held::TheLast {
                    journal.flush().await?;
                }
            }
            Ok(Err(failure)) => {
                let failed = failure_of(&journal, &failure, usage, Some(tape));
                journal.submit(DriverCommand::Failed(StepFailure { reads, ..failed }))?;
            }
            Err(end) => {
                let failed = ended(&journal, &end, usage, Some(tape));
                journal.submit(DriverCommand::Failed(StepFailure { reads, ..failed }))?;
            }
        }
        Ok(())
    }

    /// Waits until all events so far are durable, and subscribers have them.
    async fn all_durable(journal: &Mutex<Journal>) -> Result<(), Error> {
        journal.lock().await.flush().await
    }

    /// Limits of the current step: the executor's own, the rest of the budgets, and the step's own.
    fn options(
        &self,
        journal: &mut Journal,
        loaded: &Loaded,
        time_limit_s: Option<u64>,
    ) -> Result<fusebox_sandbox::CallOptions, Error> {
        let mut options = loaded.options(Limits::executor(), journal.fuel_for_next()?, &self.kill);
        let wall_time = &mut options.limits.wall_time;
        if let Some(seconds) = time_limit_s {
            *wall_time = (*wall_time).min(Duration::from_secs(seconds));
        }
        if let Some(left) = journal.time_left_us()? {
            *wall_time = (*wall_time).min(Duration::from_micros(left));
        }
        Ok(options)
    }
}

/// Waits for some microseconds, or for ever.
async fn sleep_for(micros: Option<u64>) {
    match micros {
        Some(micros) => tokio::time::sleep(Duration::from_micros(micros)).await,
        None => std::future::pending().await,
    }
}

/// Failure that an executor reported itself. Its text may quote what it read, so secrets are taken out.
fn failure_of(journal: &Journal, failure: &Failure, usage: Usage, tape: Option<Digest>) -> StepFailure {
    let message = journal.cleaned(&failure.to_string());
    let (end, retry_can_help, reads) = (StepEnd::Failure, failure.retry_can_help(), Vec::new());
    StepFailure { end, message, retry_can_help, tape, reads, usage }
}

/// Failure by the end of an invocation.
fn ended(journal: &Journal, end: &End, usage: Usage, tape: Option<Digest>) -> StepFailure {
    let message = journal.cleaned(&end.to_string());
    StepFailure { end: end.kind(), message, retry_can_help: end.retry_can_help(), tape, reads: Vec::new(), usage }
}
