//! Outcomes of runs: export, comparison of models, and proposals of thresholds.

use std::io::{BufWriter, Write};
use std::path::Path;

use anstyle::{AnsiColor, Style};
use fusebox::core::risk::{Features, RiskLevel, RuleName};
use fusebox::core::show::safe_line;
use fusebox::risk::{compare, drift, thresholds};
use fusebox::{Error, Host, Outcome};
use serde_json::Value;

use super::predict::switched_off;
use crate::args::Which;
use crate::exit::Exit;
use crate::operator::user;
use crate::output::Output;
use crate::print;
use crate::run::read_input;

/// Largest line of an export, in bytes.
const MAX_LINE: usize = 1024 * 1024;
const NO_RUNS: &str = "no run whose risk was predicted has ended yet";

/// Number of runs that are read.
fn outcomes(host: &Host, which: &Which) -> Result<Vec<Outcome>, Error> {
    let Some(file) = &which.from else { return host.outcomes(&which.tenant, which.last) };
    let text = read_input("the outcomes", file)?;
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.iter().all(u8::is_ascii_whitespace));
    let mut outcomes = lines
        .map(|line| Ok(fusebox::core::json::parse_as("an outcome", line, MAX_LINE)?))
        .collect::<Result<Vec<Outcome>, Error>>()?;
    outcomes.iter().try_for_each(|outcome| outcome.assessment.features.check())?;
    let surplus = outcomes.len().saturating_sub(which.last as usize);
    outcomes.drain(..surplus);
    Ok(outcomes)
}

/// Says that there is nothing to go by.
fn nothing(message: &str, json: bool) -> Exit {
    if json {
        print::json(&Output::Notice { message })
    } else {
        print::out(message)
    }
    Exit::Completed
}

pub fn export(host: &Host, which: &Which, out: Option<&Path>, json: bool) -> Result<Exit, Error> {
    let outcomes = outcomes(host, which)?;
    let failed = |source| Error::Unwritable { what: "the outcomes", source };
    let write = |to: &mut dyn Write| {
        outcomes.iter().try_for_each(|outcome| {
            serde_json::to_writer(&mut *to, outcome).map_err(std::io::Error::from)?;
            to.write_all(b"\n")
        })
    };
    let Some(file) = out else {
        return match write(&mut BufWriter::new(std::io::stdout().lock())) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(failed(error)),
            _ => Ok(Exit::Completed),
        };
    };
    print::whole_file(file, "the outcomes", |written| write(written).map_err(failed))?;
    let count = outcomes.len();
    if json {
        print::json(&Output::RiskExport { runs: count });
    } else {
        print::out(&format!("{} holds {count} runs", file.display()));
    }
    Ok(Exit::Completed)
}

pub fn compare(host: &Host, which: &Which, json: bool) -> Result<Exit, Error> {
    let Some(comparison) = compare::compare(&outcomes(host, which)?) else {
        let why = "no run was judged by two models; name a challenger in the policy, as risk.challenger";
        return Ok(nothing(why, json));
    };
    if json {
        print::json(&Output::RiskComparison(&comparison));
        return Ok(Exit::Completed);
    }
    let (runs, badly) = (comparison.runs, comparison.went_badly);
    print::out(&format!("{runs} runs, {badly} went badly; the models agree on {:.1} %", comparison.agreement * 100.0));
    print::out("             Brier   AUC     caught  false alarms  model");
    for (name, score) in [("champion", &comparison.champion), ("challenger", &comparison.challenger)] {
        let auc = score.auc.map_or_else(|| "-".to_owned(), |auc| format!("{auc:.4}"));
        let model: String = score.model.chars().take(12).collect();
        print::out(&format!(
            "{name:<12} {:.4}  {auc:<6}  {:<6}  {:<12}  {model}",
            score.brier, score.caught, score.false_alarms
        ));
    }
    print::out("\nruns by level: champion down, challenger across");
    print::out("          LOW  MEDIUM    HIGH");
    for (level, [low, medium, high]) in RiskLevel::ALL.iter().zip(comparison.levels) {
        print::out(&format!("{level:<6} {low:>6}  {medium:>6}  {high:>6}"));
    }
    Ok(Exit::Completed)
}

