//! The live view of a run.

mod session;

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use fusebox::core::event::{
    ApprovalDecided, ApprovalRequested, BudgetWarning, DoubtDecided, EffectRefused, GrantRevoked, GuardVerdict,
    PlanApprovalDecided, PlanApprovalRequested, PlanDecided, PlanJudged, RiskPredicted, RunContinued, RunCreated,
    RunEnded, RunEvent, RunPaused, RunResumed, SkipReason, StepAdded, StepCompleted, StepDelayed, StepEnd, StepFailed,
    StepInDoubt, StepJudged, StepResumed, StepRetried, StepSkipped, StoppedBy,
};
use fusebox::core::policy::GuardMode;
use fusebox::core::risk::{Assessment, RiskLevel};
use fusebox::core::show::{duration, quoted_text, safe_line, usd};
use fusebox::core::step_state::StepState;
use fusebox::core::{ApprovalAnswer, ApprovalId, LimitKind, LimitSource};
use fusebox::{Decision, Effect, OutputStream, Ruling, RunEnd, RunLimits, RunLog, RunUpdate, Summary, Waiting};
use indicatif::{ProgressBar, ProgressStyle};

use crate::describe::describe_stop;
use crate::effects_view::{describe_effect, describe_hidden};
use crate::print;

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const WARN: Style = AnsiColor::Yellow.on_default();
const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();

/// Longest text that is shown in one line, in characters.
const MAX_LINE: usize = 400;

/// Prints the events of a run as they happen.
pub struct View {
    total: usize,
    /// Shows that something is going on, on a terminal.
    spinner: Option<ProgressBar>,
    /// Output without a line end yet, and the mark of its source.
    partial: String,
    mark: &'static str,
    /// Time of the shown event, where times are shown.
    at: Option<u64>,
}

impl View {
    pub fn new() -> Self {
        Self { total: 0, spinner: None, partial: String::new(), mark: "│", at: None }
    }

    /// Sets the time of the next event, which is printed before it.
    pub fn told_at(&mut self, time_us: u64) {
        self.at = Some(time_us);
    }

    pub fn update(&mut self, update: &RunUpdate) {
        match update {
            RunUpdate::Event(event) => self.event(&event.event),
            RunUpdate::Explanation(explanation) => self.line(&format!("    · {}", explanation.paragraph())),
            // `fusebox show RUN --logs` shows it.
            RunUpdate::Log(_) => {}
            RunUpdate::Output { stream, bytes, .. } => self.output(*stream, bytes),
            RunUpdate::Progress { message, .. } => {
                if let Some(spinner) = &self.spinner {
                    spinner.set_message(safe_line(message, 80));
                }
            }
        }
    }

    /// What a plugin logged.
    pub fn log(&mut self, logged: &RunLog) {
        self.line(&format!("    {DIM}{} logged:{DIM:#}", safe_line(&logged.plugin, 80)));
        print::log_lines(&logged.log, "      ");
    }

    fn risk(&mut self, assessment: &Assessment, limits: &RunLimits, limits_by: &BTreeMap<LimitKind, LimitSource>) {
        let level = assessment.level;
        let look = if level == RiskLevel::Low { DIM } else { WARN };
        let why = assessment.rules.first().map(|hit| format!(", {} is {}", hit.threshold.name(), hit.value));
        let of_profile = |limit: &LimitKind| matches!(limits_by.get(limit), Some(LimitSource::RiskProfile(_)));
        let set = limits.in_words().into_iter().filter(|(limit, _)| of_profile(limit));
        let set: Vec<String> = set.map(|(limit, value)| format!("{limit} {value}")).collect();
        let set = if set.is_empty() { String::new() } else { format!(": {}", safe_line(&set.join(", "), MAX_LINE)) };
        let (score, why) = (assessment.score(), why.unwrap_or_default());
        self.line(&format!("{look}predicted risk {level} (score {score:.2}{why}){set}{look:#}"));
    }

