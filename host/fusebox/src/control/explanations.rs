//! Explanations of a run's steps.

use fusebox_core::RunId;
use fusebox_core::explain::{Explainer, Explanation};

use crate::control::Control;
use crate::error::Error;
use crate::log::explained::{each_event, plan_of};

impl Control {
    /// The explanations of a run's steps so far, in order. Where its plan was erased, the agent's reasons are missing.
    ///
    /// # Errors
    /// When there is no such run, or the log cannot be read.
    pub fn explanations(&self, run: &RunId) -> Result<Vec<Explanation>, Error> {
        self.run(run)?;
        let log = self.log();
        let plan = plan_of(log, run)?;
        let (mut explainer, mut explained) = (Explainer::new(run.clone(), plan.as_ref()), Vec::new());
        each_event(log, run, |event, time_us| explained.extend(explainer.note(event, time_us)))?;
        Ok(explained)
    }
}
