//! The model card: the model's purpose, its quality, and its errors.

use std::fmt::Write as _;

use crate::metrics::Metrics;
use crate::report::{Report, levels};
use crate::trained::Trained;

/// Summary of a training, in a few lines.
#[must_use]
pub fn summary(report: &Report) -> String {
    let mut text = String::from("test set    plans   accuracy  log loss  HIGH recall  calibration error\n");
    for (name, metrics) in &report.metrics {
        let [_, _, high] = metrics.levels;
        let Metrics { plans, accuracy, log_loss, calibration_error, .. } = metrics;
        let _ = writeln!(
            text,
            "{name:<10} {plans:>6}   {accuracy:.4}    {log_loss:.4}    {:.4}       {calibration_error:.4}",
            high.recall
        );
    }
    text
}

/// The model card.
#[must_use]
pub fn card(trained: &Trained, seed: u64) -> String {
    let report = &trained.report;
    let mut text = INTRODUCTION.to_owned();
    let _ = write!(
        text,
        "\n## How good it is\n\nOf test data that was not used before (15 % of the plans; plans that look the same are always in the same part).\n`mixed` is everything but the hard set.\n\n\
         | test set | plans | accuracy | log loss | calibration error | HIGH missed | with the rules as a floor |\n|---|---|---|---|---|---|---|\n"
    );
    for (name, metrics) in &report.metrics {
        let [_, _, [low, medium, high]] = metrics.confusion;
        let _ = writeln!(
            text,
            "| {name} | {} | {:.4} | {:.4} | {:.4} | {} of {} | {} |",
            metrics.plans,
            metrics.accuracy,
            metrics.log_loss,
            metrics.calibration_error,
            low + medium,
            low + medium + high,
            metrics.high_missed_with_floor
        );
    }
    for name in ["mixed", "hard"] {
        let Some(metrics) = report.metrics.get(name) else { continue };
        let _ = write!(
            text,
            "\nBy level, {name}:\n\n| level | precision | recall | F1 | said LOW | said MEDIUM | said HIGH |\n|---|---|---|---|---|---|---|\n"
        );
        for ((level, of), [low, medium, high]) in levels().iter().zip(&metrics.levels).zip(metrics.confusion) {
            let _ = writeln!(
                text,
                "| {level} | {:.4} | {:.4} | {:.4} | {low} | {medium} | {high} |",
                of.precision, of.recall, of.f1
            );
        }
    }
    text.push_str(
        "\n![Confusion matrices](reports/confusion.svg)\n![Reliability](reports/reliability.svg)\n\n## Where it is wrong\n\n\
         Close to thresholds, above all those of tokens: a plan with 9,000 tokens and one with 9,001 look the same to it. Of the hard set,\n\
         plans within one unit of a threshold:\n\n| near | wrong | of |\n|---|---|---|\n",
    );
    for (name, (wrong, all)) in &report.hard_by_threshold {
        let _ = writeln!(text, "| {name} | {wrong} | {all} |");
    }
    text.push_str(LIMITS);
    text.push_str("\n## What it looks at\n\n![Importance](reports/importance.svg)\n![Features](reports/features.svg)\n\n## Training\n\n");
    let _ = writeln!(
        text,
        "Network {}; Adam with step 0.001, cross-entropy, batches of 32, at most 30 epochs, stopped after 10 without a lower loss over the\n\
         validation data; {} epochs were trained. Temperature {}. Seed {seed}. Computed in 64 bits by one thread; weights are rounded to\n\
         multiples of 2⁻²⁰ after each step, so that processors that add up in another order come to the same.\n",
        report.network,
        report.epochs.len(),
        trained.network.temperature,
    );
    text.push_str("![Training](reports/training.svg)\n\n| part | ");
    let names = ["synthetic", "boundary", "bpi", "hard", "outcomes", "LOW", "MEDIUM", "HIGH"];
    let _ = writeln!(text, "{} |\n|---{}|", names.join(" | "), "|---".repeat(names.len()));
    for (part, counts) in &report.plans {
        let counts = names.map(|name| counts.get(name).copied().unwrap_or(0).to_string());
        let _ = writeln!(text, "| {part} | {} |", counts.join(" | "));
    }
    let _ = write!(
        text,
        "\nThe log has {} traces and {} events; {} traces are no plans. SHA-256 of the samples by source, as comma-separated values:\n\n",
        report.log.traces, report.log.events, report.log.left_out
    );
    for (name, digest) in &report.digests {
        let _ = writeln!(text, "- {name}: `{digest}`");
    }
    text
}