    fn event(&mut self, event: &RunEvent) {
        match event {
            RunEvent::RunCreated(RunCreated { goal, agent, steps, .. }) => {
                self.total = *steps as usize;
                let agent = safe_line(&agent.id, 80);
                self.line(&format!("{BOLD}{}{BOLD:#} {DIM}(agent {agent}){DIM:#}", safe_line(goal, MAX_LINE)));
            }
            RunEvent::RunContinued(RunContinued { steps, .. }) => {
                self.total = *steps as usize;
                self.line(&format!("{DIM}continued{DIM:#}"));
            }
            RunEvent::RunLeft(_) => self.line(&format!("{DIM}left until a process continues it{DIM:#}")),
            RunEvent::RunInterrupted(_) => self.line(&format!("{WARN}its process ended{WARN:#}")),
            RunEvent::RunPaused(RunPaused { by, reason }) => {
                let reason =
                    if reason.is_empty() { String::new() } else { format!(": {}", safe_line(reason, MAX_LINE)) };
                self.line(&format!("{WARN}paused{WARN:#} by {}{reason}", safe_line(by, 80)));
            }
            RunEvent::RunResumed(RunResumed { by }) => {
                self.line(&format!("{GOOD}resumed{GOOD:#} by {}", safe_line(by, 80)))
            }
            RunEvent::StepAdded(StepAdded { added, by, .. }) => {
                self.total += 1;
                let (id, step_type, by) =
                    (safe_line(added.id.as_str(), 80), safe_line(&added.step_type, 80), safe_line(by, 80));
                self.line(&format!("{DIM}{by} added {id} ({step_type}){DIM:#}"));
            }
            RunEvent::RiskPredicted(RiskPredicted { assessment, limits, limits_by }) => {
                self.risk(assessment, limits, limits_by)
            }
            RunEvent::BudgetWarning(BudgetWarning { budget, used, limit }) => {
                self.line(&format!("{WARN}{used} of {limit} of the budget {budget} are used{WARN:#}"));
            }
            RunEvent::StepDelayed(StepDelayed { until_us, reason, .. }) => {
                let until = fusebox::rfc3339(*until_us);
                self.line(&format!("{WARN}waits until {until}{WARN:#}: {}", safe_line(reason, MAX_LINE)));
            }
            RunEvent::StepResumed(StepResumed { calls, .. }) => {
                self.start_spinner();
                self.line(&format!("    {DIM}carried on in the middle, {calls} effects behind it{DIM:#}"));
            }
            RunEvent::EffectNotPerformed(_) => {
                self.line(&format!("    {DIM}an effect that was intended did not happen{DIM:#}"));
            }
            RunEvent::ApprovalRequested(ApprovalRequested { id, .. })
            | RunEvent::PlanApprovalRequested(PlanApprovalRequested { id, .. })
                if self.at.is_some() =>
            {
                self.line(&format!("    {DIM}asked as {id}{DIM:#}"));
            }
            RunEvent::DoubtDecided(DoubtDecided { answer, .. }) => self.answer(answer),
            RunEvent::GrantRevoked(GrantRevoked { grant, by }) => {
                self.line(&format!("{WARN}{} revoked the grant {grant}{WARN:#}", safe_line(by, 80)));
            }
            RunEvent::StepJudged(judged) => self.judged(judged),
            RunEvent::PlanJudged(PlanJudged { guard, failure: Some(failure), .. }) => {
                self.line(&format!("    {WARN}{guard} failed: {}{WARN:#}", safe_line(failure, MAX_LINE)));
            }
            RunEvent::PlanDecided(PlanDecided { decision }) => match decision.ruling {
                Ruling::Allow => {
                    for reason in &decision.reasons {
                        for finding in &reason.findings {
                            let (by, message) =
                                (safe_line(reason.by.word(), 80), safe_line(&finding.message, MAX_LINE));
                            self.line(&format!("{WARN}{by}{WARN:#}: {message}"));
                        }
                    }
                }
                Ruling::Review => {
                    let why = safe_line(&decision.why(), MAX_LINE);
                    self.line(&format!("{WARN}the plan needs approval{WARN:#}: {why}"));
                }
                Ruling::Deny | Ruling::Abstain => {
                    self.line(&format!("{BAD}✗ the plan was denied{BAD:#}: {}", safe_line(&decision.why(), MAX_LINE)));
                }
            },
            RunEvent::ApprovalDecided(ApprovalDecided { answer, .. })
            | RunEvent::PlanApprovalDecided(PlanApprovalDecided { answer, .. }) => self.answer(answer),
            RunEvent::StepStarted(_) => self.start_spinner(),
            RunEvent::EffectRefused(EffectRefused { effect, reason, .. }) => {
                let (effect, reason) = (describe_effect(effect), safe_line(reason, MAX_LINE));
                self.line(&format!("    {BAD}refused:{BAD:#} {effect}: {reason}"));
            }
            RunEvent::StepCompleted(StepCompleted { summary, usage, .. }) => {
                self.stop_spinner();
                let time = duration(usage.duration_us);
                self.line(&format!("    {GOOD}✓{GOOD:#} {} {DIM}{time}{DIM:#}", safe_line(summary, MAX_LINE)));
            }
            RunEvent::StepFailed(StepFailed { end, message, .. }) => {
                self.stop_spinner();
                let (first, rest) = message.split_once('\n').unwrap_or((message, ""));
                let end = if *end == StepEnd::Failure { String::new() } else { format!(" ({end})") };
                self.line(&format!("    {BAD}✗ failed{end}{BAD:#}: {}", safe_line(first, MAX_LINE)));
                if !rest.is_empty() {
                    self.line(&quoted_text(rest, 4000, "    │ "));
                }
            }
            RunEvent::StepInDoubt(StepInDoubt { message, .. }) => {
                self.stop_spinner();
                let message = safe_line(message, MAX_LINE);
                self.line(&format!("    {WARN}? in doubt{WARN:#}: an effect may or may not have happened; {message}"));
            }
            RunEvent::StepRetried(StepRetried { attempt, wait_us, restores, .. }) => {
                let files = match restores.len() {
                    0 => String::new(),
                    1 => ", 1 file is restored".to_owned(),
                    many => format!(", {many} files are restored"),
                };
                self.line(&format!("    {WARN}↻ try {attempt} in {}{WARN:#}{files}", duration(*wait_us)));
            }
            RunEvent::RunEnded(RunEnded { end, message, .. }) if self.at.is_some() => {
                let style = if *end == RunEnd::Completed { GOOD } else { BAD };
                self.line(&format!("{style}ended{style:#}: {}", safe_line(message, MAX_LINE)));
            }
            RunEvent::RunEnded(RunEnded { kill: Some(times), .. }) => {
                self.line(&format!("everything stopped {:.1} ms after the kill", times.took_us as f64 / 1000.0));
            }
            RunEvent::StepSkipped(StepSkipped { reason, message, .. }) => {
                let word = match reason {
                    SkipReason::Denied => "denied",
                    SkipReason::GuardFailed => "not judged",
                    SkipReason::Rejected => "rejected",
                    SkipReason::Expired => "not approved",
                };
                self.line(&format!("    {BAD}✗ {word}{BAD:#}: {}", safe_line(message, 4000)));
            }
            other => self.session_event(other),
        }
    }

