//! Letting guards and the impact model judge plan and step.

use std::sync::Arc;

use fusebox_core::Verdict;
use fusebox_core::gate::{GuardAnswer, MayRewrite};
use fusebox_core::run::DriverCommand;
use fusebox_sandbox::PreparedAction;

use super::Driver;
use crate::error::Error;
use crate::gate::judge::{self, Judged};
use crate::prediction::Predictor;

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
            journal.submit(DriverCommand::Judged { answer, usage: report.usage })?;
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

    pub(super) async fn judged(&mut self) -> Option<Arc<PreparedAction>> {
        if self.judged.is_none() {
            let journal = self.journal.lock().await;
            let action = journal.state.action()?;
            let situation = self.situation(&journal);
            self.judged = Some(Arc::new(PreparedAction::new(&action, journal.state.effects(), situation)));
        }
        self.judged.clone()
    }

    pub(super) async fn judge(&mut self, place: usize) -> Result<(), Error> {
        let Some(judged) = self.judged().await else { return Ok(()) };
        let fuel = self.journal.lock().await.fuel_for_next()?;
        let Judged { answer, report } = judge::guard(&self.services.registry, place, &judged, fuel, &self.kill);
        let answer = self.validated(answer).await;
        if !self.kill.is_killed() {
            let mut journal = self.journal.lock().await;
            let name = self.services.registry.guard_name(place);
            if let GuardAnswer::Verdict(Verdict { findings, .. }) = &answer
                && !findings.is_empty()
            {
                journal.found_by(name);
            }
            journal.keep_log(name, &report.log)?;
            let answer = journal.cleaned_answer(answer);
            journal.submit(DriverCommand::Judged { answer, usage: report.usage })?;
        }
        Ok(())
    }

    /// A rewrite that does not fit the step type is a failure of the guard.
    pub(super) async fn validated(&self, answer: GuardAnswer) -> GuardAnswer {
        let journal = self.journal.lock().await;
        let (GuardAnswer::Verdict(Verdict { rewrite: Some(input), .. }), MayRewrite::Yes, Some(step)) =
            (&answer, journal.state.may_rewrite(), journal.state.current())
        else {
            return answer;
        };
        match self.services.registry.check_input(step.id.as_str(), &step.step_type, input) {
            Ok(()) => answer,
            Err(error) => judge::unusable(&error.to_string()),
        }
    }

    pub(super) async fn estimate(&mut self) -> Result<(), Error> {
        let Some(judged) = self.judged().await else { return Ok(()) };
        let fuel = self.journal.lock().await.fuel_for_next()?;
        let Judged { answer: impact, report } = judge::impact(&self.services.registry, &judged, fuel / 2, &self.kill);
        if !self.kill.is_killed() {
            let mut journal = self.journal.lock().await;
            journal.keep_log(self.services.registry.gate.impact.as_deref().unwrap_or_default(), &report.log)?;
            let impact = impact.map_err(|why| journal.cleaned(&why));
            journal.submit(DriverCommand::Estimated { impact, usage: report.usage })?;
        }
        Ok(())
    }
}
