//! Carrying out a run: whatever its state asks for is done, and the answer told.

mod again;
mod judging;
mod person;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use fusebox_core::event::{Event, KillTimes, Usage};
use fusebox_core::run::StepDone;
use fusebox_core::situation::{DEFAULT_TENANT, StepOutputs};
use fusebox_core::{Ask, Command, Contents, Digest, Effect, Failure, Json, Situation, StepId};
use fusebox_effects::gateway::Gateway;
use fusebox_effects::{Confinement, Workspace};
use fusebox_sandbox::{End, Judged, Kill, Limits, Recording, Report};
use fusebox_store::EventLog;
use tokio::sync::{Mutex, MutexGuard, mpsc};

use crate::approver::{ApprovalRequest, Approver, Subject};
use crate::facts::Surroundings;
use crate::handler::{Live, Reads, StopReason};
use crate::journal::Journal;
use crate::now::now_us;
use crate::registry::{Loaded, Registry, Served};
use crate::restore::Changes;
use crate::run::{Asked, Killer};
use crate::summary::Summary;
use crate::updates::RunUpdate;
use crate::{Error, facts, judge, model_call};

/// Largest output of a step that can be read back, in bytes.
const MAX_OUTPUT_BYTES: usize = 16 * 1024 * 1024;

/// Everything that carrying out one run needs.
pub struct Driver {
    pub registry: Arc<Registry>,
    pub surroundings: Arc<Surroundings>,
    pub confinement: Arc<Confinement>,
    pub workspace: Arc<Workspace>,
    pub approver: Arc<dyn Approver>,
    pub kill: Kill,
    pub killer: Killer,
    /// When what was under way had stopped, after a kill.
    pub stopped_us: Option<u64>,
    pub journal: Arc<Mutex<Journal>>,
    pub updates: mpsc::UnboundedSender<RunUpdate>,
    pub outputs: Arc<Outputs>,
    /// The step that is judged, made ready once for all who judge it.
    pub judged: Option<Arc<Judged>>,
    pub contents: Contents,
    /// What a step that was killed had used, and its tape.
    pub cut_off: (Option<Digest>, Usage),
    /// Who answers prompts.
    pub gateway: Option<Arc<Gateway>>,
    /// What the step under way changed in the workspace.
    pub changes: Arc<Changes>,
    /// Why a person's last answer could not be taken.
    pub problem: Option<String>,
}

/// Outputs of the steps that completed, read from the log when somebody asks.
pub struct Outputs {
    pub store: Arc<dyn EventLog>,
    pub digests: RwLock<HashMap<String, Digest>>,
}

impl StepOutputs for Outputs {
    fn output(&self, step: &str) -> Option<Json> {
        let digest = *self.digests.read().unwrap_or_else(PoisonError::into_inner).get(step)?;
        let bytes = self.store.blob(&digest).ok()??;
        Json::parse("the output", &bytes, MAX_OUTPUT_BYTES).ok()
    }
}

/// What is asked, without borrowing the state.
enum Next {
    Advance,
    Preview,
    JudgePlan(usize),
    Judge(usize),
    Estimate,
    Restore(Vec<Effect>),
    Wait(u64),
    Person(Box<ApprovalRequest>),
    Execute,
    Nothing,
}

