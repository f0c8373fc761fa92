//! Outcomes of runs with predicted risk, and people's judgement of that risk.

use std::collections::{BTreeMap, BTreeSet};

use fusebox_core::event::{
    HostEvent, HostEventKind, RiskOverruled, RiskPredicted, RunCreated, RunEnd, RunEnded, RunEvent, RunEventKind,
    StepSkipped,
};
use fusebox_core::id::check_tenant;
use fusebox_core::risk::{Assessment, RiskLevel};
use fusebox_core::{Decider, Event, LimitKind, LimitSource, RunId, SealedEvent};
use fusebox_risk::{Outcome, OutcomeKind};
use fusebox_store::{ListedState, RunFilter, RunKind, RunRow, Store};

use crate::error::Error;
use crate::journal::replay::replay;
use crate::log::side_chain::{append, side_chain};
use crate::services::Services;

/// Events that are read at once.
const PAGE: u32 = 1000;
/// Longest reason of a person's word, in bytes.
const MAX_REASON_BYTES: usize = 4096;

/// A person's word on how risky a run's plan really was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RiskLabel {
    /// Run that is judged.
    pub run: RunId,
    /// The level that counted.
    pub from: Option<RiskLevel>,
    /// The level that it really had.
    pub to: RiskLevel,
    /// Name of the person who judges.
    pub by: String,
    /// Reason of the judgement.
    pub reason: String,
}

/// Records a person's judgement of how risky the plan of a run really was: a label for training. It changes nothing
/// about the run. It is durable when this returns.
///
/// # Errors
/// When there is no such run, its risk was not predicted, the reason is too long, or the log cannot be written.
pub fn overrule(services: &Services, run: &RunId, to: RiskLevel, by: &str, reason: &str) -> Result<RiskLabel, Error> {
    if by.is_empty() || by.len() > 256 {
        return Err(Error::BadLabel { message: "the name of the person must have 1 to 256 bytes".to_owned() });
    }
    if reason.len() > MAX_REASON_BYTES {
        let message = format!("the reason has {} bytes; the most is {MAX_REASON_BYTES}", reason.len());
        return Err(Error::BadLabel { message });
    }
    let row = services.store.run(run)?.ok_or_else(|| Error::UnknownRun { run: run.to_string() })?;
    let assessment = last_assessment(&*services.store, run)?.ok_or_else(|| Error::BadLabel {
        message: format!("the risk of {run} was not predicted, so there is nothing to overrule"),
    })?;
    services.audit.keys.ring(&*services.store, &row.tenant)?;
    let mut reason = reason.to_owned();
    if let Some(redactor) = &services.redactor {
        reason = redactor.redacted_value(&reason)?.unwrap_or(reason);
    }
    let from = Some(assessment.level);
    let event = HostEvent::RiskOverruled(RiskOverruled {
        run: run.clone(),
        from,
        to,
        reason: reason.clone(),
        by: by.to_owned(),
    });
    append(&*services.store, &side_chain("risk", &row.tenant)?, &row.tenant, &event, &[])?;
    Ok(RiskLabel { run: run.clone(), from, to, by: by.to_owned(), reason })
}

/// Outcomes of the newest runs of a tenant that have ended and whose risk was predicted, the oldest first; at most
/// `last` runs are read.
///
/// # Errors
/// When the log cannot be read.
pub fn outcomes(services: &Services, tenant: &str, last: u32) -> Result<Vec<Outcome>, Error> {
    check_tenant(tenant)?;
    let overruled = overruled(&*services.store, tenant)?;
    let filter = RunFilter { tenant: Some(tenant.to_owned()), ..RunFilter::default() };
    let mut outcomes = Vec::new();
    let rows = services.store.runs(&filter, last)?;
    // The risk of a session is that of what was proposed so far, which no label of a plan fits.
    for row in rows.into_iter().filter(|row| row.kind == RunKind::Run) {
        if let Some(mut outcome) = outcome(services, &row)? {
            outcome.overruled = overruled.get(&row.run).copied();
            outcomes.push(outcome);
        }
    }
    outcomes.reverse();
    Ok(outcomes)
}

fn outcome(services: &Services, row: &RunRow) -> Result<Option<Outcome>, Error> {
    let ListedState::Ended(end) = row.state else { return Ok(None) };
    let Some(assessment) = last_assessment(&*services.store, &row.run)? else { return Ok(None) };
    // Erased inputs cannot be counted any more; the prediction stays.
    let actual = match (&services.predictor, replay(&*services.store, &row.run)) {
        (Some(predictor), Ok(replayed)) => {
            let setup = replayed.state.setup();
            replayed.state.shape(row.updated_us).map(|shape| {
                let (mut actual, _) = predictor.features(&shape, &services.registry, &setup.policy, &setup.limits);
                actual.max_retries = shape.steps.iter().filter_map(|step| step.retries).max().unwrap_or(0);
                actual
            })
        }
        _ => None,
    };
    let agent = agent_of(&*services.store, &row.run)?;
    let by_profile = stopped_by_profile(&*services.store, &row.run)?;
    Ok(agent.map(|agent| Outcome {
        run: row.run.to_string(),
        ended_us: row.updated_us,
        agent,
        assessment,
        actual,
        by_profile,
        outcome: match end {
            RunEnd::Completed => OutcomeKind::Completed,
            RunEnd::StepFailed | RunEnd::GuardFailed => OutcomeKind::Failed,
            RunEnd::Killed => OutcomeKind::Killed,
            RunEnd::Budget => OutcomeKind::OverBudget,
            RunEnd::Denied => OutcomeKind::Rejected,
        },
        overruled: None,
    }))
}

