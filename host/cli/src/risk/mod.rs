//! `fusebox risk`: predictions, outcomes and thresholds.

mod learn;
mod predict;
mod show;

use fusebox::Error;

use crate::args::{RiskArgs, RiskTask};
use crate::exit::Exit;

pub fn risk(args: RiskArgs) -> Result<Exit, Error> {
    let RiskArgs { task, policy, json } = args;
    let host = crate::run::host(policy)?;
    match task {
        RiskTask::Predict(what) => predict::predict(&host, &what, json),
        RiskTask::Explain(what) => predict::explain(&host, &what, json),
        RiskTask::Batch { file } => predict::batch(&host, &file, json),
        RiskTask::Export { which, out } => learn::export(&host, &which, out.as_deref(), json),
        RiskTask::Compare(which) => learn::compare(&host, &which, json),
        RiskTask::Drift(which) => learn::drift(&host, &which, json),
        RiskTask::Thresholds(which) => learn::thresholds(&host, &which, json),
        RiskTask::Overrule { run, level, reason } => learn::overrule(&host, &run, level.level(), &reason, json),
    }
}