impl Driver {
    /// Carries the run out to its end.
    pub async fn run(mut self, created: Event, blobs: Vec<Bytes>) -> Result<Summary, Error> {
        {
            let mut journal = self.journal.lock().await;
            for blob in blobs {
                journal.blob(blob);
            }
            journal.record(created, now_us());
            journal.flush().await?;
        }
        loop {
            if self.kill.is_killed() && self.stop().await? {
                break;
            }
            match self.next().await {
                Next::Advance => self.advance().await?,
                Next::Preview => self.preview().await?,
                Next::JudgePlan(place) => self.judge_plan(place).await?,
                Next::Judge(place) => self.judge(place).await?,
                Next::Restore(restores) => self.restore(&restores).await?,
                Next::Wait(until_us) => self.wait(until_us).await?,
                Next::Estimate => self.estimate().await?,
                Next::Person(request) => self.ask_a_person(*request).await?,
                Next::Execute => self.execute().await?,
                Next::Nothing => break,
            }
        }
        let mut journal = self.journal.lock().await;
        journal.flush().await?;
        let (end, reason, ended_us) = journal.ended.clone().unwrap_or_else(|| {
            (fusebox_core::event::RunEnd::Killed, "the run did not reach an end".to_owned(), now_us())
        });
        let root = self.workspace.root().to_path_buf();
        Ok(Summary::of(&journal.state, end, reason, ended_us, root, journal.events()))
    }

    async fn next(&self) -> Next {
        let journal = self.journal.lock().await;
        match journal.state.ask() {
            Ask::Advance => Next::Advance,
            Ask::Preview => Next::Preview,
            Ask::JudgePlan { guard } => Next::JudgePlan(guard),
            Ask::Judge { guard } => Next::Judge(guard),
            Ask::Estimate => Next::Estimate,
            Ask::Restore { restores } => Next::Restore(restores.to_vec()),
            Ask::Wait { until_us } => Next::Wait(until_us),
            Ask::PersonOnPlan { binding, decision } => {
                let subject = Subject::Plan(Arc::clone(&journal.state.setup().plan));
                Next::Person(Box::new(self.request(&journal, subject, binding, decision, &[])))
            }
            Ask::Person { binding, decision, effects } => match person::subject(&journal) {
                Some(subject) => Next::Person(Box::new(self.request(&journal, subject, binding, decision, effects))),
                None => Next::Nothing,
            },
            Ask::Execute { .. } => Next::Execute,
            Ask::Nothing => Next::Nothing,
        }
    }

    /// Ends a run that was killed. Says whether there was anything to end.
    async fn stop(&mut self) -> Result<bool, Error> {
        let stopped_us = self.stopped_us.unwrap_or_else(now_us);
        let asked = self.killer.asked.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Asked { by, at_us } = asked.unwrap_or_else(|| Asked { by: "the operator".to_owned(), at_us: stopped_us });
        let times = KillTimes::new(at_us, stopped_us);
        let mut journal = self.journal.lock().await;
        if journal.ended.is_some() {
            return Ok(false);
        }
        let (tape, usage) = self.cut_off;
        journal.tell(Command::Kill { by, times, tape, usage })?;
        journal.flush().await?;
        Ok(true)
    }

    async fn advance(&mut self) -> Result<(), Error> {
        let mut journal = self.journal.lock().await;
        let events = journal.tell(Command::Advance)?;
        if events.iter().any(|event| matches!(event, Event::StepProposed { .. })) {
            self.judged = None;
            self.contents = Contents::default();
        }
        // What was denied is not kept: it may hold what nobody may see.
        let goes_on = |event: &Event| matches!(event, Event::ApprovalRequested { .. } | Event::StepStarted { .. });
        if events.iter().any(goes_on) {
            for (_, bytes) in self.contents.iter() {
                journal.blob(bytes.clone());
            }
        }
        Ok(())
    }

    /// The situation of the current step.
    fn situation(&self, journal: &MutexGuard<'_, Journal>) -> Arc<Situation> {
        let state = &journal.state;
        let setup = state.setup();
        Arc::new(Situation {
            run: Some(setup.run.clone()),
            agent: setup.plan.agent.clone(),
            tenant: DEFAULT_TENANT.to_owned(),
            plan: Some(Arc::clone(&setup.plan)),
            origin: state.action().map_or(fusebox_core::Origin::Plan, |action| action.origin),
            proposed_at: state.proposed_us(),
            position: state.position(),
            budgets: state.ledger().lines().collect(),
            history: state.history().clone(),
            outputs: Arc::clone(&self.outputs) as Arc<dyn StepOutputs>,
            contents: self.contents.clone(),
        })
    }

