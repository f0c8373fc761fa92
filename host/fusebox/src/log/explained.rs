//! Explanations of a run from its log.

use fusebox_core::event::{RunCreated, RunEvent};
use fusebox_core::explain::Explainer;
use fusebox_core::{Plan, RunId};
use fusebox_store::Store;

use crate::error::Error;

/// Events that are read at once.
const PAGE: u32 = 1000;

/// An explainer that has followed a run so far.
pub fn explainer_of(log: &dyn Store, run: &RunId, plan: &Plan) -> Result<Explainer, Error> {
    let mut explainer = Explainer::new(run.clone(), Some(plan));
    each_event(log, run, |event, time_us| {
        explainer.note(event, time_us);
    })?;
    Ok(explainer)
}

pub fn each_event(log: &dyn Store, run: &RunId, mut note: impl FnMut(&RunEvent, u64)) -> Result<(), Error> {
    let mut after = 0;
    loop {
        let page = log.events(run, after, PAGE)?;
        for sealed in &page {
            note(&sealed.run_event()?, sealed.time_us);
            after = sealed.seq;
        }
        if page.len() < PAGE as usize {
            return Ok(());
        }
    }
}

/// The plan that a run was created with, if it is still kept.
pub fn plan_of(log: &dyn Store, run: &RunId) -> Result<Option<Plan>, Error> {
    let first = log.events(run, 0, 1)?;
    let created = first.first().map(|sealed| sealed.run_event()).transpose()?;
    let Some(RunEvent::RunCreated(RunCreated { plan, .. })) = created else { return Ok(None) };
    Ok(log.blob(run, &plan)?.map(|kept| Plan::from_canonical(kept.bytes())).transpose()?)
}