    /// A step, its effects and how it was judged.
    fn judged(&mut self, judged: &StepJudged) {
        let StepJudged { index, step_type, description, verdicts, decision, .. } = judged;
        let (number, total) = (index + 1, self.total);
        let words = safe_line(description, MAX_LINE);
        self.line(&format!("\n{BOLD}{number}/{total} {}{BOLD:#} {words}", safe_line(step_type, 80)));
        for GuardVerdict { guard, mode, verdict, failure, .. } in verdicts {
            if let Some(failure) = failure {
                self.line(&format!("    {WARN}{guard} failed: {}{WARN:#}", safe_line(failure, MAX_LINE)));
            }
            if let Some(verdict) = verdict.as_ref().filter(|verdict| verdict.rewrite.is_some()) {
                let what = verdict.findings.first().map(|finding| finding.message.as_str()).unwrap_or_default();
                let verb = if *mode == GuardMode::Monitor { "would rewrite" } else { "rewrote" };
                self.line(&format!("    {WARN}{guard} {verb} the input{WARN:#}: {}", safe_line(what, MAX_LINE)));
            }
        }
        let Some(decision) = decision else { return };
        self.effects(judged.effects(), decision);
        let impact = decision.impact.map(|class| format!(", impact {class}")).unwrap_or_default();
        match decision.ruling {
            Ruling::Allow => self.line(&format!("    {GOOD}allowed{GOOD:#}{impact}")),
            Ruling::Review => {
                let why = safe_line(&decision.why(), MAX_LINE);
                self.line(&format!("    {WARN}needs approval{WARN:#}{impact}: {why}"));
            }
            Ruling::Deny | Ruling::Abstain => {}
        }
    }