    /// The executor of the current step. Plans are checked before they run, so there is one.
    fn executor<'a>(&'a self, journal: &Journal) -> Result<(&'a Loaded, &'a Served), Error> {
        let step = journal.state.current();
        let (id, step_type) = step.map(|step| (step.id.to_string(), step.step_type.clone())).unwrap_or_default();
        self.registry.executor(&step_type).ok_or_else(|| Error::UnknownStepType {
            step: id,
            step_type,
            known: String::new(),
            suggestion: String::new(),
        })
    }

    async fn preview(&mut self) -> Result<(), Error> {
        let journal = self.journal.lock().await;
        let (loaded, served) = self.executor(&journal)?;
        let Some(action) = journal.state.action() else { return Ok(()) };
        let situation = self.situation(&journal);
        let fuel = journal.state.fuel_for_next(u64::MAX);
        let options = loaded.options(Limits::preview(), fuel, &self.kill);
        drop(journal);
        let reads = Reads::new(Arc::clone(&self.workspace), served.grants);
        let (recording, tape) = Recording::new(reads.clone());
        let previewed = loaded.plugin.preview(&action, Arc::clone(&situation), Box::new(recording), &options).await;
        let usage = previewed.report.usage;
        let tape = Some(self.journal.lock().await.blob(Bytes::from(tape.take().to_json())));
        let derived = match previewed.result {
            Ok(Ok(proposed)) => facts::derive(proposed, &self.workspace, &self.surroundings)
                .and_then(|derived| self.can_ask_models(&derived.effects).map(|()| derived)),
            Ok(Err(failure)) => Err(failure),
            Err(end) => return self.failed(&end, usage, tape, Vec::new()).await,
        };
        match derived {
            Ok(mut derived) => {
                let covered = |read: &Effect, effects: &[Effect]| effects.iter().any(|effect| effect.covers(read));
                for read in reads.effects() {
                    if !covered(&read, &derived.effects) {
                        derived.effects.push(read);
                    }
                }
                self.contents = derived.contents;
                self.judged = None;
                self.journal.lock().await.tell(Command::Previewed { effects: derived.effects, tape, usage })?;
            }
            // What a preview says of files that guards deny must not be told: the step is denied for reading them.
            Err(_) if judge::denies(&self.registry, &action, reads.effects(), situation, &self.kill) => {
                self.journal.lock().await.tell(Command::Previewed { effects: reads.effects(), tape, usage })?;
            }
            Err(Failure::Denied(message)) => {
                self.journal.lock().await.tell(Command::Refused { message, tape, usage })?;
            }
            Err(failure) => {
                self.journal.lock().await.tell(failure_command(&failure, usage, tape, Vec::new()))?;
            }
        }
        Ok(())
    }

    /// Whether all models that effects name can be asked.
    fn can_ask_models(&self, effects: &[Effect]) -> Result<(), Failure> {
        effects.iter().try_for_each(|effect| match effect {
            Effect::Prompt { model, .. } => model_call::can_ask(self.gateway.as_deref(), model),
            _ => Ok(()),
        })
    }

    async fn execute(&mut self) -> Result<(), Error> {
        self.changes = Arc::default();
        let mut journal = self.journal.lock().await;
        // The decision, and that the step starts, are durable before anything happens.
        journal.flush().await?;
        let (loaded, served) = self.executor(&journal)?;
        let (Some(action), Some(step)) = (journal.state.action(), journal.state.current().cloned()) else {
            return Ok(());
        };
        let situation = self.situation(&journal);
        let options = self.options(&journal, loaded, step.time_limit_s);
        drop(journal);
        let_others_go_first().await;

        let stop_reason = StopReason::default();
        let live = Live {
            reads: Reads::new(Arc::clone(&self.workspace), served.grants),
            registry: Arc::clone(&self.registry),
            surroundings: Arc::clone(&self.surroundings),
            confinement: Arc::clone(&self.confinement),
            journal: Arc::clone(&self.journal),
            step: step.id.clone(),
            action: action.clone(),
            situation: Arc::clone(&situation),
            kill: self.kill.clone(),
            updates: self.updates.clone(),
            stop_reason: Arc::clone(&stop_reason),
            read: BTreeSet::new(),
            recorded: 0,
            written: 0,
            gateway: self.gateway.clone(),
            changes: Arc::clone(&self.changes),
        };
        let (recording, tape) = Recording::new(live);
        let executed = loaded.plugin.execute(&action, situation, Box::new(recording), &options).await;
        if self.kill.is_killed() {
            self.stopped_us = Some(now_us());
        }
        if let Some(error) = stop_reason.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error);
        }
        let Report { usage, .. } = executed.report;
        let mut journal = self.journal.lock().await;
        let tape = journal.blob(Bytes::from(tape.take().to_json()));
        if self.kill.is_killed() {
            drop(journal);
            self.cut_off = (Some(tape), usage);
            return Ok(());
        }
        match executed.result {
            Ok(Ok(outcome)) => {
                let output = journal.blob(Bytes::from(outcome.output.as_str().to_owned()));
                let delta = outcome.delta.map(|delta| journal.blob(Bytes::from(delta.as_str().to_owned())));
                let done = StepDone { output, summary: outcome.summary, delta, tape, usage };
                journal.tell(Command::Completed(done))?;
                // Later steps may read it, so it has to be there.
                journal.flush().await?;
                self.remember(&step.id, output);
            }
            Ok(Err(failure)) => {
                journal.tell(failure_command(&failure, usage, Some(tape), self.changes.restores()))?;
            }
            Err(end) => {
                drop(journal);
                return self.failed(&end, usage, Some(tape), self.changes.restores()).await;
            }
        }
        Ok(())
    }

    fn remember(&self, step: &StepId, output: Digest) {
        self.outputs.digests.write().unwrap_or_else(PoisonError::into_inner).insert(step.to_string(), output);
    }

    /// Limits of the current step: the executor's own, what is left of the budgets, and what the step says of itself.
    fn options(&self, journal: &Journal, loaded: &Loaded, time_limit_s: Option<u64>) -> fusebox_sandbox::CallOptions {
        let mut options = loaded.options(Limits::executor(), journal.state.fuel_for_next(u64::MAX), &self.kill);
        let wall_time = &mut options.limits.wall_time;
        if let Some(seconds) = time_limit_s {
            *wall_time = (*wall_time).min(Duration::from_secs(seconds));
        }
        if let Some(left) = journal.state.time_left_us(now_us()) {
            *wall_time = (*wall_time).min(Duration::from_micros(left));
        }
        options
    }

    async fn failed(&self, end: &End, usage: Usage, tape: Option<Digest>, restores: Vec<Effect>) -> Result<(), Error> {
        if self.kill.is_killed() {
            return Ok(());
        }
        self.journal.lock().await.tell(Command::Failed {
            end: end.name().to_owned(),
            message: end.to_string(),
            retry_can_help: end.retry_can_help(),
            tape,
            usage,
            restores,
        })?;
        Ok(())
    }
}

/// Gives whoever watches a turn: what was flushed is told before what comes next is begun.
async fn let_others_go_first() {
    let mut had_a_turn = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut had_a_turn, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Waits for some microseconds, or for ever.
async fn sleep_for(micros: Option<u64>) {
    match micros {
        Some(micros) => tokio::time::sleep(Duration::from_micros(micros)).await,
        None => std::future::pending().await,
    }
}

fn failure_command(failure: &Failure, usage: Usage, tape: Option<Digest>, restores: Vec<Effect>) -> Command {
    Command::Failed {
        end: "failure".to_owned(),
        message: failure.to_string(),
        retry_can_help: failure.retry_can_help(),
        tape,
        usage,
        restores,
    }
}
