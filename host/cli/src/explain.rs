//! `fusebox explain`: prints explanations of a run's steps.

use fusebox::Error;

use crate::args::ExplainArgs;
use crate::exit::Exit;
use crate::list::control;
use crate::output::{Explained, Output};
use crate::print;

pub fn explain(args: &ExplainArgs) -> Result<Exit, Error> {
    let run = args.run.parse()?;
    let mut explained = control()?.explanations(&run)?;
    let known: Vec<String> = explained.iter().filter_map(|one| Some(one.step.as_ref()?.to_string())).collect();
    if let Some(step) = &args.step {
        if !known.contains(step) {
            let mut known = known;
            known.dedup();
            if known.is_empty() {
                known.push("none so far".to_owned());
            }
            return Err(Error::UnknownStep { run: run.to_string(), step: step.clone(), known: known.join(", ") });
        }
        explained.retain(|one| one.step.as_ref().is_some_and(|of| of.as_str() == step));
    }
    if !args.phase.is_empty() {
        explained.retain(|one| args.phase.iter().any(|phase| phase.phase() == one.explained.phase()));
    }
    for (place, explanation) in explained.iter().enumerate() {
        if args.json {
            print::json(&Output::Explanation(Explained::of(explanation)));
        } else {
            if place > 0 {
                print::out("");
            }
            print::out(&explanation.paragraph());
        }
    }
    if explained.is_empty() && !args.json {
        print::out(if args.phase.is_empty() {
            "there is nothing to explain: no step has come that far"
        } else {
            "there is nothing to explain in that phase"
        });
    }
    Ok(Exit::Completed)
}