fn agent_of(log: &dyn Store, run: &RunId) -> Result<Option<fusebox_core::Agent>, Error> {
    let first = log.events(run, 0, 1)?;
    Ok(match first.first().map(fusebox_core::SealedEvent::run_event).transpose()? {
        Some(RunEvent::RunCreated(RunCreated { agent, .. })) => Some(agent),
        _ => None,
    })
}

/// Whether limits of the risk profile stopped a run.
fn stopped_by_profile(log: &dyn Store, run: &RunId) -> Result<bool, Error> {
    let mut limits = ProfileLimits::default();
    each(log, run, |sealed| {
        limits.note(&sealed.run_event()?);
        Ok(())
    })?;
    Ok(limits.stopped_the_run)
}

/// Limits of the risk profile, and whether such a limit stopped the run: a step type that the profile does not permit,
/// or a budget that it set.
#[derive(Default)]
struct ProfileLimits {
    set: BTreeSet<LimitKind>,
    stopped_the_run: bool,
}

impl ProfileLimits {
    fn note(&mut self, event: &RunEvent) {
        match event {
            RunEvent::RiskPredicted(RiskPredicted { limits_by, .. }) => {
                let by_profile = limits_by.iter().filter(|(_, by)| matches!(by, LimitSource::RiskProfile(_)));
                self.set = by_profile.map(|(limit, _)| *limit).collect();
            }
            RunEvent::StepSkipped(StepSkipped { by, .. }) if by[..] == [Decider::Limits] => {
                self.stopped_the_run |= self.set.contains(&LimitKind::StepTypes);
            }
            RunEvent::RunEnded(RunEnded { end: RunEnd::Budget, budget: Some(budget), .. }) => {
                self.stopped_the_run |= self.set.contains(&budget.limit_kind());
            }
            _ => {}
        }
    }
}

/// The last word on a run's plan, if its risk was predicted.
fn last_assessment(log: &dyn Store, run: &RunId) -> Result<Option<Assessment>, Error> {
    let mut last = None;
    each(log, run, |sealed| {
        if let RunEvent::RiskPredicted(RiskPredicted { assessment, .. }) = sealed.run_event()? {
            last = Some(*assessment);
        }
        Ok(())
    })?;
    Ok(last)
}

/// People's last word on each run of a tenant.
fn overruled(log: &dyn Store, tenant: &str) -> Result<BTreeMap<RunId, RiskLevel>, Error> {
    let mut last = BTreeMap::new();
    each(log, &side_chain("risk", tenant)?, |sealed| {
        if let Event::Host(HostEvent::RiskOverruled(RiskOverruled { run, to, .. })) = sealed.event()? {
            last.insert(run, to);
        }
        Ok(())
    })?;
    Ok(last)
}

/// Whether an event says something of the risk of a run. The others need not be parsed.
fn says_of_risk(sealed: &SealedEvent) -> bool {
    use RunEventKind::{RiskPredicted, RunEnded, StepSkipped};
    match sealed.kind.parse::<RunEventKind>() {
        Ok(kind) => matches!(kind, RiskPredicted | StepSkipped | RunEnded),
        Err(_) => sealed.kind.parse() == Ok(HostEventKind::RiskOverruled),
    }
}

/// All events of a chain that say something of its risk.
fn each(log: &dyn Store, chain: &RunId, mut note: impl FnMut(&SealedEvent) -> Result<(), Error>) -> Result<(), Error> {
    let mut after = 0;
    loop {
        let page = log.events(chain, after, PAGE)?;
        for sealed in &page {
            after = sealed.seq;
            if says_of_risk(sealed) {
                note(sealed)?;
            }
        }
        if page.len() < PAGE as usize {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use fusebox_core::risk::{Features, Thresholds};
    use fusebox_core::{BudgetKind, RunLimits};

    use super::*;

    fn predicted(set_by_profile: LimitKind) -> RunEvent {
        let features = Features {
            num_steps: 1,
            num_tools: 1,
            tool_diversity: 1,
            has_high_risk_tool: false,
            est_tokens: 1,
            max_retries: 0,
            sequential_tool_calls: 1,
            plan_depth: 1,
            time_limit_sec: 1,
        };
        let rules = Thresholds::default().hits(&features);
        let assessment = Box::new(Assessment {
            features,
            estimator: String::new(),
            level: RiskLevel::Low,
            rule_level: RiskLevel::Low,
            rules,
            review: None,
            challenger: None,
            prediction: None,
            failure: None,
        });
        let by = [(set_by_profile, LimitSource::RiskProfile(RiskLevel::Low))].into();
        RunEvent::RiskPredicted(RiskPredicted { assessment, limits: RunLimits::default(), limits_by: by })
    }

    #[test]
    fn a_budget_that_the_profile_set_counts_whatever_its_name_is_in_messages() {
        for budget in BudgetKind::ALL {
            for other in BudgetKind::ALL {
                let mut limits = ProfileLimits::default();
                limits.note(&predicted(other.limit_kind()));
                let message = "all is spent".to_owned();
                limits.note(&RunEvent::RunEnded(RunEnded {
                    end: RunEnd::Budget,
                    budget: Some(budget),
                    message,
                    kill: None,
                }));
                assert_eq!(limits.stopped_the_run, budget == other, "{budget} under a profile of {other}");
            }
        }
    }
}