pub fn drift(host: &Host, which: &Which, json: bool) -> Result<Exit, Error> {
    let plans: Vec<Features> = outcomes(host, which)?.iter().map(|run| run.assessment.features).collect();
    let model = host.predictor().ok_or_else(switched_off)?.model()?;
    let drifts = drift::drift(model.metadata(), &plans);
    if drifts.is_empty() {
        return Ok(nothing(NO_RUNS, json));
    }
    if json {
        for one in &drifts {
            print::json(&Output::RiskDrift(one));
        }
        return Ok(Exit::Completed);
    }
    print::out(&format!("{} runs against the training data of {}", plans.len(), model.digest()));
    for one in &drifts {
        let (look, word) = match one.verdict {
            drift::Verdict::TooFew => (Style::new().dimmed(), "too few runs to tell"),
            drift::Verdict::Stable => (AnsiColor::Green.on_default(), "stable"),
            drift::Verdict::Moved => (AnsiColor::Yellow.on_default(), "moved"),
            drift::Verdict::Drifted => (AnsiColor::Red.on_default(), "drifted"),
        };
        print::out(&format!("  {:<22} {:>8.4}  {look}{word}{look:#}", one.feature, one.psi));
    }
    let dim = Style::new().dimmed();
    print::out(&format!(
        "{dim}population stability index: from {} on a feature has moved, from {} on the model should be trained anew{dim:#}",
        drift::MOVED,
        drift::DRIFTED
    ));
    Ok(Exit::Completed)
}

pub fn thresholds(host: &Host, which: &Which, json: bool) -> Result<Exit, Error> {
    let predictor = host.predictor().ok_or_else(switched_off)?;
    let proposals = thresholds::propose(&outcomes(host, which)?, &|agent_type| predictor.thresholds_of(agent_type));
    if proposals.is_empty() {
        return Ok(nothing(NO_RUNS, json));
    }
    if json {
        for proposal in &proposals {
            print::json(&Output::RiskThresholds(proposal));
        }
        return Ok(Exit::Completed);
    }
    for proposal in &proposals {
        let agents = proposal.agent_type.as_deref().map_or_else(
            || "agents without a type".to_owned(),
            |agent_type| format!("agents of type {}", safe_line(agent_type, 80)),
        );
        print::out(&format!("{agents}: {} runs, {} went badly", proposal.runs, proposal.went_badly));
        if proposal.thresholds.is_empty() {
            print::out(&format!(
                "  too few: {} runs are needed, {} of them bad and {} good",
                thresholds::LEAST_RUNS,
                thresholds::LEAST_EITHER,
                thresholds::LEAST_EITHER
            ));
        }
        let mut lines = Vec::new();
        for one in &proposal.thresholds {
            let share = |of: &thresholds::Separation| {
                format!(
                    "catches {:.0} % of the bad, holds up {:.0} % of the good",
                    of.caught * 100.0,
                    of.false_alarms * 100.0
                )
            };
            print::out(&format!("  high.{:<22} {:>8}  {}", one.threshold.name(), one.now.limit, share(&one.now)));
            if let Some(proposed) = &one.proposed {
                print::out(&format!("  {:>27} {:>8}  {}", "better", proposed.limit, share(proposed)));
                lines.push(setting(one.threshold, proposed.limit));
            }
        }
        // A policy cannot tell agents without a type from others, and odd names cannot be written in it.
        let plain = proposal.agent_type.as_ref().filter(|agent_type| safe_line(agent_type, 80) == **agent_type);
        if let (Some(agent_type), false) = (plain, lines.is_empty()) {
            let (agent_type, lines) = (Value::from(agent_type.as_str()), lines.join("\n"));
            print::out(&format!(
                "\nTo use it, put this into the policy. The rules are a floor: where a threshold is raised, the model's own word still \
                 counts, until it is trained on outcomes.\n\n[[risk.thresholds_for]]\nagent_type = {agent_type}\n{lines}\n"
            ));
        }
    }
    Ok(Exit::Completed)
}

fn setting(threshold: RuleName, limit: u64) -> String {
    format!("high.{} = {limit}", threshold.name())
}

pub fn overrule(host: &Host, run: &str, level: RiskLevel, reason: &str, json: bool) -> Result<Exit, Error> {
    let overruled = host.overrule(&run.parse()?, level, &user(), reason)?;
    let from = overruled.from.map_or("unknown", RiskLevel::name);
    if json {
        let fusebox::RiskLabel { run, from, to, by, reason } = &overruled;
        print::json(&Output::RiskOverrule { run_id: run, from: *from, to: *to, by, reason });
    } else {
        print::out(&format!("recorded: {run} was {level}, and counted as {from}"));
    }
    Ok(Exit::Completed)
}