const INTRODUCTION: &str = "# The risk model

Says how risky a plan of an AI agent is before it runs: LOW, MEDIUM or HIGH, with a probability for each, from nine features.
`risk.onnx` takes `features` [rows, 9] and gives `probabilities` [rows, 3]; scaler and calibration are part of the graph.
`risk.json` says what it was trained on. Both were written, as was this page, by

    cargo run --release --manifest-path models/Cargo.toml -- all --bpi FILE.xes.gz --out models

with the log of the BPI Challenge 2012 (4TU.ResearchData, doi 10.4121/uuid:3926db30-f712-4394-aebc-75976070e91f).

## What it is for

It sets the limits of a run before anything happens, and tells people why. It is no judge of what single steps do: guards are. What
the rules below call risky is never taken for less, whatever it says (`risk.floor`).

## Data and labels

Labels are those of the engineering rules: HIGH if num_steps > 12, est_tokens > 9000, sequential_tool_calls > 8, or
num_steps > 10 with a tool of high risk; else MEDIUM if num_steps > 6, est_tokens > 5000 or sequential_tool_calls > 4; else LOW.

- **synthetic**: plans drawn from risk profiles, as many of each level, each reason of a level as often. Their features are
  computed from whole plans by the host's own code.
- **bpi**: a real log of loan applications. A trace is a plan that people carried out:

| feature | from a trace | why |
|---|---|---|
| num_steps | events that complete an activity | what was only scheduled, started or withdrawn had no effect |
| num_tools | distinct activities of all events | whatever was at least scheduled could have been used |
| tool_diversity | distinct activities that were completed | those were used |
| has_high_risk_tool | a name with *approve, activate, register, accepted, pay, transfer, delete, terminate* or *refund* | these bind the bank |
| est_tokens | bytes of all attribute values ÷ 4 | what a model that reads the case would be given, by the host's own estimate |
| max_retries | how often the activity that was begun most often was begun again | a piece of work that is begun again is a retry |
| sequential_tool_calls | longest streak of one completed activity | the same |
| plan_depth | 1 + most activities that were open at once | what is completed within another activity belongs to it, as in a group |
| time_limit_sec | seconds while any activity was open | waiting does not count, as it does not in a run |

- **boundary**: drawn plans up to a tenth beyond or below a threshold; only trained on.
- **hard**: drawn plans within one unit of a threshold, half of them beyond.
- **outcomes**, when given: runs from `fusebox risk export`. A person's word is the label; a run that went badly is one level
  above what the rules say.
";

const LIMITS: &str = "
All plans of the test data that were wrong stand in [reports/wrong.csv](reports/wrong.csv).

## Limits

- It has learned rules that people wrote, not what really goes wrong: until outcomes are trained on, it cannot be wiser than they are.
  What it adds is a score between the levels, and an explanation.
- The real data are business processes of a bank, not plans of agents. They show that features of another world fall into place.
- It knows nothing of what steps say or do: a plan of one step that deletes everything is LOW to it. Guards and approvals are there for that.
- est_tokens is a guess unless the plan limits its tokens. The author of a plan can shape its features; the limits that follow hold
  all the same, because they are enforced and not predicted.
- Plans beyond the range of the training data, and plans of whose level it is less sure than 0.6, are left to a person.
";
