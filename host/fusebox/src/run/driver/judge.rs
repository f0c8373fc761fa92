//! Letting guards and the impact model judge plan and step.

use std::sync::Arc;

use bytes::Bytes;
use fusebox_core::event::Usage;
use fusebox_core::gate::{GateAsk, GuardAnswer, MayRewrite};
use fusebox_core::run::{DriverCommand, Judging, StepFailure};
use fusebox_core::{Contents, Effect, Failure, PluginLog, StepId, Verdict};
use fusebox_sandbox::{Limits, PreparedAction, Recording, Report};

use super::{Driver, ended, failure_of};
use crate::error::Error;
use crate::execution::model_call;
use crate::gate::effects;
use crate::gate::judge::{self, Judged, denies};
use crate::gate::preview::ReadOnlyHandler;
use crate::journal::Journal;
use crate::prediction::Predictor;

/// The judgement of a step that is under way.
struct StepUnderJudgement {
    judging: Judging,
    /// The action in the contract's form, prepared once for all its judges.
    prepared: Option<PreparedAction>,
    /// Tapes of the previews. They are kept with the decision, when it is known whether they hold a secret.
    tapes: Vec<Bytes>,
    /// Logs of the plugins.
    logs: Vec<(String, PluginLog)>,
}

/// Result of a preview.
enum Previewed {
    Effects,
    Refused(String),
    Failed(StepFailure),
}

impl Driver {
    pub(super) async fn judge_plan(&mut self, place: usize) -> Result<(), Error> {
        let mut journal = self.journal.lock().await;
        let fuel = journal.fuel_for_next()?;
        let plan = Arc::clone(&journal.state.setup().plan);
        let mut situation = (*self.situation(&journal)).clone();
        situation.position = None;
        drop(journal);
        let registry = &self.services.registry;
        let Judged { answer, report } = judge::plan(registry, place, &plan, Arc::new(situation), fuel, &self.kill);
        if !self.kill.is_killed() {
            let mut journal = self.journal.lock().await;
            journal.keep_log(registry.guard_name(place), &report.log)?;
            let answer = journal.cleaned_answer(answer);
            journal.submit(DriverCommand::PlanJudged { answer, usage: report.usage })?;
        }
        Ok(())
    }

    /// Predicts the risk of the plan. Where no model can, a person must look at it.
    pub(super) async fn assess(&mut self) -> Result<(), Error> {
        let mut journal = self.journal.lock().await;
        let assessment =
            Predictor::assess_run(self.services.predictor.as_ref(), &self.services.registry, &journal.state);
        journal.submit(DriverCommand::Assessed(Box::new(assessment)))?;
        Ok(())
    }

    /// Takes the next step through the gate and records the decision. A judgement that a kill or a pause cuts off leaves
    /// no trace.
    pub(super) async fn judge_step(&mut self, judging: Judging) -> Result<(), Error> {
        self.is_stale = false;
        self.contents = Contents::default();
        let mut step = StepUnderJudgement { judging, prepared: None, tapes: Vec::new(), logs: Vec::new() };
        let unavailable = self.journal.lock().await.unavailable();
        if let Some(message) = unavailable {
            return self.judged(step, |judging| DriverCommand::PreviewRefused { judging, message }).await;
        }
        loop {
            match step.judging.ask() {
                GateAsk::Preview => match self.preview(&mut step).await? {
                    Previewed::Effects => {}
                    Previewed::Refused(message) => {
                        return self.judged(step, |judging| DriverCommand::PreviewRefused { judging, message }).await;
                    }
                    Previewed::Failed(failure) => {
                        return self.judged(step, |judging| DriverCommand::PreviewFailed { judging, failure }).await;
                    }
                },
                GateAsk::Judge { guard } => self.judge(&mut step, guard).await?,
                GateAsk::Estimate => self.estimate(&mut step).await?,
                GateAsk::Decided(_) => return self.judged(step, DriverCommand::StepJudged).await,
            }
            if self.kill.is_killed() || self.stop.pause_asked_by().is_some() {
                return Ok(());
            }
        }
    }

    /// Records a judgement with its tapes and logs.
    async fn judged(
        &self,
        step: StepUnderJudgement,
        command: impl FnOnce(Box<Judging>) -> DriverCommand,
    ) -> Result<(), Error> {
        if self.kill.is_killed() {
            return Ok(());
        }
        let StepUnderJudgement { mut judging, tapes, logs, .. } = step;
        let mut journal = self.journal.lock().await;
        let id = journal.state.current().map(|step| step.id.clone());
        let tapes: Vec<_> = tapes.into_iter().map(|tape| journal.blob(tape)).collect();
        judging.name_tapes(tapes);
        let command = command(Box::new(judging));
        // After a step that failed, the run may be over.
        let is_decided = matches!(command, DriverCommand::StepJudged(_));
        if !is_decided {
            keep_logs(&mut journal, id.as_ref(), &logs)?;
        }
        journal.submit(command)?;
        if is_decided {
            keep_logs(&mut journal, id.as_ref(), &logs)?;
        }
        Ok(())
    }

    /// Fuel that the next judge may use.
    async fn fuel_for(&self, judging: &Judging) -> Result<u64, Error> {
        Ok(self.journal.lock().await.fuel_for_next()?.saturating_sub(judging.used().fuel()))
    }

