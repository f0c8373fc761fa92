//! Predictions and explanations.

use std::path::Path;

use fusebox::core::risk::{Assessment, Features};
use fusebox::core::{Agent, json};
use fusebox::{Error, Host, Plan, RunLimits};

use super::show;
use crate::args::PlanOrFeatures;
use crate::exit::{self, Exit};
use crate::output::{Output, RiskPrediction, RiskShares};
use crate::print;
use crate::run::read_input;

/// Largest features, in bytes.
const MAX_FEATURES: usize = 64 * 1024;

/// Error of a host whose policy does not predict risks.
pub fn switched_off() -> Error {
    Error::BadPolicy {
        path: "risk".to_owned(),
        message: "the policy predicts no risks (risk.mode = \"off\")".to_owned(),
    }
}

/// A plan, or features, with their assessment and the limits of a run.
struct Said {
    assessment: Assessment,
    limits: RunLimits,
}

/// Assesses a plan, or features that are given as such.
fn assess(host: &Host, bytes: &[u8], agent: &Agent) -> Result<Said, Error> {
    let predictor = host.predictor().ok_or_else(switched_off)?;
    let value = json::parse_value("the plan or features", bytes, fusebox::core::plan::MAX_BYTES)?;
    let is_plan = value.get("steps").is_some() || value.get("goal").is_some();
    let (assessment, own) = if is_plan {
        let plan = Plan::parse(bytes)?;
        (host.assess(&plan, &RunLimits::default()).ok_or_else(switched_off)?, plan.limits)
    } else {
        let features: Features = json::parse_as("the set of features", bytes, MAX_FEATURES)?;
        features.check()?;
        (predictor.assess(features, "given", agent), RunLimits::default())
    };
    let limits = host.limits_at(assessment.level, &own);
    Ok(Said { limits, assessment })
}

fn agent(what: &PlanOrFeatures) -> Agent {
    Agent { id: String::new(), kind: what.agent_type.clone(), tier: what.agent_tier.clone() }
}

fn of_said(said: &Said, line: Option<u64>) -> RiskPrediction<'_> {
    let Said { assessment, limits } = said;
    RiskPrediction { line, level: assessment.level, score: assessment.score(), assessment, limits }
}

pub fn predict(host: &Host, what: &PlanOrFeatures, json: bool) -> Result<Exit, Error> {
    let said = assess(host, &read_input("the plan or features", &what.file)?, &agent(what))?;
    if json {
        print::json(&Output::RiskPrediction(of_said(&said, None)));
    } else {
        show::assessment(&said.assessment, &said.limits);
    }
    Ok(Exit::Completed)
}

pub fn explain(host: &Host, what: &PlanOrFeatures, json: bool) -> Result<Exit, Error> {
    let said = assess(host, &read_input("the plan or features", &what.file)?, &agent(what))?;
    let explained = host.predictor().ok_or_else(switched_off)?.explain(&said.assessment.features)?;
    if json {
        let shares = fusebox::core::risk::FEATURES.into_iter().zip(explained.shares).collect();
        print::json(&Output::RiskExplanation {
            prediction: of_said(&said, None),
            explanation: RiskShares { base: explained.base, score: explained.score, shares },
        });
    } else {
        show::assessment(&said.assessment, &said.limits);
        show::bars(&said.assessment, &explained);
    }
    Ok(Exit::Completed)
}

pub fn batch(host: &Host, file: &Path, json: bool) -> Result<Exit, Error> {
    let text = read_input("the plans or features", file)?;
    let nobody = Agent { id: String::new(), kind: None, tier: None };
    let mut exit = Exit::Completed;
    for (place, line) in text.split(|byte| *byte == b'\n').enumerate() {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let number = place as u64 + 1;
        match assess(host, line, &nobody) {
            Ok(said) if json => {
                print::json(&Output::RiskPrediction(of_said(&said, Some(number))));
            }
            Ok(said) => print::out(&format!("{number}: {}", show::short(&said.assessment))),
            Err(error) => {
                exit = Exit::BadInput;
                let (code, message) = (error.root_code(), exit::message(&error));
                if json {
                    print::json(&Output::Error { line: Some(number), code, message: &message });
                } else {
                    print::err(&format!("error[{code}] in line {number}: {message}\n"));
                }
            }
        }
    }
    Ok(exit)
}