    /// Prints the effects. An effect with a secret, by the guards' findings, is not echoed.
    fn effects(&mut self, effects: &[Effect], decision: &Decision) {
        for (index, effect) in effects.iter().enumerate() {
            let index = u32::try_from(index).ok();
            let findings = decision.reasons.iter().flat_map(|reason| &reason.findings);
            let holds_secret = findings.clone().any(|finding| finding.code == "secret" && finding.effect == index);
            let shown = if holds_secret { describe_hidden(effect) } else { describe_effect(effect) };
            self.line(&format!("    {DIM}will:{DIM:#} {shown}"));
        }
    }

    fn answer(&self, answer: &ApprovalAnswer) {
        match answer {
            ApprovalAnswer::Approved { by, channel, same_kind, note, .. } => {
                let by = safe_line(by, 80);
                let kind = if *same_kind { ", and all of this kind" } else { "" };
                let note = if note.is_empty() { String::new() } else { format!(": {}", safe_line(note, MAX_LINE)) };
                self.line(&format!("    {GOOD}approved{GOOD:#} by {by} ({channel}{kind}){note}"));
            }
            ApprovalAnswer::Happened { by, .. } => {
                self.line(&format!("    {GOOD}counted as carried out{GOOD:#} by {}", safe_line(by, 80)));
            }
            ApprovalAnswer::Edited { by, .. } => {
                let by = safe_line(by, 80);
                self.line(&format!("    {WARN}edited{WARN:#} by {by}; the new action is judged again"));
            }
            ApprovalAnswer::Rejected { .. } | ApprovalAnswer::Expired { .. } => {}
        }
    }

    fn output(&mut self, stream: OutputStream, bytes: &[u8]) {
        self.partial.push_str(&String::from_utf8_lossy(bytes));
        self.mark = match stream {
            OutputStream::Stdout => "│",
            OutputStream::Stderr => "┆",
            OutputStream::Model => "»",
        };
        let mark = self.mark;
        while let Some(end) = self.partial.find('\n') {
            let line: String = self.partial.drain(..=end).collect();
            self.line(&format!("    {DIM}{mark}{DIM:#} {}", safe_line(line.trim_end(), MAX_LINE)));
        }
        // A line without end is shown in pieces rather than kept for ever.
        if self.partial.len() > 16 * 1024 {
            let line = std::mem::take(&mut self.partial);
            self.line(&format!("    {DIM}{mark}{DIM:#} {}", safe_line(&line, MAX_LINE)));
        }
    }

