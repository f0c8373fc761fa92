//! Predictions and explanations.

use std::path::Path;

use fusebox::core::risk::{Assessment, Features};
use fusebox::core::{Agent, json};
use fusebox::{Error, Host, Plan, RunLimits};
use serde_json::{Value, json};

use super::show;
use crate::args::PlanOrFeatures;
use crate::exit::{self, Exit};
use crate::print;
use crate::run::read_input;

/// Largest features, in bytes.
const MAX_FEATURES: usize = 64 * 1024;

/// What a host says where its policy does not want risks predicted.
pub fn switched_off() -> Error {
    Error::BadPolicy {
        path: "risk".to_owned(),
        message: "the policy predicts no risks (risk.mode = \"off\")".to_owned(),
    }
}

/// A plan, or features, with what is made of them and what a run would be limited to.
struct Said {
    assessment: Assessment,
    limits: RunLimits,
}

/// What is made of a plan, or of features that are given as such.
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

fn as_json(said: &Said) -> Value {
    let Said { assessment, limits } = said;
    json!({
        "event": "risk_prediction",
        "level": assessment.level,
        "score": assessment.score(),
        "assessment": assessment,
        "limits": limits,
    })
}

pub fn predict(host: &Host, what: &PlanOrFeatures, json: bool) -> Result<Exit, Error> {
    let said = assess(host, &read_input("the plan or features", &what.file)?, &agent(what))?;
    if json {
        print::json(&as_json(&said));
    } else {
        show::assessment(&said.assessment, &said.limits);
    }
    Ok(Exit::Completed)
}

pub fn explain(host: &Host, what: &PlanOrFeatures, json: bool) -> Result<Exit, Error> {
    let said = assess(host, &read_input("the plan or features", &what.file)?, &agent(what))?;
    let explained = host.predictor().ok_or_else(switched_off)?.explain(&said.assessment.features)?;
    if json {
        let mut said = as_json(&said);
        if let Some(said) = said.as_object_mut() {
            said.insert("event".to_owned(), "risk_explanation".into());
            let names = fusebox::core::risk::FEATURES;
            let shares: serde_json::Map<String, Value> =
                names.iter().zip(explained.shares).map(|(name, share)| ((*name).to_owned(), share.into())).collect();
            said.insert(
                "explanation".to_owned(),
                json!({ "base": explained.base, "score": explained.score, "shares": shares }),
            );
        }
        print::json(&said);
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
        let number = place + 1;
        match assess(host, line, &nobody) {
            Ok(said) if json => {
                let mut said = as_json(&said);
                if let Some(said) = said.as_object_mut() {
                    said.insert("line".to_owned(), number.into());
                }
                print::json(&said);
            }
            Ok(said) => print::out(&format!("{number}: {}", show::short(&said.assessment))),
            Err(error) => {
                exit = Exit::BadInput;
                let (code, message) = (error.root_code(), exit::message(&error));
                if json {
                    print::json(&json!({ "event": "error", "line": number, "code": code, "message": message }));
                } else {
                    print::err(&format!("error[{code}] in line {number}: {message}\n"));
                }
            }
        }
    }
    Ok(exit)
}