    async fn preview(&mut self, step: &mut StepUnderJudgement) -> Result<Previewed, Error> {
        let fuel = self.fuel_for(&step.judging).await?;
        let journal = self.journal.lock().await;
        let (loaded, served) = self.executor(&journal)?;
        let situation = self.situation_of(&journal, &step.judging);
        drop(journal);
        let action = step.judging.action().clone();
        let options = loaded.options(Limits::preview(), fuel, &self.kill);
        let reads = ReadOnlyHandler::new(Arc::clone(&self.workspace), served.grants);
        let (recording, tape) = Recording::new(reads.clone());
        let previewed = loaded.plugin.preview(&action, Arc::clone(&situation), Box::new(recording), &options).await;
        let Report { usage, log } = previewed.report;
        step.logs.push((action.step_type.clone(), log));
        let tape = Bytes::from(tape.take().to_json());
        let resolved = match previewed.result {
            Ok(Ok(proposed)) => effects::resolve(proposed, &self.workspace, &self.services.execution_environment)
                .and_then(|resolved| self.can_ask_models(&resolved.effects).map(|()| resolved)),
            Ok(Err(failure)) => Err(failure),
            Err(end) => {
                let mut journal = self.journal.lock().await;
                let tape = Some(journal.blob(tape));
                return Ok(Previewed::Failed(ended(&journal, &end, usage, tape)));
            }
        };
        match resolved {
            Ok(mut resolved) => {
                let covered = |read: &Effect, effects: &[Effect]| effects.iter().any(|effect| effect.covers(read));
                for read in reads.effects() {
                    if !covered(&read, &resolved.effects) {
                        resolved.effects.push(read);
                    }
                }
                self.contents = resolved.contents;
                // Guards look at a command's words, and names of files that these match come from the workspace.
                for effect in resolved.effects.iter().filter(|effect| names_files(effect)) {
                    self.journal.lock().await.look_through(effect, None);
                }
                step.previewed(resolved.effects, tape, usage);
            }
            // The preview's message on files that guards deny stays hidden: the step is denied for reading them.
            Err(_) if denies(&self.services.registry, &action, reads.effects(), situation, &self.kill) => {
                step.previewed(reads.effects(), tape, usage);
            }
            Err(Failure::Denied(message)) => {
                step.judging.refused(usage);
                step.tapes.push(tape);
                return Ok(Previewed::Refused(message));
            }
            Err(failure) => {
                let mut journal = self.journal.lock().await;
                let tape = Some(journal.blob(tape));
                return Ok(Previewed::Failed(failure_of(&journal, &failure, usage, tape)));
            }
        }
        Ok(Previewed::Effects)
    }

    /// Whether all models that effects name can be asked.
    fn can_ask_models(&self, effects: &[Effect]) -> Result<(), Failure> {
        effects.iter().try_for_each(|effect| match effect {
            Effect::Prompt { model, .. } => model_call::can_ask(self.services.gateway.as_ref(), model),
            _ => Ok(()),
        })
    }

    async fn prepared<'a>(&self, step: &'a mut StepUnderJudgement) -> &'a PreparedAction {
        let StepUnderJudgement { judging, prepared, .. } = step;
        let journal = self.journal.lock().await;
        let prepare = || PreparedAction::new(judging.action(), judging.effects(), self.situation_of(&journal, judging));
        prepared.get_or_insert_with(prepare)
    }

    async fn judge(&self, step: &mut StepUnderJudgement, place: usize) -> Result<(), Error> {
        let fuel = self.fuel_for(&step.judging).await?;
        let registry = &self.services.registry;
        let Judged { answer, report } = judge::guard(registry, place, self.prepared(step).await, fuel, &self.kill);
        let answer = self.validated(&step.judging, answer).await;
        let name = registry.guard_name(place);
        let mut journal = self.journal.lock().await;
        if let GuardAnswer::Verdict(Verdict { findings, .. }) = &answer
            && !findings.is_empty()
        {
            journal.found_by(name);
        }
        step.logs.push((name.to_owned(), report.log));
        step.judging.judged(journal.cleaned_answer(answer), report.usage);
        Ok(())
    }

    /// A rewrite that does not fit the step type is a failure of the guard.
    async fn validated(&self, judging: &Judging, answer: GuardAnswer) -> GuardAnswer {
        let journal = self.journal.lock().await;
        let (GuardAnswer::Verdict(Verdict { rewrite: Some(input), .. }), MayRewrite::Yes, Some(step)) =
            (&answer, judging.may_rewrite(), journal.state.current())
        else {
            return answer;
        };
        match self.services.registry.check_input(step.id.as_str(), &step.step_type, input) {
            Ok(()) => answer,
            Err(error) => judge::unusable(&error.to_string()),
        }
    }

    async fn estimate(&self, step: &mut StepUnderJudgement) -> Result<(), Error> {
        let fuel = self.fuel_for(&step.judging).await?;
        let registry = &self.services.registry;
        let Judged { answer, report } = judge::impact(registry, self.prepared(step).await, fuel / 2, &self.kill);
        let impact = {
            let journal = self.journal.lock().await;
            answer.map_err(|why| journal.cleaned(&why))
        };
        step.logs.push((registry.gate.impact.clone().unwrap_or_default(), report.log));
        step.judging.estimated(impact, report.usage);
        Ok(())
    }
}

impl StepUnderJudgement {
    /// Takes the effects of a preview. Guards judge the action anew.
    fn previewed(&mut self, effects: Vec<Effect>, tape: Bytes, usage: Usage) {
        self.prepared = None;
        self.tapes.push(tape);
        self.judging.previewed(effects, usage);
    }
}

fn names_files(effect: &Effect) -> bool {
    matches!(effect, Effect::Run { files, .. } if !files.is_empty())
}

fn keep_logs(journal: &mut Journal, step: Option<&StepId>, logs: &[(String, PluginLog)]) -> Result<(), Error> {
    logs.iter().try_for_each(|(plugin, log)| journal.keep_log_about(step.cloned(), plugin, log))
}