    /// The end of the run.
    pub fn summary(&mut self, summary: &Summary, policy: &str) {
        self.stop_spinner();
        let style = match summary.end {
            Some(RunEnd::Completed) => GOOD,
            Some(_) => BAD,
            None => WARN,
        };
        let reason = match &summary.waiting {
            Some(waiting) => waits_for(waiting, &summary.run_id.to_string()),
            None => safe_line(summary.reason.lines().next().unwrap_or_default(), 1000),
        };
        self.line(&format!("\n{style}{}{style:#} {reason}", summary.state));
        let count = |state| summary.steps.iter().filter(|step| step.state == state).count();
        let counts: Vec<String> = [
            (StepState::Completed, "completed"),
            (StepState::Failed, "failed"),
            (StepState::Skipped, "skipped"),
            (StepState::InDoubt, "in doubt"),
            (StepState::Pending, "not reached"),
            (StepState::AwaitingApproval, "not decided"),
        ]
        .into_iter()
        .map(|(state, word)| (count(state), word))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
        let rows = [
            ("run", summary.run_id.to_string()),
            ("steps", counts.join(", ")),
            ("tokens", thousands(summary.tokens)),
            ("cost", cost(summary)),
            ("fuel", thousands(summary.fuel)),
            ("duration", duration(summary.duration_us)),
            ("workspace", safe_line(&summary.workspace.display().to_string(), MAX_LINE)),
            ("policy", safe_line(policy, MAX_LINE)),
            ("log", format!("{} events", summary.events)),
        ];
        for (name, value) in rows {
            self.line(&format!("  {DIM}{name:<10}{DIM:#} {value}"));
        }
        for step in &summary.steps {
            let Some(stopped) = &step.stopped_by else { continue };
            let (id, by) = (safe_line(step.step.as_str(), 80), describe_stop(stopped).join(", "));
            let why = step.summary.lines().next().unwrap_or_default();
            // Reasons begin with their decider, which stands here already.
            let given_by = match stopped {
                StoppedBy::Deciders(deciders) => deciders.as_slice(),
                StoppedBy::End(_) => &[],
            };
            let why = given_by.iter().find_map(|by| why.strip_prefix(&format!("{by}: "))).unwrap_or(why);
            let why = safe_line(why, 200);
            self.line(&format!("  {DIM}stopped{DIM:#}    {id} by {BAD}{by}{BAD:#}: {why}"));
        }
    }

    pub fn line(&self, text: &str) {
        let time = |at| fusebox::rfc3339(at).chars().skip(11).take(12).collect::<String>();
        let print = || match self.at {
            None => print::out(text),
            Some(at) => {
                let at = time(at);
                text.lines().for_each(|line| print::out(&format!("{DIM}{at}{DIM:#} {line}")));
            }
        };
        match &self.spinner {
            Some(spinner) => spinner.suspend(print),
            None => print(),
        }
    }

    fn start_spinner(&mut self) {
        if self.at.is_none() && std::io::stderr().is_terminal() && std::io::stdout().is_terminal() {
            let spinner = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("    {spinner} {elapsed} {msg}") {
                spinner.set_style(style);
            }
            spinner.enable_steady_tick(Duration::from_millis(100));
            self.spinner = Some(spinner);
        }
    }

    fn stop_spinner(&mut self) {
        if let Some(spinner) = self.spinner.take() {
            spinner.finish_and_clear();
        }
        if !self.partial.is_empty() {
            let rest = std::mem::take(&mut self.partial);
            self.line(&format!("    {DIM}{}{DIM:#} {}", self.mark, safe_line(&rest, MAX_LINE)));
        }
    }
}

/// Reason why a run waits, and what to do about it.
fn waits_for(waiting: &Waiting, run: &str) -> String {
    let answer = |id: &Option<ApprovalId>| id.as_ref().map(ToString::to_string).unwrap_or_default();
    match waiting {
        Waiting::Approval { id, step: None, .. } => {
            format!("the plan waits for an approval: `fusebox approve {}`, then `fusebox continue {run}`", answer(id))
        }
        Waiting::Approval { id, step: Some(step), .. } => {
            format!("{step} waits for an approval: `fusebox approve {}`, then `fusebox continue {run}`", answer(id))
        }
        Waiting::Doubt { id, step } => {
            format!("{step} may or may not have happened: look, then `fusebox approve {}` (see --as-done)", answer(id))
        }
        Waiting::Paused { by } => {
            format!("paused by {}: `fusebox resume {run}`, then `fusebox continue {run}`", safe_line(by, 80))
        }
        Waiting::NextStep => format!("the step has ended: `fusebox next {run}` or `fusebox continue {run}`"),
        Waiting::Elsewhere => format!("another process carries it on: `fusebox tail {run}`"),
    }
}

fn cost(summary: &Summary) -> String {
    let known = usd(summary.micro_usd);
    match summary.unpriced_calls {
        0 => known,
        1 => format!("{known}, and 1 model call without a known price"),
        many => format!("{known}, and {many} model calls without a known price"),
    }
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(1_234_567), "1,234,567");
    }
}
